package integration

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	liteddl "github.com/switchbackdb/switchback/ddl/sqlite"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database/sqlite"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
	"github.com/switchbackdb/switchback/schema"
)

// liteTour is a change that goes through all its phases and back while both versions of an application write.
type liteTour struct {
	schema string   // statements
	ops    []string // to plan
	// What the versions write. %d is a number that is another one each time.
	blue, green []string
	filled      []string // what green can write once the rows are filled
	late        []string // what green alone can write, once contract is done
	differ      string   // condition of rows that are not the same in both shapes, from expand to contract
	attic       string   // likewise, after contract
	table       string
	refused     []string // statements that fail as they did before
	kept, keeps string   // a query, and what it finds once everything is rolled back
	final       string   // the schema once the attic is empty
}

func liteTours() map[string]liteTour {
	return map[string]liteTour{
		"rename": {
			schema: `CREATE TABLE users (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL CHECK (name <> ''), -- called
  age INT
);
CREATE INDEX users_name ON users (name);
INSERT INTO users (name, age) VALUES ('Ann', 36), ('Bob', 40), ('Ada', 41);`,
			ops:    []string{"rename column users.name full_name"},
			blue:   []string{"INSERT INTO users (name, age) VALUES ('blue %d', 1)", "UPDATE users SET name = 'blue again %d' WHERE id = 1", "INSERT OR REPLACE INTO users (id, name) VALUES (2, 'replaced %d')", "INSERT INTO users (id, name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET name = 'upsert %d'"},
			green:  []string{"INSERT INTO users (full_name, age) VALUES ('green %d', 1)", "UPDATE users SET full_name = 'green again %d' WHERE id = 2", "REPLACE INTO users (id, full_name) VALUES (2, 'replaced %d')", "INSERT INTO users (id, full_name) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET full_name = excluded.full_name || ' upsert %d'"},
			differ: "name IS NOT full_name OR name IS NULL",
			attic:  "switchback_old_name IS NOT full_name OR full_name IS NULL",
			kept:   "SELECT group_concat(name, ', ') FROM (SELECT name FROM users WHERE name = 'Ada' ORDER BY id)", keeps: "Ada",
			final:   `CREATE TABLE users (id INTEGER PRIMARY KEY, age INT, full_name TEXT NOT NULL, CHECK (full_name <> '')); CREATE INDEX users_name ON users (full_name);`,
			refused: []string{"INSERT INTO users (age) VALUES (1)", "UPDATE users SET %s = NULL", "UPDATE users SET %s = ''", "INSERT INTO users (age, %s) VALUES (1, NULL)"},
		},
		"rename with a default, without case": {
			schema: `CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL DEFAULT "nobody" COLLATE NOCASE, n INT);
INSERT INTO users (name) VALUES ('Ada'), ('nobody');`,
			ops:    []string{"rename column users.name full_name"},
			blue:   []string{"INSERT INTO users (name) VALUES ('blue %d')", "UPDATE users SET name = upper(name)", "UPDATE users SET name = lower(name)", "INSERT INTO users (n) VALUES (%d)"},
			green:  []string{"INSERT INTO users (full_name) VALUES ('green %d')", "UPDATE users SET full_name = upper(full_name)", "UPDATE users SET full_name = lower(full_name)", "INSERT INTO users (n) VALUES (%d)", "INSERT INTO users DEFAULT VALUES"},
			differ: "name COLLATE BINARY IS NOT full_name OR name IS NULL",
			attic:  "switchback_old_name COLLATE BINARY IS NOT full_name",
			final:  `CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, n INT, full_name TEXT NOT NULL DEFAULT 'nobody' COLLATE NOCASE)`,
		},
		"rename, unique and quoted": {
			schema: `CREATE TABLE "Order Items" ("Id" INTEGER PRIMARY KEY, [the sku] TEXT CONSTRAINT "One Each" UNIQUE, Qty INT NOT NULL DEFAULT 1 CONSTRAINT some CHECK ("Order Items".qty > 0), UNIQUE ("THE SKU", qty));
INSERT INTO "order items" ("the sku") VALUES ('a'), ('b'), (NULL);`,
			table:   `"Order Items"`,
			ops:     []string{`rename column "Order Items"."the sku" "S""KU"`, `rename column "Order Items".Qty "select"`},
			blue:    []string{`INSERT INTO "Order Items" ("the sku", qty) VALUES ('b%d', 2)`, `INSERT INTO "order items" ("the sku", qty) VALUES ('u', 2) ON CONFLICT ("the sku") DO UPDATE SET qty = qty + 1`, `INSERT OR REPLACE INTO "Order Items" ("the sku") VALUES ('a')`},
			green:   []string{`INSERT INTO "Order Items" ("S""KU", "select") VALUES ('g%d', 2)`, `INSERT OR REPLACE INTO "Order Items" ("S""KU") VALUES ('a')`, `UPDATE "Order Items" SET "select" = "select" + 1`},
			late:    []string{`INSERT INTO "order items" ("S""KU", "select") VALUES ('u', 2) ON CONFLICT ("S""KU") DO UPDATE SET "select" = "select" + 1`},
			differ:  `"the sku" IS NOT "S""KU" OR qty IS NOT "select"`,
			attic:   `"switchback_old_the sku" IS NOT "S""KU" OR "switchback_old_Qty" IS NOT "select"`,
			final:   `CREATE TABLE "Order Items" (Id INTEGER PRIMARY KEY, "S""KU" TEXT CONSTRAINT "One Each" UNIQUE, "select" INT NOT NULL DEFAULT 1 CONSTRAINT some CHECK ("select" > 0), UNIQUE ("S""KU", "select"))`,
			refused: []string{`UPDATE "Order Items" SET qty = 0`, `UPDATE "Order Items" SET "select" = 0`},
		},
		"without rowid, strict": {
			schema: `CREATE TABLE prices (shop TEXT NOT NULL, item TEXT NOT NULL, cents INTEGER NOT NULL, note TEXT, PRIMARY KEY (shop, item)) STRICT, WITHOUT ROWID;
INSERT INTO prices VALUES ('a', 'x', 100, 'n'), ('a', 'y', 200, NULL);`,
			ops:    []string{"rename column prices.note remark", "change type prices.cents TEXT"},
			blue:   []string{"INSERT INTO prices (shop, item, cents, note) VALUES ('b', 'i%d', 5, 'blue')", "UPDATE prices SET cents = cents + 1, note = 'changed'", "UPDATE prices SET item = 'moved %d', note = 'also' WHERE item = 'y'"},
			green:  []string{"INSERT INTO prices (shop, item, cents, remark) VALUES ('g', 'i%d', 5, 'green')", "UPDATE prices SET remark = 'green %d'"},
			late:   []string{"INSERT INTO prices (shop, item, cents, remark) VALUES ('l', 'i%d', '5', 'green')", "UPDATE prices SET cents = cents || '1' WHERE shop = 'l'"},
			differ: "note IS NOT remark OR switchback_new_cents IS NOT CAST(cents AS TEXT)",
			kept:   "SELECT shop || item || typeof(cents) FROM prices WHERE item = 'x'", keeps: "axinteger",
			final: `CREATE TABLE prices (shop TEXT NOT NULL, item TEXT NOT NULL, remark TEXT, cents TEXT NOT NULL, PRIMARY KEY (shop, item)) STRICT, WITHOUT ROWID`,
			attic: "switchback_old_note IS NOT remark OR CAST(cents AS INTEGER) IS NOT switchback_old_cents",
		},
		"generated, triggers, views, foreign keys": {
			schema: `CREATE TABLE teams (id INTEGER PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE log (what TEXT);
CREATE TABLE users (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, team INT NOT NULL REFERENCES teams (id) ON DELETE CASCADE ON UPDATE CASCADE,
  shout AS (upper(name)), kept TEXT AS (name || '!') STORED
);
CREATE TABLE posts (id INTEGER PRIMARY KEY, author INT REFERENCES users (id) ON DELETE CASCADE, body TEXT);
CREATE INDEX users_lower ON users (lower(name)) WHERE name <> 'nobody';
CREATE VIEW named AS SELECT u.id, u.name, t.title FROM users u JOIN teams t ON t.id = u.team;
CREATE TRIGGER logged AFTER UPDATE OF name ON users BEGIN INSERT INTO log VALUES (OLD.name || ' is ' || NEW.name); END;
CREATE TRIGGER trimmed AFTER INSERT ON users WHEN NEW.name <> trim(NEW.name) BEGIN UPDATE users SET name = trim(name) WHERE id = NEW.id; END;
INSERT INTO teams VALUES (1, 'one'), (2, 'two'), (3, 'three');
INSERT INTO users (name, team) VALUES ('Ada', 1), ('Bob', 2);
INSERT INTO posts VALUES (1, 1, 'hello');`,
			ops:    []string{"rename column users.name full_name", "rename column users.team group_id"},
			blue:   []string{"INSERT INTO users (name, team) VALUES (' blue %d ', 1)", "UPDATE users SET name = 'blue %d', team = 2 WHERE id = 1", "UPDATE users SET team = 1 WHERE id = 2", "INSERT OR IGNORE INTO teams VALUES (3, 'three')", "INSERT INTO users (name, team) VALUES ('gone', 3)", "UPDATE teams SET id = id + 1000 WHERE id = 3", "DELETE FROM teams WHERE id > 1000"},
			green:  []string{"INSERT INTO users (full_name, group_id) VALUES ('green %d', 1)", "UPDATE users SET full_name = 'green %d', group_id = 1 WHERE id = 2", "INSERT INTO posts (author, body) VALUES (1, 'green %d')", "INSERT OR IGNORE INTO teams VALUES (3, 'three')", "INSERT INTO users (full_name, group_id) VALUES ('gone', 3)", "DELETE FROM teams WHERE id = 3"},
			differ: "name IS NOT full_name OR team IS NOT group_id OR shout IS NOT upper(name)",
			attic:  "switchback_old_name IS NOT full_name OR switchback_old_team IS NOT group_id OR shout IS NOT upper(full_name)",
			kept:   "SELECT body FROM posts WHERE id = 1", keeps: "hello",
			final: `CREATE TABLE teams (id INTEGER PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE log (what TEXT);
CREATE TABLE users (
  id INTEGER PRIMARY KEY, full_name TEXT NOT NULL, group_id INT NOT NULL REFERENCES teams (id) ON DELETE CASCADE ON UPDATE CASCADE,
  shout AS (upper(full_name)), kept TEXT AS (full_name || '!') STORED
);
CREATE TABLE posts (id INTEGER PRIMARY KEY, author INT REFERENCES users (id) ON DELETE CASCADE, body TEXT);
CREATE INDEX users_lower ON users (lower(full_name)) WHERE full_name <> 'nobody';
CREATE VIEW named AS SELECT u.id, u.full_name AS name, t.title FROM users u JOIN teams t ON t.id = u.group_id;
CREATE TRIGGER logged AFTER UPDATE OF full_name ON users BEGIN INSERT INTO log VALUES (OLD.full_name || ' is ' || NEW.full_name); END;
CREATE TRIGGER trimmed AFTER INSERT ON users WHEN NEW.full_name <> trim(NEW.full_name) BEGIN UPDATE users SET full_name = trim(full_name) WHERE id = NEW.id; END;`,
		},
		"type there and back": {
			schema: `CREATE TABLE t (id TEXT PRIMARY KEY, n TEXT NOT NULL DEFAULT '7' CHECK (length(n) < 20), r REAL);
CREATE INDEX t_n ON t (n DESC);
INSERT INTO t VALUES ('a', '5', 1.5), ('b', ' 6 ', 2.75), (NULL, '12', NULL), ('z', '007', 3);`,
			ops:   []string{"change type t.n INTEGER", "change type t.r int"},
			blue:  []string{"INSERT INTO t (id, n, r) VALUES ('b%d', '5', 1.25)", "INSERT INTO t (id) VALUES ('d%d')", "UPDATE t SET n = '0' || n WHERE id = 'a'"},
			green: []string{"INSERT INTO t (id, n, r) VALUES ('g%d', 8, 1)"},
			late:  []string{"UPDATE t SET n = n + 1 WHERE id LIKE 'g%%' OR id LIKE '%%%d'"},
			kept:  "SELECT group_concat(quote(n) || r) FROM t WHERE id IN ('b', 'z')", keeps: "' 6 '2.75,'007'3.0",
			final:  `CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER NOT NULL DEFAULT '7' CHECK (length(n) < 20), r INT); CREATE INDEX t_n ON t (n DESC)`,
			differ: "switchback_new_n IS NOT CAST(n AS INTEGER) OR switchback_new_r IS NOT CAST(round(r) AS INTEGER)",
			attic:  "n IS NOT CAST(switchback_old_n AS INTEGER) OR r IS NOT CAST(round(switchback_old_r) AS INTEGER)",
			table:  "t",
		},
		"split": {
			schema: `CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO users (name) VALUES ('Ada Lovelace'), ('Alan Turing');`,
			ops:    []string{"split column users.name into first TEXT not null = (substr(name, 1, instr(name || ' ', ' ') - 1)), last TEXT = (substr(name, instr(name || ' ', ' ') + 1)) down (first || ' ' || last)"},
			blue:   []string{"INSERT INTO users (name) VALUES ('Grace Hopper')", "UPDATE users SET name = 'Mary Ann Evans' WHERE id = 1"},
			green:  []string{"INSERT INTO users (first, last) VALUES ('Mary Ann', 'Evans%d')"},
			filled: []string{"UPDATE users SET first = 'Jean Marie' WHERE id = 2", "UPDATE users SET last = 'x' WHERE id = 1"},
			differ: "name IS NOT first || ' ' || last",
			attic:  "switchback_old_name IS NOT first || ' ' || last",
			final:  `CREATE TABLE users (id INTEGER PRIMARY KEY, first TEXT NOT NULL, last TEXT)`,
		},
	}
}

