package strategies

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/migrate"
)

// A rolling release has one step where the others have many: the orchestrator replaces the instances by itself, and
// moves traffic with them. What is left to do here is to say what it is to replace them by, to watch it, and to go
// back, which is the same step with blue's definition as the journal has it. The orchestrator is never asked to
// go back by itself: it knows one definition before this one, and nothing of the schema.

// replacement is the candidate in place of blue.
func replacement(p *Plan) Replacement {
	to := Replacement{Version: p.Candidate, Pace: *p.Pace, Grace: p.Timing.Grace}
	if p.Blue != nil {
		to.Over = p.Blue.Release
	}
	return to
}

// restoration is blue in place of the candidate: as many instances as it had, where the release has changed that, and
// with no delay. A way back is not taken slowly.
func restoration(p *Plan) Replacement {
	to := Replacement{Version: *p.Blue.Spec, Over: p.Release, Pace: *p.Pace, Grace: p.Blue.Grace}
	to.Pace.Delay = 0
	if p.Pace.Replicas > 0 {
		to.Pace.Replicas = p.Blue.Replicas
	}
	return to
}

// readyToRoll looks at the part of a release that rolls.
func (m *Machine) readyToRoll(ctx context.Context, r *Release) error {
	now, err := m.Roller.Rollout(ctx)
	if err != nil {
		return err
	}
	if now.State != RollAbsent && (r.Plan.Blue == nil || now.Release != r.Plan.Blue.Release || now.Foreign != "") {
		return now.notOurs(r.Plan.Blue)
	}
	_, err = m.Roller.Prepare(ctx, replacement(&r.Plan))
	return err
}

// notOurs is the error about a definition in force that nobody expects there.
func (o Rollout) notOurs(want *Stable) error {
	expected := "none"
	if want != nil {
		expected = want.Release
	}
	what := o.Foreign
	if what == "" {
		what = fmt.Sprintf("release %q is in force, not %s", o.Release, expected)
	}
	return fmt.Errorf("%s: %w\n  next: %s", what, ErrForeignChange, o.Look)
}

// roll has the orchestrator replace blue's instances by the candidate's.
func (m *Machine) roll(ctx context.Context, s *migrate.Session, r *Release, i int) (string, error) {
	return m.replace(ctx, s, r, i, replacement(&r.Plan))
}

// rollBack has it replace the candidate's instances by blue's. Those of blue that are still there stay. A
// definition that is not this release's, and that somebody else has changed, is left as it is.
func (m *Machine) rollBack(ctx context.Context, s *migrate.Session, r *Release, i int) (string, error) {
	blue := r.Plan.Blue
	if blue == nil {
		return "", m.Roller.Withdraw(ctx, operation(s, r, i, "withdraw"), r.Plan.Release)
	}
	now, err := m.Roller.Rollout(ctx)
	if err != nil {
		return "", err
	}
	if now.State != RollAbsent && now.Release == blue.Release && now.Foreign != "" {
		return "left alone: " + now.Foreign, nil
	}
	return m.replace(ctx, s, r, i, restoration(&r.Plan))
}

// replace puts a definition in force and waits until all instances are of it.
func (m *Machine) replace(ctx context.Context, s *migrate.Session, r *Release, i int, to Replacement) (string, error) {
	var err error
	if to.Version.Env, err = m.environment(to.Version); err != nil {
		return "", err
	}
	if err := m.Roller.Roll(ctx, operation(s, r, i, "roll"), to); err != nil {
		return "", err
	}
	failpoint.Hit("release: rolling")
	w := watched{m: m, s: s, r: r, i: i, to: to, moved: time.Now(), best: -1, old: math.MaxInt}
	if _, err := m.wait(ctx, s, r, forever, func() (bool, error) { return w.look(ctx) }); err != nil {
		return "", err
	}
	return w.says, nil
}

// forever is how long a wait lasts that something else ends.
const forever = 10 * 365 * 24 * time.Hour

