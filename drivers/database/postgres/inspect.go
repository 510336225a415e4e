package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"github.com/switchbackdb/switchback/schema"
)

// Inspect reads the catalogue into the model with a fixed number of queries, however many tables there
// are: one for each kind of object that the database has. Definitions come from the server's own deparser. Objects of extensions, of the system and of
// Switchback itself are left out.
//
// Given a *sql.DB it reads in a transaction of its own, so that all queries see the same moment; given a
// connection or a transaction it reads inside of that. All but a transaction get the queries in one message, so
// that the server runs one while the rows of the one before are taken in.
func Inspect(ctx context.Context, q schema.Queryer) (_ *schema.Database, err error) {
	in := newInspection()
	switch q := q.(type) {
	case *sql.DB:
		conn, cerr := q.Conn(ctx)
		if cerr != nil {
			return nil, fmt.Errorf("connect: %w", cerr)
		}
		defer conn.Close()
		err = in.readMoment(ctx, conn)
	case *sql.Conn:
		err = in.readConnection(ctx, q)
	default:
		err = in.readEach(ctx, q)
	}
	if err != nil {
		return nil, err
	}
	in.finish()
	return in.database(), nil
}

// database is what was read.
func (in *inspection) database() *schema.Database {
	return &schema.Database{
		Engine: "postgres", Version: in.name, Settings: in.settings, Items: in.items, Schemas: in.list, Uncovered: in.uncovered,
	}
}

// inspection is a catalogue being read.
type inspection struct {
	version   int               // as in 170002
	name      string            // as in 17.2
	before    []schema.Property // the session's settings
	made      map[string]bool   // whether somebody has made a row in a rare catalogue
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
	return &inspection{made: map[string]bool{}, schemas: map[string]*schema.Schema{}, relations: map[int64]*relation{}, objects: map[ref]*object{}}
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
