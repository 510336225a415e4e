package strategies

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// EventType says what happened.
type EventType string

// The types of event. Those of steps come with the step, those of gates with the gate.
const (
	ReleaseBegun      EventType = "release.begun"
	ReleasePaused     EventType = "release.paused"      // somebody asked for it
	ReleaseHeld       EventType = "release.held"        // a gate had no data: a person decides
	ReleaseResumed    EventType = "release.resumed"     // somebody asked for it
	ReleaseWaiting    EventType = "release.waiting"     // for `release promote`
	ReleasePromoted   EventType = "release.promoted"    // somebody let it past that
	ReleaseAborted    EventType = "release.aborted"     // somebody asked the run under way to turn back
	ReleaseTurnedBack EventType = "release.turned-back" // the way back begins
	ReleaseStable     EventType = "release.stable"      // green is the stable version: the end
	ReleaseRolledBack EventType = "release.rolled-back" // everything is undone: the end
	StepBegun         EventType = "step.begun"
	StepProgressed    EventType = "step.progressed"
	StepDone          EventType = "step.done"
	StepFailed        EventType = "step.failed"
	StepUndoing       EventType = "step.undoing"
	StepUndone        EventType = "step.undone"
	StepStuck         EventType = "step.stuck" // undoing it failed: a person is needed
	GatePassed        EventType = "gate.passed"
	GateFailed        EventType = "gate.failed"
	GateUndecided     EventType = "gate.undecided" // it had no data, and the release is held
	TrafficMoved      EventType = "traffic.moved"
)

// Event is one thing that happened to a release. It is made from the journal alone, so that it is the same whenever, and
// by whichever run, it is told.
type Event struct {
	ID          string    `json:"id"` // tells repeats from news: of the release, its entry in the journal and the type
	Type        EventType `json:"type"`
	At          string    `json:"at"`    // UTC by the target's clock, in RFC 3339 form
	Entry       int64     `json:"entry"` // its number in the journal
	By          string    `json:"by,omitempty"`
	Release     string    `json:"release"`
	Application string    `json:"application"`
	Version     string    `json:"version"`
	Stable      string    `json:"stable,omitempty"` // the version before
	Strategy    string    `json:"strategy"`
	Status      Status    `json:"status"` // of the release from then on
	Step        string    `json:"step,omitempty"`
	Number      int       `json:"number,omitempty"`  // of the step, from 1
	Of          int       `json:"of,omitempty"`      // how many steps there are
	Attempt     int       `json:"attempt,omitempty"` // at the step in this direction, from 1: one that was cut off is done again
	Seconds     float64   `json:"seconds,omitempty"` // that the step took so far
	Share       *int      `json:"share,omitempty"`   // of new requests that the candidate gets from then on, in percent
	Gate        string    `json:"gate,omitempty"`
	Note        string    `json:"note,omitempty"` // what a step made, what a gate said, why a release was turned back or held
	Error       string    `json:"error,omitempty"`

	Earlier bool `json:"-"` // it happened before the run that tells it
	Told    bool `json:"-"` // the journal says that it was told by an earlier run
}

// Took is how long the event's step took so far.
func (e Event) Took() time.Duration { return time.Duration(e.Seconds * float64(time.Second)) }

// Observer is told how releases go on.
type Observer interface {
	// ReleaseEvent is called from the machine's goroutine, once for each event, in order: at first for those of earlier
	// runs of the release. It must return quickly.
	ReleaseEvent(e Event)
}

// written is an entry of the journal about a release, with what it says.
type written struct {
	migrate.Entry
	detail detail
}

// isStep tells whether the entry is about a step, which is begun and, later, finished.
func (w written) isStep() bool {
	return w.detail.Step > 0 && w.detail.Progress == "" && w.detail.Gate == nil
}

// moments takes entries apart into what was known when they were written, and when they were finished, in the order of time.
func moments(entries []written) []written {
	var list []written
	for _, w := range entries {
		if w.isStep() && w.Status != migrate.Started {
			begun := w
			begun.Status, begun.Finished, begun.Error = migrate.Started, "", ""
			begun.detail = detail{Release: w.detail.Release, Step: w.detail.Step}
			list = append(list, begun)
		}
		list = append(list, w)
	}
	slices.SortStableFunc(list, func(a, b written) int { return strings.Compare(a.at(), b.at()) })
	return list
}

// at is when the entry came to what it says.
func (w written) at() string {
	if w.Finished != "" {
		return w.Finished
	}
	return w.Started
}

// Events returns all that happened to the release, in order. It is for a release that was replayed.
func (r *Release) Events() []Event {
	t := teller{now: newRelease(r.Plan, r.seq, r.Began), told: r.told, tries: map[attempt]int{}, begun: map[int]string{}}
	t.add(ReleaseBegun, written{Entry: migrate.Entry{Seq: r.seq, Started: r.Began, Actor: r.by}}, nil)
	for _, w := range moments(r.entries) {
		t.hear(w)
	}
	return t.list
}

