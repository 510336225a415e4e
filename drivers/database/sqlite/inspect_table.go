package sqlite

import (
	"sort"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// parseTable reads a CREATE TABLE statement, after https://www.sqlite.org/lang_createtable.html. The
// server has parsed it before, so it is known to be valid.
func parseTable(name, sql string) *schema.Table {
	t := &schema.Table{Name: name}
	list := tokens(sql)
	if len(list) > 1 && list[1].is("VIRTUAL") {
		t.Options = []schema.Property{{Name: "virtual", Value: canonical(afterKeyword(list, "USING"))}}
		return t
	}
	body, rest := parenthesised(list)
	for _, item := range split(body) {
		parseItem(t, item)
	}
	var options []string
	for _, option := range split(rest) {
		options = append(options, strings.ToUpper(canonical(option)))
	}
	sort.Strings(options)
	t.Options = append(t.Options, schema.Property{Name: "options", Value: strings.Join(options, ", ")})
	return t
}

// parenthesised returns what stands in the first pair of parentheses, and what stands behind it.
func parenthesised(list []token) (inside, behind []token) {
	depth, from := 0, 0
	for i, t := range list {
		switch t.text {
		case "(":
			if depth == 0 {
				from = i + 1
			}
			depth++
		case ")":
			if depth--; depth == 0 {
				return list[from:i], list[i+1:]
			}
		}
	}
	return nil, nil
}

// split cuts a list at its commas outside parentheses.
func split(list []token) [][]token {
	var parts [][]token
	depth, from := 0, 0
	for i, t := range list {
		switch t.text {
		case "(":
			depth++
		case ")":
			depth--
		case ",":
			if depth == 0 {
				parts = append(parts, list[from:i])
				from = i + 1
			}
		}
	}
	if from < len(list) {
		parts = append(parts, list[from:])
	}
	return parts
}

// parseItem reads a column definition or a table constraint. A table's constraints need not be set
// apart by commas.
func parseItem(t *schema.Table, item []token) {
	if len(item) == 0 {
		return
	}
	switch {
	case item[0].is("CONSTRAINT"), item[0].is("PRIMARY"), item[0].is("UNIQUE"), item[0].is("CHECK"), item[0].is("FOREIGN"):
		for _, c := range clauses(item) {
			addConstraint(t, "", c)
		}
	default:
		parseColumn(t, item)
	}
}

// clauses cuts a list before each keyword that begins a constraint.
func clauses(list []token) [][]token {
	var out [][]token
	depth, from := 0, 0
	for i, t := range list {
		switch {
		case t.text == "(":
			depth++
		case t.text == ")":
			depth--
		case depth == 0 && i > from && beginsConstraint(list, i) && !list[i-1].is("CONSTRAINT") && !(i >= 2 && list[i-2].is("CONSTRAINT")):
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
	prev := func(keyword string) bool { return i > 0 && list[i-1].is(keyword) }
	switch {
	case t.is("CONSTRAINT"), t.is("PRIMARY"), t.is("UNIQUE"), t.is("CHECK"), t.is("FOREIGN"), t.is("COLLATE"), t.is("GENERATED"):
		return true
	case t.is("REFERENCES"):
		return !prev(")") && !inForeign(list, i)
	case t.is("DEFAULT"):
		return !prev("SET")
	case t.is("NOT"):
		return i+1 < len(list) && list[i+1].is("NULL")
	case t.is("NULL"):
		return !prev("NOT") && !prev("SET") && !prev("DEFAULT")
	case t.is("AS"):
		return !prev("ALWAYS")
	}
	return false
}

// inForeign tells whether the REFERENCES at i belongs to a FOREIGN KEY clause.
func inForeign(list []token, i int) bool {
	for ; i > 0; i-- {
		if list[i].is("FOREIGN") {
			return true
		}
	}
	return list[0].is("FOREIGN")
}

// parseColumn reads a column: its name, its type, its constraints.
func parseColumn(t *schema.Table, item []token) {
	c := &schema.Column{Name: item[0].text}
	t.Columns = append(t.Columns, c)
	parts := clauses(item[1:])
	if len(item) == 1 {
		return
	}
	if first := parts[0]; len(first) > 0 && !beginsConstraint(first, 0) {
		c.Type = strings.ToUpper(canonical(first))
		parts = parts[1:]
	}
	for _, p := range parts {
		parseColumnClause(t, c, p)
	}
}

func parseColumnClause(t *schema.Table, c *schema.Column, clause []token) {
	name, body := constraintName(clause)
	switch {
	case len(body) == 0:
	case body[0].is("NOT"):
		c.NotNull = true
		if rest := canonical(body[2:]); rest != "" {
			c.Options = append(c.Options, schema.Property{Name: "not null", Value: rest})
		}
	case body[0].is("NULL"):
	case body[0].is("DEFAULT"):
		c.Default = canonical(unwrap(body[1:]))
	case body[0].is("COLLATE"):
		c.Collation = strings.ToUpper(canonical(body[1:]))
	case body[0].is("GENERATED"), body[0].is("AS"):
		expression, kind := parenthesised(body)
		c.Generated = canonical(expression) + " " + strings.ToLower(orElse(canonical(kind), "VIRTUAL"))
	case body[0].is("PRIMARY"), body[0].is("UNIQUE"):
		addColumnKey(t, c, name, body)
	case body[0].is("REFERENCES"):
		foreign := append([]token{{text: "FOREIGN", word: true}, {text: "KEY", word: true}}, column(c.Name)...)
		addConstraint(t, name, append(foreign, body...))
	default:
		addConstraint(t, name, body)
	}
}

// addColumnKey turns PRIMARY KEY or UNIQUE of a column into the constraint of the table that it is.
func addColumnKey(t *schema.Table, c *schema.Column, name string, body []token) {
	n := 1
	if body[0].is("PRIMARY") {
		n = 2
	}
	rest := body[n:]
	if len(rest) > 0 && rest[0].is("ASC") {
		rest = rest[1:]
	}
	key := append(append([]token(nil), body[:n]...), column(c.Name)...)
	addConstraint(t, name, append(key, rest...))
}

func column(name string) []token {
	return []token{{text: "("}, {text: name, word: true, quoted: true}, {text: ")"}}
}

// unwrap takes the parentheses around a default away: DEFAULT (1) is DEFAULT 1.
func unwrap(list []token) []token {
	for len(list) > 2 && list[0].text == "(" {
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
	if len(clause) >= 2 && clause[0].is("CONSTRAINT") {
		return clause[1].text, clause[2:]
	}
	return "", clause
}

func addConstraint(t *schema.Table, name string, clause []token) {
	if n, body := constraintName(clause); n != "" {
		name, clause = n, body
	}
	if len(clause) == 0 {
		return
	}
	c := &schema.Constraint{Name: name, Definition: canonical(clause)}
	switch {
	case clause[0].is("PRIMARY"):
		c.Type = "primary key"
	case clause[0].is("UNIQUE"):
		c.Type = "unique"
	case clause[0].is("FOREIGN"):
		c.Type = "foreign key"
	default:
		c.Type = "check"
	}
	if c.Name == "" {
		c.Name = c.Definition
	}
	t.Constraints = append(t.Constraints, c)
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
