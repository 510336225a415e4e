// Package seeds takes releases out and back as chance has it: 500 seeds of releases of every strategy, of people who
// abort, pause, resume, promote and roll back whenever they like, of runs that are killed, or stopped until another has
// taken over, and of a world that fails, loses its answers and lets instances die.
//
// What a seed does is checked against a model that knows nothing of how a release is made (model_test.go): which
// states a command may end in, and that from each of them there is a way out, at whose end either the new version is
// fully live or the old one. The database is SQLite, the router the built-in proxy, the registry a file; what runs the
// application are goroutines, behind ports that pass the suites of strategies/conformance.
package seeds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

// newestVersion is the last version of the application.
const newestVersion = 5

// folder holds the changes that the versions after the first bring.
func folder(t *testing.T) *migrate.Folder {
	t.Helper()
	dir := t.TempDir()
	for v := 2; v <= newestVersion; v++ {
		change := filepath.Join(dir, fmt.Sprintf("%d_c%d", v, v))
		require.NoError(t, os.Mkdir(change, 0o700))
		for name, text := range map[string]string{
			"expand.sql":            "ALTER TABLE items ADD COLUMN c%[1]d TEXT;\n",
			"expand.rollback.sql":   "ALTER TABLE items DROP COLUMN c%[1]d;\n",
			"backfill.sql":          "UPDATE items SET c%[1]d = c%[2]d;\n",
			"contract.sql":          "ALTER TABLE items RENAME COLUMN c%[2]d TO attic_c%[2]d;\n",
			"contract.rollback.sql": "ALTER TABLE items RENAME COLUMN attic_c%[2]d TO c%[2]d;\n",
		} {
			text = strings.ReplaceAll(strings.ReplaceAll(text, "%[1]d", strconv.Itoa(v)), "%[2]d", strconv.Itoa(v-1))
			require.NoError(t, os.WriteFile(filepath.Join(change, name), []byte(text), 0o600))
		}
	}
	require.NoError(t, migrate.WriteSum(dir))
	f, err := migrate.LoadFolder(dir, migrate.SQLite)
	require.NoError(t, err)
	return f
}

// answering is the application of the suites: it says its name, or is as ill as it is told to be.
func answering(v strategies.Version) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if v.Env["MODE"] == "ill" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, v.Env["NAME"])
	})
}

func TestThreads(t *testing.T) {
	t.Parallel()
	s := newThreads(answering)
	t.Cleanup(s.close)
	conformance.Service(t, strategies.Version{}, func(*testing.T) strategies.Service { return s })
}

func TestOrchestrator(t *testing.T) {
	t.Parallel()
	o := &orchestrator{app: answering}
	t.Cleanup(o.close)
	version := strategies.Version{Container: &strategies.Container{Image: "app:{{version}}"}}
	conformance.Roller(t, version, strategies.Pace{Replicas: 2}, func(*testing.T) strategies.Roller { return o })
}

// TestSeeds is 500 seeds, 50 in short mode, SWITCHBACK_SEEDS of them, or the one that SWITCHBACK_SEED names.
func TestSeeds(t *testing.T) {
	t.Parallel()
	many := 500
	if testing.Short() {
		many = 50
	}
	first, n := 1, setting(t, "SWITCHBACK_SEEDS", many)
	if one := setting(t, "SWITCHBACK_SEED", 0); one != 0 {
		first, n = one, 1
	}
	f := folder(t)
	all := &tally{events: map[event]int{}, statuses: map[strategies.Status]int{}}
	t.Cleanup(func() { all.print(t, n >= 500) })
	for seed := first; seed < first+n; seed++ {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			t.Parallel()
			s := &scenario{world: newWorld(t, f), tally: all, rand: rand.New(rand.NewPCG(uint64(seed), 8))} //nolint:gosec // it is to be the same again
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("to do it again: SWITCHBACK_SEED=%d go test ./integration/seeds -run TestSeeds\n%s", seed, strings.Join(s.story, "\n"))
				}
			})
			s.play()
		})
	}
}

