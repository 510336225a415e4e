// Package process runs versions of the application as plain processes of this machine, which outlive
// the command that started them. It is the service driver that needs nothing installed.
//
// Everything is in one folder, so that any later run finds it: per instance a record (ID.json), its
// output (ID.log), its process number (ID.pid), and ID.alive, a file that the process inherits locked.
// An instance lives as long as that lock is held. A number alone could belong to another process by
// now, and a switchback killed between starting a process and writing it down would forget it; the lock
// and the number, which the process writes itself before it becomes the application, leave no such gap.
package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/atomicfile"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/internal/filelock"
	"github.com/switchbackdb/switchback/strategies"
)

// Service implements strategies.Service with processes.
type Service struct {
	dir    string
	client *http.Client
}

var (
	_ strategies.Service = (*Service)(nil)
	_ strategies.Checker = (*Service)(nil)
)

// probeTimeout limits one health probe.
const probeTimeout = 2 * time.Second

// New returns the service that keeps its instances in the folder, which it creates when it is needed.
func New(dir string) *Service {
	return &Service{dir: dir, client: &http.Client{
		Timeout: probeTimeout,
		// A probe over a kept connection would prove only that the connection lives.
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// record is what is kept of an instance. The environment is not: it may hold secrets.
type record struct {
	ID         string          `json:"id"`
	Release    string          `json:"release"`
	Version    string          `json:"version"`
	Slot       strategies.Slot `json:"slot"`
	Address    string          `json:"address"`
	Health     string          `json:"health"`
	Operation  string          `json:"operation"`
	Fence      int64           `json:"fence"`
	Started    time.Time       `json:"started"`
	WasHealthy bool            `json:"was_healthy,omitempty"`
	Stopped    bool            `json:"stopped,omitempty"` // it was asked to end
}

func (r record) instance(state strategies.State, detail string) strategies.Instance {
	return strategies.Instance{
		ID: r.ID, Release: r.Release, Version: r.Version, Slot: r.Slot, Address: r.Address,
		State: state, Detail: detail, Started: r.Started,
	}
}

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$`)

// Check implements strategies.Checker.
func (s *Service) Check(_ context.Context, v strategies.Version) error {
	if v.Health == "" && !v.NoHealth {
		return fmt.Errorf("start %s: nothing says when it is healthy\n  next: set release.service.health to the path of a health probe; or --no-health, which takes it for healthy once its port takes connections",
			strategies.InstanceID(v.Release, v.Slot))
	}
	return nil
}

// Start implements strategies.Service. An instance that lives already is left as it is.
func (s *Service) Start(ctx context.Context, op strategies.Operation, v strategies.Version) (strategies.Instance, error) {
	id := strategies.InstanceID(v.Release, v.Slot)
	fail := func(err error) (strategies.Instance, error) {
		return strategies.Instance{}, fmt.Errorf("start %s: %w", id, err)
	}
	if !validID.MatchString(id) {
		return fail(errors.New("the name of a release is letters, digits, dots, dashes and underscores"))
	}
	if len(v.Command) == 0 {
		return fail(errors.New("no command is configured (release.service.command)"))
	}
	unlock, err := s.enter(ctx, op)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	r, err := s.read(id)
	if err != nil && !errors.Is(err, strategies.ErrNotFound) {
		return fail(err)
	}
	alive, lerr := filelock.Held(s.path(id, "alive"))
	if lerr != nil {
		return fail(lerr)
	}
	if err == nil && alive {
		return r.instance(strategies.StateStarting, "is running already"), nil
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return fail(err)
	}
	r = record{
		ID: id, Release: v.Release, Version: v.Name, Slot: v.Slot, Address: address, Health: v.Health,
		Operation: op.ID, Fence: op.Fence, Started: time.Now().UTC(),
	}
	if err := s.write(r); err != nil {
		return fail(err)
	}
	failpoint.Hit("process: recorded")
	if err := s.spawn(ctx, r, v); err != nil {
		return fail(err)
	}
	failpoint.Hit("process: started")
	return r.instance(strategies.StateStarting, ""), nil
}

// freeAddress picks a port that is free now. Another process may take it before the application does;
// the application then fails to start, and the next attempt takes another.
func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	address := l.Addr().String()
	return address, l.Close()
}

// Observe implements strategies.Service: the instance is healthy when its health path answers 2xx, or,
// without a path, when its port accepts connections.
func (s *Service) Observe(ctx context.Context, id string) (strategies.Instance, error) {
	r, err := s.read(id)
	if errors.Is(err, strategies.ErrNotFound) {
		return strategies.Instance{ID: id, State: strategies.StateAbsent}, nil
	}
	if err != nil {
		return strategies.Instance{}, fmt.Errorf("observe %s: %w", id, err)
	}
	alive, err := filelock.Held(s.path(id, "alive"))
	if err != nil {
		return strategies.Instance{}, fmt.Errorf("observe %s: %w", id, err)
	}
	if !alive {
		s.reap(id)
		if r.Stopped {
			return r.instance(strategies.StateStopped, "stopped on request"), nil
		}
		return r.instance(strategies.StateStopped, "ended by itself; its output is in "+s.path(id, "log")), nil
	}
	if err := s.probe(ctx, r); err != nil {
		state := strategies.StateStarting
		if r.WasHealthy {
			state = strategies.StateFailing
		}
		return r.instance(state, err.Error()), nil
	}
	if !r.WasHealthy {
		r.WasHealthy = true
		if err := s.write(r); err != nil {
			return strategies.Instance{}, fmt.Errorf("observe %s: %w", id, err)
		}
	}
	return r.instance(strategies.StateHealthy, ""), nil
}

func (s *Service) probe(ctx context.Context, r record) error {
	if r.Health == "" {
		conn, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "tcp", r.Address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Address+r.Health, nil)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("GET %s answers %s", r.Health, resp.Status)
	}
	return nil
}

// List implements strategies.Service.
func (s *Service) List(ctx context.Context) ([]strategies.Instance, error) {
	files, err := filepath.Glob(filepath.Join(s.dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	sort.Strings(files)
	var list []strategies.Instance
	for _, f := range files {
		i, err := s.Observe(ctx, strings.TrimSuffix(filepath.Base(f), ".json"))
		if err != nil {
			return nil, err
		}
		if i.State != strategies.StateAbsent {
			list = append(list, i)
		}
	}
	return list, nil
}

// Stop implements strategies.Service: SIGTERM to the process and its children, SIGKILL after grace.
func (s *Service) Stop(ctx context.Context, op strategies.Operation, id string, grace time.Duration) error {
	fail := func(err error) error { return fmt.Errorf("stop %s: %w", id, err) }
	unlock, err := s.enter(ctx, op)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	r, err := s.read(id)
	if errors.Is(err, strategies.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fail(err)
	}
	r.Stopped, r.Operation, r.Fence = true, op.ID, op.Fence
	if err := s.write(r); err != nil {
		return fail(err)
	}
	failpoint.Hit("process: stopping")
	if err := s.end(ctx, id, grace); err != nil {
		return fail(err)
	}
	return nil
}

// Remove implements strategies.Service. An instance that still lives is not removed.
func (s *Service) Remove(ctx context.Context, op strategies.Operation, id string) error {
	fail := func(err error) error { return fmt.Errorf("remove %s: %w", id, err) }
	if !validID.MatchString(id) {
		return nil
	}
	unlock, err := s.enter(ctx, op)
	if err != nil {
		return fail(err)
	}
	defer unlock()
	alive, err := filelock.Held(s.path(id, "alive"))
	if err != nil {
		return fail(err)
	}
	if alive {
		return fail(errors.New("it is running: stop it first"))
	}
	// The record goes last: while it is there, a later run knows what else is to be removed.
	for _, ext := range []string{"log", "pid", "alive", "json"} {
		if err := os.Remove(s.path(id, ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fail(err)
		}
	}
	return nil
}

// enter takes the folder's lock and checks the operation's fence against the highest one seen, also where nothing was
// started yet: a run that lost its lock may be about to.
func (s *Service) enter(ctx context.Context, op strategies.Operation) (unlock func(), err error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := filelock.Take(ctx, filepath.Join(s.dir, ".lock"))
	if err != nil {
		return nil, err
	}
	unlock = func() { _ = lock.Close() }
	file := filepath.Join(s.dir, ".fence")
	var seen int64
	if data, err := os.ReadFile(file); err == nil {
		_, _ = fmt.Sscan(string(data), &seen)
	}
	if op.Fence < seen {
		unlock()
		return nil, fmt.Errorf("fence %d, seen %d: %w", op.Fence, seen, strategies.ErrStaleFence)
	}
	if op.Fence > seen {
		if err := atomicfile.Write(file, fmt.Appendln(nil, op.Fence), 0o600); err != nil {
			unlock()
			return nil, err
		}
	}
	return unlock, nil
}

func (s *Service) path(id, ext string) string { return filepath.Join(s.dir, id+"."+ext) }

func (s *Service) read(id string) (record, error) {
	var r record
	if !validID.MatchString(id) {
		return r, strategies.ErrNotFound
	}
	data, err := os.ReadFile(s.path(id, "json"))
	if errors.Is(err, fs.ErrNotExist) {
		return r, strategies.ErrNotFound
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("read %s: %w", s.path(id, "json"), err)
	}
	return r, nil
}

func (s *Service) write(r record) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(s.path(r.ID, "json"), append(data, '\n'), 0o600)
}
