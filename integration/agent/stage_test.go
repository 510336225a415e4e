package agent

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/switchbackdb/switchback/drivers/discovery/etcd"
	"github.com/switchbackdb/switchback/integration/binary"
	"github.com/switchbackdb/switchback/integration/servers"
)

// stage is an engine with an image, and an etcd. What the test starts on the engine has a label of the test's own.
type stage struct {
	t        *testing.T
	engine   *client.Client
	image    string
	label    string // NAME=VALUE
	etcd     string // its URL
	registry *etcd.Discovery
	keys     *clientv3.Client // the same with nothing of ours
}

const testLabel = "switchback.test"

func newStage(t *testing.T) *stage {
	t.Helper()
	if testing.Short() {
		t.Skip("not in short mode")
	}
	t.Parallel()
	application := filepath.Join(t.TempDir(), "application")
	build := exec.Command("go", "build", "-o", application, "./testdata/application")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	s := &stage{t: t, engine: servers.Docker(t)}
	s.image = servers.Image(t, s.engine, application, `EXPOSE 8080
ENV LISTEN=0.0.0.0:8080
ENTRYPOINT ["/program"]
HEALTHCHECK --interval=500ms --timeout=5s --retries=1 CMD ["/program", "probe"]
`)
	s.label = testLabel + "=" + servers.Application(t, s.engine, testLabel)
	url, stop, err := servers.StartEtcd(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	s.etcd = url
	s.registry, err = etcd.New(etcd.Options{Endpoints: []string{url}, Prefix: "test"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.registry.Close()) })
	s.keys, err = clientv3.New(clientv3.Config{Endpoints: []string{url}, DialTimeout: patience, Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.keys.Close()) })
	return s
}

// empty removes all that is in etcd.
func (s *stage) empty(ctx context.Context) error {
	_, err := s.keys.Delete(ctx, "", clientv3.WithFromKey())
	return err
}

// box is a container that is to be run.
type box struct {
	name        string // after the test's own
	application string
	host        string // at whose address the port is published; empty for 127.0.0.1, "-" for nowhere
	labels      map[string]string
	linger      string
	noHealth    bool
}

// full is the name of a container of the test on the engine.
func (s *stage) full(name string) string {
	return strings.TrimPrefix(s.label, testLabel+"=") + "-" + name
}

// start runs a container of the application and returns its ID.
func (s *stage) start(b box) string {
	s.t.Helper()
	labels := map[string]string{testLabel: strings.TrimPrefix(s.label, testLabel+"=")}
	if b.application != "" {
		labels["switchback.register"] = b.application
	}
	for k, v := range b.labels {
		labels[k] = v
	}
	o := client.ContainerCreateOptions{
		Name:   s.full(b.name),
		Config: &container.Config{Image: s.image, Labels: labels, Env: []string{"NAME=" + b.name, "LINGER=" + b.linger}},
	}
	if b.noHealth {
		o.Config.Healthcheck = &container.HealthConfig{Test: []string{"NONE"}}
	}
	if b.host == "" {
		b.host = "127.0.0.1"
	}
	if b.host != "-" {
		o.HostConfig = &container.HostConfig{PortBindings: network.PortMap{network.MustParsePort("8080/tcp"): {{HostIP: netip.MustParseAddr(b.host)}}}}
	}
	made, err := s.engine.ContainerCreate(s.t.Context(), o)
	require.NoError(s.t, err)
	_, err = s.engine.ContainerStart(s.t.Context(), made.ID, client.ContainerStartOptions{})
	require.NoError(s.t, err)
	return made.ID
}

// remove ends a container at once.
func (s *stage) remove(id string) {
	s.t.Helper()
	_, err := s.engine.ContainerRemove(s.t.Context(), id, client.ContainerRemoveOptions{Force: true})
	require.NoError(s.t, err)
}

// stop ends a container politely, in a task of its own.
func (s *stage) stop(id string) (stopped chan error) {
	stopped = make(chan error, 1)
	seconds := 60
	go func() {
		_, err := s.engine.ContainerStop(context.WithoutCancel(s.t.Context()), id, client.ContainerStopOptions{Timeout: &seconds})
		stopped <- err
	}()
	return stopped
}

