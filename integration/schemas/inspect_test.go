package schemas

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database/mysql"
	"github.com/switchbackdb/switchback/drivers/database/postgres"
	"github.com/switchbackdb/switchback/drivers/database/sqlite"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

// watched is a Queryer that counts its queries and does something before one of them.
type watched struct {
	schema.Queryer
	queries int
	at      int
	then    func()
}

func (w *watched) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	w.queries++
	if w.queries == w.at && w.then != nil {
		w.then()
	}
	return w.Queryer.QueryContext(ctx, query, args...)
}

// inspectOf is the inspection of a URL's engine.
func inspectOf(url string) func(context.Context, schema.Queryer) (*schema.Database, error) {
	switch engine, _, _ := strings.Cut(url, ":"); engine {
	case "postgres":
		return postgres.Inspect
	case "sqlite":
		return sqlite.Inspect
	default:
		return mysql.Inspect
	}
}

// makeTables makes tables with a key to another, an index, and a view to every ten of them.
func makeTables(t *testing.T, db *sql.DB, from, to int) {
	const batch = 200
	var statements []string
	for i := from; i < to; i++ {
		statements = append(statements,
			fmt.Sprintf("CREATE TABLE t%05d (id integer PRIMARY KEY, parent integer REFERENCES t%05d (id), name varchar(40) NOT NULL)", i, max(0, i-1)),
			fmt.Sprintf("CREATE INDEX t%05d_name ON t%05d (name)", i, i))
		if i%10 == 0 {
			statements = append(statements, fmt.Sprintf("CREATE VIEW v%05d AS SELECT id, name FROM t%05d", i, i))
		}
		if len(statements) >= batch || i == to-1 {
			_, err := db.ExecContext(t.Context(), strings.Join(statements, ";\n"))
			require.NoError(t, err)
			statements = nil
		}
	}
}

// TestInspectQueries reads three tables and a hundred with the same number of queries.
func TestInspectQueries(t *testing.T) {
	servers.Each(t, servers.All(), func(t *testing.T, url string) {
		db := servers.Open(t, url)
		defer db.Close()
		conn, err := db.Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		var counts []int
		made := 0
		for _, n := range []int{3, 100} {
			makeTables(t, db, made, n)
			made = n
			w := &watched{Queryer: conn}
			d, err := inspectOf(url)(t.Context(), w)
			require.NoError(t, err)
			tables := 0
			for _, s := range d.Schemas {
				tables += len(s.Tables)
			}
			require.Equal(t, n, tables)
			counts = append(counts, w.queries)
		}
		require.Equal(t, counts[0], counts[1])
		require.Less(t, counts[0], 60)
	})
}

// TestInspectManyTables reads 10,000 tables, and finds the one that another database lacks.
func TestInspectManyTables(t *testing.T) {
	if testing.Short() {
		return
	}
	for url, n := range map[string]int{servers.SQLite(t): 500, servers.URL(t, servers.Postgres17): 10_000} { // SQLite makes them slowly
		db := servers.Open(t, url)
		defer db.Close()
		makeTables(t, db, 0, n)
		before, err := inspectOf(url)(t.Context(), db)
		require.NoError(t, err)
		makeTables(t, db, n, n+1)
		after, err := inspectOf(url)(t.Context(), db)
		require.NoError(t, err)
		r, err := diff.Compare(before, after, diff.Options{})
		require.NoError(t, err)
		require.Len(t, r.Changes, 1, "a schema")
		require.Equal(t, schema.KindTable, r.Changes[0].Children[0].Kind)
		require.Equal(t, fmt.Sprintf("t%05d", n), r.Changes[0].Children[0].Name)
	}
}

// TestInspectOneMoment changes the catalogue while it is read: the model is that of the moment at which the
// reading began.
func TestInspectOneMoment(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range []servers.Kind{servers.Postgres15, servers.Postgres18} {
		t.Run(k.Name, func(t *testing.T) {
			url := servers.URL(t, k)
			db := servers.Open(t, url)
			defer db.Close()
			makeTables(t, db, 0, 3)
			want, err := postgres.Inspect(t.Context(), db)
			require.NoError(t, err)
			for at := 2; ; at += 3 {
				tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
				require.NoError(t, err)
				_, err = tx.ExecContext(t.Context(), "SELECT count(*) FROM pg_class") // the moment
				require.NoError(t, err)
				w := &watched{Queryer: tx, at: at, then: func() {
					_, err := db.ExecContext(t.Context(), fmt.Sprintf("CREATE TABLE late%d (id integer PRIMARY KEY, t integer REFERENCES t00000 (id)); CREATE INDEX late_index%d ON t00001 (parent)", at, at))
					require.NoError(t, err)
				}}
				got, err := postgres.Inspect(t.Context(), w)
				require.NoError(t, err)
				require.NoError(t, tx.Rollback())
				if at > w.queries {
					return
				}
				require.Equal(t, want.Fingerprint(), got.Fingerprint(), "changed before query %d", at)
				want, err = postgres.Inspect(t.Context(), db)
				require.NoError(t, err)
			}
		})
	}
}

// TestInspectConnectionLost ends the connection between two queries: the error says what was being read, and
// no part of a model is returned.
func TestInspectConnectionLost(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			url := servers.URL(t, k)
			db := servers.Open(t, url)
			defer db.Close()
			makeTables(t, db, 0, 3)
			for at := 3; at < 12; at += 4 {
				conn, err := db.Conn(t.Context())
				require.NoError(t, err)
				number, end := "SELECT CONNECTION_ID()", "KILL %d"
				if k.Engine == "postgres" {
					number, end = "SELECT pg_backend_pid()", "SELECT pg_terminate_backend(%d, 5000)"
				}
				var id int
				require.NoError(t, conn.QueryRowContext(t.Context(), number).Scan(&id))
				w := &watched{Queryer: conn, at: at, then: func() {
					_, err := db.ExecContext(t.Context(), fmt.Sprintf(end, id))
					require.NoError(t, err)
				}}
				d, err := inspectOf(url)(t.Context(), w)
				require.Error(t, err)
				require.Regexp(t, "read the .* of the catalogue", err.Error())
				require.Nil(t, d)
				_ = conn.Close()
			}
		})
	}
}
