package strategies

import (
	"context"
	"fmt"
	"slices"

	"github.com/switchbackdb/switchback/migrate"
)

// back undoes a step that was done, failed or was cut off. Each may be repeated after a crash, and
// undoing what never took effect is no error.
func (m *Machine) back(ctx context.Context, s *migrate.Session, r *Release, i int) (note string, err error) {
	switch r.Plan.Steps[i].Kind {
	case Contract:
		return "", m.phaseBack(ctx, s, r, migrate.Contract)
	case Stop:
		return m.bringBack(ctx, s, r, i)
	case Drain:
		return m.undrain(ctx, s, r, i)
	case Shift:
		return m.shiftBack(ctx, s, r, i)
	case Roll:
		return m.rollBack(ctx, s, r, i)
	case Register:
		return "", m.unregister(ctx, s, r, i)
	case Start:
		return "", m.Service.Stop(ctx, operation(s, r, i, "stop"), r.Plan.Green(), r.Plan.Timing.Grace)
	case Backfill:
		return "", m.phaseBack(ctx, s, r, migrate.Backfill)
	case Expand:
		return "", m.phaseBack(ctx, s, r, migrate.Expand)
	}
	if r.Plan.leavesTraces(r.Plan.Steps[i].Kind) {
		return "", nil // only its hooks do
	}
	return "", fmt.Errorf("this version of switchback does not know the step %q", r.Plan.Steps[i].Kind)
}

// phaseBack rolls back what the release applied of a phase, with the scripts recorded then. A step that
// was cut off is first finished, and then rolled back with the others.
func (m *Machine) phaseBack(ctx context.Context, s *migrate.Session, r *Release, p migrate.Phase) error {
	_, err := s.Run(ctx, func(_ context.Context, state *migrate.State) ([]migrate.Step, error) {
		return migrate.PlanBack(state, migrate.BackOptions{Only: func(a migrate.Applied) bool {
			return a.Phase == p && a.Seq > r.seq && slices.Contains(r.Plan.Changes, a.Change)
		}})
	})
	return err
}

// bringBack starts blue again where it was stopped. The schema is what blue knows by now: the contract was rolled back
// before.
func (m *Machine) bringBack(ctx context.Context, s *migrate.Session, r *Release, i int) (string, error) {
	b := r.Plan.Blue
	if b.Instance == "" || b.Spec == nil {
		return "", nil
	}
	address, err := m.start(ctx, s, r, i, *b.Spec)
	if err != nil {
		return "", fmt.Errorf("start blue again: %w", err)
	}
	if err := m.healthy(ctx, s, r, b.Instance); err != nil {
		return "", fmt.Errorf("start blue again: %w", err)
	}
	return address, nil
}

// undrain puts blue's key back and blue behind the router again, with no traffic yet.
func (m *Machine) undrain(ctx context.Context, s *migrate.Session, r *Release, i int) (string, error) {
	if err := m.revive(ctx, s, r, i); err != nil {
		return "", err
	}
	if err := m.registerBlue(ctx, s, r, i); err != nil {
		return "", err
	}
	return m.shift(ctx, s, r, i, 100)
}

// revive has blue run and be healthy before it is given traffic: it may have ended by itself meanwhile. While it is not,
// green keeps what it has.
func (m *Machine) revive(ctx context.Context, s *migrate.Session, r *Release, i int) error {
	b := r.Plan.Blue
	if b.Instance == "" || b.Spec == nil {
		return nil
	}
	now, err := m.Service.Observe(ctx, b.Instance)
	if err != nil || now.State == StateHealthy {
		return err
	}
	if now.State == StateFailing {
		return m.healthy(ctx, s, r, b.Instance)
	}
	if _, err := m.bringBack(ctx, s, r, i); err != nil {
		return err
	}
	return m.registerBlue(ctx, s, r, i)
}

// registerBlue stores blue's key in service discovery.
func (m *Machine) registerBlue(ctx context.Context, s *migrate.Session, r *Release, i int) error {
	if r.Plan.Blue.Instance == "" {
		return nil
	}
	want, err := m.blueEntry(ctx, r)
	if err != nil {
		return err
	}
	return m.Discovery.Register(ctx, operation(s, r, i, "register"), want)
}

// blueEntry is what service discovery is to say of blue while it takes traffic.
func (m *Machine) blueEntry(ctx context.Context, r *Release) (Registration, error) {
	b := r.Plan.Blue
	address, err := m.blueAddress(ctx, b)
	return Registration{
		Key: r.Plan.Key(b.Instance), Address: address, Slot: Blue, Version: b.Version, Release: b.Release, State: "up",
	}, err
}

// unregister removes green's key, once blue's is there.
func (m *Machine) unregister(ctx context.Context, s *migrate.Session, r *Release, i int) error {
	if b := r.Plan.Blue; b != nil && b.Instance != "" {
		blue, err := m.blueEntry(ctx, r)
		if err == nil {
			err = m.keep(ctx, s, r, i, blue)
		}
		if err != nil {
			return err
		}
	}
	return m.Discovery.Deregister(ctx, operation(s, r, i, "deregister"), r.Plan.Key(r.Plan.Green()))
}

// shiftBack gives all traffic to blue at once, waits until nothing is under way at green, so that it can
// be stopped, and takes green from the router. A way back is not taken in steps: undoing the last share
// does it all, and undoing the earlier ones finds it done.
func (m *Machine) shiftBack(ctx context.Context, s *migrate.Session, r *Release, i int) (string, error) {
	if r.Plan.Blue == nil {
		return "there is no blue to go back to", nil
	}
	routing, err := m.Router.Observe(ctx)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(routing.Backends, func(b Backend) bool { return b.Release == r.Plan.Release }) {
		return "", m.shutOut(ctx, s, r, i, routing)
	}
	if err := m.revive(ctx, s, r, i); err != nil {
		return "", err
	}
	if _, err := m.shift(ctx, s, r, i, 0); err != nil {
		return "", err
	}
	green, err := m.Service.Observe(ctx, r.Plan.Green())
	if err != nil || green.Address == "" {
		return "", err
	}
	left, err := m.emptied(ctx, r, green.Address)
	if err != nil {
		return "", err
	}
	return m.dropGreen(ctx, s, r, i, left)
}

// shutOut leaves this run's fence with a router that sends green nothing, where an earlier run has begun to give green its
// share: it may have been stopped before it did, and would still do so when it goes on.
func (m *Machine) shutOut(ctx context.Context, s *migrate.Session, r *Release, i int, now Routing) error {
	if by := r.Steps[i].fence; by == 0 || by >= s.Fence() || now.Fence >= s.Fence() || len(now.Backends) == 0 {
		return nil
	}
	_, err := m.Router.Shift(ctx, operation(s, r, i, "shut out"), now.Backends)
	return err
}

// dropGreen takes green from the router.
func (m *Machine) dropGreen(ctx context.Context, s *migrate.Session, r *Release, i, left int) (string, error) {
	backends, err := m.backends(ctx, r, 0)
	if err != nil {
		return "", err
	}
	backends = slices.DeleteFunc(backends, func(b Backend) bool { return b.Slot == Green })
	if _, err := m.Router.Shift(ctx, operation(s, r, i, "drop green"), backends); err != nil {
		return "", err
	}
	if left > 0 {
		return fmt.Sprintf("%d requests were still under way", left), nil
	}
	return "", nil
}
