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

// HoldSession implements migrate.Database with a user-level lock. Whoever gets it finishes what a killed restore has left
// of an exchange of tables.
func (d *Database) HoldSession(ctx context.Context, conn *sql.Conn) (session string, held bool, err error) {
	var got sql.NullInt64
	err = conn.QueryRowContext(ctx, "SELECT CONNECTION_ID(), GET_LOCK(?, 0)", d.lockName()).Scan(&session, &got)
	if err != nil || got.Int64 != 1 {
		return session, false, err
	}
	if err := d.endCompanion(ctx); err != nil {
		return session, true, err
	}
	if err := d.finishExchange(ctx, conn); err != nil {
		return session, true, fmt.Errorf("finish the restore that a killed run has left: %w", err)
	}
	return session, true, nil
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
		var there bool
		if err := conn.QueryRowContext(ctx, "SELECT count(*) > 0 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?", t).Scan(&there); err != nil {
			return err
		}
		if there {
			list = append(list, quote(t)+" WRITE")
		}
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
		if isError(err, 1146) {
			fmt.Fprintf(sum, "no %q\n", t)
			continue
		}
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

// blockers are who keeps the session of a parameter waiting, on MySQL: for a metadata lock, or for a row. The
// threads in data_lock_waits are those that wrote a lock down, which may be another than has it: the one that
// waits writes down what was implied before.
const blockers = `
WITH blocking (id, account) AS (
  SELECT blocking_pid, blocking_account FROM sys.schema_table_lock_waits WHERE waiting_pid = ? AND blocking_pid <> waiting_pid
  UNION SELECT b.trx_mysql_thread_id, (SELECT concat(processlist_user, '@', processlist_host) FROM performance_schema.threads WHERE processlist_id = b.trx_mysql_thread_id)
  FROM performance_schema.data_lock_waits w JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_engine_transaction_id
  JOIN information_schema.innodb_trx b ON b.trx_id = w.blocking_engine_transaction_id WHERE r.trx_mysql_thread_id = ?)
SELECT b.id, coalesce(b.account, ''), coalesce(DATE_FORMAT(CONVERT_TZ(t.trx_started, 'SYSTEM', '+00:00'), '%Y-%m-%dT%H:%i:%sZ'), ''), coalesce(t.trx_query, e.sql_text, '')
FROM blocking b LEFT JOIN information_schema.innodb_trx t ON t.trx_mysql_thread_id = b.id
LEFT JOIN performance_schema.threads p ON p.processlist_id = b.id
LEFT JOIN performance_schema.events_statements_current e ON e.thread_id = p.thread_id AND coalesce(e.nesting_event_type, '') <> 'STATEMENT'
ORDER BY t.trx_started`

// rowBlockers are who keeps it waiting for a row, on MariaDB.
const rowBlockers = `
SELECT p.id, concat(p.user, '@', p.host), coalesce(DATE_FORMAT(CONVERT_TZ(b.trx_started, 'SYSTEM', '+00:00'), '%Y-%m-%dT%H:%i:%sZ'), ''), coalesce(p.info, b.trx_query, '')
FROM information_schema.innodb_lock_waits w JOIN information_schema.innodb_trx r ON r.trx_id = w.requesting_trx_id
JOIN information_schema.innodb_trx b ON b.trx_id = w.blocking_trx_id JOIN information_schema.processlist p ON p.id = b.trx_mysql_thread_id
WHERE r.trx_mysql_thread_id = ? ORDER BY b.trx_started`

// tableBlockers are who has a metadata lock on a table that the waiting statement names, on MariaDB with
// the plugin metadata_lock_info: it tells what is held, not what is waited for.
const tableBlockers = `
SELECT DISTINCT p.id, concat(p.user, '@', p.host), coalesce(DATE_FORMAT(CONVERT_TZ(t.trx_started, 'SYSTEM', '+00:00'), '%Y-%m-%dT%H:%i:%sZ'), ''), coalesce(p.info, '')
FROM information_schema.processlist me JOIN information_schema.metadata_lock_info l ON l.table_schema = DATABASE()
  AND l.lock_type = 'Table metadata lock' AND LOCATE(l.table_name, me.info) > 0
JOIN information_schema.processlist p ON p.id = l.thread_id AND p.id <> me.id
LEFT JOIN information_schema.innodb_trx t ON t.trx_mysql_thread_id = p.id
WHERE me.id = ? AND me.state LIKE 'Waiting for %metadata lock' AND coalesce(p.state, '') NOT LIKE 'Waiting for %metadata lock'
ORDER BY t.trx_started`

// openTransactions are the transactions of the database, the oldest first: without the plugin nothing says
// more of who has a metadata lock.
const openTransactions = `
SELECT p.id, concat(p.user, '@', p.host), coalesce(DATE_FORMAT(CONVERT_TZ(t.trx_started, 'SYSTEM', '+00:00'), '%Y-%m-%dT%H:%i:%sZ'), ''), coalesce(p.info, t.trx_query, '')
FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
JOIN information_schema.processlist me ON me.id = ?
WHERE p.id <> me.id AND p.db <=> DATABASE() AND me.state LIKE 'Waiting for %metadata lock' AND coalesce(p.state, '') NOT LIKE 'Waiting for %metadata lock'
ORDER BY t.trx_started`

// Blockers implements migrate.Database.
func (d *Database) Blockers(ctx context.Context, session string) ([]migrate.Blocker, error) {
	if d.engine == migrate.MySQL {
		return d.blockers(ctx, session, blockers, session, session)
	}
	found, err := d.blockers(ctx, session, rowBlockers, session)
	if err != nil || len(found) > 0 {
		return found, err
	}
	// An error says that there is no such table: the plugin is not there.
	if found, err = d.blockers(ctx, session, tableBlockers, session); err == nil && len(found) > 0 {
		return found, nil
	}
	return d.blockers(ctx, session, openTransactions, session)
}

func (d *Database) blockers(ctx context.Context, session, query string, args ...any) ([]migrate.Blocker, error) {
	rows, err := d.db.QueryContext(ctx, query, args...)
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
