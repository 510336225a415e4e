package swarm

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	api "github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/drivers/service/engine"
	"github.com/switchbackdb/switchback/internal/secret"
	"github.com/switchbackdb/switchback/strategies"
)

// rollout is what a service says by itself.
type rollout struct{ strategies.Rollout }

// read reads a service, nil for one that is not there. What its tasks do is not in it yet.
func read(application string, s *api.Service) rollout {
	r := rollout{strategies.Rollout{State: strategies.RollAbsent, Look: "docker service ps --no-trunc " + application}}
	if s == nil {
		return r
	}
	l := s.Spec.Labels
	r.State = strategies.RollGoing
	if l[labelApplication] != application {
		r.Foreign = fmt.Sprintf("there is a service %s that is not of this application", application)
		r.Look = "docker service inspect --pretty " + application + "; give release.application another name, or remove that service"
		return r
	}
	r.Release, r.Version, r.Operation = l[labelRelease], l[labelVersion], l[labelOperation]
	r.Fence, _ = strconv.ParseInt(l[labelFence], 10, 64) // for people
	names := changed(l[labelDefinition], partsOf(s.Spec).hash())
	if s.Spec.Mode.Replicated == nil {
		names = append(names, "mode")
	}
	if len(names) > 0 {
		r.Foreign = fmt.Sprintf("somebody has changed the %s of the service %s since release %s put it there", strings.Join(names, ", "), application, r.Release)
		r.Look = "docker service inspect --pretty " + application + "; docker service rollback " + application + " takes the last change back"
	}
	if m := s.Spec.Mode.Replicated; m != nil && m.Replicas != nil {
		r.Wanted = int(*m.Replicas) //nolint:gosec // a count of tasks
	}
	if u := s.UpdateStatus; u != nil && (u.State == api.UpdateStatePaused || u.State == api.UpdateStateRollbackPaused) {
		r.State, r.Detail = strategies.RollHalted, u.Message
	}
	if l[labelHalted] != "" {
		r.State, r.Detail = strategies.RollHalted, "on request"
	}
	if s.Spec.EndpointSpec != nil {
		for _, p := range s.Spec.EndpointSpec.Ports {
			r.Address = net.JoinHostPort("127.0.0.1", strconv.FormatUint(uint64(p.PublishedPort), 10))
		}
	}
	return r
}

// foreign is the error about a service that is not as it is expected.
func (r rollout) foreign() error {
	what := r.Foreign
	switch {
	case what != "":
	case r.State == strategies.RollAbsent:
		what = "the service is gone"
	default:
		what = fmt.Sprintf("release %s is in force", r.Release)
	}
	return fmt.Errorf("%s: %w\n  next: %s", what, strategies.ErrForeignChange, r.Look)
}

// Rollout implements strategies.Roller.
func (o *Orchestrator) Rollout(ctx context.Context) (strategies.Rollout, error) {
	fail := func(err error) (strategies.Rollout, error) {
		return strategies.Rollout{}, fmt.Errorf("observe service %s: %w", o.application, err)
	}
	s, err := o.find(ctx)
	if err != nil {
		return fail(err)
	}
	r := read(o.application, s)
	if !engine.OnThisMachine(o.engine.DaemonHost()) {
		r.Address = ""
	}
	if s == nil || r.Release == "" {
		return r.Rollout, nil
	}
	tasks, err := o.tasks(ctx, s)
	if err != nil {
		return fail(err)
	}
	for _, t := range tasks {
		r.count(t)
	}
	done := s.UpdateStatus == nil || s.UpdateStatus.State == api.UpdateStateCompleted || s.UpdateStatus.State == api.UpdateStateRollbackCompleted
	if r.State == strategies.RollGoing && done && r.Healthy == r.Wanted && r.Updated == r.Wanted && r.Old == 0 {
		r.State = strategies.RollDone
		return r.Rollout, nil
	}
	hide := secret.HideList(s.Spec.TaskTemplate.ContainerSpec.Env)
	if why := o.failures(ctx, r.Release, tasks, hide); why != "" {
		r.Detail = strings.TrimPrefix(r.Detail+": "+why, ": ")
	}
	return r.Rollout, nil
}

