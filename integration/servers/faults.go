package servers

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Faults is an HTTP server before a real component. It passes calls on, but for those with which a test has something
// go wrong.
type Faults struct {
	URL string // http://HOST:PORT of the loopback

	mu      sync.Mutex
	planned []*planned
}

// Fault answers a call. forward has the component answer it, to whom it is given.
type Fault func(w http.ResponseWriter, forward func(http.ResponseWriter))

// planned is a fault that waits for its call.
type planned struct {
	call  func(req *http.Request, body []byte) bool
	fault Fault
	times int // how often it is met; negative for always
	met   int
}

// NewFaults puts Faults before what transport reaches at an address, such as http://HOST:PORT; nil is the usual transport.
// It ends with the test.
func NewFaults(t testing.TB, address string, transport http.RoundTripper) *Faults {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	behind := httputil.NewSingleHostReverseProxy(u)
	behind.Transport, behind.FlushInterval = transport, -1
	behind.ErrorLog = log.New(io.Discard, "", 0) // who asks is told
	f := &Faults{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { f.serve(behind, w, req) }))
	t.Cleanup(server.CloseClientConnections)
	t.Cleanup(server.Close)
	f.URL = server.URL
	return f
}

// Unix reaches what listens on a Unix socket, whatever the host in the address is.
func Unix(path string) http.RoundTripper {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
}

// On has a fault met by the next calls, so many times, that look like the expression: METHOD PATH?QUERY. A negative number
// is every one. It returns how to tell how often it was met.
func (f *Faults) On(call string, times int, fault Fault) (met func() int) {
	looks := regexp.MustCompile(call)
	return f.OnCall(func(req *http.Request, _ []byte) bool {
		return looks.MatchString(req.Method + " " + req.URL.RequestURI())
	}, times, fault)
}

// OnCall is On for calls that a function tells.
func (f *Faults) OnCall(call func(req *http.Request, body []byte) bool, times int, fault Fault) (met func() int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &planned{call: call, fault: fault, times: times}
	f.planned = append(f.planned, p)
	return func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return p.met
	}
}

// Mend takes all faults away.
func (f *Faults) Mend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planned = nil
}

func (f *Faults) serve(behind http.Handler, w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	forward := func(w http.ResponseWriter) {
		req.Body = io.NopCloser(bytes.NewReader(body))
		behind.ServeHTTP(w, req)
	}
	fault := f.next(req, body)
	if fault == nil {
		forward(w)
		return
	}
	fault(w, forward)
}

// next is the fault that a call meets, or nil.
func (f *Faults) next(req *http.Request, body []byte) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.planned {
		if p.met != p.times && p.call(req, body) {
			p.met++
			return p.fault
		}
	}
	return nil
}

// FailedAfter has the component do what is asked, and answer 500.
func FailedAfter(w http.ResponseWriter, forward func(http.ResponseWriter)) {
	forward(httptest.NewRecorder())
	FailedBefore(w, forward)
}

// FailedBefore has it do nothing and answer 500.
func FailedBefore(w http.ResponseWriter, _ func(http.ResponseWriter)) {
	Answer(http.StatusInternalServerError, `{"message": "out of memory"}`)(w, nil)
}

// Answer has somebody else answer, with JSON, and nothing be done.
func Answer(status int, body string) Fault {
	return func(w http.ResponseWriter, _ func(http.ResponseWriter)) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// LostAfter has it do what is asked, and the connection end without an answer.
func LostAfter(_ http.ResponseWriter, forward func(http.ResponseWriter)) {
	forward(httptest.NewRecorder())
	panic(http.ErrAbortHandler)
}

// Refused has the connection end before anything is done.
func Refused(http.ResponseWriter, func(http.ResponseWriter)) { panic(http.ErrAbortHandler) }

// Late has it answer after a while.
func Late(by time.Duration) Fault {
	return func(w http.ResponseWriter, forward func(http.ResponseWriter)) {
		time.Sleep(by)
		forward(w)
	}
}
