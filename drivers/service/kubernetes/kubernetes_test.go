package kubernetes

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

func TestMain(m *testing.M) { os.Exit(servers.Run(m)) }

// bench is a namespace of a cluster.
type bench struct {
	*servers.Kubernetes
	namespace string
}

func newBench(t *testing.T) bench {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server")
	}
	k := servers.Cluster(t)
	return bench{k, k.Namespace(t)}
}

func (b bench) open(t *testing.T) *Service {
	t.Helper()
	c, err := cluster.Open(cluster.Options{Kubeconfig: b.Kubeconfig, Namespace: b.namespace})
	require.NoError(t, err)
	s, err := New(c, "shop", "shop")
	require.NoError(t, err)
	return s
}

// patch changes an object the way somebody else would.
func (b bench) patch(t *testing.T, name, patch string) {
	t.Helper()
	_, err := b.API.Resource(cluster.Deployments).Namespace(b.namespace).Patch(t.Context(), name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"})
	require.NoError(t, err)
}

func version(release string) strategies.Version {
	return strategies.Version{
		Release: release, Slot: strategies.Green, Name: release, Health: "/healthz",
		Env:       map[string]string{"LISTEN": "{{address}}", "SECRET": conformance.Secret},
		Container: &strategies.Container{Image: "shop:{{version}}", Port: 8080},
	}
}

func operation(id string) strategies.Operation { return strategies.Operation{ID: id, Fence: 1} }

func await(t *testing.T, s *Service, id string, want strategies.State) (i strategies.Instance) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		i, err = s.Observe(t.Context(), id)
		require.NoError(t, err)
		return i.State == want
	}, time.Minute, 50*time.Millisecond, "want %s", want)
	return i
}

func TestService(t *testing.T) {
	b := newBench(t)
	conformance.MuteService(t, version(""), func(t *testing.T) strategies.Service { return b.open(t) })
}

// TestTemplate starts a Deployment of the user's own file.
func TestTemplate(t *testing.T) {
	b := newBench(t)
	s := b.open(t)
	v := version("v2.0_RC1")
	v.Health = ""
	v.Container = &strategies.Container{Name: "web", Template: `
apiVersion: apps/v1
kind: Deployment
metadata: {name: whatever, labels: {team: shops}}
spec:
  replicas: 3
  minReadySeconds: 1
  template:
    metadata: {labels: {app: shop, tier: web}, annotations: {version: "{{version}}"}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: web
          image: "registry.example.com/shop:{{version}}"
          args: [--listen, "{{address}}"]
          env: [{name: SECRET, value: replaced}, {name: KEPT, value: "1"}]
          ports: [{containerPort: 8080}]
          readinessProbe: {exec: {command: [/ready]}}
        - {name: sidecar, image: "sidecar:1"}
`}
	require.NoError(t, s.Check(t.Context(), v))
	_, err := s.Start(t.Context(), operation("start"), v)
	require.NoError(t, err)
	i := await(t, s, "v2.0_RC1-green", strategies.StateHealthy)
	require.Equal(t, []string{"v2.0_RC1", "v2.0_RC1", "green"}, []string{i.Release, i.Version, string(i.Slot)})

	o, err := s.find(t.Context(), i.ID)
	require.NoError(t, err)
	require.Equal(t, "shops", o.GetLabels()["team"])
	require.Equal(t, o.GetName()+"."+b.namespace+".svc:8080", i.Address)
	var d struct {
		Spec struct {
			Replicas int
			Template struct {
				Metadata struct{ Labels, Annotations map[string]string }
				Spec     struct {
					Containers []struct {
						Image string
						Args  []string
						Env   []struct {
							Name, Value string
							ValueFrom   *struct{ SecretKeyRef struct{ Name, Key string } }
						}
					}
				}
			}
		}
	}
	require.NoError(t, cluster.Decode(o, &d))
	require.Equal(t, 3, d.Spec.Replicas)
	require.Equal(t, "shop", d.Spec.Template.Metadata.Labels["app"])
	require.Equal(t, "v2.0_RC1", d.Spec.Template.Metadata.Annotations["version"])
	web := d.Spec.Template.Spec.Containers[0]
	require.Equal(t, "registry.example.com/shop:v2.0_RC1", web.Image)
	require.Equal(t, []string{"--listen", "0.0.0.0:8080"}, web.Args)
	require.Len(t, web.Env, 3)
	require.Equal(t, "KEPT", web.Env[0].Name)
	for _, e := range web.Env[1:] {
		require.Empty(t, e.Value)
		require.Equal(t, []string{o.GetName(), e.Name}, []string{e.ValueFrom.SecretKeyRef.Name, e.ValueFrom.SecretKeyRef.Key})
	}
	text, err := o.MarshalJSON()
	require.NoError(t, err)
	require.NotContains(t, string(text), conformance.Secret)
}

