package strategies

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/migrate"
)

// Machine takes releases through their steps. Its fields say what it works with; the journal says where
// a release stands, so any Machine with the same parts can take up what another left.
type Machine struct {
	// Service, Router and Discovery are what blue/green and canary releases need; nil where there are none.
	Service   Service
	Router    Router
	Discovery Discovery
	// Roller is what rolling releases need, and all they need; nil where the service replaces nothing by itself.
	Roller Roller
	// Snapshot takes a snapshot of the target, proves that it can be restored and returns its ID.
	// Nil where the engine has none.
	Snapshot func(ctx context.Context, note string) (string, error)
	// Unpin lets the snapshot of a release be pruned, once the release is final. Nil where nothing keeps it.
	Unpin func(ctx context.Context, id string) error
	// Folder reads the changes.
	Folder func() (*migrate.Folder, error)
	// Resolve puts the variables of a configured value in.
	Resolve func(value string) (string, error)
	// Judge makes the judge of a gate. Nil where no release has any.
	Judge func(g Gate) (Judge, error)
	// Strain asks what weighs on the target. Nil where the engine does not say.
	Strain func(ctx context.Context) (Strain, error)
	// Hook runs a program with variables added to its environment, and returns what it says last. Nil where no release
	// has hooks.
	Hook func(ctx context.Context, command []string, env map[string]string) (says string, err error)
	// Observer is told of all that happens.
	Observer Observer
	// Poll is how often a wait looks: at health, and at what was asked for from another terminal.
	Poll time.Duration
}

// Errors that callers tell apart.
var (
	// ErrBusy is returned when a release is to begin while another is not final.
	ErrBusy = errors.New("a release is under way")
	// ErrNoRelease is returned when there is no release to do something with.
	ErrNoRelease = errors.New("there is no release yet")

	errAborted = errors.New("asked to abort")
)

// DefaultPoll is a good Machine.Poll.
const DefaultPoll = 100 * time.Millisecond

