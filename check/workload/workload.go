// Package workload reads what an application asks its database: files of queries, slow query logs, and what a server
// remembers of the statements it ran. The proof that both versions of an application work (check/proof) asks it all
// again in every phase of a change.
//
//	queries.sql ─ split as the engine does ──────────────┐
//	slow query log ─ one of each shape ──────────────────┼─▶ []Query
//	pg_stat_statements, statement digests (a Memory) ────┤
//	what a proxy saw (a Recording) ─▶ recorded.sql ──────┘
//
// What was recalled, from a log or by a server, holds the data of the people who use the application, or has lost
// what a constant was. So such a Query is shown without its constants, and is allowed not to be understood.
package workload

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
)

// Query is one query of a version of the application.
type Query struct {
	Name string // from a comment "-- name: …" above it; may be empty
	Text string // with its parameters: $1, ?, :name
	// Shown is what people get to see of it; empty for Text.
	Shown string
	File  string // or what remembered it
	Line  int
	// Recalled tells that a log or a server remembered it: where it does not work before any change, that says nothing
	// of the application.
	Recalled bool
}

// Display is the query as people may see it.
func (q Query) Display() string {
	if q.Shown != "" {
		return q.Shown
	}
	return q.Text
}

// Load is what the two versions of the application ask: blue runs now, green is to come.
type Load struct {
	Blue, Green []Query
}

// Memory is what a server remembers of the statements that it ran in a database.
type Memory struct {
	From    string // what remembers: "pg_stat_statements"
	Queries []Query
	// Hidden is how many there are that the role may not see, or that are cut short.
	Hidden int
}

// Add takes a statement in, with what people may see of it, when it is one that an application asks.
func (m *Memory) Add(engine migrate.Engine, text, shown string) {
	if Asks(text) && !asksServer(engine, text) {
		m.Queries = append(m.Queries, Query{Text: text, Shown: shown, File: m.From, Recalled: true})
	}
}

// asksServer tells whether a statement asks the server about itself, or is one of ours.
func asksServer(engine migrate.Engine, text string) bool {
	list := sqltoken.Split(text, sqltoken.Of(string(engine)))
	for i, t := range list {
		name := strings.ToLower(t.Name)
		followed := func(sign string) bool { return i+1 < len(list) && list[i+1].IsSign(sign) }
		switch {
		case t.IsSign("@") && followed("@"): // a setting
			return true
		case !t.IsName():
		case name == "switchback", strings.HasPrefix(name, "switchback_"):
			return true
		case followed(".") && slices.Contains([]string{"pg_catalog", "information_schema", "performance_schema", "mysql", "sys"}, name):
			return true
		case engine == migrate.Postgres && strings.HasPrefix(name, "pg_") && !followed("("): // pg_sleep(1) is the application's
			return true
		}
	}
	return false
}

// Distinct leaves out queries that say the same but for white space or, of recalled ones, constants: an application
// that was recorded asks the same over and over.
func Distinct(list []Query) []Query {
	seen := map[string]bool{}
	var out []Query
	for _, q := range list {
		key := strings.Join(strings.Fields(q.Display()), " ")
		if !seen[key] {
			out = append(out, q)
		}
		seen[key] = true
	}
	return out
}

// Asks tells whether a statement is one that an application asks of its tables, rather than one that changes them, or
// a session.
func Asks(statement string) bool {
	switch migrate.Keyword(strings.TrimLeft(statement, "( \t\r\n"), 0) {
	case "SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE":
		return true
	}
	return false
}

// Access is how a query reaches the rows of a table.
type Access struct {
	Table string // by its alias in the query, where it has one
	Index string // the indexes by which rows may be looked up; empty where only the whole table can be read
}
