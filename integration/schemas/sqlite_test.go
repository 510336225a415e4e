package schemas

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/switchbackdb/switchback/ddl"
	sqliteddl "github.com/switchbackdb/switchback/ddl/sqlite"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database/sqlite"
	"github.com/switchbackdb/switchback/schema"
)

// lite is a SQLite database of a test: one connection, as a script needs it.
type lite struct {
	file string
	conn *sql.Conn
}

type tb interface {
	require.TestingT
	Helper()
	Skip(args ...any)
}

// newLite makes an empty database that lives in a file, or in memory where the path is empty.
func newLite(ctx context.Context, t tb, file string) *lite {
	t.Helper()
	name := ":memory:"
	if file != "" {
		name = "file:" + file
	}
	db, err := sql.Open("sqlite", name)
	require.NoError(t, err)
	conn, err := db.Conn(ctx)
	require.NoError(t, err)
	return &lite{file: file, conn: conn}
}

func (l *lite) close() { _ = l.conn.Close() }

func (l *lite) load(ctx context.Context, t tb, script string) {
	t.Helper()
	_, err := l.conn.ExecContext(ctx, script)
	require.NoError(t, err, script)
}

func (l *lite) inspect(ctx context.Context, t tb) *schema.Database {
	t.Helper()
	d, err := sqlite.Inspect(ctx, l.conn)
	require.NoError(t, err)
	return d
}

// apply runs a script one statement at a time, and takes it back when one fails.
func (l *lite) apply(ctx context.Context, script *ddl.Script) error {
	for _, s := range script.Statements {
		if _, err := l.conn.ExecContext(ctx, s.SQL); err != nil {
			_, _ = l.conn.ExecContext(ctx, "ROLLBACK")
			return fmt.Errorf("%s: %w", s.SQL, err)
		}
	}
	return nil
}

// rows returns the rows of a query, a text each.
func (l *lite) rows(ctx context.Context, t tb, query string) []string {
	t.Helper()
	rows, err := l.conn.QueryContext(ctx, query)
	require.NoError(t, err, query)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	var out []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, rows.Scan(into...))
		out = append(out, fmt.Sprintf("%#v", values))
	}
	require.NoError(t, rows.Err())
	return out
}

// catalogue is what the database says of itself.
func (l *lite) catalogue(ctx context.Context, t tb) []string {
	return l.rows(ctx, t, "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name")
}

// pragmas is what SQLite's pragmas say of the tables: our parser has no part in it. The order of columns
// and of constraints is left out.
func (l *lite) pragmas(ctx context.Context, t tb) []string {
	var out []string
	for _, query := range []string{
		`SELECT type, name, wr, strict FROM pragma_table_list WHERE "schema" = 'main' AND name NOT LIKE 'sqlite%'`,
		`SELECT t.name, x.name, upper(x.type), x."notnull", x.dflt_value, x.pk, x.hidden FROM pragma_table_list t, pragma_table_xinfo(t.name) x WHERE t."schema" = 'main' AND t.name NOT LIKE 'sqlite%'`,
		`SELECT t.name, i.name NOT LIKE 'sqlite_autoindex%' AND i.name, i."unique", i.origin, i.partial, (SELECT group_concat(k) FROM (SELECT coalesce(name, 'expression') || "desc" || coll AS k FROM pragma_index_xinfo(i.name) WHERE key ORDER BY seqno)) FROM pragma_table_list t, pragma_index_list(t.name) i WHERE t."schema" = 'main'`,
		`SELECT t.name, f."table", f.on_update, f.on_delete, f.match, group_concat(f."from" || '>' || coalesce(f."to", '')) FROM pragma_table_list t, pragma_foreign_key_list(t.name) f WHERE t."schema" = 'main' GROUP BY t.name, f.id`,
		"SELECT application_id, user_version FROM pragma_application_id, pragma_user_version",
	} {
		list := l.rows(ctx, t, query)
		sort.Strings(list)
		out = append(out, list...)
	}
	return out
}

func compareLite(t tb, from, to *schema.Database, o diff.Options) *diff.Result {
	t.Helper()
	r, err := diff.Compare(from, to, o)
	require.NoError(t, err)
	return r
}

// liteScript is the script that turns one schema into the other. What destroys something says so.
func liteScript(t tb, from, to *schema.Database, o diff.Options) *ddl.Script {
	t.Helper()
	s, err := sqliteddl.Writer{}.Script(compareLite(t, from, to, o))
	require.NoError(t, err)
	for _, statement := range s.Statements {
		require.True(t, !statement.Destroys || statement.Comment != "", statement.SQL)
	}
	return s
}

func scriptText(t tb, s *ddl.Script) string {
	var b bytes.Buffer
	require.NoError(t, s.Write(&b, "", ""))
	return b.String()
}

func diffText(t tb, from, to *schema.Database) string {
	var b bytes.Buffer
	o := diff.Options{}
	require.NoError(t, diff.NewReport("from", "to", compareLite(t, from, to, o), o).Text(&b, false))
	return b.String()
}

