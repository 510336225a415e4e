package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

// routed is a bench with an HTTPRoute "shop" that shares the traffic of the Services "shop-a" and "shop-b".
type routed struct{ bench }

func newRouted(t *testing.T, weights map[string]int64) routed {
	t.Helper()
	b := routed{newBench(t)}
	b.GatewayAPI(t)
	b.Service(t, b.namespace, "shop-a")
	b.Service(t, b.namespace, "shop-b")
	if weights != nil {
		b.HTTPRoute(t, b.namespace, "shop", weights)
	}
	return b
}

func (b routed) open(t *testing.T) *Route {
	t.Helper()
	r, err := NewRoute(b.cluster, Options{
		Application: "shop", Route: "shop", Services: []string{"shop-a", "shop-b"}, Settle: time.Millisecond, Timeout: 2 * time.Second,
	})
	require.NoError(t, err)
	return r
}

// route is the route as anybody can read it.
func (b routed) route(t *testing.T) *cluster.Object {
	t.Helper()
	o, err := b.API.Resource(cluster.HTTPRoutes).Namespace(b.namespace).Get(t.Context(), "shop", metav1.GetOptions{})
	require.NoError(t, err)
	return o
}

// weights are those of the Services in a rule.
func (b routed) weights(t *testing.T, rule int) map[string]int {
	t.Helper()
	var r httpRoute
	require.NoError(t, cluster.Decode(b.route(t), &r))
	list := map[string]int{}
	for _, f := range r.Spec.Rules[rule].BackendRefs {
		list[f.Name] = *f.Weight
	}
	return list
}

// serving is the share of each release of the pods that the Services send requests to.
func (b routed) serving(t *testing.T) map[string]int {
	t.Helper()
	list := map[string]int{}
	for name, weight := range b.weights(t, 0) {
		if weight == 0 {
			continue
		}
		slices, err := b.API.Resource(cluster.EndpointSlices).Namespace(b.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + name})
		require.NoError(t, err)
		release := ""
		for n := range slices.Items {
			var s slice
			require.NoError(t, cluster.Decode(&slices.Items[n], &s))
			for _, e := range s.Endpoints {
				pod, err := b.API.Resource(cluster.Pods).Namespace(b.namespace).Get(t.Context(), e.TargetRef.Name, metav1.GetOptions{})
				require.NoError(t, err)
				require.Contains(t, []string{"", pod.GetLabels()["switchback/release"]}, release, "a Service is one version")
				release = pod.GetLabels()["switchback/release"]
			}
		}
		list[release] += weight
	}
	return list
}

