package recipes

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// edge is a database of PostgreSQL with a schema.
func edge(t *testing.T, script string) *target {
	t.Helper()
	if testing.Short() {
		t.SkipNow()
	}
	g := open(t, servers.URL(t, servers.Postgres17))
	g.exec(script)
	return g
}

// list returns the rows of a query as text, joined.
func (g *target) list(query string) string {
	g.t.Helper()
	var text string
	require.NoError(g.t, g.db.DB().QueryRowContext(g.t.Context(), "SELECT coalesce(string_agg(r::text, ' ' ORDER BY r::text), '') FROM ("+query+") AS r").Scan(&text), query)
	return text
}

// round takes what is planned forward, back, and forward again; the schema comes back.
func (g *target) round(check func(when string)) {
	g.t.Helper()
	before := g.model()
	for range 2 {
		for _, phase := range []migrate.Phase{migrate.Expand, migrate.Backfill, migrate.Contract} {
			require.NoError(g.t, g.forward(phase), g.scripts())
			check(string(phase))
		}
		require.NoError(g.t, g.back(migrate.BackOptions{LastPhase: true}))
		check("rollback of contract")
		require.NoError(g.t, g.back(migrate.BackOptions{}))
		alike(g.t, before, g.model(), "after the rollback the schema is another one")
	}
}

// TestNested plans a change on top of one that is expanded and not contracted: on the same table, not on the same column.
func TestNested(t *testing.T) {
	g := edge(t, `CREATE TABLE items (id bigint PRIMARY KEY, a text NOT NULL DEFAULT 'x', b int); INSERT INTO items SELECT n, 'old ' || n, n FROM generate_series(1, 50) AS n;`)
	before := g.model()
	_, err := g.plan("rename column items.a a2")
	require.NoError(t, err)
	require.NoError(t, g.forward(migrate.Expand, migrate.Backfill))
	_, err = g.plan("rename column items.a2 a3")
	var refused *recipe.Error
	require.ErrorAs(t, err, &refused, "a column that another change keeps in step")
	_, err = g.plan("rename column items.b b2")
	require.NoError(t, err)
	require.NoError(t, g.forward(migrate.Expand, migrate.Backfill))
	wrong := func() string {
		return g.list("SELECT * FROM items WHERE a IS DISTINCT FROM a2 OR b IS DISTINCT FROM b2")
	}
	require.Empty(t, wrong(), "after the second backfill")
	for i, columns := range [][2]string{{"a", "b"}, {"a2", "b"}, {"a", "b2"}, {"a2", "b2"}} {
		g.exec(fmt.Sprintf("INSERT INTO items (id, %[1]s, %[2]s) VALUES (%[3]d, 'new', 7); UPDATE items SET %[1]s = 'set', %[2]s = -1 WHERE id = %[4]d; INSERT INTO items (id) VALUES (%[5]d)", columns[0], columns[1], 100+i, 1+i, 200+i))
		require.Empty(t, wrong(), "written through %v", columns)
		require.Equal(t, `(set,-1)`, g.list(fmt.Sprintf("SELECT a2, b2 FROM items WHERE id = %d", 1+i)))
		require.Equal(t, `(x,)`, g.list(fmt.Sprintf("SELECT a, b FROM items WHERE id = %d", 200+i)))
	}
	require.NoError(t, g.forward(migrate.Contract), g.scripts())
	g.exec("UPDATE items SET a2 = 'late', b2 = 99 WHERE id = 9; INSERT INTO items (id, a2, b2) VALUES (300, 'later', 100)")
	require.NoError(t, g.back(migrate.BackOptions{To: "0"}))
	require.Equal(t, "(300,later,100) (9,late,99)", g.list("SELECT id, a, b FROM items WHERE id IN (9, 300)"))
	alike(t, before, g.model(), "after the rollback of both changes the schema is another one")
}

