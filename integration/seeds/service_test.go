package seeds

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// threads is a strategies.Service that runs versions of the application as goroutines of this process: each an HTTP
// server on a port of its own, found healthy by its probe, that lives on when the run which started it dies. It passes
// the suite of the services that users have (TestThreads).
type threads struct {
	app func(strategies.Version) http.Handler

	mu    sync.Mutex
	fence int64
	all   map[string]*thread
}

// thread is an instance. Its server is nil once it has ended.
type thread struct {
	strategies.Instance
	version strategies.Version
	server  *http.Server
	seen    bool // healthy once
	asked   bool // to end
}

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

func newThreads(app func(strategies.Version) http.Handler) *threads {
	return &threads{app: app, all: map[string]*thread{}}
}

// enter checks an operation's fence. The caller holds mu.
func enter(seen *int64, op strategies.Operation) error {
	if op.Fence < *seen {
		return fmt.Errorf("fence %d, seen %d: %w", op.Fence, *seen, strategies.ErrStaleFence)
	}
	*seen = op.Fence
	return nil
}

// Start implements strategies.Service.
func (s *threads) Start(ctx context.Context, op strategies.Operation, v strategies.Version) (strategies.Instance, error) {
	id := strategies.InstanceID(v.Release, v.Slot)
	if !validID.MatchString(id) {
		return strategies.Instance{}, fmt.Errorf("start %s: no name", id)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := enter(&s.fence, op); err != nil {
		return strategies.Instance{}, fmt.Errorf("start %s: %w", id, err)
	}
	if t := s.all[id]; t != nil && t.server != nil {
		return t.Instance, nil
	}
	t, err := newThread(ctx, v, s.app)
	if err != nil {
		return strategies.Instance{}, fmt.Errorf("start %s: %w", id, err)
	}
	s.all[id] = t
	return t.Instance, nil
}

// newThread starts an instance of a version.
func newThread(ctx context.Context, v strategies.Version, app func(strategies.Version) http.Handler) (*thread, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	fill := v.Filler(l.Addr().String())
	v.Env = maps.Clone(v.Env)
	for name, value := range v.Env {
		v.Env[name] = fill(value)
	}
	server := &http.Server{Handler: app(v), ReadHeaderTimeout: time.Second}
	t := &thread{version: v, server: server, Instance: strategies.Instance{
		ID: strategies.InstanceID(v.Release, v.Slot), Release: v.Release, Version: v.Name, Slot: v.Slot, Address: l.Addr().String(), Started: time.Now(),
	}}
	go func() { _ = server.Serve(l) }() // it ends with Close
	if v.Env["MODE"] == "fail" {
		t.end()
	}
	return t, nil
}

// end closes the server at once.
func (t *thread) end() {
	if t.server != nil {
		_ = t.server.Close()
		t.server = nil
	}
}

// now is the instance as it is, probed once.
func (t *thread) now(ctx context.Context) strategies.Instance {
	i := t.Instance
	switch {
	case t.server == nil && t.asked:
		i.State, i.Detail = strategies.StateStopped, "stopped on request"
	case t.server == nil:
		i.State, i.Detail = strategies.StateStopped, "ended by itself"
	default:
		answer := httptest.NewRecorder()
		t.server.Handler.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, "/healthz", nil))
		i.State = strategies.StateHealthy
		if answer.Code != http.StatusOK {
			i.State, i.Detail = strategies.StateStarting, http.StatusText(answer.Code)
			if t.seen {
				i.State = strategies.StateFailing
			}
		}
		t.seen = t.seen || i.State == strategies.StateHealthy
	}
	return i
}

// Observe implements strategies.Service.
func (s *threads) Observe(ctx context.Context, id string) (strategies.Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.all[id]; t != nil {
		return t.now(ctx), nil
	}
	return strategies.Instance{ID: id, State: strategies.StateAbsent}, nil
}

// List implements strategies.Service.
func (s *threads) List(ctx context.Context) ([]strategies.Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []strategies.Instance
	for _, t := range s.all {
		list = append(list, t.now(ctx))
	}
	slices.SortFunc(list, func(a, b strategies.Instance) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// Stop implements strategies.Service.
func (s *threads) Stop(ctx context.Context, op strategies.Operation, id string, grace time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := enter(&s.fence, op); err != nil {
		return fmt.Errorf("stop %s: %w", id, err)
	}
	t := s.all[id]
	if t == nil || t.server == nil {
		return nil
	}
	t.asked = true
	if t.version.Env["MODE"] == "stubborn" {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(grace):
		}
	}
	t.end()
	return nil
}

// Remove implements strategies.Service.
func (s *threads) Remove(_ context.Context, op strategies.Operation, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := enter(&s.fence, op); err != nil {
		return fmt.Errorf("remove %s: %w", id, err)
	}
	if t := s.all[id]; t != nil && t.server != nil {
		return errors.New("it is running: stop it first")
	}
	delete(s.all, id)
	return nil
}

// dies ends an instance that nobody has asked to end, and tells whether there was one.
func (s *threads) dies(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.all[id]
	if t == nil || t.server == nil {
		return false
	}
	t.end()
	return true
}

// close ends all instances.
func (s *threads) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.all {
		t.end()
	}
}
