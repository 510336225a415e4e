package recipes

import (
	"maps"
	"slices"
)

// values are the columns of a row: the text of each, or nil for NULL.
type values map[string]any

// shape is how a version of the application knows its table. The key is always the column id.
type shape struct {
	table   string
	columns []column
	aside   aside
}

// column is a column that a version of the application writes and reads.
type column struct {
	name     string
	values   func(n int) any  // what it writes; n is another one each time
	late     func(n int) any  // what only the new type can hold: written once the old one is in the attic
	initial  any              // what a row gets that is written without it
	required bool             // no row is written without it
	unique   bool             // no two rows are written with the same
	call     string           // the expression around the parameter that it is written by
	made     func(values) any // what the expression, or a trigger, makes of a row that is written; without call no version writes the column
}

func (s shape) column(name string) *column {
	i := slices.IndexFunc(s.columns, func(c column) bool { return c.name == name })
	if i < 0 {
		return nil
	}
	return &s.columns[i]
}

func (s shape) names() []string {
	names := make([]string, len(s.columns))
	for i, c := range s.columns {
		names[i] = c.name
	}
	return names
}

// relation says what columns of both shapes have to do with each other. Columns of the same name that are in
// no relation are the same; others are known to one shape only.
type relation struct {
	old, new []string
	up       func(old values) values // what the new columns are, from the whole old row
	down     func(new values) values // and back; nil where the old columns do not follow
	hidden   bool                    // the new column is known only once it has the old one's name
	once     bool                    // up gives a first value only
}

// side is a version of the application.
type side int

const (
	blue side = iota
	green
)

func (s side) String() string { return []string{"blue", "green"}[s] }

// same tells whether two rows agree in some columns.
func same(a, b values, columns []string) bool {
	return !slices.ContainsFunc(columns, func(c string) bool { return a[c] != b[c] })
}

// set copies columns.
func (v values) set(from values, columns []string) {
	for _, c := range columns {
		v[c] = from[c]
	}
}

func (v values) clone() values { return maps.Clone(v) }

// cycle writes some texts in turn; nil among them is NULL.
func cycle(texts ...any) func(int) any {
	return func(n int) any { return texts[n%len(texts)] }
}
