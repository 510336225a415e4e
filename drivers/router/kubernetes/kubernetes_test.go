package kubernetes

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/switchbackdb/switchback/drivers/cluster"
	versions "github.com/switchbackdb/switchback/drivers/service/kubernetes"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

func TestMain(m *testing.M) { os.Exit(servers.Run(m)) }

// bench is a namespace with two versions that run, and the Service "shop" for clients.
type bench struct {
	*servers.Kubernetes
	namespace   string
	cluster     *cluster.Cluster
	blue, green string
}

func newBench(t *testing.T) bench {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server")
	}
	b := bench{Kubernetes: servers.Cluster(t)}
	b.namespace = b.Namespace(t)
	var err error
	b.cluster, err = cluster.Open(cluster.Options{Kubeconfig: b.Kubeconfig, Namespace: b.namespace})
	require.NoError(t, err)
	b.blue, b.green = b.start(t, "v1"), b.start(t, "v2")
	return b
}

// start runs a version and returns its address.
func (b bench) start(t *testing.T, release string) string {
	t.Helper()
	s, err := versions.New(b.cluster, "versions")
	require.NoError(t, err)
	i, err := s.Start(t.Context(), strategies.Operation{ID: "start", Fence: 1}, strategies.Version{
		Release: release, Slot: strategies.Green, Name: release, Health: "/", Container: &strategies.Container{Image: "shop:1", Port: 8080, Replicas: 2},
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		i, err = s.Observe(t.Context(), i.ID)
		require.NoError(t, err)
		return i.State == strategies.StateHealthy
	}, time.Minute, 50*time.Millisecond)
	return i.Address
}

func (b bench) open(t *testing.T) *Router {
	t.Helper()
	r, err := New(b.cluster, Options{Application: "shop", Service: "shop", Settle: time.Millisecond})
	require.NoError(t, err)
	return r
}

// serving is the release of the pods that the Service's EndpointSlices have, as anybody can read it.
func (b bench) serving(t *testing.T) string {
	t.Helper()
	slices, err := b.API.Resource(cluster.EndpointSlices).Namespace(b.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=shop"})
	require.NoError(t, err)
	found := map[string]int{}
	for n := range slices.Items {
		var s slice
		require.NoError(t, cluster.Decode(&slices.Items[n], &s))
		for _, e := range s.Endpoints {
			pod, err := b.API.Resource(cluster.Pods).Namespace(b.namespace).Get(t.Context(), e.TargetRef.Name, metav1.GetOptions{})
			require.NoError(t, err)
			found[pod.GetLabels()["switchback/release"]]++
		}
	}
	require.Len(t, found, 1)
	for release, pods := range found {
		require.Equal(t, 2, pods)
		return release
	}
	return ""
}

func TestRouter(t *testing.T) {
	b := newBench(t)
	b.Service(t, b.namespace, "shop")
	conformance.SwitchRouter(t, conformance.Backends{
		Blue: b.blue, Green: b.green,
		Ask: func(t *testing.T) string { return map[string]string{"v1": "blue", "v2": "green"}[b.serving(t)] },
	}, func(t *testing.T) strategies.Router { return b.open(t) })
}

func all(slot strategies.Slot, address string) []strategies.Backend {
	return []strategies.Backend{{Slot: slot, Address: address, Weight: 100}}
}

func operation(id string) strategies.Operation { return strategies.Operation{ID: id, Fence: 1} }

// TestOriginal takes traffic from a version that was deployed by hand, and gives it back.
func TestOriginal(t *testing.T) {
	b := newBench(t)
	b.Create(t, b.namespace, cluster.Services, map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "shop"},
		"spec": map[string]any{"selector": map[string]any{"switchback/release": "v1"}, "ports": []any{map[string]any{"port": int64(80)}}},
	})
	r := b.open(t)
	own := "shop." + b.namespace + ".svc:80"
	routing, err := r.Observe(t.Context())
	require.NoError(t, err)
	require.Equal(t, all(strategies.Blue, own), routing.Backends)
	require.Equal(t, "v1", b.serving(t))
	_, err = r.Shift(t.Context(), operation("out"), all(strategies.Green, b.green))
	require.NoError(t, err)
	require.Equal(t, "v2", b.serving(t))
	_, err = r.Shift(t.Context(), operation("back"), all(strategies.Blue, own))
	require.NoError(t, err)
	require.Equal(t, "v1", b.serving(t))
	o, err := b.cluster.Get(t.Context(), cluster.Services, "shop")
	require.NoError(t, err)
	require.Equal(t, map[string]any{"switchback/release": "v1"}, o.Object["spec"].(map[string]any)["selector"])
}

