package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// Inspect reads the catalogue into the model with a fixed number of queries, however many tables there
// are. Definitions come from the server's own deparser. Objects of extensions, of the system and of
// Switchback itself are left out.
func Inspect(ctx context.Context, q schema.Queryer) (_ *schema.Database, err error) {
	// The search path decides which names the deparser qualifies. It must not differ between two
	// inspections, so it is emptied meanwhile; that needs one connection.
	if db, ok := q.(*sql.DB); ok {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		defer conn.Close()
		q = conn
	}
	path, err := setSearchPath(ctx, q, "")
	if err != nil {
		return nil, err
	}
	defer func() {
		// After an error the transaction is lost, and the setting with it.
		if _, rerr := setSearchPath(ctx, q, path); err == nil {
			err = rerr
		}
	}()
	in := newInspection()
	for _, part := range parts() {
		if err := in.read(ctx, q, part); err != nil {
			return nil, err
		}
	}
	return &schema.Database{Engine: "postgres", Schemas: in.list, Uncovered: in.uncovered}, nil
}

// setSearchPath sets the search path of the session and returns the one before.
func setSearchPath(ctx context.Context, q schema.Queryer, path string) (before string, err error) {
	rows, err := q.QueryContext(ctx, "WITH old AS MATERIALIZED (SELECT current_setting('search_path') AS path) SELECT path, set_config('search_path', $1, false) FROM old", path)
	if err != nil {
		return "", fmt.Errorf("set the search path: %w", err)
	}
	defer rows.Close()
	var after string
	if rows.Next() {
		err = rows.Scan(&before, &after)
	}
	if err == nil {
		err = rows.Err()
	}
	return before, err
}

// inspection is a catalogue being read.
type inspection struct {
	list      []*schema.Schema
	schemas   map[string]*schema.Schema
	relations map[int64]relation // by oid
	uncovered []schema.Census
}

func newInspection() *inspection {
	return &inspection{schemas: map[string]*schema.Schema{}, relations: map[int64]relation{}}
}

// relation is a table or a view.
type relation struct {
	table *schema.Table
	view  *schema.View
}

// part is one query and what becomes of each of its rows, all columns of which are text.
type part struct {
	name    string
	query   string
	columns int // of the query, where it can be put into a larger one
	row     func(in *inspection, r []string)
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

func (in *inspection) schema(name string) *schema.Schema {
	s := in.schemas[name]
	if s == nil {
		s = &schema.Schema{Name: name}
		in.schemas[name] = s
		in.list = append(in.list, s)
	}
	return s
}

// table returns the table of an oid; rows of relations that are no tables get one that is thrown away.
func (in *inspection) table(oid string) *schema.Table {
	if t := in.relations[number(oid)].table; t != nil {
		return t
	}
	return &schema.Table{}
}

func number(text string) int64 {
	var n int64
	_, _ = fmt.Sscan(text, &n) // an oid, which the server wrote
	return n
}

func yes(text string) bool { return text == "true" || text == "t" }

func property(name, value string) schema.Property { return schema.Property{Name: name, Value: value} }

// options turns "name=value" lines into properties.
func options(text string) []schema.Property {
	var list []schema.Property
	for _, line := range strings.Split(text, "\n") {
		if name, value, ok := strings.Cut(line, "="); ok && value != "" {
			list = append(list, property(name, value))
		}
	}
	return list
}
