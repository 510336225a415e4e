package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	api "github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/service/engine"
	"github.com/switchbackdb/switchback/drivers/service/swarm"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

const swarmConfig = `  application: %[1]s
  healthy: %[5]s
  grace: 2s
  service:
    driver: swarm
    image: %[2]s
    command: [shop, --version, "{{version}}", --listen, "{{address}}", --db, /data/shop.db, --linger, 300ms]
    env: {SECRET: "${SHOP_SECRET}"}
    volumes: [".:/data", "./extra:/extra:ro"]
    network: %[3]s
    endpoint: dnsrr
    healthcheck: {command: [/program, shop, --probe, "http://127.0.0.1:%[6]d/healthz"], interval: 2s, start_period: 1h}
  rolling: {%[4]s, monitor: 100ms}
`

// swarmStage is a stage whose shop runs in tasks of a swarm.
type swarmStage struct {
	*stage
	engine      *client.Client
	application string
	image       string
	network     string
}

// newSwarmStage has nothing released yet.
func newSwarmStage(t *testing.T) *swarmStage {
	t.Helper()
	t.Parallel()
	path, err := program.Path()
	require.NoError(t, err)
	engine := servers.Docker(t)
	image := servers.Image(t, engine, path, fmt.Sprintf("USER %d:%d\nEXPOSE 8080\nENTRYPOINT [\"/program\"]\n", os.Getuid(), os.Getgid()))
	s := &swarmStage{stage: emptyStage(t), engine: engine, image: image}
	require.NoError(t, os.Mkdir(s.extra(), 0o700))
	s.application = servers.SwarmApplication(t, engine, "switchback.application")
	s.network = s.application + "-net"
	made, err := engine.NetworkCreate(t.Context(), s.network, client.NetworkCreateOptions{Driver: "overlay", Attachable: true})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_ = endShops(ctx, engine, s.application)
		require.Eventually(t, func() bool {
			_, err := engine.NetworkRemove(ctx, made.ID, client.NetworkRemoveOptions{})
			return err == nil
		}, 30*time.Second, 100*time.Millisecond)
	})
	roller, err := swarm.New(s.application)
	require.NoError(t, err)
	t.Cleanup(func() { _ = roller.Close() })
	s.roller = roller
	return s
}

// extra is a folder without which no task starts.
func (s *swarmStage) extra() string { return filepath.Join(s.dir, "extra") }

// endShops has the shops end, so that their network can be removed.
func endShops(ctx context.Context, c *client.Client, application string) error {
	return engine.RemoveService(ctx, c, application)
}

// paced configures the release.
func (s *swarmStage) paced(pace, healthy string, port int) {
	s.set(fmt.Sprintf(swarmConfig, s.application, s.image, s.network, pace, healthy, port))
}

// asked has a container on the network of the shop ask it for a customer all the time, until the test ends.
func (s *swarmStage) asked() {
	t := s.t
	image := servers.Image(t, s.engine, conformance.Application(t), "ENTRYPOINT [\"/program\"]\n")
	made, err := s.engine.ContainerCreate(t.Context(), client.ContainerCreateOptions{
		Config:           &container.Config{Image: image, Cmd: []string{"load", "tasks." + s.application + ":8080/customers/1"}},
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{s.network: {}}},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		seconds := 20
		_, err := s.engine.ContainerStop(ctx, made.ID, client.ContainerStopOptions{Timeout: &seconds})
		require.NoError(t, err)
		logs, err := s.engine.ContainerLogs(ctx, made.ID, client.ContainerLogsOptions{ShowStdout: true})
		require.NoError(t, err)
		defer logs.Close()
		var said strings.Builder
		_, err = stdcopy.StdCopy(&said, &said, logs)
		require.NoError(t, err)
		_, err = s.engine.ContainerRemove(ctx, made.ID, client.ContainerRemoveOptions{Force: true})
		require.NoError(t, err)
		var requests, failed int
		_, err = fmt.Sscanf(said.String(), "%d requests, %d failed", &requests, &failed)
		require.NoError(t, err, "%q", said.String())
		require.Zero(t, failed, said.String())
		require.Greater(t, requests, 100)
		t.Logf("%d requests, none failed", requests)
	})
	_, err = s.engine.ContainerStart(t.Context(), made.ID, client.ContainerStartOptions{})
	require.NoError(t, err)
}

