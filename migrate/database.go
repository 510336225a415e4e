package migrate

import (
	"context"
	"database/sql"
	"time"

	"github.com/switchbackdb/switchback/schema"
)

// Engine is the name of a kind of database server.
type Engine string

// The engines. They are also the dialect part of a file name such as expand.mysql.sql.
const (
	Postgres Engine = "postgres"
	MySQL    Engine = "mysql"
	MariaDB  Engine = "mariadb"
	SQLite   Engine = "sqlite"
)

// Engines returns all engines, in the order in which they are listed to people.
func Engines() []Engine { return []Engine{Postgres, MySQL, MariaDB, SQLite} }

// Dialect is how an engine differs in the SQL of the journal, the lock and the backfill. It is plain
// data but for its functions, which have no side effects.
type Dialect struct {
	Engine           Engine
	TransactionalDDL bool                            // DDL can be rolled back with its transaction
	Begin            string                          // starts a transaction that may write
	Placeholder      func(n int) string              // the nth parameter of a statement, from 1
	Quote            func(identifier string) string  // an identifier, quoted
	Table            func(name string) string        // a table of ours: journal, lock, meta
	Now              string                          // expression: the server's clock as UTC text that sorts by time
	LocalNow         string                          // expression: the same in the server's time zone, to the second, without the zone
	Later            func(d time.Duration) string    // expression: Now moved by d
	ShareLock        string                          // suffix of a SELECT that keeps the lock row from being taken over
	Install          []string                        // statements that create our tables where they are missing
	Installed        string                          // query: 1 when our tables are there, else 0
	LastInsertID     bool                            // the journal's key comes from LastInsertId, not from RETURNING
	Key              func(column, typ string) string // expression that reads a key column so that it can be kept as text
	KeyParameter     func(n int, typ string) string  // the nth parameter as a key of that type
}

// QuoteTable quotes a table. The schema is named where a database has several.
func (d Dialect) QuoteTable(schema, table string) string {
	if d.Engine == Postgres {
		return d.Quote(schema) + "." + d.Quote(table)
	}
	return d.Quote(table)
}

// Catalogue reads the fingerprints of a run, one after the other. It may remember what it has read, so
// that a run of a thousand steps does not read a thousand tables a thousand times.
type Catalogue interface {
	// Read hashes the whole catalogue as q sees it now.
	Read(ctx context.Context, q schema.Queryer) (string, error)
	// Follow is Read after each of some scripts, given that since the last call their statements, and
	// nothing else, have changed the catalogue. It may read no more than what they are certain to have
	// changed; whole is false then. After several scripts it may not be able to tell, and return nothing:
	// the caller has to take them back and run them one by one.
	Follow(ctx context.Context, q schema.Queryer, scripts [][]string) (fingerprints []string, whole bool, err error)
	// Together tells whether statements do nothing but what locks nobody out, such as making tables, so
	// that several such scripts may share a transaction.
	Together(statements []string) bool
}

// StatementKind says how a statement behaves outside a transaction of ours.
type StatementKind int

// The kinds of statement.
const (
	Atomic         StatementKind = iota // can share a transaction with its outcome row
	SelfCommitting                      // commits by itself; the catalogue tells whether it took effect
	Setting                             // changes the session only; runs again when a script is resumed
	Control                             // BEGIN, COMMIT, ROLLBACK: not for scripts
)

// Fate says what became of a statement that was interrupted.
type Fate int

// The fates of an interrupted statement.
const (
	NoEffect   Fate = iota // nothing happened: it runs again
	TookEffect             // it took effect: it does not run again
)

// Query is a statement with its arguments.
type Query struct {
	SQL  string
	Args []any
}

// Outcome is what a statement did.
type Outcome struct {
	Rows int64         // that it touched
	Took time.Duration // until its result was there
}

// Blocker is a session that keeps a statement waiting.
type Blocker struct {
	Session string // the server's number for the session
	User    string
	Since   string // since when its transaction is open
	Query   string // what it runs or ran last
}

func (b Blocker) String() string {
	text := "session " + b.Session
	if b.User != "" {
		text += " of " + b.User
	}
	if b.Since != "" {
		text += " since " + b.Since
	}
	if query := firstLine(b.Query); query != "" {
		text += " (" + query + ")"
	}
	return text
}

// Lag is how far a replica is behind.
type Lag struct {
	Replica string        // its name or address
	Behind  time.Duration // since the source wrote what the replica does next
	Bytes   int64         // of the source's log that it has not applied; 0 when not known
	Problem string        // why it cannot be told; it counts as too far behind
}

