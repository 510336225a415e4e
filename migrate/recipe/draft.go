package recipe

import (
	"github.com/switchbackdb/switchback/migrate"
)

// Draft is a planned change that is not written yet.
type Draft struct {
	Operations []Operation
	Notes      []string // what the reader has to know; they stand at the head of the first script
	Checks     []Check  // questions to the target's rows
	scripts    map[migrate.Phase]*Scripts
}

// Phase returns the scripts of a phase, or nil when the change does nothing in it.
func (d *Draft) Phase(p migrate.Phase) *Scripts {
	if s := d.scripts[p]; s != nil && len(s.Forward)+len(s.Back) > 0 {
		return s
	}
	return nil
}

// Scripts are a phase's pair.
type Scripts struct {
	Forward []Statement
	Back    []Statement // in the order in which they run: the last step's first
}

// step adds what one step runs forward, and what takes it back.
func (s *Scripts) step(forward, back []Statement) {
	s.Forward = append(s.Forward, forward...)
	s.Back = append(append([]Statement(nil), back...), s.Back...)
}

// Statement is one statement of a script.
type Statement struct {
	SQL       string
	Why       string   // why it is safe, or what is lost by it
	Effect    string   // what it locks and touches
	Destroys  bool     // rows or a definition are lost by it
	Outside   bool     // the engine refuses it inside a transaction
	Batch     *Batch   // it runs in batches
	Assert    string   // it is a query that must find nothing; this says what it means when it does
	Together  bool     // it takes effect with its neighbours that are marked too, or none does
	Locks     []string // tables that nobody else reads or writes while its neighbours and it run
	Unchecked bool     // it wants SQLite's foreign keys off
	Resumed   bool     // it runs only in a step that was interrupted and is taken up again
}

// Batch is how a statement with the placeholder :batch walks over a table.
type Batch struct {
	Table string
	Key   []string
}
