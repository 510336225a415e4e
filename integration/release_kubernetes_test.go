package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/switchbackdb/switchback/drivers/cluster"
	router "github.com/switchbackdb/switchback/drivers/router/kubernetes"
	"github.com/switchbackdb/switchback/drivers/service/kubernetes"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/strategies"
)

const kubernetesConfig = `  application: shop
  healthy: 1m
  service:
    driver: kubernetes
    kubeconfig: KUBECONFIG
    namespace: NAMESPACE
    image: "registry.example.com/shop:{{version}}"
    port: 8080
    replicas: 2
    env: {SECRET: "${SHOP_SECRET}"}
    health: /healthz
  router: {driver: kubernetes, service: shop, settle: 10ms}
`

// clusterStage is a stage whose shop runs on Kubernetes, under a user who has no rights yet.
type clusterStage struct {
	*stage
	*servers.Kubernetes
	namespace string
}

func newClusterStage(t *testing.T) clusterStage {
	t.Helper()
	slow(t)
	t.Setenv("SHOP_SECRET", shopSecret)
	k := servers.Cluster(t)
	s := clusterStage{emptyStage(t), k, k.Namespace(t)}
	k.Service(t, s.namespace, "shop")
	text := strings.NewReplacer("KUBECONFIG", k.KubeconfigOf(t, servers.Limited), "NAMESPACE", s.namespace, "  steps: [50, 100]\n", "").Replace(stageConfig + kubernetesConfig)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "switchback.yaml"), []byte(text), 0o600))
	c, err := cluster.Open(cluster.Options{Kubeconfig: k.Kubeconfig, Namespace: s.namespace})
	require.NoError(t, err)
	s.service, err = kubernetes.New(c, "shop")
	require.NoError(t, err)
	s.router, err = router.New(c, router.Options{Application: "shop", Service: "shop"})
	require.NoError(t, err)
	return s
}

// allowed gives the user the rights that the documentation says are needed, and no others.
func (s clusterStage) allowed(t *testing.T) {
	t.Helper()
	page, err := os.ReadFile("../docs/kubernetes.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(page), "       apiVersion: rbac.authorization.k8s.io/v1\n")
	require.True(t, found)
	rules, _, _ := strings.Cut(rest, "\n\n")
	var role map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(rules), &role))
	role["apiVersion"] = "rbac.authorization.k8s.io/v1"
	group := schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}
	s.Create(t, s.namespace, group, role)
	group.Resource = "rolebindings"
	s.Create(t, s.namespace, group, map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": map[string]any{"name": "switchback"},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "switchback"},
		"subjects": []any{map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited"}},
	})
}

// served wants the pods that the clients' Service sends requests to to be of a version.
func (s clusterStage) served(t *testing.T, version string) {
	t.Helper()
	slices, err := s.API.Resource(cluster.EndpointSlices).Namespace(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=shop"})
	require.NoError(t, err)
	pods := 0
	for n := range slices.Items {
		endpoints, _, err := unstructured.NestedSlice(slices.Items[n].Object, "endpoints")
		require.NoError(t, err)
		for _, e := range endpoints {
			name, _, err := unstructured.NestedString(e.(map[string]any), "targetRef", "name")
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(name, "shop-"+version+"-"), name)
			pods++
		}
	}
	require.Equal(t, 2, pods)
}

