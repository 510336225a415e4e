package mysql

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Dialect implements migrate.Database.
func (d *Database) Dialect() migrate.Dialect {
	const format = "'%Y-%m-%dT%H:%i:%s.%fZ'"
	return migrate.Dialect{
		Engine:      d.engine,
		Begin:       "START TRANSACTION",
		Placeholder: func(int) string { return "?" },
		Quote:       quote,
		Table:       func(name string) string { return "switchback_" + name },
		Now:         "DATE_FORMAT(UTC_TIMESTAMP(6), " + format + ")",
		LocalNow:    "DATE_FORMAT(SYSDATE(), '%Y-%m-%dT%H:%i:%s')",
		Later: func(d time.Duration) string {
			return "DATE_FORMAT(UTC_TIMESTAMP(6) + INTERVAL " + fmt.Sprint(d.Microseconds()) + " MICROSECOND, " + format + ")"
		},
		ShareLock:    " LOCK IN SHARE MODE", // understood by both servers
		Installed:    "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'switchback_lock'",
		LastInsertID: true,
		Key:          func(column, _ string) string { return column },
		KeyParameter: func(int, string) string { return "?" },
		Install: []string{
			"CREATE TABLE IF NOT EXISTS switchback_meta (name VARCHAR(64) PRIMARY KEY, value TEXT NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
			`CREATE TABLE IF NOT EXISTS switchback_journal (
  seq BIGINT AUTO_INCREMENT PRIMARY KEY, parent BIGINT NOT NULL, run VARCHAR(32) NOT NULL, fence BIGINT NOT NULL,
  kind VARCHAR(16) NOT NULL, change_id VARCHAR(255) NOT NULL, phase VARCHAR(16) NOT NULL, direction VARCHAR(16) NOT NULL,
  statement INT NOT NULL, action TEXT NOT NULL, status VARCHAR(16) NOT NULL,
  started_at VARCHAR(40) NOT NULL, finished_at VARCHAR(40) NOT NULL, actor TEXT NOT NULL, rows_affected BIGINT NOT NULL,
  fingerprint_before VARCHAR(128) NOT NULL, fingerprint_after VARCHAR(128) NOT NULL, detail LONGTEXT NOT NULL, error LONGTEXT NOT NULL,
  script LONGTEXT, rollback_script LONGTEXT, KEY (change_id), KEY (parent)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`,
			`CREATE TABLE IF NOT EXISTS switchback_lock (
  fence BIGINT PRIMARY KEY, token VARCHAR(64) NOT NULL, holder TEXT NOT NULL, command TEXT NOT NULL,
  session VARCHAR(64) NOT NULL, host TEXT NOT NULL, pid VARCHAR(16) NOT NULL, since VARCHAR(40) NOT NULL, expires VARCHAR(40) NOT NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4`,
		},
	}
}

func quote(identifier string) string {
	return "`" + strings.ReplaceAll(identifier, "`", "``") + "`"
}
