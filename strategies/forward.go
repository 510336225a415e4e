package strategies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
)

// forward does a step and returns what is worth noting. Each step may be repeated after a crash.
func (m *Machine) forward(ctx context.Context, s *migrate.Session, r *Release, i int) (note string, err error) {
	if r.Plan.guarded(i) {
		if err := m.guard(ctx, s, r); err != nil {
			return "", err
		}
	}
	if r.Plan.burdens(i) {
		if err := m.fit(ctx, s, r); err != nil {
			return "", err
		}
	}
	switch r.Plan.Steps[i].Kind {
	case Preflight:
		return "", m.preflight(ctx, s, r)
	case Snapshot:
		return m.snapshot(ctx, r)
	case Expand:
		return m.phase(ctx, s, r, migrate.Expand)
	case Backfill:
		return m.phase(ctx, s, r, migrate.Backfill)
	case Contract:
		return m.phase(ctx, s, r, migrate.Contract)
	case Start:
		return m.start(ctx, s, r, i, r.Plan.Candidate)
	case Healthy:
		return "", m.healthy(ctx, s, r, r.Plan.Green())
	case Register:
		return m.register(ctx, s, r, i, r.Plan.Green(), r.Plan.Candidate)
	case Clear:
		return m.clear(ctx, s, r, i)
	case Shift:
		return m.shiftForward(ctx, s, r, i)
	case Roll:
		return m.roll(ctx, s, r, i)
	case Bake:
		return m.watch(ctx, s, r, i, r.Plan.Timing.Bake)
	case Promote:
		return "", nil // Continue lets it pass once it was asked for
	case Drain:
		return m.drain(ctx, s, r, i)
	case Stop:
		return "", m.stop(ctx, s, r, i, r.Plan.Blue.Instance)
	case Retire:
		return m.retire(ctx, s, r, i)
	}
	return "", fmt.Errorf("this version of switchback does not know the step %q", r.Plan.Steps[i].Kind)
}

// preflight looks whether everything the release needs is there, before it changes anything.
func (m *Machine) preflight(ctx context.Context, s *migrate.Session, r *Release) error {
	ready := m.readyToShift
	if r.Plan.Strategy == Rolling {
		ready = m.readyToRoll
	}
	if err := ready(ctx, r); err != nil {
		return err
	}
	if _, err := m.environment(r.Plan.Candidate); err != nil {
		return err
	}
	if _, err := m.judges(r); err != nil {
		return err
	}
	if len(r.Plan.Changes) == 0 {
		return nil
	}
	folder, err := m.Folder()
	if err != nil {
		return err
	}
	state, err := s.State(ctx)
	if err != nil {
		return err
	}
	for _, id := range r.Plan.Changes {
		c := folder.Change(id)
		if c == nil {
			return fmt.Errorf("change %s is no longer in %s", id, folder.Path)
		}
		if c.Meta.Irreversible != "" && r.Plan.NoSnapshot != "" {
			return fmt.Errorf("change %s is irreversible (%s): it needs a verified snapshot", id, c.Meta.Irreversible)
		}
	}
	_, err = migrate.PlanForward(folder, state, m.forwardOptions(r, migrate.Expand, migrate.Backfill, migrate.Contract))
	return err
}

// readyToShift looks at the parts of a release that shifts traffic.
func (m *Machine) readyToShift(ctx context.Context, r *Release) error {
	if _, err := m.Router.Observe(ctx); err != nil {
		return err
	}
	if err := m.untouched(ctx, r); err != nil {
		return err
	}
	if _, err := m.Discovery.List(ctx); err != nil {
		return err
	}
	if c, ok := m.Service.(Checker); ok {
		return c.Check(ctx, r.Plan.Candidate)
	}
	return nil
}

func (m *Machine) snapshot(ctx context.Context, r *Release) (string, error) {
	if m.Snapshot == nil {
		return "", errors.New("there are no snapshots of this engine; start the release with --no-snapshot REASON")
	}
	id, err := m.Snapshot(ctx, "release "+r.Plan.Release)
	if err != nil {
		return "", err
	}
	return id, nil
}

func (m *Machine) forwardOptions(r *Release, phases ...migrate.Phase) migrate.ForwardOptions {
	return migrate.ForwardOptions{Phases: phases, To: r.Plan.Changes[len(r.Plan.Changes)-1]}
}

// phase runs one phase of the release's changes. What is applied already is not pending, so a repeated
// step does only what is left.
func (m *Machine) phase(ctx context.Context, s *migrate.Session, r *Release, p migrate.Phase) (string, error) {
	folder, err := m.Folder()
	if err != nil {
		return "", err
	}
	_, err = s.Run(ctx, func(_ context.Context, state *migrate.State) ([]migrate.Step, error) {
		return migrate.PlanForward(folder, state, m.forwardOptions(r, p))
	})
	return "", err
}

func (m *Machine) environment(v Version) (map[string]string, error) {
	env := make(map[string]string, len(v.Env))
	for name, value := range v.Env {
		resolved, err := m.Resolve(value)
		if err != nil {
			return nil, fmt.Errorf("environment variable %s of the application: %w", name, err)
		}
		env[name] = resolved
	}
	return env, nil
}

