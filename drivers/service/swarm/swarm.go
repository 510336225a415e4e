// Package swarm has a Docker Swarm replace the instances of an application, or run two versions of it side by side
// (Versions), behind a router.
//
// Of a rolling release there is one service for an application, and the swarm keeps all there is to know about it: which release,
// operation and fence put its definition in force is in its labels, so any later run, also after a kill between
// two calls, sees what an earlier one did. What a service has beside that (limits, constraints, secrets) is kept.
//
//	Roll ──▶ service update (labels, UpdateConfig, pause on failure) ──▶ the swarm replaces task after task
//	Rollout ◀── its UpdateStatus, and its tasks by the release in their containers' labels
//
// A swarm is told to pause when a task fails, never to roll back: it knows one specification before this one, and
// nothing of the schema. Who goes back is strategies.Machine, with what the journal has.
//
// How a swarm updates is after SwarmKit's manager/orchestrator/update/updater.go.
package swarm

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	api "github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/drivers/service/engine"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/internal/secret"
	"github.com/switchbackdb/switchback/strategies"
)

// Orchestrator implements strategies.Roller with a service of a swarm.
type Orchestrator struct {
	application string
	engine      *client.Client
}

var _ strategies.Roller = (*Orchestrator)(nil)

// The labels of a service that is ours.
const (
	labelApplication = "switchback.application"
	labelRelease     = "switchback.release"
	labelVersion     = "switchback.version"
	labelOperation   = "switchback.operation"
	labelFence       = "switchback.fence"
	labelDefinition  = "switchback.definition" // what was put in force, part by part, as hashes
	labelHalted      = "switchback.halted"     // the operation that halted it
	labelService     = "switchback.service"    // of its containers: the driver for containers does not take them for its own
)

