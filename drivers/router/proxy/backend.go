package proxy

import (
	"sync/atomic"
	"time"
)

// backend is what the proxy knows of one address for as long as it routes to it or a request is
// under way there. Everything in it may be touched by any request at any time.
type backend struct {
	address string
	health  health
	pool    *pool

	inFlight        atomic.Int64
	requests        atomic.Uint64 // attempts, a retried request counts at each backend it tried
	serverErrors    atomic.Uint64 // 5xx answers and connections lost before an answer
	connectFailures atomic.Uint64
	latency         histogram // from the attempt to the answer's header
}

func newBackend(address string, t Timeouts) *backend {
	b := &backend{address: address, pool: newPool(address, t)}
	b.health.init()
	return b
}

// answered records that the backend answered an attempt that began at start.
func (b *backend) answered(start time.Time, status int) {
	b.latency.add(time.Since(start))
	if status >= 500 {
		b.serverErrors.Add(1)
	}
}

// health is the verdict of the probes. A backend is taken for healthy until probes say otherwise:
// whoever routes to it has seen it answer, and waiting for our own probes would delay each shift.
type health struct {
	failing atomic.Bool
	streak  int // probes in a row that contradict the verdict; owned by the prober
	detail  atomic.Pointer[string]
}

func (h *health) init() { h.detail.Store(new(string)) }

func (h *health) up() bool { return !h.failing.Load() }

// record takes the outcome of one probe and tells whether the verdict changed: rise good probes in a
// row make a failing backend healthy, fall bad ones a healthy one failing.
func (h *health) record(err error, rise, fall int) (changed bool) {
	detail := ""
	if err != nil {
		detail = err.Error()
	}
	h.detail.Store(&detail)
	if (err == nil) == h.up() {
		h.streak = 0
		return false
	}
	need := fall
	if err == nil {
		need = rise
	}
	if h.streak++; h.streak < need {
		return false
	}
	h.streak = 0
	h.failing.Store(err != nil)
	return true
}