// TestUserTriggers has triggers of the application on the table: they see what they saw.
func TestUserTriggers(t *testing.T) {
	g := edge(t, `CREATE TABLE items (id bigint PRIMARY KEY, name text, changed int NOT NULL DEFAULT 0);
CREATE TABLE log (id bigint, was text, is_now text);
CREATE FUNCTION count_changes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changed := OLD.changed + 1; NEW.name := upper(NEW.name); RETURN NEW; END $$;
CREATE FUNCTION log_changes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (NEW.id, OLD.name, NEW.name); RETURN NULL; END $$;
CREATE TRIGGER counts BEFORE UPDATE OF name ON items FOR EACH ROW EXECUTE FUNCTION count_changes();
CREATE TRIGGER logs AFTER UPDATE OF name ON items FOR EACH ROW EXECUTE FUNCTION log_changes();
INSERT INTO items VALUES (1, 'a'), (2, NULL);`)
	_, err := g.plan("change type items.name varchar(40)")
	require.NoError(t, err)
	g.round(func(when string) {
		g.exec("TRUNCATE log; UPDATE items SET changed = 0 WHERE id = 1; UPDATE items SET name = 'b' WHERE id = 1; UPDATE items SET name = '" + when + "' WHERE id = 1")
		require.Equal(t, "(1,"+quoted(strings.ToUpper(when))+",2)", g.list("SELECT id, name, changed FROM items WHERE id = 1"), when)
		require.Contains(t, g.list("SELECT * FROM log"), quoted(strings.ToUpper(when)), when)
	})
}

func quoted(text string) string {
	if strings.Contains(text, " ") {
		return `"` + text + `"`
	}
	return text
}

// TestRowSecurity has a role that may see some of the rows only.
func TestRowSecurity(t *testing.T) {
	const role = "pg_monitor" // any but the owner
	g := edge(t, `CREATE TABLE items (id bigint PRIMARY KEY, owner text, name text); INSERT INTO items VALUES (1, 'me', 'mine'), (2, 'you', 'yours');
ALTER TABLE items ENABLE ROW LEVEL SECURITY; ALTER TABLE items FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON items USING (owner = 'me') WITH CHECK (owner = 'me');
GRANT SELECT, INSERT, UPDATE ON items TO `+role)
	_, err := g.plan("rename column items.name title")
	require.NoError(t, err)
	g.round(func(when string) {
		column := "title"
		if when == "rollback of contract" {
			column = "name"
		}
		g.exec("BEGIN; SET LOCAL ROLE " + role + "; UPDATE items SET " + column + " = '" + when + "'; COMMIT")
		if when == "expand" { // the other row is not filled yet
			return
		}
		require.Equal(t, "(1,"+quoted(when)+") (2,yours)", g.list("SELECT id, "+column+" FROM items"), when)
	})
}

// TestPartitioned changes a column of a partitioned table.
func TestPartitioned(t *testing.T) {
	g := edge(t, `CREATE TABLE items (id bigint, n int NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE items_1 PARTITION OF items FOR VALUES FROM (0) TO (100);
CREATE TABLE items_2 PARTITION OF items FOR VALUES FROM (100) TO (1000000);
INSERT INTO items SELECT i, i FROM generate_series(1, 300) AS i;`)
	_, err := g.plan("change type items.n bigint")
	require.NoError(t, err)
	g.round(func(when string) {
		g.exec("UPDATE items SET n = n + 1; INSERT INTO items (id, n) VALUES (500, 7); DELETE FROM items WHERE id = 500")
		require.Equal(t, "(300)", g.list("SELECT count(*) FROM items WHERE n > id"), when)
	})
}

// TestNames changes columns with names that need quotes, or are as long as a name may be.
func TestNames(t *testing.T) {
	long := strings.Repeat("x", 63)
	g := edge(t, `CREATE SCHEMA "My Schema"; CREATE TABLE "My Schema"."The Items" ("Id" bigint PRIMARY KEY, "end" int, "a ""b""" text DEFAULT 'it''s', `+long+` int NOT NULL, CONSTRAINT `+strings.Repeat("k", 63)+` CHECK (`+long+` > 0));
CREATE INDEX `+strings.Repeat("i", 63)+` ON "My Schema"."The Items" (`+long+`);
INSERT INTO "My Schema"."The Items" VALUES (1, 2, 'c', 3);`)
	_, err := g.plan(`change type "My Schema"."The Items"."end" bigint
rename column "My Schema"."The Items"."a ""b""" "A B"
change type "My Schema"."The Items".` + long + ` bigint`)
	require.NoError(t, err)
	g.round(func(when string) {
		g.exec(`UPDATE "My Schema"."The Items" SET "end" = 5, ` + long + ` = 6`)
		require.Equal(t, "(1,5,6)", g.list(`SELECT "Id", "end", `+long+` FROM "My Schema"."The Items"`), when)
	})
}