// TestRefused are definitions that are not whole, and candidates that would get requests before their time. Nothing
// is made of them.
func TestRefused(t *testing.T) {
	b := newBench(t)
	s := b.open(t)
	b.Create(t, b.namespace, cluster.Services, map[string]any{
		"apiVersion": "v1", "kind": "Service", "metadata": map[string]any{"name": "shop"},
		"spec": map[string]any{"selector": map[string]any{"app": "shop"}, "ports": []any{map[string]any{"port": int64(80)}}},
	})
	pods := func(labels, container string) string {
		return "kind: Deployment\nspec: {template: {metadata: {labels: {" + labels + "}}, spec: {containers: [{name: web, image: i, " + container + "}]}}}"
	}
	for _, test := range []struct {
		change func(*strategies.Version)
		says   string
	}{
		{func(v *strategies.Version) { v.Container.Image = "" }, "next: set release.service.image"},
		{func(v *strategies.Version) { v.Container.Port = 0 }, "next: set release.service.port"},
		{func(v *strategies.Version) { v.Health = "" }, "next: set release.service.health"},
		{func(v *strategies.Version) { v.Container = nil }, "next: set release.service.image or"},
		{func(v *strategies.Version) { v.Container.Name = "other" }, "it has: application"},
		{func(v *strategies.Version) { v.Container.Template = "kind: Pod\nspec: {}" }, `is a "Pod", not a Deployment`},
		{func(v *strategies.Version) { v.Container.Template = "{" }, "read the template"},
		{func(v *strategies.Version) { v.Container.Template = pods("", "") + "\n---\nkind: Service" }, "several documents"},
		{func(v *strategies.Version) { v.Container.Template = pods("app: shop", "") }, "it would get requests at once"},
	} {
		v := version("v2")
		test.change(&v)
		require.ErrorContains(t, s.Check(t.Context(), v), test.says)
	}
	v := version("v2")
	v.Container.Template = pods("app: other", "")
	require.NoError(t, s.Check(t.Context(), v))
	list, err := s.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	_, err = New(s.cluster, "Shop!")
	require.ErrorContains(t, err, "next: set release.application")
}

