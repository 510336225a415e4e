package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Waiters implements migrate.Database. Only the sessions that wait are asked for what blocks them: the
// question stops the server's lock manager for a moment.
func (d *Database) Waiters(ctx context.Context, session string) (int, error) {
	var n int
	err := d.db.QueryRowContext(ctx, `
SELECT count(*) FROM pg_stat_activity
WHERE CASE WHEN wait_event_type = 'Lock' THEN split_part($1, '/', 1)::int = ANY (pg_blocking_pids(pid)) ELSE false END`, session).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("ask who waits for session %s: %w", session, err)
	}
	return n, nil
}

// Lags implements migrate.Database. A replica that says nothing any more is as far behind as its last
// answer is old. What a role without pg_monitor may not see is left out.
func (d *Database) Lags(ctx context.Context) ([]migrate.Lag, error) {
	rows, err := d.db.QueryContext(ctx, `
WITH replica AS (
  SELECT coalesce(nullif(application_name, ''), host(client_addr), pid::text) AS name, replay_lag, reply_time,
    pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(replay_lsn, flush_lsn, write_lsn)) AS bytes
  FROM pg_stat_replication WHERE state IN ('catchup', 'streaming'))
SELECT name, bytes::bigint, CASE WHEN bytes > 0
  THEN extract(epoch FROM greatest(replay_lag, clock_timestamp() - reply_time, interval '0'))::float8 ELSE 0 END
FROM replica WHERE bytes IS NOT NULL ORDER BY 3 DESC`)
	if err != nil {
		return nil, fmt.Errorf("ask how far the replicas are behind: %w", err)
	}
	defer rows.Close()
	var lags []migrate.Lag
	for rows.Next() {
		var l migrate.Lag
		var seconds float64
		if err := rows.Scan(&l.Replica, &l.Bytes, &seconds); err != nil {
			return nil, fmt.Errorf("ask how far the replicas are behind: %w", err)
		}
		l.Behind = time.Duration(seconds * float64(time.Second))
		lags = append(lags, l)
	}
	return lags, rows.Err()
}

// Lag implements migrate.Replica. A replica that has applied all it has is up to date, however long ago
// the source wrote last.
func (d *Database) Lag(ctx context.Context) (migrate.Lag, error) {
	var recovers bool
	var seconds float64
	err := d.db.QueryRowContext(ctx, `
SELECT pg_is_in_recovery(), coalesce(CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
  ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END, 0)::float8`).Scan(&recovers, &seconds)
	if err != nil {
		return migrate.Lag{}, err
	}
	if !recovers {
		return migrate.Lag{}, errors.New("it is no replica")
	}
	return migrate.Lag{Behind: time.Duration(seconds * float64(time.Second))}, nil
}
