package swarm

import (
	"context"
	"flag"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	api "github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/service/engine"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/internal/freeport"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

// TestMain runs a few tests beside each other on a machine with few processors, too: what takes their time is the engine, and a swarm
// that waits. With more of them the containers' healthchecks, each of which is a process that the engine starts in one, leave no time for
// anything else.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

const (
	plain  = "EXPOSE 8080\nENTRYPOINT [\"/program\"]\n"
	probed = plain + "HEALTHCHECK --interval=1s --timeout=5s --retries=2 CMD [\"/program\", \"probe\"]\n"
)

// bench is an application in the swarm, with an image of the suite's application.
type bench struct {
	engine *client.Client
	name   string
	image  string
}

func newBench(t *testing.T, dockerfile string) bench {
	t.Helper()
	t.Parallel()
	engine := servers.Docker(t)
	image := servers.Image(t, engine, conformance.Application(t), dockerfile)
	return bench{engine, servers.SwarmApplication(t, engine, labelApplication), image}
}

func open(t *testing.T, application string) *Orchestrator {
	t.Helper()
	o, err := New(application)
	require.NoError(t, err)
	t.Cleanup(func() { _ = o.Close() })
	return o
}

var quick = strategies.Pace{Replicas: 2, Monitor: 100 * time.Millisecond}

// TestSwarm has one swarm for all that needs one.
func TestSwarm(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	servers.Swarm(t, servers.Docker(t))
	t.Run("is a roller", testRoller)
	t.Run("is a service", testVersions)
	t.Run("starts versions where a router reaches them", testReached)
	t.Run("leaves nothing of a version that ends over and over", testEnds)
	t.Run("refuses versions that no router reaches", testUnreached)
	t.Run("keeps the pace", testPace)
	t.Run("halts at what never gets healthy", testNeverHealthy)
	t.Run("sees what somebody else has changed", testForeign)
	t.Run("pins images", testPinned)
	t.Run("publishes a port", testPublished)
	t.Run("refuses what it does not know", testRefused)
}

func testRoller(t *testing.T) {
	b := newBench(t, probed)
	version := strategies.Version{Container: &strategies.Container{Image: b.image}}
	conformance.Roller(t, version, quick, func(t *testing.T) strategies.Roller { return open(t, b.name) })
}

func operation(id string) strategies.Operation { return strategies.Operation{ID: id, Fence: 1} }

// to is a prepared replacement by a release that behaves as mode says.
func (b bench) to(t *testing.T, o *Orchestrator, release, mode, over string, pace strategies.Pace) strategies.Replacement {
	t.Helper()
	r, err := o.Prepare(t.Context(), strategies.Replacement{
		Version: strategies.Version{
			Release: release, Slot: strategies.Green, Name: release,
			Env:       map[string]string{"MODE": mode, "LISTEN": "{{address}}", "NAME": release, "SECRET": conformance.Secret},
			Container: &strategies.Container{Image: b.image},
		},
		Over: over, Pace: pace, Grace: 10 * time.Second,
	})
	require.NoError(t, err)
	return r
}

// await waits for a state; of each look it gives the tasks to see.
func await(t *testing.T, o *Orchestrator, want strategies.RollState, see ...func(strategies.Rollout)) (now strategies.Rollout) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		now, err = o.Rollout(t.Context())
		require.NoError(t, err)
		require.NotContains(t, now.Detail, conformance.Secret)
		for _, f := range see {
			f(now)
		}
		return now.State == want
	}, conformance.Patience, 20*time.Millisecond, "want %s", want)
	return now
}

func (b bench) service(t *testing.T, o *Orchestrator) *api.Service {
	t.Helper()
	s, err := o.find(t.Context())
	require.NoError(t, err)
	require.NotNil(t, s)
	return s
}

// change is a change that somebody else makes.
func (b bench) change(t *testing.T, o *Orchestrator, change func(*api.ServiceSpec)) {
	t.Helper()
	require.NoError(t, o.alone(func() error {
		s := b.service(t, o)
		change(&s.Spec)
		_, err := b.engine.ServiceUpdate(t.Context(), s.ID, client.ServiceUpdateOptions{Version: s.Version, Spec: s.Spec})
		return err
	}))
}

