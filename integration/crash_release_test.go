package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/discovery/file"
	"github.com/switchbackdb/switchback/drivers/router/proxy"
	"github.com/switchbackdb/switchback/drivers/service/process"
	"github.com/switchbackdb/switchback/integration/binary"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/internal/freeport"
	"github.com/switchbackdb/switchback/strategies"
)

// stage is the demo's shop behind a proxy of its own process, version v1 released.
type stage struct {
	t        *testing.T
	dir      string
	url      string // of the router
	service  strategies.Service
	router   strategies.Router
	registry strategies.Discovery
	roller   strategies.Roller // instead of service, router and registry, where an orchestrator replaces the instances
	fails    atomic.Int64
	requests atomic.Int64
	failure  atomic.Value
}

const stageConfig = `environments:
  shop:
    url: sqlite:shop.db
release:
  steps: [50, 100]
  bake: 10ms
`

const processConfig = `  application: shop
  service:
    command: [%q, shop, --version, "{{version}}", --listen, "{{address}}", --db, shop.db]
    health: /healthz
`

// newStage sets the stage, the shop running in processes; more is added to its configuration of the release.
func newStage(t *testing.T, more ...string) *stage {
	t.Helper()
	s := newShop(t, more...)
	s.proxied()
	s.first()
	return s
}

// proxied starts the built-in proxy as the router.
func (s *stage) proxied() {
	s.t.Helper()
	address, err := freeport.Address(s.t.Context())
	require.NoError(s.t, err)
	s.url = "http://" + address
	socket := filepath.Join(s.dir, ".switchback", "proxy.sock")
	s.router = proxy.NewRouter(socket)
	start(s.t, s.dir, nil, "proxy", "--quiet", "--listen", address)
	require.Eventually(s.t, func() bool {
		_, err := os.Stat(socket)
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
}

// first releases v1, and puts the change there that v2 takes along.
func (s *stage) first() {
	s.t.Helper()
	run(s.t, s.dir, "release", "start", "--version", "v1")
	s.change()
}

// change puts the change there that v2 takes along.
func (s *stage) change() {
	s.t.Helper()
	require.NoError(s.t, os.CopyFS(filepath.Join(s.dir, "changes"), os.DirFS("../cmd/switchback/demo/changes")))
	run(s.t, s.dir, "sum")
}

// newShop is the demo's shop, with no router yet and nothing released.
func newShop(t *testing.T, more ...string) *stage {
	t.Helper()
	slow(t)
	path, err := program.Path()
	require.NoError(t, err)
	s := emptyStage(t)
	s.service = process.New(filepath.Join(s.dir, ".switchback", "process"))
	t.Cleanup(s.stopShops)
	s.set(fmt.Sprintf(processConfig, path) + strings.Join(more, ""))
	return s
}

// emptyStage has the database and nothing else yet.
func emptyStage(t *testing.T) *stage {
	t.Helper()
	// The proxy's socket has a short path: the longest is 104 bytes.
	dir, err := os.MkdirTemp("", "sb")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	s := &stage{t: t, dir: dir, registry: file.New(filepath.Join(dir, ".switchback", "discovery.json"))}
	db := servers.Open(t, "sqlite:"+filepath.Join(dir, "shop.db"))
	for _, statement := range []string{
		"PRAGMA journal_mode = WAL",
		"CREATE TABLE customers (id INTEGER PRIMARY KEY, first_name TEXT NOT NULL DEFAULT '', last_name TEXT NOT NULL DEFAULT '')",
		"INSERT INTO customers VALUES (1, 'Ada', 'Lovelace')",
	} {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	return s
}

// set configures the release.
func (s *stage) set(release string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, "switchback.yaml"), []byte(stageConfig+release), 0o600))
}

func (s *stage) stopShops() {
	files, _ := filepath.Glob(filepath.Join(s.dir, ".switchback", "process", "*.pid"))
	for _, f := range files {
		var pid int
		if data, err := os.ReadFile(f); err == nil {
			if _, err := fmt.Sscan(string(data), &pid); err == nil && pid > 1 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

// load asks for a customer all the time, and counts what fails, until the test ends.
func (s *stage) load() {
	stop, ended := make(chan struct{}), make(chan struct{})
	client := &http.Client{Timeout: 10 * time.Second}
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			s.requests.Add(1)
			if err := ask(client, s.url); err != nil {
				s.fails.Add(1)
				s.failure.Store(time.Now().Format(time.TimeOnly) + " " + err.Error())
			}
		}
	}()
	s.t.Cleanup(func() {
		close(stop)
		<-ended
		require.Zero(s.t, s.fails.Load(), "of %d requests; the last: %v", s.requests.Load(), s.failure.Load())
		s.t.Logf("%d requests, none failed", s.requests.Load())
	})
}

func ask(client *http.Client, url string) error {
	resp, err := client.Get(url + "/customers/1")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status + " from " + resp.Header.Get("X-Version"))
	}
	return nil
}

// newest is the name and the status of the newest release.
func (s *stage) newest() (name, status string) {
	s.t.Helper()
	var doc struct {
		Releases []struct {
			Plan   struct{ Release string }
			Status string
		}
	}
	require.NoError(s.t, json.Unmarshal([]byte(run(s.t, s.dir, "release", "status", "--json")), &doc))
	last := doc.Releases[len(doc.Releases)-1]
	return last.Plan.Release, last.Status
}

