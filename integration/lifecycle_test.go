// Package integration tests the product across real components.
package integration

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// bench is a database with a runner, and a folder of changes.
type target struct {
	t       *testing.T
	url     string
	plain   *sql.DB // by the engine's plain driver, as an application would use it
	db      database.Database
	runner  *migrate.Runner
	changes string
}

func open(t *testing.T, url string, o migrate.Options) *target {
	t.Helper()
	db, err := database.Open(t.Context(), url, database.Options{Create: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	plain := servers.Open(t, url)
	t.Cleanup(func() { require.NoError(t, plain.Close()) })
	return &target{t: t, url: url, plain: plain, db: db, runner: migrate.NewRunner(db, o), changes: t.TempDir()}
}

// change writes a change; files are by their name.
func (g *target) change(id string, files map[string]string) {
	g.t.Helper()
	dir := filepath.Join(g.changes, id)
	require.NoError(g.t, os.MkdirAll(dir, 0o755))
	for name, text := range files {
		require.NoError(g.t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	require.NoError(g.t, migrate.WriteSum(g.changes))
}

func (g *target) exec(statement string) {
	g.t.Helper()
	_, err := g.plain.ExecContext(g.t.Context(), statement)
	require.NoError(g.t, err, statement)
}

// text is the one value of a query.
func (g *target) text(query string) string {
	g.t.Helper()
	var s sql.NullString
	require.NoError(g.t, g.plain.QueryRowContext(g.t.Context(), query).Scan(&s), query)
	return s.String
}

func (g *target) forward(phases ...migrate.Phase) error {
	folder, err := migrate.LoadFolder(g.changes, g.db.Dialect().Engine)
	require.NoError(g.t, err)
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	_, err = g.runner.Run(ctx, "test", func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
		return migrate.PlanForward(folder, s, migrate.ForwardOptions{Phases: phases})
	})
	return err
}

func (g *target) back(o migrate.BackOptions) error {
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	_, err := g.runner.Run(ctx, "test", func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
		return migrate.PlanBack(s, o)
	})
	return err
}

func (g *target) again() error {
	_, err := g.runner.Run(g.t.Context(), "test", func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
		return migrate.PlanAgain(s)
	})
	return err
}

func (g *target) fingerprint() string {
	g.t.Helper()
	f, err := g.db.Fingerprint(g.t.Context(), g.db.DB())
	require.NoError(g.t, err)
	return f
}

// applied names the applied phases, in order.
func (g *target) applied() string {
	g.t.Helper()
	s, err := g.runner.State(g.t.Context())
	require.NoError(g.t, err)
	require.Nil(g.t, s.Interrupted())
	var list []string
	for _, a := range s.Applied() {
		list = append(list, a.Change+":"+string(a.Phase))
	}
	return strings.Join(list, " ")
}

// TestLifecycle takes a change through its phases and back on every version of every engine. After each
// way back the schema has the fingerprint it had before.
func TestLifecycle(t *testing.T) {
	servers.Each(t, servers.All(), func(t *testing.T, url string) {
		g := open(t, url, migrate.Options{})
		g.exec("CREATE TABLE customers (id integer primary key, first_name varchar(40), last_name varchar(40))")
		g.exec("INSERT INTO customers VALUES (1, 'Ada', 'Lovelace'), (2, 'Alan', 'Turing'), (3, 'Grace', 'Hopper')")
		g.change("1_full_name", map[string]string{
			"expand.sql":                "ALTER TABLE customers ADD COLUMN full_name varchar(90);\nCREATE INDEX customers_full_name ON customers (full_name);\n",
			"expand.rollback.sql":       "-- the index first\nDROP INDEX customers_full_name;\nALTER TABLE customers DROP COLUMN full_name;\n",
			"expand.rollback.mysql.sql": "DROP INDEX customers_full_name ON customers;\nALTER TABLE customers DROP COLUMN full_name;\n",
			"backfill.sql":              "-- switchback:batch table=customers key=id size=2\nUPDATE customers SET full_name = concat(first_name, ' ', last_name) WHERE full_name IS NULL AND :batch;\n",
			"contract.sql":              "ALTER TABLE customers RENAME COLUMN first_name TO attic_first_name;\n",
			"contract.rollback.sql":     "ALTER TABLE customers RENAME COLUMN attic_first_name TO first_name;\n",
		})
		empty := g.fingerprint()

		require.NoError(t, g.forward(migrate.Expand))
		expanded := g.fingerprint()
		require.NotEqual(t, empty, expanded)
		require.NoError(t, g.forward(migrate.Backfill))
		require.Equal(t, expanded, g.fingerprint(), "a backfill changes no schema")
		require.Equal(t, "Grace Hopper", g.text("SELECT full_name FROM customers WHERE id = 3"))
		require.NoError(t, g.forward(migrate.Contract))
		require.Equal(t, "1_full_name:expand 1_full_name:backfill 1_full_name:contract", g.applied())

		require.NoError(t, g.back(migrate.BackOptions{LastPhase: true}))
		require.Equal(t, expanded, g.fingerprint())
		require.NoError(t, g.back(migrate.BackOptions{}))
		require.Equal(t, empty, g.fingerprint())
		require.Empty(t, g.applied())

		require.NoError(t, g.again())
		require.Equal(t, "1_full_name:expand 1_full_name:backfill 1_full_name:contract", g.applied())
		require.Equal(t, "Ada Lovelace", g.text("SELECT full_name FROM customers WHERE attic_first_name = 'Ada'"))
		require.NoError(t, g.back(migrate.BackOptions{To: "0"}))
		require.Equal(t, empty, g.fingerprint())
	})
}

// TestFailureHalfWay runs a script whose third statement fails. What came before it is taken back.
func TestFailureHalfWay(t *testing.T) {
	servers.Each(t, servers.Main(), func(t *testing.T, url string) {
		g := open(t, url, migrate.Options{})
		g.exec("CREATE TABLE a (id integer primary key)")
		empty := g.fingerprint()
		g.change("1_half", map[string]string{
			"expand.sql":          "CREATE TABLE b (id integer primary key);\nALTER TABLE a ADD COLUMN n integer;\nINSERT INTO missing VALUES (1);\n",
			"expand.rollback.sql": "ALTER TABLE a DROP COLUMN n;\nDROP TABLE b;\n",
		})
		err := g.forward(migrate.Expand)
		var step *migrate.StepError
		require.ErrorAs(t, err, &step)
		require.Equal(t, 3, step.Line)
		require.Contains(t, err.Error(), "missing")
		require.Equal(t, empty, g.fingerprint())
		require.Empty(t, g.applied())

		g.change("1_half", map[string]string{"expand.sql": "CREATE TABLE b (id integer primary key);\nALTER TABLE a ADD COLUMN n integer;\n"})
		require.NoError(t, g.forward(migrate.Expand))
		require.Equal(t, "1_half:expand", g.applied())
	})
}
