package integration

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// TestLeave ends the connection that holds the lock, as a swap of databases does: a run that said so before
// succeeds, also after longer than its lock lives, and the next one takes the lock with a higher fence.
func TestLeave(t *testing.T) {
	if testing.Short() {
		return
	}
	db, err := database.Open(t.Context(), servers.URL(t, servers.Postgres17), database.Options{})
	require.NoError(t, err)
	defer db.Close()
	const ttl = 300 * time.Millisecond
	runner := migrate.NewRunner(db, migrate.Options{TTL: ttl})
	var fence int64
	require.NoError(t, runner.Hold(t.Context(), "leave", func(ctx context.Context, s *migrate.Session) error {
		fence = s.Fence()
		var pid int
		require.NoError(t, s.Conn().QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid))
		s.Leave()
		_, err := db.DB().ExecContext(ctx, "SELECT pg_terminate_backend($1, 10000)", pid)
		require.NoError(t, err)
		// Somebody else has the lock now. A run that still saw to its own would notice.
		_, err = db.DB().ExecContext(ctx, "UPDATE switchback.lock SET fence = fence + 1, token = 'other', session = ''")
		require.NoError(t, err)
		select {
		case <-ctx.Done():
		case <-time.After(2 * ttl): // it would have been renewed several times
		}
		return context.Cause(ctx)
	}))
	require.NoError(t, runner.Hold(t.Context(), "next", func(_ context.Context, s *migrate.Session) error {
		require.Equal(t, fence+2, s.Fence())
		return nil
	}))
}
