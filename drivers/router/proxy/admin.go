package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// shiftRequest is the body of PUT /routing.
type shiftRequest struct {
	Operation string               `json:"operation"`
	Fence     int64                `json:"fence"`
	Backends  []strategies.Backend `json:"backends"`
}

// connections is the answer to GET /connections.
type connections struct {
	Address  string `json:"address"`
	InFlight int64  `json:"in_flight"`
	Weight   int    `json:"weight"` // the address's share of new requests, 0 when it is not routed to
}

// Stats is what a running proxy counted since it started.
type Stats struct {
	Started    time.Time      `json:"started"`
	Generation int64          `json:"generation"`
	Backends   []BackendStats `json:"backends"` // those routed to, then those still draining
}

// BackendStats is what a proxy counted for one address since it was first routed to.
type BackendStats struct {
	Address         string          `json:"address"`
	Slot            strategies.Slot `json:"slot,omitempty"` // empty once no longer routed to
	Version         string          `json:"version,omitempty"`
	Weight          int             `json:"weight"`
	Healthy         bool            `json:"healthy"`
	Probe           string          `json:"probe,omitempty"` // error of the last probe
	InFlight        int64           `json:"in_flight"`
	Requests        uint64          `json:"requests"`         // attempts, second tries included
	Errors          uint64          `json:"errors"`           // 5xx answers and connections lost before an answer
	ConnectFailures uint64          `json:"connect_failures"` // attempts that found nobody listening
	P50             time.Duration   `json:"p50_ns"`           // time to the answer's header
	P99             time.Duration   `json:"p99_ns"`
	// Latency counts the same by buckets: the largest latency of each, in microseconds, and how many it has.
	Latency map[uint64]uint64 `json:"latency_us,omitempty"`
}

// adminError is the body of every answer that is not a success.
type adminError struct {
	Error string `json:"error"`
	Code  string `json:"code"`
}

// Codes of admin errors, for Router to turn into errors a caller can tell apart.
const (
	codeStaleFence = "stale_fence"
	codeInvalid    = "invalid"
	codeReused     = "operation_reused"
	codeInternal   = "internal"
)

// errOperationReused is the error for one operation ID with two contents.
var errOperationReused = errors.New("the operation was already carried out with other backends")

func (s *Server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /routing", s.getRouting)
	mux.HandleFunc("PUT /routing", s.putRouting)
	mux.HandleFunc("GET /connections", s.getConnections)
	mux.HandleFunc("GET /stats", s.getStats)
	return mux
}

func (s *Server) getRouting(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.forward.table.Load().routing)
}

func (s *Server) putRouting(w http.ResponseWriter, r *http.Request) {
	var in shiftRequest
	if err := decodeStrict(r.Body, &in); err != nil {
		writeAdminError(w, http.StatusBadRequest, codeInvalid, fmt.Errorf("decode request: %w", err))
		return
	}
	routing, err := s.shift(in)
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, routing)
	case errors.Is(err, strategies.ErrStaleFence):
		writeAdminError(w, http.StatusConflict, codeStaleFence, err)
	case errors.Is(err, errOperationReused):
		writeAdminError(w, http.StatusConflict, codeReused, err)
	case errors.Is(err, strategies.ErrInvalidRouting):
		writeAdminError(w, http.StatusUnprocessableEntity, codeInvalid, err)
	default:
		writeAdminError(w, http.StatusInternalServerError, codeInternal, err)
	}
}

// shift puts the backends of in in force and returns the routing; the next request follows it. The
// file is written first: what was acknowledged survives a crash, and what could not be stored does
// not happen.
func (s *Server) shift(in shiftRequest) (strategies.Routing, error) {
	if in.Operation == "" {
		return strategies.Routing{}, fmt.Errorf("%w: no operation given", strategies.ErrInvalidRouting)
	}
	if err := strategies.CheckBackends(in.Backends); err != nil {
		return strategies.Routing{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.forward.table.Load().routing
	if in.Fence < current.Fence {
		return current, fmt.Errorf("shift with fence %d, the proxy has seen %d: %w", in.Fence, current.Fence, strategies.ErrStaleFence)
	}
	next := strategies.Routing{
		Backends:   in.Backends,
		Generation: current.Generation + 1,
		Operation:  in.Operation,
		Fence:      in.Fence,
	}
	if in.Operation == current.Operation {
		if !slices.Equal(in.Backends, current.Backends) {
			return current, fmt.Errorf("operation %s: %w", in.Operation, errOperationReused)
		}
		if in.Fence == current.Fence {
			return current, nil
		}
		// A later holder of the lock repeats the step: traffic stays, the earlier holder is shut out.
		next.Generation = current.Generation
	}
	if err := writeState(s.cfg.StateFile, next); err != nil {
		return current, err
	}
	s.publish(next)
	s.cfg.Log.Info("routing changed", "generation", next.Generation, "operation", next.Operation, "fence", next.Fence)
	return next, nil
}

func (s *Server) getConnections(w http.ResponseWriter, r *http.Request) {
	address := r.URL.Query().Get("address")
	if err := strategies.CheckAddress(address); err != nil {
		writeAdminError(w, http.StatusBadRequest, codeInvalid, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := connections{Address: address}
	if b := s.backends[address]; b != nil {
		out.InFlight = b.inFlight.Load()
	}
	for _, spec := range s.forward.table.Load().routing.Backends {
		if spec.Address == address {
			out.Weight = spec.Weight
		}
	}
	writeJSON(w, http.StatusOK, out)
}

func (s *Server) getStats(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.forward.table.Load()
	out := Stats{Started: s.started, Generation: t.routing.Generation, Backends: []BackendStats{}}
	shown := map[string]bool{}
	for _, r := range t.routes {
		stats := r.backend.stats()
		stats.Slot, stats.Version, stats.Weight = r.spec.Slot, r.spec.Version, r.spec.Weight
		out.Backends = append(out.Backends, stats)
		shown[r.backend.address] = true
	}
	for address, b := range s.backends {
		if !shown[address] {
			out.Backends = append(out.Backends, b.stats())
		}
	}
	writeJSON(w, http.StatusOK, out)
}

func (b *backend) stats() BackendStats {
	return BackendStats{
		Address:         b.address,
		Healthy:         b.health.up(),
		Probe:           *b.health.detail.Load(),
		InFlight:        b.inFlight.Load(),
		Requests:        b.requests.Load(),
		Errors:          b.serverErrors.Load(),
		ConnectFailures: b.connectFailures.Load(),
		P50:             b.latency.quantile(0.50),
		P99:             b.latency.quantile(0.99),
		Latency:         b.latency.counts(),
	}
}

func writeAdminError(w http.ResponseWriter, status int, code string, err error) {
	writeJSON(w, status, adminError{Error: err.Error(), Code: code})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader left: nothing to do about it
}
