package docker

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

const (
	plain = "EXPOSE 8080\nENTRYPOINT [\"/program\"]\n"
	// A healthcheck is a process in the container, which costs an engine more than the test of it: each 100 ms a few containers
	// keep two cores busy.
	probed = plain + "HEALTHCHECK --interval=500ms --timeout=5s --retries=2 CMD [\"/program\", \"probe\"]\n"
)

// bench is an application on the engine, with an image of the suite's application.
type bench struct {
	engine *client.Client
	name   string
	image  string
}

func newBench(t *testing.T, dockerfile string) bench {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server")
	}
	engine := servers.Docker(t)
	image := servers.Image(t, engine, conformance.Application(t), dockerfile)
	return bench{engine, servers.Application(t, engine, labelApplication), image}
}

func open(t *testing.T, application string) *Service {
	t.Helper()
	s, err := New(application)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// version is a version that behaves as mode says.
func (b bench) version(release, mode string) strategies.Version {
	return strategies.Version{
		Release: release, Slot: strategies.Green, Name: "v2", Health: "/healthz",
		Env:       map[string]string{"MODE": mode, "LISTEN": "{{address}}", "SECRET": conformance.Secret},
		Container: &strategies.Container{Image: b.image},
	}
}

func operation(id string) strategies.Operation { return strategies.Operation{ID: id, Fence: 1} }

func await(t *testing.T, s *Service, id string, want strategies.State) (i strategies.Instance) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		i, err = s.Observe(t.Context(), id)
		require.NoError(t, err)
		return i.State == want
	}, conformance.Patience, 20*time.Millisecond, "want %s", want)
	return i
}

func TestService(t *testing.T) {
	for _, test := range []struct{ name, dockerfile, health string }{
		{"health by path", plain, "/healthz"},
		{"health by the image", probed, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, test.dockerfile)
			version := strategies.Version{Health: test.health, Container: &strategies.Container{Image: b.image}}
			conformance.Service(t, version, func(t *testing.T) strategies.Service { return open(t, b.name) })
		})
	}
}

// TestMadeButNotStarted is a run killed between the two calls: the next one takes up its container.
func TestMadeButNotStarted(t *testing.T) {
	b := newBench(t, plain)
	s := open(t, b.name)
	made, err := s.create(t.Context(), operation("start"), b.version("r1", "serve"))
	require.NoError(t, err)
	require.Equal(t, "was made, but never ran", await(t, s, "r1-green", strategies.StateStopped).Detail)

	next := open(t, b.name)
	_, err = next.Start(t.Context(), operation("start"), b.version("r1", "serve"))
	require.NoError(t, err)
	i := await(t, next, "r1-green", strategies.StateHealthy)
	require.True(t, strings.HasPrefix(i.Address, "127.0.0.1:"), i.Address)
	c, err := next.find(t.Context(), "r1-green")
	require.NoError(t, err)
	require.Equal(t, made.ID, c.ID)
	require.Equal(t, b.name+"-r1-green", name(c))
	require.Equal(t, map[string]string{
		labelApplication: b.name, labelInstance: "r1-green", labelRelease: "r1", labelVersion: "v2", labelSlot: "green",
		labelOperation: "start", labelFence: "1", labelHealth: "/healthz",
	}, c.Config.Labels, "and no value of the environment")

	// Another run that knows only the name of a release of another image does not take it for its own.
	other := b.version("r1", "serve")
	other.Container = &strategies.Container{Image: "another:1"}
	_, err = next.Start(t.Context(), operation("start"), other)
	require.ErrorIs(t, err, strategies.ErrForeignChange)
	// Killed in the same place, and then turned back.
	_, err = s.create(t.Context(), operation("start"), b.version("r2", "serve"))
	require.NoError(t, err)
	require.NoError(t, next.Stop(t.Context(), operation("stop"), "r2-green", time.Second))
	require.NoError(t, next.Remove(t.Context(), operation("remove"), "r2-green"))
	await(t, next, "r2-green", strategies.StateAbsent)
}