// TestNoManager asks an engine that is in no swarm.
func TestNoManager(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	engine := servers.Docker(t)
	servers.SwarmTurn(t)
	info, err := engine.Info(t.Context(), client.InfoOptions{})
	require.NoError(t, err)
	if info.Info.Swarm.LocalNodeState != api.LocalNodeStateInactive {
		t.Skip("this engine is in a swarm of somebody's own")
	}
	o := open(t, "shop")
	_, err = o.Rollout(t.Context())
	require.ErrorContains(t, err, "next: docker swarm init")
	_, err = o.Prepare(t.Context(), strategies.Replacement{Version: strategies.Version{Container: &strategies.Container{Image: "shop:1"}}})
	require.ErrorContains(t, err, "next: docker swarm init")
	require.ErrorContains(t, o.Roll(t.Context(), operation("roll"), strategies.Replacement{}), "next: docker swarm init")
}

// testPace reads in the tasks' history that the swarm kept the order, the parallelism and the delay.
func testPace(t *testing.T) {
	b := newBench(t, probed)
	o := open(t, b.name)
	const delay = 300 * time.Millisecond
	pace := strategies.Pace{Replicas: 3, Parallelism: 2, Delay: delay, Monitor: 100 * time.Millisecond, Order: strategies.StartFirst}
	require.NoError(t, o.Roll(t.Context(), operation("1"), b.to(t, o, "r1", "serve", "", pace)))
	await(t, o, strategies.RollDone)
	require.NoError(t, o.Roll(t.Context(), operation("2"), b.to(t, o, "r2", "serve", "r1", pace)))
	await(t, o, strategies.RollDone)
	require.Equal(t, &api.UpdateConfig{
		Parallelism: 2, Delay: delay, Monitor: pace.Monitor, Order: api.UpdateOrderStartFirst, FailureAction: api.UpdateFailureActionPause,
	}, b.service(t, o).Spec.UpdateConfig)
	begun, pairs := b.history(t, o, "r1", "r2")
	require.Len(t, pairs, 3)
	for _, p := range pairs {
		require.False(t, p.old.Status.Timestamp.Before(p.young.Status.Timestamp), "slot %d: the old one ended before the new one was healthy", p.young.Slot)
	}
	require.False(t, begun[2].CreatedAt.Before(begun[0].CreatedAt.Add(delay)), "the third waits for the delay after one of the first two")

	pace.Parallelism, pace.Delay, pace.Order = 1, 0, strategies.StopFirst
	require.NoError(t, o.Roll(t.Context(), operation("3"), b.to(t, o, "r3", "serve", "r2", pace)))
	await(t, o, strategies.RollDone)
	begun, pairs = b.history(t, o, "r2", "r3")
	require.Len(t, pairs, 3)
	for _, p := range pairs {
		require.False(t, p.young.Status.Timestamp.Before(p.old.Status.Timestamp), "slot %d: the new one ran before the old one had ended", p.young.Slot)
	}
	for i, task := range begun[1:] {
		require.False(t, task.CreatedAt.Before(begun[i].Status.Timestamp), "one at a time")
	}
}

// pair are the tasks of one slot.
type pair struct{ old, young api.Task }

// history are the tasks of the new release in the order in which they were made, and each with the one it replaced.
func (b bench) history(t *testing.T, o *Orchestrator, old, young string) (begun []api.Task, pairs []pair) {
	t.Helper()
	tasks, err := o.tasks(t.Context(), b.service(t, o))
	require.NoError(t, err)
	slices.Reverse(tasks)
	for _, n := range tasks {
		if releaseOf(n) != young {
			continue
		}
		begun = append(begun, n)
		for _, p := range tasks {
			if releaseOf(p) == old && p.Slot == n.Slot {
				pairs = append(pairs, pair{p, n})
			}
		}
	}
	return begun, pairs
}

