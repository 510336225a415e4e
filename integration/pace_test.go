package integration

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// paces keeps what a backfill says of its progress.
type paces struct {
	nobody
	mu   sync.Mutex
	all  []migrate.Progress
	each func(migrate.Progress)
}

func (p *paces) Progress(_ migrate.Step, at migrate.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, at)
	if p.each != nil {
		p.each(at)
	}
}

// nobody is an observer that does not care.
type nobody struct{}

func (nobody) Waiting(migrate.Step, int, time.Duration, []migrate.Blocker) {}
func (nobody) StepStarted(migrate.Step)                                    {}
func (nobody) StepFinished(migrate.Step, time.Duration)                    {}
func (nobody) Progress(migrate.Step, migrate.Progress)                     {}
func (nobody) Resumed(migrate.Step)                                        {}

// fillable makes a table of n rows and a change that fills a column of it in batches, each of which takes
// the server a while.
func (g *target) fillable(n int, directive, slow string) {
	g.exec("CREATE TABLE people (id integer primary key, full_name varchar(90), n integer)")
	for from := 1; from <= n; from += 1000 {
		var values []string
		for i := from; i < from+1000 && i <= n; i++ {
			values = append(values, fmt.Sprintf("(%d)", i))
		}
		g.exec("INSERT INTO people (id) VALUES " + strings.Join(values, ", "))
	}
	g.change("1_full", map[string]string{
		"expand.sql": "-- nothing\nSELECT 1;\n", "expand.rollback.sql": "SELECT 1;\n",
		"backfill.sql": "-- switchback:batch table=people key=id " + directive + "\nUPDATE people SET full_name = " + slow + " WHERE full_name IS NULL AND :batch;\n",
	})
}

// TestBackfillGivesWay has a writer wait for a row of a batch, again and again: the batches that follow are
// smaller. Without the writer nobody is seen.
func TestBackfillGivesWay(t *testing.T) {
	slow := map[string]string{
		"postgres": "pg_sleep(0.001)::text || id", // a millisecond and more for each row
		"mysql":    "concat(id, sleep(0.001))",
	}
	for _, k := range append(servers.Main(), servers.MariaDB1011) {
		t.Run(k.Name, func(t *testing.T) {
			run := func(writes bool) []migrate.Progress {
				p := &paces{}
				// As long as the first batch takes, so that its time alone changes nothing.
				g := open(t, servers.URL(t, k), migrate.Options{BatchTime: 600 * time.Millisecond, Observer: p})
				g.fillable(1500, "size=300", slow[map[bool]string{true: "postgres", false: "mysql"}[k.Engine == "postgres"]])
				ctx, stop := context.WithCancel(t.Context())
				var writer sync.WaitGroup
				if writes {
					writer.Go(func() { g.writeFirst(ctx) })
				}
				err := g.forward(migrate.Expand, migrate.Backfill)
				stop()
				writer.Wait()
				require.NoError(t, err)
				require.Equal(t, "0", g.text("SELECT count(*) FROM people WHERE full_name IS NULL"))
				return p.all
			}
			alone, beside := run(false), run(true)
			for _, p := range alone {
				require.Zero(t, p.Kept)
			}
			kept, least := 0, 300
			for i, p := range beside {
				if p.Kept > 0 && i > 0 {
					kept++
					before := beside[i-1].Batch
					require.LessOrEqual(t, p.Batch, max(before*3/4+1, 100), "a batch kept %d waiting", p.Kept)
				}
				least = min(least, p.Batch)
			}
			t.Logf("%d batches alone; beside a writer %d, of which %d kept somebody waiting, the smallest has %d rows", len(alone), len(beside), kept, least)
			require.NotZero(t, kept, "nobody was seen waiting")
			require.Less(t, least, 300)
		})
	}
}

// writeFirst updates rows that a backfill is about to lock, without a pause.
func (g *target) writeFirst(ctx context.Context) {
	for ctx.Err() == nil {
		// The first row that is not filled is in the batch under way, as others see it.
		_, _ = g.plain.ExecContext(ctx, "UPDATE people SET n = 1 WHERE id = (SELECT id FROM (SELECT min(id) AS id FROM people WHERE full_name IS NULL) AS first)")
	}
}

// TestReplicaLag stops a real standby from replaying. The backfill waits, says for whom, and goes on when
// the standby does.
func TestReplicaLag(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	k := servers.Postgres17
	server, stop, err := servers.Start(t.Context(), k) // one of its own: a standby is of the whole server
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	shell := func(script string) string { return servers.Tool(t, k, server, nil, "sh", "-ec", script) }
	shell(`pg_basebackup -D /tmp/standby -R -c fast -d "dbname=postgres application_name=standby" && chown -R postgres /tmp/standby
su postgres -c "PATH=$PATH pg_ctl -D /tmp/standby -o '-p 5433 -c listen_addresses= -c max_connections=300' -w -l /tmp/standby.log start" >/dev/null`)
	standby := func(query string) string {
		return strings.TrimSpace(shell(`su postgres -c "PGPASSWORD=$PGPASSWORD PATH=$PATH psql -h /var/run/postgresql -p 5433 -U postgres -d postgres -Atc '` + query + `'"`))
	}
	require.Equal(t, "t", standby("SELECT pg_is_in_recovery()"))

	behind, paused := make(chan migrate.Progress, 1), false
	p := &paces{}
	p.each = func(at migrate.Progress) {
		switch {
		case at.Lag != nil:
			select {
			case behind <- at:
			default:
			}
		case !paused:
			paused = true
			standby("SELECT pg_wal_replay_pause()")
		}
	}
	g := open(t, server, migrate.Options{MaxLag: 2 * time.Second, Observer: p})
	g.fillable(8000, "size=100 pause=500ms", "'x' || id")
	done := make(chan error, 1)
	go func() { done <- g.forward(migrate.Expand, migrate.Backfill) }()
	var at migrate.Progress
	select {
	case at = <-behind:
	case err := <-done:
		require.NoError(t, err)
		require.Fail(t, "the backfill waited for nobody")
	}
	require.Equal(t, "standby", at.Lag.Replica)
	require.Greater(t, at.Lag.Behind, 2*time.Second)
	require.Positive(t, at.Lag.Bytes)
	before := g.text("SELECT count(*) FROM people WHERE full_name IS NOT NULL")
	time.Sleep(2 * time.Second)
	require.Equal(t, before, g.text("SELECT count(*) FROM people WHERE full_name IS NOT NULL"), "it goes on while the standby is behind")
	require.NotEqual(t, "2000", before)
	standby("SELECT pg_wal_replay_resume()")
	require.NoError(t, <-done)
	require.Equal(t, "0", g.text("SELECT count(*) FROM people WHERE full_name IS NULL"))
	u, err := url.Parse(server)
	require.NoError(t, err)
	t.Logf("standby of %s was %s and %d bytes behind after %s rows", u.Host, at.Lag.Behind, at.Lag.Bytes, before)
}
