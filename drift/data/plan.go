package data

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// Plan is what two sides compare of a table.
type Plan struct {
	From, To Table    // the same columns in the same order
	Key      []string // empty: rows are compared as a multiset
	Notes    []string // what is left out, and what else the reader has to know
}

// NewPlan matches the columns of a table on two sides, whose model has it in a schema on each, and chooses
// the key. integer tells for both sides whether a column holds whole numbers only.
func NewPlan(schemaName string, from, to *schema.Table, integer func(column string) bool) Plan {
	p := Plan{From: Table{Schema: schemaName, Name: from.Name}, To: Table{Schema: schemaName, Name: to.Name}}
	var retyped []string
	for _, a := range from.Columns {
		b := to.Column(a.Name)
		if b == nil {
			continue
		}
		if a.Type != b.Type {
			retyped = append(retyped, fmt.Sprintf("%s (%s and %s)", a.Name, a.Type, b.Type))
		}
		column := Column{Name: a.Name, Type: a.Type, Alike: a.Type == b.Type, Recoded: charset(from, a) != charset(to, b), Nullable: !a.NotNull || !b.NotNull}
		p.From.Columns = append(p.From.Columns, column)
		column.Type = b.Type
		p.To.Columns = append(p.To.Columns, column)
	}
	p.note("columns of the first side only are left out: %s", missing(from, to))
	p.note("columns of the second side only are left out: %s", missing(to, from))
	p.note("columns whose types differ are compared as text: %s", retyped)
	p.Key = key(from, to)
	if p.Key == nil {
		p.Notes = append(p.Notes, "no key of columns that are never null is on both sides, so whole rows are counted: one that differs is a row of each side only")
	}
	p.place()
	if len(p.Key) == 1 && integer(p.Key[0]) {
		p.From.Integer, p.To.Integer = true, true
	}
	return p
}

// LeaveOut leaves columns out of the comparison for a reason, but for those of the key.
func (p *Plan) LeaveOut(leave func(column string) (reason string, out bool)) {
	var from, to []Column
	for i, c := range p.From.Columns {
		if !slices.Contains(p.Key, c.Name) {
			if reason, out := leave(c.Name); out {
				p.Notes = append(p.Notes, fmt.Sprintf("column %s is left out: %s", c.Name, reason))
				continue
			}
		}
		from, to = append(from, c), append(to, p.To.Columns[i])
	}
	p.From.Columns, p.To.Columns = from, to
	p.place()
}

// place finds the columns of the key.
func (p *Plan) place() {
	p.From.Key, p.To.Key = nil, nil
	for _, name := range p.Key {
		i := slices.IndexFunc(p.From.Columns, func(c Column) bool { return c.Name == name })
		p.From.Key, p.To.Key = append(p.From.Key, i), append(p.To.Key, i)
	}
}

// charset is the character set of a column, if it is a text, where it goes by its collation, which then begins
// with it; on other engines all texts of a database have the same.
func charset(t *schema.Table, c *schema.Column) string {
	collation := cmp.Or(c.Collation, schema.Value(t.Options, "collation"))
	set, _, _ := strings.Cut(collation, "_")
	return set
}

func (p *Plan) note(format string, names []string) {
	if len(names) > 0 {
		p.Notes = append(p.Notes, fmt.Sprintf(format, strings.Join(names, ", ")))
	}
}

func missing(in, from *schema.Table) []string {
	var names []string
	for _, c := range in.Columns {
		if from.Column(c.Name) == nil {
			names = append(names, c.Name)
		}
	}
	return names
}

// key chooses what rows are matched by: the primary key when both sides have the same one, else the first
// unique key of columns that are never null that both have.
func key(from, to *schema.Table) []string {
	others := keys(to)
	for _, k := range keys(from) {
		same := func(o []string) bool {
			return slices.Equal(slices.Sorted(slices.Values(o)), slices.Sorted(slices.Values(k)))
		}
		if slices.ContainsFunc(others, same) {
			return k
		}
	}
	return nil
}

func keys(t *schema.Table) [][]string {
	var primary, unique [][]string
	for _, c := range t.Constraints {
		switch {
		case c.Type == schema.PrimaryKey && len(c.Columns) > 0:
			primary = append(primary, c.Columns)
		case c.Type == schema.PrimaryKey && filled(t, listed(c.Definition)):
			primary = append(primary, listed(c.Definition))
		case c.Type == schema.Unique && filled(t, c.Columns):
			unique = append(unique, c.Columns)
		}
	}
	for _, i := range t.Indexes {
		if i.Unique && plain(i) && filled(t, i.Columns) {
			unique = append(unique, i.Columns)
		}
	}
	return append(primary, unique...)
}

// listed are the columns in the brackets of a definition, for a model whose inspector does not list them. A
// name that has to be read with more care than this is no column of the table, and so no key.
func listed(definition string) []string {
	_, list, _ := strings.Cut(definition, "(")
	list, _, _ = strings.Cut(list, ")")
	names := strings.Split(list, ",")
	for i := range names {
		names[i] = strings.Trim(strings.TrimSpace(names[i]), "`\"")
	}
	return names
}

// filled tells whether none of the columns is ever null.
func filled(t *schema.Table, columns []string) bool {
	return len(columns) > 0 && !slices.ContainsFunc(columns, func(name string) bool {
		c := t.Column(name)
		return c == nil || !c.NotNull
	})
}

// plain tells whether an index is one of whole columns and all rows. The model keeps only those of its
// parts that are columns, so the definition is asked for the rest: prefixes and expressions have brackets
// of their own, and each part but the last has a comma behind it.
func plain(i *schema.Index) bool {
	if strings.Contains(strings.ToUpper(i.Definition), " WHERE ") {
		return false
	}
	_, parts, ok := strings.Cut(i.Definition, "(")
	parts, _, closed := strings.Cut(parts, ")")
	return ok && closed && !strings.Contains(parts, "(") && strings.Count(parts, ",")+1 == len(i.Columns)
}
