package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/switchbackdb/switchback/ddl/postgres"
	"github.com/switchbackdb/switchback/schema"
)

// part is one query and what becomes of each of its rows, all columns of which are text.
type part struct {
	name    string
	query   string
	columns int      // of the query, where it can be put into a larger one
	of      []string // the catalogues of a rare kind: the query is left out where nobody has made a row in them
	row     func(in *inspection, r []string)
}

// rare are the catalogues in which a database often has no rows of its own. To look for one, whose oid is 16384 or
// more, takes less than to plan the query.
func rare() []string {
	return []string{
		"pg_policy", "pg_proc", "pg_collation", "pg_ts_parser", "pg_ts_template", "pg_ts_dict", "pg_ts_config", "pg_operator", "pg_opfamily", "pg_opclass",
		"pg_cast", "pg_conversion", "pg_transform", "pg_am", "pg_foreign_data_wrapper", "pg_foreign_server", "pg_statistic_ext", "pg_event_trigger",
		"pg_publication", "pg_subscription", "pg_default_acl",
	}
}

// readUnder are the settings under which the catalogue is read. The search path decides which names the
// deparser qualifies; it must not differ between two inspections. Compiling a query would take longer than
// running it, and so would trying the orders of its joins: they are written in a good one.
func readUnder() []schema.Property {
	return []schema.Property{{Name: "search_path"}, {Name: "jit", Value: "off"}, {Name: "join_collapse_limit", Value: "1"}}
}

// set makes settings: for the transaction, or until they are made again.
func set(settings []schema.Property, transaction bool) part {
	var calls []string
	for _, s := range settings {
		calls = append(calls, fmt.Sprintf("set_config(%s, %s, %t)", postgres.Literal(s.Name), postgres.Literal(s.Value), transaction))
	}
	return part{name: "settings of the session", query: "SELECT " + strings.Join(calls, ", "), row: func(*inspection, []string) {}}
}

// versionPart reads what the queries depend on, and the settings that are about to be changed.
func versionPart() part {
	query, settings, catalogues := "SELECT current_setting('server_version_num'), current_setting('server_version')", readUnder(), rare()
	for _, s := range settings {
		query += ", current_setting(" + postgres.Literal(s.Name) + ")"
	}
	for _, c := range catalogues {
		query += ",\n  EXISTS (SELECT 1 FROM " + c + " WHERE oid >= 16384)::text"
	}
	return part{
		name: "version", query: query,
		row: func(in *inspection, r []string) {
			in.version, in.name = int(number(r[0])), r[1]
			for i, s := range settings {
				in.before = append(in.before, schema.Property{Name: s.Name, Value: r[2+i]})
			}
			for i, c := range catalogues {
				in.made[c] = yes(r[2+len(settings)+i])
			}
		},
	}
}

// parts are the queries that this database needs.
func (in *inspection) parts() []part {
	return slices.DeleteFunc(parts(in.version), func(p part) bool {
		return len(p.of) > 0 && !slices.ContainsFunc(p.of, func(c string) bool { return in.made[c] })
	})
}

// readMoment reads everything in a transaction of its own, which sees one moment.
func (in *inspection) readMoment(ctx context.Context, conn *sql.Conn) (err error) {
	nothing := func(*inspection, []string) {}
	begin := part{name: "transaction", query: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", row: nothing}
	end := part{name: "transaction", query: "ROLLBACK", row: nothing} // it has changed nothing
	defer func() {
		if err != nil {
			_ = in.send(context.WithoutCancel(ctx), conn, end) // a connection that is lost has ended it
		}
	}()
	if err := in.send(ctx, conn, begin, set(readUnder(), true), versionPart()); err != nil {
		return err
	}
	return in.send(ctx, conn, append(in.parts(), end)...)
}

// readConnection reads everything in whatever transaction the connection is. One message is a transaction by
// itself, so that an error takes the settings back, too.
func (in *inspection) readConnection(ctx context.Context, conn *sql.Conn) error {
	if err := in.send(ctx, conn, versionPart()); err != nil {
		return err
	}
	list := append([]part{set(readUnder(), false)}, in.parts()...)
	return in.send(ctx, conn, append(list, set(in.before, false))...)
}

// readEach reads everything query by query.
func (in *inspection) readEach(ctx context.Context, q schema.Queryer) (err error) {
	if err := in.read(ctx, q, versionPart()); err != nil {
		return err
	}
	if err := in.read(ctx, q, set(readUnder(), false)); err != nil {
		return err
	}
	defer func() {
		// After an error the transaction is lost, and the settings with it.
		if serr := in.read(ctx, q, set(in.before, false)); err == nil {
			err = serr
		}
	}()
	for _, part := range in.parts() {
		if err := in.read(ctx, q, part); err != nil {
			return err
		}
	}
	return nil
}

// send sends queries in one message of the simple protocol, in which values are text, and takes the rows in.
func (in *inspection) send(ctx context.Context, conn *sql.Conn, parts ...part) error {
	queries := make([]string, len(parts))
	for i, p := range parts {
		queries[i] = p.query
	}
	return conn.Raw(func(c any) error {
		results := c.(*stdlib.Conn).Conn().PgConn().Exec(ctx, strings.Join(queries, ";\n"))
		for _, p := range parts {
			if err := in.take(results, p); err != nil {
				return fmt.Errorf("read the %s of the catalogue: %w", p.name, err)
			}
		}
		return results.Close()
	})
}

// take takes in the rows of the next query. After an error it has read the answer to its end.
func (in *inspection) take(results *pgconn.MultiResultReader, p part) error {
	if !results.NextResult() {
		return cmp.Or(results.Close(), io.ErrUnexpectedEOF)
	}
	rows := results.ResultReader()
	for rows.NextRow() {
		values := rows.Values()
		r := make([]string, len(values))
		for i, v := range values {
			r[i] = string(v)
		}
		p.row(in, r)
	}
	if _, err := rows.Close(); err != nil {
		_ = results.Close() // the same error
		return err
	}
	return nil
}

func (in *inspection) read(ctx context.Context, q schema.Queryer, p part, args ...any) error {
	rows, err := q.QueryContext(ctx, p.query, args...)
	if err != nil {
		return fmt.Errorf("read the %s of the catalogue: %w", p.name, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return fmt.Errorf("read the %s of the catalogue: %w", p.name, err)
	}
	values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return fmt.Errorf("read the %s of the catalogue: %w", p.name, err)
		}
		r := make([]string, len(values))
		for i, v := range values {
			r[i] = v.String
		}
		p.row(in, r)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the %s of the catalogue: %w", p.name, err)
	}
	return nil
}
