package recipe

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqliteddl"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// rebuilder is an engine that writes a table anew for most changes, and keeps each object as the statement
// that made it. There, the steps of a phase that follow each other become one: a table is written anew once.
// A script is one transaction, so what is better not done by itself, statement by statement, waits for
// contract.
type rebuilder interface {
	// settle brings the statements of what was edited up to what the model says.
	settle(e *edit)
	// constant writes a default as an expression.
	constant(text string) string
}

func (p *planner) rebuilds() bool {
	_, ok := p.engine.(rebuilder)
	return ok
}

func (g *sqlite) settle(e *edit) {
	for _, t := range e.tables {
		settleTable(t)
	}
	for _, s := range e.schemas {
		for i, v := range s.Views {
			if v.Source == "" {
				s.Views[i] = settledView(v, "CREATE VIEW "+sqliteddl.Quote(v.Name)+" AS "+v.Definition)
			}
		}
	}
}

// settleTable rewrites the statement of a table, and takes over what SQLite will read in it.
func settleTable(t *schema.Table) {
	if schema.Value(t.Options, "virtual") != "" {
		return
	}
	t.Source = sqliteddl.Rewrite(t)
	said := sqliteddl.ParseTable(t.Name, t.Source).Table
	t.Columns, t.Constraints = said.Columns, said.Constraints
	if len(t.Options) == 0 {
		t.Options = said.Options
	}
	for i, x := range t.Indexes {
		if x.Source == "" || sqliteddl.Index(x.Name, x.Source).Definition != x.Definition {
			t.Indexes[i] = sqliteddl.Index(x.Name, x.Definition)
			t.Indexes[i].Needs = x.Needs
		}
	}
}

func settledView(v *schema.View, source string) *schema.View {
	out := sqliteddl.View(v.Name, source)
	out.Triggers, out.Needs = v.Triggers, v.Needs
	return out
}

// updatableOver lets rows of a table be written through a view of all its columns.
func (g *sqlite) updatableOver(v *schema.View, t *schema.Table, key []string) {
	var into, values, set, same []string
	for _, c := range t.Columns {
		if c.Generated != "" {
			continue
		}
		q := g.quote(c.Name)
		value := "NEW." + q
		if c.Default != "" {
			value = "coalesce(" + value + ", " + g.constant(c.Default) + ")"
		}
		into, values, set = append(into, q), append(values, value), append(set, q+" = NEW."+q)
	}
	for _, c := range key {
		same = append(same, g.quote(c)+" IS OLD."+g.quote(c))
	}
	table, view, where := g.quote(t.Name), g.quote(v.Name), strings.Join(same, " AND ")
	for _, way := range [][2]string{
		{"insert", "INSERT INTO " + table + " (" + strings.Join(into, ", ") + ")\n  VALUES (" + strings.Join(values, ", ") + ")"},
		{"update", "UPDATE " + table + " SET " + strings.Join(set, ", ") + "\n  WHERE " + where},
		{"delete", "DELETE FROM " + table + " WHERE " + where},
	} {
		name := fit(g.limit(), "zz_switchback_"+g.id+"_", v.Name+"_"+way[0])
		v.Triggers = append(v.Triggers, sqliteddl.Trigger(name, "CREATE TRIGGER "+g.quote(name)+" INSTEAD OF "+strings.ToUpper(way[0])+" ON "+view+"\nBEGIN\n  "+way[1]+";\nEND"))
	}
}

// repoint makes what SQLite keeps as text, and has followed a column into the attic, read the column that
// took its place: views, the triggers of others, generated columns.
func (g *sqlite) repoint(e *edit, table Table, attic, final string) {
	t := e.table(table)
	replace := func(sql string) string {
		return sqltoken.Replace(sql, sqltoken.Of("sqlite"), func(list []sqltoken.Token, i int) (string, bool) {
			return g.quote(final), list[i].Names(attic, sqltoken.Of("sqlite"))
		})
	}
	for i, c := range t.Columns {
		if x := replace(c.Generated); x != c.Generated {
			also := *c
			also.Generated = x
			t.Columns[i] = &also
		}
	}
	triggers := func(list []*schema.Trigger) {
		for i, x := range list {
			if text := replace(x.Source); text != x.Source && !made(x.Name) {
				list[i] = sqliteddl.Trigger(x.Name, text)
				list[i].Needs = x.Needs
			}
		}
	}
	s := e.schema(table.Schema)
	for _, other := range slices.Clone(s.Tables) {
		if slices.ContainsFunc(other.Triggers, func(x *schema.Trigger) bool { return replace(x.Source) != x.Source }) {
			triggers(e.table(Table{table.Schema, other.Name}).Triggers)
		}
	}
	for i, v := range s.Views {
		text := replace(v.Source)
		list := slices.Clone(v.Triggers)
		triggers(list)
		if text != v.Source || len(list) > 0 {
			s.Views[i] = settledView(v, text)
			s.Views[i].Triggers = list
		}
	}
}

// made tells whether a trigger is one of a change.
func made(trigger string) bool { return strings.HasPrefix(trigger, "zz_switchback_") }

// readers are the names of the views, triggers and generated columns that name a column of a table.
func (g *sqlite) readers(s *schema.Schema, t *schema.Table, column string) (names []string) {
	reads := func(sql string) bool {
		mentions := sqliteddl.Mentions(sql)
		return mentions[strings.ToLower(column)] && mentions[strings.ToLower(t.Name)]
	}
	for _, c := range t.Columns {
		if sqliteddl.Mentions(c.Generated)[strings.ToLower(column)] {
			names = append(names, "column "+word(c.Name))
		}
	}
	triggers := func(list []*schema.Trigger) {
		for _, x := range list {
			if reads(x.Source) && !made(x.Name) {
				names = append(names, "trigger "+word(x.Name))
			}
		}
	}
	for _, v := range s.Views {
		if reads(v.Source) {
			names = append(names, "view "+word(v.Name))
		}
		triggers(v.Triggers)
	}
	for _, other := range s.Tables {
		triggers(other.Triggers)
	}
	return names
}