// setting is a number that the environment may set.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// scenario is what happens in one seed.
type scenario struct {
	*world
	model
	rand  *rand.Rand
	tally *tally
}

// tally counts over all seeds what has happened, and what releases have come to.
type tally struct {
	mu       sync.Mutex
	events   map[event]int
	statuses map[strategies.Status]int
}

func (n *tally) add(f *fate, s strategies.Status) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range f.fired {
		n.events[e]++
	}
	n.statuses[s]++
}

// print says it, and wants everything to have happened.
func (n *tally) print(t *testing.T, whole bool) {
	t.Helper()
	for _, e := range atEffects {
		t.Logf("%5d %s", n.events[e], e)
		require.True(t, !whole || n.events[e] > 0, e)
	}
	for _, s := range []strategies.Status{strategies.Running, strategies.Paused, strategies.Waiting, strategies.TurnedBack, strategies.Stabilised, strategies.RolledBack} {
		t.Logf("%5d commands left a release %s", n.statuses[s], s)
		require.True(t, !whole || n.statuses[s] > 0, s)
	}
}

// play has people do what they may, and at the end has the release that is under way ended.
func (s *scenario) play() {
	s.rolling = s.rand.IntN(3) == 0
	for range 1 + s.rand.IntN(4) {
		c := s.pick(s.may())
		s.try(c, fateOf(s.rand))
	}
	s.wayOut()
}

func (s *scenario) pick(from []command) command { return from[s.rand.IntN(len(from))] }

// wayOut ends the release under way, forward or back, with nothing in the way.
func (s *scenario) wayOut() {
	back := s.rand.IntN(2) == 0
	s.verdict = strategies.Good
	for n := 0; s.status != "" && !s.status.Final(); n++ {
		require.Less(s.t, n, 3, "no way out")
		c := s.forward()
		if back {
			c = abort
		}
		s.try(c, &fate{ended: true})
	}
}

// try has a person give a command, and compares what becomes of it with the model.
func (s *scenario) try(c command, f *fate) {
	s.t.Helper()
	s.saw("— %s %s, %s: %v", c, s.name, s.status, f.at)
	if c == start {
		s.begins()
	}
	before := s.model
	err := s.do(c, f)
	r := s.newest()
	s.saw("  = %s, %v", r.Status(), err)
	require.Contains(s.t, before.ends(c, f), r.Status(), "%s of a release that was %q", c, before.status)
	s.becomes(r)
	s.tally.add(f, r.Status())
	s.uncertain = s.uncertain || s.died
	if err != nil {
		s.says(err, f)
	}
	if s.status.Final() {
		s.settled()
	}
}

// says wants a person to be told what to do where only one can go on.
func (s *scenario) says(err error, f *fate) {
	s.t.Helper()
	if slices.Contains(f.fired, stopped) {
		require.True(s.t, errors.Is(err, migrate.ErrLockLost) || errors.Is(err, strategies.ErrStaleFence), "%v", err)
		return
	}
	require.Equal(s.t, strategies.TurnedBack, s.status, "an error that is no way back: %v", err)
	require.ErrorContains(s.t, err, "state: ")
	require.ErrorContains(s.t, err, "next: ")
}

// do carries a command out the way the command line does.
func (s *scenario) do(c command, f *fate) (err error) {
	s.t.Helper()
	if s.dead {
		s.bury()
		s.dead = false
	}
	s.fate = f
	if c == pause {
		s.request(strategies.RequestPause)
		return nil
	}
	if c == promote {
		s.request(strategies.RequestPromote)
	}
	if c == resume && s.status == strategies.Paused {
		s.request(strategies.RequestResume)
	}
	f.back = s.status == strategies.TurnedBack
	defer func() {
		if dead := recover(); dead != nil {
			if _, ok := dead.(killed); !ok {
				panic(dead)
			}
		}
		if f.asleep != "" {
			require.Equal(s.t, f.asleep, s.remains(), "what it did after another run had taken over")
		}
	}()
	return s.hold(c)
}

