package migrate

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// ForwardOptions says which pending phases to run.
type ForwardOptions struct {
	Phases          []Phase // the phases to run, in order; change by change
	To              string  // the last change to take along; empty for all
	AllowOutOfOrder bool    // run a pending change although a later one is applied
	Now             string  // the server's clock, for the retention of the attic; empty to ignore retention
}

// PlanForward returns the steps that the pending changes of the folder need. It refuses what should
// not run: changes whose scripts were edited after they were applied, changes applied here that the
// folder does not have, pending changes older than an applied one.
func PlanForward(f *Folder, s *State, o ForwardOptions) ([]Step, error) {
	if err := checkApplied(f, s); err != nil {
		return nil, err
	}
	if o.To != "" && f.Change(o.To) == nil {
		return nil, &FolderError{Path: f.Path, Reason: fmt.Sprintf("has no change %q", o.To), Next: "switchback status"}
	}
	if err := checkOrder(f, s, o); err != nil {
		return nil, err
	}
	var steps []Step
	for _, c := range f.Changes {
		if o.To != "" && c.ID > o.To {
			break
		}
		more, err := planChange(c, s, o)
		if err != nil {
			return nil, err
		}
		steps = append(steps, more...)
	}
	return steps, nil
}

// planChange returns the steps of one change: those of the wanted phases that are pending and whose
// earlier phases are applied or run before them.
func planChange(c *Change, s *State, o ForwardOptions) ([]Step, error) {
	var steps []Step
	complete := true // all phases so far are applied or planned
	for _, p := range c.Phases() {
		if s.Of(c.ID, p) != nil {
			continue
		}
		if !slices.Contains(o.Phases, p) {
			complete = false
			continue
		}
		if !complete {
			// Purge and contract of a change that is not that far yet simply wait for their turn.
			continue
		}
		if p == Purge {
			if err := retained(c, s, o.Now); err != nil {
				return nil, err
			}
		}
		pair, _ := c.Pair(p)
		steps = append(steps, Step{Change: c.ID, Phase: p, Direction: Forward, Script: pair.Forward, Rollback: pair.Rollback})
	}
	return steps, nil
}

// retained refuses to purge an attic before its time.
func retained(c *Change, s *State, now string) error {
	a := s.Of(c.ID, Contract)
	if a == nil || now == "" {
		return nil
	}
	at, err := parseTime(a.At)
	if err != nil {
		return fmt.Errorf("read when %s was contracted: %w", c.ID, err)
	}
	clock, err := parseTime(now)
	if err != nil {
		return fmt.Errorf("read the server's clock: %w", err)
	}
	if until := at.Add(c.Retention()); clock.Before(until) {
		return fmt.Errorf("purge of %s: its attic is kept until %s\n  state: nothing was changed\n  next: wait, or: switchback purge --now", c.ID, until.Format(time.RFC3339))
	}
	return nil
}

// checkApplied compares what was applied with what the folder holds now.
func checkApplied(f *Folder, s *State) error {
	for _, a := range s.applied {
		c := f.Change(a.Change)
		if c == nil {
			return &FolderError{Path: f.Path, Reason: fmt.Sprintf("change %s is applied on the target, but not in the folder", a.Change), Next: "use the version of the code that has it, or take it back with: switchback rollback"}
		}
		pair, ok := c.Pair(a.Phase)
		if !ok && !a.Adopted {
			return &FolderError{Path: c.Path, Reason: fmt.Sprintf("%s was applied, but its script is gone", a.Phase), Next: "bring the script back; changes that are applied are not edited, write a new one"}
		}
		if a.Script != nil && !a.Adopted && *a.Script != pair.Forward.SQL {
			return &FolderError{Path: pair.Forward.Path, Reason: "was edited after it was applied", Next: "bring it back as it was, and write a new change; or switchback rollback, then run it as it is now"}
		}
	}
	return nil
}

// checkOrder refuses pending changes that are older than one of which something is applied.
func checkOrder(f *Folder, s *State, o ForwardOptions) error {
	if o.AllowOutOfOrder {
		return nil
	}
	newest := ""
	for _, a := range s.applied {
		newest = max(newest, a.Change)
	}
	var late []string
	for _, c := range f.Changes {
		if _, any := s.Last(c.ID); !any && c.ID < newest {
			late = append(late, c.ID)
		}
	}
	if len(late) > 0 {
		return &FolderError{Path: f.Path, Reason: fmt.Sprintf("out of order: %s would run after %s, which is applied already", strings.Join(late, ", "), newest), Next: "give it a newer number, or: --allow-out-of-order"}
	}
	return nil
}

