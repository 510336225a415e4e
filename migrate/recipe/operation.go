package recipe

import (
	"fmt"
	"strings"
)

// Operation is one change that somebody wants, of the kind its type says. Operations are plain data; their
// String is what Parse reads.
type Operation interface {
	fmt.Stringer
	// on is the table the operation is about, by the name it is given.
	on() Table
	// recipe checks the operation against the model as it is before the change.
	recipe(p *planner) (recipe, error)
}

// recipe is what an operation does in each phase. What several operations on a table share, its triggers
// and its walk, the planner does between the calls.
type recipe interface {
	expand(p *planner) error   // before the triggers are made
	fill(p *planner) error     // once all rows are filled
	index(p *planner) error    // likewise, what never writes a table anew
	ready(p *planner) error    // at the beginning of contract, statement by statement
	contract(p *planner) error // while no trigger of the change is there, together with what puts them back
	settle(p *planner) error   // at the end of contract, statement by statement
	purge(p *planner) error    // once the triggers are gone
}

// spanning is a recipe of which more than the table it is about is kept from others at contract.
type spanning interface{ locks() []Table }

// nothing is a recipe that does nothing; recipes embed it for the phases they have no use for.
type nothing struct{}

func (nothing) expand(*planner) error   { return nil }
func (nothing) fill(*planner) error     { return nil }
func (nothing) index(*planner) error    { return nil }
func (nothing) ready(*planner) error    { return nil }
func (nothing) contract(*planner) error { return nil }
func (nothing) settle(*planner) error   { return nil }
func (nothing) purge(*planner) error    { return nil }

// Table names a table. An empty schema is the one that the engine takes when there is none.
type Table struct{ Schema, Name string }

// String writes the table as Parse reads it. "main" is the schema of engines that have none: it goes without
// saying.
func (t Table) String() string {
	if t.Schema == "" || t.Schema == "main" {
		return word(t.Name)
	}
	return word(t.Schema) + "." + word(t.Name)
}

// word quotes a name where Parse would otherwise read something else.
func word(name string) string {
	for i, r := range name {
		if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 127 || i > 0 && (r >= '0' && r <= '9' || r == '$') {
			continue
		}
		return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	if name == "" {
		return `""`
	}
	return name
}

// Error is the error for an operation that cannot be planned.
type Error struct {
	Operation Operation
	Reason    string
	Next      string // what the user can do about it; may be empty
}

func (e *Error) Error() string {
	text := fmt.Sprintf("plan %s: %s", e.Operation, e.Reason)
	if e.Next != "" {
		text += "\n  state: nothing was written\n  next: " + e.Next
	}
	return text
}
