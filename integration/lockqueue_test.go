package integration

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// waits counts how often a run gave up waiting, and closes enough at the third time, if somebody was seen by then who keeps it
// waiting: on a busy machine the look may come too late a few times.
type waits struct {
	mu       sync.Mutex
	n        int
	closed   bool
	blind    bool // the engine does not know who holds its lock
	blockers []migrate.Blocker
	enough   chan struct{}
}

func (w *waits) Waiting(_ migrate.Step, _ int, _ time.Duration, blockers []migrate.Blocker) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	w.blockers = append(w.blockers, blockers...)
	if !w.closed && w.n >= 3 && (w.blind || len(w.blockers) > 0 || w.n >= 10) {
		w.closed = true
		close(w.enough)
	}
}
func (*waits) StepStarted(migrate.Step)                 {}
func (*waits) StepFinished(migrate.Step, time.Duration) {}
func (*waits) Progress(migrate.Step, migrate.Progress)  {}
func (*waits) Resumed(migrate.Step)                     {}

// TestLockQueue expands a table that a long transaction holds. Expand gives up after its lock timeout,
// again and again; whoever else asks for the table never waits longer than that; and it succeeds once
// the transaction ends.
func TestLockQueue(t *testing.T) {
	const timeout = time.Second // the shortest that MySQL counts in
	servers.Each(t, servers.Main(), func(t *testing.T, url string) {
		w := &waits{enough: make(chan struct{})}
		g := open(t, url, migrate.Options{LockTimeout: timeout, Observer: w})
		w.blind = engineOf(g) == migrate.SQLite
		g.exec("CREATE TABLE busy (id integer primary key, n integer)")
		g.exec("INSERT INTO busy VALUES (1, 0), (2, 0)")
		g.change("1_column", map[string]string{
			"expand.sql":          "ALTER TABLE busy ADD COLUMN more integer;\n",
			"expand.rollback.sql": "ALTER TABLE busy DROP COLUMN more;\n",
		})
		long, err := g.plain.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = long.ExecContext(t.Context(), "UPDATE busy SET n = n + 1 WHERE id = 1")
		require.NoError(t, err)

		expanded := make(chan error, 1)
		go func() { expanded <- g.forward(migrate.Expand) }()
		queries, longest := g.queries(t, w.enough)
		require.NoError(t, long.Commit())
		require.NoError(t, <-expanded)
		require.Equal(t, "1_column:expand", g.applied())

		t.Logf("%d queries, the longest took %s", queries, longest)
		require.Less(t, longest, timeout+400*time.Millisecond, "a query queued behind expand")
		if w.blind {
			return
		}
		require.NotEmpty(t, w.blockers, "nobody says who holds the table")
		if engineOf(g) != migrate.MariaDB { // it does not know what a session that is idle now ran before
			require.Contains(t, w.blockers[0].Query, "busy")
		}
	})
}

// TestVacuumInTheWay expands a table that a session holds as a vacuum does. Expand waits for it, and nobody queues
// behind expand meanwhile: a write that comes after it is done before the vacuum is.
func TestVacuumInTheWay(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	for name, script := range map[string]string{
		"in a transaction": "ALTER TABLE busy ADD COLUMN more integer;\n",
		"by itself":        "-- switchback:no-transaction\nALTER TABLE busy ADD COLUMN more integer;\n",
		"in a group":       "-- switchback:no-transaction\n-- switchback:together\nALTER TABLE busy ADD COLUMN more integer;\n-- switchback:apart\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := open(t, servers.URL(t, servers.Postgres17), migrate.Options{LockTimeout: time.Minute})
			g.exec("CREATE TABLE busy (id integer primary key, n integer)")
			g.exec("INSERT INTO busy VALUES (1, 0)")
			g.change("1_column", map[string]string{"expand.sql": script, "expand.rollback.sql": "ALTER TABLE busy DROP COLUMN more;\n"})
			vacuum, err := g.plain.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = vacuum.ExecContext(t.Context(), "LOCK TABLE busy IN SHARE UPDATE EXCLUSIVE MODE")
			require.NoError(t, err)

			expanded := make(chan error, 1)
			go func() { expanded <- g.forward(migrate.Expand) }()
			require.Eventually(t, func() bool {
				return g.text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'busy'::regclass") == "1"
			}, 20*time.Second, 20*time.Millisecond, "expand does not wait")
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err = g.plain.ExecContext(ctx, "UPDATE busy SET n = n + 1 WHERE id = 1")
			require.NoError(t, err, "a write queued behind expand")
			require.NoError(t, vacuum.Commit())
			require.NoError(t, <-expanded)
			require.Equal(t, "1_column:expand", g.applied())
		})
	}
}

