package recipes

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// busy is a table with all that one may have, and what reads it.
func busy(partitioned bool) string {
	by, after := "", ""
	if partitioned {
		by, after = "PARTITION BY RANGE (day)", `
CREATE TABLE "Old Items" PARTITION OF items FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE items_2026 PARTITION OF items FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE items_rest PARTITION OF items DEFAULT;
ALTER TABLE "Old Items" REPLICA IDENTITY FULL; ALTER TABLE items_2026 REPLICA IDENTITY FULL; ALTER TABLE items_rest REPLICA IDENTITY FULL;`
	}
	return `CREATE SEQUENCE numbers; CREATE SEQUENCE ids;
CREATE TABLE kinds (id int PRIMARY KEY); INSERT INTO kinds SELECT generate_series(1, 4);
CREATE TABLE items (
  id int GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME own_ids INCREMENT BY 3), day date NOT NULL DEFAULT '2026-05-01', kind int, n int DEFAULT nextval('numbers'), serial int NOT NULL DEFAULT nextval('ids'),
  name text COLLATE "C", twice int GENERATED ALWAYS AS (kind * 2) STORED, doc json, changed int NOT NULL DEFAULT 0,
  CONSTRAINT items_key PRIMARY KEY (day, id), CONSTRAINT items_name UNIQUE (name, day), CONSTRAINT named CHECK (name <> ''),
  CONSTRAINT kind FOREIGN KEY (kind) REFERENCES kinds ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE INITIALLY DEFERRED
) ` + by + `;
ALTER SEQUENCE ids OWNED BY items.serial;` + after + `
CREATE INDEX by_kind ON items (kind, lower(name)) WHERE kind > 1; CREATE UNIQUE INDEX by_serial ON items (serial, day) INCLUDE (n);
GRANT USAGE ON SEQUENCE numbers, ids TO pg_monitor;
CREATE TABLE lines (id int PRIMARY KEY, day date, item int, CONSTRAINT item FOREIGN KEY (day, item) REFERENCES items (day, id) ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE notes (day date, item int, CONSTRAINT item FOREIGN KEY (day, item) REFERENCES items ON DELETE SET NULL);
CREATE TABLE log (was text, is_now text);
CREATE FUNCTION count_changes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changed := OLD.changed + 1; RETURN NEW; END $$;
CREATE FUNCTION log_changes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO log VALUES (OLD.name, NEW.name); RETURN NULL; END $$;
CREATE TRIGGER counts BEFORE UPDATE OF name ON items FOR EACH ROW WHEN (NEW.name IS DISTINCT FROM OLD.name) EXECUTE FUNCTION count_changes();
CREATE TRIGGER logs AFTER UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION log_changes(); ALTER TABLE items ENABLE ALWAYS TRIGGER logs;
CREATE VIEW how_many AS SELECT count(*) AS n FROM items; CREATE VIEW named AS SELECT id, name FROM items WHERE name IS NOT NULL;
CREATE VIEW named_too AS SELECT * FROM named; GRANT SELECT ON named TO pg_monitor; COMMENT ON VIEW named IS 'those with a name';
ALTER TABLE items ENABLE ROW LEVEL SECURITY; CREATE POLICY public_ones ON items USING (name <> 'secret' OR name IS NULL);
GRANT SELECT, INSERT, DELETE ON items TO pg_monitor; GRANT UPDATE (name, kind) ON items TO pg_monitor;
COMMENT ON TABLE items IS 'what there is'; COMMENT ON COLUMN items.day IS 'when'; COMMENT ON CONSTRAINT named ON items IS 'no empty ones'; COMMENT ON INDEX by_kind IS 'a few';
ALTER TABLE items ALTER COLUMN name SET STATISTICS 500; ALTER TABLE items REPLICA IDENTITY FULL;`
}

const intoPartitions = `partition table items by (RANGE (day) (PARTITION "Old Items" FOR VALUES FROM (MINVALUE) TO ('2026-01-01'), PARTITION items_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01'), PARTITION items_rest DEFAULT))`

