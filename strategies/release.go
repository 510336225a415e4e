package strategies

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
)

// Status is where a release stands.
type Status string

// The statuses of a release.
const (
	Running    Status = "running"     // on its way forward, or cut off on it
	Paused     Status = "paused"      // on request; `release resume` goes on
	Waiting    Status = "waiting"     // for `release promote`
	TurnedBack Status = "turned back" // on its way back, or cut off on it
	Stabilised Status = "stable"      // done: green is the stable version
	RolledBack Status = "rolled back" // everything it did is undone
)

// Final tells whether nothing is left to be done.
func (s Status) Final() bool { return s == Stabilised || s == RolledBack }

// StepState is where one step of a release stands.
type StepState string

// The states of a step.
const (
	Pending StepState = "pending"
	Begun   StepState = "begun"
	Done    StepState = "done"
	Failed  StepState = "failed"
	Undoing StepState = "undoing"
	Stuck   StepState = "stuck" // undoing it failed
	Undone  StepState = "undone"
)

// StepStatus is one step of a release with where it stands.
type StepStatus struct {
	Step
	State StepState `json:"state"`
	At    string    `json:"at,omitempty"`   // when it came to that
	Note  string    `json:"note,omitempty"` // what it made and its hooks said, or why it failed

	fence int64 // of the run that went forward with it; 0 for the one under way
	// Gates are what gates came to in it.
	Gates []Judgement `json:"gates,omitempty"`
}

// Release is a release as replayed from the journal.
type Release struct {
	Plan      Plan         `json:"plan"`
	Began     string       `json:"began"`
	Steps     []StepStatus `json:"steps"`
	Back      bool         `json:"back"`             // it was turned back
	Reason    string       `json:"reason,omitempty"` // why
	Promoted  bool         `json:"promoted"`
	Held      bool         `json:"paused"`
	HeldFor   string       `json:"paused_for,omitempty"` // why, when a gate could not be judged
	AbortedBy string       `json:"aborted_by,omitempty"` // who asked to abort, while that is not heeded yet

	seq      int64           // of the entry with its plan
	by       string          // who began it
	snapshot string          // the ID of the one it took last, whatever became of the step
	told     int64           // the entries up to this one were told to whoever is to know
	entries  []written       // those that the journal has of it after its plan
	heard    map[string]bool // the events that this run has told
	alone    bool            // blue was found to have ended, and somebody was asked
}

// Status tells where the release stands as a whole.
func (r *Release) Status() Status {
	i, open := r.next()
	switch {
	case r.Back && open:
		return TurnedBack
	case r.Back:
		return RolledBack
	case !open:
		return Stabilised
	case r.Held:
		return Paused
	case r.Steps[i].Kind == Promote && !r.Promoted:
		return Waiting
	}
	return Running
}

// next is the step to be done, or undone, next.
func (r *Release) next() (int, bool) {
	if !r.Back {
		for i, s := range r.Steps {
			if s.State != Done {
				return i, true
			}
		}
		return 0, false
	}
	for i := len(r.Steps) - 1; i >= 0; i-- {
		if s := r.Steps[i]; r.Plan.leavesTraces(s.Kind) && s.State != Pending && s.State != Undone {
			return i, true
		}
	}
	return 0, false
}

// request is what somebody asks of a release from another terminal.
type request string

const (
	abort   request = "abort"
	pause   request = "pause"
	resume  request = "resume"
	promote request = "promote"
)

// detail is what a journal entry of a release says.
type detail struct {
	Release string  `json:"release"`
	Plan    *Plan   `json:"plan,omitempty"`    // of the first entry
	Step    int     `json:"step,omitempty"`    // the number of the step, from 1
	Turn    string  `json:"turn,omitempty"`    // why the release is turned back
	Request request `json:"request,omitempty"` // what somebody asked for
	Note    string  `json:"note,omitempty"`    // what the step made
	Hooks   string  `json:"hooks,omitempty"`   // what its hooks said
	// Progress is how far a step that is under way has come.
	Progress string `json:"progress,omitempty"`
	Alone    bool   `json:"alone,omitempty"` // of a pause: blue has ended
	// Gate is what one came to in the step.
	Gate *Judgement `json:"gate,omitempty"`
	// Told says that the events of entries up to that number have arrived where they were to go.
	Told int64 `json:"told,omitempty"`
}

func (d detail) encode() (string, error) {
	data, err := json.Marshal(d)
	return string(data), err
}

// Replay builds the releases from the release entries of a journal, in their order.
func Replay(entries []migrate.Entry) ([]*Release, error) {
	var all []*Release
	byName := map[string]*Release{}
	for _, e := range entries {
		if e.Kind != migrate.ReleaseEntry {
			continue
		}
		var d detail
		if err := json.Unmarshal([]byte(e.Detail), &d); err != nil {
			return nil, fmt.Errorf("read entry %d of the journal: %w", e.Seq, err)
		}
		if d.Plan != nil {
			r := newRelease(*d.Plan, e.Seq, e.Started)
			r.by = e.Actor
			all, byName[d.Release] = append(all, r), r
			continue
		}
		if r := byName[d.Release]; r != nil {
			r.entries = append(r.entries, written{e, d})
			r.apply(e, d)
		}
	}
	return all, nil
}

func newRelease(p Plan, seq int64, began string) *Release {
	r := &Release{Plan: p, Began: began, seq: seq}
	for _, s := range p.Steps {
		r.Steps = append(r.Steps, StepStatus{Step: s, State: Pending})
	}
	return r
}

// apply takes one entry of the release into account.
func (r *Release) apply(e migrate.Entry, d detail) {
	switch {
	case d.Told > 0:
		r.told = max(r.told, d.Told)
	case d.Turn != "":
		r.Back, r.Reason, r.AbortedBy, r.Held, r.HeldFor = true, d.Turn, "", false, ""
	case d.Request == abort:
		r.AbortedBy = e.Actor
	case d.Request == pause:
		r.Held, r.HeldFor, r.alone = true, d.Note, r.alone || d.Alone
	case d.Request == resume:
		r.Held, r.HeldFor = false, ""
	case d.Request == promote:
		r.Promoted = true
	case d.Progress != "" && d.Step > 0 && d.Step <= len(r.Steps):
		r.Steps[d.Step-1].Note = d.Progress
	case d.Gate != nil && d.Step > 0 && d.Step <= len(r.Steps):
		r.Steps[d.Step-1].Gates = append(r.Steps[d.Step-1].Gates, *d.Gate)
	case d.Step > 0 && d.Step <= len(r.Steps):
		r.applyStep(&r.Steps[d.Step-1], e, d)
	}
}

func (r *Release) applyStep(s *StepStatus, e migrate.Entry, d detail) {
	forward := map[migrate.Status]StepState{migrate.Started: Begun, migrate.Done: Done, migrate.Failed: Failed}
	back := map[migrate.Status]StepState{migrate.Started: Undoing, migrate.Done: Undone, migrate.Failed: Stuck}
	states := forward
	if e.Direction == migrate.Back {
		states = back
	} else {
		s.fence = e.Fence
	}
	s.State = states[e.Status]
	if s.State == Begun {
		s.Gates = nil // they are judged anew
	}
	s.At = e.Finished
	if s.At == "" {
		s.At = e.Started
	}
	s.Note = strings.Join(slices.DeleteFunc([]string{d.Note, d.Hooks}, func(n string) bool { return n == "" }), "; ")
	if s.Kind == Snapshot && d.Note != "" && e.Direction == migrate.Forward {
		r.snapshot = d.Note
	}
	if e.Error != "" {
		s.Note = e.Error
	}
}
