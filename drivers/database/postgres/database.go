// Package postgres drives PostgreSQL 15 and later through pgx.
//
// A Database is what package migrate runs changes on; Inspect reads the catalogue into a
// schema.Database.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// Database is a connection pool for one PostgreSQL database.
type Database struct {
	config  *pgx.ConnConfig
	db      *sql.DB
	version string
	memory  *memory // of what was read of the catalogue; nil but for a scratch database
}

var _ migrate.Database = (*Database)(nil)

// Open connects to the database that the URL names: postgres://user:password@host:5432/name, or any
// connection string of libpq with that prefix.
func Open(ctx context.Context, url string) (*Database, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("read the PostgreSQL URL: %w", err) // pgx leaves the password out
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "switchback"
	}
	d, err := open(ctx, config)
	if code(err) == notAccepting {
		// A swap that was cut off has closed it.
		if rerr := reopen(ctx, config); rerr != nil {
			return nil, errors.Join(err, rerr)
		}
		d, err = open(ctx, config)
	}
	return d, err
}

func open(ctx context.Context, config *pgx.ConnConfig) (*Database, error) {
	d := &Database{config: config.Copy(), db: stdlib.OpenDB(*config.Copy())}
	if err := d.db.QueryRowContext(ctx, "SELECT current_setting('server_version')").Scan(&d.version); err != nil {
		_ = d.db.Close()
		return nil, fmt.Errorf("connect to PostgreSQL database %s on %s:%d: %w", config.Database, config.Host, config.Port, err)
	}
	return d, nil
}

// Close closes the connections.
func (d *Database) Close() error { return d.db.Close() }

// DB implements migrate.Database.
func (d *Database) DB() *sql.DB { return d.db }

// Version implements migrate.Database.
func (d *Database) Version() string { return "PostgreSQL " + d.version }

// Inspect reads the catalogue.
func (d *Database) Inspect(ctx context.Context) (*schema.Database, error) {
	return d.memory.inspect(ctx, d.db)
}

// Fingerprint implements migrate.Database.
func (d *Database) Fingerprint(ctx context.Context, q schema.Queryer) (string, error) {
	s, err := Inspect(ctx, q)
	if err != nil {
		return "", err
	}
	return s.Fingerprint(), nil
}

// SetLockTimeout implements migrate.Database.
func (d *Database) SetLockTimeout(ctx context.Context, conn *sql.Conn, timeout time.Duration) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf("SET lock_timeout = %d", timeout.Milliseconds()))
	return err
}

// SQLSTATE codes, from the manual's appendix A.
const (
	lockNotAvailable     = "55P03"
	deadlockDetected     = "40P01"
	serializationFailure = "40001"
	notAccepting         = "55000" // also: a database that accepts no connections
	outOfMemory          = "53200" // also: no room for another lock
	notPermitted         = "42501"
)

// full are the codes for no room: disk full, and the limit of a configuration, such as temp_file_limit.
var full = []string{"53100", "53400"}

// undefined are the codes for an object that does not exist: column, function, object, table, schema.
var undefined = []string{"42703", "42883", "42704", "42P01", "3F000"}

func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// IsLockTimeout implements migrate.Database.
func (d *Database) IsLockTimeout(err error) bool {
	return slices.Contains([]string{lockNotAvailable, deadlockDetected, serializationFailure}, code(err))
}

// IsFull implements migrate.Database.
func (d *Database) IsFull(err error) bool { return slices.Contains(full, code(err)) }

// IsMissing implements migrate.Database.
func (d *Database) IsMissing(err error) bool { return slices.Contains(undefined, code(err)) }

// IsRulePresent implements migrate.RuleFinder: an index has the code of a table that is there.
func (d *Database) IsRulePresent(statement string, err error) bool {
	switch code(err) {
	case "42P07":
		return makesIndex.MatchString(statement)
	case "42710":
		return addsConstraint.MatchString(statement)
	}
	return false
}

var (
	makesIndex     = regexp.MustCompile(`(?i)\bCREATE\s+(?:UNIQUE\s+)?INDEX\b`)
	addsConstraint = regexp.MustCompile(`(?i)\bADD\s+CONSTRAINT\b`)
)

// Execute implements migrate.Database. A script's statement is sent by the simple protocol: it is run
// once, so there is no use in preparing it.
func (d *Database) Execute(ctx context.Context, conn *sql.Conn, statement string) (int64, error) {
	outcomes, err := simple(ctx, conn, statement)
	var rows int64
	for _, o := range outcomes {
		rows += o.Rows
	}
	return rows, err
}

