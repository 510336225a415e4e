package integration

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// TestDemo takes the tour on containers: no request fails, no row is lost, and nothing of it stays.
func TestDemo(t *testing.T) {
	slow(t)
	_, err := program.Path() // before a test has a TMPDIR of its own
	require.NoError(t, err)
	servers.Swarm(t, servers.Docker(t))
	for on, database := range map[string]string{"docker": "postgres", "nginx": "mysql", "swarm": "postgres"} {
		t.Run(on, func(t *testing.T) {
			t.Parallel()
			c := start(t, t.TempDir(), nil, "demo", "--on", on, "--database", database, "--rate", "50", "--customers", "500")
			select {
			case <-c.Exited:
			case <-time.After(4 * time.Minute): // the demo is long, and machines are slow
			}
			require.Zero(t, c.End(t), c.Out.String())
			said := c.Out.String()
			for _, want := range []string{
				"$ switchback release start --version v2 --pause", "shift 10 %", "release v2 waits", "green  100 %", "v2 is the stable version",
				"release v2 was rolled back", "\n  0 failed requests", "\n  0 rows lost",
			} {
				require.Contains(t, said, want)
			}
			require.NotRegexp(t, `writes acknowledged by v1, 0 by v2`, said)
			leavesNothing(t, said)
		})
	}
	t.Run("ended by Ctrl-C", func(t *testing.T) {
		dir := t.TempDir()
		t.Setenv("TMPDIR", dir)
		c := start(t, dir, nil, "demo", "--on", "docker")
		loaded := func() bool { return strings.Contains(c.Out.String(), "Load at ") }
		if !assert.Eventually(t, loaded, 4*time.Minute, 50*time.Millisecond) {
			require.FailNow(t, "the demo says nothing of its load", c.Out.String())
		}
		require.NoError(t, c.Process.Signal(os.Interrupt))
		require.Equal(t, 1, c.End(t), c.Out.String())
		leavesNothing(t, c.Out.String())
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	})
}

// leavesNothing wants everything to be gone that a demo has put on the engine.
func leavesNothing(t *testing.T, said string) {
	t.Helper()
	found := regexp.MustCompile(`(demo-[0-9a-f]{6})/v1-green`).FindStringSubmatch(said)
	require.NotEmpty(t, found, said)
	name, engine := found[1], servers.Docker(t)
	ctx := context.WithoutCancel(t.Context())
	for _, label := range []string{"switchback.demo", "switchback.application"} {
		filters := make(client.Filters).Add("label", label+"="+name)
		containers, err := engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
		require.NoError(t, err)
		require.Empty(t, containers.Items)
		volumes, err := engine.VolumeList(ctx, client.VolumeListOptions{Filters: filters})
		require.NoError(t, err)
		require.Empty(t, volumes.Items)
	}
	filters := make(client.Filters).Add("label", "switchback.application="+name)
	services, err := engine.ServiceList(ctx, client.ServiceListOptions{Filters: filters})
	require.NoError(t, err)
	require.Empty(t, services.Items)
	configs, err := engine.ConfigList(ctx, client.ConfigListOptions{Filters: filters})
	require.NoError(t, err)
	require.Empty(t, configs.Items)
	_, err = engine.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	require.True(t, errdefs.IsNotFound(err), "%v", err)
	_, err = engine.ImageInspect(ctx, name)
	require.True(t, errdefs.IsNotFound(err), "%v", err)
}
