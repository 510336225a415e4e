package seeds

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database/sqlite"
	"github.com/switchbackdb/switchback/drivers/discovery/file"
	"github.com/switchbackdb/switchback/drivers/router/proxy"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/strategies"
)

// world is everything that outlives a command: a database, what runs the application, a router, a registry. Its
// application has versions v1, v2 and so on, of which vN needs the column cN.
type world struct {
	t            *testing.T
	db           *sqlite.Database
	folder       *migrate.Folder
	threads      *threads
	orchestrator *orchestrator
	router       *proxy.Router
	registry     *file.Discovery

	fate    *fate
	session *migrate.Session // of the run under way
	dead    bool             // the run was killed, its lock is still there
	died    bool             // an instance did, of the release under way
	verdict strategies.Outcome
	next    strategies.Plan // of the release that is to begin
	effects map[string]int  // by operation
	story   []string
}

// newWorld is a world in which nothing was released.
func newWorld(t *testing.T, folder *migrate.Folder) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "sb") // the proxy's socket has a short path
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	w := &world{t: t, folder: folder, effects: map[string]int{}, verdict: strategies.Good, registry: file.New(filepath.Join(dir, "registry.json"))}
	w.threads = newThreads(w.application)
	w.orchestrator = &orchestrator{app: w.application}
	t.Cleanup(w.threads.close)
	t.Cleanup(w.orchestrator.close)
	// What a crash of the machine would do to the file is not asked here.
	w.db, err = sqlite.Open(t.Context(), "sqlite:"+filepath.Join(dir, "app.db")+"?_pragma=synchronous(OFF)&_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)", sqlite.Options{Create: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.db.Close()) })
	_, err = w.db.DB().ExecContext(t.Context(), "CREATE TABLE items (id INTEGER PRIMARY KEY, c1 TEXT); INSERT INTO items VALUES (1, 'one')")
	require.NoError(t, err)
	w.serve(dir)
	return w
}

// serve runs the proxy.
func (w *world) serve(dir string) {
	w.t.Helper()
	socket := filepath.Join(dir, "proxy.sock")
	server, err := proxy.Listen(w.t.Context(), proxy.Config{Listen: "127.0.0.1:0", StateFile: filepath.Join(dir, "proxy.json"), AdminSocket: socket})
	require.NoError(w.t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(w.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	w.t.Cleanup(func() { stop(); require.NoError(w.t, <-ended) })
	w.router = proxy.NewRouter(socket)
}

// application is a version that is healthy while the schema carries it, or behaves as its environment says.
func (w *world) application(v strategies.Version) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if v.Env["MODE"] == "ill" || !w.carries(r.Context(), v.Name) {
			rw.WriteHeader(http.StatusServiceUnavailable)
		}
	})
}

// carries tells whether a version can read what it needs.
func (w *world) carries(ctx context.Context, version string) bool {
	var text string
	return w.db.DB().QueryRowContext(ctx, "SELECT c"+strings.TrimPrefix(version, "v")+" FROM items WHERE id = 1").Scan(&text) == nil && text == "one"
}

// columns are those of the application's table.
func (w *world) columns() string {
	w.t.Helper()
	var list string
	require.NoError(w.t, w.db.DB().QueryRowContext(w.t.Context(), "SELECT group_concat(name) FROM (SELECT name FROM pragma_table_info('items') ORDER BY name)").Scan(&list))
	return list
}

func (w *world) saw(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf(format, args...))
}

// did looks at the world after a call: traffic goes to instances that run, of versions that the schema carries.
func (w *world) did(name string, err error) error {
	w.saw("%s: %v", name, err)
	if err == nil && !w.died {
		require.NoError(w.t, w.sound(), "after %s", name)
	}
	return err
}

