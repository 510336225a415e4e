package postgres

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// aside is what a type is called until no column has it any more.
func aside(name string) string { return name[:min(len(name), 50)] + "__old" }

// putAside renames a type, and the multirange of a range.
func putAside(n *node, o *schema.Type) []ddl.Statement {
	list := []ddl.Statement{{SQL: "ALTER " + nounOf(o) + " " + name(n, o) + " RENAME TO " + Identifier(aside(o.Name)), Comment: "The type is made anew: the old one is set aside until its columns have the new one."}}
	if o.Form == schema.Range {
		list = append(list, putRangeAside(n, o)...)
	}
	return list
}

// putRangeAside renames what the server has made for a range type: its multirange, and the functions that
// make values of both.
func putRangeAside(n *node, o *schema.Type) []ddl.Statement {
	subtype, _, _ := strings.Cut(strings.TrimPrefix(o.Definition, "SUBTYPE = "), ", ")
	_, multirange, _ := strings.Cut(o.Definition, "MULTIRANGE_TYPE_NAME = ")
	full, old := qualified(n.key.Schema, o.Name), qualified(n.key.Schema, aside(o.Name))
	name, multi := Identifier(aside(o.Name)), Identifier(aside(o.Name)+"_multi")
	list := one("ALTER TYPE " + multirange + " RENAME TO " + multi)
	for _, f := range []string{full + "(" + subtype + ", " + subtype + ")", full + "(" + subtype + ", " + subtype + ", text)"} {
		list = append(list, one("ALTER FUNCTION "+f+" RENAME TO "+name)...)
	}
	for _, arguments := range []string{"()", "(" + old + ")", "(" + old + "[])"} {
		list = append(list, one("ALTER FUNCTION "+multirange+arguments+" RENAME TO "+multi)...)
	}
	return list
}

// typeWay makes a type anew where ALTER TYPE has no word for the change.
func typeWay(n *node, from, to *schema.Type) action {
	switch {
	case n.differs("form"), n.differs("definition"):
		return recreate
	case n.differs("labels") && !to.Extends(from):
		return recreate
	}
	if to.Form != schema.Composite {
		return alter
	}
	for _, c := range n.change.Children {
		if c.Kind == schema.KindColumn && c.Action == diff.Modify && len(c.Properties) > 0 {
			for _, p := range c.Properties {
				if p.Name != schema.PropertyComment {
					return recreate
				}
			}
		}
	}
	return alter
}

func createType(n *node, t *schema.Type) []ddl.Statement {
	full := qualified(n.key.Schema, t.Name)
	switch t.Form {
	case schema.Enum:
		labels := make([]string, len(t.Labels))
		for i, l := range t.Labels {
			labels[i] = Literal(l)
		}
		return one("CREATE TYPE " + full + " AS ENUM (" + strings.Join(labels, ", ") + ")")
	case schema.Domain:
		return createDomain(full, t)
	case schema.Range:
		return one("CREATE TYPE " + full + " AS RANGE (" + t.Definition + ")")
	}
	var list []string
	var comments []ddl.Statement
	for _, a := range t.Attributes {
		list = append(list, attribute(a))
		if a.Comment != "" {
			comments = append(comments, commentOn("COLUMN "+full+"."+Identifier(a.Name), a.Comment))
		}
	}
	body := "()"
	if len(list) > 0 {
		body = lines(list)
	}
	return append(one("CREATE TYPE "+full+" AS "+body), comments...)
}

func attribute(a *schema.Column) string {
	text := Identifier(a.Name) + " " + a.Type
	if a.Collation != "" {
		text += " COLLATE " + a.Collation
	}
	return text
}

func createDomain(full string, t *schema.Type) []ddl.Statement {
	sql := "CREATE DOMAIN " + full + " AS " + t.Definition
	if v := schema.Value(t.Options, "default"); v != "" {
		sql += " DEFAULT " + v
	}
	if schema.Value(t.Options, "not null") != "" {
		sql += " NOT NULL"
	}
	var comments, later []ddl.Statement
	for _, k := range t.Constraints {
		if strings.HasSuffix(k.Definition, notValid) {
			later = append(later, one("ALTER DOMAIN "+full+" ADD CONSTRAINT "+Identifier(k.Name)+" "+k.Definition)...)
		} else {
			sql += "\n  CONSTRAINT " + Identifier(k.Name) + " " + k.Definition
		}
		if k.Comment != "" {
			comments = append(comments, commentOn("CONSTRAINT "+Identifier(k.Name)+" ON DOMAIN "+full, k.Comment))
		}
	}
	return append(append(one(sql), later...), comments...)
}

func alterType(n *node, from, to *schema.Type) []ddl.Statement {
	full := qualified(n.key.Schema, to.Name)
	switch to.Form {
	case schema.Enum:
		return addLabels(full, from.Labels, to.Labels)
	case schema.Domain:
		return alterDomain(n, full, to)
	case schema.Composite:
		return alterComposite(n, full)
	}
	return nil
}

func addLabels(full string, from, to []string) []ddl.Statement {
	var list []ddl.Statement
	for i, label := range to {
		if slices.Contains(from, label) {
			continue
		}
		place := ""
		switch {
		case i > 0:
			place = " AFTER " + Literal(to[i-1])
		case len(from) > 0:
			place = " BEFORE " + Literal(from[0])
		}
		list = append(list, ddl.Statement{SQL: "ALTER TYPE " + full + " ADD VALUE " + Literal(label) + place, Comment: "It can be used once this is committed, and cannot be taken back.", Outside: true})
	}
	return list
}