var validName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_-]{0,48}[A-Za-z0-9])?$`)

// New returns the orchestrator for an application: the swarm of the engine that the environment names (DOCKER_HOST),
// else that of this machine. The engine need not run yet.
func New(application string) (*Orchestrator, error) {
	if !validName.MatchString(application) {
		return nil, fmt.Errorf("application %q: in a swarm it is the name of a service\n  next: set release.application to at most 50 letters, digits, dashes and underscores", application)
	}
	c, err := client.New(client.FromEnv)
	if err != nil {
		return nil, fmt.Errorf("open Docker: %w\n  next: check DOCKER_HOST, DOCKER_CERT_PATH and DOCKER_TLS_VERIFY", err)
	}
	return &Orchestrator{application: application, engine: c}, nil
}

// Close closes the connections to the engine.
func (o *Orchestrator) Close() error { return o.engine.Close() }

// Roll implements strategies.Roller.
func (o *Orchestrator) Roll(ctx context.Context, op strategies.Operation, r strategies.Replacement) error {
	fail := func(err error) error {
		return tried(fmt.Sprintf("roll service %s to %s", o.application, r.Version.Name), secret.Hide(r.Version.Env).In(err))
	}
	if err := o.enter(ctx, op); err != nil {
		return fail(err)
	}
	d, err := o.define(ctx, op, r)
	if err != nil {
		return fail(err)
	}
	return fail(o.alone(func() error {
		s, err := o.find(ctx)
		if err != nil {
			return err
		}
		if s == nil {
			return o.create(ctx, d)
		}
		now := read(o.application, s)
		mine := now.Release == r.Version.Release
		switch {
		case now.Foreign != "" || !mine && now.Release != r.Over:
			return now.foreign()
		case mine && now.Operation == op.ID:
			if rests, err := o.rests(ctx, s, now); err != nil || !rests {
				return err
			}
			if err := o.settled(ctx, s); err != nil {
				return err
			}
		}
		return o.update(ctx, s, d.onto(s.Spec))
	}))
}

// Halt implements strategies.Roller. A swarm has no way to stop an update: it is given one that replaces one
// task at a time and then waits for years. So one task more may be replaced, which is started before the old one is
// stopped.
func (o *Orchestrator) Halt(ctx context.Context, op strategies.Operation, release string) error {
	fail := func(err error) error { return tried("halt service "+o.application, err) }
	if err := o.enter(ctx, op); err != nil {
		return fail(err)
	}
	return fail(o.alone(func() error {
		s, err := o.find(ctx)
		if err != nil {
			return err
		}
		now := read(o.application, s)
		switch {
		case now.State == strategies.RollAbsent, now.Release != release, now.Foreign != "":
			return now.foreign()
		case now.State != strategies.RollGoing:
			return nil
		}
		if err := o.settled(ctx, s); err != nil && !errors.Is(err, errUnsettled) {
			return err
		}
		spec := s.Spec
		spec.Labels[labelHalted] = op.ID
		spec.UpdateConfig = updateConfig(strategies.Pace{Parallelism: 1, Delay: years, Order: strategies.StartFirst})
		return o.update(ctx, s, spec)
	}))
}

// rests tells whether the swarm goes no further by itself, though it is not at the end: it was halted, or takes an update
// for completed that has left old tasks, because new ones failed later than it looked.
func (o *Orchestrator) rests(ctx context.Context, s *api.Service, now rollout) (bool, error) {
	if now.State == strategies.RollHalted {
		return true, nil
	}
	if s.UpdateStatus == nil || s.UpdateStatus.State != api.UpdateStateCompleted {
		return false, nil
	}
	tasks, err := o.tasks(ctx, s)
	for _, t := range tasks {
		now.count(t)
	}
	return now.Old > 0, err
}

// errUnsettled is returned while a task that is to run does not.
var errUnsettled = errors.New("it does not run yet")

// settled waits a while until each new task that is to run does. An update that begins anew takes such a task for good, and
// ends the old one of its slot: so one that fails would cost one that is healthy.
func (o *Orchestrator) settled(ctx context.Context, s *api.Service) error {
	deadline := time.NewTimer(settleWait)
	defer deadline.Stop()
	tick := time.NewTicker(emptyPause)
	defer tick.Stop()
	for {
		tasks, err := o.tasks(ctx, s)
		if err != nil {
			return err
		}
		i := unsettled(s, tasks)
		if i < 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		case <-deadline.C:
			return fmt.Errorf("task %d is %s: %w\n  next: docker service ps --no-trunc %s", tasks[i].Slot, tasks[i].Status.State, errUnsettled, o.application)
		}
	}
}

// unsettled is the place of a task that was made by the update under way, is the newest of its slot and does not run, be it that
// it has not begun or that it has failed and is to be started again; -1 when there is none.
func unsettled(s *api.Service, newestFirst []api.Task) int {
	seen := map[int]bool{}
	for i, t := range newestFirst {
		if releaseOf(t) != s.Spec.Labels[labelRelease] || seen[t.Slot] {
			continue
		}
		seen[t.Slot] = true
		u := s.UpdateStatus
		before := u == nil || u.StartedAt == nil || t.CreatedAt.Before(*u.StartedAt)
		if !before && t.Status.State != api.TaskStateRunning && t.Status.State != api.TaskStateShutdown {
			return i
		}
	}
	return -1
}

// tried says what an error came of.
func tried(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// years is a delay that nobody waits for.
const years = 10 * 365 * 24 * time.Hour

// Withdraw implements strategies.Roller. The service is removed once its last task has ended: a service that is
// removed at once says no more of tasks that are still stopping.
func (o *Orchestrator) Withdraw(ctx context.Context, op strategies.Operation, release string) error {
	fail := func(err error) error { return tried("withdraw service "+o.application, err) }
	if err := o.enter(ctx, op); err != nil {
		return fail(err)
	}
	var s *api.Service
	err := o.alone(func() (err error) {
		if s, err = o.find(ctx); err != nil || s == nil {
			return err
		}
		if now := read(o.application, s); now.Release != release || now.Foreign != "" {
			return now.foreign()
		}
		none := uint64(0)
		s.Spec.Mode.Replicated = &api.ReplicatedService{Replicas: &none}
		return o.update(ctx, s, s.Spec)
	})
	if err != nil || s == nil {
		return fail(err)
	}
	if err := o.emptied(ctx, s); err != nil {
		return fail(err)
	}
	failpoint.Hit("swarm: emptied")
	if err := engine.RemoveService(ctx, o.engine, s.ID); err != nil {
		return fail(explain(err))
	}
	failpoint.Hit("swarm: removed")
	return nil
}

// emptied waits until no task of a service is left that is to have none. One that has failed and is still wanted is left:
// the swarm starts it once more where it learns of the failure before it learns that there are to be none, and takes
// that one for none that is too many until it looks at the service again.
func (o *Orchestrator) emptied(ctx context.Context, s *api.Service) error {
	wait := emptyWait
	if spec := s.Spec.TaskTemplate.ContainerSpec; spec != nil && spec.StopGracePeriod != nil {
		wait += *spec.StopGracePeriod
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("tasks of it still run after %s\n  next: docker service ps %s", wait, o.application))
	defer cancel()
	tick := time.NewTicker(emptyPause)
	defer tick.Stop()
	for looks := 1; ; looks++ {
		tasks, err := o.tasks(ctx, s)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		wanted := slices.ContainsFunc(tasks, wantedToRun)
		if !wanted && !slices.ContainsFunc(tasks, lives) {
			return nil
		}
		if wanted && looks%emptyLooks == 0 {
			if err := o.lookAgain(ctx, s); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// lookAgain has the swarm look at a service that is to have no tasks: writing it as it is does.
func (o *Orchestrator) lookAgain(ctx context.Context, s *api.Service) error {
	return o.alone(func() error {
		now, err := o.named(ctx, s.Spec.Name)
		if err != nil || now == nil || now.ID != s.ID || tasksOf(now) > 0 {
			return err
		}
		_, err = o.engine.ServiceUpdate(ctx, now.ID, client.ServiceUpdateOptions{Version: now.Version, Spec: now.Spec})
		return explain(err)
	})
}

// How long tasks may take to end beside their time to stop, how often that is looked at, and after how many looks the swarm
// is asked to do so too.
const (
	emptyWait  = time.Minute
	emptyPause = 200 * time.Millisecond
	emptyLooks = 10
)

// settleWait is how long a task may take to run: longer than a swarm waits before it starts one again, and than a busy engine takes.
const settleWait = 30 * time.Second

// alone does something that looks at the service and then changes it. Where somebody else has changed it in
// between, be it the swarm itself, it looks again.
func (o *Orchestrator) alone(do func() error) (err error) {
	for range attempts {
		if err = do(); err == nil || !raced(err) {
			return err
		}
	}
	return err
}

// attempts is how often. A swarm changes a service twice for an update.
const attempts = 20

// raced tells whether an update was refused because the service had been changed since it was read, or been made.
func raced(err error) bool {
	return strings.Contains(err.Error(), "update out of sequence") || exists(err)
}

// exists tells whether something was not made because there is one of its name.
func exists(err error) bool {
	return strings.Contains(err.Error(), "name conflicts with an existing object") || strings.Contains(err.Error(), "already exists")
}

// find returns the service, nil when there is none.
func (o *Orchestrator) find(ctx context.Context) (*api.Service, error) {
	return o.named(ctx, o.application)
}

// named returns the service of a name, nil when there is none.
func (o *Orchestrator) named(ctx context.Context, name string) (*api.Service, error) {
	found, err := o.engine.ServiceInspect(ctx, name, client.ServiceInspectOptions{})
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, explain(err)
	case found.Service.Spec.Name != name: // an ID, or its beginning, of another
		return nil, nil
	}
	return &found.Service, nil
}

func (o *Orchestrator) create(ctx context.Context, d definition) error {
	failpoint.Hit("swarm: decided")
	_, err := o.engine.ServiceCreate(ctx, client.ServiceCreateOptions{Spec: d.onto(api.ServiceSpec{})})
	failpoint.Hit("swarm: created")
	return explain(err)
}

// update changes the service as it was read, or not at all.
func (o *Orchestrator) update(ctx context.Context, s *api.Service, spec api.ServiceSpec) error {
	failpoint.Hit("swarm: decided")
	_, err := o.engine.ServiceUpdate(ctx, s.ID, client.ServiceUpdateOptions{Version: s.Version, Spec: spec})
	failpoint.Hit("swarm: updated")
	return explain(err)
}

// explain says what to do where the swarm did not answer.
func explain(err error) error {
	if err != nil && strings.Contains(err.Error(), "is not a swarm manager") {
		return fmt.Errorf("the Docker engine: %w\n  next: docker swarm init, or set DOCKER_HOST to the engine of a manager", err)
	}
	return engine.Explain(err)
}
