package proof

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// filler makes up rows. What a check, a trigger or a type refuses is tried with other values, and left out in the end:
// the engine alone knows what it takes.
type filler struct {
	db       Database
	model    *schema.Database
	next     int // a number that no row has yet
	total    int
	refused  error // why the last row was refused
	unfilled []unfilled
	worked   func(table string) bool // whether a change works on it
}

// unfilled is a table that took no row.
type unfilled struct {
	table, shown string // its name, and how people write it
	err          error  // what the engine said to the last try
}

func newFiller(db Database, model *schema.Database) *filler {
	return &filler{db: db, model: model, worked: func(string) bool { return true }}
}

// place is a table with the schema it is in.
type place struct {
	in string
	*schema.Table
}

// amount is how many rows a table gets.
type amount int

// A table gets none, one of the plainest values, or one more for each other value of each column.
const (
	noRows amount = iota
	plainRows
	allRows
)

// String says it to people.
func (a amount) String() string {
	return [...]string{"empty tables", "one plain row in a table", "rows of every kind"}[a]
}

// touched tells whether a change works on a table, or on one that it points to, whose rows take some of its own along. Any
// other gets a plain row.
func (f *filler) touched(t place) bool {
	return f.worked(t.Name) || slices.ContainsFunc(t.Constraints, func(k *schema.Constraint) bool {
		return k.References != nil && f.worked(k.References.Table)
	})
}

// fill fills the tables that have fewer rows than that, those that others point to first.
func (f *filler) fill(ctx context.Context, wanted amount) error {
	f.unfilled = nil
	order := f.inOrder()
	counts, err := countRows(ctx, f.db, order)
	if err != nil {
		return err
	}
	begun := f.next
	for i, t := range order {
		wanted := wanted
		if wanted == allRows && !f.touched(t) {
			wanted = plainRows
		}
		n := counts[i]
		if f.next != begun { // a trigger of a table that was filled may have filled this one
			if n, err = f.count(ctx, t); err != nil {
				return err
			}
		}
		if n == 0 || n == 1 && wanted == allRows {
			made, err := f.table(ctx, t, wanted)
			if err != nil {
				return err
			}
			n += made
		}
		if f.total += n; n == 0 {
			f.unfilled = append(f.unfilled, unfilled{t.Name, tableName(f.db, t.in, t.Name), f.refused})
		}
	}
	return nil
}

func (f *filler) count(ctx context.Context, t place) (n int, err error) {
	err = f.db.DB().QueryRowContext(ctx, "SELECT count(*) FROM "+f.db.Dialect().QuoteTable(t.in, t.Name)).Scan(&n)
	return n, err
}

// inOrder returns the tables that can be filled, each behind those that its foreign keys point to. Where they point
// in a circle, it begins somewhere.
func (f *filler) inOrder() []place {
	var all, ordered []place
	for _, in := range f.model.Schemas {
		for _, t := range in.Tables {
			if schema.Value(t.Options, "foreign") == "" && schema.Value(t.Options, "partition of") == "" {
				all = append(all, place{in.Name, t})
			}
		}
	}
	placed := map[string]bool{}
	for len(all) > 0 {
		at := slices.IndexFunc(all, func(t place) bool {
			return !slices.ContainsFunc(t.Constraints, func(k *schema.Constraint) bool {
				if k.References == nil {
					return false
				}
				to := target(t, k)
				return to != t.in+"."+t.Name && !placed[to] && slices.ContainsFunc(all, func(o place) bool { return o.in+"."+o.Name == to })
			})
		})
		at = max(at, 0)
		placed[all[at].in+"."+all[at].Name] = true
		ordered = append(ordered, all[at])
		all = slices.Delete(all, at, at+1)
	}
	return ordered
}

// target is the table that a foreign key points to.
func target(t place, k *schema.Constraint) string {
	in := k.References.Schema
	if in == "" {
		in = t.in
	}
	return in + "." + k.References.Table
}

// mostTries bounds how often an insert is tried to find values that a table takes.
const mostTries = 80

// table fills a table: a row that it takes, then, where all are wanted, one more for each other value of each column.
func (f *filler) table(ctx context.Context, t place, wanted amount) (made int, err error) {
	row, ok, err := f.firstRow(ctx, t)
	if err != nil || !ok {
		return 0, err
	}
	made = 1
	if wanted == plainRows {
		return made, nil
	}
	for i := range row {
		for choice := range row[i].values {
			if choice == row[i].choice {
				continue
			}
			ok, err := f.insert(ctx, t, row, i, choice)
			if err != nil {
				return made, err
			}
			if ok {
				made++
			}
		}
	}
	return made, nil
}

// firstRow inserts a row that the table takes, and returns the values that it took.
func (f *filler) firstRow(ctx context.Context, t place) (row []*column, ok bool, err error) {
	row = f.columns(t)
	if len(row) == 0 {
		return nil, false, nil
	}
	if ok, err = f.insert(ctx, t, row, -1, 0); ok || err != nil {
		return row, ok, err
	}
	for _, c := range row { // what need not be given is no trouble
		if c.optional() {
			c.choice = c.index("NULL")
		}
	}
	if ok, err = f.insert(ctx, t, row, -1, 0); ok || err != nil {
		return row, ok, err
	}
	tries := 1
	for _, free := range []bool{false, true} { // a check may want one of those that need not be given
		for i, c := range row {
			if c.optional() != free {
				continue
			}
			for choice := range c.values {
				if tries++; tries > mostTries {
					return row, false, nil
				}
				if ok, err = f.insert(ctx, t, row, i, choice); ok || err != nil {
					if ok {
						c.choice = choice
					}
					return row, ok, err
				}
			}
		}
	}
	return row, false, nil
}

// insert inserts a row; in it, the ith column has another of its values. ok says that the engine took it.
func (f *filler) insert(ctx context.Context, t place, row []*column, i, choice int) (ok bool, err error) {
	text := f.statement(t, row, i, choice)
	if _, err := f.db.DB().ExecContext(ctx, text); err != nil {
		f.refused = err
		return false, ctx.Err()
	}
	return true, nil
}

// statement is an INSERT with the values that were chosen, and fresh ones where they have to differ from all others.
func (f *filler) statement(t place, row []*column, i, choice int) string {
	d := f.db.Dialect()
	f.next++
	var names, values []string
	for at, c := range row {
		chosen := c.choice
		if at == i {
			chosen = choice
		}
		value := c.values[chosen]
		if value == omitted {
			continue
		}
		names = append(names, d.Quote(c.Name))
		values = append(values, numbered(value, f.next))
	}
	if len(names) == 0 {
		if d.Engine == migrate.MySQL || d.Engine == migrate.MariaDB {
			return "INSERT INTO " + d.QuoteTable(t.in, t.Name) + " () VALUES ()"
		}
		return "INSERT INTO " + d.QuoteTable(t.in, t.Name) + " DEFAULT VALUES"
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", d.QuoteTable(t.in, t.Name), strings.Join(names, ", "), strings.Join(values, ", "))
}
