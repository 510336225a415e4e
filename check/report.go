package check

import (
	"cmp"
	"slices"
	"time"
)

// Report is what one run of the gate found.
type Report struct {
	Engine   string    `json:"engine"`
	Changes  []string  `json:"changes"` // that were looked at, in their order
	Parts    []Part    `json:"parts"`
	Started  time.Time `json:"started"`
	Hidden   int       `json:"hidden,omitempty"` // findings that a baseline knew
	Silenced []Silence `json:"silenced,omitempty"`
}

// Part is one part of the gate.
type Part struct {
	Name     string        `json:"name"`              // lint, rollback, workload, release
	Skipped  string        `json:"skipped,omitempty"` // why it did not run
	Looked   string        `json:"looked,omitempty"`  // what it looked at: 214 statements, 31 of them on a scratch copy
	Took     time.Duration `json:"took"`              // in nanoseconds
	Findings []Finding     `json:"findings"`
}

// Silence is a finding that was switched off, with the reason that was given.
type Silence struct {
	Finding Finding `json:"finding"`
	Reason  string  `json:"reason"`
}

// Findings returns those of all parts, ordered by file, line and rule.
func (r *Report) Findings() []Finding {
	var all []Finding
	for _, p := range r.Parts {
		all = append(all, p.Findings...)
	}
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Place.File, b.Place.File), cmp.Compare(a.Place.Line, b.Place.Line),
			cmp.Compare(a.Place.Column, b.Place.Column), cmp.Compare(a.Rule, b.Rule))
	})
	return all
}

// Count returns how many findings have the severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings() {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Passed says whether the gate is open: no error was found. What was skipped is for the caller to judge.
func (r *Report) Passed() bool { return r.Count(Error) == 0 }