func alterDomain(n *node, full string, to *schema.Type) []ddl.Statement {
	head := "ALTER DOMAIN " + full
	var list []ddl.Statement
	if n.differs("default") {
		if v := schema.Value(to.Options, "default"); v != "" {
			list = append(list, one(head+" SET DEFAULT "+v)...)
		} else {
			list = append(list, one(head+" DROP DEFAULT")...)
		}
	}
	if n.differs("not null") {
		verb := " SET NOT NULL"
		if schema.Value(to.Options, "not null") == "" {
			verb = " DROP NOT NULL"
		}
		list = append(list, one(head+verb)...)
	}
	for _, c := range n.change.Children {
		if c.Kind == schema.KindConstraint {
			list = append(list, domainConstraint(head, full, c)...)
		}
	}
	return list
}

func domainConstraint(head, full string, c diff.Change) []ddl.Statement {
	name := Identifier(c.Name)
	before, _ := c.Before.(*schema.Constraint)
	after, _ := c.After.(*schema.Constraint)
	var list []ddl.Statement
	_, changed := c.Property("definition")
	if before != nil && (after == nil || changed) {
		list = append(list, ddl.Statement{SQL: head + " DROP CONSTRAINT " + name, Comment: "The rule is no longer kept.", Destroys: true})
	}
	if after != nil && (before == nil || changed) {
		definition := strings.TrimSuffix(after.Definition, notValid)
		list = append(list, ddl.Statement{SQL: head + " ADD CONSTRAINT " + name + " " + definition + notValid, Comment: "From now on it is kept; values that are there are not read yet."})
		if definition == after.Definition {
			list = append(list, ddl.Statement{SQL: head + " VALIDATE CONSTRAINT " + name, Comment: "Reads the tables that have the domain, while writes to them wait. It fails when a value is against it."})
		}
	}
	if after != nil && (before == nil && after.Comment != "" || before != nil && (before.Comment != after.Comment || changed && after.Comment != "")) {
		list = append(list, commentOn("CONSTRAINT "+name+" ON DOMAIN "+full, after.Comment))
	}
	return list
}

func alterComposite(n *node, full string) []ddl.Statement {
	var list []ddl.Statement
	for _, c := range n.change.Children {
		if c.Kind != schema.KindColumn {
			continue
		}
		name := Identifier(c.Name)
		after, _ := c.After.(*schema.Column)
		switch c.Action {
		case diff.Drop:
			list = append(list, ddl.Statement{SQL: "ALTER TYPE " + full + " DROP ATTRIBUTE " + name + " CASCADE", Comment: "The attribute goes, with what columns of the type hold in it; typed tables lose the column too.", Destroys: true})
			continue
		case diff.Add:
			list = append(list, one("ALTER TYPE "+full+" ADD ATTRIBUTE "+attribute(after)+" CASCADE")...)
		}
		if _, changed := c.Property(schema.PropertyComment); changed {
			list = append(list, commentOn("COLUMN "+full+"."+name, after.Comment))
		}
	}
	return list
}

func createSequence(n *node, q *schema.Sequence) []ddl.Statement {
	unlogged := ""
	if schema.Value(q.Options, "persistence") != "" {
		unlogged = "UNLOGGED "
	}
	return one("CREATE " + unlogged + "SEQUENCE " + qualified(n.key.Schema, q.Name) + " " + q.Definition)
}

func alterSequence(n *node, q *schema.Sequence) []ddl.Statement {
	head := "ALTER SEQUENCE " + qualified(n.key.Schema, q.Name)
	var list []ddl.Statement
	if n.differs("definition") {
		list = append(list, ddl.Statement{SQL: head + " " + q.Definition, Comment: "Numbers that were given stay given."})
	}
	if n.differs("persistence") {
		list = append(list, one(head+map[bool]string{true: " SET UNLOGGED", false: " SET LOGGED"}[schema.Value(q.Options, "persistence") != ""])...)
	}
	if n.differs("owned by") {
		list = append(list, one(head+" OWNED BY NONE")...)
	}
	return list
}

// ownerGoes tells whether a sequence goes with the column that owns it.
func (p *plan) ownerGoes(n *node, q *schema.Sequence) bool {
	return p.owningNode(n, schema.Value(q.Options, "owned by"), func(m *node) bool { return m.gone() })
}

// owningNode looks for the table or column that owns a sequence, and asks about it.
func (p *plan) owningNode(_ *node, owner string, ask func(*node) bool) bool {
	if owner == "" {
		return false
	}
	for _, m := range p.order {
		if m.key.Kind == schema.KindTable && strings.HasPrefix(owner, qualified(m.key.Schema, m.key.Name)+".") {
			if ask(m) {
				return true
			}
			for _, c := range m.children {
				if c.key.Kind == schema.KindColumn && owner == qualified(m.key.Schema, m.key.Name)+"."+Identifier(c.key.Name[len(m.key.Name)+1:]) && ask(c) {
					return true
				}
			}
		}
	}
	return false
}

// ownedStep gives a sequence to its column, when both are there.
func (p *plan) ownedStep(n *node, q *schema.Sequence) ddl.Step {
	owner := schema.Value(q.Options, "owned by")
	s := ddl.Step{ID: "own " + n.label(), Rank: rankDetail, After: []string{n.createID(), n.alterID()}}
	again := p.owningNode(n, owner, func(m *node) bool { return m.made() })
	if owner == "" || !n.made() && !n.differs("owned by") && !again {
		return s
	}
	p.owningNode(n, owner, func(m *node) bool { s.After = append(s.After, p.makers(m)...); return false })
	s.Statements = []ddl.Statement{{SQL: "ALTER SEQUENCE " + qualified(n.key.Schema, q.Name) + " OWNED BY " + owner, Comment: "It goes when the column goes."}}
	return s
}