// Begin journals the plan of a new release and takes it through its steps, see Continue.
func (m *Machine) Begin(ctx context.Context, s *migrate.Session, p Plan) (*Release, error) {
	releases, err := m.releases(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, r := range releases {
		if r.Plan.Release == p.Release {
			return nil, fmt.Errorf("there was a release %s already", p.Release)
		}
		if !r.Status().Final() {
			return nil, fmt.Errorf("%w: %s is %s", ErrBusy, r.Plan.Release, r.Status())
		}
	}
	r := newRelease(p, 0, "")
	if err := m.Equipped(&p); err != nil {
		return nil, err
	}
	if n := len(releases); n > 0 && releases[n-1].Plan.Announced {
		m.tellRest(releases[n-1])
	}
	text, err := detail{Release: p.Release, Plan: &p}.encode()
	if err != nil {
		return nil, err
	}
	r.seq, err = s.Append(ctx, migrate.Entry{Kind: migrate.ReleaseEntry, Action: fmt.Sprintf("release %s of %s", p.Release, p.Candidate.Name), Status: migrate.Done, Detail: text})
	if err != nil {
		return nil, err
	}
	failpoint.Hit("release: planned")
	r.heard = map[string]bool{} // all of it is this run's
	return r, m.Continue(ctx, s, r)
}

// Continue takes a release on: forward until it is stable, paused or waiting, or, when it was turned
// back or a step fails, backwards until everything is undone. Where it has come to is in r.Status().
//
// An error is a way back that is stuck, or a run that was cut off: by its context, or by losing the
// lock. The journal knows how far it came, and Continue can be called again.
func (m *Machine) Continue(ctx context.Context, s *migrate.Session, r *Release) error {
	if err := m.Equipped(&r.Plan); err != nil {
		return err
	}
	if err := m.recall(ctx, s, r); err != nil {
		return err
	}
	for {
		if err := m.listen(ctx, s, r); err != nil {
			return err
		}
		if r.AbortedBy != "" && !r.Back {
			if err := m.turn(ctx, s, r, "asked to abort by "+r.AbortedBy); err != nil {
				return err
			}
		}
		i, open := r.next()
		if !open {
			return m.unpin(ctx, r)
		}
		if r.Status() == Paused || r.Status() == Waiting {
			return nil
		}
		if err := m.step(ctx, s, r, i); err != nil {
			return err
		}
	}
}

// Equipped tells whether the parts are there that a plan's strategy needs.
func (m *Machine) Equipped(p *Plan) error {
	switch {
	case p.Strategy == Rolling && m.Roller == nil:
		return fmt.Errorf("release %s is rolling: it needs a service that replaces instances by itself\n  next: set release.service.driver to swarm or kubernetes, or another release.strategy, see docs/releases.md", p.Release)
	case p.Strategy != Rolling && (m.Service == nil || m.Router == nil || m.Discovery == nil):
		return fmt.Errorf("release %s is %s: it needs a service of which two versions run side by side, and a router\n  next: set release.strategy to rolling, or release.service.driver to docker, swarm, kubernetes or process and release.router, see docs/releases.md", p.Release, p.Strategy)
	}
	return nil
}

// unpin lets go of the snapshot of a release that is final.
func (m *Machine) unpin(ctx context.Context, r *Release) error {
	if m.Unpin == nil || r.snapshot == "" {
		return nil
	}
	if err := m.Unpin(ctx, r.snapshot); err != nil {
		return fmt.Errorf("release %s is %s, but its snapshot %s stays pinned: %w", r.Plan.Release, r.Status(), r.snapshot, err)
	}
	return nil
}

// TurnBack turns a release back for a reason and undoes what it did.
func (m *Machine) TurnBack(ctx context.Context, s *migrate.Session, r *Release, reason string) error {
	if err := m.recall(ctx, s, r); err != nil {
		return err
	}
	if !r.Back {
		if err := m.turn(ctx, s, r, reason); err != nil {
			return err
		}
	}
	return m.Continue(ctx, s, r)
}

func (m *Machine) turn(ctx context.Context, s *migrate.Session, r *Release, reason string) error {
	if err := m.note(ctx, s, r, "turn back: "+reason, detail{Release: r.Plan.Release, Turn: reason}); err != nil {
		return err
	}
	failpoint.Hit("release: turned")
	return m.listen(ctx, s, r)
}

// note journals something that is done once it is said.
func (m *Machine) note(ctx context.Context, s *migrate.Session, r *Release, action string, d detail) error {
	text, err := d.encode()
	if err != nil {
		return err
	}
	e := migrate.Entry{Kind: migrate.ReleaseEntry, Action: fmt.Sprintf("release %s: %s", r.Plan.Release, action), Status: migrate.Done, Detail: text}
	if e.Seq, err = s.Append(ctx, e); err != nil {
		return err
	}
	r.apply(e, d)
	return nil
}

// step does or undoes one step between its two journal entries.
func (m *Machine) step(ctx context.Context, s *migrate.Session, r *Release, i int) error {
	step := r.Plan.Steps[i]
	d := detail{Release: r.Plan.Release, Step: i + 1}
	e := migrate.Entry{Kind: migrate.ReleaseEntry, Direction: migrate.Forward, Action: fmt.Sprintf("release %s: %s", r.Plan.Release, step), Status: migrate.Started}
	if r.Back {
		e.Direction, e.Action = migrate.Back, fmt.Sprintf("release %s: undo %s", r.Plan.Release, step)
	}
	var err error
	if e.Detail, err = d.encode(); err != nil {
		return err
	}
	if e.Seq, err = s.Append(ctx, e); err != nil {
		return err
	}
	r.apply(e, d)
	failpoint.Hit("release: step begun")
	if err := m.listen(ctx, s, r); err != nil {
		return err
	}

	note, said, failure := m.hooked(ctx, s, r, i)
	if failure != nil && cutOff(ctx, failure) {
		return failure
	}
	failpoint.Hit("release: step done")
	e.Status, d.Note, d.Hooks = migrate.Done, note, said
	if failure != nil {
		e.Status, e.Error = migrate.Failed, failure.Error()
	}
	if e.Detail, err = d.encode(); err != nil {
		return err
	}
	if err := s.Finish(ctx, e); err != nil {
		return err
	}
	r.apply(e, d)
	failpoint.Hit("release: step journalled")
	if err := m.listen(ctx, s, r); err != nil {
		return err
	}
	return m.after(ctx, s, r, i, failure)
}

// after decides what follows a failure: forward, the way back; on the way back, a human.
func (m *Machine) after(ctx context.Context, s *migrate.Session, r *Release, i int, failure error) error {
	switch {
	case failure == nil || errors.Is(failure, errAborted) || errors.Is(failure, errHeld):
		return nil // Continue turns an abort into a way back, and stops at a pause
	case r.Back:
		return fmt.Errorf("undo %s of release %s: %w\n  state: what came after it is undone, it and what came before it are not\n  next: mend the cause, then: switchback release resume", r.Plan.Steps[i], r.Plan.Release, failure)
	}
	return m.turn(ctx, s, r, fmt.Sprintf("%s failed: %v", r.Plan.Steps[i], failure))
}

// cutOff tells whether the run must end without another word in the journal.
func cutOff(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, migrate.ErrLockLost) || errors.Is(err, ErrStaleFence)
}