func TestToursSQLite(t *testing.T) {
	for name, tour := range liteTours() {
		for _, recursive := range []int{0, 1} {
			t.Run(fmt.Sprintf("%s/%d", name, recursive), func(t *testing.T) {
				t.Parallel()
				newLiteRun(t, tour, recursive).all()
			})
		}
	}
}

// liteRun is a tour under way.
type liteRun struct {
	*target
	liteTour
	app    *sql.DB
	number int
	start  *schema.Database
	before string // the text of the catalogue
}

func newLiteRun(t *testing.T, tour liteTour, recursive int) *liteRun {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shop.db")
	app, err := sql.Open("sqlite", fmt.Sprintf("file:%s?_pragma=busy_timeout(10000)&_pragma=foreign_keys(1)&_pragma=recursive_triggers(%d)", file, recursive))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, app.Close()) })
	_, err = app.ExecContext(t.Context(), tour.schema)
	require.NoError(t, err)
	r := &liteRun{liteTour: tour, app: app}
	// Foreign keys are on for the runner as well: writing a table anew must not fire them.
	db, err := sqlite.Open(t.Context(), "sqlite:"+file+"?_pragma=foreign_keys(1)", sqlite.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	r.target = &target{t: t, plain: app, db: db, runner: migrate.NewRunner(db, migrate.Options{}), changes: t.TempDir()}
	r.start, r.before = r.inspect(), r.catalogue()
	if len(tour.ops) == 0 {
		return r
	}
	if r.table == "" {
		r.table = regexp.MustCompile(`\w+ \w+ (\w+)\.`).FindStringSubmatch(tour.ops[0])[1]
	}
	r.plan("20261124093000_tour", tour.ops...)
	return r
}

