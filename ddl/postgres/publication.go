package postgres

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/schema"
)

// publication is what a publication's definition says.
type publication struct {
	all     bool
	tables  []published
	schemas []string
	options []string
}

// published is a table of a publication, with its columns and condition in the text.
type published struct{ table, text string }

func readPublication(definition string) publication {
	body, options := definition, ""
	if i := strings.LastIndex(definition, " WITH ("); i >= 0 {
		body, options = definition[:i], strings.TrimSuffix(definition[i+7:], ")")
	}
	out := publication{options: splitOutside(options)}
	_, body, _ = strings.Cut(strings.TrimPrefix(body, "CREATE PUBLICATION "), " FOR ")
	if body == "ALL TABLES" {
		out.all = true
		return out
	}
	inSchemas := false
	for _, part := range splitOutside(body) {
		if text, ok := strings.CutPrefix(part, "TABLE ONLY "); ok {
			name := text
			if i := indexOutside(text, ' '); i >= 0 {
				name = text[:i]
			}
			out.tables = append(out.tables, published{name, part})
			continue
		}
		name, first := strings.CutPrefix(part, "TABLES IN SCHEMA ")
		inSchemas = inSchemas || first
		if inSchemas {
			out.schemas = append(out.schemas, name)
		}
	}
	return out
}

// splitOutside splits at commas that are in no brackets and no quotes.
func splitOutside(text string) []string {
	var list []string
	for text != "" {
		i := indexOutside(text, ',')
		if i < 0 {
			return append(list, text)
		}
		list, text = append(list, text[:i]), strings.TrimPrefix(text[i+1:], " ")
	}
	return list
}

// indexOutside finds a character that is in no brackets and no quotes.
func indexOutside(text string, what byte) int {
	depth, quote := 0, byte(0)
	for i := range len(text) {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == what && depth == 0:
			return i
		case c == '\'' || c == '"':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
	}
	return -1
}

func (x publication) find(table string) (published, bool) {
	i := slices.IndexFunc(x.tables, func(p published) bool { return p.table == table })
	if i < 0 {
		return published{}, false
	}
	return x.tables[i], true
}

func isPublication(n *node) bool { return n.key.Kind == schema.KindPublication }

// publicationWay changes a publication in place, so that its subscribers keep it; that of all tables is one
// from the beginning.
func publicationWay(from, to *schema.Item) action {
	if readPublication(from.Definition).all != readPublication(to.Definition).all {
		return recreate
	}
	return alter
}

// leavesFor has a table leave a publication for as long as its columns change.
func (p *plan) leavesFor(n *node, table *node) {
	if n.act == keep {
		n.act = alter
	}
	if p.leaves[n] == nil {
		p.leaves[n] = map[string]bool{}
	}
	p.leaves[n][qualified(table.key.Schema, table.key.Name)] = true
}

func leaveID(n *node) string { return "leave " + n.label() }

// leaveStep takes the tables out of a publication that change beneath it or are published otherwise.
func (p *plan) leaveStep(n *node) ddl.Step {
	s := ddl.Step{ID: leaveID(n), Rank: rankDrop}
	if !isPublication(n) || n.act != alter {
		return s
	}
	from, to := readPublication(n.from.(*schema.Item).Definition), readPublication(n.to.(*schema.Item).Definition)
	for _, x := range from.tables {
		y, stays := to.find(x.table)
		if p.remade(x.table) || stays && x == y && !p.leaves[n][x.table] {
			continue // it leaves by itself, or not at all
		}
		comment := "What happens to its rows is no longer published."
		if stays {
			comment = "What happens to its rows is not published until it is back below."
		}
		s.Statements = append(s.Statements, ddl.Statement{SQL: "ALTER PUBLICATION " + Identifier(n.key.Name) + " DROP TABLE ONLY " + x.table, Comment: comment, Destroys: !stays})
	}
	return s
}

// remade tells whether the table of that name goes, and with it its place in publications.
func (p *plan) remade(table string) bool {
	return slices.ContainsFunc(p.order, func(m *node) bool {
		return m.key.Kind == schema.KindTable && qualified(m.key.Schema, m.key.Name) == table && m.gone()
	})
}

// alterPublication puts tables and schemas into a publication, and sets its options.
func (p *plan) alterPublication(n *node, from, to publication) []ddl.Statement {
	head := "ALTER PUBLICATION " + Identifier(n.key.Name)
	var list []ddl.Statement
	for _, y := range to.tables {
		if x, ok := from.find(y.table); !ok || x != y || p.leaves[n][y.table] || p.remade(y.table) {
			list = append(list, one(head+" ADD "+y.text)...)
		}
	}
	for _, s := range without(from.schemas, to.schemas) {
		if m := p.nodes[schema.Key{Schema: s}]; m == nil || !m.gone() {
			list = append(list, one(head+" DROP TABLES IN SCHEMA "+s)...)
		}
	}
	for _, s := range without(to.schemas, from.schemas) {
		list = append(list, one(head+" ADD TABLES IN SCHEMA "+s)...)
	}
	set := without(to.options, from.options)
	for _, o := range without(from.options, to.options) {
		name, _, _ := strings.Cut(o, " = ")
		if !slices.ContainsFunc(set, func(x string) bool { return strings.HasPrefix(x, name+" = ") }) {
			set = append(set, name+" = "+map[string]string{"publish_generated_columns": "none"}[name]+map[string]string{"publish_via_partition_root": "false"}[name])
		}
	}
	if len(set) > 0 {
		list = append(list, one(head+" SET ("+strings.Join(set, ", ")+")")...)
	}
	return list
}
