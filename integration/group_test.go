package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/binary"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
	"github.com/switchbackdb/switchback/schema"
)

// reshaped is a table whose columns are being renamed and retyped, filled and ready for contract.
func reshaped(g *target) {
	g.exec("CREATE TABLE users (id int primary key, name varchar(20) NOT NULL DEFAULT '', c int NOT NULL DEFAULT 0, KEY names (name))")
	g.exec("INSERT INTO users VALUES (1, 'Ada', 1), (2, 'Alan', 2), (3, 'Grace', 3)")
	m, err := g.db.(interface {
		Inspect(context.Context) (*schema.Database, error)
	}).Inspect(g.t.Context())
	require.NoError(g.t, err)
	var operations []recipe.Operation
	for _, text := range []string{"rename column users.name full_name", "change type users.c bigint"} {
		op, err := recipe.Parse(text)
		require.NoError(g.t, err)
		operations = append(operations, op)
	}
	w, err := database.Writer(m.Engine)
	require.NoError(g.t, err)
	const id = "20261124093000_users"
	draft, err := recipe.Plan(m, operations, recipe.Options{Engine: migrate.Engine(m.Engine), Writer: w, ID: id})
	require.NoError(g.t, err)
	files := map[string]string{}
	for _, f := range draft.Files(migrate.Engine(m.Engine)) {
		files[f.Name] = f.Text
	}
	g.change(id, files)
	require.NoError(g.t, g.forward(migrate.Expand, migrate.Backfill))
}

// inStep wants both shapes of the table to say the same, whichever of its columns are in the attic.
func (g *target) inStep(contracted bool, when string) {
	g.t.Helper()
	pairs := "name <=> full_name AND c <=> switchback_new_c"
	if contracted {
		pairs = "switchback_old_name <=> full_name AND c <=> switchback_old_c"
	}
	require.Equal(g.t, "0", g.text("SELECT count(*) FROM users WHERE NOT ("+pairs+")"), when)
}

// TestGroupCrash kills the real binary at every mark of contract and of its rollback. The application goes on to
// write while the tables are as they were left; once the step is taken up, both shapes are the same and
// hold what it wrote.
func TestGroupCrash(t *testing.T) {
	slow(t)
	for _, k := range []servers.Kind{servers.MySQL9, servers.MariaDB118} {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			g := project(t, servers.URL(t, k))
			reshaped(g)
			filled := g.fingerprint()
			names := marks(t, "", g.args("contract")...)
			contracted := g.fingerprint()
			back := marks(t, "", g.args("rollback", "--to", "20261124093000_users:backfill")...)
			require.Equal(t, filled, g.fingerprint())
			for _, mark := range []string{"group: before lock", "group: locked", "group: before statement", "group: after statement", "group: before unlock"} {
				require.Contains(t, names, mark)
				require.Contains(t, back, mark)
			}
			mended := 0
			points := binary.KillPoints(t.Name(), max(len(names), len(back)))
			for _, n := range points {
				mended += g.crashInGroup(n, names, true, contracted, "contract")
				mended += g.crashInGroup(n, back, false, filled, "rollback", "--to", "20261124093000_users:backfill")
			}
			require.NotZero(t, mended, "no crash has left the rows out of step")
			t.Logf("killed at %d of %d marks forward and %d back; %d rows were out of step", len(points), len(names), len(back), mended)
		})
	}
}

// crashInGroup kills a command at its nth mark, writes, and runs the command again. It returns how many rows were
// out of step meanwhile.
func (g *target) crashInGroup(n int, names []string, contracted bool, want string, command ...string) (out int) {
	t := g.t
	when := fmt.Sprintf("%s killed at %d", command, n)
	if n <= len(names) {
		when += ", " + names[n-1]
		c := start(t, "", []string{fmt.Sprint("KILL=", n)}, g.args(command...)...)
		require.Equal(t, -1, c.End(t), "%s\n%s", when, c.Out.String())
	}
	id := 100 + n*2
	if contracted {
		id++
	}
	g.exec(fmt.Sprintf("UPDATE users SET full_name = 'n%d', c = %d WHERE id = 1", id, id))
	g.exec(fmt.Sprintf("INSERT INTO users (id, full_name, c) VALUES (%d, 'n%d', %d)", id, id, id))
	g.exec(fmt.Sprintf("UPDATE users SET c = c + 1 WHERE id = %d", id))
	columns := g.list("SELECT column_name FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'users'")
	name, other := "name", "switchback_new_c"
	if slices.Contains(columns, "switchback_old_name") {
		name = "switchback_old_name"
	}
	if slices.Contains(columns, "switchback_old_c") {
		other = "switchback_old_c"
	}
	var wrong int
	_, err := fmt.Sscan(g.text(fmt.Sprintf("SELECT count(*) FROM users WHERE NOT (%s <=> full_name AND %s <=> c)", name, other)), &wrong)
	require.NoError(t, err)
	run(t, "", g.args(command...)...)
	require.Equal(t, want, g.fingerprint(), when)
	g.inStep(contracted, when)
	require.Equal(t, fmt.Sprintf("n%d %d", id, id), g.text("SELECT concat(full_name, ' ', c) FROM users WHERE id = 1"), when)
	require.Equal(t, fmt.Sprintf("n%d %d", id, id+1), g.text(fmt.Sprintf("SELECT concat(full_name, ' ', c) FROM users WHERE id = %d", id)), when)
	return wrong
}

