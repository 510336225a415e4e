package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Waiters implements migrate.Database, for the locks of rows. The one that renews our lock while a batch
// keeps it from being taken over is not counted.
func (d *Database) Waiters(ctx context.Context, session string) (int, error) {
	query := `
SELECT count(DISTINCT w.requesting_trx_id) FROM information_schema.innodb_lock_waits w
JOIN information_schema.innodb_trx b ON b.trx_id = w.blocking_trx_id
JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_trx_id
WHERE b.trx_mysql_thread_id = ? AND coalesce(r.trx_query, '') NOT LIKE 'UPDATE switchback\_lock %'`
	if d.engine == migrate.MySQL {
		query = `
SELECT count(DISTINCT w.requesting_engine_transaction_id) FROM performance_schema.data_lock_waits w
JOIN information_schema.innodb_trx b ON b.trx_id = w.blocking_engine_transaction_id
JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_engine_transaction_id
WHERE b.trx_mysql_thread_id = ? AND coalesce(r.trx_query, '') NOT LIKE 'UPDATE switchback\_lock %'`
	}
	var n int
	if err := d.db.QueryRowContext(ctx, query, session).Scan(&n); err != nil {
		return 0, fmt.Errorf("ask who waits for session %s: %w", session, err)
	}
	return n, nil
}

// Lags implements migrate.Database. The servers do not know how far those are behind that replicate from
// them: the replicas have to be asked.
func (d *Database) Lags(context.Context) ([]migrate.Lag, error) { return nil, nil }

// Lag implements migrate.Replica. A replica of several sources is as far behind as the one it is furthest
// behind of.
func (d *Database) Lag(ctx context.Context) (lag migrate.Lag, err error) {
	rows, err := d.db.QueryContext(ctx, map[migrate.Engine]string{migrate.MySQL: "SHOW REPLICA STATUS", migrate.MariaDB: "SHOW ALL SLAVES STATUS"}[d.engine])
	if err != nil {
		return lag, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return lag, err
	}
	values := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	sources := 0
	for ; rows.Next(); sources++ {
		if err := rows.Scan(into...); err != nil {
			return lag, err
		}
		for i, c := range columns {
			if !strings.HasPrefix(c, "Seconds_Behind_") {
				continue
			}
			seconds, err := strconv.Atoi(values[i].String)
			if err != nil {
				return lag, errors.New("its replication does not run")
			}
			lag.Behind = max(lag.Behind, time.Duration(seconds)*time.Second)
		}
	}
	if err := rows.Err(); err != nil {
		return lag, err
	}
	if sources == 0 {
		return lag, errors.New("it is no replica")
	}
	return lag, nil
}