// Replica is a copy of the target that follows it.
type Replica interface {
	// Lag tells how far it is behind.
	Lag(ctx context.Context) (Lag, error)
}

// Database is a target database: what the runner needs of an engine.
type Database interface {
	// DB is the pool the runner takes its connections from.
	DB() *sql.DB
	// Dialect says how the engine differs.
	Dialect() Dialect
	// Version is the server's version, for people and for the journal.
	Version() string
	// Fingerprint hashes the catalogue as q sees it, our own tables left out.
	Fingerprint(ctx context.Context, q schema.Queryer) (string, error)
	// Catalogue returns a reader of fingerprints that follows a run.
	Catalogue() Catalogue
	// SetLockTimeout makes statements of the connection give up waiting for a lock after d.
	SetLockTimeout(ctx context.Context, conn *sql.Conn, d time.Duration) error
	// IsLockTimeout tells whether err means that a lock was not had in time, or a deadlock: the
	// transaction was rolled back, nothing happened, and it may be tried again.
	IsLockTimeout(err error) bool
	// IsFull tells whether err means that there is no room: the disk is full, a tablespace, or a quota.
	IsFull(err error) bool
	// Blockers names the sessions that keep the given session waiting. It may be empty.
	Blockers(ctx context.Context, session string) ([]Blocker, error)
	// Waiters says how many sessions wait for locks of the given session now. Servers refresh what they
	// tell of that no more often than every tenth of a second.
	Waiters(ctx context.Context, session string) (int, error)
	// Lags says how far the replicas are behind that the server itself knows of. It may be empty.
	Lags(ctx context.Context) ([]Lag, error)
	// HoldSession ties the lock to the connection: it returns the server's name for the session, and
	// held=false when a session of another run that is still connected holds it. Engines without
	// sessions return an empty name and true.
	HoldSession(ctx context.Context, conn *sql.Conn) (session string, held bool, err error)
	// EndSession ends the session of a run that lost its lock, so that nothing it has under way can
	// still take effect. Ending one that is gone is no error.
	EndSession(ctx context.Context, session string) error
	// Settle finds out what became of an interrupted statement, given the fingerprint taken before
	// it, and clears away what it left half done.
	Settle(ctx context.Context, conn *sql.Conn, statement, before string) (Fate, error)
	// IsMissing tells whether err means that an object does not exist that a statement wants to remove.
	IsMissing(err error) bool
	// Execute runs one statement of a script as it stands and returns how many rows it touched.
	Execute(ctx context.Context, conn *sql.Conn, statement string) (int64, error)
	// Begin begins a transaction that may write and runs statements in it, in as few round trips as the
	// engine can. It returns what became of each; with an error, the first that is missing has failed, and
	// the transaction is still to be rolled back.
	Begin(ctx context.Context, conn *sql.Conn, statements []string) ([]Outcome, error)
	// Commit runs the last queries of the transaction and commits it. When one touches no row, nothing is
	// committed and the error is sql.ErrNoRows.
	Commit(ctx context.Context, conn *sql.Conn, last []Query) error
	// Classify says how a statement behaves.
	Classify(statement string) StatementKind
	// Scan splits a script into statements.
	Scan(script string) ([]Statement, error)
	// BeforeCommit checks what the engine itself does not check while a script runs, such as foreign
	// keys that a table rebuild on SQLite left broken.
	BeforeCommit(ctx context.Context, conn *sql.Conn, script string) error
	// EstimateRows says about how many rows the table has, and 0 when that is unknown.
	EstimateRows(ctx context.Context, q schema.Queryer, table string) (int64, error)
	// ColumnType is the type of a column as the server writes it; an error when there is none.
	ColumnType(ctx context.Context, q schema.Queryer, table, column string) (string, error)
}

// foreignKeys is a Database that can do without its foreign keys for a while, as the directive foreign-keys
// off asks for: on SQLite dropping a table, which is how one is written anew, would delete its rows first, and
// foreign keys would act on that.
type foreignKeys interface {
	// ForeignKeysOff switches them off on a connection that has no transaction open, and returns what puts
	// them back to how they were.
	ForeignKeysOff(ctx context.Context, conn *sql.Conn) (restore func(), err error)
}

// Statement is one statement of a script.
type Statement struct {
	Line     int      // where it starts, from 1
	Text     string   // without the delimiter
	Comments []string // the comments directly above it, as written
}
