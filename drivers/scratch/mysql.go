package scratch

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/go-sql-driver/mysql"
)

// mysqlServer marks a scratch by a user-level lock of its name. Such locks belong to the whole server, and
// go with the session.
type mysqlServer struct{}

func (mysqlServer) claim(ctx context.Context, conn *sql.Conn, name string) error {
	// The session lives for as long as the scratch, however long nothing is said in it.
	if _, err := conn.ExecContext(ctx, "SET SESSION wait_timeout = 604800"); err != nil {
		return err
	}
	held, err := lock(ctx, conn, name)
	if err == nil && !held {
		err = errors.New("its lock is held by somebody else")
	}
	return err
}

func lock(ctx context.Context, conn *sql.Conn, name string) (bool, error) {
	var got sql.NullInt64
	err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 0)", name).Scan(&got)
	return got.Int64 == 1, err
}

var scratchName = regexp.MustCompile(`^` + prefix + `[0-9a-f]{16}$`)

// sweep drops those databases whose lock it gets: a lock is taken before its database is made.
func (s mysqlServer) sweep(ctx context.Context, conn *sql.Conn) error {
	names, err := queryNames(ctx, conn, `SHOW DATABASES LIKE 'switchback\_scratch\_%'`)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !scratchName.MatchString(name) {
			continue
		}
		held, err := lock(ctx, conn, name)
		if err != nil {
			return err
		}
		if !held {
			continue
		}
		_, err = conn.ExecContext(ctx, "DROP DATABASE IF EXISTS "+quoteMySQL(name))
		if _, rerr := conn.ExecContext(ctx, "DO RELEASE_LOCK(?)", name); rerr != nil {
			return rerr
		}
		if err != nil && ctx.Err() != nil {
			return err
		}
	}
	return nil
}

func (mysqlServer) create(ctx context.Context, conn *sql.Conn, name string) error {
	_, err := conn.ExecContext(ctx, "CREATE DATABASE "+quoteMySQL(name))
	return err
}

func (mysqlServer) tidy(context.Context, *sql.DB) {}

// drop ends the sessions in the database first: a statement of a client that is gone would keep its
// tables locked.
func (mysqlServer) drop(ctx context.Context, db *sql.DB, name string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	sessions, err := queryNames(ctx, conn, "SELECT id FROM information_schema.processlist WHERE db = '"+name+"' AND id <> CONNECTION_ID()")
	if err != nil {
		return err
	}
	for _, id := range sessions {
		if _, err := conn.ExecContext(ctx, "KILL "+id); err != nil && !isError(err, noSuchThread) {
			return fmt.Errorf("end session %s: %w", id, err)
		}
	}
	_, err = conn.ExecContext(ctx, "DROP DATABASE IF EXISTS "+quoteMySQL(name))
	return err
}

// Errors of the servers, from their manuals.
const (
	accessDenied   = 1044 // to a database
	needsPrivilege = 1227
	noSuchThread   = 1094
)

func (mysqlServer) refused(err error, user string) string {
	if isError(err, accessDenied, needsPrivilege) {
		return "GRANT ALL ON `switchback\\_scratch\\_%`.* TO '" + user + "'"
	}
	return ""
}

func isError(err error, numbers ...uint16) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && slices.Contains(numbers, e.Number)
}

func quoteMySQL(name string) string { return "`" + name + "`" }
