// Package gate plants mistakes in changes and looks whether the gate finds them, and takes sound changes and looks
// whether it finds nothing, on all engines.
package gate

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/check/lint"
	"github.com/switchbackdb/switchback/check/proof"
	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

func TestMain(m *testing.M) {
	code := servers.Run(m)
	program.Remove()
	os.Exit(code)
}

// planted is a change on the base schema, with what is to be found in it.
type planted struct {
	name        string
	engines     engines // none: all
	before      string  // what is in the schema besides the base
	scripts     map[string]string
	blue, green []string // queries
	want        []string // rules of the proofs
	lint        string   // a rule of lint that fires
	says        string   // is in a message or the evidence
}

// engines is a short name for some of them.
type engines = []migrate.Engine

var (
	postgres  = engines{migrate.Postgres}
	sqlite    = engines{migrate.SQLite}
	mysqls    = engines{migrate.MySQL, migrate.MariaDB}
	notSQLite = engines{migrate.Postgres, migrate.MySQL, migrate.MariaDB}
	notMySQL  = engines{migrate.Postgres, migrate.SQLite}
)

// base is what every change begins with.
func base(e migrate.Engine) string {
	s := `CREATE TABLE customers (id integer PRIMARY KEY, name varchar(40) NOT NULL, note varchar(200) DEFAULT 'none', born date);
CREATE INDEX by_name ON customers (name);
CREATE TABLE orders (id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers (id), amount numeric(10,2) NOT NULL DEFAULT 0, placed timestamp NULL);
CREATE TABLE parts (order_id integer NOT NULL, n integer NOT NULL, label varchar(40), PRIMARY KEY (order_id, n));
`
	if e == migrate.MySQL || e == migrate.MariaDB {
		s = strings.ReplaceAll(s, "NOT NULL REFERENCES customers (id)", "NOT NULL")
		s = strings.ReplaceAll(s, "placed timestamp NULL)", "placed timestamp NULL, CONSTRAINT of_customer FOREIGN KEY (customer_id) REFERENCES customers (id))")
	}
	return s
}

// TestFaults has the gate find each planted mistake, and nothing else.
func TestFaults(t *testing.T) { onCorpus(t, faults, planted.check) }

// TestSound has the gate find nothing in sound changes.
func TestSound(t *testing.T) {
	onCorpus(t, sound, func(c planted, t *testing.T, engine migrate.Engine, server scratch.Server) {
		c.check(t, engine, server)
		for _, f := range c.linted(t, engine, server) {
			if f.Severity != check.Note {
				t.Errorf("%s:%d: %s: %s", f.Place.File, f.Place.Line, f.Rule, f.Message)
			}
		}
	})
}

// TestCorpusSize counts what the gate is held against.
func TestCorpusSize(t *testing.T) {
	for _, list := range [][]planted{faults, sound} {
		names := map[string]bool{}
		for _, c := range list {
			require.NotContains(t, names, c.name)
			names[c.name] = true
		}
		require.GreaterOrEqual(t, len(names), 50)
	}
}

// isFor tells whether the case is one of an engine.
func (c planted) isFor(engine migrate.Engine) bool {
	return len(c.engines) == 0 || slices.Contains(c.engines, engine)
}

// inTurn tells whether the nth case is tried on an engine: on SQLite, and on one of the servers that it is for, so that
// these share the cases; on all of them where SWITCHBACK_FAULTS says "all".
func inTurn(c planted, n int, engine migrate.Engine) bool {
	if engine == migrate.SQLite || os.Getenv("SWITCHBACK_FAULTS") == "all" {
		return true
	}
	var those []migrate.Engine
	for _, k := range servers.Main() {
		if c.isFor(migrate.Engine(k.Engine)) {
			those = append(those, migrate.Engine(k.Engine))
		}
	}
	return those[n%len(those)] == engine
}

// onCorpus looks at each change on the engines that it is for.
func onCorpus(t *testing.T, list []planted, look func(c planted, t *testing.T, engine migrate.Engine, server scratch.Server)) {
	on := func(engine migrate.Engine, name string) func(*testing.T) {
		return func(t *testing.T) {
			server, err := scratch.Open(t.Context(), name, scratch.Options{})
			require.NoError(t, err)
			defer func() { require.NoError(t, server.Close()) }()
			for n, c := range list {
				if c.isFor(engine) && inTurn(c, n, engine) {
					t.Run(c.name, func(t *testing.T) { look(c, t, engine, server) })
				}
			}
		}
	}
	t.Run("sqlite", on(migrate.SQLite, ""))
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		url, err := servers.Server(k)
		require.NoError(t, err)
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			on(migrate.Engine(k.Engine), url)(t)
		})
	}
}

