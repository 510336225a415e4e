// Package graph draws tables and the foreign keys between them.
//
//	schema.Database ──New──▶ Graph ──▶ Mermaid text
//	                           └─layout─▶ SVG
//
// All names are text from elsewhere: what a format would read as more than a name is escaped.
package graph

import (
	"slices"

	"github.com/switchbackdb/switchback/schema"
)

// Graph is what is drawn.
type Graph struct {
	Tables []*Table
	Keys   []Key
}

// Table is a table with its columns.
type Table struct {
	Name    string // with its schema, where there is more than one
	Columns []Column
}

// Column is a column as it is drawn.
type Column struct {
	Name, Type       string
	Primary, Foreign bool
	NotNull          bool
}

// Key is a foreign key.
type Key struct {
	Name     string
	From, To int   // tables
	Columns  []int // of From
	Optional bool  // a row of From need not have one
	One      bool  // no two rows of From may have the same
}

// New picks tables and keys out of a schema. Keys to tables that are not in it are left out.
func New(d *schema.Database) *Graph {
	g := &Graph{}
	type id struct{ schema, table string }
	at := map[id]int{}
	for _, s := range d.Schemas {
		for _, t := range s.Tables {
			name := t.Name
			if len(d.Schemas) > 1 {
				name = s.Name + "." + t.Name
			}
			at[id{s.Name, t.Name}] = len(g.Tables)
			g.Tables = append(g.Tables, newTable(name, t))
		}
	}
	for _, s := range d.Schemas {
		for _, t := range s.Tables {
			for _, c := range t.Constraints {
				r := referenceOf(c)
				if r == nil {
					continue
				}
				target := r.Schema
				if target == "" {
					target = s.Name
				}
				if to, ok := at[id{target, r.Table}]; ok {
					g.Keys = append(g.Keys, newKey(t, c, at[id{s.Name, t.Name}], to))
				}
			}
		}
	}
	return g
}

func newTable(name string, t *schema.Table) *Table {
	out := &Table{Name: name}
	for _, c := range t.Columns {
		column := Column{Name: c.Name, Type: c.Type, NotNull: c.NotNull}
		for _, k := range t.Constraints {
			if slices.Contains(columnsOf(k), c.Name) {
				column.Primary = column.Primary || k.Type == schema.PrimaryKey
				column.Foreign = column.Foreign || k.Type == schema.ForeignKey
			}
		}
		out.Columns = append(out.Columns, column)
	}
	return out
}

func newKey(t *schema.Table, c *schema.Constraint, from, to int) Key {
	k := Key{Name: c.Name, From: from, To: to}
	if c.Unnamed {
		k.Name = ""
	}
	for i, column := range t.Columns {
		if slices.Contains(columnsOf(c), column.Name) {
			k.Columns = append(k.Columns, i)
			k.Optional = k.Optional || !column.NotNull && !primary(t, column.Name)
		}
	}
	for _, u := range t.Constraints {
		k.One = k.One || (u.Type == schema.PrimaryKey || u.Type == schema.Unique) && sameSet(columnsOf(u), columnsOf(c))
	}
	for _, i := range t.Indexes {
		k.One = k.One || i.Unique && sameSet(i.Columns, columnsOf(c))
	}
	return k
}

func primary(t *schema.Table, column string) bool {
	return slices.ContainsFunc(t.Constraints, func(c *schema.Constraint) bool {
		return c.Type == schema.PrimaryKey && slices.Contains(columnsOf(c), column)
	})
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return len(a) > 0 && slices.Equal(a, b)
}