// testNeverHealthy rolls out what ends at once, and what runs but never gets healthy: the swarm halts, tells why, and the
// old tasks are all there. Then they are what it goes back to.
func testNeverHealthy(t *testing.T) {
	b := newBench(t, probed)
	o := open(t, b.name)
	// What fails later than this after it began to run is no failure to a swarm, which says that its update is completed.
	quick := strategies.Pace{Replicas: 2, Monitor: 10 * time.Second}
	// A service that is made is no update to a swarm, which halts nothing then.
	require.NoError(t, o.Roll(t.Context(), operation("0"), b.to(t, o, "r0", "fail", "", quick)))
	require.Eventually(t, func() bool {
		now, err := o.Rollout(t.Context())
		require.NoError(t, err)
		require.Equal(t, strategies.RollGoing, now.State)
		require.NotContains(t, now.Detail, conformance.Secret)
		return strings.Contains(now.Detail, "non-zero exit (3)")
	}, conformance.Patience, 20*time.Millisecond)
	require.NoError(t, o.Withdraw(t.Context(), operation("00"), "r0"))
	await(t, o, strategies.RollAbsent)

	require.NoError(t, o.Roll(t.Context(), operation("1"), b.to(t, o, "r1", "serve", "", quick)))
	await(t, o, strategies.RollDone)
	before, err := o.tasks(t.Context(), b.service(t, o))
	require.NoError(t, err)
	for mode, says := range map[string]string{"fail": "non-zero exit (3)", "ill": "unhealthy"} {
		require.NoError(t, o.Roll(t.Context(), operation("out "+mode), b.to(t, o, mode, mode, "r1", quick)))
		now := await(t, o, strategies.RollHalted, func(now strategies.Rollout) {
			require.Equal(t, 2, now.Old, "an old task ended")
		})
		require.Contains(t, now.Detail, says)
		require.Contains(t, now.Detail, "update paused due to failure")
		if mode == "fail" {
			require.Contains(t, now.Detail, "no entry with $SECRET")
		}
		require.NoError(t, o.Roll(t.Context(), operation("back "+mode), b.to(t, o, "r1", "serve", mode, quick)))
		await(t, o, strategies.RollDone)
	}
	after, err := o.tasks(t.Context(), b.service(t, o))
	require.NoError(t, err)
	for _, task := range before {
		require.True(t, slices.ContainsFunc(after, func(a api.Task) bool { return a.ID == task.ID && lives(a) }), "going back left alone what had never been replaced")
	}
}

// testForeign has somebody else change the service by hand.
func testForeign(t *testing.T) {
	b := newBench(t, probed)
	o := open(t, b.name)
	require.NoError(t, o.Roll(t.Context(), operation("1"), b.to(t, o, "r1", "serve", "", quick)))
	await(t, o, strategies.RollDone)

	// What is not the release's is not its business, and stays.
	three := uint64(3)
	b.change(t, o, func(s *api.ServiceSpec) {
		s.Mode.Replicated.Replicas = &three
		s.TaskTemplate.Resources = &api.ResourceRequirements{Limits: &api.Limit{MemoryBytes: 64 << 20}}
		s.Labels["team"] = "shop"
	})
	await(t, o, strategies.RollDone)
	pace := quick
	pace.Replicas = 0
	require.NoError(t, o.Roll(t.Context(), operation("2"), b.to(t, o, "r2", "serve", "r1", pace)))
	require.Equal(t, 3, await(t, o, strategies.RollDone).Wanted)
	spec := b.service(t, o).Spec
	require.Equal(t, int64(64<<20), spec.TaskTemplate.Resources.Limits.MemoryBytes)
	require.Equal(t, "shop", spec.Labels["team"])
	require.NotContains(t, strings.Join(slices.Collect(maps.Values(spec.Labels)), " "), conformance.Secret)

	// What is, is seen and never overwritten.
	b.change(t, o, func(s *api.ServiceSpec) {
		s.TaskTemplate.ContainerSpec.Env = append(s.TaskTemplate.ContainerSpec.Env, "DEBUG=1")
	})
	now, err := o.Rollout(t.Context())
	require.NoError(t, err)
	require.Equal(t, "somebody has changed the environment of the service "+b.name+" since release r2 put it there", now.Foreign)
	version := b.service(t, o).Version
	for _, to := range []strategies.Replacement{b.to(t, o, "r3", "serve", "r2", pace), b.to(t, o, "r2", "serve", "r1", pace)} {
		require.ErrorIs(t, o.Roll(t.Context(), operation("2"), to), strategies.ErrForeignChange)
	}
	require.ErrorIs(t, o.Halt(t.Context(), operation("halt"), "r2"), strategies.ErrForeignChange)
	require.ErrorIs(t, o.Withdraw(t.Context(), operation("withdraw"), "r2"), strategies.ErrForeignChange)
	if v := b.service(t, o).Version; v != version { // the swarm itself notes how its update goes
		require.Contains(t, b.service(t, o).Spec.TaskTemplate.ContainerSpec.Env, "DEBUG=1")
	}

	// What it says to do makes it good.
	require.Contains(t, now.Look, "docker service rollback "+b.name)
	s := b.service(t, o)
	require.NoError(t, o.alone(func() error {
		s = b.service(t, o)
		_, err := b.engine.ServiceUpdate(t.Context(), s.ID, client.ServiceUpdateOptions{Version: s.Version, Spec: s.Spec, Rollback: "previous"})
		return err
	}))
	require.Equal(t, "r2", await(t, o, strategies.RollDone).Release)

	// A service that is nobody's.
	other := open(t, b.name+"x")
	made, err := b.engine.ServiceCreate(t.Context(), client.ServiceCreateOptions{Spec: api.ServiceSpec{
		Annotations:  api.Annotations{Name: b.name + "x"},
		TaskTemplate: api.TaskSpec{ContainerSpec: &api.ContainerSpec{Image: s.Spec.TaskTemplate.ContainerSpec.Image, Env: []string{"LISTEN=:1"}}},
	}})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, engine.RemoveService(context.WithoutCancel(t.Context()), b.engine, made.ID))
	})
	require.ErrorIs(t, other.Roll(t.Context(), operation("1"), b.to(t, other, "r1", "serve", "", quick)), strategies.ErrForeignChange)
	require.ErrorIs(t, other.Withdraw(t.Context(), operation("1"), "r1"), strategies.ErrForeignChange)
}