// hold takes the lock and gives the machine the command.
func (w *world) hold(c command) error {
	m := w.machine()
	return w.runner().Hold(w.t.Context(), string(c), func(ctx context.Context, session *migrate.Session) error {
		w.session = session
		r := w.newest()
		switch c {
		case start:
			_, err := m.Begin(ctx, session, w.next)
			return err
		case abort, rollback:
			w.fate.back = true
			return m.TurnBack(ctx, session, r, string(c))
		}
		return m.Continue(ctx, session, r)
	})
}

// sleeps is what happens while a run is stopped: its lock's time passes, and another run brings the release back.
func (w *world) sleeps() {
	w.t.Helper()
	f, session := w.fate, w.session
	w.bury()
	w.fate = &fate{ended: true}
	require.NoError(w.t, w.hold(abort))
	require.NoError(w.t, w.sound())
	w.fate, w.session = f, session
	f.ended, f.asleep = true, w.remains()
	w.saw("it goes on")
}

// machine is what a new process would make of the world.
func (w *world) machine() *strategies.Machine {
	return &strategies.Machine{
		Service: ports{w}, Router: routed{w}, Discovery: registered{w}, Roller: rolled{w}, Observer: w,
		Folder:  func() (*migrate.Folder, error) { return w.folder, nil },
		Resolve: func(v string) (string, error) { return v, nil },
		Judge:   func(strategies.Gate) (strategies.Judge, error) { return judge{w}, nil },
		Hook:    func(context.Context, []string, map[string]string) (string, error) { return "said", nil },
		Poll:    time.Millisecond,
	}
}

// judge says what the scenario has drawn.
type judge struct{ *world }

func (j judge) Judge(context.Context, strategies.Window) (strategies.Verdict, error) {
	return strategies.Verdict{Outcome: j.verdict, Says: "drawn"}, nil
}

// begins draws a release: the version after the live one, or the live one again.
func (s *scenario) begins() {
	s.t.Helper()
	r := s.rand
	version := min(s.liveVersion+1-r.IntN(4)/3, newestVersion)
	version = max(version, 1)
	releases, err := strategies.Releases(s.t.Context(), s.runner())
	require.NoError(s.t, err)
	name := fmt.Sprintf("v%d", version)
	p := strategies.Plan{
		Release: fmt.Sprintf("%s-%d", name, len(releases)+1), Application: "app", Blue: strategies.StableOf(releases), Changes: []string{}, NoSnapshot: "none is needed",
		Timing:    strategies.Timing{Healthy: 5 * time.Second, Drain: time.Second, Grace: time.Second},
		Candidate: strategies.Version{Slot: strategies.Green, Name: name, Env: map[string]string{}},
	}
	p.Candidate.Release = p.Release
	s.draw(&p)
	if p.Blue != nil && p.Blue.Spec != nil && !s.rolling {
		i, err := s.threads.Observe(s.t.Context(), p.Blue.Instance)
		require.NoError(s.t, err)
		p.Blue.Address = i.Address
	}
	pending := s.pending(&p, version)
	shares := [][]int{{100}, {50, 100}, {10, 40, 100}}[r.IntN(3)]
	if s.rolling {
		shares = nil
	}
	p.Steps = strategies.Steps(&p, strategies.Outline{Pending: pending, Shares: shares, Pause: r.IntN(3) == 0, Contract: r.IntN(5) > 0})
	s.next, s.died = p, p.Candidate.Env["MODE"] == "fail"
	s.plans(&p, version, s.columns(), s.verdict)
}

