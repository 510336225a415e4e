package demo

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/drivers/database/sqlite"
	"github.com/switchbackdb/switchback/drivers/discovery/file"
	"github.com/switchbackdb/switchback/drivers/router/proxy"
	"github.com/switchbackdb/switchback/drivers/service/process"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
	"github.com/switchbackdb/switchback/strategies"
)

//go:embed changes
var changes embed.FS

// Options say how the demo runs.
type Options struct {
	Dir        string    // an empty folder for everything it makes
	Executable string    // this binary, which also is the shop: EXECUTABLE shop --version V …
	Out        io.Writer // the timeline
	PerSecond  int       // requests
	Customers  int       // rows to begin with
	Tool       string    // the version of switchback, for the snapshots' manifests
}

// Result is what the demo counted.
type Result struct {
	Took      time.Duration  `json:"-"`
	Seconds   float64        `json:"seconds"`
	Requests  int            `json:"requests"`
	Failed    int            `json:"failed"`
	Failures  []string       `json:"failures,omitempty"` // the first few
	P50       time.Duration  `json:"-"`
	P99       time.Duration  `json:"-"`
	P50Millis float64        `json:"p50_ms"`
	P99Millis float64        `json:"p99_ms"`
	Written   map[string]int `json:"written"` // acknowledged writes by version
	Rows      int            `json:"rows"`    // in the table at the end
	Lost      int            `json:"lost"`    // acknowledged, but not there, or not as written
}

// configuration is what a user would have written to do by hand what the demo does.
const configuration = `environments:
  shop:
    url: sqlite:shop.db
release:
  application: shop
  service:
    command: [%q, shop, --version, "{{version}}", --listen, "{{address}}", --db, shop.db]
    health: /healthz
  steps: [10, 50, 100]
  pause: 600ms
  bake: 1s
`

// story is the demo under way.
type story struct {
	Options
	timeline
	db      *sqlite.Database
	runner  *migrate.Runner
	store   *snapshot.Store
	service *process.Service
	machine *strategies.Machine
}

// Run tells the story: v1 is released, then v2 with its database change, back, out again until the old
// columns are in the attic, and back from even that, with load on it all the time.
func Run(ctx context.Context, o Options) (*Result, error) {
	st := &story{Options: o, timeline: timeline{out: o.Out, begun: time.Now()}}
	if err := st.prepare(ctx); err != nil {
		return nil, err
	}
	defer st.db.Close()
	server, err := proxy.Listen(ctx, proxy.Config{
		Listen: "127.0.0.1:0", StateFile: st.path("proxy.json"), AdminSocket: st.path("proxy.sock"), Health: proxy.Health{Path: "/healthz"},
	})
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- server.Run(running) }()
	result, err := st.tell(ctx, "http://"+server.Addr().String())
	stop()
	err = errors.Join(err, <-ended, st.stopShops(context.WithoutCancel(ctx)))
	return result, err
}

func (st *story) path(name string) string { return filepath.Join(st.Dir, ".switchback", name) }

// prepare makes the project: the shop's database, its change, the configuration.
func (st *story) prepare(ctx context.Context) (err error) {
	if err := os.MkdirAll(st.path(""), 0o700); err != nil {
		return err
	}
	if err := os.CopyFS(st.Dir, writable{changes}); err != nil {
		return fmt.Errorf("write the changes: %w", err)
	}
	if err := migrate.WriteSum(filepath.Join(st.Dir, "changes")); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(st.Dir, "switchback.yaml"), fmt.Appendf(nil, configuration, st.Executable), 0o600); err != nil {
		return err
	}
	if st.db, err = sqlite.Open(ctx, "sqlite:"+filepath.Join(st.Dir, "shop.db"), sqlite.Options{Create: true}); err != nil {
		return err
	}
	for _, s := range []string{
		"PRAGMA journal_mode = WAL",
		"CREATE TABLE customers (id INTEGER PRIMARY KEY, first_name TEXT NOT NULL DEFAULT '', last_name TEXT NOT NULL DEFAULT '')",
		fmt.Sprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO customers (first_name, last_name) SELECT 'Ada' || i, 'Lovelace' || i FROM n", st.Customers),
	} {
		if _, err := st.db.DB().ExecContext(ctx, s); err != nil {
			return errors.Join(err, st.db.Close())
		}
	}
	st.runner = migrate.NewRunner(st.db, migrate.Options{})
	st.store = snapshot.NewStore(snapshot.Folder(st.path("snapshots")))
	st.service = process.New(st.path("process"))
	st.machine = &strategies.Machine{
		Service: st.service, Router: proxy.NewRouter(st.path("proxy.sock")), Discovery: file.New(st.path("discovery.json")),
		Snapshot: st.snapshot, Folder: st.folder, Resolve: func(v string) (string, error) { return v, nil },
		Observer: st, Poll: 50 * time.Millisecond,
	}
	return nil
}

// writable makes embedded files, which are read-only, ones that can be edited.
type writable struct{ fs.FS }

func (st *story) folder() (*migrate.Folder, error) {
	return migrate.LoadFolder(filepath.Join(st.Dir, "changes"), migrate.SQLite)
}