// TestPartitionedTable partitions a table with foreign keys from and to it, views, triggers, policies, privileges and numbers:
// all of them are with the table of that name after each phase, and act once.
func TestPartitionedTable(t *testing.T) {
	for _, kind := range []servers.Kind{servers.Postgres15, servers.Postgres17, servers.Postgres18} {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() {
				t.SkipNow()
			}
			g := open(t, servers.URL(t, kind))
			g.exec(busy(false) + `INSERT INTO items (day, kind, name) SELECT date '2024-06-01' + n * 30, 1 + n % 4, 'no ' || n FROM generate_series(1, 60) AS n; INSERT INTO items (name) VALUES ('secret')`)
			wanted := open(t, servers.URL(t, kind))
			wanted.exec(busy(true))
			_, err := g.plan(intoPartitions)
			require.NoError(t, err)
			other := func() string {
				return g.list(`SELECT c.relname FROM pg_class AS c WHERE c.relname IN ('switchback_new_items', 'switchback_old_items')`)
			}
			g.round(func(when string) {
				g.exec(`TRUNCATE log, lines, notes;
INSERT INTO lines SELECT min(id), day, min(id) FROM items WHERE name = 'no 5' GROUP BY day; INSERT INTO notes SELECT day, id FROM items WHERE name = 'no 6';
UPDATE items SET id = DEFAULT, day = '2031-01-01' WHERE name = 'no 5';
BEGIN; SET LOCAL ROLE pg_monitor; INSERT INTO items (kind, name) VALUES (9, 'mine'), (2, 'yours'); UPDATE items SET kind = 3, name = 'ours' WHERE name IN ('mine', 'secret'); COMMIT`)
				require.Equal(t, "(2031-01-01,t)", g.list(`SELECT l.day, l.item = i.id FROM lines AS l JOIN items AS i ON i.name = 'no 5'`), when)
				require.Contains(t, g.list("SELECT * FROM log"), "mine,ours", when)
				require.Equal(t, "(ours,3,6,1)", g.list("SELECT name, kind, twice, changed FROM items WHERE name = 'ours'"), when)
				require.Equal(t, "(2)", g.list("SELECT count(*) FROM log"), "%s: the key of one row, the name of another", when)
				g.exec(`DELETE FROM items WHERE name IN ('ours', 'yours'); UPDATE items SET id = DEFAULT, day = '2024-12-01' WHERE name = 'no 5'; DELETE FROM kinds WHERE id = 4; INSERT INTO kinds VALUES (4);
DELETE FROM items WHERE name = 'no 6'; INSERT INTO items (day, kind, name) VALUES ('2030-01-01', 4, 'no 6')`)
				require.Equal(t, `(,)`, g.list("SELECT * FROM notes"), when)
				require.Equal(t, "(61)", g.list("SELECT n FROM how_many"), when)
				require.Equal(t, "(61)", g.list("SELECT count(*) FROM named_too"), when)
				require.Equal(t, "(61,61,61)", g.list("SELECT count(DISTINCT id), count(DISTINCT n), count(DISTINCT serial) FROM items"), when)
				function := g.list("SELECT proname FROM pg_proc WHERE proname LIKE 'switchback%'")
				db := servers.Open(t, g.url)
				_, err := db.ExecContext(t.Context(), "BEGIN; SET LOCAL ROLE pg_monitor; CREATE TEMP TABLE mine (id int); CREATE TRIGGER t AFTER TRUNCATE ON mine EXECUTE FUNCTION "+function[1:len(function)-1]+"(); COMMIT")
				require.ErrorContains(t, err, "permission denied for function", "%s: with it, the role could empty the other table", when)
				require.NoError(t, db.Close())
				if name := other(); when != "expand" && name != "" { // the rows before it are not copied yet
					name = name[1 : len(name)-1]
					require.Empty(t, g.list("(SELECT to_jsonb(i) FROM items AS i EXCEPT SELECT to_jsonb(o) FROM "+name+" AS o) UNION ALL (SELECT to_jsonb(o) FROM "+name+" AS o EXCEPT SELECT to_jsonb(i) FROM items AS i)"), when)
				}
			})
			require.NoError(t, g.forward(migrate.Expand, migrate.Backfill, migrate.Contract), g.scripts())
			g.exec("DELETE FROM lines; DELETE FROM notes; TRUNCATE items CASCADE; INSERT INTO items (name) VALUES ('last')")
			require.Equal(t, "(last)", g.list("SELECT name FROM switchback_old_items"))
			require.NoError(t, g.forward(migrate.Purge), g.scripts())
			alike(t, wanted.model(), g.model(), "after purge the schema is not the one that was wanted")
			g.exec("INSERT INTO items (name) VALUES ('later')")
			require.Equal(t, "(3)", g.list("SELECT max(id) - min(id) FROM items"), "the numbers go on")
		})
	}
}

