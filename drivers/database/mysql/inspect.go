package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/go-sql-driver/mysql"

	"github.com/switchbackdb/switchback/schema"
)

// readings is how often a catalogue is read that keeps changing meanwhile.
const readings = 4

// Inspect reads the catalogue into the model. These servers give no snapshot of it, so a checksum of it is
// taken before and after, and it is read again when that moved; after some times it is an error.
func (d *Database) Inspect(ctx context.Context) (*schema.Database, error) {
	return d.inspectStable(ctx, false)
}

// inspectStable is Inspect, with or without our own tables.
func (d *Database) inspectStable(ctx context.Context, ours bool) (*schema.Database, error) {
	for range readings {
		before, err := d.stamp(ctx)
		if err != nil {
			return nil, err
		}
		model, err := inspect(ctx, d.reader, ours)
		if err != nil {
			return nil, err
		}
		after, err := d.stamp(ctx)
		if err != nil {
			return nil, err
		}
		if before == after {
			return model, nil
		}
	}
	return nil, fmt.Errorf("read the catalogue of %s: it was changed while it was read, %d times in a row; try again when nothing alters the database", d.name, readings)
}

// stamp is a checksum of the database's structure that the server computes.
func (d *Database) stamp(ctx context.Context) (string, error) {
	var parts []part
	sums := make([]string, len(stamped))
	for i, s := range stamped {
		parts = append(parts, part{
			name:  "checksum",
			query: fmt.Sprintf("SELECT '', concat(count(*), '/', coalesce(sum(crc32(concat_ws('|', %s))), 0)) FROM information_schema.%s WHERE %s = DATABASE()", s.columns, s.table, s.schema),
			row:   func(r []string) { sums[i] = r[1] },
		})
	}
	err := readAll(ctx, d.reader, parts)
	return strings.Join(sums, " "), err
}

// stamped is what a checksum of the catalogue is made of.
var stamped = []struct{ table, schema, columns string }{
	{"columns", "table_schema", "table_name, column_name, ordinal_position, column_type, is_nullable, column_default, extra, collation_name, column_comment"},
	{"statistics", "table_schema", "table_name, index_name, seq_in_index, column_name, non_unique, index_type"},
	{"tables", "table_schema", "table_name, table_type, create_time, table_collation, create_options, table_comment"},
	{"check_constraints", "constraint_schema", "constraint_name, check_clause"},
	{"referential_constraints", "constraint_schema", "constraint_name, table_name, update_rule, delete_rule"},
	{"routines", "routine_schema", "routine_name, last_altered"},
	{"triggers", "trigger_schema", "trigger_name, created"},
	{"events", "event_schema", "event_name, last_altered"},
	{"views", "table_schema", "table_name, view_definition, definer"},
}

// Inspect reads the catalogue of the current database into the model, as q sees it, with a fixed number of
// queries, however many tables there are, and one more for the statements of what information_schema does
// not tell all of: tables with partitions, full-text indexes, periods or another engine than InnoDB, views
// of MySQL, sequences, and programs with a literal in them, whose quotes and backslashes it spoils. Where the connection takes no more than one statement at a time, as all but those of
// Database.Inspect, these are asked for one by one.
//
// A database of these servers has no schemas in it, so there is one, "main": two databases compare
// whatever their names. The owner of a view, routine, trigger or event is its definer; it is empty when that
// is the account that reads the catalogue, so that environments whose objects were made by the
// account of their own compare as equal. The next value of AUTO_INCREMENT is data and no part of the model.
func Inspect(ctx context.Context, q schema.Queryer) (*schema.Database, error) {
	return inspect(ctx, q, false)
}

// inspect is Inspect, with or without our own tables.
func inspect(ctx context.Context, q schema.Queryer, ours bool) (*schema.Database, error) {
	in := &inspection{
		schema: &schema.Schema{Name: "main"},
		tables: map[string]*schema.Table{}, indexes: map[string]*index{}, keys: map[string]*foreignKey{}, rules: map[string]string{}, routines: map[string]*routine{},
		special: map[string]bool{}, views: map[string]*schema.View{}, hidden: map[schema.Kind][]string{},
	}
	if err := in.readServer(ctx, q); err != nil {
		return nil, err
	}
	parts := in.parts()
	for i := range parts {
		parts[i].ours = ours
	}
	if err := readAll(ctx, q, parts); err != nil {
		return nil, err
	}
	in.finish()
	if err := in.readShown(ctx, q); err != nil {
		return nil, err
	}
	in.finishRoutines()
	if err := in.readRights(ctx, q); err != nil {
		return nil, err
	}
	engine := "mysql"
	if in.mariadb {
		engine = "mariadb"
	}
	return &schema.Database{Engine: engine, Version: in.version, Settings: in.settings, Schemas: []*schema.Schema{in.schema}, Uncovered: in.uncovered}, nil
}

