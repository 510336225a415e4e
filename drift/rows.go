package drift

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drift/data"
	"github.com/switchbackdb/switchback/schema"
)

// compareData compares the rows of the named tables, in one snapshot of each side. Tables whose rows differ
// as a rule allows are left out.
func compareData(ctx context.Context, from, to Side, a, b *schema.Database, v *verdict, o Options) (_ []diff.TableData, err error) {
	if len(o.Tables) == 0 {
		return nil, nil
	}
	if a.Engine != b.Engine {
		return nil, fmt.Errorf("compare rows: %s is %s and %s is %s: rows are compared within one engine", from.Name, a.Engine, to.Name, b.Engine)
	}
	var sides [2]data.Side
	for i, s := range []Side{from, to} {
		if sides[i], err = s.Database.RowReader(ctx); err != nil {
			return nil, fmt.Errorf("read rows of %s: %w", s.Name, err)
		}
		defer func() { err = errors.Join(err, sides[i].Close()) }()
	}
	var out []diff.TableData
	for _, name := range o.Tables {
		t, namespace, err := compareTable(ctx, name, from, to, a, b, sides, v, o)
		if err != nil {
			return nil, fmt.Errorf("compare the rows of %s: %w", name, err)
		}
		if t.Same() || !v.rows(name, namespace, strings.TrimPrefix(name, namespace+".")) {
			out = append(out, t)
		}
	}
	return out, nil
}

// compareTable compares the rows of one table, and returns the schema that it is in. A table that only one
// side has is a difference of the schema, so there is only a note.
func compareTable(ctx context.Context, name string, from, to Side, a, b *schema.Database, sides [2]data.Side, v *verdict, o Options) (out diff.TableData, namespace string, err error) {
	out.Table = name
	namespace, t, err := find(a, name)
	other, u, uerr := find(b, name)
	switch {
	case err != nil || uerr != nil:
		return out, "", errors.Join(err, uerr)
	case t == nil && u == nil:
		return out, "", fmt.Errorf("there is no such table in %s and %s", from.Name, to.Name)
	case t == nil || u == nil:
		out.Note = "only " + map[bool]string{true: from.Name, false: to.Name}[u == nil] + " has the table"
		return out, namespace, nil
	}
	integer := func(column string) bool { return sides[0].Integer(t, column) && sides[1].Integer(u, column) }
	p := data.NewPlan(namespace, t, u, integer)
	p.To.Schema = other
	p.LeaveOut(func(column string) (reason string, out bool) { return v.column(namespace, t.Name, column) })
	d, err := data.Compare(ctx, sides[0], sides[1], p, data.Options{Sample: o.Rows})
	if err != nil {
		return out, namespace, err
	}
	out.Key, out.Note = p.Key, strings.Join(p.Notes, "; ")
	out.RowsFrom, out.RowsTo, out.OnlyFrom, out.OnlyTo, out.Different = d.RowsFrom, d.RowsTo, d.OnlyFrom, d.OnlyTo, d.Differed
	for _, row := range d.Sample {
		out.Sample = append(out.Sample, shown(p, row, masked(o.Mask, namespace, t.Name)))
	}
	return out, namespace, nil
}

// find looks a table up by NAME or SCHEMA.NAME. A name may have dots in it.
func find(d *schema.Database, name string) (namespace string, found *schema.Table, err error) {
	var in []string
	for _, s := range d.Schemas {
		for _, t := range s.Tables {
			if t.Name == name || s.Name+"."+t.Name == name {
				in, namespace, found = append(in, s.Name), s.Name, t
			}
		}
	}
	if len(in) > 1 {
		return "", nil, fmt.Errorf("there is a table of that name in the schemas %s: name one as %s.%s", strings.Join(in, ", "), in[0], name)
	}
	return namespace, found, nil
}

// masked tells whether the values of a column are not to be shown.
func masked(mask []string, namespace, table string) func(column string) bool {
	return func(column string) bool {
		return slices.Contains(mask, table+"."+column) || slices.Contains(mask, namespace+"."+table+"."+column)
	}
}

const (
	hidden    = "•••" // stands for a value that is masked
	null      = "NULL"
	longValue = 200 // characters of a value that are shown
)

// shown is a differing row as the report has it.
func shown(p data.Plan, row data.RowDifference, masked func(string) bool) diff.RowDifference {
	out := diff.RowDifference{Action: diff.Modify}
	key := row.From
	switch {
	case row.From == nil:
		out.Action, key = diff.Add, row.To
	case row.To == nil:
		out.Action = diff.Drop
	}
	for _, i := range p.From.Key {
		out.Key = append(out.Key, value(key, i, masked(p.From.Columns[i].Name)))
	}
	for i, c := range p.From.Columns {
		if slices.Contains(p.From.Key, i) || row.From != nil && row.To != nil && row.From[i] == row.To[i] {
			continue
		}
		hide := masked(c.Name)
		out.Values = append(out.Values, diff.PropertyChange{Name: c.Name, From: value(row.From, i, hide), To: value(row.To, i, hide)})
	}
	return out
}

func value(row []sql.NullString, i int, hide bool) string {
	switch {
	case row == nil:
		return ""
	case hide:
		return hidden
	case !row[i].Valid:
		return null
	case row[i].String == "" || row[i].String == null:
		return "'" + row[i].String + "'"
	}
	if text := []rune(row[i].String); len(text) > longValue {
		return string(text[:longValue]) + "…"
	}
	return row[i].String
}