// check has the proofs look at a change.
func (c planted) check(t *testing.T, engine migrate.Engine, server scratch.Server) {
	p := c.proof(t, engine, server)
	part, err := p.Rollback(t.Context())
	require.NoError(t, err)
	found := part.Findings
	if len(c.blue)+len(c.green) > 0 {
		part, err = p.Workload(t.Context(), workload.Load{Blue: queries(c.blue...), Green: queries(c.green...)})
		require.NoError(t, err)
		found = append(found, part.Findings...)
	}
	var rules []string
	var text strings.Builder
	for _, f := range found {
		rules = append(rules, f.Rule)
		text.WriteString(f.Message + "\n" + f.Object + "\n" + f.Evidence + "\n")
		require.NotEmpty(t, f.Place.File)
		require.Equal(t, "1_planted", f.Place.Change)
	}
	slices.Sort(rules)
	require.Equal(t, c.want, slices.Compact(rules), text.String())
	require.Contains(t, text.String(), c.says)
	if c.lint == "" {
		return
	}
	require.True(t, slices.ContainsFunc(c.linted(t, engine, server), func(f check.Finding) bool { return f.Rule == c.lint && f.Severity == check.Error }))
}

// proof proves a change on the base and what it needs besides.
func (c planted) proof(t *testing.T, engine migrate.Engine, server scratch.Server) *proof.Proof {
	p := proofOf(t, engine, server, c.scripts)
	whole := p.Base
	p.Base = func(ctx context.Context, db proof.Database) error {
		if err := whole(ctx, db); err != nil {
			return err
		}
		statements, err := migrate.Scan(engine, c.before)
		if err != nil {
			return err
		}
		for _, s := range statements {
			if _, err := db.DB().ExecContext(ctx, s.Text); err != nil {
				return fmt.Errorf("%s: %w", s.Text, err)
			}
		}
		return nil
	}
	return p
}

// linted is what lint says of a change, whose statements are run where their locks can be seen.
func (c planted) linted(t *testing.T, engine migrate.Engine, server scratch.Server) []check.Finding {
	p := c.proof(t, engine, server)
	folder, err := migrate.LoadFolder(p.Folder, engine)
	require.NoError(t, err)
	scripts, err := lint.FromFolder(folder)
	require.NoError(t, err)
	o := lint.Options{Engine: engine}
	if engine != migrate.SQLite {
		db, err := server.Create(t.Context())
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		require.NoError(t, p.Base(t.Context(), db))
		o.Observer = db.LintObserver()
	}
	part, _, err := lint.Run(t.Context(), scripts, o)
	require.NoError(t, err)
	return part.Findings
}