// TestForeignChange has somebody else change the definition of a stopped version: it is not started, and what was
// changed stays. How many pods there are is ours to say.
func TestForeignChange(t *testing.T) {
	b := newBench(t)
	s := b.open(t)
	_, err := s.Start(t.Context(), operation("start"), version("v1"))
	require.NoError(t, err)
	await(t, s, "v1-green", strategies.StateHealthy)
	b.patch(t, "shop-v1-green", `{"spec": {"replicas": 2}}`)
	await(t, s, "v1-green", strategies.StateHealthy)
	require.NoError(t, s.Stop(t.Context(), operation("stop"), "v1-green", time.Minute))
	await(t, s, "v1-green", strategies.StateStopped)

	b.patch(t, "shop-v1-green", `{"spec": {"template": {"spec": {"containers": [{"name": "application", "image": "shop:mended"}]}}}}`)
	_, err = s.Start(t.Context(), operation("back"), version("v1"))
	require.ErrorIs(t, err, strategies.ErrForeignChange)
	require.ErrorContains(t, err, "image")
	require.ErrorContains(t, err, "somebody")
	o, err := s.find(t.Context(), "v1-green")
	require.NoError(t, err)
	text, err := o.MarshalJSON()
	require.NoError(t, err)
	require.Contains(t, string(text), `"image":"shop:mended"`)
	require.Zero(t, replicas(o))

	// A Deployment that only has the name is not taken for ours.
	b.Create(t, b.namespace, cluster.Deployments, map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "shop-v2-green"},
		"spec": map[string]any{"replicas": int64(0), "selector": map[string]any{"matchLabels": map[string]any{"a": "b"}}, "template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"a": "b"}}, "spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "i"}}},
		}},
	})
	_, err = s.Start(t.Context(), operation("start"), version("v2"))
	require.ErrorIs(t, err, strategies.ErrForeignChange)

	// Neither is a Secret.
	b.Create(t, b.namespace, cluster.Secrets, map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "shop-v3-green"}})
	_, err = s.Start(t.Context(), operation("start"), version("v3"))
	require.ErrorIs(t, err, strategies.ErrForeignChange)
	require.ErrorContains(t, err, "next: kubectl -n "+b.namespace+" delete secrets shop-v3-green")
	require.Equal(t, "is scaled to 0", await(t, s, "v3-green", strategies.StateStopped).Detail)
}

// TestOvertaken has a newer run stop the version while an older one makes its Service: it is not scaled up any more.
func TestOvertaken(t *testing.T) {
	b := newBench(t)
	newer := b.open(t)
	faults := b.Faults(t)
	met := faults.On("POST .*/services", 1, func(w http.ResponseWriter, forward func(http.ResponseWriter)) {
		if err := newer.Stop(context.WithoutCancel(t.Context()), strategies.Operation{ID: "stop", Fence: 2}, "r1-green", time.Second); err != nil {
			t.Error(err)
		}
		forward(w)
	})
	c, err := cluster.Open(cluster.Options{Kubeconfig: b.KubeconfigOf(t, servers.Through(faults)), Namespace: b.namespace})
	require.NoError(t, err)
	older, err := New(c, "shop", "shop")
	require.NoError(t, err)
	_, err = older.Start(t.Context(), operation("start"), version("r1"))
	require.ErrorIs(t, err, strategies.ErrStaleFence)
	require.Equal(t, 1, met())
	await(t, newer, "r1-green", strategies.StateStopped)
}

// TestDetail is what is said of pods that do not get ready.
func TestDetail(t *testing.T) {
	b := newBench(t)
	s := b.open(t)
	_, err := s.Start(t.Context(), operation("start"), version("failed"))
	require.NoError(t, err)
	i := await(t, s, "failed-green", strategies.StateStopped)
	require.Contains(t, i.Detail, "0 of 1 pods are available")
	require.Contains(t, i.Detail, "CrashLoopBackOff: back-off 40s restarting failed container, after it exited with code 7 (Error) and was restarted 3 times")
	require.Contains(t, i.Detail, "next: kubectl -n "+b.namespace+" describe")

	_, err = s.Start(t.Context(), operation("start"), version("ill"))
	require.NoError(t, err)
	says(t, s, "ill-green", "runs, but its readiness probe has not succeeded")

	v := version("large")
	v.Container.Template = "kind: Deployment\nspec: {template: {spec: {containers: [{name: web, resources: {requests: {cpu: '5000'}}}]}}}"
	_, err = s.Start(t.Context(), operation("start"), v)
	require.NoError(t, err)
	says(t, s, "large-green", "Unschedulable: 0/1 nodes are available: 1 Insufficient cpu")
}

// says waits until an instance that starts says why it is not healthy.
func says(t *testing.T, s *Service, id, want string) {
	t.Helper()
	var i strategies.Instance
	require.Eventually(t, func() bool {
		var err error
		i, err = s.Observe(t.Context(), id)
		require.NoError(t, err)
		return i.State == strategies.StateStarting && strings.Contains(i.Detail, want)
	}, time.Minute, 50*time.Millisecond, "want %q", want)
}
