package schemas

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// TestRenamesSQLite finds the renames between two schemas, confirms them, and wants the rows to stay.
func TestRenamesSQLite(t *testing.T) {
	ctx := t.Context()
	a, b := newLite(ctx, t, ""), newLite(ctx, t, "")
	defer a.close()
	defer b.close()
	a.load(ctx, t, `CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL CHECK (name <> ''), Age INT, boss INT REFERENCES users (id));
CREATE TABLE orders (id INTEGER PRIMARY KEY, user INTEGER REFERENCES users (id) ON DELETE CASCADE, note TEXT);
CREATE INDEX users_name ON users (name) WHERE name IS NOT 'name';
CREATE VIEW named AS SELECT name AS n, count(*) AS c FROM users JOIN orders ON users.id = orders.user;
CREATE TRIGGER seen INSTEAD OF INSERT ON named BEGIN INSERT INTO users (name) VALUES (NEW.n); END;
CREATE TRIGGER noted AFTER UPDATE OF name ON users BEGIN UPDATE orders SET note = NEW.name WHERE user = NEW.id; END;
INSERT INTO users VALUES (1, 'Ada', 36, NULL), (2, 'Bob', 40, 1);
INSERT INTO orders VALUES (1, 1, 'x'), (2, 2, 'y');`)
	b.load(ctx, t, `CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, full_name TEXT NOT NULL CHECK (full_name <> ''), age INT, boss INT REFERENCES customers (id));
CREATE TABLE Orders (id INTEGER PRIMARY KEY, user INTEGER REFERENCES customers (id) ON DELETE CASCADE, note TEXT, added INT NOT NULL DEFAULT 1);
CREATE UNIQUE INDEX customers_name ON customers (full_name) WHERE full_name IS NOT 'name';
CREATE VIEW names AS SELECT full_name AS n, count(*) AS c FROM customers JOIN Orders ON customers.id = Orders.user;
CREATE TRIGGER seen INSTEAD OF INSERT ON names BEGIN INSERT INTO customers (full_name) VALUES (NEW.n); END;
CREATE TRIGGER noted AFTER UPDATE OF full_name ON customers BEGIN UPDATE Orders SET note = NEW.full_name WHERE user = NEW.id; END;`)
	from, to := a.inspect(ctx, t), b.inspect(ctx, t)
	var o diff.Options
	for _, text := range []string{"users=customers", "users.name=customers.full_name", "users.Age=customers.age", "orders=Orders", "index:users_name=customers_name", "view:named=names"} {
		r, err := diff.Resolve(from, to, text)
		require.NoError(t, err)
		o.Renames = append(o.Renames, r)
	}
	script := liteScript(t, from, to, o)
	text := scriptText(t, script)
	require.NotContains(t, text, "DROP TABLE users")
	require.NoError(t, a.apply(ctx, script))
	requireSame(t, to, a.inspect(ctx, t), text)
	require.Equal(t, b.pragmas(ctx, t), a.pragmas(ctx, t))
	require.Equal(t, []string{`[]interface {}{1, "Ada", 36, interface {}(nil)}`, `[]interface {}{2, "Bob", 40, 1}`}, a.rows(ctx, t, "SELECT id, full_name, age, boss FROM customers"))
	require.Equal(t, []string{`[]interface {}{1, 1, "x", 1}`, `[]interface {}{2, 2, "y", 1}`}, a.rows(ctx, t, "SELECT * FROM Orders"))
}

// TestRenamePairsSQLite lets SQLite rename tables and columns of random schemas. Our own rename of the
// model has to come to the same, and the script to that schema, with the rows.
func TestRenamePairsSQLite(t *testing.T) {
	checkPairs(t, func(t *rapid.T) {
		ctx := context.Background()
		a, b := newLite(ctx, t, ""), newLite(ctx, t, "")
		defer a.close()
		defer b.close()
		statements := drawLite(t, "schema")
		loadLite(ctx, t, a, statements)
		loadLite(ctx, t, b, statements)
		from := a.inspect(ctx, t)
		a.fill(ctx, t, from)
		var renames []diff.Rename
		for _, table := range from.Schemas[0].Tables {
			name := table.Name
			if rapid.Bool().Draw(t, "rename "+name) {
				name = table.Name + "2"
				loadLite(ctx, t, b, []string{fmt.Sprintf("ALTER TABLE %s RENAME TO %s", liteQuote(table.Name), liteQuote(name))})
				renames = append(renames, diff.Rename{Kind: schema.KindTable, Schema: "main", From: table.Name, To: name})
			}
			for _, c := range table.Columns {
				if schema.Value(table.Options, "virtual") == "" && rapid.IntRange(1, 4).Draw(t, "rename "+c.Name) == 4 {
					loadLite(ctx, t, b, []string{fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", liteQuote(name), liteQuote(c.Name), liteQuote(c.Name+" 2"))})
					renames = append(renames, diff.Rename{Kind: schema.KindColumn, Schema: "main", Parent: name, From: c.Name, To: c.Name + " 2"})
				}
			}
		}
		to := b.inspect(ctx, t)
		o := diff.Options{Renames: renames}
		r := compareLite(t, from, to, o)
		diff.Walk(r.Changes, func(path string, c diff.Change) {
			require.Contains(t, []schema.Kind{schema.KindView, schema.KindTrigger}, c.Kind, path) // the text of these is what we do not know
		})
		rows := map[string][]string{}
		for _, table := range from.Schemas[0].Tables {
			rows[table.Name] = a.rows(ctx, t, "SELECT * FROM "+liteQuote(table.Name))
		}
		script := liteScript(t, from, to, o)
		require.NoError(t, a.apply(ctx, script), scriptText(t, script))
		requireSame(t, to, a.inspect(ctx, t), scriptText(t, script))
		for i, table := range from.Schemas[0].Tables {
			require.Equal(t, rows[table.Name], a.rows(ctx, t, "SELECT * FROM "+liteQuote(r.From.Schemas[0].Tables[i].Name)))
		}
	})
}