// TestGroupStopped stops the real binary while it holds the tables, for longer than its lock lives. Another run
// takes over, ends the connection that holds them, and does the work; the first writes nothing more.
func TestGroupStopped(t *testing.T) {
	slow(t)
	for _, k := range []servers.Kind{servers.MySQL9, servers.MariaDB118} {
		t.Run(k.Name, func(t *testing.T) {
			g := project(t, servers.URL(t, k))
			reshaped(g)
			names := marks(t, "", g.args("contract")...)
			contracted := g.fingerprint()
			run(t, "", g.args("rollback", "--phase")...)
			for _, mark := range []string{"group: locked", "group: before statement", "group: after statement", "group: before unlock"} {
				first := start(t, "", []string{fmt.Sprint("STOP=", slices.Index(names, mark)+1)}, g.args("contract", "--lock-ttl", "500ms")...)
				require.True(t, first.Stopped(t), "should have stopped at %s\n%s", mark, first.Out.String())
				time.Sleep(600 * time.Millisecond) // the lock's time has to pass
				run(t, "", g.args("contract")...)
				require.NoError(t, first.Process.Signal(syscall.SIGCONT))
				require.Equal(t, 4, first.End(t), first.Out.String())
				require.Equal(t, contracted, g.fingerprint(), mark)
				g.inStep(true, mark)
				run(t, "", g.args("rollback", "--phase")...)
			}
		})
	}
}

// TestGroupInTransaction has a statement of a group fail where DDL is transactional: of the group nothing took
// effect, though its script has no transaction.
func TestGroupInTransaction(t *testing.T) {
	g := open(t, servers.URL(t, servers.Postgres17), migrate.Options{})
	script := func(second string) map[string]string {
		return map[string]string{
			"expand.sql":          "-- switchback:no-transaction\nCREATE TABLE a (id integer);\n-- switchback:together a\nALTER TABLE a ADD COLUMN b integer;\n-- switchback:resumed\nUPDATE a SET b = 1;\n" + second + ";\n-- switchback:apart\nCREATE TABLE c (id integer);\n",
			"expand.rollback.sql": "DROP TABLE c;\nDROP TABLE a;\n",
		}
	}
	empty := g.fingerprint()
	g.change("1_group", script("ALTER TABLE missing ADD COLUMN b integer"))
	err := g.forward(migrate.Expand)
	var step *migrate.StepError
	require.ErrorAs(t, err, &step)
	require.Equal(t, 7, step.Line)
	require.Contains(t, step.State, "was taken back")
	require.Equal(t, empty, g.fingerprint())

	g.change("1_group", script("ALTER TABLE a ADD COLUMN d integer"))
	require.NoError(t, g.forward(migrate.Expand))
	require.Equal(t, "1_group:expand", g.applied())
	require.Equal(t, "3", g.text("SELECT count(*) FROM information_schema.columns WHERE table_name = 'a' AND table_schema = 'public'"))
}

// TestGroupFails has a statement of a group fail. What the group did before it is taken back while nobody can write,
// and what was done before the group as well.
func TestGroupFails(t *testing.T) {
	slow(t)
	for _, k := range []servers.Kind{servers.MySQL9, servers.MariaDB118} {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			g := project(t, servers.URL(t, k))
			reshaped(g)
			filled := g.fingerprint()
			file := filepath.Join(g.changes, "20261124093000_users", "contract.sql")
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			broken := strings.Replace(string(text), "RENAME COLUMN c TO switchback_old_c", "RENAME COLUMN missing TO switchback_old_c", 1)
			require.NotEqual(t, string(text), broken)
			g.change("20261124093000_users", map[string]string{"contract.sql": broken})
			err = g.forward(migrate.Contract)
			var step *migrate.StepError
			require.ErrorAs(t, err, &step)
			require.Contains(t, step.Statement, "missing")
			require.Contains(t, step.State, "was taken back")
			require.Equal(t, filled, g.fingerprint())
			g.exec("INSERT INTO users (id, full_name, c) VALUES (9, 'Edsger', 9)")
			g.inStep(false, "after a failure")
			g.change("20261124093000_users", map[string]string{"contract.sql": string(text)})
			require.NoError(t, g.forward(migrate.Contract))
			g.inStep(true, "after contract")
		})
	}
}
