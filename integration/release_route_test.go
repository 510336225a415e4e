package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/switchbackdb/switchback/drivers/cluster"
	router "github.com/switchbackdb/switchback/drivers/router/kubernetes"
	"github.com/switchbackdb/switchback/integration/servers"
)

const routeConfig = "  router: {driver: kubernetes, route: shop, services: [shop-a, shop-b], settle: 10ms}\n"

// newRouteStage is a clusterStage whose traffic an HTTPRoute shares.
func newRouteStage(t *testing.T) clusterStage {
	t.Helper()
	s := newClusterStage(t)
	s.allowed(t)
	s.GatewayAPI(t)
	s.Create(t, s.namespace, cluster.HTTPRoutes, documented(t, "gateway.networking.k8s.io/v1", "    kind: HTTPRoute\n"))
	for _, name := range []string{"shop-a", "shop-b"} {
		service := documented(t, "v1", "    kind: Service\n    metadata: {name: shop-a}")
		service["metadata"] = map[string]any{"name": name}
		s.Create(t, s.namespace, cluster.Services, service)
	}
	config, _, _ := strings.Cut(kubernetesConfig, "  router: ")
	text := strings.NewReplacer("KUBECONFIG", s.KubeconfigOf(t, servers.Limited), "NAMESPACE", s.namespace, "[50, 100]", "[10, 100]").Replace(stageConfig + config + routeConfig)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "switchback.yaml"), []byte(text), 0o600))
	c, err := cluster.Open(cluster.Options{Kubeconfig: s.Kubeconfig, Namespace: s.namespace})
	require.NoError(t, err)
	s.router, err = router.NewRoute(c, router.Options{Application: "shop", Route: "shop", Services: []string{"shop-a", "shop-b"}})
	require.NoError(t, err)
	return s
}