// requireSame wants no difference between two schemas.
func requireSame(t tb, want, got *schema.Database, script string) {
	t.Helper()
	if r := compareLite(t, got, want, diff.Options{}); !r.Same() {
		require.Fail(t, "the schemas differ", "%s\n%s", diffText(t, got, want), script)
	}
}

// liteSchemas are the scripts of the round trip: those of our own, and the corpus where it is there.
func liteSchemas(t *testing.T) map[string]string {
	t.Helper()
	found, err := filepath.Glob("../../testdata/schema/sqlite/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, found)
	schemas := map[string]string{}
	for _, file := range append(found, "../../../shared/corpus/chinook/Sqlite.sql", "../../../shared/corpus/sakila/sqlite-schema.sql") {
		text, err := os.ReadFile(file)
		if os.IsNotExist(err) && strings.Contains(file, "corpus") {
			continue
		}
		require.NoError(t, err)
		schemas[filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file)] = string(text)
	}
	if text := ketoScript(t); text != "" {
		schemas["keto"] = text
	}
	return schemas
}

// ketoScript is the migrations of Keto for SQLite, one after the other.
func ketoScript(t *testing.T) string {
	t.Helper()
	dir := "../../../shared/corpus/keto"
	found, err := filepath.Glob(dir + "/*.up.sql")
	require.NoError(t, err)
	byVersion := map[string]string{}
	var versions []string
	for _, file := range found {
		name := filepath.Base(file)
		version, _, _ := strings.Cut(name, "_")
		if strings.Contains(name, ".mysql.") || strings.Contains(name, ".postgres.") {
			continue
		}
		if byVersion[version] == "" {
			versions = append(versions, version)
		}
		if byVersion[version] == "" || strings.Contains(name, ".sqlite") {
			byVersion[version] = file
		}
	}
	sort.Strings(versions)
	var all strings.Builder
	if len(versions) > 0 {
		all.WriteString("CREATE TABLE networks (id TEXT PRIMARY KEY);\n") // of another library's migrations
	}
	for _, v := range versions {
		text, err := os.ReadFile(byVersion[v])
		require.NoError(t, err)
		all.Write(text)
		all.WriteString("\n")
	}
	return all.String()
}

// TestRoundTripSQLite makes each schema from the script that we write for it, by the driver and by
// SQLite's own shell, and takes it away again.
func TestRoundTripSQLite(t *testing.T) {
	for name, text := range liteSchemas(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			a, b := newLite(ctx, t, filepath.Join(t.TempDir(), "a.db")), newLite(ctx, t, filepath.Join(t.TempDir(), "b.db"))
			defer a.close()
			defer b.close()
			a.load(ctx, t, text)
			want := a.inspect(ctx, t)
			script := liteScript(t, &schema.Database{}, want, diff.Options{})
			require.NoError(t, b.apply(ctx, script))
			requireSame(t, want, b.inspect(ctx, t), scriptText(t, script))
			require.Equal(t, want.Fingerprint(), b.inspect(ctx, t).Fingerprint())
			require.Equal(t, a.catalogue(ctx, t), b.catalogue(ctx, t))
			require.Equal(t, a.pragmas(ctx, t), b.pragmas(ctx, t))

			shell := newLite(ctx, t, runShell(t, scriptText(t, script)))
			defer shell.close()
			require.Equal(t, a.catalogue(ctx, t), shell.catalogue(ctx, t))

			require.NoError(t, b.apply(ctx, liteScript(t, want, &schema.Database{}, diff.Options{})))
			require.Empty(t, b.rows(ctx, t, "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"))
			requireSame(t, &schema.Database{Engine: "sqlite", Schemas: []*schema.Schema{{Name: "main"}}}, b.inspect(ctx, t), "")
		})
	}
}

// runShell runs a script in SQLite's own shell and returns the file. Where there is no shell, the driver
// runs the text as a whole.
func runShell(t *testing.T, script string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shell.db")
	shell, err := exec.LookPath("sqlite3")
	if err != nil {
		l := newLite(t.Context(), t, file)
		defer l.close()
		l.load(t.Context(), t, script)
		return file
	}
	c := exec.CommandContext(t.Context(), shell, "-bail", file)
	c.Stdin = strings.NewReader(script)
	out, err := c.CombinedOutput()
	require.NoError(t, err, string(out))
	return file
}