// registered are the keys in the registry without the test's name, with their states where those are not up.
func (s *stage) registered() (list []string) {
	s.t.Helper()
	all, err := s.registry.List(s.t.Context())
	require.NoError(s.t, err)
	for _, r := range all {
		text := strings.ReplaceAll(r.Key, s.full(""), "")
		if r.State != "up" {
			text += " " + r.State
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return list
}

// patience is how long a thing may take on a machine that is busy.
const patience = 60 * time.Second

// lease is how long what a test announces itself stays registered: longer than the test, for nobody renews it.
const lease = time.Hour

// shows waits until the registry has these keys and no others.
func (s *stage) shows(want ...string) {
	s.t.Helper()
	slices.Sort(want)
	var got []string
	ok := await(func() bool {
		got = s.registered()
		return slices.Equal(got, want)
	})
	require.True(s.t, ok, "want %v, got %v", want, got)
}

// await waits for a condition.
func await(condition func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if condition() {
			return true
		}
	}
	return condition()
}

// command is an agent that runs.
type command struct {
	*exec.Cmd
	out    binary.Output
	exited chan struct{}
}

// config is switchback.yaml of an agent that registers what has the test's label.
func (s *stage) config(endpoint, more string) string {
	return fmt.Sprintf("release:\n  discovery: {driver: etcd, endpoints: [%q], prefix: test}\nagent:\n  labels: [%q]\n  ttl: 8s\n%s", endpoint, s.label, more)
}

// project makes a folder with a configuration.
func project(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	configure(t, dir, config)
	return dir
}

func configure(t *testing.T, dir, config string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "switchback.yaml"), []byte(config), 0o600))
}

// agent starts an agent in a folder.
func agent(t *testing.T, dir, name string, args ...string) *command {
	return agentWith(t, nil, dir, name, args...)
}

// agentWith starts one with more in its environment.
func agentWith(t *testing.T, env []string, dir, name string, args ...string) *command {
	t.Helper()
	path, err := program.Path()
	require.NoError(t, err)
	c := &command{Cmd: exec.Command(path, append([]string{"agent", "--name", name}, args...)...), exited: make(chan struct{})}
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	c.Stdout, c.Stderr = &c.out, &c.out
	c.WaitDelay = 5 * time.Second
	require.NoError(t, c.Start())
	go func() { defer close(c.exited); _ = c.Wait() }()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-c.exited
		if t.Failed() {
			t.Logf("agent %s said:\n%s", name, c.out.String())
		}
	})
	require.True(t, await(func() bool {
		select {
		case <-c.exited:
			return true
		default:
			return strings.Contains(c.out.String(), "started")
		}
	}))
	return c
}

// says waits until the agent has printed a text.
func (c *command) says(t *testing.T, text string) {
	t.Helper()
	require.True(t, await(func() bool { return strings.Contains(c.out.String(), text) }), "%q is not in:\n%s", text, c.out.String())
}

// end sends a signal and waits for the end; it returns the exit code, -1 when it was killed.
func (c *command) end(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	require.NoError(t, c.Process.Signal(signal))
	return c.wait(t)
}

// wait waits for the end.
func (c *command) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-c.exited:
	case <-time.After(patience):
		require.Fail(t, "the agent does not end", c.out.String())
	}
	return c.ProcessState.ExitCode()
}

// ask sends a request to a container.
func ask(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

// address is what the registry has for a key of the test.
func (s *stage) address(key string) string {
	s.t.Helper()
	all, err := s.registry.List(s.t.Context())
	require.NoError(s.t, err)
	for _, r := range all {
		if strings.ReplaceAll(r.Key, s.full(""), "") == key {
			return r.Address
		}
	}
	return ""
}

// id is the ID of a container of the test.
func (s *stage) id(name string) string {
	s.t.Helper()
	found, err := s.engine.ContainerInspect(s.t.Context(), s.full(name), client.ContainerInspectOptions{})
	require.NoError(s.t, err)
	return found.Container.ID
}

// containerAddress is where the port of a container is published, whatever the registry has.
func (s *stage) containerAddress(id string) string {
	s.t.Helper()
	found, err := s.engine.ContainerInspect(s.t.Context(), id, client.ContainerInspectOptions{})
	require.NoError(s.t, err)
	return "127.0.0.1:" + found.Container.NetworkSettings.Ports[network.MustParsePort("8080/tcp")][0].HostPort
}
