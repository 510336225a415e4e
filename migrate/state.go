package migrate

import (
	"fmt"
	"slices"
	"time"
)

// State is where every change stands on a target, as replayed from its journal.
type State struct {
	applied     []Applied // in the order in which they were applied
	undone      []Applied // what was rolled back, in the order of the rollback, while nothing new was applied since
	interrupted *Entry    // the phase entry of a step that neither finished nor was taken back
}

// Applied is a phase of a change that took effect on the target.
type Applied struct {
	Change   string
	Phase    Phase
	At       string  // when it was finished, UTC
	Seq      int64   // its journal entry
	After    string  // the catalogue's fingerprint afterwards
	Before   string  // and before
	Script   *string // the script that ran; nil when scripts were not read
	Rollback *string // the script that undoes it; nil when there is none
	Adopted  bool    // applied by another tool
}

// Replay builds the state from the phase and adopt entries of a journal, in their order.
func Replay(entries []Entry) *State {
	s := &State{}
	for i := range entries {
		e := &entries[i]
		if e.Kind != PhaseEntry && e.Kind != AdoptEntry {
			continue
		}
		switch {
		case e.Status == Started || e.Status == Failed:
			s.interrupted = e
			continue
		case s.interrupted != nil && s.interrupted.Change == e.Change && s.interrupted.Phase == e.Phase:
			s.interrupted = nil
		}
		if e.Status != Done {
			continue
		}
		if e.Direction == Back {
			s.rollBack(e)
		} else {
			s.apply(e)
		}
	}
	return s
}

func (s *State) apply(e *Entry) {
	same := func(a Applied) bool { return a.Change == e.Change && a.Phase == e.Phase }
	if slices.ContainsFunc(s.undone, same) {
		s.undone = slices.DeleteFunc(s.undone, same)
	} else {
		// As after an edit nothing can be redone: what was given up before a new step stays given up.
		s.undone = nil
	}
	s.applied = append(s.applied, Applied{
		Change: e.Change, Phase: e.Phase, At: e.Finished, Seq: e.Seq, Before: e.Before, After: e.After,
		Script: e.Script, Rollback: e.Rollback, Adopted: e.Kind == AdoptEntry,
	})
}

func (s *State) rollBack(e *Entry) {
	for i := len(s.applied) - 1; i >= 0; i-- {
		if a := s.applied[i]; a.Change == e.Change && a.Phase == e.Phase {
			s.undone = append(s.undone, a)
			s.applied = slices.Delete(s.applied, i, i+1)
			return
		}
	}
}

// Applied returns what is applied, in the order in which it was.
func (s *State) Applied() []Applied { return slices.Clone(s.applied) }

// Undone returns what was rolled back and not applied again, in the order of the rollback.
func (s *State) Undone() []Applied { return slices.Clone(s.undone) }

// Interrupted returns the entry of a step that was begun and neither finished nor taken back, or nil.
func (s *State) Interrupted() *Entry { return s.interrupted }

// Of returns the applied phase of a change, or nil.
func (s *State) Of(change string, phase Phase) *Applied {
	for i := range s.applied {
		if s.applied[i].Change == change && s.applied[i].Phase == phase {
			return &s.applied[i]
		}
	}
	return nil
}

// Last returns the last phase in its order that is applied of a change, and whether there is one.
func (s *State) Last(change string) (Phase, bool) {
	var last Phase
	found := false
	for _, a := range s.applied {
		if a.Change == change && (!found || a.Phase.order() > last.order()) {
			last, found = a.Phase, true
		}
	}
	return last, found
}

// Changes returns the IDs of the changes of which something is applied, in the order in which their
// first phase was applied.
func (s *State) Changes() []string {
	var ids []string
	for _, a := range s.applied {
		if !slices.Contains(ids, a.Change) {
			ids = append(ids, a.Change)
		}
	}
	return ids
}

// Step is one phase of one change, to be run forward or back.
type Step struct {
	Change    string
	Phase     Phase
	Direction Direction
	Script    Script  // what runs
	Rollback  *Script // what undoes it, to be recorded; nil when there is none or when it runs back
	resume    *Entry  // the entry to go on with, when the step was interrupted
}

func (s Step) String() string {
	if s.Change == "" {
		return "the journal"
	}
	if s.Direction == Back {
		return fmt.Sprintf("roll back %s of %s", s.Phase, s.Change)
	}
	return fmt.Sprintf("%s of %s", s.Phase, s.Change)
}

// parseTime reads a time of the journal.
func parseTime(text string) (time.Time, error) { return time.Parse(time.RFC3339Nano, text) }
