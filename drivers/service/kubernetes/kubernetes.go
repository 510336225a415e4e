// Package kubernetes runs versions of the application as Deployments of a Kubernetes cluster.
//
// An instance is one Deployment, with a Service of its own that is its address and a Secret with its environment. The
// cluster keeps everything: what is ours carries labels, so any later run, also after a kill between two calls,
// finds what an earlier one made. What does not carry them is never changed, scaled or deleted.
//
//	Start ──▶ Deployment of 0 pods ──▶ its Secret ──▶ its Service ──▶ scaled up ──▶ pods get ready
//	Stop  ──▶ scaled to 0 ──▶ pods end
//
// A stopped Deployment is kept until it is removed: the way back scales that same one up.
//
// The definition is written by server-side apply and without force, so that what somebody else has changed of it is
// noticed by the API and never overwritten. Only how many pods there are is ours alone while a release is under way.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"time"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/strategies"
)

// Service implements strategies.Service with Deployments.
type Service struct {
	application string
	behind      []string
	cluster     *cluster.Cluster
}

var (
	_ strategies.Service = (*Service)(nil)
	_ strategies.Checker = (*Service)(nil)
)

// look is how often a wait looks.
const look = 200 * time.Millisecond

// patience is how long pods may take beyond their grace, and what was deleted to be gone.
const patience = time.Minute

var validName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)

// New returns the service for an application in a namespace. behind are the Services that the application is reached
// by, when a release moves their traffic: a candidate that would get some of it at once is refused.
func New(c *cluster.Cluster, application string, behind ...string) (*Service, error) {
	if !validName.MatchString(application) {
		return nil, fmt.Errorf("application %q: on Kubernetes its name is part of its objects' names\n  next: set release.application to at most 40 lower case letters, digits and dashes, a letter first", application)
	}
	return &Service{application: application, behind: behind, cluster: c}, nil
}

// Check implements strategies.Checker: the API answers, the definition is whole, and the candidate would get no
// traffic before its time.
func (s *Service) Check(ctx context.Context, v strategies.Version) error {
	fail := func(err error) error {
		return fmt.Errorf("start %s: %w", strategies.InstanceID(v.Release, v.Slot), err)
	}
	d, err := s.define(v)
	if err != nil {
		return fail(err)
	}
	if _, err := s.cluster.List(ctx, cluster.Deployments, s.ours()); err != nil {
		return fail(err)
	}
	if err := s.apart(ctx, d); err != nil {
		return fail(err)
	}
	return nil
}

// apart refuses pods that one of the application's Services would send requests to as soon as they are ready.
func (s *Service) apart(ctx context.Context, d definition) error {
	for _, name := range s.behind {
		o, err := s.cluster.Get(ctx, cluster.Services, name)
		if errors.Is(err, strategies.ErrNotFound) {
			continue // for the router to say
		}
		if err != nil {
			return err
		}
		var service struct {
			Spec struct{ Selector map[string]string }
		}
		if err := cluster.Decode(o, &service); err != nil {
			return err
		}
		if selects(service.Spec.Selector, d.podLabels) {
			return fmt.Errorf("the labels of its pods are those that the Service %s selects: it would get requests at once\n  next: leave one of the labels %v out of the template's pods", name, service.Spec.Selector)
		}
	}
	return nil
}

func selects(selector, labels map[string]string) bool {
	for key, value := range selector {
		if labels[key] != value {
			return false
		}
	}
	return len(selector) > 0
}

// Start implements strategies.Service. A Deployment of the instance that is there already, made by an earlier attempt
// or stopped since, is completed and scaled up; one that runs is left as it is. One whose definition somebody has
// changed is strategies.ErrForeignChange.
func (s *Service) Start(ctx context.Context, op strategies.Operation, v strategies.Version) (strategies.Instance, error) {
	i, err := s.start(ctx, op, v)
	if err != nil {
		return strategies.Instance{}, fmt.Errorf("start %s: %w", strategies.InstanceID(v.Release, v.Slot), err)
	}
	return i, nil
}

func (s *Service) start(ctx context.Context, op strategies.Operation, v strategies.Version) (none strategies.Instance, err error) {
	d, err := s.define(v)
	if err != nil {
		return none, err
	}
	found, err := s.held(ctx, op, d.id)
	switch {
	case errors.Is(err, strategies.ErrNotFound):
		found, err = s.create(ctx, op, d)
	case err == nil:
		found, err = s.unchanged(ctx, op, d, found)
	}
	if err != nil {
		return none, err
	}
	failpoint.Hit("kubernetes: deployment made")
	if err := s.addSecret(ctx, found, d); err != nil {
		return none, err
	}
	failpoint.Hit("kubernetes: secret made")
	if err := s.addService(ctx, found, d); err != nil {
		return none, err
	}
	failpoint.Hit("kubernetes: service made")
	if replicas(found) > 0 {
		return s.instance(found, strategies.StateStarting, "is running already"), nil
	}
	// A newer run may have come meanwhile.
	if err := s.cluster.Enter(ctx, s.application, op); err != nil {
		return none, err
	}
	if found, err = s.scale(ctx, found, d.replicas); err != nil {
		return none, err
	}
	failpoint.Hit("kubernetes: scaled up")
	return s.instance(found, strategies.StateStarting, ""), nil
}

// Observe implements strategies.Service: health is what the pods' readiness probes say, and that as many are
// available as there are to be.
func (s *Service) Observe(ctx context.Context, id string) (strategies.Instance, error) {
	d, err := s.find(ctx, id)
	if errors.Is(err, strategies.ErrNotFound) {
		return strategies.Instance{ID: id, State: strategies.StateAbsent}, nil
	}
	if err != nil {
		return strategies.Instance{}, fmt.Errorf("observe %s: %w", id, err)
	}
	return s.state(ctx, d)
}

