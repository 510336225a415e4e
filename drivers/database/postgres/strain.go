package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Strain returns the transactions that are under way in the database, and how many connections are left: of the
// server, without those that are kept for superusers and pg_use_reserved_connections, of the database, and of the role.
func (d *Database) Strain(ctx context.Context) (s migrate.Strain, err error) {
	var hidden int
	err = d.db.QueryRowContext(ctx, `
SELECT least(
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
      - coalesce(current_setting('reserved_connections', true)::int, 0) - count(*),
    CASE WHEN d.datconnlimit >= 0 THEN d.datconnlimit - count(*) FILTER (WHERE a.datid = d.oid) END,
    CASE WHEN r.rolconnlimit >= 0 THEN r.rolconnlimit - count(*) FILTER (WHERE a.usesysid = r.oid) END),
  count(*) FILTER (WHERE a.datid = d.oid AND a.state IS NULL AND a.pid <> pg_backend_pid() AND current_setting('track_activities')::bool)
FROM pg_database d, pg_roles r, pg_stat_activity a
WHERE d.datname = current_database() AND r.rolname = current_user AND a.backend_type = 'client backend'
GROUP BY d.oid, d.datconnlimit, r.oid, r.rolconnlimit`).Scan(&s.Free, &hidden)
	if err != nil {
		return s, fmt.Errorf("ask for the connections that are left: %w", err)
	}
	if hidden > 0 {
		return s, errors.New("ask for open transactions: those of other roles are not for this one to see\n  next: GRANT pg_read_all_stats TO the role of the URL")
	}
	rows, err := d.db.QueryContext(ctx, `
SELECT session, username, to_char(began AT TIME ZONE 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), query, extract(epoch FROM clock_timestamp() - began)::float8
FROM (
  SELECT pid::text, coalesce(usename, ''), xact_start, coalesce(query, '') FROM pg_stat_activity
  WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
  UNION ALL SELECT 'prepared ' || gid, owner, prepared, '' FROM pg_prepared_xacts WHERE database = current_database()
) AS open (session, username, began, query) ORDER BY began`)
	if err != nil {
		return s, fmt.Errorf("ask for open transactions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var o migrate.OpenTransaction
		var seconds float64
		if err := rows.Scan(&o.Session, &o.User, &o.Since, &o.Query, &seconds); err != nil {
			return s, fmt.Errorf("ask for open transactions: %w", err)
		}
		o.Open = time.Duration(seconds * float64(time.Second))
		s.Transactions = append(s.Transactions, o)
	}
	return s, rows.Err()
}
