package recipes

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// cell holds the values of a column, whatever the column is called: a rename or another type is another cell, kept in
// step by a link. What a cell says of values is what versions write to it, so that it suits all shapes there are.
type cell struct {
	kind  string // word, count, digits (a count as text), code (unique), ref (a row of parents)
	limit int    // letters that are written
	full  bool   // never NULL, so that NOT NULL may be asked for at any time
	big   bool   // counts beyond an int, once it has its name
	link  *link  // that fills it; nil for one that is there by itself
}

// link keeps cells of an old shape and a new one in step, as the rule of a recipe says it does.
type link struct {
	change   *chainChange
	old, new []*cell
	up, down func(in []any) []any
	initial  []any // of the new cells, where they have a default
	hidden   bool  // the new cells have their names from contract on
	once     bool  // up gives a first value only
}

// chainColumn is a column as a version of the application knows it.
type chainColumn struct {
	name     string
	cell     *cell
	typ      string
	width    int // of a text
	notNull  bool
	value    any    // its default
	constant string // its default as SQL
}

// chainKey is a constraint or an index.
type chainKey struct {
	name  string
	kind  string // check, unique, foreign, index, unique index
	cells []*cell
	id    bool // it begins with the column id
	check string
}

type chainTable struct {
	entity  *entity
	name    string
	idType  string
	columns []*chainColumn
	keys    []*chainKey
}

// chainVersion is the schema that a version of the application knows.
type chainVersion struct{ tables []*chainTable }

// entity is a table, whatever it is called, with the rows that are to be in it.
type entity struct {
	rows []*chainRow
}

type chainRow struct {
	id     int64
	gone   bool
	values map[*cell]any
	stale  map[*link]bool // rows that up has yet to fill
}

func (v *chainVersion) clone() *chainVersion {
	out := &chainVersion{}
	for _, t := range v.tables {
		c := *t
		c.columns, c.keys = nil, nil
		for _, x := range t.columns {
			also := *x
			c.columns = append(c.columns, &also)
		}
		for _, k := range t.keys {
			also := *k
			also.cells = slices.Clone(k.cells)
			c.keys = append(c.keys, &also)
		}
		out.tables = append(out.tables, &c)
	}
	return out
}

// column is the one of a cell.
func (v *chainVersion) column(c *cell) *chainColumn {
	for _, t := range v.tables {
		for _, x := range t.columns {
			if x.cell == c {
				return x
			}
		}
	}
	return nil
}

func (v *chainVersion) of(e *entity) *chainTable {
	i := slices.IndexFunc(v.tables, func(t *chainTable) bool { return t.entity == e })
	if i < 0 {
		return nil
	}
	return v.tables[i]
}

// on are the keys of some kinds on a cell.
func (t *chainTable) on(c *cell, kinds ...string) bool {
	return slices.ContainsFunc(t.keys, func(k *chainKey) bool { return slices.Contains(k.cells, c) && slices.Contains(kinds, k.kind) })
}

// drop takes a column away with what stands on it.
func (t *chainTable) drop(c *cell) {
	t.columns = slices.DeleteFunc(t.columns, func(x *chainColumn) bool { return x.cell == c })
	t.keys = slices.DeleteFunc(t.keys, func(k *chainKey) bool { return slices.Contains(k.cells, c) })
}

// succeed puts a column in the place of another, in keys too.
func (t *chainTable) succeed(old *cell, column *chainColumn) {
	for i, x := range t.columns {
		if x.cell == old {
			t.columns[i] = column
		}
	}
	for _, k := range t.keys {
		for i, c := range k.cells {
			if c == old {
				k.cells[i] = column.cell
			}
		}
	}
}

func (t *chainTable) names(k *chainKey) string {
	var list []string
	if k.id {
		list = append(list, "id")
	}
	for _, c := range k.cells {
		i := slices.IndexFunc(t.columns, func(x *chainColumn) bool { return x.cell == c })
		list = append(list, t.columns[i].name)
	}
	return strings.Join(list, ", ")
}

// definition is what stands behind a constraint's name, or the statement of an index.
func (t *chainTable) definition(k *chainKey, parents string) string {
	switch k.kind {
	case "check":
		return "CHECK (" + t.names(k) + k.check + ")"
	case "unique":
		return "UNIQUE (" + t.names(k) + ")"
	case "foreign":
		return "FOREIGN KEY (" + t.names(k) + ") REFERENCES " + parents + " (id)"
	case "unique index":
		return fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s)", k.name, t.name, t.names(k))
	}
	return fmt.Sprintf("CREATE INDEX %s ON %s (%s)", k.name, t.name, t.names(k))
}

func isIndex(k *chainKey) bool { return strings.HasSuffix(k.kind, "index") }

// script makes the schema of a version from nothing.
func (v *chainVersion) script(engine string) string {
	var b strings.Builder
	for i, t := range v.tables {
		lines := []string{"id " + t.idType + " NOT NULL"}
		for _, c := range t.columns {
			line := c.name + " " + c.typ
			if c.constant != "" {
				line += " DEFAULT " + c.constant
			}
			if c.notNull {
				line += " NOT NULL"
			}
			lines = append(lines, line)
		}
		lines = append(lines, fmt.Sprintf("CONSTRAINT key_%d PRIMARY KEY (id)", i))
		var later []string // that CREATE TABLE would leave out, where they are alike
		for _, k := range t.keys {
			if isIndex(k) {
				continue
			}
			key := "CONSTRAINT " + k.name + " " + t.definition(k, v.tables[0].name)
			if engine == "postgres" {
				later = append(later, fmt.Sprintf("ALTER TABLE %s ADD %s;\n", t.name, key))
			} else {
				lines = append(lines, key)
			}
		}
		fmt.Fprintf(&b, "CREATE TABLE %s (%s);\n%s", t.name, strings.Join(lines, ", "), strings.Join(later, ""))
		for _, k := range t.keys {
			if isIndex(k) {
				b.WriteString(t.definition(k, "") + ";\n")
			}
		}
	}
	return b.String()
}

var chainWords = []string{"Ada", "", "O'Hara \\ \"x\"", "Łódź", "name of many words", "a  b", "NULL", "0", "a text of more than forty letters, none of them odd", "日本語"}

var chainCounts = []int{0, 1, -1, 7, 32768, 2147483000, -2147483000}

// valueOf is something to write to a column that has this cell now.
func valueOf(r *rand.Rand, c *cell, limit int, serial func() int) any {
	switch c.kind {
	case "word":
		return cut(min(limit, c.limit))(chainWords[r.IntN(len(chainWords))])
	case "code":
		return fmt.Sprintf("no %d", serial())
	case "ref":
		return strconv.Itoa(1 + r.IntN(3))
	case "digits":
		if r.IntN(4) == 0 {
			return "twelve"
		}
	case "count":
		if c.big && r.IntN(4) == 0 {
			return "3000000000"
		}
	}
	return strconv.Itoa(chainCounts[r.IntN(len(chainCounts))])
}
