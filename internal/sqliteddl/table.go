package sqliteddl

import (
	"fmt"
	"sort"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// ParseTable reads a CREATE TABLE or CREATE VIRTUAL TABLE statement, after
// https://www.sqlite.org/lang_createtable.html.
func ParseTable(name, sql string) *Statement {
	s := &Statement{Table: &schema.Table{Name: name, Source: sql}, sql: sql}
	list := tokens(sql)
	at := nameAt(list)
	if at >= len(list) {
		return s
	}
	s.name = list[at]
	if list[1].Is("VIRTUAL") {
		using := afterKeyword(list, "USING")
		if len(using) > 0 {
			s.Module = strings.ToLower(using[0].Name)
		}
		s.Table.Options = []schema.Property{{Name: "virtual", Value: canonical(using)}}
		return s
	}
	body, rest := parenthesised(list[at+1:])
	for _, item := range split(unqualified(body, name)) {
		s.item(item)
	}
	var options []string
	for _, option := range split(rest) {
		options = append(options, strings.ToUpper(canonical(option)))
	}
	sort.Strings(options)
	s.Table.Options = append(s.Table.Options, schema.Property{Name: "options", Value: strings.Join(options, ", ")})
	return s
}

// unqualified takes the table's own name away from before its columns: in its definition t.a is a.
func unqualified(list []token, table string) []token {
	var out []token
	for i := 0; i < len(list); i++ {
		if i+2 < len(list) && list[i].IsName() && strings.EqualFold(list[i].Name, table) && list[i+1].IsSign(".") {
			i++
			continue
		}
		out = append(out, list[i])
	}
	return out
}

// item reads a column definition or a table constraint. A table's constraints need not be set apart by
// commas.
func (s *Statement) item(item []token) {
	if len(item) == 0 {
		return
	}
	switch {
	case item[0].Is("CONSTRAINT"), item[0].Is("PRIMARY"), item[0].Is("UNIQUE"), item[0].Is("CHECK"), item[0].Is("FOREIGN"):
		for _, c := range clauses(item) {
			addConstraint(s.Table, "", c)
		}
	default:
		s.column(item)
	}
}

// clauses cuts a list before each keyword that begins a constraint.
func clauses(list []token) [][]token {
	var out [][]token
	depth, from := 0, 0
	for i, t := range list {
		switch {
		case t.IsSign("("):
			depth++
		case t.IsSign(")"):
			depth--
		case depth == 0 && i > from && beginsConstraint(list, i) && !list[i-1].Is("CONSTRAINT") && (i < 2 || !list[i-2].Is("CONSTRAINT")):
			out = append(out, list[from:i])
			from = i
		}
	}
	return append(out, list[from:])
}

// beginsConstraint tells whether the token at i begins a constraint of a column or table, rather than
// being a part of one, as the NULL of NOT NULL or the DEFAULT of ON DELETE SET DEFAULT.
func beginsConstraint(list []token, i int) bool {
	t := list[i]
	prev := func(keyword string) bool { return i > 0 && list[i-1].Is(keyword) }
	switch {
	case t.Is("CONSTRAINT"), t.Is("PRIMARY"), t.Is("UNIQUE"), t.Is("CHECK"), t.Is("FOREIGN"), t.Is("COLLATE"), t.Is("GENERATED"):
		return true
	case t.Is("REFERENCES"):
		return !inForeign(list, i)
	case t.Is("DEFAULT"):
		return !prev("SET")
	case t.Is("NOT"):
		return i+1 < len(list) && list[i+1].Is("NULL")
	case t.Is("NULL"):
		return !prev("NOT") && !prev("SET") && !prev("DEFAULT")
	case t.Is("AS"):
		return !prev("ALWAYS")
	}
	return false
}

// inForeign tells whether the REFERENCES at i belongs to a FOREIGN KEY clause, rather than being a
// column's.
func inForeign(list []token, i int) bool {
	for i--; i >= 0; i-- {
		if list[i].Is("FOREIGN") {
			return true
		}
	}
	return false
}

// column reads a column: its name, its type, its constraints.
func (s *Statement) column(item []token) {
	c := Column{Column: &schema.Column{Name: item[0].Name}, Text: s.sql[item[0].Start:item[len(item)-1].End]}
	s.Table.Columns = append(s.Table.Columns, c.Column)
	if len(item) > 1 {
		parts := clauses(item[1:])
		if first := parts[0]; !beginsConstraint(first, 0) {
			c.Type = strings.ToUpper(canonical(first))
			parts = parts[1:]
		}
		for _, p := range parts {
			if name := columnClause(s.Table, c.Column, p); name != "" {
				c.Constraints = append(c.Constraints, name)
			}
		}
	}
	s.Columns = append(s.Columns, c)
}

// columnClause reads a constraint of a column. It returns the name of the table's constraint that it is,
// if it is one.
func columnClause(t *schema.Table, c *schema.Column, clause []token) string {
	name, body := constraintName(clause)
	switch {
	case len(body) == 0, body[0].Is("NULL"):
	case body[0].Is("NOT"):
		c.NotNull = true
		if rest := canonical(body[2:]); rest != "" {
			c.Options = append(c.Options, schema.Property{Name: "on conflict", Value: strings.TrimPrefix(rest, "ON CONFLICT ")})
		}
	case body[0].Is("DEFAULT"):
		c.Default = canonical(unwrap(body[1:]))
	case body[0].Is("COLLATE"):
		c.Collation = strings.ToUpper(canonical(body[1:]))
	case body[0].Is("GENERATED"), body[0].Is("AS"):
		expression, kind := parenthesised(body)
		how := strings.ToLower(canonical(kind))
		if how == "" {
			how = "virtual"
		}
		c.Generated = canonical(expression) + " " + how
	case body[0].Is("PRIMARY"), body[0].Is("UNIQUE"):
		return addColumnKey(t, c, name, body)
	case body[0].Is("REFERENCES"):
		return addConstraint(t, name, append(append([]token{word("FOREIGN"), word("KEY")}, column(c.Name)...), body...))
	default:
		return addConstraint(t, name, body)
	}
	return ""
}

// addColumnKey turns PRIMARY KEY or UNIQUE of a column into the constraint of the table that it is.
// INTEGER PRIMARY KEY DESC is something else than PRIMARY KEY (a DESC): only the latter is the rowid.
func addColumnKey(t *schema.Table, c *schema.Column, name string, body []token) string {
	n := 1
	if body[0].Is("PRIMARY") {
		n = 2
	}
	rest := body[n:]
	if len(rest) > 0 && rest[0].Is("ASC") {
		rest = rest[1:]
	}
	key := append(append([]token(nil), body[:n]...), column(c.Name)...)
	return addConstraint(t, name, append(key, rest...))
}

func column(name string) []token {
	return []token{{Kind: sqltoken.Sign, Name: "("}, {Kind: sqltoken.Quoted, Name: name}, {Kind: sqltoken.Sign, Name: ")"}}
}

// unwrap takes the parentheses around a default away: DEFAULT (1) is DEFAULT 1.
func unwrap(list []token) []token {
	for len(list) > 2 && list[0].IsSign("(") {
		inside, behind := parenthesised(list)
		if len(behind) > 0 {
			break
		}
		list = inside
	}
	return list
}

// constraintName takes CONSTRAINT name off the front of a clause.
func constraintName(clause []token) (string, []token) {
	if len(clause) >= 2 && clause[0].Is("CONSTRAINT") {
		return clause[1].Name, clause[2:]
	}
	return "", clause
}

// addConstraint adds a constraint to the table and returns its name. A constraint without a name that is
// there already is not added again: it has no effect. Two may have the same name.
func addConstraint(t *schema.Table, name string, clause []token) string {
	if n, body := constraintName(clause); n != "" {
		name, clause = n, body
	}
	if len(clause) == 0 {
		return ""
	}
	c := &schema.Constraint{Name: name}
	switch {
	case clause[0].Is("PRIMARY"):
		c.Type, clause = schema.PrimaryKey, keyColumns(c, clause)
	case clause[0].Is("UNIQUE"):
		c.Type, clause = schema.Unique, keyColumns(c, clause)
	case clause[0].Is("FOREIGN"):
		c.Type = schema.ForeignKey
		foreignColumns(c, clause)
	default:
		c.Type = schema.Check
		c.Columns = columnsIn(t, clause)
	}
	c.Definition = canonical(clause)
	if c.Unnamed = name == ""; c.Unnamed {
		c.Name = c.Definition
	}
	if t.Constraint(c.Name) != nil {
		if c.Unnamed {
			return c.Name
		}
		for n := 2; t.Constraint(c.Name) != nil; n++ {
			c.Name = fmt.Sprintf("%s (%d)", name, n)
		}
	}
	t.Constraints = append(t.Constraints, c)
	return c.Name
}

// keyColumns reads the columns of a primary key or unique constraint, and returns its clause without the
// order that keys have anyway.
func keyColumns(c *schema.Constraint, clause []token) []token {
	keys, behind := parenthesised(clause)
	for _, key := range split(keys) {
		c.Columns = append(c.Columns, key[0].Name)
	}
	open := len(clause) - len(behind) - len(keys) - 1
	out := append(append([]token(nil), clause[:open]...), withoutAscending(keys)...)
	return append(append(out, token{Kind: sqltoken.Sign, Name: ")"}), behind...)
}

func foreignColumns(c *schema.Constraint, clause []token) {
	inside, behind := parenthesised(clause)
	for _, key := range split(inside) {
		c.Columns = append(c.Columns, key[0].Name)
	}
	if len(behind) < 2 {
		return
	}
	c.References = &schema.Reference{Table: behind[1].Name}
	if len(behind) > 2 && behind[2].IsSign("(") {
		parent, _ := parenthesised(behind)
		for _, key := range split(parent) {
			c.References.Columns = append(c.References.Columns, key[0].Name)
		}
	}
}

// columnsIn returns the columns that a check names, of those that stand before it.
func columnsIn(t *schema.Table, clause []token) []string {
	var names []string
	for _, c := range t.Columns {
		for _, word := range clause {
			if word.IsName() && strings.EqualFold(word.Name, c.Name) {
				names = append(names, c.Name)
				break
			}
		}
	}
	return names
}
