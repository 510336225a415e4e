package custom

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// Service implements strategies.Service with the other side of a transport.
type Service struct{ caller }

var (
	_ strategies.Service = (*Service)(nil)
	_ strategies.Checker = (*Service)(nil)
)

// NewService returns the service at the other side. It does not call it yet.
func NewService(o Options) *Service { return &Service{caller{o, portService}} }

// validID is what the ID of an instance may be: it becomes a file, a job or a container at the other side.
var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$`)

// Check implements strategies.Checker.
func (s *Service) Check(ctx context.Context, v strategies.Version) error {
	if err := valid(v); err != nil {
		return err
	}
	_, err := s.call(ctx, "check", request{Version: spelled(v), Instance: strategies.InstanceID(v.Release, v.Slot)}, 0)
	return err
}

func valid(v strategies.Version) error {
	if id := strategies.InstanceID(v.Release, v.Slot); !validID.MatchString(id) {
		return fmt.Errorf("instance %q: the name of a release is letters, digits, dots, dashes and underscores", id)
	}
	return nil
}

// Start implements strategies.Service.
func (s *Service) Start(ctx context.Context, op strategies.Operation, v strategies.Version) (strategies.Instance, error) {
	if err := valid(v); err != nil {
		return strategies.Instance{}, err
	}
	id := strategies.InstanceID(v.Release, v.Slot)
	a, err := s.call(ctx, "start", request{Operation: carried(op), Version: spelled(v), Instance: id}, 0)
	if err != nil {
		return strategies.Instance{}, fmt.Errorf("start %s: %w", id, err)
	}
	i, err := s.read(a.Instance, id)
	if err == nil && (i.Release != v.Release || i.Slot != v.Slot || i.Version != v.Name) {
		err = fmt.Errorf("%s answers for version %q of release %q in the slot %q", s.Transport, i.Version, i.Release, i.Slot)
	}
	if err != nil {
		return strategies.Instance{}, fmt.Errorf("start %s: %w", id, err)
	}
	return i, nil
}

// Observe implements strategies.Service.
func (s *Service) Observe(ctx context.Context, id string) (strategies.Instance, error) {
	if !validID.MatchString(id) {
		return strategies.Instance{ID: id, State: strategies.StateAbsent}, nil
	}
	a, err := s.call(ctx, "observe", request{Instance: id}, 0)
	if err != nil {
		return strategies.Instance{}, fmt.Errorf("observe %s: %w", id, err)
	}
	i, err := s.read(a.Instance, id)
	if err != nil {
		return strategies.Instance{}, fmt.Errorf("observe %s: %w", id, err)
	}
	return i, nil
}

// List implements strategies.Service.
func (s *Service) List(ctx context.Context) ([]strategies.Instance, error) {
	a, err := s.call(ctx, "list", request{}, 0)
	if err != nil {
		return nil, fmt.Errorf("list instances: %w", err)
	}
	if a.Instances == nil {
		return nil, fmt.Errorf("list instances: the answer of %s has no \"instances\"", s.Transport)
	}
	var list []strategies.Instance
	for _, one := range a.Instances {
		i, err := s.read(&one, one.ID)
		if err != nil {
			return nil, fmt.Errorf("list instances: %w", err)
		}
		if i.State != strategies.StateAbsent {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(a, b strategies.Instance) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// Stop implements strategies.Service.
func (s *Service) Stop(ctx context.Context, op strategies.Operation, id string, grace time.Duration) error {
	if !validID.MatchString(id) {
		return fmt.Errorf("stop %s: %w", id, strategies.ErrNotFound)
	}
	_, err := s.call(ctx, "stop", request{Operation: carried(op), Instance: id, Grace: grace.Seconds()}, grace)
	if err != nil {
		return fmt.Errorf("stop %s: %w", id, err)
	}
	return nil
}

// Remove implements strategies.Service.
func (s *Service) Remove(ctx context.Context, op strategies.Operation, id string) error {
	if !validID.MatchString(id) {
		return nil
	}
	if _, err := s.call(ctx, "remove", request{Operation: carried(op), Instance: id}, 0); err != nil {
		return fmt.Errorf("remove %s: %w", id, err)
	}
	return nil
}

// states are those that an instance may be said to be in.
var states = []strategies.State{
	strategies.StateAbsent, strategies.StateStarting, strategies.StateHealthy, strategies.StateFailing, strategies.StateStopped,
}

// read checks an instance of an answer, which is to be that of the ID.
func (s *Service) read(i *instance, id string) (strategies.Instance, error) {
	wrong := func(reason string) (strategies.Instance, error) {
		return strategies.Instance{}, fmt.Errorf("the answer of %s is of no use: %s", s.Transport, reason)
	}
	switch {
	case i == nil:
		return wrong("it has no \"instance\"")
	case i.ID != id:
		return wrong(fmt.Sprintf("it is about %q where %q was asked for", start(i.ID), id))
	case !validID.MatchString(i.ID):
		return wrong(fmt.Sprintf("%q is no ID of an instance", start(i.ID)))
	case !slices.Contains(states, i.State):
		return wrong(fmt.Sprintf("%q is no state of an instance", start(string(i.State))))
	case i.State == strategies.StateAbsent:
		return strategies.Instance{ID: id, State: i.State}, nil
	case i.Slot != strategies.Blue && i.Slot != strategies.Green:
		return wrong(fmt.Sprintf("%q is no slot", start(string(i.Slot))))
	case i.State == strategies.StateHealthy && i.Address == "":
		return wrong("an instance is healthy and has no address")
	}
	if i.Address != "" {
		if err := strategies.CheckAddress(i.Address); err != nil {
			return wrong(err.Error())
		}
	}
	return strategies.Instance{
		ID: id, Release: i.Release, Version: i.Version, Slot: i.Slot, Address: i.Address,
		State: i.State, Detail: start(i.Detail), Started: i.Started,
	}, nil
}