// TestPartitionedAnew gives a table that is partitioned other partitions.
func TestPartitionedAnew(t *testing.T) {
	g := edge(t, `CREATE TABLE items (id bigint, region text NOT NULL, at timestamp, PRIMARY KEY (id, region)) PARTITION BY RANGE (id);
CREATE TABLE items_1 PARTITION OF items FOR VALUES FROM (0) TO (100); CREATE TABLE items_2 PARTITION OF items FOR VALUES FROM (100) TO (1000);
INSERT INTO items SELECT i, CASE i % 3 WHEN 0 THEN 'eu' WHEN 1 THEN 'us' ELSE 'x' END FROM generate_series(1, 300) AS i;`)
	_, err := g.plan("partition table items by (LIST (region) (PARTITION items_eu FOR VALUES IN ('eu'), PARTITION items_us FOR VALUES IN ('us', 'ca'), PARTITION items_else DEFAULT))")
	require.NoError(t, err)
	g.round(func(when string) {
		g.exec("UPDATE items SET id = id + 500 WHERE id = 7; UPDATE items SET id = 7, region = 'eu' WHERE id = 507; UPDATE items SET at = now() WHERE id > 100; DELETE FROM items WHERE id = 9; INSERT INTO items VALUES (9, 'x'), (999, 'ca'); DELETE FROM items WHERE region = 'ca'")
		require.Equal(t, "(300)", g.list("SELECT count(*) FROM items"), when)
	})
	require.NoError(t, g.forward(migrate.Expand, migrate.Backfill, migrate.Contract, migrate.Purge), g.scripts())
	require.Equal(t, "(items,) (items_else,DEFAULT) (items_eu,\"FOR VALUES IN ('eu')\") (items_us,\"FOR VALUES IN ('us', 'ca')\")",
		g.list("SELECT relname, pg_get_expr(relpartbound, oid) AS bound FROM pg_class WHERE relname LIKE 'items%' AND relkind IN ('r', 'p')"))
}

// TestNoPlace has rows that no partition takes: they are named, and nothing is half done. The condition is the server's own.
func TestNoPlace(t *testing.T) {
	const script = `CREATE TABLE items (a int, b int, c text, PRIMARY KEY (a, b), UNIQUE (a, b, c)); INSERT INTO items SELECT a, b, nullif('c' || a, 'c5') FROM generate_series(1, 9) AS a, generate_series(1, 9) AS b`
	for _, by := range []string{
		"RANGE (a, b) (PARTITION p1 FOR VALUES FROM (MINVALUE, MINVALUE) TO (3, 4), PARTITION p2 FOR VALUES FROM (3, 7) TO (6, MAXVALUE), PARTITION p3 FOR VALUES FROM (8, MINVALUE) TO (9, MINVALUE))",
		"RANGE (b) (PARTITION p1 FOR VALUES FROM (2) TO (5), PARTITION p2 FOR VALUES FROM (5 + 1) TO (MAXVALUE))",
		"RANGE (a, b) (PARTITION p1 FOR VALUES FROM (2, MAXVALUE) TO (4, 4))",
		"LIST (a) (PARTITION p1 FOR VALUES IN (1, 2, 8), PARTITION p2 FOR VALUES IN (4))",
	} {
		g := edge(t, script)
		before := g.model()
		draft, err := g.plan("partition table items by (" + by + ")")
		require.NoError(t, err)
		require.Len(t, draft.Checks, 1)
		require.True(t, draft.Checks[0].Fatal)
		err = g.forward(migrate.Expand)
		require.ErrorContains(t, err, "rows of public.items have no place in any partition", by)
		require.ErrorContains(t, err, "a=", by)
		alike(t, before, g.model(), "a phase that refused left something behind")
		var outside int
		require.NoError(t, g.db.DB().QueryRowContext(t.Context(), draft.Checks[0].Count).Scan(&outside), by)

		// What the condition says of each row, the server says when it is written.
		for _, f := range draft.Phase(migrate.Expand).Forward {
			if f.Assert == "" {
				g.exec(f.SQL)
			}
		}
		refused := 0
		for a := 1; a < 10; a++ {
			for b := 1; b < 10; b++ {
				if _, err := g.db.DB().ExecContext(t.Context(), "UPDATE items SET c = c WHERE a = $1 AND b = $2", a, b); err != nil {
					require.ErrorContains(t, err, "no partition of relation")
					refused++
				}
			}
		}
		require.Equal(t, refused, outside, by)
		require.NotZero(t, outside)
		require.Less(t, outside, 81)
	}
}