// TestGoldenSQLite keeps a script to be looked at: what is altered in place, a rebuild, views and triggers
// that go and come back, what is lost.
func TestGoldenSQLite(t *testing.T) {
	ctx := t.Context()
	a, b := newLite(ctx, t, ""), newLite(ctx, t, "")
	defer a.close()
	defer b.close()
	a.load(ctx, t, `CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, age INT, gone TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers (id), note TEXT, old INT);
CREATE INDEX orders_customer ON orders (customer);
CREATE TABLE dropped (id INTEGER PRIMARY KEY);
CREATE VIEW adults AS SELECT name FROM customers WHERE age >= 18;
CREATE TRIGGER customers_insert AFTER INSERT ON customers BEGIN SELECT 1; END;`)
	b.load(ctx, t, `CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL DEFAULT 'nobody', age REAL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers (id), note TEXT, price REAL NOT NULL DEFAULT 0 CHECK (price >= 0));
CREATE UNIQUE INDEX orders_customer ON orders (customer) WHERE price > 1;
CREATE TABLE made (id INTEGER PRIMARY KEY) STRICT;
CREATE VIEW adults AS SELECT name FROM customers WHERE age >= 18;
CREATE TRIGGER customers_insert AFTER INSERT ON customers BEGIN SELECT 1; END;
PRAGMA user_version = 2;`)
	from, to := a.inspect(ctx, t), b.inspect(ctx, t)
	script := liteScript(t, from, to, diff.Options{})
	text := scriptText(t, script)
	const golden = "../../testdata/schema/sqlite/golden.script"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(text), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
	require.NoError(t, a.apply(ctx, script))
	requireSame(t, to, a.inspect(ctx, t), text)
}

// TestRebuildSQLite keeps rows, keys given out and foreign keys through a rebuild, and changes nothing when
// a row does not fit.
func TestRebuildSQLite(t *testing.T) {
	const before = `CREATE TABLE parents (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);
CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id) ON DELETE CASCADE);
CREATE VIEW names AS SELECT name FROM parents;
INSERT INTO parents (name) VALUES ('a'), (NULL), ('c'), ('d');
DELETE FROM parents WHERE name = 'd';
INSERT INTO children VALUES (1, 1), (2, 3);`
	ctx := t.Context()
	target := func(script string) *schema.Database {
		l := newLite(ctx, t, "")
		defer l.close()
		l.load(ctx, t, script)
		return l.inspect(ctx, t)
	}
	a := newLite(ctx, t, "")
	defer a.close()
	a.load(ctx, t, "PRAGMA foreign_keys = ON;"+before)
	rest := "CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id) ON DELETE CASCADE); CREATE VIEW names AS SELECT name FROM parents;"

	refused := target("CREATE TABLE parents (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL);" + rest)
	was, catalogue := a.rows(ctx, t, "SELECT * FROM parents"), a.catalogue(ctx, t)
	require.ErrorContains(t, a.apply(ctx, liteScript(t, a.inspect(ctx, t), refused, diff.Options{})), "NOT NULL")
	require.Equal(t, catalogue, a.catalogue(ctx, t))
	require.Equal(t, was, a.rows(ctx, t, "SELECT * FROM parents"))

	to := target("CREATE TABLE parents (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL DEFAULT 'x');" + rest)
	require.NoError(t, a.apply(ctx, liteScript(t, a.inspect(ctx, t), to, diff.Options{})))
	requireSame(t, to, a.inspect(ctx, t), "")
	require.Equal(t, []string{`[]interface {}{1, "a"}`, `[]interface {}{2, "x"}`, `[]interface {}{3, "c"}`}, a.rows(ctx, t, "SELECT * FROM parents"))
	require.Len(t, a.rows(ctx, t, "SELECT * FROM children"), 2, "ON DELETE CASCADE did not act")
	a.load(ctx, t, "INSERT INTO parents (name) VALUES ('e')")
	require.Equal(t, []string{"[]interface {}{5}"}, a.rows(ctx, t, "SELECT max(id) FROM parents"), "AUTOINCREMENT goes on")
	a.load(ctx, t, "PRAGMA foreign_keys = ON; DELETE FROM parents WHERE id = 1")
	require.Len(t, a.rows(ctx, t, "SELECT * FROM children"), 1, "the foreign key points to the new table")

	a.load(ctx, t, "PRAGMA foreign_keys = OFF; INSERT INTO children VALUES (7, 77)")
	noKey := target("CREATE TABLE parents (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL DEFAULT 'x'); CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER); CREATE VIEW names AS SELECT name FROM parents;")
	require.NoError(t, a.apply(ctx, liteScript(t, a.inspect(ctx, t), noKey, diff.Options{})))
	require.ErrorContains(t, a.apply(ctx, liteScript(t, a.inspect(ctx, t), to, diff.Options{})), "CHECK", "a row points to nothing")
	requireSame(t, noKey, a.inspect(ctx, t), "")
}

// TestUncoveredSQLite names what the model does not hold.
func TestUncoveredSQLite(t *testing.T) {
	ctx := t.Context()
	l := newLite(ctx, t, "")
	defer l.close()
	l.load(ctx, t, `CREATE VIRTUAL TABLE known USING fts5 (a);
PRAGMA writable_schema = ON;
INSERT INTO sqlite_schema VALUES ('table', 'strange', 'strange', 0, 'CREATE VIRTUAL TABLE strange USING nobodys_module (a)');
PRAGMA writable_schema = RESET;`)
	d := l.inspect(ctx, t)
	require.Nil(t, d.Schemas[0].Table("strange"))
	require.Len(t, d.Uncovered, 2)
	require.Equal(t, []string{"strange"}, d.Uncovered[0].Names)
	require.Contains(t, d.Uncovered[0].Why, "nobodys_module")
	require.Contains(t, d.Uncovered[1].Names, "known_data")
	require.Contains(t, diffText(t, &schema.Database{}, d), "strange")
}
