package postgres

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/switchbackdb/switchback/ddl/postgres"
)

// copyUnder are the settings under which rows are read and written: with them a value is the same text on
// every server, whatever the role and the database are set to. row_security off makes a query fail that would
// be given some of the rows only.
const copyUnder = `SET row_security = off; SET search_path = ''; SET datestyle = 'ISO, YMD'; SET intervalstyle = postgres; SET extra_float_digits = 3;
SET bytea_output = hex; SET timezone = 'UTC'; SET lc_monetary = 'C'; SET xmloption = content; SET array_nulls = on; SET jit = off;
SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET idle_session_timeout = 0; SET synchronize_seqscans = off;
SET default_transaction_read_only = off; SET default_transaction_deferrable = off;
SET check_function_bodies = off; SET default_tablespace = ''; SET default_table_access_method = heap; `

// sessions is a pool for copying, apart from that of the database: its connections have the settings above,
// and a lock timeout. Without one, locks are waited for.
func (d *Database) sessions(lockTimeout time.Duration, more ...string) *sql.DB {
	settings := copyUnder + fmt.Sprintf("SET lock_timeout = %d; ", lockTimeout.Milliseconds()) + strings.Join(more, "; ")
	if majorOf(d.version) >= "17" {
		settings = "SET transaction_timeout = 0; " + settings
	}
	// The server converts nothing that is of no known encoding, but it would refuse what is no UTF-8.
	settings = "SELECT set_config('client_encoding', CASE WHEN getdatabaseencoding() = 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END, false); " + settings
	return stdlib.OpenDB(*d.config.Copy(), stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := conn.PgConn().Exec(ctx, settings).ReadAll(); err != nil {
			return fmt.Errorf("set up the session: %w", err)
		}
		return nil
	}))
}

// copyTo writes the rows of a COPY … TO STDOUT.
func copyTo(ctx context.Context, conn *sql.Conn, to io.Writer, statement string) error {
	// The server sends a row a message: they are put together again.
	buffered := bufio.NewWriterSize(to, 256<<10)
	err := conn.Raw(func(c any) error {
		_, err := c.(*stdlib.Conn).Conn().PgConn().CopyTo(ctx, buffered, statement)
		return err
	})
	return errors.Join(err, buffered.Flush())
}

// copyFrom writes rows by a COPY … FROM STDIN.
func copyFrom(ctx context.Context, conn *sql.Conn, from io.Reader, statement string) error {
	return conn.Raw(func(c any) error {
		_, err := c.(*stdlib.Conn).Conn().PgConn().CopyFrom(ctx, from, statement)
		return err
	})
}

// query returns the rows of a query, all columns of which are text or NULL, which becomes "".
func query(ctx context.Context, q interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}, text string, args ...any,
) ([][]string, error) {
	var list [][]string
	in := newInspection()
	err := in.read(ctx, q, part{name: "rows", query: text, row: func(_ *inspection, r []string) { list = append(list, r) }}, args...)
	return list, err
}

// direct refuses a connection pooler that gives each transaction another session of the server: the
// snapshot's transactions could not be told to be those of its workers. A pooler shows itself by the number
// of the process, which it makes up; one that keeps a session for each client is as good as none.
func direct(ctx context.Context, pool *sql.DB) error {
	first, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer first.Close()
	told, real, err := processes(ctx, first)
	if err != nil || told == real {
		return err
	}
	for range 4 {
		other, err := pool.Conn(ctx)
		if err != nil {
			return err
		}
		defer func() { _, _ = other.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); _ = other.Close() }()
		if _, err := other.ExecContext(ctx, "BEGIN"); err != nil {
			return err
		}
		_, theirs, err := processes(ctx, other)
		if err != nil {
			return err
		}
		_, now, err := processes(ctx, first)
		if err != nil {
			return err
		}
		if theirs == real || now != real {
			return errors.New("there is a connection pooler in between, which gives each transaction another session: no workers can read the same moment\n  next: the same with the URL of the server itself, or of a pool in session mode")
		}
	}
	return nil
}

// processes are the numbers of the server's process: as it was told when connecting, and as it is.
func processes(ctx context.Context, conn *sql.Conn) (told, real uint32, err error) {
	if err := conn.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&real); err != nil {
		return 0, 0, err
	}
	err = conn.Raw(func(c any) error { told = c.(*stdlib.Conn).Conn().PgConn().PID(); return nil })
	return told, real, err
}

// quotedName writes the name of an object with its schema.
func quotedName(namespace, name string) string {
	return postgres.Identifier(namespace) + "." + postgres.Identifier(name)
}
