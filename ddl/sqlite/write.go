package sqlite

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/internal/sqliteddl"
	"github.com/switchbackdb/switchback/schema"
)

// writeDrops drops triggers, views and indexes, in this order, since the former may hang on the latter.
func (p *plan) writeDrops(w *statements) {
	var triggers, views, indexes []schema.Object
	for _, t := range p.from.Tables {
		indexes, triggers = append(indexes, objects(t.Indexes)...), append(triggers, objects(t.Triggers)...)
	}
	for _, v := range p.from.Views {
		views, triggers = append(views, v), append(triggers, objects(v.Triggers)...)
	}
	for _, list := range [][]schema.Object{triggers, views, indexes} {
		for _, o := range list {
			p.writeDrop(w, o)
		}
	}
}

func (p *plan) writeDrop(w *statements, o schema.Object) {
	why, drop := p.dropped[partOf(o)]
	if !drop {
		return
	}
	sql := fmt.Sprintf("DROP %s %s", strings.ToUpper(string(o.Kind())), sqliteddl.Quote(p.nameOf(o)))
	switch {
	case why != "" && p.made[partOf(o)]:
		w.add(sql, why)
	case p.made[partOf(o)]:
		w.add(sql, "Its definition is another; it is made again below. It holds no rows.")
	default:
		w.destroy(sql, "Its definition is lost. It holds no rows.")
	}
}

func objects[T schema.Object](list []T) []schema.Object {
	out := make([]schema.Object, len(list))
	for i, o := range list {
		out[i] = o
	}
	return out
}

// writeRenames renames tables and columns. SQLite changes foreign keys, indexes and checks along.
func (p *plan) writeRenames(w *statements) {
	for _, r := range p.result.Renames {
		switch r.Kind {
		case schema.KindTable:
			if strings.EqualFold(r.From, r.To) { // to SQLite that name is taken, by the table itself
				temporary := p.temporary(r.To)
				w.add(fmt.Sprintf("ALTER TABLE %s RENAME TO %s", sqliteddl.Quote(r.From), sqliteddl.Quote(temporary)), "")
				r.From = temporary
			}
			w.add(fmt.Sprintf("ALTER TABLE %s RENAME TO %s", sqliteddl.Quote(r.From), sqliteddl.Quote(r.To)), "A confirmed rename: rows stay where they are, and foreign keys follow.")
		case schema.KindColumn:
			w.add(fmt.Sprintf("ALTER TABLE %s RENAME COLUMN %s TO %s", sqliteddl.Quote(p.tableNow(r)), sqliteddl.Quote(r.From), sqliteddl.Quote(r.To)), "A confirmed rename: values stay where they are, and indexes, checks and keys follow.")
		}
	}
}

// tableNow is the name of a column's table at this point of the script: its new one only if its rename
// came before.
func (p *plan) tableNow(column diff.Rename) string {
	for _, r := range p.result.Renames {
		if r == column {
			break
		}
		if r.Kind == schema.KindTable && strings.EqualFold(r.To, column.Parent) {
			return column.Parent
		}
	}
	for _, r := range p.result.Renames {
		if r.Kind == schema.KindTable && strings.EqualFold(r.To, column.Parent) {
			return r.From
		}
	}
	return column.Parent
}

// writeTables drops, alters and makes tables.
func (p *plan) writeTables(w *statements) error {
	for _, t := range p.drops {
		what := "The table and all its rows are lost."
		if isVirtual(t) {
			what = "The virtual table and what it holds are lost."
			if indexFold(p.adds, t.Name) >= 0 {
				what += " It is made again below, empty: fill it from where it was filled before."
			}
		}
		w.destroy("DROP TABLE "+sqliteddl.Quote(t.Name), what)
	}
	p.writeAlterations(w)
	for _, t := range p.adds {
		if t.Source == "" {
			return fmt.Errorf("table %s: %w", t.Name, errNoSource)
		}
	}
	for _, t := range p.to.Tables {
		if i := indexFold(p.adds, t.Name); i >= 0 && p.adds[i].Name == t.Name {
			w.add(closed(t.Source), "")
		}
	}
	return nil
}

