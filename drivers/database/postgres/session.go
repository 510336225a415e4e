package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// lockKey is the key of our advisory lock: the bytes of "SwitchBa". Advisory locks are per database.
const lockKey = 0x5377697463684261

// HoldSession implements migrate.Database with an advisory lock of the session.
func (d *Database) HoldSession(ctx context.Context, conn *sql.Conn) (session string, held bool, err error) {
	// A process number is used again some day; with the time at which the backend began it is unique.
	err = conn.QueryRowContext(ctx, `
SELECT pid || '/' || extract(epoch FROM backend_start), pg_try_advisory_lock($1)
FROM pg_stat_activity WHERE pid = pg_backend_pid()`, int64(lockKey)).Scan(&session, &held)
	return session, held, err
}

// EndSession implements migrate.Database: it terminates the backend and waits until it is gone.
func (d *Database) EndSession(ctx context.Context, session string) error {
	const alive = "FROM pg_stat_activity WHERE pid || '/' || extract(epoch FROM backend_start) = $1"
	if _, err := d.db.ExecContext(ctx, "SELECT pg_terminate_backend(pid) "+alive, session); err != nil {
		return fmt.Errorf("end the session %s of the run that lost the lock: %w", session, err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		var n int
		if err := d.db.QueryRowContext(ctx, "SELECT count(*) "+alive, session).Scan(&n); err != nil || n == 0 {
			return err
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

// Blockers implements migrate.Database.
func (d *Database) Blockers(ctx context.Context, session string) ([]migrate.Blocker, error) {
	pid, _, _ := strings.Cut(session, "/")
	rows, err := d.db.QueryContext(ctx, `
SELECT a.pid::text, coalesce(a.usename, ''), coalesce(to_char(a.xact_start AT TIME ZONE 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), ''), coalesce(a.query, '')
FROM unnest(pg_blocking_pids($1::int)) AS b (pid) JOIN pg_stat_activity a ON a.pid = b.pid`, pid)
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

var (
	createConcurrently = regexp.MustCompile(`(?is)^CREATE\s+(?:UNIQUE\s+)?INDEX\s+CONCURRENTLY\s+(?:IF\s+NOT\s+EXISTS\s+)?((?:"(?:[^"]|"")+"|[\w$]+)(?:\.(?:"(?:[^"]|"")+"|[\w$]+))?)\s+ON\b`)
	dropConcurrently   = regexp.MustCompile(`(?is)^DROP\s+INDEX\s+CONCURRENTLY\s+(?:IF\s+EXISTS\s+)?((?:"(?:[^"]|"")+"|[\w$]+)(?:\.(?:"(?:[^"]|"")+"|[\w$]+))?)`)
)

// Settle implements migrate.Database. An index built or dropped concurrently that was interrupted
// stays behind invalid: it is dropped, and the statement runs again.
func (d *Database) Settle(ctx context.Context, conn *sql.Conn, statement, before string) (migrate.Fate, error) {
	text := migrate.TrimComments(statement)
	if m := createConcurrently.FindStringSubmatch(text); m != nil {
		there, valid, err := index(ctx, conn, m[1])
		switch {
		case err != nil:
			return migrate.NoEffect, err
		case there && !valid:
			_, err := d.Execute(ctx, conn, "DROP INDEX CONCURRENTLY IF EXISTS "+m[1])
			return migrate.NoEffect, err
		}
	}
	if m := dropConcurrently.FindStringSubmatch(text); m != nil {
		there, _, err := index(ctx, conn, m[1])
		if err != nil || there {
			return migrate.NoEffect, err
		}
		return migrate.TookEffect, nil
	}
	now, err := d.Fingerprint(ctx, conn)
	if err != nil || now == before {
		return migrate.NoEffect, err
	}
	return migrate.TookEffect, nil
}

// index tells whether an index, named as SQL names it, is there and valid.
func index(ctx context.Context, conn *sql.Conn, name string) (there, valid bool, err error) {
	err = conn.QueryRowContext(ctx, "SELECT count(*) > 0, coalesce(bool_and(indisvalid), false) FROM pg_index WHERE indexrelid = to_regclass($1)", name).Scan(&there, &valid)
	if err != nil {
		return false, false, fmt.Errorf("look for index %s: %w", name, err)
	}
	return there, valid, nil
}