// List implements strategies.Service.
func (s *Service) List(ctx context.Context) ([]strategies.Instance, error) {
	found, err := s.cluster.List(ctx, cluster.Deployments, s.ours())
	if err != nil {
		return nil, err
	}
	var list []strategies.Instance
	for n := range found {
		if found[n].GetLabels()[labelInstance] == "" { // the one that a Roller has
			continue
		}
		i, err := s.state(ctx, &found[n])
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].ID < list[j].ID })
	return list, nil
}

// Stop implements strategies.Service: the Deployment is scaled to 0, and pods that are still there after grace are
// told to end within a second.
func (s *Service) Stop(ctx context.Context, op strategies.Operation, id string, grace time.Duration) error {
	d, err := s.held(ctx, op, id)
	if errors.Is(err, strategies.ErrNotFound) {
		return nil
	}
	if err == nil && replicas(d) > 0 {
		_, err = s.scale(ctx, d, 0)
	}
	if err == nil {
		failpoint.Hit("kubernetes: scaled down")
		err = s.emptied(ctx, id, grace)
	}
	if err != nil {
		return fmt.Errorf("stop %s: %w", id, err)
	}
	return nil
}

// emptied waits until the cluster has seen that an instance is to have no pods, and it has none any more.
func (s *Service) emptied(ctx context.Context, id string, grace time.Duration) error {
	for begun := time.Now(); ; {
		d, err := s.find(ctx, id)
		if errors.Is(err, strategies.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		pods, err := s.cluster.List(ctx, cluster.Pods, s.labels(id))
		if err != nil {
			return err
		}
		i, err := s.state(ctx, d)
		if err != nil || len(pods) == 0 && i.State == strategies.StateStopped {
			return err
		}
		over := time.Since(begun) - grace
		if over > patience {
			return s.stays(i, pods)
		}
		if over >= 0 {
			if err := s.end(ctx, pods); err != nil {
				return err
			}
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// stays is the error about an instance that does not end.
func (s *Service) stays(i strategies.Instance, pods []cluster.Object) error {
	if len(pods) == 0 {
		return fmt.Errorf("it was scaled to 0, but it is %s: %s\n  next: see that the cluster's controller manager runs, then: switchback release resume", i.State, i.Detail)
	}
	name := pods[0].GetName()
	return fmt.Errorf("the pod %s does not end; its node may be gone\n  next: %s, and when the node is gone for good: %s", name,
		s.cluster.Kubectl("describe pod "+name), s.cluster.Kubectl("delete pod --force "+name))
}

// end tells pods that have had their time to end within a second.
func (s *Service) end(ctx context.Context, pods []cluster.Object) error {
	for n := range pods {
		if left := pods[n].GetDeletionGracePeriodSeconds(); left == nil || *left > 1 {
			if err := s.cluster.End(ctx, &pods[n], 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// Remove implements strategies.Service. An instance with pods that run is not removed.
func (s *Service) Remove(ctx context.Context, op strategies.Operation, id string) error {
	fail := func(err error) error { return fmt.Errorf("remove %s: %w", id, err) }
	for deadline := time.Now().Add(patience); ; {
		d, err := s.held(ctx, op, id)
		if errors.Is(err, strategies.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fail(err)
		}
		if d.GetDeletionTimestamp() == nil {
			if err := s.remove(ctx, d); err != nil && !errors.Is(err, cluster.ErrConflict) {
				return fail(err)
			}
		}
		if time.Now().After(deadline) {
			return fail(fmt.Errorf("its Deployment %s is not gone\n  next: %s", d.GetName(), s.cluster.Kubectl("get deployment "+d.GetName()+" -o yaml")+" shows its finalizers"))
		}
		if err := pause(ctx); err != nil {
			return fail(err)
		}
	}
}

// remove deletes a Deployment that was stopped, with what belongs to it.
func (s *Service) remove(ctx context.Context, d *cluster.Object) error {
	i, err := s.state(ctx, d)
	if err != nil {
		return err
	}
	if i.State != strategies.StateStopped {
		return fmt.Errorf("its Deployment %s is running: stop it first", d.GetName())
	}
	if err := s.cluster.Delete(ctx, cluster.Deployments, d); err != nil {
		return err
	}
	failpoint.Hit("kubernetes: deleted")
	return nil
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(look):
		return nil
	}
}

// held passes the fence of an operation and returns the Deployment of its instance, or ErrNotFound.
func (s *Service) held(ctx context.Context, op strategies.Operation, id string) (*cluster.Object, error) {
	if err := s.cluster.Enter(ctx, s.application, op); err != nil {
		return nil, err
	}
	return s.find(ctx, id)
}

// find returns the Deployment of an instance, or ErrNotFound.
func (s *Service) find(ctx context.Context, id string) (*cluster.Object, error) {
	if !validLabel.MatchString(id) {
		return nil, strategies.ErrNotFound
	}
	found, err := s.cluster.List(ctx, cluster.Deployments, s.labels(id))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, strategies.ErrNotFound
	}
	return &found[0], nil
}

// replicas is how many pods a Deployment is to have.
func replicas(d *cluster.Object) int32 {
	var r struct{ Spec struct{ Replicas *int32 } }
	if err := cluster.Decode(d, &r); err != nil || r.Spec.Replicas == nil {
		return 1 // as the API takes it
	}
	return *r.Spec.Replicas
}
