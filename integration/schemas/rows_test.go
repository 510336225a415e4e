package schemas

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

// rowCase is a schema with rows in it that becomes another and then itself again. What the query reads, one
// text, has to be as said each time: rows survive where no script says that they are lost.
type rowCase struct {
	name        string
	from, to    string
	rows        string
	read        string
	there, back string
	least       string // the first version that can
}

// TestRowsPostgres are changes of tables with rows in them, on PostgreSQL.
func TestRowsPostgres(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range []servers.Kind{servers.Postgres15, servers.Postgres17, servers.Postgres18} {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			a, b := newPostgres(t, k), newPostgres(t, k)
			for _, c := range rowsOfPostgres {
				if c.least <= k.Name {
					t.Run(c.name, func(t *testing.T) { rowsSurvive(t, a, b, c) })
				}
			}
		})
	}
}

func rowsSurvive(t *testing.T, a, b *pgDatabase, c rowCase) {
	execute(t, a.db, wipe+c.from)
	execute(t, b.db, wipe+c.to)
	execute(t, a.db, c.rows)
	first, second := a.inspect(), b.inspect()
	now := first
	for _, step := range []struct {
		to   *schema.Database
		rows string
	}{{second, c.there}, {first, c.back}} {
		script, err := between(now, step.to)
		require.NoError(t, err)
		require.NoError(t, a.run(script), printed(script))
		now = a.inspect()
		require.Empty(t, differences(t, now, step.to), printed(script))
		require.Equal(t, step.rows, text(t, a.db, c.read), printed(script))
	}
}

// TestRowsMySQL are changes of tables with rows in them, on MySQL and MariaDB.
func TestRowsMySQL(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range mysqlKinds() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			a, b := openPair(t, k), openPair(t, k)
			for _, c := range rowsOfMySQL {
				if c.least != "" && c.least != k.Engine {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					first, problem := a.fill(t, []string{c.from})
					require.Empty(t, problem)
					second, problem := b.fill(t, []string{c.to})
					require.Empty(t, problem)
					execute(t, a.plain, c.rows)
					require.Empty(t, a.become(t, second))
					require.Equal(t, c.there, text(t, a.plain, c.read))
					require.Empty(t, a.become(t, first))
					require.Equal(t, c.back, text(t, a.plain, c.read))
				})
			}
		})
	}
}

// TestRowsSQLite are changes of tables with rows in them, on SQLite.
func TestRowsSQLite(t *testing.T) {
	for _, c := range rowsOfSQLite {
		t.Run(c.name, func(t *testing.T) {
			ctx := t.Context()
			a, b := newLite(ctx, t, ""), newLite(ctx, t, "")
			defer a.close()
			defer b.close()
			a.load(ctx, t, c.from+";"+c.rows)
			b.load(ctx, t, c.to)
			first, second := a.inspect(ctx, t), b.inspect(ctx, t)
			read := func() (s string) {
				require.NoError(t, a.conn.QueryRowContext(ctx, c.read).Scan(&s))
				return s
			}
			script := liteScript(t, first, second, diff.Options{})
			require.NoError(t, a.apply(ctx, script), scriptText(t, script))
			requireSame(t, second, a.inspect(ctx, t), scriptText(t, script))
			require.Equal(t, c.there, read(), scriptText(t, script))
			script = liteScript(t, second, first, diff.Options{})
			require.NoError(t, a.apply(ctx, script), scriptText(t, script))
			requireSame(t, first, a.inspect(ctx, t), scriptText(t, script))
			require.Equal(t, c.back, read(), scriptText(t, script))
		})
	}
}

func execute(t testing.TB, db *sql.DB, statements string) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), statements)
	require.NoError(t, err, statements)
}

func text(t testing.TB, db *sql.DB, query string) (s string) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&s))
	return s
}
