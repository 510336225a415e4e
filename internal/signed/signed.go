// Package signed signs the requests that switchback makes of servers of its users, and checks such a signature: by the
// headers of https://www.standardwebhooks.com, for which there are libraries in many languages. docs/observing.md says how a
// receiver checks it.
package signed

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The headers.
const (
	headerID        = "Webhook-Id"        // of what is said, the same each time that it is said
	headerTimestamp = "Webhook-Timestamp" // seconds since 1970
	headerSignature = "Webhook-Signature" // v1, and the base64 of the HMAC with SHA-256
)

// oldest is how far the clocks of both sides may be apart, and a request be under way.
const oldest = 5 * time.Minute

// Set sets the headers of a request with a body. Without a secret it is not signed.
func Set(h http.Header, secret, id string, body []byte) {
	now := strconv.FormatInt(time.Now().Unix(), 10)
	h.Set(headerID, id)
	h.Set(headerTimestamp, now)
	if secret != "" {
		h.Set(headerSignature, sign(secret, id, now, body))
	}
}

// Check returns why a request is not one that was signed with the secret, and not long ago.
func Check(h http.Header, secret string, body []byte) error {
	id, timestamp := h.Get(headerID), h.Get(headerTimestamp)
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	switch {
	case err != nil || !hmac.Equal([]byte(sign(secret, id, timestamp, body)), []byte(h.Get(headerSignature))):
		return errors.New("it is not signed")
	case time.Since(time.Unix(seconds, 0)).Abs() > oldest:
		return errors.New("it was signed too long ago")
	}
	return nil
}

// sign is the signature of ID, time and body. A secret that begins with whsec_ is base64 behind that, any other is taken
// as it is.
func sign(secret, id, timestamp string, body []byte) string {
	key := []byte(secret)
	if coded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if raw, err := base64.StdEncoding.DecodeString(coded); err == nil {
			key = raw
		}
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
