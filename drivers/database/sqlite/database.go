// Package sqlite drives SQLite databases through modernc.org/sqlite, which needs no cgo. It is the
// embedded default: everything Switchback does can be tried on it with nothing installed.
//
// A Database is what package migrate runs changes on; Inspect reads the catalogue into a
// schema.Database; the snapshot files implement package snapshot's side of the engine.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// Database is an open SQLite database file.
type Database struct {
	db      *sql.DB
	path    string
	version string
	before  *orphaned // as of when foreign keys were switched off, for as long as they are
}

var _ migrate.Database = (*Database)(nil)

// Options say how to open a database.
type Options struct {
	Create bool // create the file when it is missing
}

// Open opens the database file that the URL names: sqlite:shop.db, sqlite:///var/lib/shop.db. Query
// parameters are handed to the driver, such as _pragma=foreign_keys(1).
func Open(ctx context.Context, rawURL string, o Options) (*Database, error) {
	path, query, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !o.Create {
		return nil, fmt.Errorf("open SQLite database %s: there is no such file", path)
	}
	if !query.Has("_pragma") {
		query.Add("_pragma", "busy_timeout(5000)")
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+query.Encode())
	if err != nil {
		return nil, fmt.Errorf("open SQLite database %s: %w", path, err)
	}
	d := &Database{db: db, path: path}
	// sqlite_version() alone would not read the file, so a file that is no database would pass.
	if err := db.QueryRowContext(ctx, "SELECT sqlite_version() FROM (SELECT count(*) FROM sqlite_schema)").Scan(&d.version); err != nil {
		_ = db.Close()
		if d.IsLockTimeout(err) {
			err = fmt.Errorf("%w (%w)", migrate.ErrBusy, err)
		}
		return nil, fmt.Errorf("open SQLite database %s: %w", path, err)
	}
	return d, nil
}

func parseURL(rawURL string) (string, url.Values, error) {
	rest, ok := strings.CutPrefix(rawURL, "sqlite:")
	if !ok {
		return "", nil, fmt.Errorf("%q is no SQLite URL such as sqlite:shop.db", rawURL)
	}
	rest, rawQuery, _ := strings.Cut(rest, "?")
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return "", nil, fmt.Errorf("SQLite URL %q: %w", rawURL, err)
	}
	path, err := url.PathUnescape(strings.TrimPrefix(rest, "//"))
	if err != nil {
		return "", nil, fmt.Errorf("SQLite URL %q: %w", rawURL, err)
	}
	if path == "" {
		return "", nil, fmt.Errorf("SQLite URL %q names no file", rawURL)
	}
	return path, query, nil
}

// Close closes the database.
func (d *Database) Close() error { return d.db.Close() }

// Path is the database's file.
func (d *Database) Path() string { return d.path }

// DB implements migrate.Database.
func (d *Database) DB() *sql.DB { return d.db }

// Version implements migrate.Database.
func (d *Database) Version() string { return "SQLite " + d.version }

// Inspect reads the catalogue.
func (d *Database) Inspect(ctx context.Context) (*schema.Database, error) { return Inspect(ctx, d.db) }

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
	_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", timeout.Milliseconds()))
	return err
}

// IsLockTimeout implements migrate.Database.
func (d *Database) IsLockTimeout(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && (e.Code()&0xff == sqlite3.SQLITE_BUSY || e.Code()&0xff == sqlite3.SQLITE_LOCKED)
}

// IsFull implements migrate.Database.
func (d *Database) IsFull(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_FULL
}

// IsMissing implements migrate.Database.
func (d *Database) IsMissing(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no such ")
}

// Blockers implements migrate.Database. SQLite does not tell who holds a file lock.
func (d *Database) Blockers(context.Context, string) ([]migrate.Blocker, error) { return nil, nil }

// Waiters implements migrate.Database. Nor does it tell who waits for one.
func (d *Database) Waiters(context.Context, string) (int, error) { return 0, nil }

// Lags implements migrate.Database. A file has no replicas that it knows of.
func (d *Database) Lags(context.Context) ([]migrate.Lag, error) { return nil, nil }

// Lag implements migrate.Replica.
func (d *Database) Lag(context.Context) (migrate.Lag, error) {
	return migrate.Lag{}, errors.New("an SQLite database does not know what it is a replica of")
}

// HoldSession implements migrate.Database. SQLite has no sessions: a transaction of ours has the whole
// file for itself, and the fence is checked inside it.
func (d *Database) HoldSession(context.Context, *sql.Conn) (string, bool, error) {
	return "", true, nil
}

// EndSession implements migrate.Database.
func (d *Database) EndSession(context.Context, string) error { return nil }

// Settle implements migrate.Database. What commits by itself on SQLite, such as VACUUM, leaves the
// catalogue as it was and may run again.
func (d *Database) Settle(ctx context.Context, conn *sql.Conn, _, before string) (migrate.Fate, error) {
	now, err := d.Fingerprint(ctx, conn)
	if err != nil || now == before {
		return migrate.NoEffect, err
	}
	return migrate.TookEffect, nil
}

// Execute implements migrate.Database.
func (d *Database) Execute(ctx context.Context, conn *sql.Conn, statement string) (int64, error) {
	r, err := conn.ExecContext(ctx, statement)
	if err != nil {
		return 0, err
	}
	if !changesRows(statement) {
		return 0, nil // the driver repeats the count of the statement before
	}
	return r.RowsAffected()
}

