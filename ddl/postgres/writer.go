package postgres

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// Writer implements ddl.Writer for PostgreSQL 15 and later.
type Writer struct {
	Alone bool // nobody else is in the database: indexes need not be built so that others can write meanwhile
}

var _ ddl.Writer = Writer{}

// head are the settings a script begins with.
func head() []ddl.Statement {
	return []ddl.Statement{
		{Frame: true, SQL: "SET lock_timeout = '2s'", Comment: "No statement waits longer for a lock: nobody queues up behind it. Run the script again when one fails."},
		{Frame: true, SQL: "SET search_path = ''", Comment: "All names are written with their schema."},
		{Frame: true, SQL: "SET check_function_bodies = off", Comment: "A function may use what is made after it."},
	}
}

// Script implements ddl.Writer.
func (w Writer) Script(r *diff.Result) (*ddl.Script, error) {
	script := &ddl.Script{}
	if r.Same() {
		return script, nil
	}
	script.Statements = head()
	for _, rename := range r.Renames {
		s, err := renameStatement(r, rename)
		if err != nil {
			return nil, err
		}
		script.Statements = append(script.Statements, s)
	}
	p := newPlan(r)
	p.alone = w.Alone
	p.spread()
	steps, err := ddl.Order(p.steps())
	if err != nil {
		return nil, fmt.Errorf("put the statements of the script in order: %w", err)
	}
	for _, s := range steps {
		script.Statements = append(script.Statements, s.Statements...)
	}
	script.Notes = p.notes
	return script, nil
}

func renameStatement(r *diff.Result, n diff.Rename) (ddl.Statement, error) {
	const comment = "A confirmed rename."
	to := Identifier(n.To)
	switch n.Kind {
	case schema.KindTable:
		return ddl.Statement{SQL: "ALTER TABLE " + qualified(n.Schema, n.From) + " RENAME TO " + to, Comment: comment}, nil
	case schema.KindView:
		noun := "VIEW"
		if s := r.To.Schema(n.Schema); s != nil && s.View(n.To) != nil {
			noun = viewNoun(s.View(n.To))
		}
		return ddl.Statement{SQL: "ALTER " + noun + " " + qualified(n.Schema, n.From) + " RENAME TO " + to, Comment: comment}, nil
	case schema.KindIndex:
		return ddl.Statement{SQL: "ALTER INDEX " + qualified(n.Schema, n.From) + " RENAME TO " + to, Comment: comment}, nil
	case schema.KindColumn:
		return ddl.Statement{SQL: "ALTER TABLE " + qualified(n.Schema, n.Parent) + " RENAME COLUMN " + Identifier(n.From) + " TO " + to, Comment: comment}, nil
	case diff.KindLabel:
		return ddl.Statement{SQL: "ALTER TYPE " + qualified(n.Schema, n.Parent) + " RENAME VALUE " + Literal(n.From) + " TO " + Literal(n.To), Comment: comment}, nil
	}
	return ddl.Statement{}, fmt.Errorf("rename %s: objects of kind %s cannot be renamed", n, n.Kind)
}

// part names a part of a table or view as keys do.
func part(parent, name string) string { return parent + "." + name }

// lines writes a list one to a line, between brackets.
func lines(list []string) string { return "(\n  " + strings.Join(list, ",\n  ") + "\n)" }