func (st *story) snapshot(ctx context.Context, note string) (string, error) {
	name, identity, err := st.db.Identity(ctx)
	if err != nil {
		return "", err
	}
	about := snapshot.About{Engine: "sqlite", Version: st.db.Version(), Source: name, Identity: identity, Tool: "switchback " + st.Tool, Actor: migrate.Actor(), Note: note}
	m, err := st.store.Create(ctx, st.db, about, snapshot.CreateOptions{})
	if err != nil {
		return "", err
	}
	v, err := st.store.Verify(ctx, m.ID, snapshot.LevelRestored, snapshot.VerifyOptions{Scratch: st.scratch})
	if err != nil {
		return "", err
	}
	if !v.OK {
		return "", &snapshot.DamagedError{ID: m.ID, Reason: strings.Join(v.Found, "; ")}
	}
	return m.ID, nil
}

// scratch is where a snapshot is restored to prove it.
func (st *story) scratch(context.Context, *snapshot.Manifest) (snapshot.Site, func() error, error) {
	dir, err := os.MkdirTemp("", "switchback-demo-")
	return sqlite.NewCopy(dir), func() error { return os.RemoveAll(dir) }, err
}

func (st *story) tell(ctx context.Context, base string) (*Result, error) {
	st.chapter("A shop on SQLite with %d customers. Version v1 knows them by first_name and last_name.", st.Customers)
	if err := st.release(ctx, V1, false, 200*time.Millisecond); err != nil {
		return nil, err
	}
	st.load = NewLoad(base)
	loaded, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); st.load.Run(loaded, st.PerSecond) }()
	defer func() { stop(); <-ended }()

	err := st.chapters(ctx)
	stop()
	<-ended
	if err != nil {
		return nil, err
	}
	return st.sums(ctx, st.db.DB(), st.Customers)
}

func (st *story) chapters(ctx context.Context) error {
	st.chapter("Load: %d requests a second from here to the end, three in four of them writes.", st.PerSecond)
	if err := st.rest(ctx); err != nil {
		return err
	}
	st.chapter("Version v2 wants one full_name. It goes out, with its change, and is held before it is promoted.")
	if err := st.release(ctx, V2, true, time.Second); err != nil {
		return err
	}
	st.chapter("Second thoughts: the release is rolled back. What v2 wrote stays, v1 finds it.")
	if err := st.back(ctx); err != nil {
		return err
	}
	if err := st.rest(ctx); err != nil {
		return err
	}
	st.chapter("Out again, this time to the end: v1 is stopped, its columns go to the attic.")
	if err := st.release(ctx, V2, false, time.Second); err != nil {
		return err
	}
	if err := st.rest(ctx); err != nil {
		return err
	}
	st.chapter("And back from even that: the columns leave the attic, v1 is started again.")
	if err := st.back(ctx); err != nil {
		return err
	}
	return st.rest(ctx)
}

// rest lets the load go on for a moment, to be seen.
func (st *story) rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(700 * time.Millisecond):
	}
	st.line("·", "", "")
	return nil
}

func (st *story) release(ctx context.Context, version string, hold bool, bake time.Duration) error {
	releases, err := strategies.Releases(ctx, st.runner)
	if err != nil {
		return err
	}
	p := strategies.Plan{
		Release: fmt.Sprintf("%s-%d", version, len(releases)+1), Application: "shop", Strategy: strategies.BlueGreen,
		Blue: strategies.StableOf(releases), Changes: []string{},
		Timing: strategies.Timing{Pause: 600 * time.Millisecond, Bake: bake, Healthy: 20 * time.Second, Drain: 5 * time.Second, Grace: 5 * time.Second},
	}
	p.Candidate = strategies.Version{
		Release: p.Release, Slot: strategies.Green, Name: version, Dir: st.Dir, Health: "/healthz",
		Command: []string{st.Executable, "shop", "--version", "{{version}}", "--listen", "{{address}}", "--db", "shop.db"},
	}
	var pending []migrate.Phase
	if version == V2 {
		folder, err := st.folder()
		if err != nil {
			return err
		}
		for _, c := range folder.Changes {
			p.Changes = append(p.Changes, c.ID)
		}
		pending = []migrate.Phase{migrate.Expand, migrate.Backfill, migrate.Contract}
	}
	p.Steps = strategies.Steps(&p, strategies.Outline{Pending: pending, Shares: []int{10, 50, 100}, Pause: hold, Contract: true})
	var r *strategies.Release
	err = st.runner.Hold(ctx, "demo: release "+p.Release, func(ctx context.Context, s *migrate.Session) error {
		r, err = st.machine.Begin(ctx, s, p)
		return err
	})
	if err == nil && r.Status() == strategies.RolledBack {
		err = fmt.Errorf("release %s was rolled back: %s", p.Release, r.Reason)
	}
	return err
}

func (st *story) back(ctx context.Context) error {
	r, err := strategies.Newest(ctx, st.runner)
	if err != nil {
		return err
	}
	return st.runner.Hold(ctx, "demo: roll back "+r.Plan.Release, func(ctx context.Context, s *migrate.Session) error {
		return st.machine.TurnBack(ctx, s, r, "for the demo")
	})
}

// stopShops ends what is still running.
func (st *story) stopShops(ctx context.Context) error {
	list, err := st.service.List(ctx)
	if err != nil {
		return err
	}
	return st.runner.Hold(ctx, "demo: end", func(ctx context.Context, s *migrate.Session) error {
		for _, i := range list {
			if err := st.service.Stop(ctx, strategies.Operation{ID: "demo-end", Fence: s.Fence()}, i.ID, 5*time.Second); err != nil {
				return err
			}
		}
		return nil
	})
}