// operation identifies a step's call to the outside: the same after a crash, another on the way back.
func operation(s *migrate.Session, r *Release, i int, what string) Operation {
	direction := migrate.Forward
	if r.Back {
		direction = migrate.Back
	}
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s\x00%s\x00%s", r.Plan.Release, i, r.Plan.Steps[i], direction, what))
	return Operation{ID: hex.EncodeToString(h[:8]), Fence: s.Fence()}
}

// recall tells what happened to the release before this run.
func (m *Machine) recall(ctx context.Context, s *migrate.Session, r *Release) error {
	if r.heard != nil {
		return nil
	}
	r.heard = map[string]bool{}
	now, err := m.now(ctx, s, r)
	if err == nil && now != nil {
		m.tell(r, now, true)
	}
	return err
}

// tellRest tells what nobody was told of a release that is over: its run was killed at the very end.
func (m *Machine) tellRest(past *Release) {
	for _, e := range past.Events() {
		if !e.Told {
			e.Earlier = true
			m.Observer.ReleaseEvent(e)
		}
	}
}

// tell tells those events of a release that this run has not told yet. now is the release as the journal has it.
func (m *Machine) tell(r, now *Release, earlier bool) {
	for _, e := range now.Events() {
		if !r.heard[e.ID] {
			r.heard[e.ID] = true
			e.Earlier = earlier
			m.Observer.ReleaseEvent(e)
		}
	}
}

// listen reads what the journal says of the release since the last look: what was asked of it from other terminals,
// and what there is to tell.
func (m *Machine) listen(ctx context.Context, s *migrate.Session, r *Release) error {
	now, err := m.now(ctx, s, r)
	if err == nil && now != nil {
		r.AbortedBy, r.Held, r.HeldFor, r.Promoted = now.AbortedBy, now.Held, now.HeldFor, now.Promoted
		m.tell(r, now, false)
	}
	return err
}

// now is the release as the journal has it. What is older than its plan is not read: a wait asks ten times a second, and
// releases become many.
func (m *Machine) now(ctx context.Context, s *migrate.Session, r *Release) (*Release, error) {
	releases, err := recorded(ctx, s.Runner, r.seq)
	if err != nil {
		return nil, err
	}
	for _, now := range releases {
		if now.Plan.Release == r.Plan.Release {
			return now, nil
		}
	}
	return nil, nil
}

// releases reads all releases. Whoever holds the lock has made the journal.
func (m *Machine) releases(ctx context.Context, s *migrate.Session) ([]*Release, error) {
	return recorded(ctx, s.Runner, 0)
}

// wait calls look every Poll until it is done or fails, d has passed, or an abort is asked for. It
// returns whether look was done.
func (m *Machine) wait(ctx context.Context, s *migrate.Session, r *Release, d time.Duration, look func() (done bool, err error)) (bool, error) {
	deadline := time.Now().Add(d)
	tick := time.NewTicker(m.Poll)
	defer tick.Stop()
	for {
		if done, err := look(); done || err != nil {
			return done, err
		}
		if err := m.listen(ctx, s, r); err != nil {
			return false, err
		}
		if r.AbortedBy != "" && !r.Back {
			return false, errAborted
		}
		left := time.Until(deadline)
		if left <= 0 {
			return false, nil
		}
		end := time.NewTimer(left)
		select {
		case <-ctx.Done():
			end.Stop()
			return false, context.Cause(ctx)
		case <-tick.C:
		case <-end.C:
		}
		end.Stop()
	}
}
