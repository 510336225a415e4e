package migrate

import (
	"context"
	"fmt"
)

// Adopt records changes as applied that another tool had applied before, in their order, with the
// scripts that would take them back. Nothing else is run. Changes of which something is applied already
// are left out; it returns the IDs of those that were recorded.
func (r *Runner) Adopt(ctx context.Context, command string, changes []*Change) ([]string, error) {
	var adopted []string
	err := r.Hold(ctx, command, func(ctx context.Context, s *Session) error {
		state, err := s.State(ctx)
		if err != nil {
			return err
		}
		if e := state.Interrupted(); e != nil {
			return fmt.Errorf("%s of %s was interrupted\n  state: nothing was changed\n  next: run the command that was interrupted again, then this one", e.Phase, e.Change)
		}
		after, err := s.before(ctx)
		if err != nil {
			return err
		}
		if err := s.announce(ctx); err != nil {
			return err
		}
		// All or none: a target adopted in part would look as if the rest were pending.
		return s.guarded(ctx, func() error {
			for _, c := range changes {
				if _, any := state.Last(c.ID); any {
					continue
				}
				if err := s.adopt(ctx, c, after); err != nil {
					return fmt.Errorf("record %s: %w", c.ID, err)
				}
				adopted = append(adopted, c.ID)
			}
			return nil
		})
	})
	return adopted, err
}

func (s *Session) adopt(ctx context.Context, c *Change, after string) error {
	for _, p := range c.Phases() {
		pair, _ := c.Pair(p)
		e := s.entry(Step{Change: c.ID, Phase: p, Direction: Forward, Script: pair.Forward, Rollback: pair.Rollback})
		e.Kind, e.Status, e.After = AdoptEntry, Done, after
		e.Action = fmt.Sprintf("adopt %s from %s", c.ID, c.Meta.Imported.Tool)
		if _, err := s.journal.Append(ctx, s.conn, e); err != nil {
			return err
		}
	}
	return nil
}