// is wants the version to be the only one there is, for the router, the service, the registry and the
// database; or for the orchestrator and the database.
func (s *stage) is(version, when string) {
	s.t.Helper()
	if s.roller != nil {
		now, err := s.roller.Rollout(s.t.Context())
		require.NoError(s.t, err, when)
		require.Equal(s.t, strategies.RollDone, now.State, "%s: %+v", when, now)
		require.Equal(s.t, []any{version, now.Wanted}, []any{now.Version, now.Healthy}, when)
		s.schema(version, when)
		return
	}
	routing, err := s.router.Observe(s.t.Context())
	require.NoError(s.t, err, when)
	require.Len(s.t, routing.Backends, 1, when)
	require.Equal(s.t, version, routing.Backends[0].Version, when)

	instances, err := s.service.List(s.t.Context())
	require.NoError(s.t, err, when)
	var running []string
	for _, i := range instances {
		if i.State != strategies.StateStopped {
			running = append(running, i.Version+" "+i.Address)
		}
	}
	require.Equal(s.t, []string{version + " " + routing.Backends[0].Address}, running, when)

	registered, err := s.registry.List(s.t.Context())
	require.NoError(s.t, err, when)
	require.Len(s.t, registered, 1, when)
	require.Equal(s.t, routing.Backends[0].Address, registered[0].Address, when)
	s.schema(version, when)
}

// schema wants the database's schema to be the version's.
func (s *stage) schema(version, when string) {
	s.t.Helper()
	db := servers.Open(s.t, "sqlite:"+filepath.Join(s.dir, "shop.db"))
	defer db.Close()
	column := map[string]string{"v1": "first_name", "v2": "attic_first_name || full_name"}[version]
	_, err := db.ExecContext(s.t.Context(), "SELECT "+column+" FROM customers")
	require.NoError(s.t, err, when)
	if version == "v1" {
		_, err = db.ExecContext(s.t.Context(), "SELECT full_name FROM customers")
		require.Error(s.t, err, when)
	}
}

// killed runs a command that is killed at the nth of its marks.
func (s *stage) killed(n int, names []string, args ...string) string {
	s.t.Helper()
	c := start(s.t, s.dir, []string{fmt.Sprint("KILL=", n)}, args...)
	code := c.End(s.t)
	if n > len(names) {
		return "killed nowhere"
	}
	require.Equal(s.t, -1, code, "should have died at %d, %s\n%s", n, names[n-1], c.Out.String())
	return fmt.Sprintf("%s killed at %d, %s", args[1], n, names[n-1])
}

// TestCrashRelease kills the command at every mark of a release and of its way back. `release resume`
// ends it, the world is whole then, and no request failed meanwhile.
func TestCrashRelease(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.is("v1", "at first")
	s.killedAt(func(names []string) []int { return binary.KillPoints(t.Name(), len(names)) })
}

// killedAt kills releases of v2, and their ways back, at those of their marks that a function chooses, beside requests.
func (s *stage) killedAt(choose func(names []string) []int) {
	s.t.Helper()
	s.load()
	out := marks(s.t, s.dir, "release", "start", "--version", "v2")
	s.is("v2", "undisturbed")
	back := marks(s.t, s.dir, "release", "rollback")
	s.is("v1", "undisturbed")
	outAt, backAt := choose(out), choose(back)
	require.NotEmpty(s.t, outAt)
	require.NotEmpty(s.t, backAt)
	for i := range max(len(outAt), len(backAt)) {
		s.killedOut(outAt[i%len(outAt)], out)
		s.killedBack(backAt[i%len(backAt)], back)
	}
	s.t.Logf("killed at %d marks out and %d back", len(outAt), len(backAt))
}

// marksOf chooses the marks whose names begin so.
func marksOf(prefix string) func(names []string) []int {
	return func(names []string) (list []int) {
		for i, name := range names {
			if strings.HasPrefix(name, prefix) {
				list = append(list, i+1)
			}
		}
		return list
	}
}

// someOf are those of the chosen marks that the test's name gives, as binary.KillPoints has it. That is for what runs on an
// orchestrator, where each release takes a while.
func someOf(t *testing.T, choose func(names []string) []int) func(names []string) []int {
	return func(names []string) (list []int) {
		all := choose(names)
		require.NotEmpty(t, all, "of %v", names)
		for _, n := range binary.KillPoints(t.Name(), len(all)) {
			list = append(list, all[n-1])
		}
		return list
	}
}

// killedOut kills the release of v2 at its nth mark, and has it ended.
func (s *stage) killedOut(n int, names []string) {
	s.t.Helper()
	before, _ := s.newest()
	when := s.killed(n, names, "release", "start", "--version", "v2")
	name, status := s.newest()
	switch {
	case name == before:
		run(s.t, s.dir, "release", "start", "--version", "v2") // it had not begun
	case status != "stable":
		run(s.t, s.dir, "release", "resume")
	}
	_, status = s.newest()
	require.Equal(s.t, "stable", status, when)
	s.is("v2", when)
}

// killedBack kills the way back at its nth mark, and has it ended.
func (s *stage) killedBack(n int, names []string) {
	s.t.Helper()
	when := s.killed(n, names, "release", "rollback")
	switch _, status := s.newest(); status {
	case "stable":
		run(s.t, s.dir, "release", "rollback") // it had not begun
	case "turned back":
		c := start(s.t, s.dir, nil, "release", "resume")
		require.Equal(s.t, 3, c.End(s.t), c.Out.String())
	}
	_, status := s.newest()
	require.Equal(s.t, "rolled back", status, when)
	s.is("v1", when)
}
