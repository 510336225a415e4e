package snapshots

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// tableKinds are one server of each engine, and the oldest where it differs.
func tableKinds() []servers.Kind { return append(servers.Main(), servers.Postgres15) }

// shop is a shop whose orders hang on customers, with a table without a key.
var shop = map[migrate.Engine]string{
	migrate.SQLite: `
CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL COLLATE NOCASE, email TEXT UNIQUE, score REAL DEFAULT (1 + 1), data BLOB, boss INTEGER REFERENCES customers (id), upper_name TEXT AS (upper(name)));
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customers (id), total INTEGER NOT NULL CHECK (total > 0));
CREATE TABLE notes (customer INTEGER, text TEXT);
CREATE TABLE audit (what TEXT);
CREATE TRIGGER on_customer AFTER DELETE ON customers BEGIN INSERT INTO audit VALUES ('gone ' || OLD.id); END;
CREATE VIEW names AS SELECT name FROM customers;`,
	migrate.Postgres: `
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email text UNIQUE, score numeric(10,3) DEFAULT (1 + 1), data bytea, boss bigint REFERENCES customers (id), mood mood DEFAULT 'ok', upper_name text GENERATED ALWAYS AS (upper(name)) STORED);
CREATE TABLE orders (id serial PRIMARY KEY, customer bigint NOT NULL REFERENCES customers (id), total int NOT NULL CHECK (total > 0));
CREATE TABLE notes (customer bigint, text text);
CREATE TABLE audit (what text);
CREATE FUNCTION on_customer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES ('gone ' || OLD.id); RETURN NULL; END $$;
CREATE TRIGGER on_customer AFTER DELETE ON customers FOR EACH ROW EXECUTE FUNCTION on_customer();
CREATE VIEW names AS SELECT name FROM customers;`,
	migrate.MySQL: shopMySQL, migrate.MariaDB: shopMySQL,
}

const shopMySQL = `
CREATE TABLE customers (id bigint AUTO_INCREMENT PRIMARY KEY, name varchar(50) NOT NULL, email varchar(50) UNIQUE, score decimal(10,3) DEFAULT 2, data varbinary(100), boss bigint, upper_name varchar(50) AS (upper(name)) STORED, FOREIGN KEY (boss) REFERENCES customers (id));
CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, customer bigint NOT NULL, total int NOT NULL CHECK (total > 0), FOREIGN KEY (customer) REFERENCES customers (id));
CREATE TABLE notes (customer bigint, text text);
CREATE TABLE audit (what text);
CREATE TRIGGER on_customer AFTER DELETE ON customers FOR EACH ROW INSERT INTO audit VALUES (concat('gone ', OLD.id));
CREATE VIEW names AS SELECT name FROM customers;`

// shopRows hold what text formats stumble over. Customer 7 has no orders, customers 2 to 6 have.
var shopRows = []string{
	`INSERT INTO customers (name, email) VALUES ('Ada', 'ada@example.org'), ('tab	and ''quote''', NULL), ('grüße ☂', ''), ('', 'd@example.org'), ('ada', 'e@example.org'), ('Grace', 'g@example.org'), ('Alan', 'a@example.org')`,
	`UPDATE customers SET boss = 7 WHERE id IN (1, 2)`,
	`INSERT INTO orders (customer, total) VALUES (2, 10), (3, 20), (4, 30), (5, 40), (6, 50)`,
	`INSERT INTO notes VALUES (1, 'a'), (1, 'a'), (NULL, NULL)`,
}

// table is a database with a snapshot of it.
type table struct {
	t     *testing.T
	url   string
	db    database.Database
	store *snapshot.Store
	m     *snapshot.Manifest
}

// newShop fills a shop and takes a snapshot.
func newShop(t *testing.T, url string) *table {
	s := &table{t: t, url: url, db: openDatabase(t, url), store: newStore(t)}
	s.exec(statementsOf(shop[s.db.Dialect().Engine])...)
	s.exec(shopRows...)
	s.m = create(t, s.store, url)
	return s
}

// statementsOf cuts a script at the ends of its lines.
func statementsOf(script string) []string { return strings.Split(strings.TrimSpace(script), ";\n") }