func (m *Machine) start(ctx context.Context, s *migrate.Session, r *Release, i int, v Version) (string, error) {
	var err error
	if v.Env, err = m.environment(v); err != nil {
		return "", err
	}
	instance, err := m.Service.Start(ctx, operation(s, r, i, "start"), v)
	return instance.Address, err
}

// healthy waits until an instance is healthy.
func (m *Machine) healthy(ctx context.Context, s *migrate.Session, r *Release, id string) error {
	var last Instance
	done, err := m.wait(ctx, s, r, r.Plan.Timing.Healthy, func() (bool, error) {
		var err error
		if last, err = m.Service.Observe(ctx, id); err != nil {
			return false, err
		}
		if last.State == StateStopped || last.State == StateAbsent {
			return false, fmt.Errorf("%s is %s: %s", id, last.State, last.Detail)
		}
		return last.State == StateHealthy, nil
	})
	if err == nil && !done {
		return fmt.Errorf("%s is not healthy after %s: %s", id, r.Plan.Timing.Healthy, last.Detail)
	}
	return err
}

func (m *Machine) register(ctx context.Context, s *migrate.Session, r *Release, i int, id string, v Version) (string, error) {
	want, err := m.entry(ctx, r, id, v)
	if err != nil {
		return "", err
	}
	return want.Key, m.Discovery.Register(ctx, operation(s, r, i, "register"), want)
}

// entry is what service discovery is to say of an instance that takes traffic.
func (m *Machine) entry(ctx context.Context, r *Release, id string, v Version) (Registration, error) {
	instance, err := m.Service.Observe(ctx, id)
	return Registration{
		Key: r.Plan.Key(id), Address: instance.Address, Slot: v.Slot, Version: v.Name, Release: v.Release, State: "up",
	}, err
}

// keep has service discovery say of an instance what it is to say, before the key of the other one is taken away: somebody
// may have emptied the registry since it was registered.
func (m *Machine) keep(ctx context.Context, s *migrate.Session, r *Release, i int, want Registration) error {
	list, err := m.Discovery.List(ctx)
	if err != nil {
		return err
	}
	for _, now := range list {
		if now.Key == want.Key && now.Address == want.Address && now.State == want.State {
			return nil
		}
	}
	return m.Discovery.Register(ctx, operation(s, r, i, "keep"), want)
}

// clear removes the candidates of this application's earlier releases that came to nothing: their keys, and their
// instances, running or not. What the journal does not know is left alone.
func (m *Machine) clear(ctx context.Context, s *migrate.Session, r *Release, i int) (string, error) {
	old, err := m.abandoned(ctx, s, r)
	if err != nil {
		return "", err
	}
	for _, id := range old {
		if err := m.Discovery.Deregister(ctx, operation(s, r, i, "deregister "+id), r.Plan.Key(id)); err != nil {
			return "", err
		}
		if err := m.Service.Stop(ctx, operation(s, r, i, "stop "+id), id, r.Plan.Timing.Grace); err != nil && !errors.Is(err, ErrNotFound) {
			return "", err
		}
		if err := m.Service.Remove(ctx, operation(s, r, i, "remove "+id), id); err != nil {
			return "", err
		}
	}
	if len(old) == 0 {
		return "there was none", nil
	}
	return strings.Join(old, ", "), nil
}

// abandoned are the instances of releases that were rolled back.
func (m *Machine) abandoned(ctx context.Context, s *migrate.Session, r *Release) ([]string, error) {
	releases, err := m.releases(ctx, s)
	if err != nil {
		return nil, err
	}
	instances, err := m.Service.List(ctx)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, past := range releases {
		id := past.Plan.Green()
		known := slices.ContainsFunc(instances, func(i Instance) bool { return i.ID == id })
		if known && past.Plan.Application == r.Plan.Application && past.Status() == RolledBack {
			list = append(list, id)
		}
	}
	return list, nil
}

// shiftForward gives green its share. Between two shares green is watched for a while.
func (m *Machine) shiftForward(ctx context.Context, s *migrate.Session, r *Release, i int) (note string, err error) {
	if i > 0 && r.Plan.Steps[i-1].Kind == Shift {
		if note, err = m.watch(ctx, s, r, i, r.Plan.Timing.Pause); err != nil {
			return "", err
		}
	}
	_, err = m.shift(ctx, s, r, i, r.Plan.Steps[i].Weight)
	return note, err
}

// shift gives green the share, and blue the rest.
func (m *Machine) shift(ctx context.Context, s *migrate.Session, r *Release, i, share int) (string, error) {
	if err := m.untouched(ctx, r); err != nil {
		return "", err
	}
	backends, err := m.backends(ctx, r, share)
	if err != nil {
		return "", err
	}
	_, err = m.Router.Shift(ctx, operation(s, r, i, fmt.Sprint("shift ", share)), backends)
	return "", err
}