// TestReleaseKubernetes takes the database change and pods of a new version out and back, as a user who has the
// documented rights and no others; without them it says which is missing.
func TestReleaseKubernetes(t *testing.T) {
	s := newClusterStage(t)
	c := start(t, s.dir, nil, "release", "plan", "--version", "v1")
	require.Equal(t, 1, c.End(t))
	require.Contains(t, c.Out.String(), "get services shop in namespace "+s.namespace+": the right to get services is missing")
	require.Contains(t, c.Out.String(), "next: give it by the Role in docs/kubernetes.md; to see it: kubectl -n "+s.namespace+" auth can-i get services")
	s.allowed(t)

	s.first()
	s.is("v1", "at first")
	s.served(t, "v1")
	said := run(t, s.dir, "release", "start", "--version", "v2")
	s.is("v2", "out")
	s.served(t, "v2")
	said += run(t, s.dir, "release", "rollback")
	s.is("v1", "back")
	s.served(t, "v1")

	// Candidates whose pods do not get ready turn back by themselves, before any traffic.
	c = start(t, s.dir, nil, "release", "start", "--version", "failed")
	require.Equal(t, 3, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "CrashLoopBackOff")
	s.is("v1", "a candidate that exits")
	s.served(t, "v1")
	said += c.Out.String()

	// Shares are refused before anything is changed.
	c = start(t, s.dir, nil, "release", "start", "--version", "v3", "--strategy", "canary")
	require.Equal(t, 1, c.End(t))
	require.Contains(t, c.Out.String(), "next: --strategy bluegreen")
	said += c.Out.String() + run(t, s.dir, "release", "status", "--all", "--json") + run(t, s.dir, "history", "--json")
	require.NotContains(t, said, shopSecret)
	deployments, err := s.API.Resource(cluster.Deployments).Namespace(s.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	text, err := deployments.MarshalJSON()
	require.NoError(t, err)
	require.NotContains(t, string(text), shopSecret)
}

// TestForeignKubernetes has somebody else change what the Service selects, and what a stopped version is: neither is
// overwritten.
func TestForeignKubernetes(t *testing.T) {
	s := newClusterStage(t)
	s.allowed(t)
	s.first()
	run(t, s.dir, "release", "start", "--version", "v2")
	patch := func(kind schema.GroupVersionResource, name, patch string) {
		_, err := s.API.Resource(kind).Namespace(s.namespace).Patch(t.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"})
		require.NoError(t, err)
	}
	patch(cluster.Services, "shop", `{"spec": {"selector": {"switchback/instance": "v1-green"}}}`)
	c := start(t, s.dir, nil, "release", "start", "--version", "v3")
	require.Equal(t, 1, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "changed by somebody else")
	require.Contains(t, c.Out.String(), "state: nothing was changed")
	patch(cluster.Services, "shop", `{"spec": {"selector": {"switchback/instance": "v2-green"}}}`)

	patch(cluster.Deployments, "shop-v1-green", `{"spec": {"template": {"spec": {"containers": [{"name": "application", "image": "shop:mended"}]}}}}`)
	c = start(t, s.dir, nil, "release", "rollback")
	require.Equal(t, 1, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), `conflict with "somebody"`)
	s.served(t, "v2")
	patch(cluster.Deployments, "shop-v1-green", `{"spec": {"template": {"spec": {"containers": [{"name": "application", "image": "registry.example.com/shop:v1"}]}}}}`)
	c = start(t, s.dir, nil, "release", "resume")
	require.Equal(t, 3, c.End(t), c.Out.String())
	s.is("v1", "back, once it was undone")
	s.served(t, "v1")
}

// TestCrashReleaseKubernetes kills the command at every mark between two calls of the API.
func TestCrashReleaseKubernetes(t *testing.T) {
	s := newClusterStage(t)
	s.allowed(t)
	s.first()
	out := marks(t, s.dir, "release", "start", "--version", "v2")
	s.is("v2", "undisturbed")
	back := marks(t, s.dir, "release", "rollback")
	s.is("v1", "undisturbed")
	chosen := someOf(t, marksOf("kubernetes: "))
	outAt, backAt := chosen(out), chosen(back)
	require.NotEmpty(t, outAt)
	require.NotEmpty(t, backAt)
	for i := range max(len(outAt), len(backAt)) {
		s.killedOut(outAt[i%len(outAt)], out)
		s.served(t, "v2")
		s.killedBack(backAt[i%len(backAt)], back)
		s.served(t, "v1")
	}
	t.Logf("killed at %d marks out and %d back", len(outAt), len(backAt))
}

const kubernetesRollingConfig = `  application: shop
  strategy: rolling
  healthy: 1m
  grace: 2s
  service:
    driver: kubernetes
    kubeconfig: KUBECONFIG
    namespace: NAMESPACE
    image: "registry.example.com/shop:{{version}}"
    port: 8080
    env: {SECRET: "${SHOP_SECRET}"}
    health: /healthz
  rolling: {replicas: 2, WORD: 1, monitor: 2s}
`

// newRollingStage is a clusterStage whose pods the cluster replaces, with no router.
func newRollingStage(t *testing.T) (clusterStage, *kubernetes.Roller) {
	t.Helper()
	s := newClusterStage(t)
	s.allowed(t)
	s.paced(t, "surge")
	c, err := cluster.Open(cluster.Options{Kubeconfig: s.Kubeconfig, Namespace: s.namespace})
	require.NoError(t, err)
	r, err := kubernetes.NewRoller(c, "shop")
	require.NoError(t, err)
	s.roller = r
	return s, r
}

// paced configures the release, with a word of its pace.
func (s clusterStage) paced(t *testing.T, word string) {
	t.Helper()
	text := strings.NewReplacer("KUBECONFIG", s.KubeconfigOf(t, servers.Limited), "NAMESPACE", s.namespace, "  steps: [50, 100]\n", "", "WORD", word).Replace(stageConfig + kubernetesRollingConfig)
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "switchback.yaml"), []byte(text), 0o600))
}