// TestForeignChange has somebody else change what the Service selects: nothing is overwritten, and the error has the
// command that puts it right.
func TestForeignChange(t *testing.T) {
	b := newBench(t)
	b.Service(t, b.namespace, "shop")
	r := b.open(t)
	_, err := r.Shift(t.Context(), operation("out"), all(strategies.Blue, b.blue))
	require.NoError(t, err)
	patch := func(patch string) {
		_, err := b.API.Resource(cluster.Services).Namespace(b.namespace).Patch(t.Context(), "shop", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	// What is not about traffic is anybody's.
	patch(`{"metadata": {"labels": {"team": "shops"}}, "spec": {"sessionAffinity": "ClientIP"}}`)
	_, err = r.Shift(t.Context(), operation("on"), all(strategies.Blue, b.blue))
	require.NoError(t, err)
	o, err := b.cluster.Get(t.Context(), cluster.Services, "shop")
	require.NoError(t, err)
	require.Equal(t, "shops", o.GetLabels()["team"])
	require.Equal(t, "ClientIP", o.Object["spec"].(map[string]any)["sessionAffinity"])

	patch(`{"spec": {"selector": {"switchback/instance": "v2-green"}}}`)
	_, err = r.Observe(t.Context())
	require.ErrorIs(t, err, strategies.ErrForeignChange)
	require.ErrorContains(t, err, "it selects switchback/application=versions,switchback/instance=v2-green, switchback wrote switchback/application=versions,switchback/instance=v1-green")
	require.ErrorContains(t, err, "next: find out who did; put it back with: kubectl -n "+b.namespace+" patch service shop")
	_, err = r.Shift(t.Context(), operation("further"), all(strategies.Blue, b.blue))
	require.ErrorIs(t, err, strategies.ErrForeignChange)
	require.Eventually(t, func() bool { return b.serving(t) == "v2" }, time.Minute, 50*time.Millisecond, "theirs stays")
}

// TestRefused are routers that cannot work, and addresses that are nobody's.
func TestRefused(t *testing.T) {
	b := newBench(t)
	_, err := New(b.cluster, Options{})
	require.ErrorContains(t, err, "next: set release.router.service")
	r := b.open(t)
	_, err = r.Observe(t.Context())
	require.ErrorIs(t, err, strategies.ErrNotFound)
	require.ErrorContains(t, err, "next: make the Service")
	b.Service(t, b.namespace, "shop")
	for address, says := range map[string]string{
		"127.0.0.1:8080":                               "is not that of a Service of this namespace",
		"versions-v1-green.elsewhere.svc:80":           "is not that of a Service of this namespace",
		"shop." + b.namespace + ".svc:80":              "selected nothing at first",
		"nobody." + b.namespace + ".svc:80":            "not found",
		"-o" + b.namespace + "." + b.namespace + ":80": "-o" + b.namespace,
	} {
		_, err := r.Shift(t.Context(), operation("out"), all(strategies.Blue, address))
		require.ErrorContains(t, err, says)
	}
	routing, err := r.Observe(t.Context())
	require.NoError(t, err)
	require.Empty(t, routing.Backends)
}
