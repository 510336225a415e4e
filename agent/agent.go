// Package agent keeps service discovery in step with the containers of a machine, and a reverse proxy in step with
// service discovery.
//
//	containers ──▶ Registrar ──▶ registry ──▶ Renderer ──▶ proxy
//
// The two halves share nothing but the registry, and each runs without the other. Neither trusts an event: an event
// says that it is time to look, and what is done follows from the whole of what is seen then. So a lost event, a
// dropped connection or a restart costs time and nothing else.
//
// An agent's entries carry its name, and hang on its being alive where the registry can do that. It changes and
// removes no other: what a release registered is the release's, which also may take over a key of the agent's.
package agent

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// ErrSuperseded is returned when another agent of the same name has come to the registry: this one must stop.
var ErrSuperseded = errors.New("another agent of the same name has taken over")

// Container is a container that says of itself that it is part of an application.
type Container struct {
	Name        string
	Application string
	Instance    string // the release's name for it; empty when no release started it
	Release     string
	Slot        strategies.Slot
	Version     string
	Address     string // host:port, empty when it cannot be reached yet
	Ready       bool   // runs, is not about to stop, and is healthy as far as it has a healthcheck
	Reason      string // why it is not ready
}

// Containers are the containers of a machine.
type Containers interface {
	// List returns those that are part of an application, whatever state they are in.
	List(ctx context.Context) ([]Container, error)
	// Watch calls changed when List may return something else than before, also when it does not know whether it
	// does, until ctx ends.
	Watch(ctx context.Context, changed func())
}

// Membership is what an agent has in a registry.
type Membership interface {
	// Announce makes the agent's entries those wanted, and keeps them for another while. A key that somebody else
	// has is left as it is. When another agent of the name has come, the error is ErrSuperseded.
	Announce(ctx context.Context, want []strategies.Registration) (Announced, error)
	// Leave removes the agent's entries.
	Leave(ctx context.Context) error
	// Close lets go of the name. The entries stay for as long as they would without the agent.
	Close() error
}

// Announced is what an Announce has changed.
type Announced struct {
	Added, Changed, Removed []strategies.Registration
	Held                    []string // wanted keys that somebody else has
}

// Put notes an entry that was put, as what of the two it is in a Difference.
func (a *Announced) Put(planned Announced, r strategies.Registration) {
	same := func(x strategies.Registration) bool { return x.Key == r.Key }
	switch {
	case slices.ContainsFunc(planned.Added, same):
		a.Added = append(a.Added, r)
	case slices.ContainsFunc(planned.Changed, same):
		a.Changed = append(a.Changed, r)
	}
}

// Add adds what a later attempt has changed. What that one has found held counts.
func (a *Announced) Add(later Announced) {
	a.Added, a.Changed, a.Removed = append(a.Added, later.Added...), append(a.Changed, later.Changed...), append(a.Removed, later.Removed...)
	a.Held = later.Held
}

// Registry is service discovery as a reader sees it.
type Registry interface {
	// List returns all registrations, sorted by key.
	List(ctx context.Context) ([]strategies.Registration, error)
	// Watch calls changed when List may return something else than before, also when it does not know whether it
	// does, until ctx ends.
	Watch(ctx context.Context, changed func())
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$`)

// CheckName tells whether a name can be that of an agent or an application: it is part of keys and of
// configuration.
func CheckName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%q is not a name of letters, digits, dots, dashes and underscores", name)
	}
	return nil
}

// Event is something an agent did or found. What does not apply is empty.
type Event struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"` // one of the kinds below
	Key     string    `json:"key,omitempty"`
	Address string    `json:"address,omitempty"`
	Version string    `json:"version,omitempty"`
	State   string    `json:"state,omitempty"`
	Detail  string    `json:"detail,omitempty"` // for people
}

// The kinds of event.
const (
	EventRegistered = "registered" // an entry was made
	EventChanged    = "changed"    // an entry has another address, version or state
	EventRemoved    = "removed"    // an entry was taken out
	EventHeld       = "held"       // a key that is wanted is somebody else's
	EventWaiting    = "waiting"    // a container is not registered, for a reason that may go
	EventProblem    = "problem"    // something does not work; it is tried again
	EventRecovered  = "recovered"  // it works again
)

// troubles tells each problem when it comes and when it has gone, not each time it is met.
type troubles struct {
	tell func(Event)
	now  map[string]string
}

func newTroubles(tell func(Event)) *troubles { return &troubles{tell: tell, now: map[string]string{}} }

// attempt is what differs between two attempts that fail for the same reason.
var attempt = regexp.MustCompile(`generation [0-9]+|gen-[0-9]+`)

// met tells the outcome of something, for which there is a word.
func (t *troubles) met(what string, err error) {
	before, was := t.now[what]
	switch {
	case err != nil && (!was || before != attempt.ReplaceAllString(err.Error(), "")):
		t.now[what] = attempt.ReplaceAllString(err.Error(), "")
		t.tell(Event{Event: EventProblem, Detail: err.Error()})
	case err == nil && was:
		delete(t.now, what)
		t.tell(Event{Event: EventRecovered, Detail: what + " works again"})
	}
}

// bell is rung by events. It does not count: rung twice before it is heard is once.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// gather waits until the bell has been quiet for a while, but no longer than most: a burst of changes becomes one,
// and a stream of them does not put the first off for ever.
func (b bell) gather(ctx context.Context, quiet, most time.Duration) {
	limit := time.NewTimer(most)
	defer limit.Stop()
	pause := time.NewTimer(quiet)
	defer pause.Stop()
	for {
		select {
		case <-b:
			pause.Reset(quiet)
		case <-pause.C:
			return
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
