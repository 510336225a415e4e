package kubernetes

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

// quick is a pace of two pods.
var quick = strategies.Pace{Replicas: 2, Monitor: time.Second}

func (b bench) roller(t *testing.T) *Roller {
	t.Helper()
	c, err := cluster.Open(cluster.Options{Kubeconfig: b.Kubeconfig, Namespace: b.namespace})
	require.NoError(t, err)
	r, err := NewRoller(c, "shop")
	require.NoError(t, err)
	return r
}

// to is a replacement, prepared.
func to(t *testing.T, r *Roller, release, over string) strategies.Replacement {
	t.Helper()
	prepared, err := r.Prepare(t.Context(), strategies.Replacement{Version: version(release), Over: over, Pace: quick, Grace: time.Second})
	require.NoError(t, err)
	return prepared
}

// rolled waits until it stands so.
func rolled(t *testing.T, r *Roller, want strategies.RollState) (now strategies.Rollout) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		now, err = r.Rollout(t.Context())
		require.NoError(t, err)
		return now.State == want
	}, time.Minute, 50*time.Millisecond, "want %s", want)
	return now
}

func TestRoller(t *testing.T) {
	b := newBench(t)
	conformance.Roller(t, version(""), quick, func(t *testing.T) strategies.Roller { return b.roller(t) })
}

// TestRollerHalted rolls out what exits again and again, and what no deadline waits for any longer: the old pods are
// all there, and stay when it goes back. The environment is in Secrets, of two releases at most.
func TestRollerHalted(t *testing.T) {
	b := newBench(t)
	r := b.roller(t)
	require.NoError(t, r.Roll(t.Context(), operation("1"), to(t, r, "v1", "")))
	rolled(t, r, strategies.RollDone)
	before := b.pods(t)
	for _, test := range []struct{ release, says, template string }{
		{"failed", "CrashLoopBackOff: back-off 40s restarting failed container, after it exited with code 7", ""},
		{"ill", "runs, but its readiness probe has not succeeded", "kind: Deployment\nspec: {progressDeadlineSeconds: 3, template: {spec: {containers: [{name: application}]}}}"},
	} {
		out := strategies.Replacement{Version: version(test.release), Over: "v1", Pace: quick, Grace: time.Second}
		out.Version.Container.Template = test.template
		out, err := r.Prepare(t.Context(), out)
		require.NoError(t, err)
		require.NoError(t, r.Roll(t.Context(), operation("out "+test.release), out))
		now := rolled(t, r, strategies.RollHalted)
		require.Contains(t, now.Detail, test.says)
		require.Equal(t, []int{2, 1, 0, 2}, []int{now.Wanted, now.Updated, now.Healthy, now.Old})
		require.NoError(t, r.Roll(t.Context(), operation("back "+test.release), to(t, r, "v1", test.release)))
		require.Eventually(t, func() bool {
			now, err := r.Rollout(t.Context())
			require.NoError(t, err)
			require.NotEqual(t, strategies.RollHalted, now.State, "what is over is not said of what follows")
			return now.State == strategies.RollDone
		}, time.Minute, 20*time.Millisecond)
	}
	require.Equal(t, before, b.pods(t))
	secrets, err := b.API.Resource(cluster.Secrets).Namespace(b.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	require.Len(t, secrets.Items, 2)
	require.NoError(t, r.Withdraw(t.Context(), operation("withdraw"), "v1"))
	require.Empty(t, b.pods(t))
}

// pods are the names of all that there are.
func (b bench) pods(t *testing.T) (names []string) {
	t.Helper()
	list, err := b.API.Resource(cluster.Pods).Namespace(b.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	for n := range list.Items {
		names = append(names, list.Items[n].GetName())
	}
	return names
}

// TestRollerForeign has somebody else change the Deployment by hand: what is the release's is never overwritten, what is
// not stays.
func TestRollerForeign(t *testing.T) {
	b := newBench(t)
	r := b.roller(t)
	require.NoError(t, r.Roll(t.Context(), operation("1"), to(t, r, "v1", "")))
	rolled(t, r, strategies.RollDone)
	b.patch(t, "shop", `{"metadata": {"labels": {"team": "shop"}}, "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "application", "resources": {"limits": {"memory": "64Mi"}}}]}}}}`)
	next := to(t, r, "v2", "v1")
	next.Pace.Replicas = 0
	require.NoError(t, r.Roll(t.Context(), operation("2"), next))
	require.Equal(t, 3, rolled(t, r, strategies.RollDone).Wanted)
	text := b.text(t)
	require.Contains(t, text, `"memory":"64Mi"`)
	require.Contains(t, text, `"team":"shop"`)
	require.NotContains(t, text, conformance.Secret)

	mended := func(image string) string {
		return `{"spec": {"template": {"spec": {"containers": [{"name": "application", "image": "` + image + `"}]}}}}`
	}
	for _, change := range []struct{ does, undoes, says string }{
		{mended("shop:mended"), mended("shop:v2"), `conflict with "somebody"`},
		{
			`{"spec": {"template": {"spec": {"containers": [{"name": "application", "env": [{"name": "SECRET", "$patch": "delete"}]}]}}}}`,
			`{"spec": {"template": {"spec": {"containers": [{"name": "application", "$setElementOrder/env": [{"name": "LISTEN"}, {"name": "SECRET"}], "env": [{"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "shop-v2-green", "key": "SECRET"}}}]}]}}}}`,
			"something was taken out of its spec.template",
		},
	} {
		b.patch(t, "shop", change.does)
		now, err := r.Rollout(t.Context())
		require.NoError(t, err)
		require.Contains(t, now.Foreign, "somebody has changed the Deployment shop since release v2 put it there")
		require.Contains(t, now.Foreign, change.says)
		require.Contains(t, now.Look, "rollout undo deployment shop")
		for _, do := range []func(context.Context) error{
			func(ctx context.Context) error { return r.Roll(ctx, operation("3"), to(t, r, "v3", "v2")) },
			func(ctx context.Context) error { return r.Roll(ctx, operation("2"), next) },
			func(ctx context.Context) error { return r.Halt(ctx, operation("halt"), "v2") },
			func(ctx context.Context) error { return r.Withdraw(ctx, operation("withdraw"), "v2") },
		} {
			require.ErrorIs(t, do(t.Context()), strategies.ErrForeignChange)
		}
		b.patch(t, "shop", change.undoes)
		now = rolled(t, r, strategies.RollDone)
		require.Equal(t, []string{"v2", ""}, []string{now.Release, now.Foreign})
	}

	// What was undone holds nothing any more; what the next release sets and somebody has set before is held.
	limited := strategies.Replacement{Version: version("v3"), Over: "v2", Pace: quick}
	limited.Version.Container.Template = "kind: Deployment\nspec: {template: {spec: {containers: [{name: application, resources: {limits: {memory: 32Mi}}}]}}}"
	require.ErrorIs(t, r.Roll(t.Context(), operation("3"), limited), strategies.ErrForeignChange)
	require.Contains(t, b.text(t), `"memory":"64Mi"`)
	require.NoError(t, r.Roll(t.Context(), operation("4"), to(t, r, "v3", "v2")))
	require.Equal(t, "v3", rolled(t, r, strategies.RollDone).Release)

	// It is none of the versions that run side by side.
	list, err := b.open(t).List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	// And one that only has the name is not taken for it.
	other, err := NewRoller(r.s.cluster, "other")
	require.NoError(t, err)
	b.Create(t, b.namespace, cluster.Deployments, map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "other"},
		"spec": map[string]any{"replicas": int64(0), "selector": map[string]any{"matchLabels": map[string]any{"a": "b"}}, "template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"a": "b"}}, "spec": map[string]any{"containers": []any{map[string]any{"name": "c", "image": "i"}}},
		}},
	})
	require.ErrorIs(t, other.Roll(t.Context(), operation("1"), to(t, other, "v1", "")), strategies.ErrForeignChange)
	require.ErrorIs(t, other.Withdraw(t.Context(), operation("1"), "v1"), strategies.ErrForeignChange)
}

