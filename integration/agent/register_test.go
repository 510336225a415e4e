package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/strategies"
)

// TestRegister has containers come, change and go.
func TestRegister(t *testing.T) {
	s := newStage(t)
	dir := project(t, s.config(s.etcd, ""))
	early := s.start(box{name: "early", application: "shop", labels: map[string]string{"switchback.version": "v1"}})
	a := agent(s.t, dir, "one")
	s.shows("shop/one.early")
	address := s.address("shop/one.early")
	require.Equal(t, "early", ask(t, "http://"+address+"/"))

	t.Run("what comes", func(t *testing.T) {
		plain := s.start(box{name: "plain", application: "shop", noHealth: true})
		inner := s.start(box{name: "inner", application: "shop", host: "-"})
		s.start(box{name: "nobody"})
		s.shows("shop/one.early", "shop/one.inner", "shop/one.plain")
		require.Regexp(t, `^\d+\.\d+\.\d+\.\d+:8080$`, s.address("shop/one.inner"), "what publishes nothing has its own address")
		s.remove(plain)
		s.remove(inner)
		s.shows("shop/one.early")
	})
	t.Run("what is ill, paused, renamed, restarted", func(t *testing.T) {
		ask(t, "http://"+address+"/ill")
		s.shows()
		a.says(t, "its healthcheck fails")
		ask(t, "http://"+address+"/well")
		s.shows("shop/one.early")
		_, err := s.engine.ContainerPause(t.Context(), early, client.ContainerPauseOptions{})
		require.NoError(t, err)
		s.shows()
		_, err = s.engine.ContainerUnpause(t.Context(), early, client.ContainerUnpauseOptions{})
		require.NoError(t, err)
		s.shows("shop/one.early")
		_, err = s.engine.ContainerRename(t.Context(), early, client.ContainerRenameOptions{NewName: s.full("late")})
		require.NoError(t, err)
		s.shows("shop/one.late")
		_, err = s.engine.ContainerRestart(t.Context(), early, client.ContainerRestartOptions{})
		require.NoError(t, err)
		require.True(t, await(func() bool { got := s.address("shop/one.late"); return got != "" && got != address }), "its port is another one")
	})
	t.Run("what stops is out before it is gone", func(t *testing.T) {
		id := s.start(box{name: "slow", application: "shop", linger: "1h"})
		s.shows("shop/one.late", "shop/one.slow")
		// Another signal is not the end of it.
		_, err := s.engine.ContainerKill(t.Context(), id, client.ContainerKillOptions{Signal: "SIGWINCH"})
		require.NoError(t, err)
		stopped := s.stop(id)
		s.shows("shop/one.late")
		found, err := s.engine.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
		require.NoError(t, err)
		require.True(t, found.Container.State.Running)
		a.says(t, "it was told to stop")

		// An agent that comes meanwhile sees it too.
		require.Equal(t, 0, a.end(t, syscall.SIGTERM))
		a = agent(s.t, dir, "one")
		a.says(t, "it was told to stop")
		s.shows("shop/one.late")
		s.remove(id)
		<-stopped
	})
	t.Run("labels that are of no use", func(t *testing.T) {
		bad := s.start(box{name: "bad", application: "sh/op\x1b[31m"})
		port := s.start(box{name: "port", application: "shop", labels: map[string]string{"switchback.port": "http"}})
		a.says(t, "is not a name of letters")
		a.says(t, `its label switchback.port="http" is no port`)
		require.NotContains(t, a.out.String(), "\x1b")
		s.shows("shop/one.late")
		s.remove(bad)
		s.remove(port)
	})
	t.Run("kill", func(t *testing.T) {
		_, err := s.engine.ContainerKill(t.Context(), early, client.ContainerKillOptions{Signal: "SIGKILL"})
		require.NoError(t, err)
		s.shows()
	})
}