func (r *liteRun) inspect() *schema.Database {
	r.t.Helper()
	d, err := sqlite.Inspect(r.t.Context(), r.app)
	require.NoError(r.t, err)
	return d
}

// catalogue is the text of the catalogue. ALTER TABLE puts the names it writes into quotes, and where a table
// is written anew, its own name before a column is left out.
func (r *liteRun) catalogue() string {
	return regexp.MustCompile(`CREATE TABLE "(\w+)"`).ReplaceAllString(strings.ReplaceAll(r.text("SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE 'switchback\\_%' ESCAPE '\\' AND tbl_name NOT LIKE 'switchback\\_%' ESCAPE '\\' ORDER BY type, name)"), `"Order Items".`, ""), "CREATE TABLE $1")
}

func (r *liteRun) draft(id string, texts ...string) (*recipe.Draft, error) {
	r.t.Helper()
	var ops []recipe.Operation
	for _, text := range texts {
		op, err := recipe.Parse(text)
		require.NoError(r.t, err)
		ops = append(ops, op)
	}
	return recipe.Plan(r.inspect(), ops, recipe.Options{Engine: migrate.SQLite, Writer: liteddl.Writer{}, ID: id})
}

func (r *liteRun) plan(id string, texts ...string) {
	r.t.Helper()
	draft, err := r.draft(id, texts...)
	require.NoError(r.t, err)
	r.files(id, draft)
}