// text is the Deployment as the API has it.
func (b bench) text(t *testing.T) string {
	t.Helper()
	o, err := b.API.Resource(cluster.Deployments).Namespace(b.namespace).Get(t.Context(), "shop", metav1.GetOptions{})
	require.NoError(t, err)
	text, err := o.MarshalJSON()
	require.NoError(t, err)
	return string(text)
}

// TestRollerRefused prepares what Kubernetes cannot do, and reads what it has made of a pace.
func TestRollerRefused(t *testing.T) {
	b := newBench(t)
	r := b.roller(t)
	for says, pace := range map[string]strategies.Pace{
		"parallelism is 2: Kubernetes does not know it; set surge to 2": {Parallelism: 2},
		"delay is 10s: Kubernetes does not know it; set monitor":        {Delay: 10 * time.Second},
		"set surge to 1 and unavailable to 0":                           {Order: strategies.StartFirst},
		"set surge to 0 and unavailable to 1":                           {Order: strategies.StopFirst},
		"no pod could be replaced; set one of them to 1":                {Surge: "0%"},
	} {
		_, err := r.Prepare(t.Context(), strategies.Replacement{Version: version("v1"), Pace: pace})
		var wrong *strategies.PaceError
		require.ErrorAs(t, err, &wrong)
		require.ErrorContains(t, err, says)
	}
	v := version("v1")
	v.Container.Template = "kind: Deployment\nspec: {template: {spec: {containers: [{name: application, imagePullPolicy: Sometimes}]}}}"
	_, err := r.Prepare(t.Context(), strategies.Replacement{Version: v})
	require.ErrorContains(t, err, "imagePullPolicy") // the API says so

	whole, err := r.Prepare(t.Context(), strategies.Replacement{Version: version("v1"), Grace: 20 * time.Second, Pace: strategies.Pace{Surge: "25%", Unavailable: "1"}})
	require.NoError(t, err)
	require.Equal(t, strategies.Pace{Surge: "25%", Unavailable: "1", Monitor: 30 * time.Second}, whole.Pace)
	require.NoError(t, r.Roll(t.Context(), operation("1"), whole))
	text := b.text(t)
	for _, part := range []string{
		`"rollingUpdate":{"maxSurge":"25%","maxUnavailable":1}`, `"minReadySeconds":30`, `"progressDeadlineSeconds":630`, `"terminationGracePeriodSeconds":20`, `"replicas":1`,
	} {
		require.True(t, strings.Contains(text, part), "%s in %s", part, text)
	}
}