// patch changes the route the way somebody else would.
func (b routed) patch(t *testing.T, patch string) {
	t.Helper()
	_, err := b.API.Resource(cluster.HTTPRoutes).Namespace(b.namespace).Patch(t.Context(), "shop", types.JSONPatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"})
	require.NoError(t, err)
}

func split(b routed, green int) []strategies.Backend {
	return []strategies.Backend{
		{Slot: strategies.Blue, Release: "v1", Address: b.blue, Weight: 100 - green},
		{Slot: strategies.Green, Release: "v2", Address: b.green, Weight: green},
	}
}

func TestRoute(t *testing.T) {
	b := newRouted(t, map[string]int64{"shop-a": 1, "shop-b": 1})
	conformance.SharingRouter(t, conformance.Backends{
		Blue: b.blue, Green: b.green, Share: func(t *testing.T) int { return b.serving(t)["v2"] },
		Ask: func(t *testing.T) string {
			if b.serving(t)["v2"] == 100 {
				return "green"
			}
			require.Equal(t, 100, b.serving(t)["v1"])
			return "blue"
		},
	}, func(t *testing.T) strategies.Router { return b.open(t) })
}

// TestRouteOfMany takes release after release out: each candidate takes the Service without weight, and none that has
// traffic changes its pods.
func TestRouteOfMany(t *testing.T) {
	b := newRouted(t, map[string]int64{"shop-a": 100, "shop-b": 0})
	r := b.open(t)
	third := b.start(t, "v3")
	for n, pair := range [][2]string{{b.blue, b.green}, {b.green, third}, {third, b.blue}} {
		for _, green := range []int{0, 10, 100} {
			_, err := r.Shift(t.Context(), operation(fmt.Sprint("release", n, " ", green)), []strategies.Backend{
				{Slot: strategies.Blue, Address: pair[0], Weight: 100 - green}, {Slot: strategies.Green, Address: pair[1], Weight: green},
			})
			require.NoError(t, err)
		}
	}
	require.Equal(t, map[string]int{"v1": 100}, b.serving(t))
	_, err := r.Shift(t.Context(), operation("both"), []strategies.Backend{
		{Slot: strategies.Blue, Address: b.green, Weight: 50}, {Slot: strategies.Green, Address: third, Weight: 50},
	})
	require.ErrorIs(t, err, strategies.ErrInvalidRouting, "the stable version's Service is nobody else's")
	require.Equal(t, map[string]int{"v1": 100}, b.serving(t))
}

// TestRouteLeavesTheRest shifts the traffic of a route that has more: nothing else of it changes.
func TestRouteLeavesTheRest(t *testing.T) {
	b := newRouted(t, nil)
	service := func(name string, more map[string]any) map[string]any {
		ref := map[string]any{"group": "", "kind": "Service", "name": name, "port": int64(80), "weight": int64(0)}
		for key, value := range more {
			ref[key] = value
		}
		return ref
	}
	header := []any{map[string]any{"type": "RequestHeaderModifier", "requestHeaderModifier": map[string]any{"set": []any{map[string]any{"name": "X-From", "value": "route"}}}}}
	b.Create(t, b.namespace, cluster.HTTPRoutes, map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
		"metadata": map[string]any{"name": "shop", "labels": map[string]any{"team": "shops"}, "annotations": map[string]any{"owner": "us"}},
		"spec": map[string]any{
			"hostnames": []any{"shop.example.com"}, "parentRefs": []any{map[string]any{"name": "public"}},
			"rules": []any{
				map[string]any{"matches": []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": "/search"}}}, "backendRefs": []any{service("search", map[string]any{"weight": int64(7)})}},
				map[string]any{"filters": header, "backendRefs": []any{service("mirror", nil), service("shop-b", map[string]any{"filters": header}), service("shop-a", map[string]any{"weight": int64(1)})}},
				map[string]any{"matches": []any{map[string]any{"method": "POST"}}, "backendRefs": []any{service("shop-a", map[string]any{"weight": int64(100)}), service("shop-b", nil)}},
			},
		},
	})
	before := b.route(t)
	r := b.open(t)
	for n, green := range []int{0, 30, 100, 0} {
		_, err := r.Shift(t.Context(), operation(fmt.Sprint("shift", n)), split(b, green))
		require.NoError(t, err)
	}
	_, err := r.Shift(t.Context(), operation("last"), split(b, 30))
	require.NoError(t, err)
	after := b.route(t)
	require.Equal(t, map[string]int{"mirror": 0, "shop-a": 70, "shop-b": 30}, b.weights(t, 1))
	require.Equal(t, map[string]int{"shop-a": 70, "shop-b": 30}, b.weights(t, 2))
	require.Equal(t, "us", after.GetAnnotations()["owner"])
	require.Equal(t, before.GetLabels(), after.GetLabels())
	// With the weights as they were at first, there is no difference left.
	for _, o := range []*cluster.Object{before, after} {
		rules, _, err := unstructured.NestedSlice(o.Object, "spec", "rules")
		require.NoError(t, err)
		for _, rule := range rules[1:] {
			for _, ref := range rule.(map[string]any)["backendRefs"].([]any) {
				if f := ref.(map[string]any); f["name"] != "mirror" {
					delete(f, "weight")
				}
			}
		}
		require.NoError(t, unstructured.SetNestedSlice(o.Object, rules, "spec", "rules"))
	}
	require.Equal(t, before.Object["spec"], after.Object["spec"])
	calls, err := r.Calls(t.Context())
	require.NoError(t, err)
	require.Contains(t, calls[0], "the weights of shop-a and shop-b in rule 2, 3, and nothing else of it")

	// What of the route the API holds to be ours.
	var ours string
	for _, m := range after.GetManagedFields() {
		if m.Manager == cluster.Manager {
			ours += string(m.FieldsV1.GetRawBytes())
		}
	}
	require.Contains(t, ours, noteRouting)
	require.NotContains(t, ours, "f:hostnames")
	require.NotContains(t, ours, "f:labels")
}

// TestRouteOriginal takes traffic from a version that was deployed by hand, and gives it back.
func TestRouteOriginal(t *testing.T) {
	b := newRouted(t, map[string]int64{"shop-a": 100, "shop-b": 0})
	_, err := b.API.Resource(cluster.Services).Namespace(b.namespace).Patch(t.Context(), "shop-a", types.MergePatchType, []byte(`{"spec": {"selector": {"switchback/release": "v1"}}}`), metav1.PatchOptions{})
	require.NoError(t, err)
	r := b.open(t)
	own := "shop-a." + b.namespace + ".svc:80"
	routing, err := r.Observe(t.Context())
	require.NoError(t, err)
	require.Equal(t, all(strategies.Blue, own), routing.Backends)
	_, err = r.Shift(t.Context(), operation("a share"), []strategies.Backend{
		{Slot: strategies.Blue, Address: own, Weight: 90}, {Slot: strategies.Green, Address: b.green, Weight: 10},
	})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"v1": 90, "v2": 10}, b.serving(t))
	_, err = r.Shift(t.Context(), operation("out"), all(strategies.Green, b.green))
	require.NoError(t, err)
	require.Equal(t, map[string]int{"v2": 100}, b.serving(t))
	_, err = r.Shift(t.Context(), operation("back"), all(strategies.Blue, own))
	require.NoError(t, err)
	require.Equal(t, map[string]int{"v1": 100}, b.serving(t))
}

