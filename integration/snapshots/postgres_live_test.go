package snapshots

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/binary"
	"github.com/switchbackdb/switchback/integration/servers"
)

// newLive is a database that a restore may displace: what it leaves beside is dropped when the test ends.
func newLive(t *testing.T, k servers.Kind) string {
	t.Helper()
	u := servers.URL(t, k)
	name := nameOf(t, u)
	t.Cleanup(func() {
		server, err := servers.Server(k)
		require.NoError(t, err)
		db := servers.Open(t, server)
		defer db.Close()
		rows, err := db.Query("SELECT datname FROM pg_database WHERE datname LIKE $1", name+`\_\_%`)
		require.NoError(t, err)
		defer rows.Close()
		var names []string
		for rows.Next() {
			var n string
			require.NoError(t, rows.Scan(&n))
			names = append(names, n)
		}
		require.NoError(t, rows.Err())
		for _, n := range names {
			_, err := db.Exec("DROP DATABASE " + n + " WITH (FORCE)")
			require.NoError(t, err)
		}
	})
	return u
}

func nameOf(t testing.TB, rawURL string) string {
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	return strings.Trim(u.Path, "/")
}

func execute(t testing.TB, url string, statements ...string) {
	t.Helper()
	db := servers.Open(t, url)
	defer db.Close()
	for _, s := range statements {
		_, err := db.ExecContext(context.Background(), s)
		require.NoError(t, err, s)
	}
}

// beside tells which databases there are beside a live one, and which of them accept connections.
func beside(t testing.TB, rawURL string) map[string]bool {
	t.Helper()
	db := servers.Open(t, rawURL)
	defer db.Close()
	rows, err := db.Query("SELECT datname, datallowconn FROM pg_database WHERE datname LIKE $1", nameOf(t, rawURL)+`\_\_%`)
	require.NoError(t, err)
	defer rows.Close()
	found := map[string]bool{}
	for rows.Next() {
		var n string
		var open bool
		require.NoError(t, rows.Scan(&n, &open))
		found[n] = open
	}
	require.NoError(t, rows.Err())
	return found
}

var keptAs = regexp.MustCompile(`kept as (\S+)`)

