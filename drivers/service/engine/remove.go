package engine

import (
	"context"
	"slices"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"
)

// How long a swarm may take to forget the tasks that it has ended, and how often that is looked at. It does within a quarter
// of a second, or not at all while the machine of a task is gone.
const (
	forgetWait  = 5 * time.Second
	forgetPause = 100 * time.Millisecond
)

// RemoveService removes a service of a swarm, by its ID or name, once the swarm has forgotten the tasks that were to go before.
// Where it forgets one while it removes the service, the engine of a manager ends with a nil pointer (SetServiceTasksRemove of
// swarmkit, seen on 20.10), and all containers with it. A service that is not there is none to remove.
func RemoveService(ctx context.Context, c *client.Client, service string) error {
	wait, cancel := context.WithTimeout(ctx, forgetWait)
	defer cancel()
	for {
		tasks, err := c.TaskList(wait, client.TaskListOptions{Filters: make(client.Filters).Add("service", service)})
		if errdefs.IsNotFound(err) {
			return nil
		}
		if err != nil && wait.Err() == nil {
			return err
		}
		if err == nil && !slices.ContainsFunc(tasks.Items, func(t swarm.Task) bool { return t.DesiredState == swarm.TaskStateRemove }) {
			break
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-wait.Done():
		case <-time.After(forgetPause):
			continue
		}
		break
	}
	_, err := c.ServiceRemove(ctx, service, client.ServiceRemoveOptions{})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
