package schemas

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/ddl"
	ddlmysql "github.com/switchbackdb/switchback/ddl/mysql"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database/mysql"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

// mysqlKinds are the servers of both engines.
func mysqlKinds() []servers.Kind {
	return []servers.Kind{servers.MySQL9, servers.MariaDB1011, servers.MariaDB118}
}

// client is the name of a client program of the server's engine.
func client(k servers.Kind, program string) string { return k.MySQLClient(program) }

// inspectMySQL reads a catalogue with everything in it.
func inspectMySQL(t testing.TB, url string) *schema.Database {
	t.Helper()
	db, err := mysql.Open(t.Context(), url)
	require.NoError(t, err)
	defer db.Close()
	d, err := db.Inspect(t.Context())
	require.NoError(t, err)
	return d
}

// scriptMySQL writes the script from one schema to another.
func scriptMySQL(t testing.TB, from, to *schema.Database) *ddl.Script {
	t.Helper()
	r, err := diff.Compare(from, to, diff.Options{})
	require.NoError(t, err)
	s, err := ddlmysql.Writer{}.Script(r)
	require.NoError(t, err)
	return s
}

// apply runs a script statement by statement on one connection.
func apply(t testing.TB, db *sql.DB, s *ddl.Script) {
	t.Helper()
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for _, st := range s.Statements {
		_, err := conn.ExecContext(t.Context(), st.SQL)
		require.NoError(t, err, st.SQL)
	}
}

// pathsThatDiffer lists what differs, one line a difference.
func pathsThatDiffer(t testing.TB, from, to *schema.Database, o diff.Options) []string {
	t.Helper()
	r, err := diff.Compare(from, to, o)
	require.NoError(t, err)
	var lines []string
	diff.Walk(r.Changes, func(path string, c diff.Change) {
		if c.Action != diff.Modify {
			lines = append(lines, string(c.Action)+" "+path)
		}
		for _, p := range c.Properties {
			if c.Action == diff.Modify {
				lines = append(lines, fmt.Sprintf("%s: %s: %s → %s", path, p.Name, p.From, p.To))
			}
		}
	})
	return lines
}

// mysqlSource is a schema to load.
type mysqlSource struct {
	name    string
	engines []string // that take it
	files   func(t testing.TB) []string
	drop    string // lines that are left out
	first   string // what comes before, since the files expect it
}

func mysqlSources() []mysqlSource {
	own := func(engine, file string) func(testing.TB) []string {
		return func(testing.TB) []string {
			return []string{filepath.Join("..", "..", "testdata", "schema", engine, file)}
		}
	}
	corpus := func(pattern string) func(testing.TB) []string {
		return func(t testing.TB) []string {
			files, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "corpus", pattern))
			require.NoError(t, err)
			return files
		}
	}
	both := []string{"mysql", "mariadb"}
	return []mysqlSource{
		{"own tables", []string{"mysql"}, own("mysql", "tables.sql"), "", ""},
		{"own programs", []string{"mysql"}, own("mysql", "programs.sql"), "", ""},
		{"own tables", []string{"mariadb"}, own("mariadb", "tables.sql"), "", ""},
		{"own programs", []string{"mariadb"}, own("mariadb", "programs.sql"), "", ""},
		{"chinook", both, corpus("chinook/MySql.sql"), `(?im)^\s*(drop|create) database.*$|^\s*use .*$|(?s)INSERT INTO .*`, ""},
		{"sakila", both, corpus("sakila/mysql-schema.sql"), `(?im)^\s*(drop|create) schema.*$|^\s*use .*$|\bsakila\.`, ""},
		// Its scripts drop checks by the names that MySQL gives them, so MariaDB does not take them.
		{"keto", []string{"mysql"}, ketoFiles, "", "CREATE TABLE networks (id char(36) NOT NULL PRIMARY KEY, created_at timestamp NOT NULL, updated_at timestamp NOT NULL);\n"},
	}
}

// ketoFiles are keto's migrations for MySQL, in order. One of MySQL's own replaces the one for all.
func ketoFiles(t testing.TB) []string {
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "corpus", "keto", "*.up.sql"))
	require.NoError(t, err)
	special := regexp.MustCompile(`\.(mysql|postgres|sqlite3?|cockroach)\.up\.sql$`)
	chosen := map[string]string{}
	for _, f := range files {
		name := special.ReplaceAllString(filepath.Base(f), ".up.sql")
		if m := special.FindStringSubmatch(f); m == nil && chosen[name] == "" || m != nil && m[1] == "mysql" {
			chosen[name] = f
		}
	}
	var list []string
	for _, f := range chosen {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b string) int {
		return strings.Compare(special.ReplaceAllString(filepath.Base(a), ".up.sql"), special.ReplaceAllString(filepath.Base(b), ".up.sql"))
	})
	return list
}

// load runs a source with the server's own client. It is false when the corpus is not there.
func (s mysqlSource) load(t testing.TB, k servers.Kind, url string) bool {
	t.Helper()
	files := s.files(t)
	if len(files) == 0 {
		return false
	}
	if s.first != "" {
		servers.Tool(t, k, url, strings.NewReader(s.first), client(k, ""))
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		if s.drop != "" {
			text = regexp.MustCompile(s.drop).ReplaceAll(text, nil)
		}
		servers.Tool(t, k, url, strings.NewReader(string(text)), client(k, ""), "--default-character-set=utf8mb4")
	}
	return true
}

// eachMySQLSource runs a test on each server with each source that it takes.
func eachMySQLSource(t *testing.T, test func(t *testing.T, k servers.Kind, s mysqlSource)) {
	for _, k := range mysqlKinds() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel() // their DDL waits more than it works
			for _, s := range mysqlSources() {
				if slices.Contains(s.engines, k.Engine) {
					t.Run(s.name, func(t *testing.T) { test(t, k, s) })
				}
			}
		})
	}
}

// dump is what the server's own dump program says of a database, without what differs between two
// databases of the same structure.
func dump(t testing.TB, k servers.Kind, url string) string {
	t.Helper()
	return servers.DumpMySQL(t, k, url, "--no-data")
}

// TestRoundTripMySQL makes a schema again from its model: the script from nothing to it, run on an empty
// database, gives the same model and the same dump. The script back leaves nothing.
func TestRoundTripMySQL(t *testing.T) {
	if testing.Short() {
		return
	}
	eachMySQLSource(t, func(t *testing.T, k servers.Kind, s mysqlSource) {
		a, b := servers.URL(t, k), servers.URL(t, k)
		if !s.load(t, k, a) {
			t.Skip("the corpus is not there")
		}
		want := inspectMySQL(t, a)
		require.Empty(t, want.Uncovered)
		there := scriptMySQL(t, &schema.Database{}, want)
		db := servers.Open(t, b)
		defer db.Close()
		apply(t, db, there)
		require.Empty(t, pathsThatDiffer(t, want, inspectMySQL(t, b), diff.Options{}))
		require.Equal(t, dump(t, k, a), dump(t, k, b))

		apply(t, db, scriptMySQL(t, inspectMySQL(t, b), &schema.Database{}))
		require.Empty(t, inspectMySQL(t, b).Schemas[0].Children())

		// The same through the server's client.
		var text strings.Builder
		require.NoError(t, there.Write(&text, "the schema "+s.name, "$$"))
		servers.Tool(t, k, b, strings.NewReader(text.String()), client(k, ""), "--default-character-set=utf8mb4")
		require.Empty(t, pathsThatDiffer(t, want, inspectMySQL(t, b), diff.Options{}))
	})
}