func (s *table) exec(statements ...string) {
	s.t.Helper()
	for _, x := range statements {
		if s.db.Dialect().Engine == migrate.Postgres {
			x = strings.Replace(x, "INTO customers (id, name) VALUES", "INTO customers (id, name) OVERRIDING SYSTEM VALUE VALUES", 1)
		}
		_, err := s.db.DB().ExecContext(s.t.Context(), x)
		require.NoError(s.t, err, x)
	}
}

func (s *table) number(query string) (n int) {
	s.t.Helper()
	require.NoError(s.t, s.db.DB().QueryRowContext(s.t.Context(), query).Scan(&n), query)
	return n
}

func (s *table) shelf() snapshot.Shelf { return s.db.(snapshot.Shelf) }

// model is the model of the live database without the tables that are named.
func (s *table) model(without ...string) string {
	s.t.Helper()
	model, err := s.shelf().Inspect(s.t.Context())
	require.NoError(s.t, err)
	for _, n := range model.Schemas {
		n.Tables = slices.DeleteFunc(n.Tables, func(t *schema.Table) bool { return slices.Contains(without, t.Name) })
	}
	text, err := json.Marshal(model)
	require.NoError(s.t, err)
	return string(text)
}

func (s *table) lay(o snapshot.TableOptions) (*snapshot.TableRestored, error) {
	o.LockTimeout = 2 * time.Second
	return s.store.Lay(s.t.Context(), s.shelf(), s.m, o)
}

// sameRows wants two tables to have the same rows in the columns named.
func (s *table) sameRows(a, b, columns string) {
	s.t.Helper()
	if e := s.db.Dialect().Engine; e == migrate.MySQL || e == migrate.MariaDB { // whose texts are the same whatever their case
		list := strings.Split(columns, ", ")
		for i, c := range list {
			list[i] = "hex(" + c + ")"
		}
		columns = strings.Join(list, ", ")
	}
	for _, x := range [][2]string{{a, b}, {b, a}} {
		require.Zero(s.t, s.number("SELECT count(*) FROM (SELECT "+columns+" FROM "+x[0]+" EXCEPT SELECT "+columns+" FROM "+x[1]+") x"))
	}
	require.Equal(s.t, s.number("SELECT count(*) FROM "+a), s.number("SELECT count(*) FROM "+b))
}

// TestTableBeside restores a table beside the live one, which stays as it is with all else.
func TestTableBeside(t *testing.T) {
	servers.Each(t, tableKinds(), func(t *testing.T, url string) {
		s := newShop(t, url)
		s.exec("CREATE TABLE kept AS SELECT id, name, email, score FROM customers")
		s.exec("DELETE FROM orders WHERE customer = 6", "DELETE FROM customers WHERE id = 6", "UPDATE customers SET name = 'other' WHERE id = 1")
		before := s.model()
		r, err := s.lay(snapshot.TableOptions{Table: "customers", DryRun: true})
		require.NoError(t, err)
		require.Equal(t, before, s.model(), "a dry run changes nothing")
		require.EqualValues(t, 6, *r.RowsNow)
		r, err = s.lay(snapshot.TableOptions{Table: "customers"})
		require.NoError(t, err)
		_, as, found := strings.Cut(r.Beside, ".")
		if !found {
			as = r.Beside
		}
		require.Regexp(t, `^customers_restored_\d{8}_[0-9a-f]{6}$`, as)
		require.EqualValues(t, 7, r.Rows)
		require.Equal(t, before, s.model(as), "the live database is otherwise as it was")
		s.sameRows(as, "kept", "id, name, email, score")
		require.Equal(t, 6, s.number("SELECT count(*) FROM customers"))
		require.Equal(t, 1, s.number("SELECT count(*) FROM audit"), "triggers do not act on the copy")

		is, err := s.shelf().Inspect(t.Context())
		require.NoError(t, err)
		var live, copied *schema.Table
		for _, n := range is.Schemas {
			if n.Table(as) != nil {
				live, copied = n.Table("customers"), n.Table(as)
			}
		}
		require.Len(t, copied.Columns, len(live.Columns))
		for i, c := range copied.Columns {
			l := live.Columns[i]
			require.Equal(t, []string{l.Name, l.Type, l.Default, l.Generated, l.Collation}, []string{c.Name, c.Type, c.Default, c.Generated, c.Collation})
			require.Equal(t, l.NotNull, c.NotNull)
		}
		for _, k := range copied.Constraints {
			require.Contains(t, []string{schema.PrimaryKey, schema.NotNull}, k.Type)
		}
		require.Empty(t, copied.Triggers)
		_, err = s.lay(snapshot.TableOptions{Table: "customers"})
		require.ErrorContains(t, err, "already")
		_, err = s.lay(snapshot.TableOptions{Table: "notes", As: "names"})
		require.ErrorContains(t, err, "there is a view names already")
		_, err = s.lay(snapshot.TableOptions{Table: "notes", As: "notes2"})
		require.NoError(t, err)
		s.sameRows("notes", "notes2", "customer, text")
	})
}