func (p *plan) writeAlterations(w *statements) {
	legacy := false
	for _, a := range p.alters {
		switch {
		case !a.rebuild:
			a.write(w)
			continue
		case !legacy:
			w.add("PRAGMA legacy_alter_table = ON", "The rename at the end of a rebuild must not touch what names the table.")
			legacy = true
		}
		a.rebuilt(w, p.temporary(a.to.Name))
	}
	if legacy {
		w.add("PRAGMA legacy_alter_table = OFF", "")
	}
}

// temporary returns a name that neither schema has.
func (p *plan) temporary(name string) string {
	taken := func(name string) bool {
		for _, s := range []*schema.Schema{p.from, p.to} {
			if indexFold(s.Tables, name) >= 0 || indexFold(s.Views, name) >= 0 {
				return true
			}
			for _, t := range s.Tables {
				if indexFold(t.Indexes, name) >= 0 {
					return true
				}
			}
		}
		return false
	}
	name = "new_" + name
	for taken(name) {
		name += "_"
	}
	return name
}

// writeObjects makes indexes, views and triggers, in the order they have in the schema.
func (p *plan) writeObjects(w *statements) {
	done := map[part]bool{}
	for _, s := range []*schema.Schema{p.to, p.from} { // the first one only for what a filter left out
		for _, t := range s.Tables {
			for _, x := range t.Indexes {
				p.writeObject(w, done, x, x.Source)
			}
		}
		for _, v := range s.Views {
			p.writeObject(w, done, v, v.Source)
		}
		for _, t := range s.Tables {
			for _, x := range t.Triggers {
				p.writeObject(w, done, x, x.Source)
			}
		}
		for _, v := range s.Views {
			for _, x := range v.Triggers {
				p.writeObject(w, done, x, x.Source)
			}
		}
	}
}

func (p *plan) writeObject(w *statements, done map[part]bool, o schema.Object, source string) {
	if k := partOf(o); p.made[k] && !done[k] {
		done[k] = true
		comment := ""
		if x, ok := o.(*schema.Index); ok && x.Unique {
			comment = "This fails, and nothing is changed, if rows have the same values."
		}
		w.add(closed(source), comment)
	}
}

// writeSettings sets what can be set at any time.
func (p *plan) writeSettings(w *statements) {
	for _, c := range p.settings {
		if setting := settingOf(c); !setting.Fixed {
			q, _ := c.Property("value")
			if number, err := strconv.ParseInt(orZero(q.To), 10, 64); err == nil {
				w.add(fmt.Sprintf("PRAGMA %s = %d", sqliteddl.Quote(setting.Name), number), "")
			}
		}
	}
}

func settingOf(c diff.Change) *schema.Setting {
	if s, ok := c.After.(*schema.Setting); ok {
		return s
	}
	return c.Before.(*schema.Setting)
}

// fixedSettings says what to do about settings that a database gets when it is made: they can be set
// while there is nothing in it.
func (p *plan) fixedSettings() {
	for _, c := range p.settings {
		s := settingOf(c)
		if !s.Fixed {
			continue
		}
		q, _ := c.Property("value")
		value := q.To
		switch {
		case value == "" && s.Name == "encoding":
			value = "UTF-8"
		case value == "" && s.Name == "page_size":
			value = "4096"
		}
		value = orZero(value)
		if len(p.from.Tables)+len(p.from.Views) == 0 {
			p.first = append(p.first, ddl.Statement{
				SQL: fmt.Sprintf("PRAGMA %s = %s", sqliteddl.Quote(s.Name), literal(value)), Outside: true,
				Comment: "Takes effect only in a database that nothing was ever made in.",
			})
			continue
		}
		p.notes = append(p.notes, fmt.Sprintf("%s has to be %s: it is chosen when a database is made, and this script cannot change it", s.Name, value))
	}
}

func orZero(text string) string {
	if text == "" {
		return "0"
	}
	return text
}
