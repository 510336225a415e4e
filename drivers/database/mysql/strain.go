package mysql

import (
	"context"
	"fmt"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Strain returns the transactions that are under way in the database, and how many connections the server has left
// beside the one that is kept for administrators.
func (d *Database) Strain(ctx context.Context) (s migrate.Strain, err error) {
	var name string
	var connected, most int
	if err := d.db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Threads_connected'").Scan(&name, &connected); err != nil {
		return s, fmt.Errorf("ask for the connections that are left: %w", err)
	}
	if err := d.db.QueryRowContext(ctx, "SELECT @@max_connections").Scan(&most); err != nil {
		return s, fmt.Errorf("ask for the connections that are left: %w", err)
	}
	s.Free = most - connected
	rows, err := d.db.QueryContext(ctx, `
SELECT p.id, concat(p.user, '@', p.host), coalesce(DATE_FORMAT(CONVERT_TZ(t.trx_started, 'SYSTEM', '+00:00'), '%Y-%m-%dT%H:%i:%sZ'), ''),
  coalesce(p.info, t.trx_query, ''), TIMESTAMPDIFF(SECOND, t.trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM'))
FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
WHERE p.id <> CONNECTION_ID() AND p.db <=> DATABASE() ORDER BY t.trx_started`)
	if err != nil {
		return s, fmt.Errorf("ask for open transactions: %w\n  next: GRANT PROCESS ON *.* TO the user of the URL", err)
	}
	defer rows.Close()
	for rows.Next() {
		var o migrate.OpenTransaction
		var seconds int64
		if err := rows.Scan(&o.Session, &o.User, &o.Since, &o.Query, &seconds); err != nil {
			return s, fmt.Errorf("ask for open transactions: %w", err)
		}
		o.Open = time.Duration(seconds) * time.Second
		s.Transactions = append(s.Transactions, o)
	}
	return s, rows.Err()
}
