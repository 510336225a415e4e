package postgres

import (
	"fmt"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Dialect implements migrate.Database. Our tables live in a schema of their own.
func (d *Database) Dialect() migrate.Dialect {
	const format = `'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'`
	return migrate.Dialect{
		Engine:           migrate.Postgres,
		TransactionalDDL: true,
		Begin:            "BEGIN",
		Placeholder:      func(n int) string { return fmt.Sprintf("$%d", n) },
		Quote:            quote,
		Table:            func(name string) string { return "switchback." + name },
		Now:              "to_char(clock_timestamp() AT TIME ZONE 'utc', " + format + ")",
		LocalNow:         `to_char(clock_timestamp(), 'YYYY-MM-DD"T"HH24:MI:SS')`,
		Later: func(d time.Duration) string {
			return fmt.Sprintf("to_char((clock_timestamp() + interval '%d milliseconds') AT TIME ZONE 'utc', %s)", d.Milliseconds(), format)
		},
		// The fence is the key: renewing the lock is compatible with this, taking it over is not.
		ShareLock:    " FOR KEY SHARE",
		Installed:    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'switchback' AND c.relname = 'lock'",
		Key:          func(column, _ string) string { return column + "::text" },
		KeyParameter: func(n int, typ string) string { return fmt.Sprintf("$%d::text::%s", n, typ) },
		Install: []string{
			"CREATE SCHEMA IF NOT EXISTS switchback",
			"CREATE TABLE IF NOT EXISTS switchback.meta (name text PRIMARY KEY, value text NOT NULL)",
			`CREATE TABLE IF NOT EXISTS switchback.journal (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent bigint NOT NULL, run text NOT NULL, fence bigint NOT NULL,
  kind text NOT NULL, change_id text NOT NULL, phase text NOT NULL, direction text NOT NULL,
  statement int NOT NULL, action text NOT NULL, status text NOT NULL,
  started_at text NOT NULL, finished_at text NOT NULL, actor text NOT NULL, rows_affected bigint NOT NULL,
  fingerprint_before text NOT NULL, fingerprint_after text NOT NULL, detail text NOT NULL, error text NOT NULL,
  script text, rollback_script text)`,
			`CREATE TABLE IF NOT EXISTS switchback.lock (
  fence bigint PRIMARY KEY, token text NOT NULL, holder text NOT NULL, command text NOT NULL,
  session text NOT NULL, host text NOT NULL, pid text NOT NULL, since text NOT NULL, expires text NOT NULL)`,
		},
	}
}