// BackOptions says how far to roll back.
type BackOptions struct {
	LastPhase bool   // only the last phase of the newest change
	To        string // CHANGE or CHANGE:PHASE to go back to; "0" for everything; empty for the newest change
	// Only chooses what to roll back, instead of the other options. Phases that were applied to other
	// changes since are in the way.
	Only func(Applied) bool
}

// PlanBack returns the steps that roll back, newest first, with the scripts recorded in the journal
// when the phases were applied: the folder may have changed since, or be that of an older version.
func PlanBack(s *State, o BackOptions) ([]Step, error) {
	undo, err := chooseBack(s, o)
	if err != nil {
		return nil, err
	}
	if o.Only != nil {
		undo = o.Only
		if err := inTheWay(s, undo); err != nil {
			return nil, err
		}
	}
	var steps []Step
	for _, a := range slices.Backward(s.applied) {
		if !undo(a) {
			continue
		}
		step, err := backStep(a)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// inTheWay refuses to undo phases below ones of other changes that were applied on top of them.
func inTheWay(s *State, undo func(Applied) bool) error {
	mine := map[string]bool{}
	for _, a := range s.applied {
		switch {
		case undo(a):
			mine[a.Change] = true
		case len(mine) > 0 && !mine[a.Change]:
			return fmt.Errorf("%s of %s was applied since, on top of it\n  state: nothing of this step was changed\n  next: switchback rollback, to take %s back first", a.Phase, a.Change, a.Change)
		}
	}
	return nil
}

// chooseBack returns which of the applied phases are to be rolled back.
func chooseBack(s *State, o BackOptions) (func(Applied) bool, error) {
	changes := s.Changes()
	if len(changes) == 0 {
		return func(Applied) bool { return false }, nil
	}
	newest := changes[len(changes)-1]
	switch {
	case o.To == "0":
		return func(Applied) bool { return true }, nil
	case o.To != "":
		return chooseTo(s, changes, o.To)
	case o.LastPhase:
		last, _ := s.Last(newest)
		return func(a Applied) bool { return a.Change == newest && a.Phase == last }, nil
	}
	return func(a Applied) bool { return a.Change == newest }, nil
}

// chooseTo chooses all changes whose first phase came after that of the named one, and of that one the
// phases behind the named phase. Phases of several changes may have been applied by turns, as a
// release does that expands them all before it contracts the first.
func chooseTo(s *State, changes []string, to string) (func(Applied) bool, error) {
	change, phase, hasPhase := strings.Cut(to, ":")
	keep := Purge
	if hasPhase {
		var err error
		if keep, err = ParsePhase(phase); err != nil {
			return nil, err
		}
	}
	at := slices.Index(changes, change)
	if at < 0 || hasPhase && s.Of(change, keep) == nil {
		return nil, fmt.Errorf("roll back to %s: it is not applied\n  state: nothing was changed\n  next: switchback status", to)
	}
	return func(a Applied) bool {
		if a.Change == change {
			return a.Phase.order() > keep.order()
		}
		return slices.Index(changes, a.Change) > at
	}, nil
}

func backStep(a Applied) (Step, error) {
	step := Step{Change: a.Change, Phase: a.Phase, Direction: Back}
	if a.Rollback == nil {
		if a.Phase == Backfill {
			step.Script = Script{Path: "journal"}
			return step, nil
		}
		return Step{}, fmt.Errorf("roll back %s of %s: there is no rollback script for it\n  state: nothing was changed\n  next: switchback snapshot restore, or write a new change", a.Phase, a.Change)
	}
	script, err := ParseScript("journal", *a.Rollback)
	step.Script = script
	return step, err
}

// PlanAgain returns the steps that run again what was rolled back, with the recorded scripts.
func PlanAgain(s *State) ([]Step, error) {
	var steps []Step
	for i := len(s.undone) - 1; i >= 0; i-- {
		a := s.undone[i]
		if a.Script == nil {
			continue
		}
		step := Step{Change: a.Change, Phase: a.Phase, Direction: Forward}
		var err error
		if step.Script, err = ParseScript("journal", *a.Script); err != nil {
			return nil, err
		}
		if a.Rollback != nil {
			back, err := ParseScript("journal", *a.Rollback)
			if err != nil {
				return nil, err
			}
			step.Rollback = &back
		}
		steps = append(steps, step)
	}
	return steps, nil
}
