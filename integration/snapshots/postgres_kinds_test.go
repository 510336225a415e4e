package snapshots

import (
	"database/sql"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// psql runs a script.
func psql(t testing.TB, k servers.Kind, url, script string) {
	t.Helper()
	servers.Tool(t, k, url, strings.NewReader(script), "psql", "--quiet", "--set=ON_ERROR_STOP=1")
}

// automaticNotNulls are names of version 18 that a column's NOT NULL has from its table.
var automaticNotNulls = regexp.MustCompile(` CONSTRAINT \w+_not_null\d* NOT NULL`)

// dumped is what pg_dump says of a database, without the order, in which nothing is decided, and without
// what is about the dump and not about the database.
func dumped(t testing.TB, k servers.Kind, url string, args ...string) []string {
	t.Helper()
	text := servers.Tool(t, k, url, nil, "pg_dump", args...)
	var blocks []string
	for _, b := range strings.Split(text, "\n--\n-- ") {
		head, rest, _ := strings.Cut(b, "\n")
		lines := strings.Split(rest, "\n")
		for i, line := range lines {
			if options, ok := strings.CutPrefix(line, "WITH ("); ok {
				list := strings.Split(strings.TrimSuffix(options, ");"), ", ")
				sort.Strings(list)
				lines[i] = strings.Join(list, ", ")
			}
			lines[i] = automaticNotNulls.ReplaceAllString(strings.TrimSuffix(lines[i], ","), " NOT NULL")
		}
		lines = slices.DeleteFunc(lines, func(l string) bool {
			return l == "" || strings.HasPrefix(l, "--") || strings.HasPrefix(l, `\restrict`) || strings.HasPrefix(l, `\unrestrict`) || strings.HasPrefix(l, "SET ") || strings.HasPrefix(l, "SELECT pg_catalog.set_config") ||
				l == "ALTER SCHEMA public OWNER TO postgres;" || l == "GRANT ALL ON SCHEMA public TO postgres;" || strings.HasPrefix(l, "    password ")
		})
		if strings.HasPrefix(head, "Data for") {
			sort.Strings(lines)
		}
		if len(lines) > 0 {
			blocks = append(blocks, strings.Join(lines, "\n"))
		}
	}
	sort.Strings(blocks)
	return blocks
}

// same compares databases by pg_dump.
func same(t testing.TB, k servers.Kind, a, b string) {
	t.Helper()
	alike(t, dumped(t, k, a, "--schema-only"), dumped(t, k, b, "--schema-only"))
	sameRows(t, k, a, k, b)
}

// sameRows compares rows, sequences and large objects by pg_dump.
func sameRows(t testing.TB, ka servers.Kind, a string, kb servers.Kind, b string) {
	t.Helper()
	args := []string{"--data-only", "--disable-triggers"}
	if ka != kb { // versions put large objects in other words
		args = append(args, "--no-blobs")
		const sums = "SELECT string_agg(oid || ' ' || md5(lo_get(oid)), ', ' ORDER BY oid) FROM pg_largeobject_metadata"
		require.Equal(t, text(t, a, sums), text(t, b, sums))
	}
	alike(t, dumped(t, ka, a, args...), dumped(t, kb, b, args...))
}

// alike compares dumps, and prints what only one of them has.
func alike(t testing.TB, a, b []string) {
	t.Helper()
	without := func(list, other []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
	}
	short := func(list []string) string {
		text := strings.Join(list, "\n\n")
		return text[:min(len(text), 3000)]
	}
	require.Empty(t, short(without(a, b)), "only in the first; in the second:\n%s", short(without(b, a)))
	require.Empty(t, short(without(b, a)), "only in the second")
	require.Len(t, b, len(a))
}

// text is what a query returns, as text.
func text(t testing.TB, url, query string) string {
	t.Helper()
	db := servers.Open(t, url)
	defer db.Close()
	var s sql.NullString
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&s), query)
	return s.String
}

func read(t testing.TB, path ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
	require.NoError(t, err)
	return string(b)
}

// kindsSchema is that of every kind of object; a subscription cannot be dumped by pg_dump in the same words.
func kindsSchema(t testing.TB, k servers.Kind) string {
	s := read(t, "testdata", "schema", "postgres", "all.sql")
	if k != servers.Postgres15 {
		s += read(t, "testdata", "schema", "postgres", "17.sql")
	}
	if k == servers.Postgres18 {
		s += read(t, "testdata", "schema", "postgres", "18.sql")
	}
	var keep []string
	for _, line := range strings.Split(s, "\n") {
		if !strings.HasPrefix(line, "CREATE SUBSCRIPTION") {
			keep = append(keep, line)
		}
	}
	return strings.Join(keep, "\n")
}

