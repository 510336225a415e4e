package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/switchbackdb/switchback/integration/servers"
)

// slowFrom is how long a statement takes at least to be looked at for what it waited for.
const slowFrom = 30 * time.Millisecond

// lockWaits tells how much of a slow update's time on MySQL was for a lock, and how much for a core: the log of slow
// statements has the time that each waited for rows and tables, performance_schema the longest that each session waited
// for a table's definition. PostgreSQL has no such log: a nil *lockWaits measures nothing.
type lockWaits struct{ kind servers.Kind }

// watchLocks begins to measure on a server: for sessions that connect from now on.
func watchLocks(ctx context.Context, k servers.Kind) (*lockWaits, error) {
	if k.Engine != "mysql" {
		return nil, nil
	}
	for _, statement := range []string{
		"SET GLOBAL log_output = 'TABLE'",
		fmt.Sprintf("SET GLOBAL long_query_time = %f", slowFrom.Seconds()),
		"TRUNCATE TABLE mysql.slow_log",
		"SET GLOBAL slow_query_log = ON",
	} {
		if err := onServer(ctx, k, statement); err != nil {
			return nil, fmt.Errorf("watch what waits for locks: %w", err)
		}
	}
	return &lockWaits{k}, nil
}

// end stops measuring.
func (l *lockWaits) end(ctx context.Context) error {
	if l == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	return errors.Join(onServer(ctx, l.kind, "SET GLOBAL slow_query_log = OFF"), onServer(ctx, l.kind, "SET GLOBAL long_query_time = DEFAULT"))
}

// figures are the longest waits of updates for rows and tables, and of the sessions that db has still open for a definition, in milliseconds.
func (l *lockWaits) figures(ctx context.Context, db *sql.DB, who string) ([]*figure, error) {
	if l == nil {
		return nil, nil
	}
	var rows, definitions float64
	if err := db.QueryRowContext(ctx, `SELECT coalesce(max(time_to_sec(lock_time) + microsecond(lock_time) / 1e6), 0) * 1000
		FROM mysql.slow_log WHERE convert(sql_text USING utf8mb4) LIKE 'UPDATE people SET touched%'`).Scan(&rows); err != nil {
		return nil, fmt.Errorf("read the log of slow statements: %w", err)
	}
	if err := db.QueryRowContext(ctx, `SELECT coalesce(max(w.max_timer_wait), 0) / 1e9
		FROM performance_schema.events_waits_summary_by_thread_by_event_name AS w
		JOIN performance_schema.threads AS t USING (thread_id)
		WHERE w.event_name = 'wait/lock/metadata/sql/mdl' AND t.processlist_db = DATABASE()`).Scan(&definitions); err != nil {
		return nil, fmt.Errorf("read how long definitions were waited for: %w", err)
	}
	return []*figure{
		{who: who + ", longest for a row", values: []float64{rows}},
		{who: who + ", longest for a definition", values: []float64{definitions}},
	}, nil
}
