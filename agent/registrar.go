package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// States of an entry that a Registrar makes.
const (
	// stateUp is that of a container which takes requests.
	stateUp = "up"
	// stateStarted is that of a container which a release started. The release says when it takes requests, by an
	// entry of its own under the same key.
	stateStarted = "started"
)

const (
	// batch is how long the engine's events may be quiet until the containers are looked at, and batchMost how long
	// the first of them may wait for that. A container that stops should be out soon.
	batch, batchMost = 20 * time.Millisecond, 250 * time.Millisecond
	// resync is how often all is looked at without an event.
	resync = 30 * time.Second
	// listTime limits one look at the containers, where the beat does not: an engine that hangs must not keep the
	// entries from being kept.
	listTime = 5 * time.Second
	// retryPause is how soon something that failed is tried again.
	retryPause = time.Second
)

// Registrar registers the containers of a machine.
type Registrar struct {
	Agent      string // its name, before those of the containers
	Containers Containers
	Membership Membership
	Beat       time.Duration // how often the entries are kept for another while
	Tell       func(Event)
}

// Run registers until ctx ends, which is no error, or another agent of the name takes over (ErrSuperseded). Whatever
// else fails is told and tried again. While the engine does not answer, the entries stay as they are: its containers
// may well run.
func (r *Registrar) Run(ctx context.Context) error {
	events := newBell()
	watched, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { r.Containers.Watch(watched, events.ring) })
	defer watching.Wait()
	defer stop()
	s := &registering{Registrar: r, troubles: newTroubles(r.Tell), held: map[string]bool{}, waiting: map[string]string{}}
	for {
		pause := s.round(ctx)
		if s.over != nil {
			return s.over
		}
		timer := time.NewTimer(pause)
		select {
		case <-events:
			events.gather(ctx, batch, batchMost)
			s.stale = true
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// registering is what a Registrar knows while it runs.
type registering struct {
	*Registrar
	troubles *troubles
	want     []strategies.Registration
	known    bool // the containers were listed at least once
	stale    bool // an event has come since, or listing them failed
	looked   time.Time
	held     map[string]bool
	waiting  map[string]string // reasons by container
	over     error
}

// round looks at the containers when it is time, and announces them. It returns when the next one is due.
func (s *registering) round(ctx context.Context) time.Duration {
	failed := false
	if !s.known || s.stale || time.Since(s.looked) > resync {
		list, err := s.list(ctx)
		if ctx.Err() != nil {
			return 0
		}
		s.troubles.met("the container engine", err)
		failed, s.stale = err != nil, err != nil
		if err == nil {
			s.want, s.known, s.looked = s.entries(list), true, time.Now()
		}
	}
	if s.known {
		done, err := s.Membership.Announce(ctx, s.want)
		if ctx.Err() != nil {
			return 0
		}
		s.report(done)
		if errors.Is(err, ErrSuperseded) {
			s.over = err
			return 0
		}
		s.troubles.met("service discovery", err)
		failed = failed || err != nil
	}
	if failed {
		return min(s.Beat, retryPause)
	}
	return s.Beat
}

func (s *registering) list(ctx context.Context) ([]Container, error) {
	ctx, cancel := context.WithTimeout(ctx, max(s.Beat, listTime))
	defer cancel()
	return s.Containers.List(ctx)
}

// entries are the registrations of the containers that are ready.
func (s *registering) entries(list []Container) (want []strategies.Registration) {
	waiting, keys := map[string]string{}, map[string]bool{}
	for _, c := range list {
		e := s.entry(c)
		reason := c.Reason
		if c.Ready {
			reason = unfit(c, keys[e.Key])
		}
		if reason == "" {
			want, keys[e.Key] = append(want, e), true
			continue
		}
		waiting[c.Name] = reason
		if s.waiting[c.Name] != reason {
			s.Tell(Event{Event: EventWaiting, Key: e.Key, Detail: reason})
		}
	}
	s.waiting = waiting
	slices.SortFunc(want, func(a, b strategies.Registration) int { return strings.Compare(a.Key, b.Key) })
	return want
}

// entry is the registration of a container.
func (s *registering) entry(c Container) strategies.Registration {
	e := strategies.Registration{
		Key: c.Application + "/" + s.Agent + "." + c.Name, Address: c.Address, Slot: c.Slot,
		Version: c.Version, Release: c.Release, State: stateUp, Agent: s.Agent,
	}
	if c.Instance != "" {
		e.Key, e.State = c.Application+"/"+c.Instance, stateStarted
	}
	return e
}

// unfit says why a container cannot be registered that is ready. Labels are written by anybody: one bad label must
// not keep the others out.
func unfit(c Container, taken bool) string {
	if err := CheckName(c.Application); err != nil {
		return "its application " + err.Error()
	}
	if c.Instance != "" {
		if err := CheckName(c.Instance); err != nil {
			return "its instance " + err.Error()
		}
	}
	if err := strategies.CheckAddress(c.Address); err != nil {
		return err.Error()
	}
	if taken {
		return "another container has the same key"
	}
	return ""
}

func (s *registering) report(done Announced) {
	for _, did := range []struct {
		kind string
		list []strategies.Registration
	}{{EventRegistered, done.Added}, {EventChanged, done.Changed}, {EventRemoved, done.Removed}} {
		for _, r := range did.list {
			s.Tell(Event{Event: did.kind, Key: r.Key, Address: r.Address, Version: r.Version, State: r.State})
		}
	}
	held := map[string]bool{}
	released := map[string]bool{} // that a release has the key of what it started is as it should be
	for _, w := range s.want {
		released[w.Key] = w.State == stateStarted
	}
	for _, key := range done.Held {
		held[key] = true
		if !s.held[key] && !released[key] {
			s.Tell(Event{Event: EventHeld, Key: key, Detail: "is somebody else's, and is left alone"})
		}
	}
	s.held = held
}

// Difference is what has to be done for an agent's entries to be those wanted, given all that is there. Registries
// share it. Stale tells of a right entry of the agent's whether it has to be written again all the same.
func Difference(agent string, there, want []strategies.Registration, stale func(key string) bool) (put, remove []strategies.Registration, did Announced) {
	now := map[string]strategies.Registration{}
	for _, r := range there {
		now[r.Key] = r
	}
	wanted := map[string]bool{}
	for _, w := range want {
		w.Agent = agent
		wanted[w.Key] = true
		old, exists := now[w.Key]
		switch {
		case !exists:
			put, did.Added = append(put, w), append(did.Added, w)
		case old.Agent != agent:
			did.Held = append(did.Held, w.Key)
		case old != w:
			put, did.Changed = append(put, w), append(did.Changed, w)
		case stale(w.Key):
			put = append(put, w)
		}
	}
	for _, r := range there {
		if r.Agent == agent && !wanted[r.Key] {
			remove, did.Removed = append(remove, r), append(did.Removed, r)
		}
	}
	return put, remove, did
}

// CheckEntries refuses what cannot be an agent's entries: two of one key, or a key that is no
// application/instance.
func CheckEntries(want []strategies.Registration) error {
	seen := map[string]bool{}
	for _, r := range want {
		application, instance, _ := strings.Cut(r.Key, "/")
		if CheckName(application) != nil || instance == "" || strings.ContainsAny(instance, "/\n") {
			return fmt.Errorf("the key %q is not application/instance", r.Key)
		}
		if seen[r.Key] {
			return fmt.Errorf("the key %s is wanted twice", r.Key)
		}
		seen[r.Key] = true
	}
	return nil
}
