package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/binary"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// counted is a change each statement of which leaves exactly one trace when it runs once: a row of
// effects, or an object that cannot be made twice. The backfill adds to a number, so that a batch that
// runs twice shows in the sum. Between the phases there is DDL that commits by itself on MySQL.
func counted(g *target) {
	g.exec("CREATE TABLE effects (what varchar(40))")
	g.exec("CREATE TABLE items (id integer primary key, n integer not null)")
	for i := range 10 {
		g.exec(fmt.Sprintf("INSERT INTO items VALUES (%d, 0)", i+1))
	}
	g.change("1_counted", map[string]string{
		"expand.sql": `INSERT INTO effects VALUES ('expand 1');
CREATE TABLE things (id integer primary key);
INSERT INTO effects VALUES ('expand 2');
ALTER TABLE things ADD COLUMN a integer;
`,
		"expand.rollback.sql": `INSERT INTO effects VALUES ('undo expand');
ALTER TABLE things DROP COLUMN a;
DROP TABLE things;
`,
		"backfill.sql": `-- switchback:batch table=items key=id size=4 time=1m
UPDATE items SET n = n + 1 WHERE :batch;
`,
		"backfill.rollback.sql": "UPDATE items SET n = n - 1;\n",
		"contract.sql": `ALTER TABLE items RENAME COLUMN n TO attic_n;
INSERT INTO effects VALUES ('contract');
`,
		"contract.rollback.sql": `INSERT INTO effects VALUES ('undo contract');
ALTER TABLE items RENAME COLUMN attic_n TO n;
`,
	})
}

const (
	allApplied = "1_counted:expand 1_counted:backfill 1_counted:contract"
	effectsUp  = "contract,expand 1,expand 2"
	effectsOff = "undo contract,undo expand"
)

// effects returns the traces so far, sorted, and wipes them out.
func (g *target) effects() string {
	g.t.Helper()
	list := g.list("SELECT what FROM effects")
	g.exec("DELETE FROM effects")
	slices.Sort(list)
	return strings.Join(list, ",")
}

func (g *target) args(command ...string) []string {
	return append(command, "--url", g.url, "--dir", filepath.Dir(g.changes))
}

// TestCrash kills the real binary at marks that it passes (see killPoints), forward and back, and runs the same
// command again: it ends where an undisturbed run does, no statement has run twice, none was skipped.
func TestCrash(t *testing.T) {
	servers.Each(t, servers.Main(), func(t *testing.T, url string) {
		t.Parallel()
		g := project(t, url)
		counted(g)
		empty := g.fingerprint()
		names := marks(t, "", g.args("up")...)
		require.Equal(t, effectsUp, g.effects())
		full := g.fingerprint()
		back := marks(t, "", g.args("rollback", "--to", "0")...)
		require.Equal(t, effectsOff, g.effects())
		require.Contains(t, names, "batch: before cursor")

		points := binary.KillPoints(t.Name(), max(len(names), len(back)))
		for _, n := range points {
			crash(t, n, names, g.args("up"))
			require.Equal(t, allApplied, g.applied(), "killed at %d", n)
			require.Equal(t, effectsUp, g.effects(), "killed at %d", n)
			require.Equal(t, full, g.fingerprint(), "killed at %d", n)
			require.Equal(t, "10", g.text("SELECT sum(attic_n) FROM items"), "killed at %d", n)

			crash(t, n, back, g.args("rollback", "--to", "0"))
			require.Empty(t, g.applied(), "killed at %d", n)
			require.Equal(t, effectsOff, g.effects(), "killed at %d", n)
			require.Equal(t, empty, g.fingerprint(), "killed at %d", n)
			require.Equal(t, "0", g.text("SELECT sum(n) FROM items"), "killed at %d", n)
		}
		t.Logf("killed at %d of %d marks forward and %d back", len(points), len(names), len(back))
	})
}

