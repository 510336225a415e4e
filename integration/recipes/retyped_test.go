package recipes

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// TestKeySQLite changes the type of a key that others point to, with indexes, views and triggers on them: all columns along
// take the type, values and rows stay, and it comes back.
func TestKeySQLite(t *testing.T) {
	schema := func(typ string) string {
		return `CREATE TABLE kinds (id ` + typ + ` PRIMARY KEY, name text);
CREATE TABLE items (id integer PRIMARY KEY, kind ` + typ + ` NOT NULL REFERENCES kinds (id) ON DELETE CASCADE, UNIQUE (kind, id));
CREATE TABLE parts (kind ` + typ + `, item int, n int, PRIMARY KEY (kind, item), FOREIGN KEY (kind, item) REFERENCES items (kind, id)) WITHOUT ROWID;
CREATE TABLE log (n int);
CREATE INDEX by_kind ON items (kind);
CREATE VIEW named AS SELECT i.id, k.name FROM items AS i JOIN kinds AS k ON k.id = i.kind;
CREATE TRIGGER logs AFTER INSERT ON items BEGIN INSERT INTO log VALUES (NEW.kind); END;`
	}
	g := open(t, servers.SQLite(t))
	g.exec(schema("int") + `INSERT INTO kinds VALUES (1, 'a'), (9000000000, 'b'); INSERT INTO items VALUES (1, 1), (2, 9000000000); INSERT INTO parts VALUES (1, 1, 5);`)
	wanted := open(t, servers.SQLite(t))
	wanted.exec(schema("bigint"))
	before := g.model()
	count := func(query string) (n int64) {
		require.NoError(t, g.db.DB().QueryRowContext(t.Context(), query).Scan(&n), query)
		return n
	}
	_, err := g.plan("change type kinds.id bigint")
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, g.forward(migrate.Expand, migrate.Backfill, migrate.Contract), g.scripts())
		alike(t, wanted.model(), g.model(), "after contract the schema is not the one that was wanted")
		g.exec("INSERT INTO items VALUES (3, 9000000000); DELETE FROM items WHERE id = 3")
		require.EqualValues(t, 2, count("SELECT count(*) FROM named"))
		require.NoError(t, g.back(migrate.BackOptions{To: "0"}))
		alike(t, before, g.model(), "after the rollback the schema is another one")
	}
	require.EqualValues(t, 9000000000, count("SELECT max(id) FROM kinds"))
	require.EqualValues(t, 4, count("SELECT count(*) FROM log"), "each insert fires the trigger once, and rows that are there do not")
	require.EqualValues(t, 0, count("SELECT count(*) FROM pragma_foreign_key_check"))

	for _, c := range []struct{ operation, reason string }{
		{"change type items.id bigint", "is the number that SQLite gives each row"},
		{"change type kinds.id integer", "is the number that SQLite gives each row, or would be"},
		{"change type kinds.id text", "keeps and compares otherwise"},
	} {
		_, err := g.plan(c.operation)
		var refused *recipe.Error
		require.ErrorAs(t, err, &refused, c.operation)
		require.Contains(t, refused.Reason, c.reason)
		require.NotEmpty(t, refused.Next)
	}
}