// TestRegisterBesideReleases has a release and an agent want the same key.
func TestRegisterBesideReleases(t *testing.T) {
	s := newStage(t)
	agent(s.t, project(t, s.config(s.etcd, "")), "one")
	s.start(box{name: "green", labels: map[string]string{
		"switchback.application": "shop", "switchback.instance": "v2-green", "switchback.release": "v2", "switchback.slot": "green", "switchback.version": "v2",
	}})
	s.shows("shop/v2-green started")
	op := strategies.Operation{ID: "register", Fence: 7}
	theirs := strategies.Registration{Key: "shop/v2-green", Address: "10.0.0.1:80", State: "up", Slot: strategies.Green, Release: "v2"}
	require.NoError(t, s.registry.Register(t.Context(), op, theirs))

	// Later than that, the agent has looked at the key, and more than once.
	id := s.start(box{name: "own", application: "shop"})
	s.shows("shop/one.own", "shop/v2-green")
	s.remove(id)
	s.shows("shop/v2-green")
	require.Equal(t, "10.0.0.1:80", s.address("shop/v2-green"))

	// Taken out by the release, it is not let in again by the agent.
	require.NoError(t, s.registry.Deregister(t.Context(), op, "shop/v2-green"))
	s.shows("shop/v2-green started")
	require.ErrorIs(t, s.registry.Register(t.Context(), strategies.Operation{ID: "late", Fence: 6}, theirs), strategies.ErrStaleFence)
}

// TestAgentEnds ends agents in every way.
func TestAgentEnds(t *testing.T) {
	s := newStage(t)
	dir := project(t, s.config(s.etcd, ""))
	s.start(box{name: "a", application: "shop"})
	one := agent(s.t, dir, "one", "--json")
	s.shows("shop/one.a")

	t.Run("killed, and back before its time is over", func(t *testing.T) {
		require.Equal(t, -1, one.end(t, syscall.SIGKILL))
		require.Equal(t, []string{"shop/one.a"}, s.registered())
		one = agent(s.t, dir, "one", "--json")
		// The lease of the first ends meanwhile: the entry hangs on the second's.
		gone := time.Now().Add(10 * time.Second)
		require.True(t, await(func() bool {
			require.Equal(t, []string{"shop/one.a"}, s.registered())
			return time.Now().After(gone)
		}))
		require.NotContains(t, one.out.String(), `"registered"`, "it was there already")
	})
	t.Run("killed for good", func(t *testing.T) {
		require.Equal(t, -1, one.end(t, syscall.SIGKILL))
		s.shows()
	})
	t.Run("told to, and stays or leaves", func(t *testing.T) {
		one = agent(s.t, dir, "one", "--json")
		s.shows("shop/one.a")
		require.Equal(t, 0, one.end(t, syscall.SIGTERM))
		require.Equal(t, []string{"shop/one.a"}, s.registered())
		require.NoError(t, s.empty(t.Context()))
		one = agent(s.t, dir, "one", "--json", "--deregister")
		s.shows("shop/one.a")
		require.Equal(t, 0, one.end(t, syscall.SIGTERM))
		require.Empty(t, s.registered())
	})
	t.Run("reads its configuration again", func(t *testing.T) {
		one = agent(s.t, dir, "one", "--json", "--deregister")
		s.shows("shop/one.a")
		configure(t, dir, "agent: [")
		require.NoError(t, one.Process.Signal(syscall.SIGHUP))
		one.says(t, "goes on with the configuration it has")
		require.Equal(t, []string{"shop/one.a"}, s.registered())
		configure(t, dir, s.config(s.etcd, "  address: 127.0.0.9\n"))
		require.NoError(t, one.Process.Signal(syscall.SIGHUP))
		one.says(t, "was read again")
		s.start(box{name: "b", application: "shop", host: "0.0.0.0"})
		s.shows("shop/one.a", "shop/one.b")
		require.True(t, strings.HasPrefix(s.address("shop/one.b"), "127.0.0.9:"))
		for line := range strings.Lines(one.out.String()) {
			var event map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &event), line)
			require.NotEmpty(t, event["event"])
		}
	})
	t.Run("another of its name comes", func(t *testing.T) {
		two := agent(s.t, dir, "one")
		require.Equal(t, 4, one.wait(t), one.out.String())
		require.Contains(t, one.out.String(), "next: stop one of the two")
		s.shows("shop/one.a", "shop/one.b")
		require.Equal(t, 0, two.end(t, syscall.SIGTERM))
	})
}