// testPinned moves a tag: what was prepared stays what it was.
func testPinned(t *testing.T) {
	b := newBench(t, probed)
	o := open(t, b.name)
	first := b.to(t, o, "r1", "serve", "", quick)
	require.True(t, strings.HasPrefix(first.Version.Container.Image, "sha256:"), first.Version.Container.Image)
	require.Equal(t, 8080, first.Version.Container.Port)
	second := servers.Image(t, b.engine, conformance.Application(t), probed+"ENV TAG=moved\n")
	_, err := b.engine.ImageTag(t.Context(), client.ImageTagOptions{Source: second, Target: b.image})
	require.NoError(t, err)
	moved := b.to(t, o, "r2", "serve", "r1", quick)
	require.NotEqual(t, first.Version.Container.Image, moved.Version.Container.Image)
	for _, r := range []strategies.Replacement{first, moved} {
		require.NoError(t, o.Roll(t.Context(), operation(r.Version.Release), r))
		await(t, o, strategies.RollDone)
		require.Equal(t, r.Version.Container.Image, b.service(t, o).Spec.TaskTemplate.ContainerSpec.Image)
	}
}

// testPublished reaches the application on a port of this machine.
func testPublished(t *testing.T) {
	b := newBench(t, probed)
	o := open(t, b.name)
	address, err := freeport.Address(t.Context())
	require.NoError(t, err)
	port, err := strconv.Atoi(address[strings.LastIndexByte(address, ':')+1:])
	require.NoError(t, err)
	var over string
	for _, release := range []string{"r1", "r2"} {
		r := b.to(t, o, release, "serve", over, strategies.Pace{Monitor: 100 * time.Millisecond})
		r.Version.Container.Publish = &strategies.Publish{Port: port, Mode: "host"}
		r.Version.Container.Endpoint = "dnsrr"
		r.Pace.Order = ""
		r, err := o.Prepare(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, strategies.StopFirst, r.Pace.Order, "the old task has the port")
		require.NoError(t, o.Roll(t.Context(), operation(release), r))
		now := await(t, o, strategies.RollDone)
		require.Equal(t, "127.0.0.1:"+strconv.Itoa(port), now.Address)
		require.Eventually(t, func() bool {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+now.Address+"/healthz", nil)
			require.NoError(t, err)
			resp, err := http.DefaultClient.Do(req)
			return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
		}, 10*time.Second, 20*time.Millisecond)
		over = release
	}
}

