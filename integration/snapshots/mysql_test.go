package snapshots

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database/mysql"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/snapshot"
)

// mysqlKinds are the servers of both engines.
func mysqlKinds() []servers.Kind {
	return []servers.Kind{servers.MySQL9, servers.MariaDB1011, servers.MariaDB118}
}

// openMySQL opens a database until the test ends.
func openMySQL(t testing.TB, url string) *mysql.Database {
	t.Helper()
	db, err := mysql.Open(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// loadMySQL runs files with the server's own client.
func loadMySQL(t testing.TB, k servers.Kind, url string, files ...string) {
	t.Helper()
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		// The corpus makes databases of its own.
		text = regexp.MustCompile(`(?im)^\s*(drop|create) (schema|database).*$|^\s*use .*$|\bsakila\.`).ReplaceAll(text, nil)
		servers.Tool(t, k, url, strings.NewReader(string(text)), k.MySQLClient(""), "--default-character-set=utf8mb4")
	}
}

func nastyMySQL(k servers.Kind) []string {
	dir := filepath.Join("..", "..", "testdata", "snapshot")
	return []string{filepath.Join(dir, "both.sql"), filepath.Join(dir, k.Engine+".sql")}
}

// takenMySQL takes a snapshot into a store of the test.
func takenMySQL(t testing.TB, from snapshot.Source, engine string) (*snapshot.Store, *snapshot.Manifest) {
	t.Helper()
	store := newMySQLStore(t)
	m, err := store.Create(t.Context(), from, snapshot.About{Engine: engine, Source: "test"}, snapshot.CreateOptions{Workers: 2, LockTimeout: 2 * time.Second})
	require.NoError(t, err)
	return store, m
}

// dumpMySQL is all that the server's own dump program says of a database.
func dumpMySQL(t testing.TB, k servers.Kind, url string) string {
	t.Helper()
	return servers.DumpMySQL(t, k, url, "--hex-blob", "--skip-extended-insert", "--order-by-primary", "--complete-insert")
}

// otherLines are the lines that only one of two texts has, cut short.
func otherLines(a, b string) []string {
	count := map[string]int{}
	for l := range strings.Lines(a) {
		count[l]++
	}
	for l := range strings.Lines(b) {
		count[l]--
	}
	var list []string
	for l, n := range count {
		if n != 0 {
			list = append(list, fmt.Sprintf("%+d %.200s", -n, l))
		}
	}
	slices.Sort(list)
	return list
}

// TestRoundTripMySQL restores a snapshot into an empty database: the server's own dump of both, schema and data, is the
// same, and the package finds them the same by itself.
func TestRoundTripMySQL(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	corpus := filepath.Join("..", "..", "..", "shared", "corpus")
	sources := map[string]func(servers.Kind) []string{
		"nasty":   nastyMySQL,
		"chinook": func(servers.Kind) []string { return []string{filepath.Join(corpus, "chinook", "MySql.sql")} },
		"sakila":  func(servers.Kind) []string { return []string{filepath.Join(corpus, "sakila", "mysql-schema.sql")} },
	}
	if _, err := os.Stat(corpus); os.IsNotExist(err) {
		delete(sources, "chinook")
		delete(sources, "sakila")
	}
	for _, k := range mysqlKinds() {
		t.Run(k.Name, func(t *testing.T) {
			for name, files := range sources {
				t.Run(name, func(t *testing.T) {
					from, to := servers.URL(t, k), servers.URL(t, k)
					loadMySQL(t, k, from, files(k)...)
					store, m := takenMySQL(t, openMySQL(t, from), k.Engine)
					require.Empty(t, m.Content.Omitted)
					require.Empty(t, m.Content.Broken)
					require.NoError(t, store.Fill(t.Context(), m, openMySQL(t, to).Site(), snapshot.BuildOptions{Workers: 2}))
					require.Empty(t, otherLines(dumpMySQL(t, k, from), dumpMySQL(t, k, to)))
				})
			}
		})
	}
}

// TestRoundTripIndexedExpressionsMySQL restores a table that is large enough to get its indexes after its rows, and has
// indexes of expressions: those MySQL builds while writers wait, or not at all.
func TestRoundTripIndexedExpressionsMySQL(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	k := servers.MySQL9
	from, to := servers.URL(t, k), servers.URL(t, k)
	db := servers.Open(t, from)
	for _, s := range []string{
		"CREATE TABLE lists (id int PRIMARY KEY, tags json, name varchar(60), filler text, KEY many ((CAST(tags->'$' AS unsigned ARRAY))), KEY mixed (id, (lower(name))), KEY plain (name))",
		"INSERT INTO lists WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 500) SELECT i, JSON_ARRAY(i, i + 1), concat('Name ', i), repeat(sha2(i, 256), 64) FROM n",
	} {
		_, err := db.ExecContext(t.Context(), s)
		require.NoError(t, err)
	}
	store, m := takenMySQL(t, openMySQL(t, from), k.Engine)
	require.Greater(t, m.Plain(), int64(1<<20), "its indexes are to come after its rows")
	require.NoError(t, store.Fill(t.Context(), m, openMySQL(t, to).Site(), snapshot.BuildOptions{Workers: 2}))
	require.Empty(t, otherLines(dumpMySQL(t, k, from), dumpMySQL(t, k, to)))
}
