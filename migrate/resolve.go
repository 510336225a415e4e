package migrate

import (
	"context"
	"fmt"
	"time"
)

// Resolve says what became of a step that failed half way and that a person has mended: it counts as
// applied, or as not having been run. Only the step that stands in the way can be resolved.
func (r *Runner) Resolve(ctx context.Context, change string, phase Phase, applied bool) error {
	return r.Hold(ctx, "resolve "+change+":"+string(phase), func(ctx context.Context, s *Session) error {
		state, err := s.State(ctx)
		if err != nil {
			return err
		}
		e := state.Interrupted()
		if e == nil || e.Change != change || e.Phase != phase {
			return fmt.Errorf("resolve %s of %s: it is not in the way\n  state: nothing was changed\n  next: switchback status", phase, change)
		}
		if e.After, err = r.db.Fingerprint(ctx, s.conn); err != nil {
			return fmt.Errorf("fingerprint the schema: %w", err)
		}
		e.Status = Undone
		if applied == (e.Direction == Forward) {
			e.Status = Done
		}
		e.Error = "resolved by hand: " + e.Error
		return s.Finish(ctx, *e)
	})
}

// Took is how long the entry's step took, for people, or nothing while it is not finished.
func (e Entry) Took() string {
	from, err := parseTime(e.Started)
	if err != nil {
		return ""
	}
	to, err := parseTime(e.Finished)
	if err != nil {
		return ""
	}
	return to.Sub(from).Round(time.Millisecond).String()
}