// TestPostgresRestoreLive restores over a database that an application reconnects to all the time, and takes
// it back. The name answers with the new contents, the displaced one with nothing; the journal goes on, and so
// do the rights and settings of the database.
func TestPostgresRestoreLive(t *testing.T) {
	if testing.Short() {
		return
	}
	u := newLive(t, servers.Postgres17)
	dir := t.TempDir()
	change := func(name string, files map[string]string) {
		for file, sql := range files {
			write(t, filepath.Join(dir, "changes", name, file), sql)
		}
		run(t, dir, "sum")
	}
	change("1_rows", map[string]string{"expand.sql": "CREATE TABLE rows (n integer PRIMARY KEY);\n", "expand.rollback.sql": "DROP TABLE rows;\n"})
	args := func(command ...string) []string { return append(command, "--url", u) }
	run(t, dir, args("up")...)
	execute(t, u, "INSERT INTO rows VALUES (1)", "COMMENT ON DATABASE "+nameOf(t, u)+" IS 'the shop'", "GRANT TEMPORARY ON DATABASE "+nameOf(t, u)+" TO pg_monitor",
		"ALTER DATABASE "+nameOf(t, u)+" CONNECTION LIMIT 200", "ALTER DATABASE "+nameOf(t, u)+" SET search_path = public, pg_catalog")
	run(t, dir, args("snapshot", "create")...)
	id := snapshots(t, dir)[0]
	settings := "SELECT datacl::text || datconnlimit || shobj_description(d.oid, 'pg_database') || s.setconfig::text || pg_get_userbyid(datdba) FROM pg_database d JOIN pg_db_role_setting s ON s.setdatabase = d.oid WHERE datname = current_database()"
	was := text(t, u, settings)

	// What comes after the snapshot: a change, and a row.
	change("2_more", map[string]string{"expand.sql": "CREATE TABLE more (n integer);\n", "expand.rollback.sql": "DROP TABLE more;\n"})
	run(t, dir, args("up")...)
	execute(t, u, "INSERT INTO rows VALUES (2)")
	fence := text(t, u, "SELECT fence FROM switchback.lock")
	entries := text(t, u, "SELECT count(*) FROM switchback.journal")

	app := startApplication(t, u, "SELECT count(*) FROM rows", 5)
	require.Eventually(t, func() bool { return app.served.Load() > 20 }, time.Minute, 10*time.Millisecond)
	out := run(t, dir, args("snapshot", "restore", id)...)
	require.Contains(t, out, "no longer applied: 2_more:expand")
	before := app.served.Load()
	require.Eventually(t, func() bool { return app.served.Load() > before+20 }, time.Minute, 10*time.Millisecond, "the application is served again")
	t.Logf("%d connections served, %d refused meanwhile; %s", app.served.Load(), app.failed.Load(), out)

	require.Equal(t, "1", text(t, u, "SELECT count(*) FROM rows"))
	require.Equal(t, "", text(t, u, "SELECT to_regclass('more')"))
	require.Equal(t, was, text(t, u, settings), "rights and settings of the database")
	require.Equal(t, "", text(t, u, "SELECT to_regnamespace('switchback_restore')"))
	require.Equal(t, "n", text(t, u, "SELECT attname FROM pg_stats WHERE tablename = 'rows'"), "the planner has its statistics")
	old := keptAs.FindStringSubmatch(out)[1]
	require.Equal(t, map[string]bool{old: false}, beside(t, u), "the displaced one is closed, and nothing else is left")
	require.Greater(t, number(t, text(t, u, "SELECT fence FROM switchback.lock")), number(t, fence)-1, "fences go on")
	require.Greater(t, number(t, text(t, u, "SELECT count(*) FROM switchback.journal")), number(t, entries))
	require.Contains(t, run(t, dir, args("status")...), "2_more")

	out = run(t, dir, args("snapshot", "restore", "--undo", old)...)
	require.Equal(t, "2", text(t, u, "SELECT count(*) FROM rows"))
	require.Equal(t, "more", text(t, u, "SELECT to_regclass('more')"))
	require.Equal(t, was, text(t, u, settings))
	require.Equal(t, map[string]bool{keptAs.FindStringSubmatch(out)[1]: false}, beside(t, u))
	require.Greater(t, number(t, text(t, u, "SELECT fence FROM switchback.lock")), number(t, fence)+1)
	run(t, dir, args("rollback", "--to", "0")...)
	require.Equal(t, "", text(t, u, "SELECT to_regclass('rows')"), "what was applied can be rolled back")
}

// TestPostgresRestoreRefused has what would be torn apart by a swap: nothing is built.
func TestPostgresRestoreRefused(t *testing.T) {
	if testing.Short() {
		return
	}
	u := newLive(t, servers.Postgres17)
	dir := t.TempDir()
	execute(t, u, "CREATE TABLE rows (n integer)", "CREATE SUBSCRIPTION away CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false, slot_name = NONE)")
	run(t, dir, "snapshot", "create", "--url", u)
	c := start(t, dir, nil, "snapshot", "restore", snapshots(t, dir)[0], "--url", u)
	require.Equal(t, 1, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "subscription away")
	require.Contains(t, c.Out.String(), "state: nothing was changed")
	require.Empty(t, beside(t, u))
	execute(t, u, "DROP SUBSCRIPTION away")

	// A database of that name that is not ours is left alone.
	execute(t, u, "CREATE DATABASE "+nameOf(t, u)+"__restore")
	execute(t, strings.Replace(u, nameOf(t, u), nameOf(t, u)+"__restore", 1), "CREATE TABLE precious (n integer)")
	c = start(t, dir, nil, "snapshot", "restore", snapshots(t, dir)[0], "--url", u)
	require.Equal(t, 1, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "was not made by a restore")
	require.Len(t, beside(t, u), 1)
}