// TestTableNamed resolves names by the rules of each engine, and proposes those that are near.
func TestTableNamed(t *testing.T) {
	servers.Each(t, tableKinds(), func(t *testing.T, url string) {
		s := &table{t: t, url: url, db: openDatabase(t, url), store: newStore(t)}
		engine, long := s.db.Dialect().Engine, strings.Repeat("é", 30)
		create_ := func(name string) { s.exec("CREATE TABLE " + name + " (id int PRIMARY KEY)") }
		q := s.db.Dialect().Quote
		create_("orders")
		create_(q(long))
		good, bad := []string{"orders", `"orders"`, "`orders`"}, []string{"order.s.x", `"orders`, "", ".orders", "nowhere.orders", `""`}
		switch engine {
		case migrate.SQLite:
			good = append(good, "ORDERS", "main.Orders")
		case migrate.Postgres:
			s.exec("CREATE SCHEMA other")
			create_("other.things")
			create_(`other."Things"`)
			create_(`other.orders`)
			good, bad = append(good, "ORDERS", "public.orders", `other."Things"`, "THINGS", "Other.orders"), append(bad, `"ORDERS"`)
		default:
			bad = append(bad, "ORDERS")
			good = append(good, nameOf(t, url)+".orders")
		}
		s.m = create(t, s.store, url)
		for _, name := range good {
			_, err := s.lay(snapshot.TableOptions{Table: name, DryRun: true})
			require.NoError(t, err, name)
		}
		for _, name := range bad {
			_, err := s.lay(snapshot.TableOptions{Table: name})
			require.Error(t, err, name)
			require.Contains(t, err.Error(), "state: nothing was changed")
		}
		_, err := s.lay(snapshot.TableOptions{Table: "oders"})
		require.ErrorContains(t, err, "next: one of those it has: ")
		require.ErrorContains(t, err, "orders")
		r, err := s.lay(snapshot.TableOptions{Table: long})
		require.NoError(t, err)
		require.Zero(t, s.number("SELECT count(*) FROM "+q(strings.TrimPrefix(r.Beside, "public."))))
		if engine != migrate.SQLite {
			_, err = s.lay(snapshot.TableOptions{Table: "orders", As: strings.Repeat("x", 65)})
			require.ErrorContains(t, err, "longer than")
		}
	})
}

// TestTableOfEveryKind lays every table of a database that has every kind of object.
func TestTableOfEveryKind(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range append(servers.Main(), servers.Postgres18) {
		t.Run(k.Name, func(t *testing.T) {
			url := servers.URL(t, k)
			if k.Engine == "postgres" {
				psql(t, k, url, kindsSchema(t, k)+kindsRows)
			} else {
				loadMySQL(t, k, url, nastyMySQL(k)...)
			}
			s := &table{t: t, url: url, db: openDatabase(t, url), store: newStore(t)}
			s.m = create(t, s.store, url)
			model, err := s.shelf().Inspect(t.Context())
			require.NoError(t, err)
			before, laid := s.model(), 0
			q := s.db.Dialect().Quote
			for _, n := range model.Schemas {
				for _, table := range n.Tables {
					name := q(table.Name)
					if k.Engine == "postgres" {
						name = q(n.Name) + "." + name
					}
					r, err := s.lay(snapshot.TableOptions{Table: name, As: "laid_copy"})
					if err != nil {
						require.Regexp(t, `foreign table|no ordinary table|keeps the past of its rows|is a partition of`, err.Error(), name)
						continue
					}
					laid++
					as := strings.Replace(name, q(table.Name), "laid_copy", 1)
					require.EqualValues(t, r.Rows, s.number("SELECT count(*) FROM "+as), name)
					s.exec("DROP TABLE " + as)
				}
			}
			require.Equal(t, before, s.model())
			require.Greater(t, laid, 5)
			t.Logf("%d tables", laid)
		})
	}
}

