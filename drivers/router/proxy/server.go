package proxy

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// Config says where a Server listens, what it keeps and how long it waits. Only the first three are
// needed.
type Config struct {
	Listen      string // host:port for the application's clients; port 0 takes a free one
	StateFile   string // JSON file that keeps the routing over a restart
	AdminSocket string // path of the Unix socket for Router

	Health   Health   // probes of the backends
	Timeouts Timeouts // limits on waiting

	// StickyCookie names a cookie that keeps a client at the backend it was first given, for as long
	// as that one is healthy and has weight. Empty, each request is given a backend anew.
	StickyCookie string
	// TrustForwarded keeps the X-Forwarded headers of requests and adds to them. Without it they are
	// replaced, since any client could have written them. Set it behind another proxy only.
	TrustForwarded bool
	// Log receives changes of routing and health, and failed requests; nothing is logged when nil.
	Log *slog.Logger
}

// Timeouts limit what a Server waits for. A zero field takes the value named. Bodies may take as
// long as they like: a slow upload is no error.
type Timeouts struct {
	Connect      time.Duration // to reach a backend; 2 s
	Answer       time.Duration // from the request sent to the answer's header; 60 s
	ClientHeader time.Duration // for a client to send a request's header; 10 s
	ClientIdle   time.Duration // a client's connection may stay unused; 75 s
	BackendIdle  time.Duration // a backend's connection may stay unused; 4 s, under the 5 s of Node.js
	Drain        time.Duration // for requests under way when the server is told to end; 30 s
}

func (t Timeouts) withDefaults() Timeouts {
	t.Connect = orDefault(t.Connect, 2*time.Second)
	t.Answer = orDefault(t.Answer, time.Minute)
	t.ClientHeader = orDefault(t.ClientHeader, 10*time.Second)
	t.ClientIdle = orDefault(t.ClientIdle, 75*time.Second)
	t.BackendIdle = orDefault(t.BackendIdle, 4*time.Second)
	t.Drain = orDefault(t.Drain, 30*time.Second)
	return t
}

func (c Config) withDefaults() Config {
	c.Health = c.Health.withDefaults()
	c.Timeouts = c.Timeouts.withDefaults()
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate finds what would otherwise fail at the first shift or the first probe.
func (c Config) validate() error {
	if c.StateFile == "" {
		return errors.New("no state file given")
	}
	if _, err := os.Stat(filepath.Dir(c.StateFile)); err != nil {
		return fmt.Errorf("directory of the state file: %w", err)
	}
	if c.Health.Path != "" && !strings.HasPrefix(c.Health.Path, "/") {
		return fmt.Errorf("health path %q must begin with /", c.Health.Path)
	}
	return nil
}

// Server is the reverse proxy. Listen makes one, Run serves until its context ends.
type Server struct {
	cfg     Config
	forward *forwarder
	started time.Time

	public, admin net.Listener

	mu       sync.Mutex          // held while the routing changes
	backends map[string]*backend // by address: those routed to and those not yet drained
}

// Listen reads the state file and opens both listeners. Connections wait until Run is called; ctx is
// for opening only. It fails when the state file is corrupt (ErrCorruptState) or another proxy holds the admin socket.
func Listen(ctx context.Context, cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	routing, err := readState(cfg.StateFile)
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg:      cfg,
		forward:  newForwarder(cfg),
		started:  time.Now(),
		backends: map[string]*backend{},
	}
	s.publish(routing)
	if s.admin, err = listenSocket(ctx, cfg.AdminSocket); err != nil {
		return nil, err
	}
	if s.public, err = new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen); err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", cfg.Listen, err), s.admin.Close())
	}
	return s, nil
}

// Addr returns the address clients connect to.
func (s *Server) Addr() net.Addr { return s.public.Addr() }

// Close ends a server that is not running. Run closes what it serves itself.
func (s *Server) Close() error { return errors.Join(s.public.Close(), s.admin.Close()) }