func (r *liteRun) planned(id string, operations []recipe.Operation) {
	r.t.Helper()
	draft, err := recipe.Plan(r.start, operations, recipe.Options{Engine: migrate.SQLite, Writer: liteddl.Writer{}, ID: id})
	require.NoError(r.t, err)
	r.files(id, draft)
}

func (r *liteRun) files(id string, draft *recipe.Draft) {
	r.t.Helper()
	files := map[string]string{}
	for _, f := range draft.Files(migrate.SQLite) {
		files[f.Name] = f.Text
	}
	r.change(id, files)
}

func (r *liteRun) write(lists ...[]string) {
	r.t.Helper()
	for _, list := range lists {
		for _, statement := range list {
			r.number++
			if strings.Contains(statement, "%d") {
				statement = fmt.Sprintf(statement, r.number)
			}
			r.exec(statement)
		}
	}
}

func (r *liteRun) same(condition, when string) {
	r.t.Helper()
	require.Equal(r.t, "0", r.text(fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", r.table, condition)), "%s: %s", when, condition)
}

func (r *liteRun) refuse(columns ...string) {
	r.t.Helper()
	for _, statement := range r.refused {
		for _, c := range columns {
			text := strings.ReplaceAll(statement, "%s", c)
			_, err := r.app.ExecContext(r.t.Context(), text)
			require.ErrorContains(r.t, err, "constraint failed", text)
		}
	}
}

func (r *liteRun) unchanged(when string) {
	r.t.Helper()
	d, err := diff.Compare(r.start, r.inspect(), diff.Options{})
	require.NoError(r.t, err)
	require.Empty(r.t, d.Changes, when)
	require.Equal(r.t, r.before, r.catalogue(), when)
	require.Equal(r.t, "", r.text("SELECT group_concat(\"table\") FROM pragma_foreign_key_check"), when)
	require.Equal(r.t, "ok", r.text("PRAGMA integrity_check"), when)
}

// ends compares the schema with the one it is to have in the end.
func (r *liteRun) ends() {
	r.t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	require.NoError(r.t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(r.t.Context(), r.final)
	require.NoError(r.t, err)
	want, err := sqlite.Inspect(r.t.Context(), db)
	require.NoError(r.t, err)
	d, err := diff.Compare(want, r.inspect(), diff.Options{})
	require.NoError(r.t, err)
	require.Empty(r.t, d.Changes, r.catalogue())
}

func (r *liteRun) all() {
	t := r.t
	require.NoError(t, r.forward(migrate.Expand))
	r.write(r.blue, r.green)
	require.NoError(t, r.back(migrate.BackOptions{LastPhase: true}))
	r.unchanged("expand rolled back")
	r.write(r.blue)

	require.NoError(t, r.forward(migrate.Expand))
	r.write(r.blue, r.green, r.blue)
	require.NoError(t, r.forward(migrate.Backfill))
	r.same(r.differ, "filled")
	r.write(r.green, r.blue, r.filled, r.green)
	r.same(r.differ, "filled, and written since")
	filled := r.inspect()
	require.NoError(t, r.back(migrate.BackOptions{LastPhase: true}))
	r.write(r.blue, r.green)
	r.same(r.differ, "backfill rolled back")
	require.NoError(t, r.forward(migrate.Backfill))
	r.same(r.differ, "filled again")
	if strings.Contains(strings.Join(r.refused, ""), "%s") {
		r.refuse("name")
	} else {
		r.refuse("")
	}

	require.NoError(t, r.forward(migrate.Contract))
	r.same(r.attic, "contracted")
	r.write(r.green, r.filled, r.late, r.green)
	r.same(r.attic, "contracted, and written since")
	contracted := r.inspect()
	require.NoError(t, r.back(migrate.BackOptions{LastPhase: true}))
	r.same(r.differ, "contract rolled back")
	d, err := diff.Compare(filled, r.inspect(), diff.Options{})
	require.NoError(t, err)
	require.Empty(t, d.Changes)
	r.write(r.blue, r.green)
	r.same(r.differ, "contract rolled back, and written since")
	require.NoError(t, r.forward(migrate.Contract))
	r.write(r.late, r.green)
	d, err = diff.Compare(contracted, r.inspect(), diff.Options{})
	require.NoError(t, err)
	require.Empty(t, d.Changes)
	require.NoError(t, r.back(migrate.BackOptions{To: "0"}))
	r.unchanged("everything rolled back")
	if r.kept != "" {
		require.Equal(t, r.keeps, r.text(r.kept))
	}
	r.write(r.blue)

	require.NoError(t, r.forward(migrate.Expand, migrate.Backfill, migrate.Contract))
	r.same(r.attic, "contracted at last")
	require.NoError(t, r.forward(migrate.Purge))
	r.write(r.green, r.late)
	require.NotContains(t, r.catalogue(), "switchback")
	r.ends()
	require.Equal(t, "ok", r.text("PRAGMA integrity_check"))
	require.Equal(t, "", r.text("SELECT group_concat(\"table\") FROM pragma_foreign_key_check"))
}

// A table that a change has in two shapes is none to plan another one on; once it is contracted, the triggers of
// both keep three shapes in step.
func TestChainSQLite(t *testing.T) {
	for i, null := range []string{"", "", "NOT NULL", "NOT NULL"} {
		recursive := i % 2
		t.Run(fmt.Sprint(null, recursive), func(t *testing.T) {
			r := newLiteRun(t, liteTour{
				schema: `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT ` + null + `); INSERT INTO t (a) VALUES ('1'), ('02'), ('3');`,
				ops:    []string{"rename column t.a b"},
			}, recursive)
			require.NoError(t, r.forward(migrate.Expand, migrate.Backfill))
			const split = "split column t.b into c INTEGER = (CAST(b AS INTEGER)) down (CAST(c AS TEXT))"
			_, err := r.draft("20261124093001_second", split)
			require.ErrorContains(t, err, "change 20261124093000 has table t in two shapes")
			require.NoError(t, r.forward(migrate.Contract))
			r.plan("20261124093001_second", split)
			require.NoError(t, r.forward(migrate.Expand, migrate.Backfill))
			inStep := func(id int, want string) {
				t.Helper()
				require.Equal(t, want, r.text(fmt.Sprintf("SELECT quote(switchback_old_a) || quote(b) || quote(c) FROM t WHERE id = %d", id)))
			}
			inStep(2, "'02''02'2")
			for i, statement := range []string{"INSERT INTO t (id, b) VALUES (10, '010')", "INSERT INTO t (id, c) VALUES (11, 10)"} {
				r.exec(statement)
				inStep(10+i, []string{"'010''010'10", "'10''10'10"}[i])
			}
			r.exec("UPDATE t SET b = '08' WHERE id = 1")
			inStep(1, "'08''08'8")
			r.exec("UPDATE t SET c = 8 WHERE id = 1") // what it says already
			inStep(1, "'08''08'8")
			r.exec("UPDATE t SET c = 9 WHERE id = 1")
			inStep(1, "'9''9'9")
			require.NoError(t, r.forward(migrate.Contract))
			r.exec("INSERT INTO t (id, c) VALUES (13, 10)")
			require.Equal(t, "10|10", r.text("SELECT switchback_old_a || '|' || switchback_old_b FROM t WHERE id = 13"))
			require.NoError(t, r.back(migrate.BackOptions{To: "0"}))
			r.unchanged("both rolled back")
			require.Equal(t, "9,02,3,010,10,10", r.text("SELECT group_concat(a) FROM t"))
		})
	}
}

// What somebody has added to a table since a change was planned is not lost: the script that would write the
// table anew without it refuses.
func TestAddedSinceSQLite(t *testing.T) {
	r := newLiteRun(t, liteTour{
		schema: `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL); INSERT INTO t (a) VALUES ('1');`,
		ops:    []string{"rename column t.a b"},
	}, 0)
	for _, added := range []struct{ do, undo string }{
		{"ALTER TABLE t ADD COLUMN more TEXT DEFAULT 'm'", "ALTER TABLE t DROP COLUMN more"},
		{"CREATE INDEX mine ON t (a)", "DROP INDEX mine"},
		{"CREATE TRIGGER mine AFTER INSERT ON t BEGIN SELECT 1; END", "DROP TRIGGER mine"},
	} {
		r.exec(added.do)
		require.ErrorContains(t, r.forward(migrate.Expand), "table t has what this script does not know and would lose")
		r.exec(added.undo)
	}
	require.NoError(t, r.forward(migrate.Expand, migrate.Backfill))
	r.exec("ALTER TABLE t ADD COLUMN more TEXT DEFAULT 'm'")
	require.ErrorContains(t, r.forward(migrate.Contract), "table t has what this script does not know and would lose")
	require.ErrorContains(t, r.back(migrate.BackOptions{To: "0"}), "table t has what this script does not know and would lose")
	require.Equal(t, "m", r.text("SELECT more FROM t"))
}

// Both versions write all the time while a change comes and goes. No write fails, and none is lost.
func TestWritersSQLite(t *testing.T) {
	r := newLiteRun(t, liteTour{
		schema: `CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL UNIQUE, n INT NOT NULL);
WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 5000) INSERT INTO t SELECT i, 'old ' || i, i FROM c;`,
		ops: []string{"rename column t.a b", "change type t.n TEXT"},
	}, 0)
	write := func(column string, of *int, stop <-chan struct{}) <-chan error {
		done := make(chan error, 1)
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
				}
				*of++
				for _, s := range []string{
					fmt.Sprintf("INSERT INTO t (%s, n) VALUES ('%s %d', %d)", column, column, *of, *of),
					fmt.Sprintf("UPDATE t SET %s = '%s again %d' WHERE id = %d", column, column, *of, 1+(*of*7)%5000),
				} {
					if _, err := r.app.ExecContext(t.Context(), s); err != nil {
						done <- fmt.Errorf("%s: %w", s, err)
						return
					}
				}
			}
		}()
		return done
	}
	var blue, green int
	during := func(what string, versions []string, run func() error) {
		t.Helper()
		stop := make(chan struct{})
		var all []<-chan error
		for _, v := range versions {
			all = append(all, write(v, map[string]*int{"a": &blue, "b": &green}[v], stop))
		}
		err := run()
		close(stop)
		for _, done := range all {
			require.NoError(t, <-done, what)
		}
		require.NoError(t, err, what)
	}
	differ := "a IS NOT b OR switchback_new_n IS NOT CAST(n AS TEXT)"
	r.table = "t"
	during("expand", []string{"a"}, func() error { return r.forward(migrate.Expand) })
	during("backfill", []string{"a"}, func() error { return r.forward(migrate.Backfill) })
	during("green", []string{"a", "b"}, func() error { r.same(differ, "both"); return nil })
	during("contract", []string{"b"}, func() error { return r.forward(migrate.Contract) })
	during("contract rolled back", []string{"b"}, func() error { return r.back(migrate.BackOptions{LastPhase: true}) })
	during("both", []string{"a", "b"}, func() error { r.same(differ, "both again"); return nil })
	during("backfill rolled back", []string{"a"}, func() error { return r.back(migrate.BackOptions{LastPhase: true}) })
	r.same(differ, "at the end")
	during("expand rolled back", []string{"a"}, func() error { return r.back(migrate.BackOptions{LastPhase: true}) })
	require.Equal(t, fmt.Sprint(5000+blue+green), r.text("SELECT count(*) FROM t"))
	require.Positive(t, blue)
	require.Positive(t, green)
	require.Equal(t, fmt.Sprint(blue), r.text("SELECT count(*) FROM t WHERE id > 5000 AND n IS NOT NULL AND (a LIKE 'a %' OR a LIKE 'a again%')"))
	r.unchanged("all rolled back")
}