// byHand changes the image of the Deployment the way somebody else would.
func (s clusterStage) byHand(t *testing.T, image string) {
	t.Helper()
	_, err := s.API.Resource(cluster.Deployments).Namespace(s.namespace).Patch(t.Context(), "shop", types.StrategicMergePatchType,
		[]byte(`{"spec": {"template": {"spec": {"containers": [{"name": "application", "image": "`+image+`"}]}}}}`), metav1.PatchOptions{FieldManager: "somebody"})
	require.NoError(t, err)
}

// TestRollingKubernetes takes the database change and the pods of one Deployment out and back, as a user who has the
// documented rights and no others, finds out candidates whose pods exit, and holds what somebody else has changed.
func TestRollingKubernetes(t *testing.T) {
	s, r := newRollingStage(t)
	s.paced(t, "parallelism")
	c := start(t, s.dir, nil, "release", "plan", "--version", "v1")
	require.Equal(t, 1, c.End(t))
	require.Contains(t, c.Out.String(), "release.rolling.parallelism is 1: Kubernetes does not know it; set surge to 1, or unavailable")
	s.paced(t, "surge")
	run(t, s.dir, "release", "start", "--version", "v1")
	run(t, s.dir, "release", "rollback")
	now, err := r.Rollout(t.Context())
	require.NoError(t, err)
	require.Equal(t, strategies.RollAbsent, now.State, "the first release's way back")

	s.first()
	s.is("v1", "at first")
	plan := run(t, s.dir, "release", "plan", "--version", "v2")
	require.Contains(t, plan, "roll: 2 instances, 1 more meanwhile, 0 fewer meanwhile, each watched for 2s\n  image: registry.example.com/shop:v2")
	said := plan + run(t, s.dir, "release", "start", "--version", "v2", "--strategy", "rolling")
	require.Contains(t, said, "1 of 2 are v2")
	s.is("v2", "out")
	said += run(t, s.dir, "release", "rollback")
	s.is("v1", "back")

	c = start(t, s.dir, nil, "release", "start", "--version", "failed")
	require.Equal(t, 3, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "it was halted, 0 of 2 are failed: pod shop-")
	require.Contains(t, c.Out.String(), "CrashLoopBackOff")
	s.is("v1", "a candidate that exits")
	said += c.Out.String()

	run(t, s.dir, "release", "start", "--version", "v2")
	s.byHand(t, "shop:mended")
	c = start(t, s.dir, nil, "release", "rollback")
	require.Equal(t, 1, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), `conflict with "somebody"`)
	require.Contains(t, c.Out.String(), "rollout undo deployment shop")
	_, status := s.newest()
	require.Equal(t, "turned back", status, "it holds")
	s.byHand(t, "registry.example.com/shop:v2")
	said += c.Out.String()
	c = start(t, s.dir, nil, "release", "resume")
	require.Equal(t, 3, c.End(t), c.Out.String())
	s.is("v1", "back, once it was undone")

	said += c.Out.String() + run(t, s.dir, "release", "status", "--all", "--json") + run(t, s.dir, "history", "--json")
	require.NotContains(t, said, shopSecret)
}

// TestCrashRollingKubernetes kills the command at every mark between two calls of the API, out and back.
func TestCrashRollingKubernetes(t *testing.T) {
	s, r := newRollingStage(t)
	made := marks(t, s.dir, "release", "start", "--version", "v1")
	gone := marks(t, s.dir, "release", "rollback")
	madeAt, goneAt := marksOf("kubernetes: ")(made), marksOf("kubernetes: ")(gone)
	require.NotEmpty(t, madeAt)
	require.NotEmpty(t, goneAt)
	for i, n := range madeAt {
		when := s.killed(n, made, "release", "start", "--version", "v1")
		run(t, s.dir, "release", "resume")
		s.is("v1", when)
		s.killed(goneAt[i%len(goneAt)], gone, "release", "rollback")
		c := start(t, s.dir, nil, "release", "resume")
		require.Equal(t, 3, c.End(t), c.Out.String())
		now, err := r.Rollout(t.Context())
		require.NoError(t, err)
		require.Equal(t, strategies.RollAbsent, now.State)
	}
	s.first()
	out := marks(t, s.dir, "release", "start", "--version", "v2")
	back := marks(t, s.dir, "release", "rollback")
	chosen := someOf(t, marksOf("kubernetes: "))
	outAt, backAt := chosen(out), chosen(back)
	require.NotEmpty(t, outAt)
	require.NotEmpty(t, backAt)
	for i := range max(len(outAt), len(backAt)) {
		s.killedOut(outAt[i%len(outAt)], out)
		s.killedBack(backAt[i%len(backAt)], back)
	}
}