// queries reads the table from other sessions until enough is closed, and tells how often and how long
// it took at most.
func (g *target) queries(t *testing.T, enough <-chan struct{}) (n int, longest time.Duration) {
	db := servers.Open(t, g.url)
	defer func() { require.NoError(t, db.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		select {
		case <-enough:
			return n, longest
		default:
		}
		begun := time.Now()
		var id int
		require.NoError(t, db.QueryRowContext(ctx, "SELECT n FROM busy WHERE id = 2").Scan(&id))
		n++
		longest = max(longest, time.Since(begun))
	}
}

// TestLockDeadline expands a table that a transaction holds which never ends. The run gives up at its
// deadline, names who is in the way, leaves nothing behind, and succeeds once that has ended.
func TestLockDeadline(t *testing.T) {
	const timeout, deadline = time.Second, 4 * time.Second
	servers.Each(t, append(servers.Main(), servers.MariaDB1011), func(t *testing.T, url string) {
		g := open(t, url, migrate.Options{LockTimeout: timeout, LockDeadline: deadline, Retries: 1000})
		g.exec("CREATE TABLE busy (id integer primary key, n integer)")
		g.exec("INSERT INTO busy VALUES (1, 0), (2, 0)")
		g.change("1_column", map[string]string{
			"expand.sql":          "ALTER TABLE busy ADD COLUMN more integer;\n",
			"expand.rollback.sql": "ALTER TABLE busy DROP COLUMN more;\n",
		})
		empty := g.fingerprint()
		long, err := g.plain.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = long.ExecContext(t.Context(), "UPDATE busy SET n = n + 1 WHERE id = 1")
		require.NoError(t, err)

		begun := time.Now()
		err = g.forward(migrate.Expand)
		took := time.Since(begun)
		require.ErrorContains(t, err, "gave up after")
		require.Greater(t, took, deadline/4)
		require.Less(t, took, deadline+2*timeout)
		if query := ownSession[engineOf(g)]; query != "" {
			var session string
			require.NoError(t, long.QueryRowContext(t.Context(), query).Scan(&session))
			require.Contains(t, err.Error(), "blocked by session "+session+" of ")
			require.Regexp(t, `since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`, err.Error())
			require.Contains(t, err.Error(), "next: wait until what is in the way has ended")
		}
		require.Contains(t, err.Error(), "state: ")
		require.Equal(t, engineOf(g) == migrate.SQLite, errors.Is(err, migrate.ErrBusy))
		t.Log(err)
		require.NoError(t, long.Rollback())
		require.Equal(t, empty, g.fingerprint())
		require.Empty(t, g.applied())
		require.NoError(t, g.forward(migrate.Expand))
		require.Equal(t, "1_column:expand", g.applied())
	})
}

// ownSession is the query for the server's number of the session that asks.
var ownSession = map[migrate.Engine]string{
	migrate.Postgres: "SELECT pg_backend_pid()", migrate.MySQL: "SELECT connection_id()", migrate.MariaDB: "SELECT connection_id()",
}

// TestRowDeadline backfills rows of which a transaction that never ends holds one. The batches before it
// are kept, the error names who is in the way, and the backfill goes on once that has ended.
func TestRowDeadline(t *testing.T) {
	for _, k := range append(servers.Main(), servers.MariaDB1011) { // on SQLite the run cannot even begin, see above
		t.Run(k.Name, func(t *testing.T) {
			g := open(t, servers.URL(t, k), migrate.Options{LockTimeout: time.Second, LockDeadline: 4 * time.Second, Retries: 1000})
			g.fillable(1000, "size=100", "concat('x', id)")
			long, err := g.plain.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = long.ExecContext(t.Context(), "UPDATE people SET n = 1 WHERE id = 850")
			require.NoError(t, err)
			var session string
			require.NoError(t, long.QueryRowContext(t.Context(), ownSession[engineOf(g)]).Scan(&session))

			err = g.forward(migrate.Expand, migrate.Backfill)
			require.ErrorContains(t, err, "blocked by session "+session+" of ")
			require.ErrorContains(t, err, "state: the batches before it took effect; backfilling again goes on from there")
			require.ErrorContains(t, err, "next: wait until what is in the way has ended")
			require.NotContains(t, err.Error(), "at the row of")
			require.NotEqual(t, "0", g.text("SELECT count(*) FROM people WHERE full_name IS NOT NULL"))
			require.NoError(t, long.Rollback())
			require.NoError(t, g.forward(migrate.Backfill))
			require.Equal(t, "0", g.text("SELECT count(*) FROM people WHERE full_name IS NULL"))
		})
	}
}

// TestTableLockOnMariaDB asks a server with the plugin metadata_lock_info who has locked a table without a
// transaction, which nothing else tells.
func TestTableLockOnMariaDB(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	server, stop, err := servers.Start(t.Context(), servers.MariaDB118, "--plugin-load-add=metadata_lock_info")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	first := servers.Open(t, server)
	defer first.Close()
	_, err = first.ExecContext(t.Context(), "CREATE DATABASE shop")
	require.NoError(t, err)
	g := open(t, strings.TrimSuffix(server, "mysql")+"shop", migrate.Options{LockTimeout: time.Second, Retries: 1})
	g.exec("CREATE TABLE busy (id integer primary key)")
	g.exec("CREATE TABLE idle (id integer primary key)")
	var sessions []string
	for _, statement := range []string{"LOCK TABLES idle WRITE", "LOCK TABLES busy WRITE"} {
		conn, err := g.plain.Conn(t.Context())
		require.NoError(t, err)
		defer conn.Close()
		_, err = conn.ExecContext(t.Context(), statement)
		require.NoError(t, err)
		var session string
		require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT connection_id()").Scan(&session))
		sessions = append(sessions, session)
	}
	g.change("1_column", map[string]string{"expand.sql": "ALTER TABLE busy ADD COLUMN more integer;\n", "expand.rollback.sql": "ALTER TABLE busy DROP COLUMN more;\n"})
	err = g.forward(migrate.Expand)
	require.ErrorContains(t, err, "blocked by session "+sessions[1]+" of ")
	require.NotContains(t, err.Error(), "session "+sessions[0]+" ")
}