// rollNote is what the status says of the step that rolls.
func (s *swarmStage) rollNote() string {
	s.t.Helper()
	var doc struct {
		Releases []struct {
			Steps []struct{ Kind, Note string }
		}
	}
	require.NoError(s.t, json.Unmarshal([]byte(run(s.t, s.dir, "release", "status", "--json")), &doc))
	for _, step := range doc.Releases[0].Steps {
		if step.Kind == "roll" {
			return step.Note
		}
	}
	return ""
}

// TestReleaseSwarm has one swarm for releases that are independent of each other.
func TestReleaseSwarm(t *testing.T) {
	slow(t)
	t.Setenv("SHOP_SECRET", shopSecret)
	servers.Swarm(t, servers.Docker(t))
	t.Run("out and back", testSwarmOutAndBack)
	t.Run("paused, aborted", testSwarmPaused)
	t.Run("changed by somebody else", testSwarmForeign)
	t.Run("stuck on the way back", testSwarmStuck)
	t.Run("killed", testSwarmKilled)
	t.Run("stopped for longer than the lock's time", testSwarmStopped)
	t.Run("two versions, out and back", testSwarmVersions)
	t.Run("two versions, killed", testSwarmVersionsKilled)
	t.Run("two versions, beside connections of every kind", testSwarmConnections)
}

// testSwarmOutAndBack takes the database change and the instances of a new version out and back under load, and finds
// candidates out that do not come up.
func testSwarmOutAndBack(t *testing.T) {
	s := newSwarmStage(t)
	s.paced("replicas: 2", "1m", 8080)
	s.first()
	s.is("v1", "at first")
	s.asked()
	s.paced("surge: 1", "1m", 8080)
	s.refused("release.rolling.surge is \"1\": a swarm does not know it; it knows parallelism and order")
	s.paced("replicas: 2", "1m\n  analysis: [{http: {path: /}}]", 8080)
	s.refused("next: set release.service.publish on a swarm, or make it a gate of the kind sql")
	s.paced("replicas: 2", "1m", 8080)
	plan := run(t, s.dir, "release", "plan", "--version", "v2")
	require.Contains(t, plan, "roll: 2 instances, 1 at a time, start-first, each watched for 100ms\n  image: sha256:")
	said := plan + run(t, s.dir, "release", "start", "--version", "v2")
	require.Contains(t, said, "1 of 2 are v2")
	require.Equal(t, "2 of 2 are v2", s.rollNote())
	s.is("v2", "out")
	said += run(t, s.dir, "release", "rollback")
	s.is("v1", "back")

	// The shop does not know this version, and ends: the swarm halts, and we go back.
	c := start(t, s.dir, nil, "release", "start", "--version", "v3", "--no-contract")
	require.Equal(t, 3, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), `there is no version "v3" of the shop`)
	s.is("v1", "a version that ends")
	// This one runs, and is never healthy: no swarm finds that out.
	s.paced("replicas: 2", "8s", 8081)
	c2 := start(t, s.dir, nil, "release", "start", "--version", "v2", "--name", "mute")
	require.Equal(t, 3, c2.End(t), c2.Out.String())
	require.Contains(t, c2.Out.String(), "0 of 2 are v2, and nothing has moved for 15.1s: ")
	require.Contains(t, c2.Out.String(), " is starting; its healthcheck has not succeeded yet: exit code 1")
	s.is("v1", "a version that is never healthy")

	said += c.Out.String() + c2.Out.String() + run(t, s.dir, "release", "status", "--all", "--json") + run(t, s.dir, "history", "--json")
	require.NotContains(t, said, shopSecret)
}

