package swarm

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	api "github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

func openVersions(t *testing.T, application string) *Versions {
	t.Helper()
	s, err := NewVersions(application, time.Second)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// onHost publishes a version's port on the machine of its one task: not every kernel has what a swarm's mesh needs.
func onHost(image string) *strategies.Container {
	return &strategies.Container{Image: image, Ports: "28100-28199", Publish: &strategies.Publish{Mode: "host"}}
}

func testVersions(t *testing.T) {
	b := newBench(t, probed)
	conformance.Service(t, strategies.Version{Container: onHost(b.image)}, func(t *testing.T) strategies.Service { return openVersions(t, b.name) })
}

func (b bench) version(release string, c *strategies.Container) strategies.Version {
	return strategies.Version{
		Release: release, Slot: strategies.Green, Name: release, Container: c,
		Env: map[string]string{"MODE": "serve", "LISTEN": "{{address}}", "NAME": release, "SECRET": conformance.Secret},
	}
}

// testReached starts versions on a network that a router is to be on, several tasks of each, and has somebody else change
// what is ours, and what is not.
func testReached(t *testing.T) {
	b := newBench(t, probed)
	s := openVersions(t, b.name)
	made, err := b.engine.NetworkCreate(t.Context(), b.name, client.NetworkCreateOptions{Driver: "overlay"})
	require.NoError(t, err)
	t.Cleanup(func() { // after the tasks that are on it
		ctx := context.WithoutCancel(t.Context())
		require.NoError(t, s.Stop(ctx, strategies.Operation{ID: "end", Fence: 1}, "v1.2-green", time.Second))
		require.NoError(t, s.Remove(ctx, strategies.Operation{ID: "end", Fence: 1}, "v1.2-green"))
		require.Eventually(t, func() bool {
			_, err := b.engine.NetworkRemove(ctx, made.ID, client.NetworkRemoveOptions{})
			return err == nil
		}, conformance.Patience, 100*time.Millisecond)
	})
	c := &strategies.Container{Image: b.image, Network: b.name, Endpoint: "dnsrr", Replicas: 2}
	i, err := s.Start(t.Context(), operation("start"), b.version("v1.2", c))
	require.NoError(t, err)
	name := s.name("v1.2-green")
	require.Regexp(t, "^"+b.name+"-v1-2-green-[0-9a-f]{6}$", name)
	require.Equal(t, name+":8080", i.Address)
	healthy := func() bool {
		i, err = s.Observe(t.Context(), "v1.2-green")
		require.NoError(t, err)
		return i.State == strategies.StateHealthy
	}
	require.Eventually(t, healthy, conformance.Patience, 20*time.Millisecond)

	// How many there are is anybody's, and is found again on the way back.
	three := uint64(3)
	change := func(change func(*api.ServiceSpec)) {
		t.Helper()
		require.NoError(t, s.swarm.alone(func() error {
			found, err := s.swarm.named(t.Context(), name)
			require.NoError(t, err)
			change(&found.Spec)
			return s.swarm.update(t.Context(), found, found.Spec)
		}))
	}
	change(func(spec *api.ServiceSpec) { spec.Mode.Replicated.Replicas = &three })
	require.Eventually(t, healthy, conformance.Patience, 20*time.Millisecond)
	require.NoError(t, s.Stop(t.Context(), operation("stop"), "v1.2-green", time.Second))
	_, err = s.Start(t.Context(), operation("back"), b.version("v1.2", c))
	require.NoError(t, err)
	found, err := s.find(t.Context(), "v1.2-green")
	require.NoError(t, err)
	require.Equal(t, three, tasksOf(found))

	change(func(spec *api.ServiceSpec) {
		spec.TaskTemplate.ContainerSpec.Env = append(spec.TaskTemplate.ContainerSpec.Env, "MORE=1")
	})
	_, err = s.Observe(t.Context(), "v1.2-green")
	require.ErrorIs(t, err, strategies.ErrForeignChange)
	require.ErrorContains(t, err, "somebody has changed the environment of the service "+name)
	require.ErrorIs(t, s.Stop(t.Context(), operation("again"), "v1.2-green", time.Second), strategies.ErrForeignChange)
	change(func(spec *api.ServiceSpec) {
		spec.TaskTemplate.ContainerSpec.Env = slices.DeleteFunc(spec.TaskTemplate.ContainerSpec.Env, func(e string) bool { return e == "MORE=1" })
	})
	_, err = s.Observe(t.Context(), "v1.2-green")
	require.NoError(t, err)
}

// testEnds stops versions whose tasks end by themselves, at once when one has failed: the swarm may be about to start it again
// by then. Several at once, as it does so in one of twenty.
func testEnds(t *testing.T) {
	b := newBench(t, probed)
	s := openVersions(t, b.name)
	ended := func(t api.Task) bool { return t.Status.State == api.TaskStateFailed }
	failed := func(t api.Task) bool { return ended(t) && wantedToRun(t) }
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			v := b.version("v"+strconv.Itoa(n), onHost(b.image))
			v.Env["MODE"] = "fail"
			i, err := s.Start(t.Context(), operation("start "+v.Release), v)
			if !assert.NoError(t, err) {
				return
			}
			begun := time.Now()
			assert.Eventually(t, func() bool {
				tasks, err := b.engine.TaskList(t.Context(), client.TaskListOptions{Filters: make(client.Filters).Add("service", s.name(i.ID))})
				if time.Since(begun) > time.Minute { // on a busy machine the moment may be missed each time
					return err == nil && slices.ContainsFunc(tasks.Items, ended)
				}
				return assert.NoError(t, err) && slices.ContainsFunc(tasks.Items, failed)
			}, 2*time.Minute, time.Millisecond)
			assert.NoError(t, s.Stop(t.Context(), operation("stop "+v.Release), i.ID, time.Second))
			assert.Never(t, func() bool {
				now, err := s.Observe(t.Context(), i.ID)
				return err != nil || now.State != strategies.StateStopped
			}, restartDelay+time.Second, 20*time.Millisecond, v.Release)
			assert.NoError(t, s.Remove(t.Context(), operation("remove "+v.Release), i.ID))
		})
	}
	all.Wait()
}

func testUnreached(t *testing.T) {
	b := newBench(t, probed)
	s := openVersions(t, b.name)
	for says, change := range map[string]func(*strategies.Version){
		"next: set release.service.ports to ports of the swarm's machines": func(v *strategies.Version) { v.Container.Ports = "" },
		"two versions cannot be published on one port":                     func(v *strategies.Version) { v.Container.Publish.Port = 80 },
		"the ports \"80-\" are none":                                       func(v *strategies.Version) { v.Container.Ports = "80-" },
		"a swarm has no routing mesh to what is found by its name alone": func(v *strategies.Version) {
			v.Container.Endpoint, v.Container.Publish.Mode = "dnsrr", "ingress"
		},
		"leave out release.service.health":   func(v *strategies.Version) { v.Health = "/healthz" },
		"the engine has no image nothing":    func(v *strategies.Version) { v.Container.Image = "nothing" },
		"the name of a release is letters":   func(v *strategies.Version) { v.Release = "v1/2" },
		"the swarm has no network elsewhere": func(v *strategies.Version) { v.Container.Network = "elsewhere" },
	} {
		v := b.version("v1.2", onHost(b.image))
		change(&v)
		require.ErrorContains(t, s.Check(t.Context(), v), says)
	}
	require.NoError(t, s.Check(t.Context(), b.version("v1.2", onHost(b.image))))
	list, err := s.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
}