var postgresKinds = []servers.Kind{servers.Postgres15, servers.Postgres17, servers.Postgres18}

// TestPostgresKinds copies a database with every kind of object, and one with every kind of value.
func TestPostgresKinds(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range postgresKinds {
		for name, script := range map[string]string{"objects": kindsSchema(t, k) + kindsRows, "values": values} {
			t.Run(k.Name+"/"+name, func(t *testing.T) {
				a, b := servers.URL(t, k), servers.URL(t, k)
				psql(t, k, a, script)
				begun := time.Now()
				store := newStore(t)
				m := create(t, store, a)
				created := time.Since(begun)
				restore(t, store, m, b)
				t.Logf("created in %s, restored in %s", created, time.Since(begun)-created)
				same(t, k, a, b)
			})
		}
	}
}

// TestPostgresCorpus copies databases of others.
func TestPostgresCorpus(t *testing.T) {
	if testing.Short() {
		return
	}
	corpus := filepath.Join("..", "..", "..", "shared", "corpus")
	if _, err := os.Stat(corpus); os.IsNotExist(err) {
		return // it is not part of the repository
	}
	sakila := func(t *testing.T) string {
		return read(t, "..", "shared", "corpus", "sakila", "postgres-schema.sql") + read(t, "..", "shared", "corpus", "sakila", "postgres-data-copy.sql")
	}
	chinook := func(t *testing.T) string {
		lines := strings.Split(read(t, "..", "shared", "corpus", "chinook", "PostgreSql.sql"), "\n")
		lines = slices.DeleteFunc(lines, func(l string) bool {
			return strings.HasPrefix(l, "DROP DATABASE") || strings.HasPrefix(l, "CREATE DATABASE") || strings.HasPrefix(l, `\c `)
		})
		return strings.Join(lines, "\n")
	}
	for name, script := range map[string]func(*testing.T) string{"sakila": sakila, "chinook": chinook} {
		t.Run(name, func(t *testing.T) {
			k := servers.Postgres17
			a, b := servers.URL(t, k), servers.URL(t, k)
			psql(t, k, a, script(t))
			store := newStore(t)
			m := create(t, store, a)
			require.Positive(t, m.Rows())
			restore(t, store, m, b)
			same(t, k, a, b)
		})
	}
}

// TestPostgresToLaterVersion restores into a server of a later version.
func TestPostgresToLaterVersion(t *testing.T) {
	if testing.Short() {
		return
	}
	for name, script := range map[string]string{"objects": kindsSchema(t, servers.Postgres15) + kindsRows, "values": values} {
		t.Run(name, func(t *testing.T) {
			a, b := servers.URL(t, servers.Postgres15), servers.URL(t, servers.Postgres18)
			psql(t, servers.Postgres15, a, script)
			store := newStore(t)
			m := create(t, store, a)
			restore(t, store, m, b)
			sameRows(t, servers.Postgres15, a, servers.Postgres18, b)
		})
	}
}

// kindsRows are rows in the tables of every kind.
const kindsRows = `
SET session_replication_role = replica;
INSERT INTO shop.customers (name, "Mail Address", feeling, feelings, home, lives, picture, "select")
SELECT 'c' || i, 'a@b', 'it''s bad', '{good,ugly,NULL}', ROW('a,"b', i, '{ugly}')::shop.address, '[0.1,2.5)', decode('00ff0a5c', 'hex'), E'tab\t line\n back\\slash' FROM generate_series(1, 50) i;
INSERT INTO shop.orders (customer, parent, place, during) SELECT 100, NULL, 'p' || i, tstzrange('2025-01-01'::timestamptz + i * interval '1 day', '2025-01-01'::timestamptz + (i + 1) * interval '1 day') FROM generate_series(1, 20) i;
UPDATE shop.orders SET parent = 1 WHERE id > 3;
INSERT INTO shop.b VALUES (1, NULL, 1, 1); INSERT INTO shop.a VALUES (1, 1, 1); UPDATE shop.b SET a = 1;
INSERT INTO shop.c VALUES (1, 1), (NULL, NULL);
INSERT INTO shop.fast VALUES (1), (1); INSERT INTO shop.typed VALUES ('s', 1, '{good}');
INSERT INTO shop.mutual VALUES (1, 2); INSERT INTO shop.base VALUES (1, 'b'); INSERT INTO shop.child VALUES (7, 'c', 'x');
INSERT INTO shop.events SELECT i % 9 + 1, date '2025-01-01' + i * 30 FROM generate_series(0, 40) i;
INSERT INTO shop.hashed_0 SELECT i, 'x' FROM generate_series(1, 50) i WHERE satisfies_hash_partition('shop.hashed'::regclass, 2, 0, i, lower('x'));
INSERT INTO shop.to_events SELECT id, at FROM shop.events LIMIT 5;
INSERT INTO "Odd Name"."Table; DROP" VALUES (1, 'u', 'ü');
INSERT INTO shop.piled VALUES (1);
SELECT nextval('shop.numbers'), nextval('shop.numbers');
RESET session_replication_role;
`