// proofOf writes a change of these scripts, on the base schema.
func proofOf(t *testing.T, engine migrate.Engine, server scratch.Server, scripts map[string]string) *proof.Proof {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "1_planted"), 0o700))
	for name, text := range scripts {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "1_planted", name), []byte(text), 0o600))
	}
	require.NoError(t, migrate.WriteSum(dir))
	folder, err := migrate.LoadFolder(dir, engine)
	require.NoError(t, err)
	return &proof.Proof{
		Scratch: scratch.Proofs{Server: server}, Folder: dir, Changes: folder.Changes,
		Base: func(ctx context.Context, db proof.Database) error {
			for _, s := range strings.Split(base(engine), ";\n") {
				if strings.TrimSpace(s) == "" {
					continue
				}
				if _, err := db.DB().ExecContext(ctx, s); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// TestRefusedRows has a change that refuses some of the made-up rows, and behind it one that is sound, one that leaves
// a table over and one that loses rows, which is seen with the rows that the first one takes.
func TestRefusedRows(t *testing.T) {
	server, err := scratch.Open(t.Context(), "", scratch.Options{})
	require.NoError(t, err)
	p := proofOf(t, migrate.SQLite, server, map[string]string{"expand.sql": "CREATE UNIQUE INDEX one_note ON customers (note);", "expand.rollback.sql": "DROP INDEX one_note;"})
	for id, rollback := range map[string]string{"2_sound": "DROP TABLE a;", "3_planted": "SELECT 1;"} {
		dir := filepath.Join(p.Folder, id)
		require.NoError(t, os.Mkdir(dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "expand.sql"), []byte("CREATE TABLE IF NOT EXISTS a (id integer PRIMARY KEY);"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "expand.rollback.sql"), []byte(rollback), 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(p.Folder, "3_planted", "expand.sql"), []byte("CREATE TABLE b (id integer PRIMARY KEY);"), 0o600))
	loses := filepath.Join(p.Folder, "4_loses")
	require.NoError(t, os.Mkdir(loses, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(loses, "contract.sql"), []byte("ALTER TABLE customers DROP COLUMN born;"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(loses, "contract.rollback.sql"), []byte("ALTER TABLE customers ADD COLUMN born date;"), 0o600))
	require.NoError(t, migrate.WriteSum(p.Folder))
	folder, err := migrate.LoadFolder(p.Folder, migrate.SQLite)
	require.NoError(t, err)
	p.Changes = folder.Changes
	part, err := p.Rollback(t.Context())
	require.NoError(t, err)
	var rules []string
	for _, f := range part.Findings {
		rules = append(rules, f.Place.Change+" "+f.Rule)
	}
	require.Equal(t, []string{"1_planted refuses-rows", "3_planted rollback-not-inverse", "4_loses rollback-loses-data"}, rules)
	require.Contains(t, part.Looked, "with one plain row in a table up to 1_planted")
}

// TestRefusedRowsAndLost has changes that refuse some of the made-up rows and lose what is in those that they take.
func TestRefusedRowsAndLost(t *testing.T) {
	server, err := scratch.Open(t.Context(), "", scratch.Options{})
	require.NoError(t, err)
	drop := "ALTER TABLE customers DROP COLUMN name;"
	back := "DROP INDEX one_note;\nALTER TABLE customers ADD COLUMN name varchar(40) NOT NULL DEFAULT '';"
	for _, c := range []struct {
		name, refuse, looked string
		want                 []string
	}{
		{"a plain row passes", "CREATE UNIQUE INDEX one_note ON customers (note);", "one plain row in a table", []string{proof.LosesData, proof.NotInverse, proof.RefusesRows}},
		{"none passes", "CREATE TEMP TABLE none (n CHECK (n IS NULL));\nINSERT INTO none SELECT id FROM customers;\nCREATE INDEX one_note ON customers (note);", "empty tables", []string{proof.NotInverse, proof.RefusesRows}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := proofOf(t, migrate.SQLite, server, map[string]string{"contract.sql": "DROP INDEX by_name;\n" + c.refuse + "\n" + drop, "contract.rollback.sql": back})
			part, err := p.Rollback(t.Context())
			require.NoError(t, err)
			var rules []string
			for _, f := range part.Findings {
				rules = append(rules, f.Rule)
			}
			slices.Sort(rules)
			wanted := slices.Sorted(slices.Values(c.want))
			require.Equal(t, wanted, rules)
			require.Contains(t, part.Looked, "with "+c.looked+" up to 1_planted")
		})
	}
}

// TestWithoutRows has a table that takes no made-up row, which is said, and two tables that lose what they hold, both of
// which are named.
func TestWithoutRows(t *testing.T) {
	server, err := scratch.Open(t.Context(), "", scratch.Options{})
	require.NoError(t, err)
	p := proofOf(t, migrate.SQLite, server, map[string]string{
		"expand.sql":            "ALTER TABLE locked ADD COLUMN more integer;",
		"expand.rollback.sql":   "ALTER TABLE locked DROP COLUMN more;",
		"contract.sql":          "UPDATE customers SET note = 'gone'; UPDATE orders SET amount = 0;",
		"contract.rollback.sql": "SELECT 1;",
	})
	whole := p.Base
	p.Base = func(ctx context.Context, db proof.Database) error {
		if err := whole(ctx, db); err != nil {
			return err
		}
		_, err := db.DB().ExecContext(ctx, "CREATE TABLE locked (id integer PRIMARY KEY, CONSTRAINT never CHECK (id < 0 AND id > 0))")
		return err
	}
	part, err := p.Rollback(t.Context())
	require.NoError(t, err)
	var found []string
	for _, f := range part.Findings {
		found = append(found, f.Rule+" "+f.Object)
		if f.Rule == proof.WithoutRows {
			require.Contains(t, f.Evidence, "never")
		}
	}
	require.Equal(t, []string{"rollback-loses-data table customers", "rollback-loses-data table orders", "without-rows table locked"}, found)
}

// TestNothingIsLeft looks whether a proof leaves databases on the scratch server, also when it is cut off.
func TestNothingIsLeft(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	url := servers.URL(t, servers.Postgres17)
	db := servers.Open(t, url)
	server, err := scratch.Open(t.Context(), url, scratch.Options{})
	require.NoError(t, err)
	p := proofOf(t, migrate.Postgres, server, map[string]string{"expand.sql": "CREATE TABLE a (id integer PRIMARY KEY);", "expand.rollback.sql": "DROP TABLE a;"})
	var names []string
	whole := p.Base
	ctx, cancel := context.WithCancel(t.Context())
	p.Base = func(ctx context.Context, db proof.Database) error {
		names = append(names, db.(*scratch.Database).Name())
		err := whole(ctx, db)
		cancel()
		return err
	}
	_, err = p.Rollback(ctx)
	require.ErrorIs(t, err, context.Canceled)
	part, err := p.Rollback(t.Context())
	require.NoError(t, err)
	require.Equal(t, []check.Finding{}, part.Findings)
	require.Len(t, names, 4)
	for _, name := range names {
		var left int
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_database WHERE datname = $1", name).Scan(&left))
		require.Zero(t, left, name)
	}
}