// TestAgentFaults takes away what an agent stands on.
func TestAgentFaults(t *testing.T) {
	s := newStage(t)
	etcdLink := servers.NewLink(t, "tcp", strings.TrimPrefix(s.etcd, "http://"))
	engineLink := servers.NewLink(t, "unix", strings.TrimPrefix(s.engine.DaemonHost(), "unix://"))
	dir := project(t, s.config("http://"+etcdLink.Address, ""))
	s.start(box{name: "a", application: "shop"})
	one := agentWith(s.t, []string{"DOCKER_HOST=tcp://" + engineLink.Address}, dir, "one")
	s.shows("shop/one.a")

	t.Run("another agent in the same registry", func(t *testing.T) {
		two := agent(s.t, project(t, strings.Replace(s.config(s.etcd, ""), "labels: [", `labels: ["host=two", `, 1)), "two", "--deregister")
		id := s.start(box{name: "b", application: "shop", labels: map[string]string{"host": "two"}})
		s.shows("shop/one.a", "shop/one.b", "shop/two.b")
		s.remove(id)
		s.shows("shop/one.a")
		require.Equal(t, 0, two.end(t, syscall.SIGTERM))
	})
	t.Run("the registry is emptied by hand", func(t *testing.T) {
		require.NoError(t, s.empty(t.Context()))
		s.shows("shop/one.a")
	})
	t.Run("the engine's events are cut off", func(t *testing.T) {
		engineLink.Drop()
		id := s.start(box{name: "c", application: "shop"})
		s.shows("shop/one.a", "shop/one.c")
		engineLink.Cut()
		one.says(t, "the Docker engine cannot be reached")
		s.remove(id)
		require.Equal(t, []string{"shop/one.a", "shop/one.c"}, s.registered(), "what is not known is left")
		engineLink.Mend()
		s.shows("shop/one.a")
		one.says(t, "the container engine works again")
	})
	t.Run("etcd is away for longer than the entries live", func(t *testing.T) {
		etcdLink.Cut()
		one.says(t, "gives no answer")
		s.shows()
		s.start(box{name: "d", application: "shop"})
		etcdLink.Mend()
		s.shows("shop/one.a", "shop/one.d")
		one.says(t, "service discovery works again")
	})
	t.Run("asleep for as long, and another came", func(t *testing.T) {
		require.NoError(t, one.Process.Signal(syscall.SIGSTOP))
		s.shows()
		two := agent(s.t, dir, "one")
		s.shows("shop/one.a", "shop/one.d")
		require.NoError(t, one.Process.Signal(syscall.SIGCONT))
		require.Equal(t, 4, one.wait(t))
		require.Equal(t, []string{"shop/one.a", "shop/one.d"}, s.registered())
		require.Equal(t, 0, two.end(t, syscall.SIGTERM))
	})
}

// TestRegisterIsKilled kills the agent at every mark of a change in etcd. The next one ends where it was going.
func TestRegisterIsKilled(t *testing.T) {
	s := newStage(t)
	dir := project(t, strings.Replace(s.config(s.etcd, ""), "ttl: 8s", "ttl: 10m", 1))
	kill := func(mark int) {
		c := agentWith(s.t, []string{fmt.Sprint("SWITCHBACK_FAILPOINT_KILL=", mark)}, dir, "one")
		require.Equal(t, -1, c.wait(t), "at mark %d: %s", mark, c.out.String())
	}
	const entered, changed = 1, 2
	id := s.start(box{name: "a", application: "shop", noHealth: true})
	for _, mark := range []int{entered, changed} { // an entry is written
		kill(mark)
		require.NoError(t, s.empty(t.Context()))
		kill(mark)
		one := agent(s.t, dir, "one")
		s.shows("shop/one.a")
		require.Equal(t, 0, one.end(t, syscall.SIGTERM))
	}
	s.remove(id)
	kill(changed) // and removed
	one := agent(s.t, dir, "one")
	s.shows()
	require.Equal(t, 0, one.end(t, syscall.SIGTERM))
}

// TestRegisterInAFile has one machine do without etcd.
func TestRegisterInAFile(t *testing.T) {
	s := newStage(t)
	dir := project(t, "agent: {labels: [\""+s.label+"\"]}\n")
	id := s.start(box{name: "a", application: "shop"})
	file := dir + "/.switchback/discovery.json"
	holds := func(text string) bool {
		data, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(data), text)
	}
	one := agent(s.t, dir, "one")
	require.True(t, await(func() bool { return holds(`"key": "shop/one.`) }))
	two := agent(s.t, dir, "one")
	require.Equal(t, 4, two.wait(t))
	require.Equal(t, -1, one.end(t, syscall.SIGKILL))
	s.remove(id)
	require.True(t, holds("shop/one."))
	agent(s.t, dir, "one")
	require.True(t, await(func() bool { return !holds("shop/one.") }), "it is taken out by the next one")
}
