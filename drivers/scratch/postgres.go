package scratch

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// postgresServer marks a scratch by the name of the application that its owner's session bears. Everybody
// may see that name in pg_stat_activity, unlike an advisory lock it is not bound to one database, and it
// goes with the session.
type postgresServer struct{}

func (postgresServer) claim(ctx context.Context, conn *sql.Conn, name string) error {
	_, err := conn.ExecContext(ctx, "SELECT set_config('application_name', $1, false), set_config('idle_session_timeout', '0', false)", name)
	return err
}

// sweep looks at sessions after databases: a name is claimed before its database is made, so that one seen
// here without a session has lost it. Somebody connected to it by other means keeps it too.
func (postgresServer) sweep(ctx context.Context, conn *sql.Conn) error {
	names, err := queryNames(ctx, conn, `
SELECT d.datname FROM pg_database d
WHERE d.datname ~ '^switchback_scratch_[0-9a-f]{16}$'
AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.application_name = d.datname OR a.datname = d.datname)`)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := conn.ExecContext(ctx, "DROP DATABASE IF EXISTS "+quotePostgres(name)); err != nil && ctx.Err() != nil {
			return err
		}
	}
	return nil
}

func (postgresServer) create(ctx context.Context, conn *sql.Conn, name string) error {
	_, err := conn.ExecContext(ctx, "CREATE DATABASE "+quotePostgres(name)+" TEMPLATE template0")
	return err
}

// tidy drops subscriptions, without a word to their publishers. What goes wrong shows when the database
// cannot be dropped.
func (postgresServer) tidy(ctx context.Context, db *sql.DB) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	names, err := queryNames(ctx, conn, "SELECT subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database()")
	if err != nil {
		return // only a superuser may look, and only one may make them
	}
	for _, name := range names {
		for _, statement := range []string{"ALTER SUBSCRIPTION %s DISABLE", "ALTER SUBSCRIPTION %s SET (slot_name = NONE)", "DROP SUBSCRIPTION %s"} {
			_, _ = conn.ExecContext(ctx, fmt.Sprintf(statement, quotePostgres(name)))
		}
	}
}

func (postgresServer) drop(ctx context.Context, db *sql.DB, name string) error {
	_, err := db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+quotePostgres(name)+" WITH (FORCE)")
	return err
}

func (postgresServer) refused(err error, user string) string {
	const insufficientPrivilege = "42501"
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == insufficientPrivilege {
		return "ALTER ROLE " + quotePostgres(user) + " CREATEDB"
	}
	return ""
}

func quotePostgres(name string) string { return pgx.Identifier{name}.Sanitize() }
