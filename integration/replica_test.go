package integration

import (
	"context"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// named gives a replica the name that the configuration would.
type named struct {
	migrate.Replica
	name string
}

func (n named) Lag(ctx context.Context) (migrate.Lag, error) {
	l, err := n.Replica.Lag(ctx)
	l.Replica = n.name
	return l, err
}

// TestReplicas has a backfill on MySQL and MariaDB wait for a real replica, which it asks itself: one whose
// tables are locked, so that it falls behind, and one whose replication was stopped.
func TestReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	for _, k := range []servers.Kind{servers.MySQL9, servers.MariaDB118} {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			source, replica := sourceAndReplica(t, k)
			db, err := database.Open(t.Context(), replica, database.Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			follower := named{db.(migrate.Replica), "follower"}
			lag, err := follower.Lag(t.Context())
			require.NoError(t, err)
			require.Less(t, lag.Behind, 2*time.Second)

			p := &paces{}
			behind, started := make(chan migrate.Progress, 1000), make(chan struct{})
			first := true
			p.each = func(at migrate.Progress) {
				if at.Lag != nil {
					behind <- at
				} else if first {
					first = false
					close(started)
				}
			}
			g := open(t, source, migrate.Options{MaxLag: 2 * time.Second, Replicas: []migrate.Replica{follower}, Observer: p})
			g.fillable(12000, "size=100 pause=300ms", "concat('x', id)")
			done := make(chan error, 1)
			go func() { done <- g.forward(migrate.Expand, migrate.Backfill) }()
			<-started
			plain := servers.Open(t, replica)
			defer plain.Close()
			locked, err := plain.Conn(t.Context())
			require.NoError(t, err)
			_, err = locked.ExecContext(t.Context(), "FLUSH TABLES WITH READ LOCK")
			require.NoError(t, err)
			at := next(t, behind, done)
			require.Equal(t, "follower", at.Lag.Replica)
			require.Empty(t, at.Lag.Problem)
			require.Greater(t, at.Lag.Behind, 2*time.Second)
			_, err = locked.ExecContext(t.Context(), "UNLOCK TABLES")
			require.NoError(t, err)

			for _, stop := range []string{"STOP REPLICA SQL_THREAD", "START REPLICA SQL_THREAD"} {
				_, err = locked.ExecContext(t.Context(), stop)
				require.NoError(t, err)
				if strings.HasPrefix(stop, "STOP") {
					for at = next(t, behind, done); at.Lag.Problem == ""; at = next(t, behind, done) {
					}
					require.Contains(t, at.Lag.Problem, "replication does not run")
				}
			}
			require.NoError(t, <-done)
			require.Equal(t, "0", g.text("SELECT count(*) FROM people WHERE full_name IS NULL"))

			_, err = open(t, source, migrate.Options{}).db.(migrate.Replica).Lag(t.Context())
			require.ErrorContains(t, err, "it is no replica")
		})
	}
}

// next is the next time that a backfill waits for a replica.
func next(t *testing.T, behind <-chan migrate.Progress, done <-chan error) (at migrate.Progress) {
	t.Helper()
	select {
	case at = <-behind:
	case err := <-done:
		require.NoError(t, err)
		require.Fail(t, "the backfill waited for nobody")
	}
	return at
}

// sourceAndReplica starts two servers, the second of which follows the first.
func sourceAndReplica(t *testing.T, k servers.Kind) (source, replica string) {
	t.Helper()
	start := func(id int) string {
		u, stop, err := servers.Start(t.Context(), k, fmt.Sprintf("--server-id=%d", id), "--log-bin=log")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, stop()) })
		return u
	}
	source, replica = start(1), start(2)
	s, r := servers.Open(t, source), servers.Open(t, replica)
	defer s.Close()
	defer r.Close()
	var container string // a container's number is the name of its host
	require.NoError(t, s.QueryRowContext(t.Context(), "SELECT @@hostname").Scan(&container))
	address, err := exec.CommandContext(t.Context(), "docker", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container).Output()
	require.NoError(t, err)
	host := strings.TrimSpace(string(address))
	status, change := "SHOW BINARY LOG STATUS", "CHANGE REPLICATION SOURCE TO SOURCE_HOST='%s', SOURCE_USER='root', SOURCE_PASSWORD='switchback', GET_SOURCE_PUBLIC_KEY=1, SOURCE_LOG_FILE='%s', SOURCE_LOG_POS=%s"
	if k.Engine == "mariadb" {
		status, change = "SHOW BINLOG STATUS", "CHANGE MASTER TO MASTER_HOST='%s', MASTER_USER='root', MASTER_PASSWORD='switchback', MASTER_LOG_FILE='%s', MASTER_LOG_POS=%s"
	}
	rows, err := s.QueryContext(t.Context(), status)
	require.NoError(t, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(t, err)
	values, into := make([]string, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	require.True(t, rows.Next())
	require.NoError(t, rows.Scan(into...))
	require.False(t, rows.Next())
	require.NoError(t, rows.Err())
	for _, statement := range []string{fmt.Sprintf(change, host, values[0], values[1]), "START REPLICA"} {
		_, err = r.ExecContext(t.Context(), statement)
		require.NoError(t, err, statement)
	}
	_, err = s.ExecContext(t.Context(), "CREATE DATABASE shop")
	require.NoError(t, err)
	u, err := url.Parse(source)
	require.NoError(t, err)
	u.Path = "/shop"
	require.Eventually(t, func() bool {
		var n int
		err := r.QueryRowContext(t.Context(), "SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'shop'").Scan(&n)
		return err == nil && n == 1
	}, 30*time.Second, 100*time.Millisecond, "the replica does not follow")
	return u.String(), replica
}
