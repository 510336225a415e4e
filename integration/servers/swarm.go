package servers

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/internal/filelock"

	"github.com/switchbackdb/switchback/drivers/service/engine"
)

// SwarmTurn waits until no other test works with the engine's swarm, and has it until the test ends.
func SwarmTurn(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	lock, err := filelock.Take(ctx, filepath.Join(os.TempDir(), "switchback-test-swarm.lock"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = lock.Close() })
}

// Swarm has the engine be a swarm's manager until the test and its subtests end. An engine that was none is none again
// then.
func Swarm(t testing.TB, c *client.Client) {
	t.Helper()
	SwarmTurn(t)
	info, err := c.Info(t.Context(), client.InfoOptions{})
	require.NoError(t, err)
	if info.Info.Swarm.LocalNodeState != swarm.LocalNodeStateInactive {
		return
	}
	_, err = c.SwarmInit(t.Context(), client.SwarmInitOptions{ListenAddr: "127.0.0.1:2377", AdvertiseAddr: "127.0.0.1"})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := c.SwarmLeave(ctx, client.SwarmLeaveOptions{Force: true})
		require.NoError(t, err)
	})
}

// SwarmApplication returns a name for an application in the swarm. The services with that name or the label of it, their
// containers, and the configs with the label are removed when the test ends.
func SwarmApplication(t testing.TB, c *client.Client, label string) string {
	t.Helper()
	name := "test-" + unique()
	filters := make(client.Filters).Add("label", label+"="+name)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		services := []string{name}
		labelled, err := c.ServiceList(ctx, client.ServiceListOptions{Filters: filters})
		require.NoError(t, err)
		for _, s := range labelled.Items {
			if s.Spec.Name != name {
				services = append(services, s.Spec.Name)
			}
		}
		for _, service := range services {
			if endTasks(ctx, t, c, service) {
				require.NoError(t, engine.RemoveService(ctx, c, service))
			}
		}
		configs, err := c.ConfigList(ctx, client.ConfigListOptions{Filters: filters})
		require.NoError(t, err)
		for _, one := range configs.Items {
			_, err := c.ConfigRemove(ctx, one.ID, client.ConfigRemoveOptions{})
			require.NoError(t, err)
		}
	})
	t.Cleanup(func() {
		if t.Failed() {
			logTasks(context.WithoutCancel(t.Context()), t, c, filters)
		}
	})
	return name
}

// logTasks says what became of the tasks of services, which the swarm may have ended on its own.
func logTasks(ctx context.Context, t testing.TB, c *client.Client, of client.Filters) {
	services, err := c.ServiceList(ctx, client.ServiceListOptions{Filters: of})
	if err != nil {
		t.Log(err)
		return
	}
	for _, s := range services.Items {
		tasks, err := c.TaskList(ctx, client.TaskListOptions{Filters: make(client.Filters).Add("service", s.ID)})
		if err != nil {
			t.Log(err)
		}
		for _, task := range tasks.Items {
			t.Logf("%s: a task of %s is %s since %s, to be %s: %s %s", s.Spec.Name, task.CreatedAt.Format(time.TimeOnly), task.Status.State,
				task.Status.Timestamp.Format(time.TimeOnly), task.DesiredState, task.Status.Message, task.Status.Err)
		}
	}
}

// endTasks ends the tasks of a service, so that none of its containers is left. It tells whether there is that service.
func endTasks(ctx context.Context, t testing.TB, c *client.Client, name string) bool {
	t.Helper()
	none := uint64(0)
	require.Eventually(t, func() bool {
		found, err := c.ServiceInspect(ctx, name, client.ServiceInspectOptions{})
		if err != nil {
			return true // there is none
		}
		spec := found.Service.Spec
		spec.Mode = swarm.ServiceMode{Replicated: &swarm.ReplicatedService{Replicas: &none}}
		_, err = c.ServiceUpdate(ctx, name, client.ServiceUpdateOptions{Version: found.Service.Version, Spec: spec})
		return err == nil
	}, 10*time.Second, 50*time.Millisecond)
	filters := make(client.Filters).Add("label", "com.docker.swarm.service.name="+name)
	require.Eventually(t, func() bool {
		left, err := c.ContainerList(ctx, client.ContainerListOptions{Filters: filters})
		return err == nil && len(left.Items) == 0
	}, 45*time.Second, 50*time.Millisecond, "its containers do not end")
	stopped, err := c.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	require.NoError(t, err)
	for _, one := range stopped.Items {
		// The swarm removes them as well.
		_, _ = c.ContainerRemove(ctx, one.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	}
	_, err = c.ServiceInspect(ctx, name, client.ServiceInspectOptions{})
	return err == nil
}