// crash runs a command that is killed at the nth mark, and then again to its end.
func crash(t *testing.T, n int, names []string, args []string) {
	t.Helper()
	c := start(t, "", []string{fmt.Sprint("KILL=", n)}, args...)
	if n <= len(names) {
		require.Equal(t, -1, c.End(t), "should have died at %d, %s\n%s", n, names[n-1], c.Out.String())
	}
	c.End(t)
	run(t, "", args...)
}

// slow leaves a test that runs the real command over and over out of the short run.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("not in short mode")
	}
}

// project is a target whose changes are in a project's folder, for the real command.
func project(t *testing.T, url string) *target {
	t.Helper()
	slow(t)
	g := open(t, url, migrate.Options{})
	g.changes = filepath.Join(t.TempDir(), "changes")
	return g
}

// TestStopped stops the real binary (SIGSTOP) at a mark of each name for longer than its lock lives,
// lets another run do the work, and continues it: a holder that lost the lock writes nothing more. The engines share the names
// among them, unless SWITCHBACK_KILLS says "all".
func TestStopped(t *testing.T) {
	servers.Each(t, servers.Main(), func(t *testing.T, url string) {
		t.Parallel()
		g := project(t, url)
		counted(g)
		names := marks(t, "", g.args("up")...)
		run(t, "", g.args("rollback", "--to", "0")...)
		g.effects()
		for _, n := range dealt(names, servers.Main(), t.Name()) {
			name := names[n]
			first := start(t, "", []string{fmt.Sprint("STOP=", n+1)}, g.args("up", "--lock-ttl", "500ms")...)
			require.True(t, first.Stopped(t), "should have stopped at %s\n%s", name, first.Out.String())
			time.Sleep(600 * time.Millisecond) // the one sleep: the lock's time has to pass
			second := start(t, "", nil, g.args("up", "--lock-timeout", "1s", "--retries", "2")...)
			took := second.End(t) == 0
			before := ""
			if took { // on SQLite the stopped run may keep everybody from reading
				before = g.journal()
			}
			require.NoError(t, first.Process.Signal(syscall.SIGCONT))
			code := first.End(t)
			if took {
				// After its last mark a run has nothing left to write, and may well have succeeded.
				require.Contains(t, []int{0, 4}, code, "stopped at %s\n%s", name, first.Out.String())
				require.Equal(t, before, g.journal(), "stopped at %s: wrote after it lost the lock\n%s", name, first.Out.String())
			}
			run(t, "", g.args("up")...)
			require.Equal(t, allApplied, g.applied(), "stopped at %s", name)
			require.Equal(t, effectsUp, g.effects(), "stopped at %s", name)
			require.Equal(t, "10", g.text("SELECT sum(attic_n) FROM items"), "stopped at %s", name)
			run(t, "", g.args("rollback", "--to", "0")...)
			g.effects()
		}
	})
}

// dealt are the first marks of each name that fall to a subtest of servers.Each, when each of these gets one in turn; all of them
// where SWITCHBACK_KILLS says so.
func dealt(names []string, kinds []servers.Kind, subtest string) (marks []int) {
	all := os.Getenv("SWITCHBACK_KILLS") == "all"
	turn := slices.IndexFunc(kinds, func(k servers.Kind) bool { return strings.HasSuffix(subtest, "/"+k.Name) }) + 1 // the first is SQLite's
	seen := 0
	for i, name := range names {
		if slices.Index(names, name) != i {
			continue
		}
		if all || seen%(len(kinds)+1) == turn {
			marks = append(marks, i)
		}
		seen++
	}
	return marks
}

// journal is the journal as text.
func (g *target) journal() string {
	g.t.Helper()
	entries, err := g.runner.Journal().Entries(g.t.Context(), g.db.DB(), migrate.Filter{})
	require.NoError(g.t, err)
	var b strings.Builder
	for _, e := range entries {
		fmt.Fprintln(&b, e.Seq, e.Fence, e.Kind, e.Action, e.Status)
	}
	return b.String()
}

