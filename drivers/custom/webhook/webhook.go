// Package webhook carries the calls of drivers/custom to an HTTP server: POST requests that are signed, so that the server
// knows who asks, and that nobody has changed or kept them.
package webhook

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/switchbackdb/switchback/drivers/custom"
	"github.com/switchbackdb/switchback/internal/signed"
	"github.com/switchbackdb/switchback/internal/tlsfiles"
)

// Options say where the server is.
type Options struct {
	URL    string // https://…, or http://… of the loopback
	Secret string
	TLS    tlsfiles.Files
}

// OptionError is about an option that is of no use.
type OptionError struct {
	Option string // as it is configured: "url"
	Reason string // the rest of the sentence
}

func (e *OptionError) Error() string { return e.Option + " " + e.Reason }

// Transport implements custom.Transport with an HTTP server.
type Transport struct {
	url    *url.URL
	secret string
	client *http.Client
}

var _ custom.Transport = (*Transport)(nil)

// shortest is how many bytes a secret has at least: as many as the signature is worth.
const shortest = 16

// New returns the transport to the server. It does not connect yet. Its errors are *OptionError.
func New(o Options) (*Transport, error) {
	u, err := url.Parse(o.URL)
	switch {
	case o.URL == "" || err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, &OptionError{"url", "is not http://… or https://…"}
	case u.User != nil:
		return nil, &OptionError{"url", "has a user or a password in it: requests are signed instead"}
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, &OptionError{"url", "is http:// to another machine, which would show the application's environment to the network: use https://"}
	case len(o.Secret) < shortest:
		return nil, &OptionError{"secret", fmt.Sprintf("has %d bytes, %d at least are needed: openssl rand -hex 32", len(o.Secret), shortest)}
	}
	config, err := o.TLS.Config()
	if err != nil {
		return nil, &OptionError{"ca, cert or key", "is of no use: " + err.Error()}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	return &Transport{url: u, secret: o.Secret, client: &http.Client{
		Transport: transport,
		// What was signed for one server is not for another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (t *Transport) String() string { return t.url.Scheme + "://" + t.url.Host }

// Call implements custom.Transport. After 2xx the call was carried out, after 4xx it was refused. A 5xx, a connection
// that was lost and an answer that is cut off leave open which of the two. A redirect is a refusal.
func (t *Transport) Call(ctx context.Context, _, _ string, request []byte) (custom.Reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url.String(), bytes.NewReader(request))
	if err != nil {
		return custom.Reply{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	// Which calls are one says their operation; this tells requests apart.
	signed.Set(req.Header, t.secret, rand.Text(), request)
	resp, err := t.client.Do(req)
	if err != nil {
		return t.lost(ctx, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, custom.MaxAnswer+1))
	if err != nil {
		return t.lost(ctx, err)
	}
	reply := custom.Reply{Answer: answer, Says: "it is answered " + resp.Status + said(answer)}
	switch class := resp.StatusCode / 100; {
	case len(answer) > custom.MaxAnswer:
		return custom.Reply{Outcome: custom.Failed, Says: fmt.Sprintf("its answer has more than %d bytes", custom.MaxAnswer)}, nil
	case class == 2:
	case class == 3:
		reply.Outcome = custom.Failed
		reply.Says = "it is redirected (" + resp.Status + "), which is not followed: name the server itself"
	case class == 5:
		reply.Outcome = custom.Unknown
	default:
		reply.Outcome = custom.Failed
	}
	return reply, nil
}

// said is what a server writes beside its status, when that is no JSON.
func said(answer []byte) string {
	text := custom.Kept()
	_, _ = text.Write(answer) // never fails
	if s := strings.TrimSpace(text.String()); s != "" && !strings.HasPrefix(s, "{") {
		return ": " + s
	}
	return ""
}

// lost is a connection that was lost, or never came about. A certificate that is not trusted stays so.
func (t *Transport) lost(ctx context.Context, err error) (custom.Reply, error) {
	if ctx.Err() != nil {
		return custom.Reply{}, context.Cause(ctx)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	reply := custom.Reply{Outcome: custom.Unknown, Says: err.Error()}
	var untrusted *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	if errors.As(err, &untrusted) || errors.As(err, &plain) {
		reply.Outcome = custom.Failed
	}
	return reply, nil
}