// TestPostgresRestoreCrash kills the real binary at marks of a restore, and of taking it back. The next
// command repairs what it finds, and the same command again ends well.
func TestPostgresRestoreCrash(t *testing.T) {
	if testing.Short() {
		return
	}
	u := newLive(t, servers.Postgres17)
	dir := t.TempDir()
	args := func(command ...string) []string { return append(command, "--url", u, "--jobs", "1") }
	execute(t, u, "CREATE TABLE rows (n integer PRIMARY KEY, v text UNIQUE)", "INSERT INTO rows VALUES (1, 'a')", "CREATE TABLE more (n integer REFERENCES rows)")
	run(t, dir, args("snapshot", "create")...)
	id := snapshots(t, dir)[0]
	clear := func() {
		for name := range beside(t, u) {
			execute(t, u, "DROP DATABASE "+name+" WITH (FORCE)")
		}
	}
	execute(t, u, "INSERT INTO rows VALUES (2, 'b')")
	command := args("snapshot", "restore", id)
	names := marks(t, dir, command...)
	require.Contains(t, names, "restore: closed")
	app := startApplication(t, u, "SELECT count(*) FROM rows", 2)
	require.Equal(t, "1", text(t, u, "SELECT count(*) FROM rows"))
	for _, n := range binary.KillPoints(t.Name(), len(names)) {
		name := names[n-1]
		clear()
		execute(t, u, "INSERT INTO rows VALUES (2, 'b')")
		c := start(t, dir, []string{fmt.Sprint("KILL=", n)}, command...)
		require.Equal(t, -1, c.End(t), c.Out.String())
		run(t, dir, "status", "--url", u) // whatever command comes next opens the database again
		require.Contains(t, []string{"1", "2"}, text(t, u, "SELECT count(*) FROM rows"), "killed at %d, %s", n, name)
		if app != nil {
			app.wantServed(t, "killed at "+name)
		}
		run(t, dir, command...)
		require.Equal(t, "1", text(t, u, "SELECT count(*) FROM rows"), "killed at %d, %s", n, name)
		for other, open := range beside(t, u) {
			require.False(t, open, "killed at %d, %s: %s accepts connections", n, name, other)
		}
	}
	require.Empty(t, app.wrong(), "what the application was told")
	t.Logf("killed at some of %d marks: %s", len(names), strings.Join(names, ", "))
}

// TestPostgresUndoCrash does the same for the way back.
func TestPostgresUndoCrash(t *testing.T) {
	if testing.Short() {
		return
	}
	u := newLive(t, servers.Postgres17)
	dir := t.TempDir()
	execute(t, u, "CREATE TABLE rows (n integer)", "INSERT INTO rows VALUES (1)")
	run(t, dir, "snapshot", "create", "--url", u)
	restore := func() string {
		for name := range beside(t, u) {
			execute(t, u, "DROP DATABASE "+name+" WITH (FORCE)")
		}
		execute(t, u, "TRUNCATE rows", "INSERT INTO rows VALUES (1), (2)")
		return keptAs.FindStringSubmatch(run(t, dir, "snapshot", "restore", snapshots(t, dir)[0], "--url", u))[1]
	}
	names := marks(t, dir, "snapshot", "restore", "--undo", restore(), "--url", u)
	require.Equal(t, "2", text(t, u, "SELECT count(*) FROM rows"))
	for _, n := range binary.KillPoints(t.Name(), len(names)) {
		name, old := names[n-1], restore()
		c := start(t, dir, []string{fmt.Sprint("KILL=", n)}, "snapshot", "restore", "--undo", old, "--url", u)
		require.Equal(t, -1, c.End(t), c.Out.String())
		run(t, dir, "status", "--url", u)
		if count := text(t, u, "SELECT count(*) FROM rows"); count == "1" {
			run(t, dir, "snapshot", "restore", "--undo", old, "--url", u)
		}
		require.Equal(t, "2", text(t, u, "SELECT count(*) FROM rows"), "killed at %d, %s", n, name)
		for other, open := range beside(t, u) {
			require.False(t, open, "killed at %d, %s: %s accepts connections", n, name, other)
		}
	}
	t.Logf("killed at some of %d marks: %s", len(names), strings.Join(names, ", "))
}

