package integration

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// TestDiskFull fills the disk in the middle of a backfill. The error says so, and blames no row; what the
// batches before it did is kept, and the backfill goes on from there once there is room.
func TestDiskFull(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	k := servers.Postgres17
	server, stop, err := servers.Start(t.Context(), k) // one of its own, whose disk may be filled
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	shell := func(script string) { servers.Tool(t, k, server, nil, "sh", "-ec", script) }
	// The container's shared memory is a disk of 64 MiB.
	shell("mkdir /dev/shm/small && chown postgres /dev/shm/small")
	g := open(t, server, migrate.Options{})
	g.exec("CREATE TABLESPACE small LOCATION '/dev/shm/small'")
	g.exec("CREATE TABLE notes (id integer primary key, text text, copy text) TABLESPACE small")
	const rows = 4000
	g.exec(fmt.Sprintf("INSERT INTO notes SELECT i, repeat('x', 1000) FROM generate_series(1, %d) AS i", rows))
	g.change("1_copy", map[string]string{
		"expand.sql": "-- nothing\nSELECT 1;\n", "expand.rollback.sql": "SELECT 1;\n",
		"backfill.sql": "-- switchback:batch table=notes key=id size=100\nUPDATE notes SET copy = text WHERE copy IS NULL AND :batch;\n",
	})
	require.NoError(t, g.forward(migrate.Expand))
	shell("free=$(df -k --output=avail /dev/shm | tail -n 1); dd if=/dev/zero of=/dev/shm/fill bs=1k count=$((free - 3000)) 2>/dev/null")
	err = g.forward(migrate.Backfill)
	require.ErrorContains(t, err, "No space left on device")
	require.ErrorContains(t, err, "state: the batches before it took effect; backfilling again goes on from there")
	require.ErrorContains(t, err, "next: make room, then run the same command again")
	require.NotContains(t, err.Error(), "at the row of")
	t.Log(err)
	filled := g.text("SELECT count(*) FROM notes WHERE copy IS NOT NULL")
	require.NotEqual(t, "0", filled)
	require.NotEqual(t, fmt.Sprint(rows), filled)

	shell("rm /dev/shm/fill")
	g.exec("CREATE TABLE seen AS SELECT id FROM notes WHERE copy IS NOT NULL")
	g.exec("UPDATE notes SET copy = 'as it was' WHERE id IN (SELECT id FROM seen)")
	require.NoError(t, g.forward(migrate.Backfill))
	require.Equal(t, "0", g.text("SELECT count(*) FROM notes WHERE copy IS NULL"))
	require.Equal(t, filled, g.text("SELECT count(*) FROM notes WHERE copy = 'as it was'"))
	entries, err := g.runner.Journal().Entries(t.Context(), g.db.DB(), migrate.Filter{Kinds: []migrate.EntryKind{migrate.StatementEntry}})
	require.NoError(t, err)
	last := entries[len(entries)-1]
	require.Equal(t, migrate.Done, last.Status)
	require.EqualValues(t, rows, last.Rows, "a row was walked over twice")
}
