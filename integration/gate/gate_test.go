// Package gate plants mistakes in changes and looks whether the gate finds them, and takes sound changes and looks
// whether it finds nothing, on all engines.
package gate

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/check/proof"
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
	name    string
	engines []migrate.Engine // none: all
	scripts map[string]string
	want    []string // rules; none: it is sound
	says    string   // is in a message or the evidence
}

var (
	notSQLite = []migrate.Engine{migrate.Postgres, migrate.MySQL, migrate.MariaDB}
	mysqls    = []migrate.Engine{migrate.MySQL, migrate.MariaDB}
	postgres  = []migrate.Engine{migrate.Postgres}
	sqlite    = []migrate.Engine{migrate.SQLite}
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

var cases = []planted{
	// Sound ones.
	{name: "a table", scripts: map[string]string{
		"expand.sql": "CREATE TABLE tags (id integer PRIMARY KEY, label varchar(20) UNIQUE);", "expand.rollback.sql": "DROP TABLE tags;",
	}},
	{name: "a column", scripts: map[string]string{
		"expand.sql": "ALTER TABLE customers ADD COLUMN nick varchar(20);", "expand.rollback.sql": "ALTER TABLE customers DROP COLUMN nick;",
	}},
	{name: "a column with a default", scripts: map[string]string{
		"expand.sql": "ALTER TABLE orders ADD COLUMN state varchar(20) NOT NULL DEFAULT 'new';", "expand.rollback.sql": "ALTER TABLE orders DROP COLUMN state;",
	}},
	{name: "an index", scripts: map[string]string{
		"expand.sql": "CREATE INDEX by_placed ON orders (placed, amount);", "expand.rollback.sql": "DROP INDEX by_placed;",
	}, engines: []migrate.Engine{migrate.Postgres, migrate.SQLite}},
	{name: "an index there", scripts: map[string]string{
		"expand.sql": "CREATE INDEX by_placed ON orders (placed, amount);", "expand.rollback.sql": "DROP INDEX by_placed ON orders;",
	}, engines: mysqls},
	{name: "a view", scripts: map[string]string{
		"expand.sql": "CREATE VIEW named AS SELECT id, name FROM customers;", "expand.rollback.sql": "DROP VIEW named;",
	}},
	{name: "filled", scripts: map[string]string{
		"expand.sql": "ALTER TABLE customers ADD COLUMN upper_name varchar(40);", "expand.rollback.sql": "ALTER TABLE customers DROP COLUMN upper_name;",
		"backfill.sql": "-- switchback:batch table=customers key=id size=3\nUPDATE customers SET upper_name = upper(name) WHERE :batch;\n",
	}},
	{name: "a column kept aside", scripts: map[string]string{
		"contract.sql": "ALTER TABLE customers RENAME COLUMN note TO old_note;", "contract.rollback.sql": "ALTER TABLE customers RENAME COLUMN old_note TO note;",
	}},
	// Schemas that are not what they were.
	{name: "the table stays", scripts: map[string]string{
		"expand.sql": "CREATE TABLE IF NOT EXISTS tags (id integer PRIMARY KEY);", "expand.rollback.sql": "SELECT 1;",
	}, want: []string{proof.NotInverse}, says: "table tags"},
	{name: "the index is forgotten", scripts: map[string]string{
		"contract.sql": "DROP INDEX by_name;", "contract.rollback.sql": "SELECT 1;",
	}, engines: []migrate.Engine{migrate.Postgres, migrate.SQLite}, want: []string{proof.NotInverse}, says: "by_name"},
	{name: "the index is forgotten there", scripts: map[string]string{
		"contract.sql": "DROP INDEX by_name ON customers;", "contract.rollback.sql": "SELECT 1;",
	}, engines: mysqls, want: []string{proof.NotInverse}, says: "by_name"},
	{name: "the index comes back on another column", scripts: map[string]string{
		"contract.sql": "DROP INDEX by_name;", "contract.rollback.sql": "CREATE INDEX by_name ON customers (note);",
	}, engines: []migrate.Engine{migrate.Postgres, migrate.SQLite}, want: []string{proof.NotInverse}, says: "by_name"},
	{name: "the index comes back unique", scripts: map[string]string{
		"contract.sql": "DROP INDEX by_name;", "contract.rollback.sql": "CREATE UNIQUE INDEX by_name ON customers (name, id);",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "by_name"},
	{name: "the default is lost", scripts: map[string]string{
		"contract.sql": "ALTER TABLE customers ALTER COLUMN note DROP DEFAULT;", "contract.rollback.sql": "SELECT 1;",
	}, engines: notSQLite, want: []string{proof.NotInverse}, says: "default"},
	{name: "another default comes back", scripts: map[string]string{
		"contract.sql": "ALTER TABLE customers ALTER COLUMN note DROP DEFAULT;", "contract.rollback.sql": "ALTER TABLE customers ALTER COLUMN note SET DEFAULT 'nothing';",
	}, engines: notSQLite, want: []string{proof.NotInverse}, says: "nothing"},
	{name: "NOT NULL is lost", scripts: map[string]string{
		"contract.sql": "ALTER TABLE customers ALTER COLUMN name DROP NOT NULL;", "contract.rollback.sql": "SELECT 1;",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "not null"},
	{name: "the type is another", scripts: map[string]string{
		"contract.sql": "ALTER TABLE orders ALTER COLUMN amount TYPE numeric(12,2);", "contract.rollback.sql": "ALTER TABLE orders ALTER COLUMN amount TYPE numeric(11,2);",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "numeric(11,2)"},
	{name: "the type is another there", scripts: map[string]string{
		"contract.sql": "ALTER TABLE orders MODIFY amount decimal(12,2) NOT NULL DEFAULT 0;", "contract.rollback.sql": "ALTER TABLE orders MODIFY amount decimal(10,2) NOT NULL;",
	}, engines: mysqls, want: []string{proof.NotInverse}, says: "default"},
	{name: "the foreign key is lost", scripts: map[string]string{
		"contract.sql": "ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey;", "contract.rollback.sql": "SELECT 1;",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "orders_customer_id_fkey"},
	{name: "the foreign key is lost there", scripts: map[string]string{
		"contract.sql": "ALTER TABLE orders DROP FOREIGN KEY of_customer;", "contract.rollback.sql": "SELECT 1;",
	}, engines: mysqls, want: []string{proof.NotInverse}, says: "of_customer"},
	{name: "the foreign key cascades now", scripts: map[string]string{
		"contract.sql": "ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey;", "contract.rollback.sql": "ALTER TABLE orders ADD CONSTRAINT orders_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE;",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "CASCADE"},
	{name: "a trigger stays", scripts: map[string]string{
		"expand.sql":          "CREATE TABLE log (id integer PRIMARY KEY);\nCREATE TRIGGER noted AFTER DELETE ON customers BEGIN DELETE FROM orders WHERE id < 0; END;",
		"expand.rollback.sql": "DROP TABLE log;",
	}, engines: sqlite, want: []string{proof.NotInverse}, says: "noted"},
	{name: "a trigger stays there", scripts: map[string]string{
		"expand.sql":          "CREATE TRIGGER noted AFTER DELETE ON customers FOR EACH ROW DELETE FROM orders WHERE id < 0;",
		"expand.rollback.sql": "SELECT 1;",
	}, engines: mysqls, want: []string{proof.NotInverse}, says: "noted"},
	{name: "a function stays", scripts: map[string]string{
		"expand.sql":          "CREATE OR REPLACE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';\nCREATE TRIGGER noted BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION noted();",
		"expand.rollback.sql": "DROP TRIGGER noted ON customers;",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "noted"},
	{name: "the enum is in another order", scripts: map[string]string{
		"expand.sql":            "CREATE TYPE mood AS ENUM ('sad', 'ok');",
		"expand.rollback.sql":   "DROP TYPE mood;",
		"contract.sql":          "ALTER TYPE mood RENAME TO old_mood;",
		"contract.rollback.sql": "DROP TYPE old_mood; CREATE TYPE mood AS ENUM ('ok', 'sad');",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "mood"},
	{name: "a comment stays", scripts: map[string]string{
		"expand.sql": "COMMENT ON TABLE customers IS 'people';", "expand.rollback.sql": "SELECT 1;",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "people"},
	{name: "a check stays", scripts: map[string]string{
		"expand.sql": "ALTER TABLE orders ADD CONSTRAINT positive CHECK (amount > -1000000) NOT VALID;", "expand.rollback.sql": "ALTER TABLE orders VALIDATE CONSTRAINT positive;",
	}, engines: postgres, want: []string{proof.NotInverse}, says: "positive"},
	{name: "the view comes back shorter", scripts: map[string]string{
		"expand.sql":            "CREATE VIEW named AS SELECT id, name FROM customers;",
		"expand.rollback.sql":   "DROP VIEW IF EXISTS named; CREATE VIEW named AS SELECT id FROM customers; DROP VIEW named; CREATE TABLE named (id integer PRIMARY KEY);",
		"contract.sql":          "SELECT 1;",
		"contract.rollback.sql": "SELECT 1;",
	}, want: []string{proof.NotInverse}, says: "named"},
	// Rows that are not what they were.
	{name: "rows are deleted", scripts: map[string]string{
		"contract.sql": "DELETE FROM orders;", "contract.rollback.sql": "SELECT 1;",
	}, want: []string{proof.LosesData}, says: "gone: id"},
	{name: "one row is deleted on the way back", scripts: map[string]string{
		"expand.sql": "ALTER TABLE orders ADD COLUMN state varchar(20);", "expand.rollback.sql": "DELETE FROM orders WHERE id = (SELECT p FROM (SELECT min(id) AS p FROM orders) AS q);\nALTER TABLE orders DROP COLUMN state;",
	}, want: []string{proof.LosesData}, says: "gone: id"},
	{name: "values are overwritten", scripts: map[string]string{
		"backfill.sql": "UPDATE customers SET note = 'unknown' WHERE note IS NULL;",
		"expand.sql":   "ALTER TABLE customers ADD COLUMN nick varchar(20);", "expand.rollback.sql": "ALTER TABLE customers DROP COLUMN nick;",
	}, want: []string{proof.LosesData}, says: "note was"},
	{name: "the column comes back empty", scripts: map[string]string{
		"contract.sql": "ALTER TABLE customers DROP COLUMN note;", "contract.rollback.sql": "ALTER TABLE customers ADD COLUMN note varchar(200) DEFAULT 'none';",
	}, want: []string{proof.LosesData}, says: "note was"},
	{name: "values are shortened", scripts: map[string]string{
		"contract.sql": "UPDATE customers SET name = substr(name, 1, 3);", "contract.rollback.sql": "SELECT 1;",
	}, want: []string{proof.LosesData}, says: "name was"},
	{name: "time loses its seconds", scripts: map[string]string{
		"contract.sql": "UPDATE orders SET placed = date_trunc('minute', placed);", "contract.rollback.sql": "SELECT 1;",
	}, engines: postgres, want: []string{proof.LosesData}, says: "12:34:56"},
	{name: "what was written since is lost", scripts: map[string]string{
		"contract.sql":          "CREATE TABLE kept AS SELECT * FROM orders;",
		"contract.rollback.sql": "DELETE FROM orders; INSERT INTO orders SELECT * FROM kept; DROP TABLE kept;",
	}, want: []string{proof.LosesData}, says: "that the new version inserted"},
	{name: "what the old version wrote since is lost", scripts: map[string]string{
		"expand.sql":          "CREATE TABLE kept AS SELECT * FROM orders;",
		"expand.rollback.sql": "DELETE FROM orders; INSERT INTO orders SELECT * FROM kept; DROP TABLE kept;",
	}, want: []string{proof.LosesData}, says: "gone: id"},
	{name: "an update of the old version is lost, with a key of two columns", scripts: map[string]string{
		"expand.sql": "CREATE TABLE kept AS SELECT * FROM parts;",
		"expand.rollback.sql": "UPDATE parts SET label = (SELECT k.label FROM kept k WHERE k.order_id = parts.order_id AND k.n = parts.n)\n" +
			"WHERE EXISTS (SELECT 1 FROM kept k WHERE k.order_id = parts.order_id AND k.n = parts.n);\nDROP TABLE kept;",
	}, want: []string{proof.LosesData}, says: "label was"},
	{name: "what the new version wrote before contract is lost", scripts: map[string]string{
		"expand.sql":            "ALTER TABLE orders ADD COLUMN state varchar(20);",
		"expand.rollback.sql":   "DELETE FROM orders WHERE state IS NOT NULL;\nALTER TABLE orders DROP COLUMN state;",
		"contract.sql":          "SELECT 1;",
		"contract.rollback.sql": "UPDATE orders SET state = NULL;",
	}, want: []string{proof.LosesData}, says: "that the new version inserted"},
	// Scripts that do not run.
	{name: "the rollback does not run", scripts: map[string]string{
		"expand.sql": "ALTER TABLE customers ADD COLUMN nick varchar(20);", "expand.rollback.sql": "ALTER TABLE customers DROP COLUMN nickname;",
	}, want: []string{proof.Fails}, says: "nickname"},
	{name: "it does not run at all", scripts: map[string]string{
		"expand.sql": "ALTER TABLE clients ADD COLUMN nick varchar(20);", "expand.rollback.sql": "ALTER TABLE clients DROP COLUMN nick;",
	}, want: []string{proof.ForwardFails}, says: "clients"},
	{name: "rows are in the way", scripts: map[string]string{
		"expand.sql": "CREATE UNIQUE INDEX one_note ON customers (note);", "expand.rollback.sql": "DROP INDEX one_note;",
	}, engines: []migrate.Engine{migrate.Postgres, migrate.SQLite}, want: []string{proof.RefusesRows}, says: "note"},
	{name: "rows are in the way there", scripts: map[string]string{
		"expand.sql": "CREATE UNIQUE INDEX one_note ON customers (note);", "expand.rollback.sql": "DROP INDEX one_note ON customers;",
	}, engines: mysqls, want: []string{proof.RefusesRows}, says: "note"},
	// The old version, which still runs.
	{name: "a required column", scripts: map[string]string{
		"expand.sql":          "ALTER TABLE orders ADD COLUMN state varchar(20);\nUPDATE orders SET state = 'new';\nALTER TABLE orders ALTER COLUMN state SET NOT NULL;",
		"expand.rollback.sql": "ALTER TABLE orders DROP COLUMN state;",
	}, engines: postgres, want: []string{proof.BlueBreaks}, says: "state"},
	{name: "a required column there", scripts: map[string]string{
		"expand.sql":          "ALTER TABLE orders ADD COLUMN state varchar(20);\nUPDATE orders SET state = 'new';\nALTER TABLE orders MODIFY state varchar(20) NOT NULL;",
		"expand.rollback.sql": "ALTER TABLE orders DROP COLUMN state;",
	}, engines: mysqls, want: []string{proof.BlueBreaks}, says: "state"},
	{name: "a column is gone before its time", scripts: map[string]string{
		"expand.sql": "ALTER TABLE customers RENAME COLUMN note TO remark;", "expand.rollback.sql": "ALTER TABLE customers RENAME COLUMN remark TO note;",
	}, want: []string{proof.BlueBreaks}, says: "note"},
	{name: "a trigger refuses", scripts: map[string]string{
		"expand.sql":          "CREATE TRIGGER closed BEFORE DELETE ON orders BEGIN SELECT RAISE(ABORT, 'orders are for ever'); END;",
		"expand.rollback.sql": "DROP TRIGGER closed;",
	}, engines: sqlite, want: []string{proof.BlueBreaks}, says: "for ever"},
}

func TestPlanted(t *testing.T) {
	check := func(engine migrate.Engine, name string) func(*testing.T) {
		return func(t *testing.T) {
			server, err := scratch.Open(t.Context(), name, scratch.Options{})
			require.NoError(t, err)
			defer func() { require.NoError(t, server.Close()) }()
			for _, c := range cases {
				if len(c.engines) == 0 || slices.Contains(c.engines, engine) {
					t.Run(c.name, func(t *testing.T) { c.check(t, engine, server) })
				}
			}
		}
	}
	t.Run("sqlite", check(migrate.SQLite, ""))
	if testing.Short() {
		return
	}
	for _, k := range []servers.Kind{servers.Postgres17, servers.MySQL9, servers.MariaDB118} {
		url, err := servers.Server(k)
		require.NoError(t, err)
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			check(migrate.Engine(k.Engine), url)(t)
		})
	}
}

// made makes scratch databases.
type made struct{ scratch.Server }

func (m made) Create(ctx context.Context) (proof.Database, error) { return m.Server.Create(ctx) }

func (c planted) check(t *testing.T, engine migrate.Engine, server scratch.Server) {
	part, err := proofOf(t, engine, server, c.scripts).Rollback(t.Context())
	require.NoError(t, err)
	var rules []string
	var text strings.Builder
	for _, f := range part.Findings {
		rules = append(rules, f.Rule)
		text.WriteString(f.Message + "\n" + f.Object + "\n" + f.Evidence + "\n")
		require.NotEmpty(t, f.Place.File)
		require.Equal(t, "1_planted", f.Place.Change)
	}
	slices.Sort(rules)
	require.Equal(t, c.want, slices.Compact(rules), text.String())
	require.Contains(t, text.String(), c.says)
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
		Scratch: made{server}, Folder: dir, Changes: folder.Changes,
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