// TestPartitionRefused: what a partitioned table cannot have, or what would stay behind, is refused with what to do.
func TestPartitionRefused(t *testing.T) {
	const by = "HASH (id) PARTITIONS 2"
	const items = "CREATE TABLE items (id bigint PRIMARY KEY, day date NOT NULL, up bigint, n int);"
	for name, c := range map[string]struct{ script, by, reason string }{
		"key":        {items, "RANGE (day) (PARTITION p DEFAULT)", "the primary key of public.items does not hold day"},
		"no key":     {"CREATE TABLE items (id bigint)", by, "has no primary key"},
		"no column":  {items, "HASH (nothing) PARTITIONS 2", "has no column nothing"},
		"expression": {items, "RANGE (date_trunc('month', day)) (PARTITION p DEFAULT)", "an expression cannot be part of a primary key"},
		"no parts":   {items, "RANGE (id)", "there should be the partitions"},
		"no bound":   {items, "RANGE (id) (PARTITION p FOR VALUES FROM (1, 2) TO (3))", "FOR VALUES FROM (…) TO (…), with a value for each column"},
		"two":        {items, "LIST (id) (PARTITION p FOR VALUES IN (1), PARTITION P DEFAULT)", "two partitions are called p"},
		"more":       {items, "HASH (id) PARTITIONS 2 WITH (x)", "there should be nothing more"},
		"taken":      {items + "CREATE TABLE items_p1 ()", by, "there is a items_p1 already"},
		"unique":     {items + "ALTER TABLE items ADD CONSTRAINT days UNIQUE (day)", by, "constraint days of public.items does not hold id"},
		"index":      {items + "CREATE UNIQUE INDEX days ON items (day, (id + 1))", by, "unique index days of public.items does not hold id"},
		"itself":     {items + "ALTER TABLE items ADD CONSTRAINT up FOREIGN KEY (up) REFERENCES items", by, "points to the table itself"},
		"not valid":  {items + "ALTER TABLE items ADD CONSTRAINT few CHECK (n > 0) NOT VALID", by, "may not hold for the rows that are there"},
		"deferrable": {"CREATE TABLE items (id bigint, PRIMARY KEY (id) DEFERRABLE)", by, "is deferrable"},
		"excludes":   {items + "ALTER TABLE items ADD CONSTRAINT days EXCLUDE USING btree (day WITH =)", by, "excludes rows across partitions"},
		"rule":       {items + "CREATE RULE r AS ON DELETE TO items DO ALSO NOTHING", by, "rule r is on the table"},
		"function":   {items + "CREATE FUNCTION f(items) RETURNS int LANGUAGE sql AS 'SELECT 1'", by, "routine f(public.items) is bound to public.items"},
		"statistics": {items + "CREATE STATISTICS s ON day, n FROM items", by, "s is bound to public.items"},
		"publishes":  {items + "CREATE PUBLICATION p FOR TABLE items", by, "publication p is bound to public.items"},
		"policy":     {items + "CREATE TABLE others (id bigint); CREATE POLICY p ON others USING (id IN (SELECT id FROM items))", by, "policy others.p is bound to public.items"},
		"identity":   {items + "CREATE UNIQUE INDEX days ON items (day, id); ALTER TABLE items REPLICA IDENTITY USING INDEX days", by, "is the replica identity of"},
		"transition": {items + "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER g AFTER UPDATE ON items REFERENCING NEW TABLE AS n FOR EACH ROW EXECUTE FUNCTION f()", by, "has transition tables"},
		"child":      {items + "CREATE TABLE more (x int) INHERITS (items)", by, "table more is bound to public.items"},
		"from parts": {items + "CREATE TABLE lines (id bigint PRIMARY KEY, item bigint REFERENCES items) PARTITION BY HASH (id)", by, "a partitioned table gets one under a lock only"},
		"to parts":   {"CREATE TABLE items (id bigint PRIMARY KEY) PARTITION BY HASH (id); CREATE TABLE lines (item bigint REFERENCES items)", by, "a row that moves to another partition would be deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := edge(t, c.script)
			_, err := g.plan("partition table items by (" + c.by + ")")
			var refused *recipe.Error
			require.ErrorAs(t, err, &refused)
			require.Contains(t, refused.Reason, c.reason)
			require.NotEmpty(t, refused.Next)
		})
	}
}