// TestReplica writes as a replication worker does, for which ordinary triggers do not fire.
func TestReplica(t *testing.T) {
	g := edge(t, `CREATE TABLE items (id bigint PRIMARY KEY, name text); INSERT INTO items VALUES (1, 'a');`)
	_, err := g.plan("rename column items.name title")
	require.NoError(t, err)
	require.NoError(t, g.forward(migrate.Expand, migrate.Backfill))
	g.exec("SET session_replication_role = replica; INSERT INTO items (id, name) VALUES (2, 'b'); UPDATE items SET title = 'c' WHERE id = 1")
	require.Equal(t, "(1,c,c) (2,b,b)", g.list("SELECT id, name, title FROM items"))
}

// TestWithoutKey plans changes on a table that cannot be walked over.
func TestWithoutKey(t *testing.T) {
	g := edge(t, `CREATE TABLE items (id bigint, name text)`)
	for _, op := range []string{"rename column items.name title", "change type items.name varchar(5)", "add column items.n int not null fill (1)"} {
		_, err := g.plan(op)
		var refused *recipe.Error
		require.ErrorAs(t, err, &refused, op)
		require.Contains(t, refused.Reason, "no primary key")
		require.NotEmpty(t, refused.Next)
	}
}

// TestDroppedTrigger has somebody drop, or switch off, a trigger of a change: contract notices.
func TestDroppedTrigger(t *testing.T) {
	for _, harm := range []string{"DROP TRIGGER %s ON items", "ALTER TABLE items DISABLE TRIGGER %s"} {
		g := edge(t, `CREATE TABLE items (id bigint PRIMARY KEY, name text); INSERT INTO items VALUES (1, 'a');`)
		_, err := g.plan("rename column items.name title")
		require.NoError(t, err)
		require.NoError(t, g.forward(migrate.Expand, migrate.Backfill))
		name := strings.Trim(strings.Fields(g.list("SELECT tgname FROM pg_trigger WHERE tgrelid = 'items'::regclass"))[0], "()")
		g.exec(fmt.Sprintf(harm, name))
		err = g.forward(migrate.Contract)
		require.ErrorContains(t, err, "is gone or off", harm)
		require.ErrorContains(t, err, name)
		require.Equal(t, "expand backfill", g.applied())
	}
}

// TestFailingRow has a row that the conversion fails on: it is named, and nothing is half done.
func TestFailingRow(t *testing.T) {
	g := edge(t, `CREATE TABLE items (id bigint PRIMARY KEY, n text); INSERT INTO items SELECT i, i::text FROM generate_series(1, 100) AS i; UPDATE items SET n = 'seventy' WHERE id = 70;`)
	before := g.model()
	_, err := g.plan("change type items.n int up (CAST(n AS int)) down (CAST(n AS text))")
	require.NoError(t, err)
	require.NoError(t, g.forward(migrate.Expand))
	err = g.forward(migrate.Backfill)
	require.ErrorContains(t, err, "seventy")
	require.ErrorContains(t, err, "id=70")
	require.Equal(t, "expand", g.applied())
	g.exec("ALTER TABLE items DISABLE TRIGGER USER; UPDATE items SET n = '70' WHERE id = 70; ALTER TABLE items ENABLE TRIGGER USER")
	require.NoError(t, g.back(migrate.BackOptions{To: "0"}))
	alike(t, before, g.model(), "after the rollback the schema is another one")
	require.Equal(t, "(70,70)", g.list("SELECT id, n FROM items WHERE id = 70"))
}