// TestOthersAreLeftAlone has containers beside ours: without labels, and of another application.
func TestOthersAreLeftAlone(t *testing.T) {
	b := newBench(t, plain)
	s := open(t, b.name)
	neighbour := open(t, servers.Application(t, b.engine, labelApplication))
	_, err := neighbour.Start(t.Context(), operation("start"), b.version("r1", "serve"))
	require.NoError(t, err)
	made, err := b.engine.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Name: b.name + "-r1-green", Config: &container.Config{Image: b.image, Env: []string{"LISTEN=:1"}},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := b.engine.ContainerRemove(context.WithoutCancel(t.Context()), made.ID, client.ContainerRemoveOptions{Force: true})
		require.NoError(t, err)
	})
	_, err = b.engine.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{})
	require.NoError(t, err)

	list, err := s.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	require.NoError(t, s.Stop(t.Context(), operation("stop"), "r1-green", 0))
	require.NoError(t, s.Remove(t.Context(), operation("remove"), "r1-green"))
	_, err = s.Start(t.Context(), operation("start"), b.version("r1", "serve"))
	require.ErrorIs(t, err, strategies.ErrForeignChange)
	require.ErrorContains(t, err, "next: docker rename "+b.name+"-r1-green OTHER")

	await(t, neighbour, "r1-green", strategies.StateHealthy)
	found, err := b.engine.ContainerInspect(t.Context(), made.ID, client.ContainerInspectOptions{})
	require.NoError(t, err)
	require.True(t, found.Container.State.Running)
}

func TestEndedTellsWhy(t *testing.T) {
	b := newBench(t, plain)
	s := open(t, b.name)
	_, err := s.Start(t.Context(), operation("start"), b.version("r1", "fail"))
	require.NoError(t, err)
	i := await(t, s, "r1-green", strategies.StateStopped)
	// An engine does not keep standard output and standard error in their order.
	require.ElementsMatch(t, []string{"exited with code 3; its last lines:", "the first line", "no entry with $SECRET"}, strings.Split(i.Detail, "\n"))
}

func TestHealthcheckTellsWhy(t *testing.T) {
	b := newBench(t, probed)
	s := open(t, b.name)
	_, err := s.Start(t.Context(), operation("start"), b.version("r1", "ill"))
	require.NoError(t, err)
	require.Contains(t, await(t, s, "r1-green", strategies.StateFailing).Detail, "times in a row: exit code 1 the probe failed with $SECRET")
}

// TestHealthcheckConfigured gives one to an image that has none.
func TestHealthcheckConfigured(t *testing.T) {
	b := newBench(t, plain)
	s := open(t, b.name)
	v := b.version("r1", "serve")
	v.Health = ""
	require.ErrorContains(t, s.Check(t.Context(), v), "next: set release.service.health")
	v.Container.Healthcheck = &strategies.Healthcheck{Command: []string{"/program", "probe"}, Interval: 100 * time.Millisecond}
	_, err := s.Start(t.Context(), operation("start"), v)
	require.NoError(t, err)
	await(t, s, "r1-green", strategies.StateHealthy)
}

// TestHealthcheckQuicker keeps the image's, and asks it sooner.
func TestHealthcheckQuicker(t *testing.T) {
	b := newBench(t, plain+"HEALTHCHECK --interval=1h CMD [\"/program\", \"probe\"]\n")
	s := open(t, b.name)
	v := b.version("r1", "serve")
	v.Container.Healthcheck = &strategies.Healthcheck{Interval: 100 * time.Millisecond}
	_, err := s.Start(t.Context(), operation("start"), v)
	require.NoError(t, err)
	await(t, s, "r1-green", strategies.StateHealthy)
}

// TestListensInside only: the port is published, but nobody is reached through it.
func TestListensInside(t *testing.T) {
	b := newBench(t, probed)
	s := open(t, b.name)
	v := b.version("r1", "serve")
	v.Env["LISTEN"] = "127.0.0.1:8080"
	_, err := s.Start(t.Context(), operation("start"), v)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		i, err := s.Observe(t.Context(), "r1-green")
		require.NoError(t, err)
		require.NotEqual(t, strategies.StateHealthy, i.State, "its own healthcheck is content")
		return strings.HasSuffix(i.Detail, "nothing listens inside, or not on 0.0.0.0")
	}, conformance.Patience, 20*time.Millisecond)
}

func TestPaused(t *testing.T) {
	b := newBench(t, plain)
	s := open(t, b.name)
	_, err := s.Start(t.Context(), operation("start"), b.version("r1", "serve"))
	require.NoError(t, err)
	await(t, s, "r1-green", strategies.StateHealthy)
	_, err = b.engine.ContainerPause(t.Context(), b.name+"-r1-green", client.ContainerPauseOptions{})
	require.NoError(t, err)
	require.Contains(t, await(t, s, "r1-green", strategies.StateFailing).Detail, "docker unpause")
}

