package integration

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// TestCatalogue follows scripts, and after each wants the fingerprint that reading everything gives.
func TestCatalogue(t *testing.T) {
	scripts := [][]string{
		{"CREATE TABLE a (id integer PRIMARY KEY, n integer DEFAULT 3 CHECK (n > 1))"},
		{"CREATE TABLE b (id integer PRIMARY KEY, a integer REFERENCES a (id))", `CREATE TABLE "C d" (id integer UNIQUE)`},
		{"ALTER TABLE a ADD COLUMN more integer", "CREATE TABLE e (id integer)"},
		{"CREATE INDEX a_n ON a (n)"},
		{"ALTER TABLE a ADD COLUMN extra varchar(20) DEFAULT 'x' NOT NULL", "CREATE UNIQUE INDEX a_extra ON a (extra, n)"},
		{"INSERT INTO a (id) VALUES (1)"},
		{"CREATE VIEW v AS SELECT n FROM a"},
		{"CREATE TABLE IF NOT EXISTS a (id integer)"},
		{"DROP TABLE b"},
		{`DROP TABLE "C d"`, "DROP TABLE IF EXISTS e"},
		{"DROP TABLE IF EXISTS e"},
		{"CREATE TABLE e (id integer)", "DROP TABLE e", "CREATE TABLE E (n integer)"},
		{"DROP TABLE E"},
		{"CREATE TABLE f (id integer)", "CREATE INDEX f_id ON f (id)"},
		{"DROP TABLE f"},
		{"DROP VIEW v", "DROP TABLE a"},
	}
	servers.Each(t, servers.Main(), func(t *testing.T, url string) {
		g := open(t, url, migrate.Options{})
		conn, err := g.db.DB().Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		c := g.db.Catalogue()
		begin, err := c.Read(t.Context(), conn)
		require.NoError(t, err)
		followed := 0
		run := scripts
		if e := engineOf(g); e == migrate.MySQL || e == migrate.MariaDB {
			run = scripts[:1]
		}
		if engineOf(g) == migrate.Postgres {
			run = append([][]string{
				{"CREATE TABLE g (id integer PRIMARY KEY, n text)", "COMMENT ON COLUMN g.n IS 'note'"},
				{"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'", "CREATE TRIGGER t BEFORE INSERT ON g FOR EACH ROW EXECUTE FUNCTION f()"},
				{"ALTER TABLE g ADD COLUMN h integer REFERENCES g (id) ON DELETE CASCADE, ALTER COLUMN n SET NOT NULL"},
				{"ALTER TABLE g ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON g USING (h > 1)"},
				{"ALTER TABLE g DISABLE TRIGGER t", "INSERT INTO g VALUES (1, 'x', 1)"},
				{"CREATE INDEX CONCURRENTLY_not ON public.g USING btree (h) WHERE h > 3"},
				{"ALTER TABLE g DROP COLUMN h CASCADE"},
				{"ALTER TABLE g DROP CONSTRAINT g_pkey", "ALTER TABLE g ADD CONSTRAINT k UNIQUE (id)"},
				{"DROP TABLE g", "DROP FUNCTION f"},
			}, run...)
			run = append(run, []string{"CREATE TABLE s (id serial)"}, []string{"DROP TABLE s"}, []string{"CREATE TABLE p (id integer) PARTITION BY RANGE (id)", "CREATE TABLE p1 PARTITION OF p DEFAULT"},
				[]string{"DROP TABLE p"}, []string{"CREATE SCHEMA other", "CREATE TABLE other.t (id integer)"}, []string{"CREATE TABLE other.u (id integer)"}, []string{"DROP TABLE other.u"}, []string{"DROP SCHEMA other CASCADE"})
		}
		for _, script := range run {
			_, err := conn.ExecContext(t.Context(), g.db.Dialect().Begin)
			require.NoError(t, err)
			for _, s := range script {
				_, err := g.db.Execute(t.Context(), conn, s)
				require.NoError(t, err, s)
			}
			got, whole, err := c.Follow(t.Context(), conn, [][]string{script})
			require.NoError(t, err, script)
			if !whole {
				followed++
			}
			_, err = conn.ExecContext(t.Context(), "COMMIT")
			require.NoError(t, err)
			want, err := g.db.Fingerprint(t.Context(), conn)
			require.NoError(t, err)
			require.Equal(t, []string{want}, got, fmt.Sprint(script))
		}
		if len(run) > 1 {
			require.Greater(t, followed, 5)
			end, err := c.Read(t.Context(), conn)
			require.NoError(t, err)
			require.Equal(t, begin, end)
		}
	})
}
