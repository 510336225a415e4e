package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// Inspect reads the catalogue into the model with a fixed number of queries, however many tables there
// are. A database of these servers has no schemas in it, so there is one, "main": two databases compare
// whatever their names.
func (d *Database) Inspect(ctx context.Context) (*schema.Database, error) {
	conn, err := d.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	in := &inspection{
		name: d.name, mariadb: d.engine == migrate.MariaDB, schema: &schema.Schema{Name: "main"},
		tables: map[string]*schema.Table{}, indexes: map[string]*index{}, keys: map[string]*foreignKey{},
	}
	for _, p := range in.parts() {
		if err := in.read(ctx, conn, p); err != nil {
			return nil, err
		}
	}
	in.finish()
	return &schema.Database{Engine: string(d.engine), Schemas: []*schema.Schema{in.schema}, Uncovered: in.uncovered}, nil
}

// inspection is a catalogue being read.
type inspection struct {
	name      string // of the database
	mariadb   bool
	schema    *schema.Schema
	tables    map[string]*schema.Table
	indexes   map[string]*index
	keys      map[string]*foreignKey
	order     []string // of the indexes' and keys' names, as they were read
	uncovered []schema.Census
}

// index is an index or primary key whose columns are being read.
type index struct {
	table   *schema.Table
	name    string
	columns []string
	unique  bool
	options string // behind the columns
	comment string
}

// foreignKey is a foreign key whose columns are being read.
type foreignKey struct {
	table         *schema.Table
	name          string
	columns, into []string
	to, rules     string
}

// part is one query and what becomes of each of its rows. NULL is "".
type part struct {
	name  string
	query string
	row   func(r []string)
}

func (in *inspection) read(ctx context.Context, q schema.Queryer, p part) error {
	rows, err := q.QueryContext(ctx, p.query)
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
		// The first column is the table, the view or what else the row is of.
		if !strings.HasPrefix(r[0], "switchback_") {
			p.row(r)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the %s of the catalogue: %w", p.name, err)
	}
	return nil
}

// table returns a table; rows of what is no table, such as the columns of a view, get one that is thrown
// away.
func (in *inspection) table(name string) *schema.Table {
	if t := in.tables[name]; t != nil {
		return t
	}
	return &schema.Table{}
}

// finish makes indexes and keys of the columns that were read row by row.
func (in *inspection) finish() {
	for _, id := range in.order {
		if x := in.indexes[id]; x != nil {
			x.finish()
		}
		if k := in.keys[id]; k != nil {
			k.finish()
		}
	}
}

func (x *index) finish() {
	columns := "(" + strings.Join(x.columns, ", ") + ")"
	if x.name == "PRIMARY" {
		x.table.Constraints = append(x.table.Constraints, &schema.Constraint{Name: "PRIMARY", Type: "primary key", Definition: "PRIMARY KEY " + columns + x.options, Comment: x.comment})
		return
	}
	definition := "INDEX " + columns + x.options
	if x.unique {
		definition = "UNIQUE " + definition
	}
	x.table.Indexes = append(x.table.Indexes, &schema.Index{Name: x.name, Definition: definition, Comment: x.comment})
}

func (k *foreignKey) finish() {
	definition := fmt.Sprintf("FOREIGN KEY (%s) REFERENCES %s (%s)%s", strings.Join(k.columns, ", "), k.to, strings.Join(k.into, ", "), k.rules)
	k.table.Constraints = append(k.table.Constraints, &schema.Constraint{Name: k.name, Type: "foreign key", Definition: definition})
}

// unqualified takes the database's own name out of a definition, which the servers put in.
func (in *inspection) unqualified(definition string) string {
	return strings.ReplaceAll(definition, quote(in.name)+".", "")
}

func property(name, value string) schema.Property { return schema.Property{Name: name, Value: value} }