// Run serves until ctx ends. Then it takes no new connections, waits up to Timeouts.Drain for
// requests and WebSockets under way, cuts what is left and returns nil. The admin socket answers
// until the end.
func (s *Server) Run(ctx context.Context) error {
	// Requests outlive ctx: it says when to stop accepting, hard says when to cut.
	hard, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	public := s.publicServer(hard)
	admin := &http.Server{
		Handler:           s.adminHandler(),
		ReadHeaderTimeout: s.cfg.Timeouts.ClientHeader,
		ReadTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          s.errorLog(),
	}

	probes, stopProbes := context.WithCancel(ctx)
	defer stopProbes()
	var wg sync.WaitGroup
	failed := make(chan error, 2)
	wg.Go(func() { newProber(s.cfg.Health, s.cfg.Log).run(probes, s.routed) })
	wg.Go(func() { s.sweep(probes) })
	wg.Go(func() { failed <- serve(public, s.public) })
	wg.Go(func() { failed <- serve(admin, s.admin) })

	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stopProbes()
	left := s.drain(hard, public)
	cut()
	err = errors.Join(err, ignoreClosed(public.Close()), ignoreClosed(admin.Close()))
	wg.Wait()
	s.closePools()
	if left > 0 {
		s.cfg.Log.Warn("cut requests at the end of the drain time", "left", left)
	}
	return err
}

func (s *Server) publicServer(base context.Context) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           s.forward,
		Protocols:         protocols,
		ReadHeaderTimeout: s.cfg.Timeouts.ClientHeader,
		IdleTimeout:       s.cfg.Timeouts.ClientIdle,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          s.errorLog(),
	}
}

func (s *Server) errorLog() *log.Logger {
	return slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug)
}

func serve(server *http.Server, l net.Listener) error {
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// drain stops accepting and waits for what is under way; it returns how much was left when the time
// was over. Shutdown alone does not know of WebSockets, the backends' counts do.
func (s *Server) drain(ctx context.Context, public *http.Server) int64 {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeouts.Drain)
	defer cancel()
	if err := public.Shutdown(ctx); err != nil {
		return s.inFlight()
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		left := s.inFlight()
		if left == 0 {
			return 0
		}
		select {
		case <-ctx.Done():
			return left
		case <-tick.C:
		}
	}
}

// inFlight counts what is under way at all backends.
func (s *Server) inFlight() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int64
	for _, b := range s.backends {
		n += b.inFlight.Load()
	}
	return n
}

// sweep closes connections to backends that nobody used for a while, until ctx ends.
func (s *Server) sweep(ctx context.Context) {
	tick := time.NewTicker(max(s.cfg.Timeouts.BackendIdle/2, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, b := range s.routed() {
				b.pool.sweep()
			}
		}
	}
}

func (s *Server) closePools() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.backends {
		b.pool.setClosed(true)
	}
}

// routed returns the backends of the table in force.
func (s *Server) routed() []*backend {
	routes := s.forward.table.Load().routes
	backends := make([]*backend, len(routes))
	for i, r := range routes {
		backends[i] = r.backend
	}
	return backends
}

// publish puts routing in force. The caller holds mu, or is alone.
func (s *Server) publish(routing strategies.Routing) {
	t := &table{routing: routing, routes: make([]route, len(routing.Backends))}
	keep := make(map[string]*backend, len(routing.Backends))
	for i, spec := range routing.Backends {
		b := s.backends[spec.Address]
		if b == nil {
			b = newBackend(spec.Address, s.cfg.Timeouts)
		}
		b.pool.setClosed(false)
		keep[spec.Address] = b
		t.routes[i] = newRoute(spec, b)
	}
	s.forward.table.Store(t)
	// After the swap no request can be added to a backend that is not in the table (see acquire), so
	// one whose count is zero now can be forgotten.
	for address, b := range s.backends {
		if keep[address] != nil {
			continue
		}
		b.pool.setClosed(true)
		if b.inFlight.Load() > 0 {
			keep[address] = b
		}
	}
	s.backends = keep
}