func (m *Machine) backends(ctx context.Context, r *Release, share int) ([]Backend, error) {
	var list []Backend
	if b := r.Plan.Blue; b != nil {
		address, err := m.blueAddress(ctx, b)
		if err != nil {
			return nil, err
		}
		list = append(list, Backend{Slot: Blue, Release: b.Release, Version: b.Version, Address: address, Weight: 100 - share})
	}
	green, err := m.Service.Observe(ctx, r.Plan.Green())
	if err != nil {
		return nil, err
	}
	if green.Address != "" {
		list = append(list, Backend{Slot: Green, Release: r.Plan.Release, Version: r.Plan.Candidate.Name, Address: green.Address, Weight: share})
	}
	return list, nil
}

func (m *Machine) blueAddress(ctx context.Context, b *Stable) (string, error) {
	if b.Instance == "" {
		return b.Address, nil
	}
	instance, err := m.Service.Observe(ctx, b.Instance)
	if err != nil || instance.Address == "" {
		return b.Address, err
	}
	return instance.Address, nil
}

// untouched refuses to overwrite a routing that is neither blue's nor this release's.
func (m *Machine) untouched(ctx context.Context, r *Release) error {
	routing, err := m.Router.Observe(ctx)
	if err != nil {
		return err
	}
	for _, b := range routing.Backends {
		mine := b.Release == r.Plan.Release
		blue := r.Plan.Blue != nil && (b.Release == r.Plan.Blue.Release || b.Address == r.Plan.Blue.Address)
		if b.Weight > 0 && !mine && !blue && r.Plan.Blue != nil {
			return fmt.Errorf("traffic goes to %s (release %q): %w", b.Address, b.Release, ErrForeignChange)
		}
	}
	return nil
}

// drain takes blue from the router and waits until nothing is under way there any more. What is left
// after its time is noted, and cut off when blue is stopped.
func (m *Machine) drain(ctx context.Context, s *migrate.Session, r *Release, i int) (string, error) {
	if err := m.untouched(ctx, r); err != nil {
		return "", err
	}
	address, err := m.blueAddress(ctx, r.Plan.Blue)
	if err != nil {
		return "", err
	}
	if err := m.sayDraining(ctx, s, r, i, address); err != nil {
		return "", err
	}
	left, err := m.emptied(ctx, r, address)
	if err != nil {
		return "", err
	}
	backends, err := m.backends(ctx, r, 100)
	if err != nil {
		return "", err
	}
	backends = slices.DeleteFunc(backends, func(b Backend) bool { return b.Slot == Blue })
	if _, err := m.Router.Shift(ctx, operation(s, r, i, "drop blue"), backends); err != nil {
		return "", err
	}
	if left > 0 {
		return fmt.Sprintf("%d requests were still under way", left), nil
	}
	return "", nil
}

// sayDraining says in service discovery that green is there and blue goes.
func (m *Machine) sayDraining(ctx context.Context, s *migrate.Session, r *Release, i int, address string) error {
	green, err := m.entry(ctx, r, r.Plan.Green(), r.Plan.Candidate)
	if err == nil {
		err = m.keep(ctx, s, r, i, green)
	}
	b := r.Plan.Blue
	if err != nil || b.Instance == "" {
		return err
	}
	return m.Discovery.Register(ctx, operation(s, r, i, "draining"), Registration{
		Key: r.Plan.Key(b.Instance), Address: address, Slot: Blue, Version: b.Version, Release: b.Release, State: "drain",
	})
}

func (m *Machine) emptied(ctx context.Context, r *Release, address string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Plan.Timing.Drain)
	defer cancel()
	return m.Router.Drain(ctx, address)
}

// stop ends an instance and takes its key from service discovery first.
func (m *Machine) stop(ctx context.Context, s *migrate.Session, r *Release, i int, id string) error {
	if id == "" {
		return nil // the service does not know it: whoever started it stops it
	}
	if err := m.Discovery.Deregister(ctx, operation(s, r, i, "deregister"), r.Plan.Key(id)); err != nil {
		return err
	}
	return m.Service.Stop(ctx, operation(s, r, i, "stop"), id, r.Plan.Timing.Grace)
}

// retire forgets stopped instances of releases before blue's. Blue itself is kept: a rollback starts it
// again.
func (m *Machine) retire(ctx context.Context, s *migrate.Session, r *Release, i int) (string, error) {
	stable := r.Plan.Candidate.Name + " is the stable version"
	if r.Plan.Strategy == Rolling {
		return stable, nil // the orchestrator has ended blue's instances one by one
	}
	list, err := m.Service.List(ctx)
	if err != nil {
		return "", err
	}
	for _, old := range list {
		keep := old.ID == r.Plan.Green() || r.Plan.Blue != nil && old.ID == r.Plan.Blue.Instance
		if keep || old.State != StateStopped {
			continue
		}
		if err := m.Service.Remove(ctx, operation(s, r, i, "remove "+old.ID), old.ID); err != nil {
			return "", err
		}
	}
	return stable, nil
}
