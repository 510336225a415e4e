package mysql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	ddl "github.com/switchbackdb/switchback/ddl/mysql"
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
	if err != nil || got.Int64 != 1 {
		return session, false, err
	}
	return session, true, d.endCompanion(ctx)
}

// companionName is the name of the lock that the second connection of a run holds while it keeps others from
// tables.
func (d *Database) companionName() string { return d.lockName() + ":2" }

// endCompanion kills what an earlier run has left of its second connection: it holds tables, and nobody reads
// its journal any more.
func (d *Database) endCompanion(ctx context.Context) error {
	for deadline := time.Now().Add(30 * time.Second); ; {
		var holder sql.NullInt64
		if err := d.db.QueryRowContext(ctx, "SELECT IS_USED_LOCK(?)", d.companionName()).Scan(&holder); err != nil {
			return fmt.Errorf("ask who holds the tables of an earlier run: %w", err)
		}
		if !holder.Valid {
			return nil
		}
		if _, err := d.db.ExecContext(ctx, fmt.Sprintf("KILL %d", holder.Int64)); err != nil && !isError(err, 1094) {
			return fmt.Errorf("end the session %d that holds the tables of an earlier run: %w", holder.Int64, err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("end the session %d that holds the tables of an earlier run: it is still there", holder.Int64)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// LockTables implements migrate.TableLocker. A run that takes over from this one finds the connection by a lock
// of its own.
func (d *Database) LockTables(ctx context.Context, conn *sql.Conn, tables []string) error {
	var got sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 5)", d.companionName()).Scan(&got); err != nil {
		return err
	}
	if got.Int64 != 1 {
		return errors.New("another connection of a run holds tables")
	}
	var list []string
	for _, t := range tables {
		list = append(list, quote(t)+" WRITE")
	}
	_, err := conn.ExecContext(ctx, "LOCK TABLES "+strings.Join(list, ", "))
	return err
}

// UnlockTables implements migrate.TableLocker.
func (d *Database) UnlockTables(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "UNLOCK TABLES")
	if err == nil {
		_, err = conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", d.companionName())
	}
	return err
}

// nextNumber is that of AUTO_INCREMENT, which is no structure.
var nextNumber = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// TableState implements migrate.TableLocker.
func (d *Database) TableState(ctx context.Context, q *sql.Conn, tables []string) (string, error) {
	sum := sha256.New()
	for _, t := range tables {
		pattern := ddl.Literal(strings.ReplaceAll(t, `\`, "_"))
		err := show(ctx, q, []string{"SHOW CREATE TABLE " + quote(t), "SHOW TRIGGERS LIKE " + pattern}, func(i int, r []string) {
			switch {
			case i == 0:
				fmt.Fprintf(sum, "%q\n", nextNumber.ReplaceAllString(r[1], ""))
			case r[2] == t:
				fmt.Fprintf(sum, "%q\n", r)
			}
		})
		if err != nil {
			return "", err
		}
	}
	return "t1:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// IsPresent implements migrate.TableLocker: column, index, trigger, constraint.
func (d *Database) IsPresent(err error) bool { return isError(err, 1050, 1060, 1061, 1359, 3822) }

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
