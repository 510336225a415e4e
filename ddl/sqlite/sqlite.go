// Package sqlite writes scripts for SQLite.
//
//	diff.Result ──newPlan──▶ plan: what is dropped, altered, rebuilt, made ──script──▶ ddl.Script
//
// What SQLite can alter in place is altered; for all else a table is rebuilt, after the twelve steps of
// https://www.sqlite.org/lang_altertable.html: a new table, the rows copied, the old one dropped, the new
// one renamed, and what hung on it made again. Everything is one transaction, so a statement that fails
// leaves the database as it was. Objects are made by the statements that made them in the second
// database, so that the catalogue of a new database has the same text.
package sqlite

import (
	"errors"
	"fmt"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// Writer implements ddl.Writer.
type Writer struct{}

var _ ddl.Writer = Writer{}

// Script implements ddl.Writer. The statements have to run on one connection, and it has to stop at the
// first that fails. The error is for models that are not SQLite's, and for objects without the statement
// that made them.
func (Writer) Script(r *diff.Result) (*ddl.Script, error) {
	for _, d := range []*schema.Database{r.From, r.To} {
		if d.Engine != "" && d.Engine != "sqlite" {
			return nil, fmt.Errorf("a script for SQLite cannot be made of a schema of %s", d.Engine)
		}
	}
	p, err := newPlan(r)
	if err != nil {
		return nil, err
	}
	return p.script()
}

// script writes the plan down, in an order in which nothing is missing or in the way: names of tables,
// views and indexes are of one kind in SQLite, so all drops come before what is made.
func (p *plan) script() (*ddl.Script, error) {
	w := &statements{}
	check := p.foreignKeyCheck()
	if check != nil { // before the indexes go: foreign keys may stand on one
		w.list = append(w.list, check.before()...)
	}
	p.writeDrops(w)
	p.writeRenames(w)
	if err := p.writeTables(w); err != nil {
		return nil, err
	}
	p.writeObjects(w)
	if check != nil {
		w.list = append(w.list, check.after()...)
	}
	p.writeSettings(w)
	return &ddl.Script{Statements: p.framed(w.list), Notes: p.notes}, nil
}

// framed puts the transaction around the statements, and around that what has to be set outside of it.
func (p *plan) framed(list []ddl.Statement) []ddl.Statement {
	out := append([]ddl.Statement(nil), p.first...)
	if len(list) == 0 {
		return out
	}
	p.notes = append(p.notes, "run it on one connection that stops at the first error: sqlite3 -bail FILE < SCRIPT")
	if p.foreignKeysOff {
		out = append(out, ddl.Statement{
			SQL: "PRAGMA foreign_keys = OFF", Outside: true, Frame: true,
			Comment: "Dropping a table would delete its rows first, and foreign keys would act on that. Inside a transaction this has no effect.",
		})
	}
	out = append(out, ddl.Statement{SQL: "BEGIN IMMEDIATE", Outside: true, Frame: true, Comment: "All or nothing: until COMMIT nobody sees any of it."})
	out = append(append(out, list...), ddl.Statement{SQL: "COMMIT", Frame: true})
	if p.foreignKeysOff {
		out = append(out, ddl.Statement{
			SQL: "PRAGMA foreign_keys = ON", Outside: true, Frame: true,
			Comment: "Of this connection only. Leave it out where they were off before.",
		})
	}
	return out
}

// statements are those of a script in the making.
type statements struct{ list []ddl.Statement }

func (w *statements) add(sql, comment string) {
	w.list = append(w.list, ddl.Statement{SQL: sql, Comment: comment})
}

// destroy adds a statement by which something is lost; the comment says what.
func (w *statements) destroy(sql, comment string) {
	w.list = append(w.list, ddl.Statement{SQL: sql, Comment: comment, Destroys: true})
}

// errNoSource is the error for an object without the statement that made it.
var errNoSource = errors.New("the schema does not hold the statement that made it")
