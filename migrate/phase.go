package migrate

import "fmt"

// Phase is a part of a change that runs on its own.
type Phase string

// The phases, in the order in which they run.
const (
	Expand   Phase = "expand"   // adds; nothing the running version uses breaks
	Backfill Phase = "backfill" // fills what was added, in batches
	Contract Phase = "contract" // removes the old shape, into the attic
	Purge    Phase = "purge"    // empties the attic; there is no way back but a snapshot
)

// Phases returns the phases in the order in which they run.
func Phases() []Phase { return []Phase{Expand, Backfill, Contract, Purge} }

// ParsePhase returns the phase of that name.
func ParsePhase(name string) (Phase, error) {
	for _, p := range Phases() {
		if string(p) == name {
			return p, nil
		}
	}
	return "", fmt.Errorf("unknown phase %q: it is one of expand, backfill, contract, purge", name)
}

// order is the phase's place among the phases.
func (p Phase) order() int {
	for i, q := range Phases() {
		if p == q {
			return i
		}
	}
	return -1
}

// Direction says whether a step goes forward or back.
type Direction string

// The directions.
const (
	Forward Direction = "forward"
	Back    Direction = "rollback"
)