func TestRefused(t *testing.T) {
	b := newBench(t, plain)
	s := open(t, b.name)
	with := func(change func(*strategies.Container)) strategies.Version {
		v := b.version("r1", "serve")
		change(v.Container)
		return v
	}
	for _, test := range []struct {
		name, want string
		version    strategies.Version
	}{
		{"no image", "next: set release.service.image", with(func(c *strategies.Container) { c.Image = "" })},
		{"image not there", "next: docker pull nowhere/shop:v2, or: docker load", with(func(c *strategies.Container) { c.Image = "nowhere/shop:{{version}}" })},
		{"network not there", "next: docker network create " + b.name, with(func(c *strategies.Container) { c.Network = b.name })},
		{"network without ports", "next: set release.service.network", with(func(c *strategies.Container) { c.Network = "host" })},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.ErrorContains(t, s.Check(t.Context(), test.version), test.want)
			_, err := s.Start(t.Context(), operation("start"), test.version)
			require.ErrorContains(t, err, test.want)
			await(t, s, "r1-green", strategies.StateAbsent)
		})
	}
}

func TestPortTaken(t *testing.T) {
	b := newBench(t, plain)
	s := open(t, b.name)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	v := b.version("r1", "serve")
	v.Container.Ports = port
	_, err = s.Start(t.Context(), operation("start"), v)
	require.ErrorContains(t, err, "next: make release.service.ports wider")
	require.NotContains(t, err.Error(), conformance.Secret)
	await(t, s, "r1-green", strategies.StateStopped)

	// Free again, the same container takes it.
	require.NoError(t, l.Close())
	_, err = s.Start(t.Context(), operation("start"), v)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:"+port, await(t, s, "r1-green", strategies.StateHealthy).Address)
}

// TestOvertaken has a newer run stop the version while an older one makes its container: it is not started any more.
func TestOvertaken(t *testing.T) {
	b := newBench(t, plain)
	newer := open(t, b.name)
	faults := servers.NewFaults(t, "http://docker", servers.Unix("/var/run/docker.sock"))
	met := faults.On("POST .*/containers/create", 1, func(w http.ResponseWriter, forward func(http.ResponseWriter)) {
		if err := newer.Stop(context.WithoutCancel(t.Context()), strategies.Operation{ID: "stop", Fence: 2}, "r1-green", 0); err != nil {
			t.Error(err)
		}
		forward(w)
	})
	t.Setenv("DOCKER_HOST", "tcp://"+strings.TrimPrefix(faults.URL, "http://"))
	_, err := open(t, b.name).Start(t.Context(), operation("start"), b.version("r1", "serve"))
	require.ErrorIs(t, err, strategies.ErrStaleFence)
	require.Equal(t, 1, met())
	await(t, newer, "r1-green", strategies.StateStopped)
}

func TestCommandMissing(t *testing.T) {
	b := newBench(t, "EXPOSE 8080\n")
	s := open(t, b.name)
	v := b.version("r1", "serve")
	v.Command = []string{"/nothing", conformance.Secret}
	_, err := s.Start(t.Context(), operation("start"), v)
	require.ErrorContains(t, err, "next: mend release.service.command or the image")
	require.NotContains(t, err.Error(), conformance.Secret)
}

func TestEngineNotThere(t *testing.T) {
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	s := open(t, "shop")
	_, err := s.List(t.Context())
	require.ErrorContains(t, err, "cannot be reached")
	require.ErrorContains(t, err, "next: docker info; start Docker, or set DOCKER_HOST")
	t.Setenv("DOCKER_HOST", "tcp://user:word@192.0.2.1:2375")
	_, err = New("shop")
	require.ErrorContains(t, err, "on another machine")
	require.NotContains(t, err.Error(), "word@")
	t.Setenv("DOCKER_HOST", "")
	_, err = New("../shop")
	require.ErrorContains(t, err, "next: set release.application")
}

func TestSignalNumber(t *testing.T) {
	for text, want := range map[string]int{"": 15, "9": 9, "SIGQUIT": 3, "quit": 3, "SIGRTMIN+3": 37, "RTMIN+1": 35, "nothing": 0} {
		require.Equal(t, want, signalNumber(text), text)
	}
}
