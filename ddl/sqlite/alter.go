package sqlite

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/internal/sqliteddl"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// alteration turns a table into another.
type alteration struct {
	from, to       *schema.Table
	change         diff.Change
	rebuild        bool
	why            string             // of a rebuild: what SQLite cannot do in place
	added          []sqliteddl.Column // in place
	dropped        []string           // in place
	addsForeignKey bool
}

// decide finds out whether the table can be altered in place, by the rules of
// https://www.sqlite.org/lang_altertable.html.
func (a *alteration) decide() error {
	if a.to.Source == "" {
		return fmt.Errorf("table %s: %w", a.to.Name, errNoSource)
	}
	if a.rebuild {
		return nil
	}
	after, before := sqliteddl.ParseTable(a.to.Name, a.to.Source), sqliteddl.ParseTable(a.from.Name, a.from.Source)
	inAdded, inDropped := map[string]bool{}, map[string]bool{}
	for _, c := range a.change.Children {
		if c.Kind != schema.KindColumn {
			continue
		}
		switch c.Action {
		case diff.Modify:
			a.mustRebuild("column " + c.Name + " is another")
		case diff.Add:
			a.add(after, c.Name, inAdded)
		case diff.Drop:
			a.drop(before, c.Name, inDropped)
		}
	}
	for _, c := range a.change.Children {
		if c.Kind != schema.KindConstraint {
			continue
		}
		inline := c.Action == diff.Add && inAdded[c.Name] || c.Action == diff.Drop && inDropped[c.Name]
		if !inline {
			a.mustRebuild("constraint " + c.Name + " is new, gone or another")
		}
	}
	for _, q := range a.change.Properties {
		if q.Name != "column order" || !a.sameOrder() {
			a.mustRebuild("its " + q.Name + " is another")
		}
	}
	if !a.rebuild {
		a.checkUses(inDropped)
	}
	if a.rebuild {
		a.added, a.dropped = nil, nil
	}
	return nil
}

func (a *alteration) mustRebuild(why string) {
	if !a.rebuild {
		a.rebuild, a.why = true, why
	}
}

// add notes a column to be added, with the constraints that may come along.
func (a *alteration) add(s *sqliteddl.Statement, name string, inline map[string]bool) {
	i := slices.IndexFunc(s.Columns, func(c sqliteddl.Column) bool { return c.Name == name })
	if i < 0 {
		a.mustRebuild("column " + name + " is new")
		return
	}
	c := s.Columns[i]
	switch {
	case strings.HasSuffix(c.Generated, " stored"):
		a.mustRebuild("column " + name + " is new and stored")
	case !constant(c.Default):
		a.mustRebuild("column " + name + " is new and its default is no constant")
	case indexFold(a.from.Columns, name) >= 0:
		a.mustRebuild("the name of column " + name + " is written in another case")
	}
	for _, n := range c.Constraints {
		constraint := s.Table.Constraint(n)
		switch constraint.Type {
		case schema.ForeignKey:
			a.addsForeignKey = true
			inline[n] = true
		case schema.Check:
			inline[n] = true
		}
	}
	a.added = append(a.added, c)
}

// drop notes a column to be dropped, with the constraints that go along.
func (a *alteration) drop(s *sqliteddl.Statement, name string, inline map[string]bool) {
	i := slices.IndexFunc(s.Columns, func(c sqliteddl.Column) bool { return c.Name == name })
	if i < 0 {
		a.mustRebuild("column " + name + " is gone")
		return
	}
	for _, n := range s.Columns[i].Constraints {
		if s.Table.Constraint(n).Type == schema.Check {
			inline[n] = true
		}
	}
	a.dropped = append(a.dropped, name)
}

// checkUses demands a rebuild where a column to be dropped is still named by something that SQLite
// refuses to lose.
func (a *alteration) checkUses(inDropped map[string]bool) {
	for _, name := range a.dropped {
		gone := map[string]bool{strings.ToLower(name): true}
		used := func(what, text string) {
			if names(text, gone) {
				a.mustRebuild("column " + name + " is used by " + what)
			}
		}
		for _, c := range a.from.Constraints {
			if !inDropped[c.Name] {
				used("constraint "+c.Name, c.Definition)
			}
		}
		for _, c := range a.from.Columns {
			used("column "+c.Name, c.Generated)
		}
		for _, x := range a.to.Indexes {
			used("index "+x.Name, x.Definition)
		}
	}
}

// sameOrder tells whether the columns are in the order of the second table once the table is altered in
// place: new ones stand at the end.
func (a *alteration) sameOrder() bool {
	var have, want []string
	for _, c := range a.from.Columns {
		if !slices.Contains(a.dropped, c.Name) {
			have = append(have, c.Name)
		}
	}
	for _, c := range a.added {
		have = append(have, c.Name)
	}
	for _, c := range a.to.Columns {
		want = append(want, c.Name)
	}
	return slices.Equal(have, want)
}

// constant tells whether a default is one that ADD COLUMN takes: a literal, with or without a sign.
func constant(expression string) bool {
	list := sqltoken.Split(expression, sqltoken.Of("sqlite"))
	if len(list) > 0 && (list[0].IsSign("-") || list[0].IsSign("+")) {
		list = list[1:]
	}
	return len(list) == 0 || len(list) == 1 && !strings.HasPrefix(strings.ToUpper(list[0].Name), "CURRENT_")
}

// write alters the table in place.
func (a *alteration) write(w *statements) {
	table := sqliteddl.Quote(a.to.Name)
	for _, c := range a.added {
		why := "Rows that are there get the default; none is rewritten."
		if c.Generated != "" {
			why = "It is computed whenever it is read; no row is rewritten."
		} else if c.NotNull && (c.Default == "" || strings.EqualFold(c.Default, "null")) {
			why = "The column is NOT NULL and has no default: this fails, and nothing is changed, if the table has rows. Give it a default, or fill it first."
		}
		w.add("ALTER TABLE "+table+" ADD COLUMN "+closed(c.Text), why)
	}
	for _, name := range a.dropped {
		w.destroy("ALTER TABLE "+table+" DROP COLUMN "+sqliteddl.Quote(name), "The values of column "+name+" of "+a.to.Name+" are lost.")
	}
}
