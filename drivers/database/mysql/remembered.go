package mysql

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/migrate"
)

// Remembered returns what the server remembers of the statements of this database. MySQL keeps digests with a sample
// of each (https://dev.mysql.com/doc/refman/9.0/en/performance-schema-statement-digests.html). MariaDB's digests have
// no sample, and a text that is no SQL any more, so there it is the table of the slow query log.
func (d *Database) Remembered(ctx context.Context) (workload.Memory, error) {
	if d.engine == migrate.MariaDB {
		return d.loggedSlow(ctx)
	}
	return d.digests(ctx)
}

// cutShort ends a sample that is longer than the server keeps.
const cutShort = "..."

// digests are those of the statements most often run first.
func (d *Database) digests(ctx context.Context) (workload.Memory, error) {
	memory := workload.Memory{From: "statement digests"}
	var on bool
	if err := d.db.QueryRowContext(ctx, "SELECT @@performance_schema").Scan(&on); err != nil {
		return memory, fmt.Errorf("look for statement digests: %w", err)
	}
	if !on {
		return memory, errors.New("its performance_schema is off\n  next: performance_schema = ON in the server's configuration and a restart, or give a slow query log: --workload blue=slow.log")
	}
	rows, err := d.db.QueryContext(ctx, `SELECT DIGEST_TEXT, COALESCE(QUERY_SAMPLE_TEXT, '') FROM performance_schema.events_statements_summary_by_digest
		WHERE SCHEMA_NAME = DATABASE() AND DIGEST_TEXT IS NOT NULL ORDER BY COUNT_STAR DESC, DIGEST`)
	if err != nil {
		return memory, fmt.Errorf("read the statement digests: %w\n  next: GRANT SELECT ON performance_schema.* TO the user of the URL", err)
	}
	defer rows.Close()
	for rows.Next() {
		var digest, sample string
		if err := rows.Scan(&digest, &sample); err != nil {
			return memory, fmt.Errorf("read the statement digests: %w", err)
		}
		if strings.HasSuffix(sample, cutShort) {
			memory.Hidden++
			continue
		}
		memory.Add(d.engine, sample, digest)
	}
	if err := rows.Err(); err != nil {
		return memory, fmt.Errorf("read the statement digests: %w", err)
	}
	return memory, nil
}

// loggedSlow are the statements of the slow query log, where that is a table.
func (d *Database) loggedSlow(ctx context.Context) (workload.Memory, error) {
	memory := workload.Memory{From: "mysql.slow_log"}
	var where string
	if err := d.db.QueryRowContext(ctx, "SELECT @@log_output").Scan(&where); err != nil {
		return memory, fmt.Errorf("look for the slow query log: %w", err)
	}
	if !strings.Contains(strings.ToUpper(where), "TABLE") {
		return memory, errors.New("its slow query log is no table\n  next: SET GLOBAL log_output = 'TABLE', slow_query_log = ON, or give the file: --workload blue=slow.log")
	}
	rows, err := d.db.QueryContext(ctx, "SELECT DISTINCT sql_text FROM mysql.slow_log WHERE db = DATABASE() ORDER BY 1")
	if err != nil {
		return memory, fmt.Errorf("read the slow query log: %w\n  next: GRANT SELECT ON mysql.slow_log TO the user of the URL", err)
	}
	defer rows.Close()
	seen := map[string]bool{}
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return memory, fmt.Errorf("read the slow query log: %w", err)
		}
		shape := workload.Shape(d.engine, text)
		if !seen[shape] {
			memory.Add(d.engine, text, shape)
		}
		seen[shape] = true
	}
	if err := rows.Err(); err != nil {
		return memory, fmt.Errorf("read the slow query log: %w", err)
	}
	return memory, nil
}