// TestTableDamaged reads the chunks of the table alone, and refuses those that are damaged before it writes.
func TestTableDamaged(t *testing.T) {
	servers.Each(t, servers.Main(), func(t *testing.T, url string) {
		dir := t.TempDir()
		s := newShop(t, url)
		s.store = snapshot.NewStore(snapshot.Folder(dir))
		s.m = create(t, s.store, url)
		before := s.model()
		for _, p := range s.m.Parts {
			damage := p.Table == "notes" || p.Name == "database.sqlite"
			for _, c := range p.Chunks {
				if damage {
					file := filepath.Join(dir, s.m.ID, "chunks", c.File)
					data, err := os.ReadFile(file)
					require.NoError(t, err)
					data[len(data)/2] ^= 1
					require.NoError(t, os.WriteFile(file, data, 0o600))
				}
			}
		}
		_, err := s.lay(snapshot.TableOptions{Table: "notes"})
		var damaged *snapshot.DamagedError
		require.ErrorAs(t, err, &damaged)
		require.Equal(t, before, s.model())
		if s.db.Dialect().Engine != migrate.SQLite {
			_, err = s.lay(snapshot.TableOptions{Table: "orders"})
			require.NoError(t, err, "the damage is in another table")
		}
	})
}

// TestTableKilled kills the command at every mark: the live database is as it was but for the copy, which is
// whole or not there, and the same command goes through.
func TestTableKilled(t *testing.T) {
	servers.Each(t, servers.Main(), func(t *testing.T, url string) {
		s := newShop(t, url)
		dir := t.TempDir()
		s.store = snapshot.NewStore(snapshot.Folder(filepath.Join(dir, "store")))
		s.m = create(t, s.store, url)
		before := s.model()
		args := []string{"snapshot", "restore", "--store", "store", "--url", url, "--table", "customers", "--as", "back", s.m.ID}
		all := marks(t, dir, args...)
		require.GreaterOrEqual(t, len(all), 4)
		s.exec("DROP TABLE back")
		for n := range all {
			c := start(t, dir, []string{"KILL=" + strconv.Itoa(n+1)}, args...)
			require.Equal(t, -1, c.End(t), c.Out.String())
			if s.model() == before {
				run(t, dir, args...)
			}
			require.Equal(t, before, s.model("back"), all[n])
			s.sameRows("back", "customers", "id, name, email, score")
			s.exec("DROP TABLE back")
		}
		run(t, dir, args...)
		s.exec("DROP TABLE back")
		require.Equal(t, before, s.model())
		require.Empty(t, s.leftBehind())
	})
}

// leftBehind are the tables and files of a restore that are there when none runs.
func (s *table) leftBehind() []string {
	var list []string
	query := "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'switchback_restoring%'"
	if file, ok := strings.CutPrefix(s.url, "sqlite:"); ok {
		query = "SELECT name FROM sqlite_schema WHERE name LIKE 'switchback_restoring%'"
		files, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".switchback-restore-*"))
		require.NoError(s.t, err)
		list = files
	} else if s.db.Dialect().Engine != migrate.Postgres {
		query += " AND table_schema = DATABASE()"
	}
	rows, err := s.db.DB().QueryContext(s.t.Context(), query)
	require.NoError(s.t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(s.t, rows.Scan(&name))
		list = append(list, name)
	}
	require.NoError(s.t, rows.Err())
	return list
}
