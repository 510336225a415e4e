// Package mysql drives MySQL 8 and later and MariaDB 10.6 and later through go-sql-driver/mysql.
//
// Their DDL commits by itself, so package migrate runs a script statement by statement here, and asks
// the catalogue's fingerprint what became of a statement that was interrupted. Both servers make a
// single DDL statement atomic: it took effect whole or not at all.
package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// Database is a connection pool for one MySQL or MariaDB database.
type Database struct {
	db      *sql.DB
	reader  *sql.DB // for inspections: its connections take several statements at a time
	config  *mysql.Config
	more    []io.Closer // what else was opened for it
	engine  migrate.Engine
	name    string
	version string
}

var (
	_ migrate.Database    = (*Database)(nil)
	_ migrate.TableLocker = (*Database)(nil)
)

// Open connects to the database that the URL names: mysql://user:password@host:3306/name or
// mariadb://…. Query parameters are those of the driver, such as tls=true.
func Open(ctx context.Context, rawURL string) (*Database, error) {
	config, engine, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("read the %s URL: %w", engine, err)
	}
	several := config.Clone()
	several.MultiStatements = true
	reader, err := mysql.NewConnector(several)
	if err != nil {
		return nil, fmt.Errorf("read the %s URL: %w", engine, err)
	}
	d := &Database{db: sql.OpenDB(connector), reader: sql.OpenDB(reader), config: config, engine: engine, name: config.DBName}
	if err := d.db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&d.version); err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("connect to %s database %s on %s: %w", engine, config.DBName, config.Addr, err)
	}
	is := migrate.MySQL
	if strings.Contains(strings.ToLower(d.version), "mariadb") {
		is = migrate.MariaDB
	}
	if is != engine {
		_ = d.Close()
		return nil, fmt.Errorf("connect to %s database %s on %s: the server is %s; write %s:// in the URL", engine, config.DBName, config.Addr, is, is)
	}
	return d, nil
}

func parseURL(rawURL string) (*mysql.Config, migrate.Engine, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, "", errors.New("the MySQL URL cannot be read: want mysql://user:password@host:3306/name, with special characters of the password percent-encoded")
	}
	engine := migrate.Engine(u.Scheme)
	name := strings.Trim(u.Path, "/")
	if name == "" {
		return nil, "", fmt.Errorf("the %s URL names no database: want %s://user:password@host:3306/name", engine, engine)
	}
	// The driver reads its own parameters; what it is given apart from them needs no quoting.
	config, err := mysql.ParseDSN("/?" + u.RawQuery)
	if err != nil {
		return nil, "", fmt.Errorf("parameters of the %s URL: %w", engine, err)
	}
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.DBName = name
	config.Net, config.Addr = "tcp", u.Host
	if u.Port() == "" {
		config.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	config.InterpolateParams = true
	config.Logger = &mysql.NopLogger{} // what goes wrong is in the errors
	return config, engine, nil
}

// sibling opens another database of the same server.
func (d *Database) sibling(name string) (*Database, error) {
	config := d.config.Clone()
	config.DBName = name
	several := config.Clone()
	several.MultiStatements = true
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	reader, err := mysql.NewConnector(several)
	if err != nil {
		return nil, err
	}
	return &Database{db: sql.OpenDB(connector), reader: sql.OpenDB(reader), config: config, engine: d.engine, name: name, version: d.version}, nil
}