// watched is a rollout that is being waited for.
type watched struct {
	m     *Machine
	s     *migrate.Session
	r     *Release
	i     int
	to    Replacement
	moved time.Time // when it came further the last time
	best  int       // how far it has come: the most instances that were healthy
	old   int       // and the fewest that were left of others
	told  int       // and how far when that was last journalled
	says  string    // the same in words
}

// look sees once how far it has come. It fails when the orchestrator goes no further, when somebody else has
// changed the definition, and when nothing has moved for as long as one instance may take: one that never starts
// is no failure to an orchestrator. A pause asked for on the way forward halts it.
func (w *watched) look(ctx context.Context) (bool, error) {
	now, err := w.m.Roller.Rollout(ctx)
	if err != nil {
		return false, err
	}
	if now.Release != w.to.Version.Release || now.Foreign != "" {
		return false, now.notOurs(&Stable{Release: w.to.Version.Release})
	}
	if err := w.note(ctx, now); err != nil {
		return false, err
	}
	switch patience := w.patience(); {
	case now.State == RollDone:
		return true, nil
	case w.r.Held && !w.r.Back:
		return false, w.halt(ctx)
	case now.State == RollHalted:
		return false, fmt.Errorf("it was halted, %s: %s\n  next: %s", w.says, now.Detail, now.Look)
	case time.Since(w.moved) > patience:
		return false, fmt.Errorf("%s, and nothing has moved for %s: %s\n  next: %s", w.says, patience, now.Detail, now.Look)
	}
	return false, nil
}

// patience is how long one instance may take to be replaced. An orchestrator may keep the delay after the last one, too,
// and watch that one for as long again.
func (w *watched) patience() time.Duration {
	return w.r.Plan.Timing.Healthy + 2*w.to.Pace.Delay + w.to.Pace.Monitor + w.to.Grace + slack
}

// slack is what an orchestrator takes for itself: a swarm waits two seconds before it stops an instance that it has taken
// out of DNS.
const slack = 5 * time.Second

// note keeps how far it has come, and journals it now and then: of many instances not each.
func (w *watched) note(ctx context.Context, now Rollout) error {
	if now.Old < w.old {
		w.old, w.moved = now.Old, time.Now()
	}
	if now.Healthy <= w.best {
		return nil
	}
	w.best, w.moved = now.Healthy, time.Now()
	w.says = fmt.Sprintf("%d of %d are %s", now.Healthy, now.Wanted, w.to.Version.Name)
	if now.Healthy != now.Wanted && now.Healthy-w.told < max(1, now.Wanted/notes) {
		return nil
	}
	w.told = now.Healthy
	return w.m.note(ctx, w.s, w.r, w.says, detail{Release: w.r.Plan.Release, Step: w.i + 1, Progress: w.says})
}

// notes is how many notes a rollout leaves in the journal, however many instances it has.
const notes = 20

// halt stops it where it is.
func (w *watched) halt(ctx context.Context) error {
	if err := w.m.Roller.Halt(ctx, operation(w.s, w.r, w.i, "halt"), w.r.Plan.Release); err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", errHeld, w.says)
}

// manned watches that as many instances of a release are healthy as there are to be.
type manned struct {
	m       *Machine
	release string
	want    int // when the watch began: more that are added meanwhile take their time
	short   int
}

// look counts once. It fails when there are too few twice in a row, and at once when the release is not in force any
// more as it was put there.
func (w *manned) look(ctx context.Context) error {
	now, err := w.m.Roller.Rollout(ctx)
	if err != nil {
		return err
	}
	if now.Release != w.release || now.Foreign != "" {
		return now.notOurs(&Stable{Release: w.release})
	}
	if now.Healthy >= min(w.want, now.Wanted) {
		w.short = 0
		return nil
	}
	if w.short++; w.short > 1 {
		return fmt.Errorf("%d of %d are healthy: %s\n  next: %s", now.Healthy, now.Wanted, now.Detail, now.Look)
	}
	return nil
}
