package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/switchbackdb/switchback/schema"
)

// Inspect reads the catalogue into the model with a fixed number of queries, however many tables there
// are. Definitions come from the server's own deparser. Objects of extensions, of the system and of
// Switchback itself are left out.
//
// Given a *sql.DB it reads in a transaction of its own, so that all queries see the same moment; given a
// connection or a transaction it reads inside of that.
func Inspect(ctx context.Context, q schema.Queryer) (_ *schema.Database, err error) {
	if db, ok := q.(*sql.DB); ok {
		tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		defer func() { _ = tx.Rollback() }() // it has changed nothing
		// Compiling the queries takes longer than running them.
		if _, err := tx.ExecContext(ctx, "SET LOCAL jit = off"); err != nil {
			return nil, fmt.Errorf("begin to read the catalogue: %w", err)
		}
		q = tx
	}
	// The search path decides which names the deparser qualifies. It must not differ between two
	// inspections, so it is emptied meanwhile.
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
	if err := in.read(ctx, q, versionPart()); err != nil {
		return nil, err
	}
	for _, part := range parts(in.version) {
		if err := in.read(ctx, q, part); err != nil {
			return nil, err
		}
	}
	in.finish()
	return &schema.Database{
		Engine: "postgres", Version: in.name, Settings: in.settings, Items: in.items, Schemas: in.list, Uncovered: in.uncovered,
	}, nil
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
	version   int    // as in 170002
	name      string // as in 17.2
	settings  []*schema.Setting
	items     []*schema.Item
	list      []*schema.Schema
	schemas   map[string]*schema.Schema
	relations map[int64]*relation // by oid
	objects   map[ref]*object
	edges     []edge
	uncovered []schema.Census
}

func newInspection() *inspection {
	return &inspection{schemas: map[string]*schema.Schema{}, relations: map[int64]*relation{}, objects: map[ref]*object{}}
}

// ref is an object as the catalogue names it.
type ref struct {
	class string // the catalogue it is in
	oid   int64
}

// object is what may be granted on, and what is needed by, something that was read.
type object struct {
	key    schema.Key
	grants *[]*schema.Grant
	needs  *[]schema.Key
}

func (in *inspection) register(class, oid string, o object) { in.objects[ref{class, number(oid)}] = &o }

// relation is a table, a view, or the columns of a composite type.
type relation struct {
	schema  string
	table   *schema.Table
	view    *schema.View
	typ     *schema.Type
	parents []int64
	columns map[int]*schema.Column // by number
	own     map[*schema.Column]bool
}

func (r *relation) name() string {
	switch {
	case r.table != nil:
		return r.table.Name
	case r.view != nil:
		return r.view.Name
	case r.typ != nil:
		return r.typ.Name
	}
	return ""
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

// relation returns the relation of an oid; rows of what is none get one that is thrown away.
func (in *inspection) relation(oid string) *relation {
	if r := in.relations[number(oid)]; r != nil {
		return r
	}
	return &relation{table: &schema.Table{}, columns: map[int]*schema.Column{}, own: map[*schema.Column]bool{}}
}

// finish puts together what only the whole catalogue tells.
func (in *inspection) finish() {
	in.resolve()
	for _, r := range in.relations {
		in.dropInherited(r)
	}
}

func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64) // an oid, which the server wrote
	return n
}

func yes(text string) bool { return text == "true" || text == "t" }

// options are the values that are not empty, as properties of those names.
func options(values []string, names ...string) []schema.Property {
	var list []schema.Property
	for i, name := range names {
		if values[i] != "" {
			list = append(list, schema.Property{Name: name, Value: values[i]})
		}
	}
	return list
}