// attempt is a step taken in one direction.
type attempt struct {
	step      int
	direction migrate.Direction
}

// teller makes events of what the journal says, entry by entry.
type teller struct {
	now   *Release
	told  int64
	list  []Event
	share int // that the candidate gets now; -1 when that is not known
	tries map[attempt]int
	begun map[int]string // when each step was begun last
}

// hear takes one moment into account.
func (t *teller) hear(w written) {
	before := t.now.Status()
	t.now.apply(w.Entry, w.detail)
	switch d := w.detail; {
	case d.Told > 0:
	case d.Turn != "":
		t.add(ReleaseTurnedBack, w, func(e *Event) { e.Note = d.Turn })
	case d.Request != "":
		t.request(w)
	case d.Step > 0 && d.Step <= len(t.now.Steps):
		t.step(w)
	}
	ends := map[Status]EventType{Waiting: ReleaseWaiting, Stabilised: ReleaseStable, RolledBack: ReleaseRolledBack}
	if after := t.now.Status(); after != before && ends[after] != "" {
		t.add(ends[after], w, nil)
	}
}

func (t *teller) request(w written) {
	types := map[request]EventType{abort: ReleaseAborted, pause: ReleasePaused, resume: ReleaseResumed, promote: ReleasePromoted}
	what := types[w.detail.Request]
	if what == ReleasePaused && w.detail.Note != "" {
		what = ReleaseHeld
	}
	t.add(what, w, func(e *Event) { e.Note = w.detail.Note })
}

func (t *teller) step(w written) {
	d := w.detail
	s := t.now.Steps[d.Step-1]
	switch {
	case d.Gate != nil:
		types := map[Ruling]EventType{Passed: GatePassed, Refused: GateFailed, Undecided: GateUndecided}
		t.add(types[d.Gate.Ruling], w, func(e *Event) { e.Gate, e.Note = d.Gate.Gate, d.Gate.Says })
		return
	case d.Progress != "":
		t.add(StepProgressed, w, func(e *Event) { e.Note = d.Progress })
		return
	case w.Status == migrate.Started:
		t.tries[attempt{d.Step, w.Direction}]++
		t.begun[d.Step] = w.Started
	}
	types := map[StepState]EventType{
		Begun: StepBegun, Done: StepDone, Failed: StepFailed, Undoing: StepUndoing, Undone: StepUndone, Stuck: StepStuck,
	}
	t.add(types[s.State], w, func(e *Event) {
		e.Error = w.Error
		if w.Error == "" {
			e.Note = s.Note
		}
	})
	t.traffic(s, w)
}

// traffic tells of traffic that a step has moved. All of it goes back with the first shift that is undone.
func (t *teller) traffic(s StepStatus, w written) {
	share := s.Weight
	switch {
	case s.Kind == Roll:
		share = totalWeight
	case s.Kind != Shift:
		return
	}
	switch {
	case s.State == Failed:
		t.share = -1
		return
	case s.State == Undone && t.now.Plan.Blue != nil:
		share = 0
	case s.State != Done:
		return
	}
	if share == t.share {
		return
	}
	t.share = share
	t.add(TrafficMoved, w, func(e *Event) { e.Share = &share })
}

// add appends an event; more puts in what is its type's.
func (t *teller) add(what EventType, w written, more func(*Event)) {
	r := t.now
	e := Event{
		Type: what, At: w.at(), Entry: w.Seq, By: w.Actor, Release: r.Plan.Release, Application: r.Plan.Application,
		Version: r.Plan.Candidate.Name, Strategy: r.Plan.Strategy, Status: r.Status(), Of: len(r.Steps), Told: w.Seq <= t.told,
	}
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d\x00%s", e.Application, e.Release, r.Began, w.Seq, what))
	e.ID = hex.EncodeToString(h[:8])
	if r.Plan.Blue != nil {
		e.Stable = r.Plan.Blue.Version
	}
	if n := w.detail.Step; n > 0 && n <= len(r.Steps) {
		e.Step, e.Number = r.Steps[n-1].String(), n
		e.Attempt = t.tries[attempt{n, orForward(w.Direction, r.Back)}]
		e.Seconds = between(t.begun[n], e.At).Seconds()
	}
	if more != nil {
		more(&e)
	}
	t.list = append(t.list, e)
}

// orForward is the direction of an entry; notes in the midst of a step have none of their own.
func orForward(d migrate.Direction, back bool) migrate.Direction {
	switch {
	case d != "":
		return d
	case back:
		return migrate.Back
	}
	return migrate.Forward
}

// between is the time from one moment of the journal to another.
func between(from, to string) time.Duration {
	a, err := time.Parse(time.RFC3339Nano, from)
	if err != nil {
		return 0
	}
	b, err := time.Parse(time.RFC3339Nano, to)
	if err != nil {
		return 0
	}
	return max(b.Sub(a), 0)
}
