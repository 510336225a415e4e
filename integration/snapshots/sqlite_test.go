package snapshots

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// TestSQLiteDump restores a database with every kind of object, and values of every type, into another file, and over
// its own after all was changed: what is dumped of it is the same.
func TestSQLiteDump(t *testing.T) {
	if testing.Short() {
		return
	}
	u, dir := servers.SQLite(t), t.TempDir()
	execute(t, u, read(t, "testdata", "schema", "sqlite", "everything.sql"))
	execute(t, u,
		`CREATE TABLE nasty (k INTEGER PRIMARY KEY, v, t TEXT, b BLOB, r REAL, i INTEGER, n NUMERIC) `,
		`INSERT INTO nasty (v, t, b, r, i, n) VALUES (NULL, '', x'', 0.0, 0, 0), (x'00ff', 'a' || char(0) || 'b', zeroblob(5000), -0.0, 9223372036854775807, '12'),
		(1e308, 'é日本𝄞', x'c3', 9e999, -9223372036854775808, 1.5), ('1', 'two' || char(10) || 'lines', randomblob(100000), -9e999, 1, 'text in a number'),
		(1, '''";--', x'27', 5e-324, -1, 12345678901234567890), (1.0, replace(hex(zeroblob(20000)), '0', 'x'), NULL, 0.1, NULL, x'01')`,
		`CREATE TABLE strict_ (i INTEGER, a ANY) STRICT`, `INSERT INTO strict_ VALUES (1, '001'), (2, 1.0), (3, x'00')`,
		`CREATE TABLE keyless (a TEXT, b INT, PRIMARY KEY (a, b)) WITHOUT ROWID`, `INSERT INTO keyless VALUES ('x', 1), ('X', 1)`,
		`CREATE TABLE counted (n INTEGER PRIMARY KEY AUTOINCREMENT)`, `INSERT INTO counted VALUES (77)`, `DELETE FROM counted`,
		`PRAGMA user_version = 42`, `PRAGMA application_id = 7`)
	was := sqliteDump(t, u)
	require.Greater(t, len(was), 30)

	run(t, dir, "snapshot", "create", "--url", u)
	id := snapshots(t, dir)[0]
	other := "sqlite:" + filepath.Join(t.TempDir(), "other.db")
	run(t, dir, "snapshot", "restore", "--into", other, id)
	require.Equal(t, was, sqliteDump(t, other))
	require.Equal(t, pythonDump(t, u), pythonDump(t, other))

	execute(t, u, "DROP TABLE strict_", "DELETE FROM nasty WHERE k > 2", "INSERT INTO counted VALUES (NULL)", "CREATE TABLE younger (n)", "PRAGMA user_version = 43")
	run(t, dir, "snapshot", "restore", "--url", u, id)
	require.Equal(t, was, sqliteDump(t, u))
}

// pythonDump is the script that Python's own dump makes of a database, which is that of the shell's `.dump`.
func pythonDump(t testing.TB, url string) string {
	t.Helper()
	const script = "import sqlite3, sys\nd = sqlite3.connect(sys.argv[1])\nd.text_factory = lambda b: b.decode(errors='backslashreplace')\nprint('\\n'.join(d.iterdump()))"
	out, err := exec.CommandContext(t.Context(), "python3", "-c", script, strings.TrimPrefix(url, "sqlite:")).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "COMMIT;")
	return string(out)
}

// sqliteDump is what `.dump` prints: the schema's statements, and all values as literals with their types. Our own tables
// are left out.
func sqliteDump(t testing.TB, url string) []string {
	t.Helper()
	db := servers.Open(t, url)
	defer db.Close()
	list := func(query string) (out [][]string) {
		rows, err := db.Query(query)
		require.NoError(t, err, query)
		defer rows.Close()
		columns, err := rows.Columns()
		require.NoError(t, err)
		for rows.Next() {
			row, into := make([]string, len(columns)), make([]any, len(columns))
			for i := range row {
				into[i] = &row[i]
			}
			require.NoError(t, rows.Scan(into...), query)
			out = append(out, row)
		}
		require.NoError(t, rows.Err())
		return out
	}
	var dump []string
	for _, pragma := range []string{"user_version", "application_id", "encoding", "foreign_key_check"} {
		dump = append(dump, fmt.Sprint(pragma, list("PRAGMA "+pragma)))
	}
	quoted := func(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
	for _, o := range list(`SELECT type, name, coalesce(sql, ''), type = 'table' AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'virtual')
FROM sqlite_schema WHERE name NOT LIKE 'switchback\_%' ESCAPE '\' AND tbl_name NOT LIKE 'switchback\_%' ESCAPE '\' ORDER BY type, name`) {
		dump = append(dump, o[0]+" "+o[1]+": "+o[2])
		if o[3] != "1" {
			continue
		}
		var values []string
		for _, c := range list(`SELECT name FROM pragma_table_xinfo('` + strings.ReplaceAll(o[1], "'", "''") + `') WHERE hidden <> 1`) {
			values = append(values, "typeof("+quoted(c[0])+") || ' ' || quote("+quoted(c[0])+")")
		}
		where := ""
		if o[1] == "sqlite_sequence" {
			where = ` WHERE name NOT LIKE 'switchback\_%' ESCAPE '\'`
		}
		for _, r := range list("SELECT " + strings.Join(values, " || ', ' || ") + " FROM " + quoted(o[1]) + where + " ORDER BY 1") {
			dump = append(dump, o[1]+" "+r[0])
		}
	}
	return dump
}
