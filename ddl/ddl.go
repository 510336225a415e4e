// Package ddl writes the SQL script that turns one schema into another.
//
//	diff.Result ──Writer of the engine (ddl/postgres, ddl/mysql, ddl/sqlite)──▶ []Step ──Order──▶ Script ──▶ text
//
// A writer turns each change into steps that name what has to come before them; Order puts them in an
// order in which that holds, the same one each time. Nothing here talks to a database: what a writer knows
// is in the two models.
package ddl

import (
	"github.com/switchbackdb/switchback/diff"
)

// Writer writes scripts for an engine.
type Writer interface {
	// Script turns the first schema of the comparison into the second. What no script can do, such as
	// changing a database's encoding, is in the script's notes.
	Script(r *diff.Result) (*Script, error)
}

// Script turns one schema into another.
type Script struct {
	Statements []Statement
	Notes      []string // what the script cannot do, or the reader has to know; they stand at its head
}

// Statement is one statement of a script.
type Statement struct {
	SQL     string // without the semicolon
	Comment string // why it is safe, or what is lost by it; may be empty, may have several lines
	// Destroys is set when rows or a definition are lost by it. Such a statement always has a comment.
	Destroys bool
	// Outside is set when the engine refuses the statement inside a transaction.
	Outside bool
	// Frame is set when the statement changes no object: it makes the session or the transaction as the others
	// want it. What runs the script in a session and transactions of its own leaves it out.
	Frame bool
}

// Step is statements about one object that belong together.
type Step struct {
	ID         string   // unique in its script, such as "create table public.orders"
	Rank       int      // steps that depend on each other in no way are ordered by rank, then by ID
	After      []string // the IDs of steps that have to come before it; those that are not in the script do not matter
	Statements []Statement
}