// TestTwoRuns starts a second run while the first holds the lock: it exits 4 and says who holds it.
func TestTwoRuns(t *testing.T) {
	servers.Each(t, servers.Main(), func(t *testing.T, url string) {
		t.Parallel()
		g := project(t, url)
		counted(g)
		first := start(t, "", []string{"STOP=2"}, g.args("up")...)
		require.True(t, first.Stopped(t), first.Out.String())
		second := start(t, "", nil, g.args("expand")...)
		require.Equal(t, 4, second.End(t), second.Out.String())
		require.Regexp(t, `locked by \S+@\S+ pid \d+, running "up" since 20\d\d-`, second.Out.String())
		require.NoError(t, first.Process.Signal(syscall.SIGCONT))
		require.Zero(t, first.End(t), first.Out.String())
		require.Equal(t, effectsUp, g.effects())
	})
}

// TestCrashTogether kills the real binary at every mark of a run whose steps share a transaction.
func TestCrashTogether(t *testing.T) {
	servers.Each(t, []servers.Kind{servers.Postgres17}, func(t *testing.T, url string) {
		g := project(t, url)
		var want []string
		for i := range 5 {
			id := fmt.Sprintf("%d_t", i+1)
			g.change(id, map[string]string{
				"expand.sql":          fmt.Sprintf("CREATE TABLE t%d (id integer PRIMARY KEY);\n", i),
				"expand.rollback.sql": fmt.Sprintf("DROP TABLE t%d;\n", i),
			})
			want = append(want, id+":expand")
		}
		empty := g.fingerprint()
		names := marks(t, "", g.args("up")...)
		require.Contains(t, names, "together: before commit")
		full := g.fingerprint()
		back := marks(t, "", g.args("rollback", "--to", "0")...)
		for _, n := range binary.KillPoints(t.Name(), max(len(names), len(back))) {
			crash(t, n, names, g.args("up"))
			require.Equal(t, strings.Join(want, " "), g.applied(), "killed at %d", n)
			require.Equal(t, full, g.fingerprint(), "killed at %d", n)
			crash(t, n, back, g.args("rollback", "--to", "0"))
			require.Empty(t, g.applied(), "killed at %d", n)
			require.Equal(t, empty, g.fingerprint(), "killed at %d", n)
		}
		g.chained()
	})
}

// chained wants each phase in the journal to begin with the fingerprint that the one before ended with.
func (g *target) chained() {
	g.t.Helper()
	entries, err := g.runner.Journal().Entries(g.t.Context(), g.db.DB(), migrate.Filter{Kinds: []migrate.EntryKind{migrate.PhaseEntry}})
	require.NoError(g.t, err)
	require.NotEmpty(g.t, entries)
	last := entries[0].Before
	for _, e := range entries {
		if e.Status == migrate.Undone {
			continue // it failed, and nothing of it took effect
		}
		require.NotEmpty(g.t, e.After, "%d %s", e.Seq, e.Action)
		require.Equal(g.t, last, e.Before, "%d %s", e.Seq, e.Action)
		last = e.After
	}
}

// TestTogetherFails has a change that fails among others that could share its transaction.
func TestTogetherFails(t *testing.T) {
	servers.Each(t, []servers.Kind{servers.Postgres17}, func(t *testing.T, url string) {
		g := open(t, url, migrate.Options{})
		for i, table := range []string{"a", "b", "a", "c"} { // the third is there already
			g.change(fmt.Sprintf("%d_t", i+1), map[string]string{
				"expand.sql": "-- one line\nCREATE TABLE " + table + " (id integer PRIMARY KEY);\n", "expand.rollback.sql": "DROP TABLE " + table + ";\n",
			})
		}
		err := g.forward(migrate.Expand)
		var step *migrate.StepError
		require.ErrorAs(t, err, &step)
		require.Equal(t, "3_t", step.Step.Change)
		require.Equal(t, 2, step.Line)
		require.Equal(t, "1_t:expand 2_t:expand", g.applied())
		g.chained()
	})
}
