// Package sqliteddl reads the statements that SQLite keeps as its catalogue. SQLite stores the text of
// each CREATE statement and keeps it up to date when something is altered; the text says more than the
// pragmas, which leave checks, collations and conflict clauses out.
//
//	sqlite_schema.sql ──ParseTable, View, Index, Trigger──▶ objects of package schema
//	                  └─▶ Statement: the parts of a CREATE TABLE, for package ddl/sqlite
//
// The statements come from SQLite's own parser, so they are known to be valid.
package sqliteddl

import (
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// Statement is a CREATE TABLE statement, taken apart.
type Statement struct {
	Table   *schema.Table
	Module  string   // of a virtual table; else empty
	Columns []Column // in the statement's order
	name    token    // the table's, in the text
	sql     string
}

// Column is the definition of a column in a CREATE TABLE statement.
type Column struct {
	*schema.Column
	Text        string   // as it is written, with the constraints that stand in it
	Constraints []string // the names that those constraints have in the model
}

// As returns the statement with another name for the table. References to the table keep the name they
// had, also its own foreign keys; its own name before a column, as in CHECK (t.a > 0), is left out, since
// it would be wrong.
func (s *Statement) As(name string) string {
	own := func(list []token, i int) bool {
		return i >= 0 && i+2 < len(list) && list[i].Start > s.name.Start && list[i].Names(s.name.Name, sqltoken.Of("sqlite")) && list[i+1].IsSign(".")
	}
	return sqltoken.Replace(s.sql, sqltoken.Of("sqlite"), func(list []token, i int) (string, bool) {
		if list[i].Start == s.name.Start {
			return Quote(name), true
		}
		return "", s.Module == "" && (own(list, i) || own(list, i-1))
	})
}

// View reads a CREATE VIEW statement.
func View(name, sql string) *schema.View {
	list := tokens(sql)
	v := &schema.View{Name: name, Definition: canonical(afterKeyword(list, "AS")), Source: sql}
	if i := nameAt(list) + 1; i < len(list) && list[i].IsSign("(") {
		inside, _ := parenthesised(list[i:])
		for _, c := range split(inside) {
			v.Columns = append(v.Columns, &schema.Column{Name: c[0].Name})
		}
		v.Options = []schema.Property{{Name: "columns", Value: canonical(inside)}}
	}
	return v
}

// Index reads a CREATE INDEX statement.
func Index(name, sql string) *schema.Index {
	list := tokens(sql)
	x := &schema.Index{Name: name, Unique: len(list) > 1 && list[1].Is("UNIQUE"), Source: sql}
	keys, behind := parenthesised(list)
	for _, key := range split(keys) {
		// A column may be followed by its collation and order, but by nothing else.
		if key[0].IsName() && (len(key) == 1 || key[1].Is("COLLATE") || key[1].Is("ASC") || key[1].Is("DESC")) {
			x.Columns = append(x.Columns, key[0].Name)
		}
	}
	open := len(list) - len(behind) - len(keys) - 1
	definition := append(append([]token(nil), list[:max(open, 0)]...), withoutAscending(keys)...)
	definition = append(append(definition, token{Kind: sqltoken.Sign, Name: ")"}), behind...)
	x.Definition = canonical(withoutIfNotExists(definition))
	return x
}

// Trigger reads a CREATE TRIGGER statement. What may be left out is left out: FOR EACH ROW, which is
// the only kind of trigger there is. BEFORE is put in where nothing is said, since it is what is meant.
func Trigger(name, sql string) *schema.Trigger {
	list := withoutIfNotExists(tokens(sql))
	begin := len(list)
	var out []token
	for i := 0; i < len(list); i++ {
		switch t := list[i]; {
		case t.Is("BEGIN"):
			begin = min(begin, i)
		case i == 3 && (t.Is("INSERT") || t.Is("UPDATE") || t.Is("DELETE")):
			out = append(out, word("BEFORE"))
		case i < begin && t.Is("FOR") && i+2 < len(list) && list[i+1].Is("EACH") && list[i+2].Is("ROW"):
			i += 2
			continue
		}
		out = append(out, list[i])
	}
	return &schema.Trigger{Name: name, Definition: canonical(out), Source: sql}
}

// Mentions returns the names in a statement, in lower case, whatever they are names of. Its keywords are
// among them.
func Mentions(sql string) map[string]bool {
	names := map[string]bool{}
	for _, t := range tokens(sql) {
		if t.IsName() || t.Kind == sqltoken.Text { // SQLite takes 'name' for a name where it expects one
			names[strings.ToLower(t.Name)] = true
		}
	}
	return names
}

func word(text string) token { return token{Kind: sqltoken.Word, Name: text} }

// nameAt returns the position of the name of what a statement creates.
func nameAt(list []token) int {
	i := 1
	for i < len(list) && (list[i].Is("UNIQUE") || list[i].Is("VIRTUAL") || list[i].Is("TEMP") || list[i].Is("TEMPORARY")) {
		i++
	}
	i++ // TABLE, INDEX, VIEW, TRIGGER
	if i+2 < len(list) && list[i].Is("IF") && list[i+1].Is("NOT") && list[i+2].Is("EXISTS") {
		i += 3
	}
	if i+2 < len(list) && list[i+1].IsSign(".") {
		i += 2
	}
	return i
}

// withoutIfNotExists leaves out what has no effect on the thing that is made.
func withoutIfNotExists(list []token) []token {
	for i := 0; i+2 < len(list) && i < 4; i++ {
		if list[i].Is("IF") && list[i+1].Is("NOT") && list[i+2].Is("EXISTS") {
			return append(append([]token(nil), list[:i]...), list[i+3:]...)
		}
	}
	return list
}

// withoutAscending leaves the order out that keys have anyway.
func withoutAscending(keys []token) []token {
	var out []token
	for _, t := range keys {
		if !t.Is("ASC") {
			out = append(out, t)
		}
	}
	return out
}

// afterKeyword returns what stands behind the first appearance of a keyword outside parentheses.
func afterKeyword(list []token, keyword string) []token {
	depth := 0
	for i, t := range list {
		switch {
		case t.IsSign("("):
			depth++
		case t.IsSign(")"):
			depth--
		case depth == 0 && t.Is(keyword):
			return list[i+1:]
		}
	}
	return list
}

// parenthesised returns what stands in the first pair of parentheses, and what stands behind it.
func parenthesised(list []token) (inside, behind []token) {
	depth, from := 0, 0
	for i, t := range list {
		switch {
		case t.IsSign("("):
			if depth == 0 {
				from = i + 1
			}
			depth++
		case t.IsSign(")"):
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
		switch {
		case t.IsSign("("):
			depth++
		case t.IsSign(")"):
			depth--
		case depth == 0 && t.IsSign(","):
			parts = append(parts, list[from:i])
			from = i + 1
		}
	}
	if from < len(list) {
		parts = append(parts, list[from:])
	}
	return parts
}