// Begin implements migrate.Database.
func (d *Database) Begin(ctx context.Context, conn *sql.Conn, statements []string) ([]migrate.Outcome, error) {
	return migrate.BeginEach(ctx, d, conn, statements)
}

// Commit implements migrate.Database.
func (d *Database) Commit(ctx context.Context, conn *sql.Conn, last []migrate.Query) error {
	return migrate.CommitEach(ctx, conn, last)
}

func changesRows(statement string) bool {
	switch migrate.Keyword(statement, 0) {
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH":
		return true
	}
	return false
}

// Classify implements migrate.Database.
func (d *Database) Classify(statement string) migrate.StatementKind {
	switch migrate.Keyword(statement, 0) {
	case "BEGIN", "COMMIT", "END", "ROLLBACK":
		return migrate.Control
	case "VACUUM", "ATTACH", "DETACH":
		return migrate.SelfCommitting
	case "PRAGMA":
		return migrate.Setting
	}
	return migrate.Atomic
}

// Scan implements migrate.Database.
func (d *Database) Scan(script string) ([]migrate.Statement, error) {
	return migrate.Scan(migrate.SQLite, script)
}

// BeforeCommit implements migrate.Database. A script that rebuilds a table, or that says so with the
// directive foreign-keys off, runs without SQLite's own checks, so they are made up for here.
func (d *Database) BeforeCommit(ctx context.Context, conn *sql.Conn, script string) error {
	if !strings.Contains(strings.ToUpper(script), "DROP TABLE") && !strings.Contains(script, "switchback:foreign-keys off") {
		return nil
	}
	if d.before != nil && d.before.err != nil { // there is a foreign key that SQLite cannot check
		return nil //nolint:nilerr // it was there before, and is not this script's
	}
	now := orphans(ctx, conn)
	if now.err != nil {
		return fmt.Errorf("check foreign keys: %w", now.err)
	}
	var broken []string
	for _, k := range slices.SortedFunc(maps.Keys(now.rows), reference.compare) {
		n := now.rows[k]
		if d.before != nil {
			n -= d.before.rows[k]
		}
		if n > 0 {
			broken = append(broken, fmt.Sprintf("%d rows of %s point to no row of %s", n, k.table, k.parent))
		}
	}
	if len(broken) > 0 {
		return fmt.Errorf("foreign keys are broken: %s", strings.Join(broken, "; "))
	}
	return nil
}

// orphaned is how many rows point to nothing.
type orphaned struct {
	rows map[reference]int64
	err  error
}

type reference struct{ table, parent string }

func (r reference) compare(o reference) int {
	return cmp.Or(strings.Compare(r.table, o.table), strings.Compare(r.parent, o.parent))
}

func orphans(ctx context.Context, conn *sql.Conn) *orphaned {
	out := &orphaned{rows: map[reference]int64{}}
	rows, err := conn.QueryContext(ctx, "SELECT \"table\", \"parent\", count(*) FROM pragma_foreign_key_check GROUP BY 1, 2")
	if err != nil {
		return &orphaned{err: err}
	}
	defer rows.Close()
	for rows.Next() {
		var k reference
		var n int64
		if err := rows.Scan(&k.table, &k.parent, &n); err != nil {
			return &orphaned{err: err}
		}
		out.rows[k] = n
	}
	out.err = rows.Err()
	return out
}

// ForeignKeysOff switches foreign keys off on a connection outside a transaction, until restore. BeforeCommit
// makes up for it: no more rows may point to nothing than do now.
func (d *Database) ForeignKeysOff(ctx context.Context, conn *sql.Conn) (restore func(), err error) {
	on, err := queryInt(ctx, conn, "PRAGMA foreign_keys")
	if err != nil {
		return nil, err
	}
	d.before = orphans(ctx, conn)
	if on == 0 {
		return func() { d.before = nil }, nil
	}
	if _, err := conn.ExecContext(ctx, "PRAGMA foreign_keys = OFF"); err != nil {
		return nil, err
	}
	return func() {
		d.before = nil
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA foreign_keys = ON")
	}, nil
}

// EstimateRows implements migrate.Database. The largest rowid is a good guess and costs nothing; a
// table without one is counted.
func (d *Database) EstimateRows(ctx context.Context, q schema.Queryer, table string) (int64, error) {
	for _, expression := range []string{"coalesce(max(rowid), 0)", "count(*)"} {
		n, err := queryInt(ctx, q, "SELECT "+expression+" FROM "+quote(table))
		if err == nil {
			return n, nil
		}
		if !strings.Contains(err.Error(), "no such column") {
			return 0, err
		}
	}
	return 0, nil
}

// ColumnType implements migrate.Database.
func (d *Database) ColumnType(ctx context.Context, q schema.Queryer, table, column string) (string, error) {
	rows, err := q.QueryContext(ctx, "SELECT type FROM pragma_table_xinfo(?) WHERE name = ? COLLATE NOCASE", table, column)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	if !rows.Next() {
		switch strings.ToLower(column) {
		case "rowid", "_rowid_", "oid":
			return "INTEGER", rows.Err()
		}
		return "", errors.Join(rows.Err(), fmt.Errorf("table %s has no column %s", table, column))
	}
	var t string
	return t, rows.Scan(&t)
}

func queryInt(ctx context.Context, q schema.Queryer, query string, args ...any) (int64, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var n int64
	if rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return 0, err
		}
	}
	return n, rows.Err()
}