// inspection is a catalogue being read.
type inspection struct {
	name      string // of the database
	collation string // of the database
	account   string // that reads
	version   string
	mariadb   bool
	settings  []*schema.Setting
	schema    *schema.Schema
	tables    map[string]*schema.Table
	views     map[string]*schema.View
	indexes   map[string]*index
	keys      map[string]*foreignKey
	rules     map[string]string // of foreign keys, by the same name
	routines  map[string]*routine
	order     []string        // of the indexes' and keys' names, as they were read
	special   map[string]bool // tables of which the statement has to be read
	shown     []shown         // what else has to be read of programs
	hidden    map[schema.Kind][]string
	uncovered []schema.Census
}

func (in *inspection) readServer(ctx context.Context, q schema.Queryer) error {
	var all string
	const query = `SELECT concat_ws('\n', DATABASE(), CURRENT_USER(), VERSION(), s.default_collation_name, %s) FROM information_schema.schemata s WHERE s.schema_name = DATABASE()`
	if err := queryRow(ctx, q, &all, "SELECT VERSION()"); err != nil {
		return fmt.Errorf("ask for the server's version: %w", err)
	}
	in.mariadb = strings.Contains(strings.ToLower(all), "mariadb")
	last := "s.default_encryption"
	if in.mariadb {
		last = "s.schema_comment"
	}
	if err := queryRow(ctx, q, &all, fmt.Sprintf(query, last)); err != nil {
		return fmt.Errorf("read the settings of the database: %w", err)
	}
	r := strings.SplitN(all, "\n", 5)
	in.name, in.account, in.version, in.collation = r[0], r[1], r[2], r[3]
	in.settings = append(in.settings, &schema.Setting{Name: "collation", Value: r[3]})
	switch {
	case in.mariadb:
		in.schema.Comment = r[4]
	case r[4] == "YES":
		in.settings = append(in.settings, &schema.Setting{Name: "encryption", Value: "Y"})
	}
	return nil
}

// part is one query and what becomes of each of its rows. NULL is "".
type part struct {
	name  string
	query string
	row   func(r []string)
	ours  bool // rows about our own tables are taken too
}

// readAll reads parts. These servers give no moment that all of them could be of, so a pool's connections read at
// once, as many as it keeps; the rows are taken in in the order of the parts.
func readAll(ctx context.Context, q schema.Queryer, parts []part) error {
	const connections = 2
	if _, pool := q.(*sql.DB); !pool {
		for _, p := range parts {
			if err := read(ctx, q, p); err != nil {
				return err
			}
		}
		return nil
	}
	rows, failed := make([][][]string, len(parts)), make([]error, len(parts))
	free := make(chan struct{}, connections)
	var readers sync.WaitGroup
	for i, p := range parts {
		free <- struct{}{}
		readers.Go(func() {
			defer func() { <-free }()
			failed[i] = read(ctx, q, part{name: p.name, query: p.query, ours: p.ours, row: func(r []string) { rows[i] = append(rows[i], r) }})
		})
	}
	readers.Wait()
	for i, p := range parts {
		if failed[i] != nil {
			return failed[i]
		}
		for _, r := range rows[i] {
			p.row(r)
		}
	}
	return nil
}

func read(ctx context.Context, q schema.Queryer, p part) error {
	rows, err := q.QueryContext(ctx, p.query)
	if err != nil {
		return fmt.Errorf("read the %s of the catalogue: %w", p.name, err)
	}
	defer rows.Close()
	err = each(rows, func(r []string) {
		// The first column is the table, the view or what else the row is of.
		if p.ours || !strings.HasPrefix(r[0], "switchback_") {
			p.row(r)
		}
	})
	if err != nil {
		return fmt.Errorf("read the %s of the catalogue: %w", p.name, err)
	}
	return nil
}

// each calls row for every row of a result.
func each(rows *sql.Rows, row func(r []string)) error {
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		r := make([]string, len(values))
		for i, v := range values {
			r[i] = v.String
		}
		row(r)
	}
	return rows.Err()
}

// show runs SHOW statements, in as few round trips as the connection allows, and calls row for the row of
// each.
func show(ctx context.Context, q schema.Queryer, statements []string, row func(i int, r []string)) error {
	for first := 0; first < len(statements); {
		last := min(first+500, len(statements))
		err := showTogether(ctx, q, statements[first:last], func(i int, r []string) { row(first+i, r) })
		var refused *mysql.MySQLError
		if err != nil && last-first > 1 && errors.As(err, &refused) && refused.Number == 1064 {
			for i := first; i < last; i++ {
				if err := showTogether(ctx, q, statements[i:i+1], func(_ int, r []string) { row(i, r) }); err != nil {
					return err
				}
			}
			err = nil
		}
		if err != nil {
			return err
		}
		first = last
	}
	return nil
}

func showTogether(ctx context.Context, q schema.Queryer, statements []string, row func(i int, r []string)) error {
	rows, err := q.QueryContext(ctx, strings.Join(statements, ";\n"))
	if err != nil {
		return err
	}
	defer rows.Close()
	for i := 0; ; i++ {
		if err := each(rows, func(r []string) { row(i, r) }); err != nil {
			return err
		}
		if !rows.NextResultSet() {
			return rows.Err()
		}
	}
}

func property(name, value string) schema.Property { return schema.Property{Name: name, Value: value} }

// owner is the definer, unless it is the account that reads.
func (in *inspection) owner(definer string) string {
	if definer == in.account {
		return ""
	}
	return definer
}