// Close closes the connections.
func (d *Database) Close() error {
	errs := []error{d.db.Close(), d.reader.Close()}
	for _, c := range d.more {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// DB implements migrate.Database.
func (d *Database) DB() *sql.DB { return d.db }

// Version implements migrate.Database.
func (d *Database) Version() string {
	if d.engine == migrate.MariaDB {
		return "MariaDB " + d.version
	}
	return "MySQL " + d.version
}

// SetLockTimeout implements migrate.Database: for metadata locks, which wait for a year by default,
// and for row locks. The servers count whole seconds. MariaDB since 11.6 ends a batch, instead of letting it wait,
// when a row that it meets was written since it began, so that a backfill beside a busy application hardly
// gets on; that is switched off, as it is on all other servers.
func (d *Database) SetLockTimeout(ctx context.Context, conn *sql.Conn, timeout time.Duration) error {
	if d.engine == migrate.MariaDB {
		if _, err := conn.ExecContext(ctx, "SET SESSION innodb_snapshot_isolation = OFF"); err != nil && !isError(err, 1193) { // older servers do not know it
			return err
		}
	}
	seconds := max(1, int((timeout+time.Second-1)/time.Second))
	_, err := conn.ExecContext(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout = %d, innodb_lock_wait_timeout = %d", seconds, seconds))
	return err
}

func isError(err error, numbers ...uint16) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && slices.Contains(numbers, e.Number)
}

// IsLockTimeout implements migrate.Database: lock wait timeout, deadlock, NOWAIT, and MariaDB's "record
// has changed since last read", by which innodb_snapshot_isolation (on since 11.6) ends a transaction
// that would overwrite what its snapshot does not show.
func (d *Database) IsLockTimeout(err error) bool { return isError(err, 1205, 1213, 3572, 1020) }

// IsFull implements migrate.Database: disk full, error writing a file, table full, and the error that a
// storage engine hands on: no space left on device.
func (d *Database) IsFull(err error) bool {
	return isError(err, 1021, 1114, 3) || isError(err, 1026, 1030) && strings.Contains(err.Error(), "28")
}

// IsMissing implements migrate.Database: unknown database, table, column, key, routine, trigger, event.
func (d *Database) IsMissing(err error) bool {
	return isError(err, 1008, 1051, 1146, 1054, 1091, 1176, 1305, 1360, 1539, 3821)
}

// IsRulePresent implements migrate.RuleFinder: key, foreign key, check.
func (d *Database) IsRulePresent(_ string, err error) bool { return isError(err, 1061, 1826, 3822) }

// Execute implements migrate.Database.
func (d *Database) Execute(ctx context.Context, conn *sql.Conn, statement string) (int64, error) {
	r, err := conn.ExecContext(ctx, statement)
	for try := 1; isError(err, 1062) && try < uniqueTries && buildsUnique.MatchString(statement); try++ {
		r, err = conn.ExecContext(ctx, statement)
	}
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// A unique index that is built beside writers fails on a row that was deleted and written again meanwhile: the
// server takes the two for duplicates. Rows that are duplicates stay so.
const uniqueTries = 5

var buildsUnique = regexp.MustCompile(`(?is)^\s*ALTER TABLE .*\bADD UNIQUE\b.*\bLOCK=NONE`)

// Begin implements migrate.Database.
func (d *Database) Begin(ctx context.Context, conn *sql.Conn, statements []string) ([]migrate.Outcome, error) {
	return migrate.BeginEach(ctx, d, conn, statements)
}

// Commit implements migrate.Database.
func (d *Database) Commit(ctx context.Context, conn *sql.Conn, last []migrate.Query) error {
	return migrate.CommitEach(ctx, conn, last)
}

// conditional is the beginning of a comment that the server runs, as mysqldump writes them.
var conditional = regexp.MustCompile(`^/\*M?!\d*\s*`)

// Classify implements migrate.Database.
func (d *Database) Classify(statement string) migrate.StatementKind {
	text := conditional.ReplaceAllString(migrate.TrimComments(statement), "")
	switch migrate.Keyword(text, 0) {
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "SELECT", "WITH", "CALL", "DO", "LOAD", "VALUES", "SHOW", "EXPLAIN":
		return migrate.Atomic
	case "SET", "USE", "LOCK", "UNLOCK":
		return migrate.Setting
	case "START", "BEGIN", "COMMIT", "ROLLBACK":
		return migrate.Control
	}
	return migrate.SelfCommitting
}

// Scan implements migrate.Database.
func (d *Database) Scan(script string) ([]migrate.Statement, error) {
	return migrate.Scan(d.engine, script)
}

// BeforeCommit implements migrate.Database. It is not asked where DDL commits by itself.
func (d *Database) BeforeCommit(context.Context, *sql.Conn, string) error { return nil }

// Settle implements migrate.Database.
func (d *Database) Settle(ctx context.Context, conn *sql.Conn, statement, before string) (migrate.Fate, error) {
	now, err := d.Fingerprint(ctx, conn)
	if err != nil {
		return migrate.NoEffect, err
	}
	if now != before {
		return migrate.TookEffect, nil
	}
	return d.unseen(ctx, conn, statement)
}

// unseen finds out what became of a statement that makes or drops a table or view which the fingerprint leaves out, as it is
// Switchback's by its name: what waits in the attic, or stands in for something for a moment.
func (d *Database) unseen(ctx context.Context, conn *sql.Conn, statement string) (migrate.Fate, error) {
	tokens := sqltoken.Split(statement, sqltoken.Of(string(d.engine)))
	i := slices.IndexFunc(tokens, func(t sqltoken.Token) bool { return t.Is("TABLE") || t.Is("VIEW") })
	if i < 1 || i+1 >= len(tokens) || !tokens[0].Is("CREATE") && !tokens[0].Is("DROP") || !ours(tokens[i+1].Name) {
		return migrate.NoEffect, nil
	}
	var n int
	err := queryRow(ctx, conn, &n, "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?", tokens[i+1].Name)
	if err != nil || (n > 0) != tokens[0].Is("CREATE") {
		return migrate.NoEffect, err
	}
	return migrate.TookEffect, nil
}

// EstimateRows implements migrate.Database, from the engine's statistics.
func (d *Database) EstimateRows(ctx context.Context, q schema.Queryer, table string) (int64, error) {
	var n int64
	err := queryRow(ctx, q, &n, "SELECT coalesce(table_rows, 0) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?", table)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("there is no table %s", table)
	}
	return n, err
}

// ColumnType implements migrate.Database.
func (d *Database) ColumnType(ctx context.Context, q schema.Queryer, table, column string) (string, error) {
	var t string
	err := queryRow(ctx, q, &t, "SELECT column_type FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = ? AND column_name = ?", table, column)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("table %s has no column %s", table, column)
	}
	return t, err
}

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