// Begin implements migrate.Database: everything is one message. The line breaks end what comments the
// statements may end with.
func (d *Database) Begin(ctx context.Context, conn *sql.Conn, statements []string) ([]migrate.Outcome, error) {
	outcomes, err := simple(ctx, conn, strings.Join(append([]string{"BEGIN"}, statements...), "\n;\n"))
	if len(outcomes) > 0 {
		outcomes = outcomes[1:]
	}
	return outcomes, err
}

// simple sends statements by the simple protocol and returns what became of those that succeeded.
func simple(ctx context.Context, conn *sql.Conn, statements string) (outcomes []migrate.Outcome, err error) {
	err = conn.Raw(func(c any) error {
		results := c.(*stdlib.Conn).Conn().PgConn().Exec(ctx, statements)
		for begun := time.Now(); results.NextResult(); begun = time.Now() {
			tag, err := results.ResultReader().Close()
			if err != nil {
				return errors.Join(err, results.Close())
			}
			o := migrate.Outcome{Took: time.Since(begun)}
			if tag.Insert() || tag.Update() || tag.Delete() {
				o.Rows = tag.RowsAffected()
			}
			outcomes = append(outcomes, o)
		}
		return results.Close()
	})
	return outcomes, err
}

// divisionByZero is how the last statement of a transaction says that it touched no row.
const divisionByZero = "22012"

// Commit implements migrate.Database, in one round trip. The COMMIT is sent along, so it has to be kept
// from taking effect by an error when a query touches no row.
func (d *Database) Commit(ctx context.Context, conn *sql.Conn, last []migrate.Query) error {
	batch := &pgx.Batch{}
	for _, q := range last {
		batch.Queue("WITH written AS ("+q.SQL+" RETURNING 1) SELECT 1 / count(*) FROM written", q.Args...)
	}
	batch.Queue("COMMIT")
	err := conn.Raw(func(c any) error { return c.(*stdlib.Conn).Conn().SendBatch(ctx, batch).Close() })
	if code(err) == divisionByZero {
		return sql.ErrNoRows
	}
	return err
}

// outside are the statements that PostgreSQL refuses inside a transaction.
var outside = regexp.MustCompile(`(?is)^(?:(?:CREATE\s+(?:UNIQUE\s+)?|DROP\s+)INDEX\s+CONCURRENTLY|REINDEX\b.*\bCONCURRENTLY|ALTER\s+TABLE\b.*\bDETACH\s+PARTITION\b.*\bCONCURRENTLY|VACUUM|ALTER\s+SYSTEM|(?:CREATE|DROP)\s+(?:DATABASE|TABLESPACE)|(?:CREATE|DROP|ALTER)\s+SUBSCRIPTION)\b`)

// Classify implements migrate.Database.
func (d *Database) Classify(statement string) migrate.StatementKind {
	switch migrate.Keyword(statement, 0) {
	case "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT":
		return migrate.Control
	case "SET", "RESET":
		return migrate.Setting
	}
	if outside.MatchString(migrate.TrimComments(statement)) {
		return migrate.SelfCommitting
	}
	return migrate.Atomic
}

// Scan implements migrate.Database.
func (d *Database) Scan(script string) ([]migrate.Statement, error) {
	return migrate.Scan(migrate.Postgres, script)
}

// BeforeCommit implements migrate.Database. PostgreSQL checks everything itself.
func (d *Database) BeforeCommit(context.Context, *sql.Conn, string) error { return nil }

// EstimateRows implements migrate.Database, from the planner's statistics.
func (d *Database) EstimateRows(ctx context.Context, q schema.Queryer, table string) (int64, error) {
	var n int64
	err := queryRow(ctx, q, &n, "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass($1)", quoteTable(table))
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("there is no table %s", table)
	}
	return n, err
}

// ColumnType implements migrate.Database.
func (d *Database) ColumnType(ctx context.Context, q schema.Queryer, table, column string) (string, error) {
	var t string
	err := queryRow(ctx, q, &t, "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2 AND NOT attisdropped", quoteTable(table), column)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("table %s has no column %s", table, column)
	}
	return t, err
}

func quoteTable(table string) string {
	parts := strings.Split(table, ".")
	for i := range parts {
		parts[i] = quote(parts[i])
	}
	return strings.Join(parts, ".")
}

func quote(identifier string) string { return pgx.Identifier{identifier}.Sanitize() }

// queryRow scans the one column of the one row of a query. No row is sql.ErrNoRows.
func queryRow(ctx context.Context, q schema.Queryer, into any, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return errors.Join(rows.Err(), sql.ErrNoRows)
	}
	return rows.Scan(into)
}
