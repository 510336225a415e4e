package mysql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// lockName is the name of our user-level lock. Such locks belong to the whole server, so it carries
// the database's name, hashed because a lock's name holds no more than 64 characters.
func (d *Database) lockName() string {
	sum := sha256.Sum256([]byte(d.name))
	return "switchback:" + hex.EncodeToString(sum[:16])
}

// HoldSession implements migrate.Database with a user-level lock.
func (d *Database) HoldSession(ctx context.Context, conn *sql.Conn) (session string, held bool, err error) {
	var got sql.NullInt64
	err = conn.QueryRowContext(ctx, "SELECT CONNECTION_ID(), GET_LOCK(?, 0)", d.lockName()).Scan(&session, &got)
	return session, got.Int64 == 1, err
}

// EndSession implements migrate.Database: it kills the connection, if that still holds our lock, and
// waits until it is gone. A statement that is being rolled back keeps it for that long.
func (d *Database) EndSession(ctx context.Context, session string) error {
	id, err := strconv.ParseUint(session, 10, 64)
	if err != nil {
		return fmt.Errorf("end the session %q of the run that lost the lock: that is no connection's number", session)
	}
	deadline := time.Now().Add(30 * time.Second)
	for killed := false; ; {
		var holder sql.NullString
		if err := d.db.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?)", d.lockName()).Scan(&holder); err != nil {
			return fmt.Errorf("ask who holds the lock: %w", err)
		}
		if holder.String != session {
			return nil
		}
		if !killed {
			if _, err := d.db.ExecContext(ctx, fmt.Sprintf("KILL %d", id)); err != nil && !isError(err, 1094) {
				return fmt.Errorf("end the session %s of the run that lost the lock: %w", session, err)
			}
			killed = true
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("end the session %s of the run that lost the lock: it is still there", session)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Blockers implements migrate.Database. Metadata locks are only told by MySQL; MariaDB names the
// transactions that are open.
func (d *Database) Blockers(ctx context.Context, session string) ([]migrate.Blocker, error) {
	query := `
SELECT p.id, p.user, coalesce(t.trx_started, ''), coalesce(p.info, t.trx_query, '')
FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
WHERE p.id <> ? ORDER BY t.trx_started`
	if d.engine == migrate.MySQL {
		query = `
SELECT DISTINCT b.blocking_pid, b.blocking_account, coalesce(t.trx_started, ''), coalesce(t.trx_query, e.sql_text, '')
FROM sys.schema_table_lock_waits b LEFT JOIN information_schema.innodb_trx t ON t.trx_mysql_thread_id = b.blocking_pid
LEFT JOIN performance_schema.events_statements_current e ON e.thread_id = b.blocking_thread_id
WHERE b.waiting_pid = ? AND b.blocking_pid <> b.waiting_pid`
	}
	rows, err := d.db.QueryContext(ctx, query, session)
	if err != nil {
		return nil, fmt.Errorf("ask who blocks session %s: %w", session, err)
	}
	defer rows.Close()
	var blockers []migrate.Blocker
	for rows.Next() {
		var b migrate.Blocker
		if err := rows.Scan(&b.Session, &b.User, &b.Since, &b.Query); err != nil {
			return nil, err
		}
		blockers = append(blockers, b)
	}
	return blockers, rows.Err()
}