// draw fills in what chance decides.
func (s *scenario) draw(p *strategies.Plan) {
	r := s.rand
	p.Strategy = []string{strategies.BlueGreen, strategies.Canary}[r.IntN(2)]
	if s.rolling {
		p.Strategy = strategies.Rolling
		p.Pace = &strategies.Pace{Replicas: 1 + r.IntN(3), Parallelism: 1}
		p.Candidate.Container = &strategies.Container{Image: "app"}
		if p.Blue != nil {
			p.Blue.Replicas = s.orchestrator.now.wanted
		}
	}
	switch r.IntN(12) {
	case 0:
		p.Candidate.Env["MODE"] = "fail"
	case 1:
		p.Candidate.Env["MODE"], p.Timing.Healthy = "ill", 20*time.Millisecond
	}
	s.verdict = strategies.Good
	if r.IntN(4) == 0 {
		p.Gates = []strategies.Gate{{Name: "gate", Kind: "drawn", Every: time.Millisecond, Otherwise: []strategies.Fallback{strategies.Hold, strategies.Fail, strategies.Pass}[r.IntN(3)]}}
		s.verdict = []strategies.Outcome{strategies.Good, strategies.Good, strategies.Bad, strategies.NoData}[r.IntN(4)]
	}
	if r.IntN(4) == 0 {
		p.Hooks = []strategies.Hook{{Step: strategies.Bake, Before: r.IntN(2) == 0, Command: []string{"out"}, Back: []string{"back"}, Within: time.Minute}}
	}
}

// pending adds the changes that a version needs to its plan, as the command line does.
func (s *scenario) pending(p *strategies.Plan, version int) (phases []migrate.Phase) {
	s.t.Helper()
	if version == 1 {
		return nil
	}
	state, err := s.runner().State(s.t.Context())
	require.NoError(s.t, err)
	steps, err := migrate.PlanForward(s.folder, state, migrate.ForwardOptions{
		Phases: []migrate.Phase{migrate.Expand, migrate.Backfill, migrate.Contract}, To: fmt.Sprintf("%d_c%d", version, version),
	})
	require.NoError(s.t, err)
	for _, step := range steps {
		if !slices.Contains(p.Changes, step.Change) {
			p.Changes = append(p.Changes, step.Change)
		}
		phases = append(phases, step.Phase)
	}
	return phases
}

// settled wants the version that a final release has left to be live, it alone, and nothing of the other.
func (s *scenario) settled() {
	s.t.Helper()
	ctx := s.t.Context()
	if !s.dead {
		var token string
		require.NoError(s.t, s.db.DB().QueryRowContext(ctx, "SELECT token FROM switchback_lock").Scan(&token))
		require.Empty(s.t, token, "the lock is held")
	}
	if s.status == strategies.RolledBack {
		require.Equal(s.t, s.columnsBefore, s.columns(), "the schema after a way back")
	}
	if s.liveVersion == 0 {
		return // nothing was live, and nothing has to be
	}
	if s.died && s.status == strategies.Stabilised {
		require.NoError(s.t, s.sound(), "what died is gone")
	}
	require.True(s.t, s.carries(ctx, s.liveName()), "the schema has %s", s.columns())
	if s.rolling {
		now, err := s.orchestrator.Rollout(ctx)
		require.NoError(s.t, err)
		require.Equal(s.t, []any{strategies.RollDone, s.liveRelease}, []any{now.State, now.Release})
		return
	}
	instances, err := s.threads.List(ctx)
	require.NoError(s.t, err)
	var running, addresses []string
	for _, i := range instances {
		if i.State == strategies.StateHealthy {
			running, addresses = append(running, i.Release), append(addresses, i.Address)
		}
	}
	require.Equal(s.t, []string{s.liveRelease}, running, "what runs")
	routing, err := s.router.Observe(ctx)
	require.NoError(s.t, err)
	require.Len(s.t, routing.Backends, 1)
	require.Equal(s.t, []any{addresses[0], 100}, []any{routing.Backends[0].Address, routing.Backends[0].Weight})
	keys, err := s.registry.List(ctx)
	require.NoError(s.t, err)
	require.Len(s.t, keys, 1)
	require.Equal(s.t, []string{addresses[0], "up"}, []string{keys[0].Address, keys[0].State})
	s.died = false
}