// values are tables with what is easily spoilt.
const values = `
CREATE EXTENSION IF NOT EXISTS citext; CREATE EXTENSION IF NOT EXISTS hstore SCHEMA public;
CREATE TYPE pair AS (a integer, b text); CREATE TYPE colour AS ENUM ('red', 'a,b', 'c"d', '');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TABLE vals (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, f4 real, f8 double precision, n numeric, money money, d date, ts timestamp, tz timestamptz, iv interval, tm time, tmz timetz,
  t text, c char(5), vc varchar(9), b bytea, bo boolean, u uuid, j json, jb jsonb, x xml, bits bit(3), vb varbit, ip inet, cd cidr, mac macaddr, pt point, poly polygon, circ circle,
  ia integer[], ta text[], ma integer[][], r int4range, nr numrange, mr int4multirange, p pair, pa pair[], e colour, ea colour[], dom positive, ci citext, h hstore, ts_v tsvector, ts_q tsquery, o oid, nm name, ch "char", lsn pg_lsn,
  g double precision GENERATED ALWAYS AS (f8 * 2) STORED
);
INSERT INTO vals (f4, f8, n, money, d, ts, tz, iv, t) VALUES
  ('NaN', 'NaN', 'NaN', '-92233720368547758.08', 'infinity', 'infinity', '-infinity', '-1 mon +2 days -03:04:05.678901', ''),
  ('Infinity', '-Infinity', '-Infinity', '92233720368547758.07', '-infinity', '-infinity', 'infinity', '178000000 years', E'\\N'),
  ('-0', '-0', 1e-1000, 0, '4713-01-01 BC', '4713-01-01 00:00:00 BC', '4713-01-02 00:00:00+00 BC', '0', '\.'),
  (1.17549435e-38, 5e-324, 1e1000, 1, '5874897-12-31', '294276-12-31 23:59:59.999999', '294276-12-30 23:59:59.999999+00', '1 microsecond', E'\b\f\n\r\t\v\\\x01\x7f'),
  (3.4028235e38, 1.7976931348623157e308 / 2, 'Infinity', 2, now(), now(), now(), '1 day', 'ünïcode 🙂 日本');
INSERT INTO vals (f8, t, c, vc, b, bo, u, j, jb, x, bits, vb, ip, cd, mac, tm, tmz, pt, poly, circ) VALUES
  (0.1 + 0.2, repeat('long', 100000), 'a', 'b ', decode('000102090a0d5c22ff', 'hex'), true, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a": 1,  "a": "\u00e9\n"}', '{"b": [1, null, 1e400]}', '<a b="c">&lt;
</a><!-- two -->tail', '101', '1', '::1/64', '10.0.0.0/8', '08:00:2b:01:02:03', '24:00', '04:05:06.7-15:59', '(1e-300,-0)', '((0,0),(1,1),(1,0))', '<(1,2),3.3>');
INSERT INTO vals (ia, ta, ma, r, nr, mr, p, pa, e, ea, dom, ci, h, ts_v, ts_q, o, nm, ch, lsn) VALUES
  ('[-1:1]={1,NULL,3}', ARRAY['NULL', NULL, '', 'a,b', '{}', E'q"\\'], '{{1,2},{3,4}}', 'empty', '(,5.5]', '{[1,3),[7,9)}', ROW(NULL, 'x,"(y)'), ARRAY[ROW(1, NULL)::pair, NULL], 'a,b', '{red,"a,b","c\"d",""}', 1, 'MiXed',
   'a=>1, "b c"=>NULL', '''it''s'':1A ok:2', '''a'' & !''b c''', 4294967295, 'a name', '', '16/B374D848');
INSERT INTO vals DEFAULT VALUES;
CREATE TABLE "Mixed ""Quoted"".Table" ("Column ""x""" integer, "ünï.cöde" text, "select" integer, "a\b" text);
INSERT INTO "Mixed ""Quoted"".Table" VALUES (1, 'a', 2, 'b');
CREATE SCHEMA "S.s"; CREATE TABLE "S.s"."t.t" (i integer); INSERT INTO "S.s"."t.t" VALUES (1);
CREATE TABLE none (); INSERT INTO none DEFAULT VALUES; INSERT INTO none DEFAULT VALUES;
CREATE TABLE computed (a integer GENERATED ALWAYS AS (1) STORED); INSERT INTO computed DEFAULT VALUES;
CREATE TABLE dropped (a integer, b text, c integer); INSERT INTO dropped VALUES (1, 'b', 3); ALTER TABLE dropped DROP COLUMN b; ALTER TABLE dropped ADD d text DEFAULT 'd';
-- Row security applies to its owner, and hides all.
CREATE TABLE hidden (i integer); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; INSERT INTO hidden VALUES (1), (2);
-- Sequences: never used, used, at their end, of their own kind.
CREATE SEQUENCE fresh; CREATE SEQUENCE used; SELECT nextval('used') FROM generate_series(1, 5); CREATE SEQUENCE "Seq.x" INCREMENT -1; SELECT setval('"Seq.x"', -7, false);
CREATE TABLE counted (id serial, other bigint GENERATED BY DEFAULT AS IDENTITY (START 50 INCREMENT 5)); INSERT INTO counted DEFAULT VALUES; INSERT INTO counted DEFAULT VALUES; DELETE FROM counted;
-- Keys: to itself, in a circle, deferrable, of other columns.
CREATE TABLE tree (id integer PRIMARY KEY, parent integer REFERENCES tree DEFERRABLE INITIALLY DEFERRED, UNIQUE (id, parent));
BEGIN; INSERT INTO tree SELECT i, 1001 - i FROM generate_series(1, 1000) i; COMMIT;
CREATE TABLE one (id integer PRIMARY KEY, two integer); CREATE TABLE two (id integer PRIMARY KEY, one integer REFERENCES one); ALTER TABLE one ADD FOREIGN KEY (two) REFERENCES two;
INSERT INTO one VALUES (1); INSERT INTO two VALUES (1, 1); UPDATE one SET two = 1;
-- A check that reads another table.
CREATE TABLE allowed (v integer); INSERT INTO allowed VALUES (5);
CREATE FUNCTION is_allowed(v integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN EXISTS (SELECT FROM public.allowed a WHERE a.v = is_allowed.v); END $$;
CREATE TABLE aaa_checked (v integer CHECK (is_allowed(v))); INSERT INTO aaa_checked VALUES (5);
-- A generated column that calls a function that calls another.
CREATE FUNCTION inner_fn(i integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN i + 1; END $$;
CREATE FUNCTION outer_fn(i integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN public.inner_fn(i); END $$;
CREATE TABLE calls (i integer, o integer GENERATED ALWAYS AS (outer_fn(i)) STORED); INSERT INTO calls SELECT generate_series(1, 10); CREATE INDEX calls_fn ON calls (outer_fn(i)) WHERE outer_fn(i) > 3;
-- A trigger that would change what is loaded.
CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.t := 'spoilt'; RETURN NEW; END $$;
CREATE TABLE guarded (t text); INSERT INTO guarded VALUES ('whole'); CREATE TRIGGER spoil BEFORE INSERT ON guarded FOR EACH ROW EXECUTE FUNCTION spoil(); ALTER TABLE guarded ENABLE ALWAYS TRIGGER spoil;
CREATE TABLE ruled (t text); INSERT INTO ruled VALUES ('whole'); CREATE RULE off AS ON INSERT TO ruled DO INSTEAD NOTHING;
-- Views on views, a key that a view stands on, a filled materialised view.
CREATE VIEW by_key AS SELECT id, parent FROM tree GROUP BY id; CREATE MATERIALIZED VIEW filled AS SELECT count(*) AS n FROM by_key; CREATE UNIQUE INDEX ON filled (n); CREATE MATERIALIZED VIEW on_it AS SELECT n + 1 AS m FROM filled;
CREATE TABLE unlog (i integer); ALTER TABLE unlog SET UNLOGGED; INSERT INTO unlog VALUES (1);
-- Large objects: empty, of one page, of several, with rights.
SELECT lo_create(900001); SELECT lo_from_bytea(900002, 'small'); SELECT lo_from_bytea(900003, decode(repeat('00ff0a5c', 700000), 'hex'));
GRANT SELECT ON LARGE OBJECT 900002 TO pg_monitor; ALTER LARGE OBJECT 900003 OWNER TO pg_monitor; COMMENT ON LARGE OBJECT 900002 IS 'it''s small';
`