// TestInTheWay plans changes on a table that another change has not done with, which its scripts name.
func TestInTheWay(t *testing.T) {
	g := edge(t, `CREATE TABLE items (id bigint PRIMARY KEY, a text, b int CONSTRAINT positive CHECK (b > 0)); CREATE INDEX by_b ON items (b); INSERT INTO items VALUES (1, 'a', 1);`)
	refuses := func(list ...string) {
		t.Helper()
		for _, op := range list {
			_, err := g.plan(op)
			var refused *recipe.Error
			require.ErrorAs(t, err, &refused, op)
			require.Contains(t, refused.Reason, "another change has", op)
			require.Contains(t, refused.Next, "switchback purge", op)
		}
	}
	_, err := g.plan("rename column items.a a2\nreplace constraint items.positive CHECK (b > -1)\nreplace index items.by_b CREATE INDEX by_b ON items (b, id)")
	require.NoError(t, err)
	require.NoError(t, g.forward(migrate.Expand, migrate.Backfill))
	refuses("rename table items goods", "drop table items", "replace constraint items.positive CHECK (b > -2)", "replace index items.by_b CREATE INDEX by_b ON items (id, b)")
	require.NoError(t, g.forward(migrate.Contract))
	refuses("rename table items goods", "drop table items")
	require.NoError(t, g.forward(migrate.Purge))
	_, err = g.plan("rename table items goods")
	require.NoError(t, err)
}

// TestNotTogether has operations in one change of which one takes away what another goes by.
func TestNotTogether(t *testing.T) {
	g := edge(t, `CREATE TABLE items (id bigint PRIMARY KEY, a text DEFAULT 'x', b int);`)
	for _, list := range []string{
		"rename table items goods\nadd index items.by_b CREATE INDEX by_b ON items (b)",
		"drop column items.b\ndrop table items",
		"rename column items.a a2\nset default items.a ('y')",
		"change type items.a varchar(10)\nrename column items.a a2",
		"rename column items.a a2\nadd constraint items.full_a CHECK (a <> '')",
		"add index items.by_a CREATE INDEX by_a ON items (lower(a))\nsplit column items.a into c text = (a), d text = (a) down (c)",
	} {
		_, err := g.plan(list)
		var refused *recipe.Error
		require.ErrorAs(t, err, &refused, list)
		require.Contains(t, refused.Reason, "the same change has: ", list)
		require.NotEmpty(t, refused.Next)
	}
	_, err := g.plan("rename column items.a a2\nadd constraint items.items_b CHECK (b > 0)\nset default items.b (7)\nadd index items.items CREATE INDEX items ON items (b)")
	require.NoError(t, err)
}

// TestKeyNumbers changes the type of a key that draws its numbers from a sequence with a name of its own, and skips some.
func TestKeyNumbers(t *testing.T) {
	const script = `CREATE TABLE items (id %s GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME own_ids INCREMENT BY 3 CYCLE) PRIMARY KEY, n int);`
	g := edge(t, fmt.Sprintf(script, "int")+" INSERT INTO items (n) VALUES (1), (2)")
	wanted := open(t, servers.URL(t, servers.Postgres17))
	wanted.exec(fmt.Sprintf(script, "bigint"))
	_, err := g.plan("change type items.id bigint")
	require.NoError(t, err)
	g.round(func(string) { g.exec("INSERT INTO items (n) VALUES (3)") })
	require.NoError(t, g.forward(migrate.Expand, migrate.Backfill, migrate.Contract, migrate.Purge), g.scripts())
	alike(t, wanted.model(), g.model(), "after purge the schema is not the one that was wanted")
	g.exec("INSERT INTO items (n) VALUES (4)")
	require.Equal(t, "(11,31)", g.list("SELECT count(*), max(id) FROM items"), "a number was left out, or came again")
}

// TestExpressionKey has a unique index that is one only by an expression: its columns alone do not tell rows apart.
func TestExpressionKey(t *testing.T) {
	g := edge(t, `CREATE TABLE items (a int NOT NULL, name text NOT NULL, n int); CREATE UNIQUE INDEX once ON items (a, lower(name));
INSERT INTO items SELECT 1, 'x' || i, i FROM generate_series(1, 30) AS i`)
	_, err := g.plan("change type items.n bigint")
	var refused *recipe.Error
	require.ErrorAs(t, err, &refused)
	require.Contains(t, refused.Reason, "no primary key")
	g.exec(`CREATE UNIQUE INDEX truly ON items (a, name DESC) INCLUDE (n)`)
	g.exec(`ALTER TABLE items ALTER n SET NOT NULL`)
	_, err = g.plan("change type items.n bigint")
	require.NoError(t, err)
	g.round(func(string) {})
}
