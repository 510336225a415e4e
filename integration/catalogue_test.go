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
			got, whole, err := c.Follow(t.Context(), conn, script)
			require.NoError(t, err, script)
			if !whole {
				followed++
			}
			_, err = conn.ExecContext(t.Context(), "COMMIT")
			require.NoError(t, err)
			want, err := g.db.Fingerprint(t.Context(), conn)
			require.NoError(t, err)
			require.Equal(t, want, got, fmt.Sprint(script))
		}
		if len(run) > 1 {
			require.Greater(t, followed, 5)
			end, err := c.Read(t.Context(), conn)
			require.NoError(t, err)
			require.Equal(t, begin, end)
		}
	})
}