// Rows that point to nothing are nothing new on SQLite, where foreign keys are off unless somebody asks for them.
func TestOrphansSQLite(t *testing.T) {
	r := newLiteRun(t, liteTour{
		schema: `CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT NOT NULL, p INT REFERENCES p (id));
PRAGMA foreign_keys = OFF; INSERT INTO t (a, p) VALUES ('1', 7); PRAGMA foreign_keys = ON;`,
		ops: []string{"rename column t.a b"},
	}, 0)
	require.NoError(t, r.forward(migrate.Expand, migrate.Backfill, migrate.Contract))
	require.NoError(t, r.back(migrate.BackOptions{To: "0"}))
	require.Equal(t, "7", r.text("SELECT p FROM t"))
}

// A difference between two schemas goes forward, back to the very schema and rows that were there, and ends as
// the other one.
func TestPlanToSQLite(t *testing.T) {
	const users, posts = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INT DEFAULT 3 CHECK (age > 0), g TEXT AS (name || age));\nCREATE INDEX called ON users (lower(name));\n",
		"CREATE TABLE posts (id INTEGER PRIMARY KEY, author INT NOT NULL REFERENCES users (id) ON DELETE CASCADE, title TEXT);\nCREATE VIEW titles AS SELECT title, name FROM posts JOIN users ON users.id = author;\nCREATE TRIGGER seen AFTER INSERT ON users BEGIN SELECT NEW.name; END;\n"
	const rows = "INSERT INTO users (name, age) VALUES ('Ada', 36), ('Bob', 40); INSERT INTO posts (author, title) VALUES (1, 'x'), (2, 'y')"
	for name, c := range map[string]struct{ to, rename string }{
		"columns":     {strings.ReplaceAll(users, "age INT DEFAULT 3", "added TEXT, n INT NOT NULL DEFAULT 5, at TEXT DEFAULT CURRENT_TIMESTAMP, age INT NOT NULL DEFAULT 4") + posts, ""},
		"rename":      {strings.ReplaceAll(users+posts, "name", "full_name"), "users.name=users.full_name"},
		"type":        {strings.ReplaceAll(users, "age INT", "age TEXT NOT NULL") + strings.ReplaceAll(posts, "title TEXT", "title TEXT NOT NULL"), ""},
		"constraints": {users + strings.ReplaceAll(posts, "ON DELETE CASCADE, title TEXT", ", title TEXT, CONSTRAINT once UNIQUE (author, title), CHECK (title <> '')"), ""},
		"strict":      {strings.ReplaceAll(users, "name || age));", "name || age)) STRICT;") + posts, ""},
		"objects":     {users + strings.NewReplacer("SELECT title, name", "SELECT name, title, age", "AFTER INSERT", "AFTER UPDATE").Replace(posts) + "CREATE TABLE more (a TEXT PRIMARY KEY) WITHOUT ROWID; CREATE UNIQUE INDEX u ON users (name, age);", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open := func(schema string) *liteRun {
				return newLiteRun(t, liteTour{schema: schema}, 0)
			}
			r, wanted := open(users+posts+rows), open(c.to)
			var renames []diff.Rename
			if c.rename != "" {
				n, err := diff.Resolve(r.start, wanted.start, c.rename)
				require.NoError(t, err)
				renames = append(renames, n)
			}
			d, err := recipe.FromDiff(r.start, wanted.start, renames, nil, migrate.SQLite)
			require.NoError(t, err)
			r.planned("20261124093000_to", d.Operations)
			state := func() string {
				return r.text("SELECT group_concat(id || name || age || g) FROM users") + r.text("SELECT group_concat(id || author || title) FROM posts")
			}
			before := state()
			for _, phases := range [][]migrate.Phase{{migrate.Expand}, {migrate.Expand, migrate.Backfill}, {migrate.Expand, migrate.Backfill, migrate.Contract}} {
				require.NoError(t, r.forward(phases...))
				require.NoError(t, r.back(migrate.BackOptions{To: "0"}))
				r.unchanged(fmt.Sprint(phases, " and back"))
				require.Equal(t, before, state())
			}
			require.NoError(t, r.forward(migrate.Expand, migrate.Backfill, migrate.Contract))
			require.NoError(t, r.forward(migrate.Purge))
			left, err := diff.Compare(r.inspect(), wanted.start, diff.Options{})
			require.NoError(t, err)
			require.Empty(t, left.Changes)
			require.Equal(t, "2", r.text("SELECT count(*) FROM titles"))
		})
	}
}
