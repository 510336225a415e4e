package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/service/docker"
	"github.com/switchbackdb/switchback/integration/servers"
)

// shopSecret is in the shop's environment, and must be nowhere else.
const shopSecret = "the-shops-s3cret"

const dockerConfig = `  application: %[1]s
  service:
    driver: docker
    image: %[2]s
    command: [shop, --version, "{{version}}", --listen, "{{address}}", --db, /data/shop.db]
    env: {SECRET: "${SHOP_SECRET}"}
    volumes: [".:/data"]
    health: /healthz
`

// dockerStage is a stage whose shop runs in containers. The returned text is its configuration of the release.
func dockerStage(t *testing.T) (s *stage, engine *client.Client, config string) {
	t.Helper()
	slow(t)
	t.Setenv("SHOP_SECRET", shopSecret)
	path, err := program.Path()
	require.NoError(t, err)
	engine = servers.Docker(t)
	// The database's files belong to whoever runs the tests.
	image := servers.Image(t, engine, path, fmt.Sprintf("USER %d:%d\nEXPOSE 8080\nENTRYPOINT [\"/program\"]\n", os.Getuid(), os.Getgid()))
	s = emptyStage(t)
	application := servers.Application(t, engine, "switchback.application")
	service, err := docker.New(application)
	require.NoError(t, err)
	t.Cleanup(func() { _ = service.Close() })
	s.service = service
	config = fmt.Sprintf(dockerConfig, application, image)
	s.set(config)
	s.proxied()
	s.first()
	return s, engine, config
}

// TestReleaseDocker takes the database change and containers of a new version out and back under load.
func TestReleaseDocker(t *testing.T) {
	s, engine, config := dockerStage(t)
	s.is("v1", "at first")
	s.load()
	said := run(t, s.dir, "release", "start", "--version", "v2")
	s.is("v2", "out")
	said += run(t, s.dir, "release", "rollback")
	s.is("v1", "back")
	said += run(t, s.dir, "release", "start", "--version", "v2", "--strategy", "canary", "--pause")
	said += run(t, s.dir, "release", "promote")
	s.is("v2", "out as a canary")

	// What cannot be started is known before anything is changed.
	file := filepath.Join(s.dir, "switchback.yaml")
	require.NoError(t, os.WriteFile(file, []byte(stageConfig+strings.Replace(config, "image: switchback-test:", "image: nowhere/shop:", 1)), 0o600))
	c := start(t, s.dir, nil, "release", "start", "--version", "v3")
	require.Equal(t, 3, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "next: docker pull nowhere/shop:")
	s.is("v2", "an image that is not there")
	require.NoError(t, os.WriteFile(file, []byte(stageConfig+config), 0o600))

	said += c.Out.String() + run(t, s.dir, "release", "status", "--all", "--json") + run(t, s.dir, "history", "--json")
	require.NotContains(t, said, shopSecret)
	require.NoError(t, filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		require.NotContains(t, string(content), shopSecret, path)
		return err
	}))
	instances, err := s.service.List(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, instances)
	containers, err := engine.ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", "switchback.application")})
	require.NoError(t, err)
	for _, c := range containers.Items {
		require.NotContains(t, fmt.Sprint(c.Labels), shopSecret)
	}
}

// TestRestartedDocker has the stable version's container come back on another port: the next release finds it there,
// and so does the way back.
func TestRestartedDocker(t *testing.T) {
	s, engine, _ := dockerStage(t)
	before, err := s.service.Observe(t.Context(), "v1-green")
	require.NoError(t, err)
	containers, err := engine.ContainerList(t.Context(), client.ContainerListOptions{Filters: make(client.Filters).Add("publish", before.Address[strings.LastIndex(before.Address, ":")+1:])})
	require.NoError(t, err)
	require.Len(t, containers.Items, 1)
	_, err = engine.ContainerRestart(t.Context(), containers.Items[0].ID, client.ContainerRestartOptions{})
	require.NoError(t, err)
	after, err := s.service.Observe(t.Context(), "v1-green")
	require.NoError(t, err)
	require.NotEqual(t, before.Address, after.Address)
	run(t, s.dir, "release", "start", "--version", "v2")
	s.is("v2", "out")
	run(t, s.dir, "release", "rollback")
	s.is("v1", "back")
}

// TestCrashReleaseDocker kills the command at every mark between two calls of the engine.
func TestCrashReleaseDocker(t *testing.T) {
	s, _, _ := dockerStage(t)
	s.killedAt(marksOf("docker: "))
}