// refused wants a plan to be refused.
func (s *swarmStage) refused(says string) {
	s.t.Helper()
	c := start(s.t, s.dir, nil, "release", "plan", "--version", "v2")
	require.Equal(s.t, 1, c.End(s.t), c.Out.String())
	require.Contains(s.t, c.Out.String(), says)
}

// testSwarmPaused stops a release in the midst of its instances, goes on with it, and aborts another one there.
func testSwarmPaused(t *testing.T) {
	s := newSwarmStage(t)
	s.paced("replicas: 3, delay: 3s", "2m", 8080)
	s.first()
	for _, end := range []string{"resume", "abort"} {
		c := start(t, s.dir, nil, "release", "start", "--version", "v2", "--name", end)
		require.Eventually(t, func() bool { return s.rollNote() == "1 of 3 are v2" }, 2*time.Minute, 50*time.Millisecond, c.Out.String())
		if end == "resume" {
			run(t, s.dir, "release", "pause")
			require.Zero(t, c.End(t), c.Out.String())
			require.Contains(t, c.Out.String(), "is paused")
			now, err := s.roller.Rollout(t.Context())
			require.NoError(t, err)
			require.Equal(t, strategies.RollHalted, now.State)
			require.NotZero(t, now.Old)
			run(t, s.dir, "release", "resume")
			s.is("v2", "resumed")
			run(t, s.dir, "release", "rollback")
			s.is("v1", "rolled back")
			continue
		}
		run(t, s.dir, "release", "abort")
		require.Equal(t, 3, c.End(t), c.Out.String())
		s.is("v1", "aborted")
	}
}

// testSwarmForeign has somebody change the service by hand: nothing is overwritten, before a release, in its midst and
// on its way back.
func testSwarmForeign(t *testing.T) {
	s := newSwarmStage(t)
	s.paced("replicas: 1", "2m", 8080)
	s.first()
	run(t, s.dir, "release", "start", "--version", "v2")
	s.byHand("DEBUG=1")
	c := start(t, s.dir, nil, "release", "rollback")
	require.Equal(t, 1, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "somebody has changed the environment of the service")
	require.Contains(t, c.Out.String(), "docker service rollback "+s.application)
	_, status := s.newest()
	require.Equal(t, "turned back", status, "it holds")
	s.byHand("")
	require.Eventually(t, func() bool {
		now, err := s.roller.Rollout(t.Context())
		return err == nil && now.State == strategies.RollDone
	}, 2*time.Minute, 50*time.Millisecond)
	c = start(t, s.dir, nil, "release", "resume")
	require.Equal(t, 3, c.End(t), c.Out.String())
	s.is("v1", "mended")

	s.byHand("DEBUG=1")
	c = start(t, s.dir, nil, "release", "start", "--version", "v2")
	require.Equal(t, 1, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "state: nothing was changed")
}

// testSwarmStuck has a way back fail: it is not rolled back again, it holds, and goes on once the cause is mended.
func testSwarmStuck(t *testing.T) {
	s := newSwarmStage(t)
	s.paced("replicas: 2", "1m", 8080)
	s.first()
	run(t, s.dir, "release", "start", "--version", "v2")
	s.paced("replicas: 2", "5s", 8080)
	require.NoError(t, os.Remove(s.extra()))
	for _, says := range []string{"rollback: is rejected", "resume: it does not run yet"} {
		command, says, _ := strings.Cut(says, ": ")
		c := start(t, s.dir, nil, "release", command)
		require.Equal(t, 1, c.End(t), c.Out.String())
		require.Contains(t, c.Out.String(), "undo roll of release v2: ")
		require.Contains(t, c.Out.String(), says)
		require.Contains(t, c.Out.String(), "next: docker service ps --no-trunc "+s.application)
		require.Contains(t, c.Out.String(), "next: mend the cause, then: switchback release resume")
		now, err := s.roller.Rollout(t.Context())
		require.NoError(t, err)
		require.Equal(t, []any{"v1", 0, 2}, []any{now.Version, now.Healthy, now.Old}, "v2 serves still, after %s", command)
		_, status := s.newest()
		require.Equal(t, "turned back", status)
	}
	require.NoError(t, os.Mkdir(s.extra(), 0o700))
	s.paced("replicas: 2", "1m", 8080)
	c := start(t, s.dir, nil, "release", "resume")
	require.Equal(t, 3, c.End(t), c.Out.String())
	s.is("v1", "mended")
}

