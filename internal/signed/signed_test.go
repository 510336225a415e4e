package signed

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSign has the example that the libraries of https://www.standardwebhooks.com are tested with.
func TestSign(t *testing.T) {
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)))
}

func TestCheck(t *testing.T) {
	body := []byte("{}")
	request := func(secret string) http.Header {
		h := http.Header{}
		Set(h, secret, "id", body)
		return h
	}
	require.NoError(t, Check(request("sesame"), "sesame", body))
	require.ErrorContains(t, Check(request("sesame"), "simsim", body), "not signed")
	require.ErrorContains(t, Check(request("sesame"), "sesame", []byte("[]")), "not signed")
	require.ErrorContains(t, Check(request(""), "sesame", body), "not signed")
	require.ErrorContains(t, Check(http.Header{}, "", body), "not signed")
	other := request("sesame")
	other.Set(headerID, "another")
	require.ErrorContains(t, Check(other, "sesame", body), "not signed")

	old := request("sesame")
	then := strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)
	old.Set(headerTimestamp, then)
	require.ErrorContains(t, Check(old, "sesame", body), "not signed")
	old.Set(headerSignature, sign("sesame", "id", then, body))
	require.ErrorContains(t, Check(old, "sesame", body), "too long ago")
}