// documented is the object of the documentation that begins so.
func documented(t *testing.T, version, begins string) (o map[string]any) {
	t.Helper()
	page, err := os.ReadFile("../docs/kubernetes.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(page), "    apiVersion: "+version+"\n"+begins)
	require.True(t, found)
	text, _, _ := strings.Cut(begins+rest, "\n\n")
	require.NoError(t, yaml.Unmarshal([]byte("    apiVersion: "+version+"\n"+text), &o))
	plain, err := cluster.Plain(o)
	require.NoError(t, err)
	return plain
}

// weights are those that the route gives the Services, as the API has them.
func (s clusterStage) weights(t *testing.T) map[string]int64 {
	t.Helper()
	o, err := s.API.Resource(cluster.HTTPRoutes).Namespace(s.namespace).Get(t.Context(), "shop", metav1.GetOptions{})
	require.NoError(t, err)
	rules, _, err := unstructured.NestedSlice(o.Object, "spec", "rules")
	require.NoError(t, err)
	list := map[string]int64{}
	for _, ref := range rules[0].(map[string]any)["backendRefs"].([]any) {
		f := ref.(map[string]any)
		list[f["name"].(string)] = f["weight"].(int64)
	}
	return list
}

// TestReleaseRoute takes a canary out and back by the weights of an HTTPRoute, as a user who has the documented rights and
// no others.
func TestReleaseRoute(t *testing.T) {
	s := newRouteStage(t)
	s.first()
	require.Equal(t, map[string]int64{"shop-a": 100, "shop-b": 0}, s.weights(t))
	plan := run(t, s.dir, "release", "plan", "--version", "v2")
	require.Contains(t, plan, "shift: patch httproute shop in namespace "+s.namespace+": the weights of shop-a and shop-b in rule 1, and nothing else of it")
	require.Contains(t, plan, "shift: no controller reports on the route")

	// A gate that has no data holds the candidate where it is.
	file := filepath.Join(s.dir, "switchback.yaml")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	held := string(text) + "  analysis:\n    - {name: enough orders, sql: {query: \"SELECT NULL\"}, within: 1ms}\n"
	require.NoError(t, os.WriteFile(file, []byte(held), 0o600))
	run(t, s.dir, "release", "start", "--version", "v2", "--strategy", "canary")
	_, status := s.newest()
	require.Equal(t, "paused", status)
	require.Equal(t, map[string]int64{"shop-a": 90, "shop-b": 10}, s.weights(t))
	require.Contains(t, run(t, s.dir, "traffic", "status"), "10 %")
	run(t, s.dir, "release", "abort")
	s.is("v1", "a canary that was brought back")
	require.Equal(t, map[string]int64{"shop-a": 100, "shop-b": 0}, s.weights(t))
	require.NoError(t, os.WriteFile(file, text, 0o600))

	run(t, s.dir, "release", "start", "--version", "v2")
	s.is("v2", "out")
	require.Equal(t, map[string]int64{"shop-a": 0, "shop-b": 100}, s.weights(t))

	// Somebody else's weights hold the way back.
	patch := func(value string) {
		_, err := s.API.Resource(cluster.HTTPRoutes).Namespace(s.namespace).Patch(t.Context(), "shop", types.JSONPatchType, []byte(value), metav1.PatchOptions{FieldManager: "somebody"})
		require.NoError(t, err)
	}
	first := `[{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": `
	patch(first + "50}]")
	theirs := s.weights(t)
	c := start(t, s.dir, nil, "release", "rollback")
	require.Equal(t, 1, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "changed by somebody else\n  state: ")
	require.Contains(t, c.Out.String(), "\n  next: find out who did; put it back with: kubectl")
	require.Equal(t, theirs, s.weights(t))
	_, back, _ := strings.Cut(c.Out.String(), "--type json -p '")
	back, _, _ = strings.Cut(back, "'")
	patch(back)
	c = start(t, s.dir, nil, "release", "resume")
	require.Equal(t, 3, c.End(t), c.Out.String())
	s.is("v1", "back, once it was undone")
	require.Equal(t, map[string]int64{"shop-a": 100, "shop-b": 0}, s.weights(t))

	// A Gateway counts nothing for us.
	counted := string(text) + "  analysis:\n    - {router: {errors: 1%}}\n"
	require.NoError(t, os.WriteFile(file, []byte(counted), 0o600))
	c = start(t, s.dir, nil, "release", "plan", "--version", "v3")
	require.Equal(t, 1, c.End(t))
	require.Contains(t, c.Out.String(), "this router does not count requests")
	require.Contains(t, c.Out.String(), "next: make it a gate of the kind prometheus")

	// The words of the two routers are not mixed.
	for words, says := range map[string]string{
		"route: shop, service: shop":   "release.router.service is there beside route",
		"route: shop":                  "release.router.services has 0 of them",
		"services: [shop-a, shop-b]":   "release.router.services is there without route",
		"route: shop, services: [one]": "release.router.services has 1 of them",
	} {
		mixed := strings.Replace(string(text), "route: shop, services: [shop-a, shop-b]", words, 1)
		require.NoError(t, os.WriteFile(file, []byte(mixed), 0o600))
		c := start(t, s.dir, nil, "release", "plan", "--version", "v3")
		require.Equal(t, 1, c.End(t))
		require.Contains(t, c.Out.String(), says)
	}
}

// TestCrashReleaseRoute kills the command at every mark between two calls of the API.
func TestCrashReleaseRoute(t *testing.T) {
	made := marks(t, newRouteStage(t).dir, "release", "start", "--version", "v1")
	adopted := marksOf("kubernetes: route adopted")(made)
	require.Len(t, adopted, 1)
	s := newRouteStage(t)
	s.killed(adopted[0], made, "release", "start", "--version", "v1")
	run(t, s.dir, "release", "resume")
	s.is("v1", "killed after the first note")
	s.change()
	out := marks(t, s.dir, "release", "start", "--version", "v2")
	s.is("v2", "undisturbed")
	back := marks(t, s.dir, "release", "rollback")
	s.is("v1", "undisturbed")
	outAt, backAt := someOf(t, routeMarks)(out), someOf(t, routeMarks)(back)
	require.NotEmpty(t, outAt)
	require.NotEmpty(t, backAt)
	for i := range max(len(outAt), len(backAt)) {
		s.killedOut(outAt[i%len(outAt)], out)
		require.Equal(t, int64(100), max(s.weights(t)["shop-a"], s.weights(t)["shop-b"]))
		s.killedBack(backAt[i%len(backAt)], back)
	}
	t.Logf("killed at %d marks out and %d back", len(outAt), len(backAt))
}

// routeMarks are the marks of the router; those of the service are TestCrashReleaseKubernetes'.
func routeMarks(names []string) []int {
	return append(marksOf("kubernetes: side selected")(names), marksOf("kubernetes: weights written")(names)...)
}