// count takes a task into account.
func (r *rollout) count(t api.Task) {
	wanted := t.DesiredState == api.TaskStateRunning || t.DesiredState == api.TaskStateReady
	switch {
	case !lives(t):
	case releaseOf(t) == r.Release && wanted:
		r.Updated++
		// A swarm takes a task for running once its healthcheck has succeeded.
		if t.Status.State == api.TaskStateRunning && t.DesiredState == api.TaskStateRunning {
			r.Healthy++
		}
	case releaseOf(t) != r.Release:
		r.Old++
	}
}

// lives tells whether a task runs, is still to run, or is being stopped.
func lives(t api.Task) bool {
	return !slices.Contains([]api.TaskState{
		api.TaskStateComplete, api.TaskStateShutdown, api.TaskStateFailed, api.TaskStateRejected, api.TaskStateRemove, api.TaskStateOrphaned,
	}, t.Status.State)
}

// wantedToRun tells whether the swarm would run a task, or start it again where it has failed.
func wantedToRun(t api.Task) bool {
	return t.DesiredState == api.TaskStateRunning || t.DesiredState == api.TaskStateReady
}

// releaseOf is the release whose definition a task is of.
func releaseOf(t api.Task) string {
	if c := t.Spec.ContainerSpec; c != nil {
		return c.Labels[labelRelease]
	}
	return ""
}

// tasks are the tasks of a service, the newest first; the swarm remembers a few that have ended.
func (o *Orchestrator) tasks(ctx context.Context, s *api.Service) ([]api.Task, error) {
	found, err := o.engine.TaskList(ctx, client.TaskListOptions{Filters: make(client.Filters).Add("service", s.ID)})
	if err != nil {
		return nil, explain(err)
	}
	slices.SortStableFunc(found.Items, func(a, b api.Task) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return found.Items, nil
}

// shownTasks is how many tasks that fail are told of.
const shownTasks = 3

// failures tells what is wrong with tasks of a release, the newest first: why they ended, or what keeps them from
// running. The first that has printed anything on this engine says its last words.
func (o *Orchestrator) failures(ctx context.Context, release string, tasks []api.Task, hide secret.Values) string {
	var says []string
	words := ""
	for _, t := range tasks {
		starting := lives(t) && t.DesiredState == api.TaskStateRunning && t.Status.State != api.TaskStateRunning
		if releaseOf(t) != release || !starting && t.Status.Err == "" || len(says) == shownTasks {
			continue
		}
		why := fmt.Sprintf("task %d is %s", t.Slot, t.Status.State)
		if t.Status.Err != "" {
			why += ": " + hide.Text(t.Status.Err)
		}
		says = append(says, why)
		if c := t.Status.ContainerStatus; words == "" && c != nil {
			words = o.lastWords(ctx, c.ContainerID, hide)
		}
	}
	return strings.Join(says, "; ") + words
}

// lastWords are what the healthcheck of a container that runs said last, or the last lines of one that has ended; empty
// when it is not on the engine that is asked.
func (o *Orchestrator) lastWords(ctx context.Context, containerID string, hide secret.Values) string {
	found, err := o.engine.ContainerInspect(ctx, containerID, client.ContainerInspectOptions{})
	if err != nil || found.Container.Config == nil || found.Container.State == nil {
		return ""
	}
	if state := found.Container.State; state.Running {
		if state.Health == nil || len(state.Health.Log) == 0 {
			return ""
		}
		return "; its healthcheck has not succeeded yet" + hide.Text(engine.LastProbe(state.Health))
	}
	lines, err := engine.LastLines(ctx, o.engine, found.Container, hide)
	if err != nil || lines == "" {
		return ""
	}
	return "; its last lines:\n" + lines
}
