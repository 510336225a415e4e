package sqlite

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Dialect implements migrate.Database.
func (d *Database) Dialect() migrate.Dialect {
	return migrate.Dialect{
		Engine:           migrate.SQLite,
		TransactionalDDL: true,
		Begin:            "BEGIN IMMEDIATE", // a deferred one could fail at its first write, half way
		Placeholder:      func(int) string { return "?" },
		Quote:            quote,
		Table:            func(name string) string { return "switchback_" + name },
		Now:              "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
		LocalNow:         "strftime('%Y-%m-%dT%H:%M:%S', 'now', 'localtime')",
		Later: func(d time.Duration) string {
			return fmt.Sprintf("strftime('%%Y-%%m-%%dT%%H:%%M:%%fZ', 'now', '%+.3f seconds')", d.Seconds())
		},
		Installed:    "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'switchback_lock'",
		LastInsertID: true,
		Key:          func(column, _ string) string { return column },
		KeyParameter: func(int, string) string { return "?" },
		Install: []string{
			"CREATE TABLE IF NOT EXISTS switchback_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
			`CREATE TABLE IF NOT EXISTS switchback_journal (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER NOT NULL, run TEXT NOT NULL, fence INTEGER NOT NULL,
  kind TEXT NOT NULL, change_id TEXT NOT NULL, phase TEXT NOT NULL, direction TEXT NOT NULL,
  statement INTEGER NOT NULL, action TEXT NOT NULL, status TEXT NOT NULL,
  started_at TEXT NOT NULL, finished_at TEXT NOT NULL, actor TEXT NOT NULL, rows_affected INTEGER NOT NULL,
  fingerprint_before TEXT NOT NULL, fingerprint_after TEXT NOT NULL, detail TEXT NOT NULL, error TEXT NOT NULL,
  script TEXT, rollback_script TEXT)`,
			`CREATE TABLE IF NOT EXISTS switchback_lock (
  fence INTEGER PRIMARY KEY, token TEXT NOT NULL, holder TEXT NOT NULL, command TEXT NOT NULL,
  session TEXT NOT NULL, host TEXT NOT NULL, pid TEXT NOT NULL, since TEXT NOT NULL, expires TEXT NOT NULL)`,
		},
	}
}

func quote(identifier string) string {
	return `"` + strings.ReplaceAll(identifier, `"`, `""`) + `"`
}
