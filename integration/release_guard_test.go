package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/binary"
	"github.com/switchbackdb/switchback/integration/servers"
)

// TestReleaseGuard has a transaction that somebody left open, and a lack of connections, turn a release back before
// it changes anything; one that ends in time is waited for.
func TestReleaseGuard(t *testing.T) {
	onServers(t, servers.Main(), func(t *testing.T, k servers.Kind) {
		u := servers.URL(t, k)
		s := newShop(t)
		s.proxied()
		base, err := os.ReadFile(filepath.Join(s.dir, "switchback.yaml"))
		require.NoError(t, err)
		guard := func(words string) {
			s.set(strings.TrimPrefix(string(base), stageConfig) + "  guard: {" + words + "}\n")
		}
		release := func(name string) *binary.Command {
			return start(t, s.dir, nil, "release", "start", "--url", u, "--version", "v1", "--name", name)
		}
		guard("transactions: 1s, connections: 2, lag: 5s, within: 300ms")
		require.Contains(t, run(t, s.dir, "release", "plan", "--url", u, "--version", "v1"),
			"guard: no transaction open for longer than 1s, 2 connections left, no replica further behind than 5s; waited for 300ms")
		run(t, s.dir, "release", "start", "--url", u, "--version", "v1")

		db := servers.Open(t, u)
		defer db.Close()
		_, err = db.ExecContext(t.Context(), "CREATE TABLE t (id int PRIMARY KEY)")
		require.NoError(t, err)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		defer func() { _ = tx.Rollback() }()
		_, err = tx.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
		require.NoError(t, err)
		time.Sleep(2100 * time.Millisecond) // so long is it to be open; MySQL counts whole seconds
		c := release("second")
		require.Equal(t, 3, c.End(t), c.Out.String())
		require.Contains(t, c.Out.String(), "preflight failed: the database is not fit for it, after 300ms of waiting: a transaction is open for ")
		require.Contains(t, c.Out.String(), ": session ")

		guard("transactions: 1s, within: 1m")
		c = release("third")
		require.Eventually(t, func() bool {
			return strings.Contains(run(t, s.dir, "release", "status", "--url", u), "preflight    begun")
		}, 20*time.Second, 50*time.Millisecond)
		require.NoError(t, tx.Rollback())
		require.Zero(t, c.End(t), c.Out.String())

		guard(fmt.Sprintf("connections: %d, within: 100ms", 1_000_000))
		c = release("fourth")
		require.Equal(t, 3, c.End(t), c.Out.String())
		require.Contains(t, c.Out.String(), " connections are left, wanted are 1000000")
		require.Contains(t, run(t, s.dir, "release", "status", "--url", u, "--all"), "release third of shop version v1")
	})
}

// TestGuardOnSQLite says that there is nothing to guard.
func TestGuardOnSQLite(t *testing.T) {
	s := newShop(t, "  guard: {transactions: 1s}\n")
	s.proxied()
	c := start(t, s.dir, nil, "release", "plan", "--version", "v1")
	require.Equal(t, 1, c.End(t))
	require.Contains(t, c.Out.String(), "release.guard is of no use here: sqlite has one writer at a time")
}
