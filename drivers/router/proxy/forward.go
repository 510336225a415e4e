package proxy

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"
)

// Errors of the data path, for error pages.
var (
	errNoRouting   = errors.New("no backend is configured yet; set one with: switchback traffic set")
	errNoneLeft    = errors.New("no backend could be reached")
	errClientGone  = errors.New("the client or the shutdown ended the request")
	errBadProtocol = errors.New("the backend switched to a protocol nobody asked for")
)

// forwarder is the handler of the data path.
type forwarder struct {
	table   atomic.Pointer[table]
	buffers buffers
	answer  time.Duration // how long a backend may take to answer
	trust   bool          // Config.TrustForwarded
	sticky  string        // Config.StickyCookie
	log     *slog.Logger
}

func newForwarder(cfg Config) *forwarder {
	return &forwarder{
		answer: cfg.Timeouts.Answer,
		trust:  cfg.TrustForwarded,
		sticky: cfg.StickyCookie,
		log:    cfg.Log,
	}
}

// acquire picks a backend other than those in tried, the one with the wanted mark if possible, and
// counts a request there. It returns nil when there is none.
//
// The table is looked at again after counting. Without that, a shift and a whole drain could pass
// between picking and counting, and the request would reach a backend that was reported drained.
func (f *forwarder) acquire(wanted string, tried []*backend) *backend {
	for {
		t := f.table.Load()
		b := t.marked(wanted, tried)
		if b == nil {
			b = t.pick(tried)
		}
		if b == nil {
			return nil
		}
		b.inFlight.Add(1)
		if f.table.Load() == t {
			return b
		}
		b.inFlight.Add(-1)
	}
}

// ServeHTTP sends a request to a backend and its answer back. A failed attempt is repeated where
// mayRepeat allows it: once on a new connection if the old one may have been stale, then at the
// other backend.
func (f *forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodConnect {
		writeError(w, http.StatusMethodNotAllowed, errors.New("this is no forward proxy"))
		return
	}
	x := exchange{forwarder: f, w: w, r: r}
	if err := x.buffer(); err != nil {
		writeError(w, http.StatusBadRequest, errors.New("the request's body did not arrive"))
		return
	}
	defer x.release()
	wanted := x.stickyCookie()
	var tried []*backend
	err := errNoneLeft
	if len(f.table.Load().routes) == 0 {
		err = errNoRouting
	}
	for {
		b := f.acquire(wanted, tried)
		if b == nil {
			break
		}
		var again bool
		if again, err = x.visit(r.Context(), b); err == nil {
			return
		}
		err = fmt.Errorf("%s %s at %s: %w", r.Method, r.URL.Path, b.address, err)
		if !again {
			break
		}
		tried = append(tried, b)
	}
	f.failed(w, err)
}

// failed answers for backends that did not. The client learns the kind of failure, the log the
// address and the cause.
func (f *forwarder) failed(w http.ResponseWriter, err error) {
	if errors.Is(err, errClientGone) {
		panic(http.ErrAbortHandler) // nobody reads an answer
	}
	status, text := http.StatusBadGateway, errNoneLeft
	switch {
	case errors.Is(err, errNoRouting):
		status, text = http.StatusServiceUnavailable, errNoRouting
	case isTimeout(err):
		status, text = http.StatusGatewayTimeout, errors.New("the application did not answer in time")
	}
	f.log.Warn("request failed", "status", status, "error", err)
	writeError(w, status, text)
}

// writeError writes an error page.
func writeError(w http.ResponseWriter, status int, text error) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "%d %s: %v\n", status, http.StatusText(status), text)
}

// mayRepeat tells whether a failed attempt may be made again: always when nothing of the request was
// sent; and when a request that only reads, and has no body, lost its connection. A POST whose bytes
// may have arrived is never sent twice.
func mayRepeat(r *http.Request, sent bool, err error) bool {
	if errors.Is(err, errClientGone) || errors.Is(err, errBadProtocol) {
		return false
	}
	if !sent {
		return true
	}
	// A backend that is slow, not gone: asking again would double its load.
	return !isTimeout(err) && repeatable(r)
}

// repeatable tells whether sending r twice does no harm. PUT and DELETE are left out although they
// should be idempotent: the second answer would differ from the first, which the client never saw.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return r.ContentLength == 0
	}
	return false
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
