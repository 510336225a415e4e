package integration

import (
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// clock is the time of day.
func clock(t time.Time) time.Duration {
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second
}

// TestWindowInServersZone runs in a window that is open by UTC and closed by the server's clock, which is
// five and a half hours ahead, and the other way round.
func TestWindowInServersZone(t *testing.T) {
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			u := servers.URL(t, k)
			parsed, err := url.Parse(u)
			require.NoError(t, err)
			q := parsed.Query()
			if k.Engine == "postgres" {
				q.Set("timezone", "Asia/Kolkata")
			} else {
				q.Set("time_zone", "'+05:30'")
			}
			parsed.RawQuery = q.Encode()
			now := time.Now().UTC()
			around := func(at time.Time) *migrate.Window {
				return &migrate.Window{From: clock(at.Add(-time.Hour)), To: clock(at.Add(time.Hour))}
			}
			change := map[string]string{"expand.sql": "CREATE TABLE a (id integer);\n", "expand.rollback.sql": "DROP TABLE a;\n"}
			open := func(w *migrate.Window) *target {
				g := open(t, u, migrate.Options{})
				db, err := database.Open(t.Context(), parsed.String(), database.Options{})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, db.Close()) })
				g.db = db
				g.runner = migrate.NewRunner(g.db, migrate.Options{Window: w})
				g.change("1_a", change)
				return g
			}
			g := open(around(now))
			err = g.forward(migrate.Expand)
			var closed *migrate.ClosedError
			require.ErrorAs(t, err, &closed)
			require.Equal(t, "UTC+05:30", closed.Opens.Format("MST"))
			require.WithinDuration(t, now.Add(17*time.Hour+30*time.Minute), closed.Opens, time.Minute)
			require.Empty(t, g.applied())
			require.NoError(t, open(around(now.Add(5*time.Hour+30*time.Minute))).forward(migrate.Expand))
		})
	}
}

// TestWindowClosesWhileWaiting has a step wait for a lock past the end of the window: it is not tried again.
func TestWindowClosesWhileWaiting(t *testing.T) {
	for _, k := range servers.Main() { // on SQLite a transaction that writes keeps the run from beginning at all
		t.Run(k.Name, func(t *testing.T) { windowCloses(t, servers.URL(t, k)) })
	}
}

func windowCloses(t *testing.T, url string) {
	now := time.Now().UTC()
	w := &migrate.Window{From: clock(now.Add(-time.Hour)), To: clock(now.Add(3 * time.Second)), Zone: time.UTC}
	g := open(t, url, migrate.Options{LockTimeout: time.Second, Retries: 1000, Window: w})
	g.exec("CREATE TABLE busy (id integer primary key, n integer)")
	g.exec("INSERT INTO busy VALUES (1, 0)")
	g.change("1_column", map[string]string{"expand.sql": "ALTER TABLE busy ADD COLUMN more integer;\n", "expand.rollback.sql": "ALTER TABLE busy DROP COLUMN more;\n"})
	empty := g.fingerprint()
	long, err := g.plain.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	_, err = long.ExecContext(t.Context(), "UPDATE busy SET n = n + 1 WHERE id = 1")
	require.NoError(t, err)
	err = g.forward(migrate.Expand)
	require.ErrorContains(t, err, "has closed meanwhile")
	require.NoError(t, long.Rollback())
	require.Equal(t, empty, g.fingerprint())
	require.Less(t, time.Since(now), 30*time.Second)
}
