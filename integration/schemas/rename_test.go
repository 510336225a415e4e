package schemas

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

// TestRenamesOnServers renames a table, a column of it and an index under a foreign key and a view. The script
// leaves no difference and every row, and so does the one that leads back.
func TestRenamesOnServers(t *testing.T) {
	if testing.Short() {
		return
	}
	before := []string{
		"CREATE TABLE users (id integer PRIMARY KEY, name varchar(40) NOT NULL, CONSTRAINT named CHECK (name <> ''))",
		"CREATE INDEX users_by_name ON users (name)",
		"CREATE TABLE orders (id integer PRIMARY KEY, buyer integer, CONSTRAINT whose FOREIGN KEY (buyer) REFERENCES users (id) ON DELETE CASCADE)",
		"CREATE VIEW buyers AS SELECT u.name, o.id FROM users u JOIN orders o ON o.buyer = u.id",
	}
	after := []string{
		"CREATE TABLE customers (id integer PRIMARY KEY, full_name varchar(40) NOT NULL, CONSTRAINT named CHECK (full_name <> ''))",
		"CREATE INDEX customers_by_name ON customers (full_name)",
		"CREATE TABLE orders (id integer PRIMARY KEY, buyer integer, CONSTRAINT whose FOREIGN KEY (buyer) REFERENCES customers (id) ON DELETE CASCADE)",
		"CREATE VIEW buyers AS SELECT u.full_name AS name, o.id FROM customers u JOIN orders o ON o.buyer = u.id",
	}
	renames := []string{"users=customers", "column:customers.name=full_name", "index:customers.users_by_name=customers_by_name"}
	for _, k := range []servers.Kind{servers.Postgres15, servers.Postgres18, servers.MySQL9, servers.MariaDB118} {
		t.Run(k.Name, func(t *testing.T) {
			a, b := newAtlasSide(t, servers.URL(t, k)), newAtlasSide(t, servers.URL(t, k))
			for _, s := range before {
				a.exec(t.Context(), t, s)
			}
			for _, s := range after {
				b.exec(t.Context(), t, s)
			}
			if k.Engine == "postgres" { // what has its name from the table keeps it
				b.exec(t.Context(), t, "ALTER TABLE customers RENAME CONSTRAINT customers_pkey TO users_pkey")
			}
			a.exec(t.Context(), t, "INSERT INTO users VALUES (1, 'Ada')")
			a.exec(t.Context(), t, "INSERT INTO orders VALUES (7, 1)")
			one, two := a.inspect(t.Context(), t), b.inspect(t.Context(), t)
			list, err := diff.ResolveAll(one, two, renames)
			require.NoError(t, err)
			runBetween(t, a, one, two, list)
			same(t, two, a.inspect(t.Context(), t))
			require.Equal(t, "Ada", only(t, a.plain, "SELECT full_name FROM customers"))
			require.Equal(t, "Ada", only(t, a.plain, "SELECT name FROM buyers WHERE id = 7"))
			runBetween(t, a, two, one, diff.Invert(list))
			same(t, one, a.inspect(t.Context(), t))
			require.Equal(t, "Ada", only(t, a.plain, "SELECT name FROM users"))
		})
	}
}

// runBetween runs the script from one schema to another on a database that is the first.
func runBetween(t *testing.T, on *atlasSide, from, to *schema.Database, renames []diff.Rename) {
	t.Helper()
	r, err := diff.Compare(from, to, diff.Options{Renames: renames})
	require.NoError(t, err)
	writer, err := database.Writer(string(on.engine))
	require.NoError(t, err)
	script, err := writer.Script(r)
	require.NoError(t, err)
	conn, err := on.plain.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	for _, s := range script.Statements {
		require.NotContains(t, s.SQL, "DROP TABLE")
		_, err := conn.ExecContext(t.Context(), s.SQL)
		require.NoError(t, err, "%s\n\nof\n%v", s.SQL, script.Statements)
	}
	if on.engine == "postgres" {
		_, err := conn.ExecContext(t.Context(), "RESET ALL")
		require.NoError(t, err)
	}
}

func same(t *testing.T, want, got *schema.Database) {
	t.Helper()
	r, err := diff.Compare(want, got, diff.Options{})
	require.NoError(t, err)
	var list []string
	diff.Walk(r.Changes, func(path string, c diff.Change) { list = append(list, path) })
	require.Empty(t, list)
}

// only is the one value that a query gives.
func only(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var value string
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&value))
	return value
}