// byHand adds a variable to the environment of the service, or takes the last change back.
func (s *swarmStage) byHand(variable string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		found, err := s.engine.ServiceInspect(s.t.Context(), s.application, client.ServiceInspectOptions{})
		require.NoError(s.t, err)
		o := client.ServiceUpdateOptions{Version: found.Service.Version, Spec: found.Service.Spec, Rollback: "previous"}
		if variable != "" {
			o.Rollback = ""
			o.Spec.TaskTemplate.ContainerSpec.Env = append(o.Spec.TaskTemplate.ContainerSpec.Env, variable)
		}
		_, err = s.engine.ServiceUpdate(s.t.Context(), found.Service.ID, o)
		return err == nil
	}, 10*time.Second, 50*time.Millisecond)
}

// testSwarmKilled kills the command at every mark between two calls of the swarm.
func testSwarmKilled(t *testing.T) {
	s := newSwarmStage(t)
	s.paced("replicas: 2, parallelism: 2", "2m", 8080)
	// The first release's way back removes the service.
	run(t, s.dir, "release", "start", "--version", "v1")
	gone := marks(t, s.dir, "release", "rollback")
	at := marksOf("swarm: ")(gone)
	require.Len(t, at, 4)
	for _, n := range at[1:2] { // tasks are ending, the service is there; at the others there is less left to do
		run(t, s.dir, "release", "start", "--version", "v1")
		when := s.killed(n, gone, "release", "rollback")
		c := start(t, s.dir, nil, "release", "resume")
		require.Equal(t, 3, c.End(t), c.Out.String())
		services, err := s.engine.ServiceList(t.Context(), client.ServiceListOptions{})
		require.NoError(t, err)
		for _, service := range services.Items {
			require.NotEqual(t, s.application, service.Spec.Name, when)
		}
	}

	s.first()
	s.asked()
	out := marks(t, s.dir, "release", "start", "--version", "v2")
	s.is("v2", "undisturbed")
	back := marks(t, s.dir, "release", "rollback")
	s.is("v1", "undisturbed")
	outAt, backAt := marksOf("swarm: ")(out), marksOf("swarm: ")(back)
	require.NotEmpty(t, outAt)
	require.Len(t, backAt, len(outAt))
	for i := range outAt {
		s.killedOut(outAt[i], out)
		s.once(out[outAt[i]-1])
		s.killedBack(backAt[i], back)
	}
	t.Logf("killed at %d marks out and %d back", len(outAt), len(backAt))
}

// once wants one task in each slot to have been started for the newest release: nothing was replaced twice.
func (s *swarmStage) once(when string) {
	s.t.Helper()
	name, _ := s.newest()
	tasks, err := s.engine.TaskList(s.t.Context(), client.TaskListOptions{Filters: make(client.Filters).Add("service", s.application)})
	require.NoError(s.t, err)
	slots := map[int]int{}
	for _, task := range tasks.Items {
		if task.Spec.ContainerSpec.Labels["switchback.release"] == name && task.Status.State != api.TaskStateNew {
			slots[task.Slot]++
		}
	}
	require.Equal(s.t, map[int]int{1: 1, 2: 1}, slots, when)
}

// testSwarmStopped stops the command between its look at the service and what it does there.
func testSwarmStopped(t *testing.T) {
	s := newSwarmStage(t)
	s.paced("replicas: 2, parallelism: 2", "2m", 8080)
	s.first()
	s.outlived(marksOf("swarm: "))
}
