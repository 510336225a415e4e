package integration

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// mistake is a configuration, or a machine, with which no release can go out.
type mistake struct {
	name   string
	change func(config string) string
	code   int
	says   []string // what was tried on which object, and what to do
}

// refuses has each mistake be told of at the command line. Nothing of v2 is there afterwards, and v1 serves as before.
func (s *stage) refuses(mistakes []mistake) {
	s.t.Helper()
	file := filepath.Join(s.dir, "switchback.yaml")
	good, err := os.ReadFile(file)
	require.NoError(s.t, err)
	for _, m := range mistakes {
		bad := m.change(string(good))
		require.NoError(s.t, os.WriteFile(file, []byte(bad), 0o600))
		c := start(s.t, s.dir, nil, "release", "start", "--version", "v2")
		require.Equal(s.t, m.code, c.End(s.t), "%s\n%s", m.name, c.Out.String())
		for _, text := range append([]string{"\n  state: ", "\n  next: "}, m.says...) {
			require.Contains(s.t, c.Out.String(), text, m.name)
		}
		require.NotContains(s.t, c.Out.String(), shopSecret, m.name)
		require.NoError(s.t, os.WriteFile(file, good, 0o600))
		s.is("v1", m.name)
		instances, err := s.service.List(s.t.Context())
		require.NoError(s.t, err)
		for _, i := range instances {
			require.Equal(s.t, i.Version == "v1", i.State == "healthy", "%s: %+v", m.name, i)
		}
	}
}

// with is a change of the configuration that replaces what looks like an expression.
func with(expression, by string) func(string) string {
	return func(config string) string { return regexp.MustCompile(expression).ReplaceAllString(config, by) }
}

// TestRefusedDocker has releases with containers that cannot go out.
func TestRefusedDocker(t *testing.T) {
	s, _, _ := dockerStage(t)
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)
	const nothing, before = "state: nothing was changed", "state: schema, traffic and application are as they were before it"
	c := start(t, s.dir, nil, "release", "start", "--image", "nowhere/shop:v9")
	require.Equal(t, rolledBack, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "release v9 was rolled back")
	require.Contains(t, c.Out.String(), "next: docker pull nowhere/shop:v9")
	s.refuses([]mistake{
		{"unknown image", with("image: .*", "image: nowhere/shop:{{version}}"), rolledBack, []string{"preflight failed: start v2", "nowhere/shop:v2", "next: docker pull nowhere/shop:v2", before}},
		{"port clash", with("health:", "ports: \""+port+"\"\n    health:"), rolledBack, []string{"start failed: start v2", "no port is free for the container", "next: make release.service.ports wider", before}},
		{"no health check", with("    health: .*\n", ""), rolledBack, []string{"preflight failed: start v2", "nothing says when", "or --no-health", before}},
		{"two routers", with("$", "  router: {driver: proxy}\n  router: {driver: nginx}\n"), held, []string{"router", nothing}},
		{"a router that is not there", with("$", "  router: {driver: proxy, admin: none.sock}\n"), held, []string{"none.sock", nothing}},
		{"an unknown service", with("driver: docker", "driver: podman"), held, []string{"release.service.driver", "podman", nothing}},
	})

	file := filepath.Join(s.dir, "switchback.yaml")
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(with("    health: .*\n", "")(string(good))), 0o600))
	run(t, s.dir, "release", "start", "--version", "v2", "--no-health")
	s.is("v2", "in so many words")
	t.Setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
	c = start(t, s.dir, nil, "release", "start", "--version", "v3")
	require.NotZero(t, c.End(t))
	for _, text := range []string{"the Docker engine cannot be reached", "next: docker info", "\n  state: "} {
		require.Contains(t, c.Out.String(), text)
	}
	s.is("v2", "an engine that does not answer")
}

// TestRefusedKubernetes has the API not let a release in, wholly or in the midst.
func TestRefusedKubernetes(t *testing.T) {
	s := newClusterStage(t)
	s.allowed(t)
	s.first()
	file := func(path string) func(string) string { return with("kubeconfig: .*", "kubeconfig: "+path) }
	const nothing = "state: nothing was changed"
	s.refuses([]mistake{
		{"expired certificate", file(s.KubeconfigOf(t, s.Expired(t))), held, []string{"get services shop", "the token or certificate has expired", "next: log in again", nothing}},
		{"no kubeconfig", file("none"), held, []string{"read how the Kubernetes API is reached", "next: kubectl config get-contexts", nothing}},
		{"no rights there", with("namespace: .*", "namespace: default"), held, []string{"the right to get services is missing", "auth can-i get services", nothing}},
		{"no Service to move", with("service: shop", "service: none"), held, []string{"get services none", "set release.router.service", nothing}},
		{"no image", with("image: .*", "image: \"\""), held, []string{"next: set release.service.image", nothing}},
	})
	// Rights that are missing where the first pods are to be made.
	faults := s.Faults(t)
	faults.On("PATCH .*/deployments/", -1, servers.Answer(403, strings.ReplaceAll(`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403,
		"message": "deployments.apps is forbidden: User \"limited\" cannot patch resource \"deployments\" in API group \"apps\""}`, "\n", "")))
	s.refuses([]mistake{{"half the rights", file(s.KubeconfigOf(t, servers.Through(faults))), rolledBack, []string{
		"start failed: start v2", "the right to patch deployments.apps is missing", "state: schema, traffic and application are as they were before it",
	}}})
}