// testRefused prepares what a swarm cannot do.
func testRefused(t *testing.T) {
	b := newBench(t, plain)
	o := open(t, b.name)
	probe := &strategies.Healthcheck{Command: []string{"/program", "probe"}}
	for says, change := range map[string]func(*strategies.Replacement){
		"next: set release.service.healthcheck.command": func(r *strategies.Replacement) { r.Version.Container.Healthcheck = nil },
		"next: leave out release.service.health":        func(r *strategies.Replacement) { r.Version.Health = "/healthz" },
		"next: leave out release.service.ports":         func(r *strategies.Replacement) { r.Version.Container.Ports = "1-2" },
		"next: set release.service.endpoint":            func(r *strategies.Replacement) { r.Version.Container.Endpoint = "ip" },
		"next: set release.service.publish to": func(r *strategies.Replacement) {
			r.Version.Container.Publish = &strategies.Publish{Port: 70000, Mode: "host"}
		},
		"next: set release.service.publish_mode to ingress": func(r *strategies.Replacement) {
			r.Version.Container.Publish = &strategies.Publish{Port: 80, Mode: "all"}
		},
		"next: set release.service.publish_mode to host": func(r *strategies.Replacement) {
			r.Version.Container.Publish, r.Version.Container.Endpoint = &strategies.Publish{Port: 80, Mode: "ingress"}, "dnsrr"
		},
		"next: set release.service.volumes":      func(r *strategies.Replacement) { r.Version.Container.Volumes = []string{"data"} },
		"next: docker network create -d overlay": func(r *strategies.Replacement) { r.Version.Container.Network = "nowhere" },
		"next: docker pull nowhere:1":            func(r *strategies.Replacement) { r.Version.Container.Image = "nowhere:1" },
		"surge is":                               func(r *strategies.Replacement) { r.Pace.Surge = "1" },
		"unavailable is":                         func(r *strategies.Replacement) { r.Pace.Unavailable = "25%" },
	} {
		r := strategies.Replacement{Version: strategies.Version{Release: "r1", Name: "v1", Container: &strategies.Container{Image: b.image, Healthcheck: probe}}}
		prepared, err := o.Prepare(t.Context(), r)
		require.NoError(t, err)
		require.Equal(t, strategies.Pace{Parallelism: 1, Order: strategies.StartFirst, Monitor: 30 * time.Second}, prepared.Pace)
		change(&r)
		_, err = o.Prepare(t.Context(), r)
		require.ErrorContains(t, err, says)
	}
	_, err := New("no.dots")
	require.ErrorContains(t, err, "next: set release.application")
}

// TestHash sees each part of a definition that is changed.
func TestHash(t *testing.T) {
	grace := time.Second
	spec := func() api.ServiceSpec {
		return api.ServiceSpec{TaskTemplate: api.TaskSpec{ContainerSpec: &api.ContainerSpec{Image: "shop:1", StopGracePeriod: &grace}}}
	}
	was := partsOf(spec()).hash()
	for name, change := range map[string]func(*api.ServiceSpec){
		"image":       func(s *api.ServiceSpec) { s.TaskTemplate.ContainerSpec.Image = "shop:2" },
		"command":     func(s *api.ServiceSpec) { s.TaskTemplate.ContainerSpec.Args = []string{"-v"} },
		"environment": func(s *api.ServiceSpec) { s.TaskTemplate.ContainerSpec.Env = []string{"A=1"} },
		"healthcheck": func(s *api.ServiceSpec) {
			s.TaskTemplate.ContainerSpec.Healthcheck = &container.HealthConfig{Retries: 1}
		},
		"stop-grace-period": func(s *api.ServiceSpec) { s.TaskTemplate.ContainerSpec.StopGracePeriod = nil },
		"networks":          func(s *api.ServiceSpec) { s.TaskTemplate.Networks = []api.NetworkAttachmentConfig{{Target: "a"}} },
		"endpoint-mode":     func(s *api.ServiceSpec) { s.EndpointSpec = &api.EndpointSpec{Mode: api.ResolutionModeDNSRR} },
		"container-labels":  func(s *api.ServiceSpec) { s.TaskTemplate.ContainerSpec.Labels = map[string]string{labelRelease: "r2"} },
	} {
		s := spec()
		change(&s)
		require.Equal(t, []string{name}, changed(was, partsOf(s).hash()))
	}
	require.Empty(t, changed(was, partsOf(spec()).hash()))
}