// TestRouteForeignChange has somebody else change weights, what a Service selects, and our notes: nothing is overwritten,
// and the error has the command that puts it right.
func TestRouteForeignChange(t *testing.T) {
	b := newRouted(t, map[string]int64{"shop-a": 100, "shop-b": 0})
	r := b.open(t)
	_, err := r.Shift(t.Context(), operation("out"), split(b, 10))
	require.NoError(t, err)
	ops := 0
	held := func(says ...string) {
		t.Helper()
		before := b.weights(t, 0)
		_, err := r.Observe(t.Context())
		require.ErrorIs(t, err, strategies.ErrForeignChange)
		ops++
		_, err = r.Shift(t.Context(), operation(fmt.Sprint("further", ops)), split(b, 50))
		require.ErrorIs(t, err, strategies.ErrForeignChange)
		for _, text := range says {
			require.ErrorContains(t, err, text)
		}
		require.Equal(t, before, b.weights(t, 0), "theirs stays")
	}
	place := 0
	if b.route(t).Object["spec"].(map[string]any)["rules"].([]any)[0].(map[string]any)["backendRefs"].([]any)[1].(map[string]any)["name"] == "shop-a" {
		place = 1
	}
	path := fmt.Sprintf("/spec/rules/0/backendRefs/%d/weight", place)
	b.patch(t, `[{"op": "replace", "path": "`+path+`", "value": 70}]`)
	back := `[{"op":"add","path":"` + path + `","value":90}]`
	held("its rule 1 gives shop-a the weight 70, switchback wrote 90", "next: find out who did; put it back with: kubectl -n "+b.namespace+" patch httproute shop --type json -p '"+back)
	b.patch(t, back)
	_, err = r.Observe(t.Context())
	require.NoError(t, err)

	// A rule that is added with weights of its own is a change of them, too.
	b.patch(t, `[{"op": "add", "path": "/spec/rules/1", "value": {"backendRefs": [{"name": "shop-a", "port": 80, "weight": 100}, {"name": "shop-b", "port": 80, "weight": 0}]}}]`)
	held("its rule 2 gives shop-a the weight 100, switchback wrote 90")
	b.patch(t, `[{"op": "remove", "path": "/spec/rules/1"}]`)

	service := func(patch string) {
		t.Helper()
		_, err := b.API.Resource(cluster.Services).Namespace(b.namespace).Patch(t.Context(), "shop-a", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	service(`{"spec": {"selector": {"switchback/instance": "v2-green"}}}`)
	held("its Service shop-a: it selects switchback/application=versions,switchback/instance=v2-green, switchback wrote switchback/application=versions,switchback/instance=v1-green")
	service(`{"spec": {"selector": {"switchback/instance": "v1-green"}}}`)

	notes, err := json.Marshal(b.route(t).GetAnnotations()[noteRouting])
	require.NoError(t, err)
	b.patch(t, `[{"op": "remove", "path": "/metadata/annotations/switchback~1routing"}]`)
	held("its annotation switchback/routing is gone", "annotate service shop-a shop-b")
	b.patch(t, `[{"op": "add", "path": "/metadata/annotations/switchback~1routing", "value": `+string(notes)+`}]`)
	_, err = r.Shift(t.Context(), operation("on"), split(b, 50))
	require.NoError(t, err)
}

// TestRouteRace has somebody else write to the route all the time while it is shifted: neither loses what it wrote.
func TestRouteRace(t *testing.T) {
	b := newRouted(t, map[string]int64{"shop-a": 100, "shop-b": 0})
	r := b.open(t)
	ctx, stop := context.WithCancel(t.Context())
	written := 0
	var theirs sync.WaitGroup
	theirs.Go(func() {
		routes := b.API.Resource(cluster.HTTPRoutes).Namespace(b.namespace)
		for ; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
			o, err := routes.Get(ctx, "shop", metav1.GetOptions{})
			if err == nil {
				o.SetLabels(map[string]string{"written": fmt.Sprint(written + 1)})
				_, err = routes.Update(ctx, o, metav1.UpdateOptions{})
			}
			if err == nil {
				written++
			} else if !apierrors.IsConflict(err) && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	for n := range 20 {
		green := n * 5
		_, err := r.Shift(t.Context(), operation(fmt.Sprint("shift", n)), split(b, green))
		require.NoError(t, err)
		require.Equal(t, green, b.weights(t, 0)["shop-b"])
	}
	stop()
	theirs.Wait()
	require.Positive(t, written)
	require.Contains(t, []string{fmt.Sprint(written), fmt.Sprint(written + 1)}, b.route(t).GetLabels()["written"], "the last may have been written though it was not waited for")
}

// TestRouteAccepted plays a controller that reports on the route: a shift is done once it has accepted it.
func TestRouteAccepted(t *testing.T) {
	b := newRouted(t, map[string]int64{"shop-a": 100, "shop-b": 0})
	r := b.open(t)
	last := func() string {
		calls, err := r.Calls(t.Context())
		require.NoError(t, err)
		return calls[2]
	}
	require.Contains(t, last(), "no controller reports on the route")
	report := func(gateway string, conditions ...any) error {
		o := b.route(t)
		o.Object["status"] = map[string]any{"parents": []any{map[string]any{
			"controllerName": "example.com/gateway", "parentRef": map[string]any{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway}, "conditions": conditions,
		}}}
		_, err := b.API.Resource(cluster.HTTPRoutes).Namespace(b.namespace).UpdateStatus(context.WithoutCancel(t.Context()), o, metav1.UpdateOptions{})
		return err
	}
	says := func(kind, status string, ahead int64) map[string]any {
		return map[string]any{
			"type": kind, "status": status, "reason": "Reason", "message": "as it says", "observedGeneration": b.route(t).GetGeneration() + ahead,
			"lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		}
	}
	// One that reports on a Gateway that the route has left is not waited for.
	require.NoError(t, report("former", says("Accepted", "False", -1)))
	_, err := r.Shift(t.Context(), operation("first"), split(b, 10))
	require.NoError(t, err)

	require.NoError(t, report("public", says("Accepted", "True", 0), says("ResolvedRefs", "True", 0)))
	require.Equal(t, "wait until it is accepted by example.com/gateway (Gateway public)", last())
	routing, err := r.Observe(t.Context())
	require.NoError(t, err)
	require.Equal(t, split(b, 10), routing.Backends)
	_, err = r.Shift(t.Context(), operation("second"), split(b, 20))
	require.ErrorContains(t, err, "the controller example.com/gateway has not looked at it: its Accepted is of generation")
	require.ErrorContains(t, err, "next: kubectl -n "+b.namespace+" describe httproute shop")

	// It is written, and the same again finds it so; meanwhile the controller comes to it.
	var late sync.WaitGroup
	late.Go(func() {
		if err := report("public", says("Accepted", "True", 0), says("ResolvedRefs", "True", 0)); err != nil {
			t.Error(err)
		}
	})
	_, err = r.Shift(t.Context(), operation("second"), split(b, 20))
	late.Wait()
	require.NoError(t, err)

	for kind, text := range map[string]string{"Accepted": "says Accepted=False: Reason as it says", "ResolvedRefs": "says ResolvedRefs=False: Reason as it says"} {
		status := map[string]string{"Accepted": "True", "ResolvedRefs": "True", kind: "False"}
		require.NoError(t, report("public", says("Accepted", status["Accepted"], 0), says("ResolvedRefs", status["ResolvedRefs"], 0)))
		_, err = r.Observe(t.Context())
		require.ErrorContains(t, err, text)
	}
}

// TestRouteRefused are routes that cannot be moved, and addresses that are nobody's.
func TestRouteRefused(t *testing.T) {
	b := newRouted(t, nil)
	for _, o := range []Options{{Route: "shop"}, {Route: "shop", Services: []string{"shop-a", "shop-a"}}, {Services: []string{"shop-a", "shop-b"}}} {
		_, err := NewRoute(b.cluster, o)
		require.ErrorContains(t, err, "next: set release.router.route")
	}
	r := b.open(t)
	_, err := r.Observe(t.Context())
	require.ErrorIs(t, err, strategies.ErrNotFound)
	require.ErrorContains(t, err, "next: make the HTTPRoute")

	b.HTTPRoute(t, b.namespace, "shop", map[string]int64{"search": 1})
	_, err = r.Observe(t.Context())
	require.ErrorContains(t, err, "no rule of it names the Services shop-a and shop-b\n  next: ")
	b.patch(t, `[{"op": "add", "path": "/spec/rules/0/backendRefs/1", "value": {"name": "shop-a", "port": 80}}]`)
	_, err = r.Observe(t.Context())
	require.ErrorContains(t, err, "its rule 1 names shop-a, and of shop-a and shop-b it has to name each once")
	b.patch(t, `[{"op": "add", "path": "/spec/rules/0/backendRefs/2", "value": {"name": "shop-b", "namespace": "elsewhere", "port": 80}}]`)
	_, err = r.Observe(t.Context())
	require.ErrorContains(t, err, "its rule 1 names shop-a, and of", "one of another namespace is another")
	b.patch(t, `[{"op": "replace", "path": "/spec/rules/0/backendRefs/2", "value": {"name": "shop-b", "port": 80}}]`)

	for address, says := range map[string]string{
		"127.0.0.1:8080":                     "is not that of a Service of this namespace",
		"versions-v1-green.elsewhere.svc:80": "is not that of a Service of this namespace",
		"shop-a." + b.namespace + ".svc:80":  "selected nothing at first",
		"nobody." + b.namespace + ".svc:80":  "not found",
	} {
		_, err := r.Shift(t.Context(), operation("out"), all(strategies.Blue, address))
		require.ErrorContains(t, err, says)
	}
	routing, err := r.Observe(t.Context())
	require.NoError(t, err)
	require.Empty(t, routing.Backends)
}

// TestRouteOfTwo refuses a route both of whose Services get requests before the first release.
func TestRouteOfTwo(t *testing.T) {
	b := newRouted(t, map[string]int64{"shop-a": 9, "shop-b": 1})
	for name, release := range map[string]string{"shop-a": "v1", "shop-b": "v2"} {
		_, err := b.API.Resource(cluster.Services).Namespace(b.namespace).Patch(t.Context(), name, types.MergePatchType, []byte(`{"spec": {"selector": {"switchback/release": "`+release+`"}}}`), metav1.PatchOptions{})
		require.NoError(t, err)
	}
	_, err := b.open(t).Observe(t.Context())
	require.ErrorContains(t, err, "both its Services shop-a and shop-b get requests: which is the stable version?")
}
