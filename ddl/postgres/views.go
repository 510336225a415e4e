package postgres

import (
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/schema"
)

func viewNoun(v *schema.View) string {
	if v.Materialized {
		return "MATERIALIZED VIEW"
	}
	return "VIEW"
}

// viewWay replaces a view that keeps its columns and may get more behind them, which is all that CREATE OR
// REPLACE allows.
func viewWay(n *node, from, to *schema.View) action {
	switch {
	case n.differs("materialized"), n.differs("definition") && to.Materialized, n.differs("access method"), n.differs("tablespace"):
		return recreate
	case !n.differs("definition"):
		return alter
	case len(to.Columns) < len(from.Columns) || len(from.Columns) == 0:
		return recreate
	}
	for i, c := range from.Columns {
		if d := to.Columns[i]; c.Name != d.Name || c.Type != d.Type {
			return recreate
		}
	}
	return replace
}

func createView(n *node, v *schema.View) []ddl.Statement {
	head := "CREATE "
	if n.act == replace {
		head += "OR REPLACE "
	}
	head += viewNoun(v) + " " + qualified(n.key.Schema, v.Name)
	if v.Materialized {
		if m := schema.Value(v.Options, "access method"); m != "" {
			head += " USING " + Identifier(m)
		}
	}
	if o := schema.Value(v.Options, "storage"); o != "" {
		head += " WITH (" + o + ")"
	}
	if s := schema.Value(v.Options, "tablespace"); s != "" {
		head += " TABLESPACE " + Identifier(s)
	}
	s := ddl.Statement{SQL: head + " AS\n" + v.Definition}
	if v.Materialized {
		s.Comment = "Its query is run now, to fill it."
	}
	return []ddl.Statement{s}
}

func alterView(n *node, v *schema.View) []ddl.Statement {
	return changeStorage("ALTER "+viewNoun(v)+" "+qualified(n.key.Schema, v.Name), "", schema.Value(n.from.(*schema.View).Options, "storage"), schema.Value(v.Options, "storage"))
}

// viewColumns sets the defaults of a view's columns and comments on them.
func (p *plan) viewColumns(n *node) []ddl.Statement {
	v, ok := n.to.(*schema.View)
	if !ok {
		return nil
	}
	var before *schema.View
	if n.act == alter || n.act == replace {
		before = n.from.(*schema.View)
	}
	var list []ddl.Statement
	for _, c := range v.Columns {
		old := &schema.Column{}
		if before != nil {
			for _, b := range before.Columns {
				if b.Name == c.Name {
					old = b
				}
			}
		}
		list = append(list, viewColumn(n, v, old, c)...)
	}
	return list
}

func viewColumn(n *node, v *schema.View, old, c *schema.Column) []ddl.Statement {
	full := qualified(n.key.Schema, v.Name)
	head := "ALTER " + viewNoun(v) + " " + full + " ALTER COLUMN " + Identifier(c.Name)
	var list []ddl.Statement
	switch {
	case old.Default == c.Default:
	case c.Default == "":
		list = append(list, one(head+" DROP DEFAULT")...)
	default:
		list = append(list, one(head+" SET DEFAULT "+c.Default)...)
	}
	if a, b := schema.Value(old.Options, "statistics"), schema.Value(c.Options, "statistics"); a != b {
		if b == "" {
			b = "-1"
		}
		list = append(list, one(head+" SET STATISTICS "+b)...)
	}
	list = append(list, changeStorage(head, "", schema.Value(old.Options, "options"), schema.Value(c.Options, "options"))...)
	if old.Comment != c.Comment {
		list = append(list, commentOn("COLUMN "+full+"."+Identifier(c.Name), c.Comment))
	}
	return list
}

// routineWay replaces a routine whose head, its arguments and result, stays the same.
func routineWay(n *node, from, to *schema.Routine) action {
	if !n.differs("definition") {
		return alter
	}
	headOf := func(r *schema.Routine) string {
		head, _, _ := strings.Cut(r.Definition, "\n LANGUAGE ")
		return head
	}
	if n.differs("form") || to.Form == "aggregate" || headOf(from) != headOf(to) {
		return recreate
	}
	return replace
}

// routineName is a routine's name with its arguments' types, as statements want it.
func routineName(namespace string, r *schema.Routine) string {
	name, arguments, _ := strings.Cut(r.Name, "(")
	return qualified(namespace, name) + "(" + arguments
}