// TestPostgresClosed does not open a database that somebody else has closed.
func TestPostgresClosed(t *testing.T) {
	if testing.Short() {
		return
	}
	u := newLive(t, servers.Postgres17)
	server, err := servers.Server(servers.Postgres17)
	require.NoError(t, err)
	execute(t, server, "ALTER DATABASE "+nameOf(t, u)+" ALLOW_CONNECTIONS false")
	c := start(t, t.TempDir(), nil, "status", "--url", u)
	require.Equal(t, 1, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "not currently accepting connections")
}

// TestPostgresBank copies a bank while money goes from account to account and tables are made, altered and
// dropped: no money is lost, and no writer waits for the copy.
func TestPostgresBank(t *testing.T) {
	if testing.Short() {
		return
	}
	const accounts, each = 2000, 1000
	k := servers.Postgres17
	u := servers.URL(t, k)
	execute(t, u, "CREATE TABLE accounts (id integer PRIMARY KEY, money integer NOT NULL, pad text)", fmt.Sprintf("INSERT INTO accounts SELECT i, %d, repeat('x', 400) FROM generate_series(1, %d) i", each, accounts),
		"CREATE TABLE moves (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, giver integer NOT NULL REFERENCES accounts, taker integer NOT NULL REFERENCES accounts, amount integer NOT NULL)")
	db := servers.Open(t, u)
	defer db.Close()
	db.SetMaxOpenConns(8)
	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	var longest, moves atomic.Int64
	for w := range 4 {
		work.Go(func() {
			for i := w; ctx.Err() == nil; i += 7 {
				begun := time.Now()
				if err := move(t.Context(), db, i%accounts+1, (i*31)%accounts+1); err != nil {
					t.Errorf("move: %v", err)
					return
				}
				longest.Store(max(longest.Load(), int64(time.Since(begun))))
				moves.Add(1)
			}
		})
	}
	stormy := servers.Open(t, u) // connections of its own, as its lock timeout stays with them
	defer stormy.Close()
	work.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			for _, s := range []string{"CREATE TABLE IF NOT EXISTS storm (a integer)", "SET lock_timeout = '50ms'; ALTER TABLE storm ADD b integer", "SET lock_timeout = '50ms'; DROP TABLE storm", "SET lock_timeout = '50ms'; ALTER TABLE accounts ADD COLUMN extra integer DEFAULT 1", "SET lock_timeout = '50ms'; ALTER TABLE accounts DROP COLUMN extra"} {
				_, _ = stormy.ExecContext(t.Context(), s) // a lock timeout is what is expected while it is copied
			}
		}
	})
	defer work.Wait()
	defer stop()
	require.Eventually(t, func() bool { return moves.Load() > 50 }, time.Minute, 10*time.Millisecond)
	longest.Store(0)
	store := newStore(t)
	m := create(t, store, u)
	t.Logf("%d moves, the longest took %s while %s was copied in %s", moves.Load(), time.Duration(longest.Load()), u, m.Took)
	require.Less(t, time.Duration(longest.Load()), 2*time.Second, "the lock timeout")
	stop()
	work.Wait()
	into := servers.URL(t, k)
	restore(t, store, m, into)
	require.Equal(t, fmt.Sprint(accounts*each), text(t, into, "SELECT sum(money) FROM accounts"))
	require.Equal(t, "0", text(t, into, "SELECT count(*) FROM accounts a WHERE money <> 1000 - (SELECT coalesce(sum(amount), 0) FROM moves WHERE giver = a.id) + (SELECT coalesce(sum(amount), 0) FROM moves WHERE taker = a.id)"))
	require.NotEqual(t, "0", text(t, into, "SELECT count(*) FROM moves"))
}

func move(ctx context.Context, db *sql.DB, from, to int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	low, high, sign := min(from, to), max(from, to), 1
	if low == to {
		sign = -1
	}
	for _, s := range []string{
		fmt.Sprintf("UPDATE accounts SET money = money - %d WHERE id = %d", 3*sign, low),
		fmt.Sprintf("UPDATE accounts SET money = money + %d WHERE id = %d", 3*sign, high),
		fmt.Sprintf("INSERT INTO moves (giver, taker, amount) VALUES (%d, %d, 3)", from, to),
	} {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return tx.Commit()
}
