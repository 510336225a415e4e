package schemas

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database/postgres"
	"github.com/switchbackdb/switchback/integration/servers"
)

// TestInspectWhileTablesAreMade reads a database to which tables are added, each with an index in the same
// transaction: no table is read without its index, nor an index without its table.
func TestInspectWhileTablesAreMade(t *testing.T) {
	if testing.Short() {
		return
	}
	db := servers.Open(t, servers.URL(t, servers.Postgres17))
	defer db.Close()
	ctx, stop := context.WithCancel(t.Context())
	var maker sync.WaitGroup
	maker.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			_, err := db.ExecContext(t.Context(), fmt.Sprintf("CREATE TABLE late%d (id integer PRIMARY KEY); CREATE INDEX late%d_id ON late%d (id)", i, i, i))
			if err != nil {
				t.Errorf("make table %d: %v", i, err)
				return
			}
		}
	})
	defer maker.Wait()
	defer stop()
	tables := 0
	for range 30 {
		d, err := postgres.Inspect(t.Context(), db)
		require.NoError(t, err)
		for _, table := range d.Schemas[0].Tables {
			require.Len(t, table.Indexes, 1, table.Name)
			require.Len(t, table.Constraints, 1, table.Name)
		}
		tables = len(d.Schemas[0].Tables)
	}
	require.Positive(t, tables)
}

// TestInspectLeavesTheSession reads on a connection with settings of its own, inside a transaction and
// outside, and finds them as they were, also when the reading fails.
func TestInspectLeavesTheSession(t *testing.T) {
	if testing.Short() {
		return
	}
	db := servers.Open(t, servers.URL(t, servers.Postgres17))
	defer db.Close()
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	exec := func(statement string) {
		t.Helper()
		_, err := conn.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	settings := func() (s string) {
		t.Helper()
		require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT concat_ws('/', current_setting('search_path'), current_setting('jit'), current_setting('join_collapse_limit'))").Scan(&s))
		return s
	}
	exec("CREATE TABLE made (id integer); SET search_path = public, pg_catalog; SET jit = on; SET join_collapse_limit = 7")
	const want = "public, pg_catalog/on/7"
	_, err = postgres.Inspect(t.Context(), conn)
	require.NoError(t, err)
	require.Equal(t, want, settings())

	exec("BEGIN; CREATE TABLE mine (id integer)")
	d, err := postgres.Inspect(t.Context(), conn)
	require.NoError(t, err)
	require.Len(t, d.Schemas[0].Tables, 2, "what the transaction has made is there")
	require.Equal(t, want, settings())
	exec("ROLLBACK")

	exec("SET statement_timeout = 1")
	for err = nil; err == nil; {
		_, err = postgres.Inspect(t.Context(), conn)
	}
	require.ErrorContains(t, err, "of the catalogue")
	exec("SET statement_timeout = 0")
	require.Equal(t, want, settings())
}