// sound tells what is wrong with where traffic goes. Where a first release goes back there is nobody to go back to.
func (w *world) sound() error {
	if w.next.Blue == nil {
		return nil
	}
	ctx := w.t.Context()
	versions := w.orchestrator.versions()
	routing, err := w.router.Observe(ctx)
	if err != nil {
		return err
	}
	for _, b := range routing.Backends {
		if b.Weight == 0 {
			continue
		}
		i, err := w.threads.Observe(ctx, strategies.InstanceID(b.Release, strategies.Green))
		if err != nil {
			return err
		}
		if i.State == strategies.StateStopped || i.State == strategies.StateAbsent || i.Address != b.Address {
			return fmt.Errorf("%d %% of the traffic goes to %s at %s, which is %s at %s", b.Weight, b.Release, b.Address, i.State, i.Address)
		}
		versions = append(versions, b.Version)
	}
	if len(versions) == 0 {
		return errors.New("nobody serves")
	}
	for _, v := range versions {
		if !w.carries(ctx, v) {
			return fmt.Errorf("%s serves, which the schema with %s does not carry", v, w.columns())
		}
	}
	return nil
}

// effect counts the effects of an operation: there is one, however often it is asked for.
func (w *world) effect(op strategies.Operation, changed bool) {
	if !changed {
		return
	}
	w.effects[op.ID]++
	if !w.died {
		require.Equal(w.t, 1, w.effects[op.ID], "effects of one operation")
	}
}

// kill ends the run as SIGKILL does: nothing is written or given back any more.
func (w *world) kill() {
	w.session.Leave()
	w.fate.ended, w.dead = true, true
	panic(killed{})
}

// bury has the lock of a run that is not there any more end.
func (w *world) bury() {
	w.t.Helper()
	_, err := w.db.DB().ExecContext(w.t.Context(), "UPDATE switchback_lock SET expires = '0' WHERE token <> ''")
	require.NoError(w.t, err)
}

// newest is the newest release; nil when there is none.
func (w *world) newest() *strategies.Release {
	w.t.Helper()
	r, err := strategies.Newest(w.t.Context(), w.runner())
	if errors.Is(err, strategies.ErrNoRelease) {
		return nil
	}
	require.NoError(w.t, err)
	return r
}

func (w *world) runner() *migrate.Runner { return migrate.NewRunner(w.db, migrate.Options{}) }

// request asks something of the newest release from another terminal.
func (w *world) request(ask func(context.Context, *migrate.Runner, *strategies.Release) error) {
	w.t.Helper()
	require.NoError(w.t, ask(w.t.Context(), w.runner(), w.newest()))
}

// greenDies has the candidate die, unless it is being called the stable version already, and blueDies the stable version
// while it has no more than a part of the traffic. One of both lives on.
func (w *world) greenDies() {
	r := w.newest()
	if retiring := r.Steps[len(r.Steps)-1].State != strategies.Pending; !w.died && !r.Back && !retiring {
		w.died = w.threads.dies(r.Plan.Green())
	}
}

func (w *world) blueDies() {
	r := w.newest()
	routing, err := w.router.Observe(w.t.Context())
	require.NoError(w.t, err)
	shared := slices.ContainsFunc(routing.Backends, func(b strategies.Backend) bool { return b.Release == r.Plan.Release && b.Weight > 0 })
	if !w.died && !r.Back && r.Plan.Blue != nil && shared {
		w.died = w.threads.dies(r.Plan.Blue.Instance)
	}
}

// remains is everything that a run can change, as text: the world without fences, and the journal.
func (w *world) remains() string {
	w.t.Helper()
	ctx := w.t.Context()
	routing, err := w.router.Observe(ctx)
	require.NoError(w.t, err)
	instances, err := w.threads.List(ctx)
	require.NoError(w.t, err)
	keys, err := w.registry.List(ctx)
	require.NoError(w.t, err)
	entries, err := w.runner().Journal().Entries(ctx, w.db.DB(), migrate.Filter{})
	require.NoError(w.t, err)
	var b strings.Builder
	if w.next.Blue == nil {
		routing = strategies.Routing{} // where a first release goes back, no router is told: there is nobody to send requests to
	}
	fmt.Fprintln(&b, routing, "\n", instances, "\n", keys, "\n", w.orchestrator.versions(), w.columns())
	for _, e := range entries {
		fmt.Fprintln(&b, e.Seq, e.Action, e.Status)
	}
	return b.String()
}
