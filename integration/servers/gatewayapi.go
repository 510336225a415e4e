package servers

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// GatewayAPI has the cluster know HTTPRoutes, by the definition that the Gateway API publishes. No controller follows
// them: traffic is not shown.
func (k *Kubernetes) GatewayAPI(t testing.TB) {
	t.Helper()
	source, err := Built{folder: "kubernetes/gatewayapi"}.Source()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "sigs.k8s.io/gateway-api")
	cmd.Dir, cmd.Stderr = source, os.Stderr
	out, err := cmd.Output()
	require.NoError(t, err, "get the definitions of the Gateway API")
	var module struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &module))
	text, err := os.ReadFile(filepath.Join(module.Dir, "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"))
	require.NoError(t, err)
	var definition map[string]any
	require.NoError(t, yaml.Unmarshal(text, &definition))
	kind := k.API.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	_, err = kind.Create(t.Context(), &unstructured.Unstructured{Object: definition}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) { // another test has done so
		require.NoError(t, err)
	}
	routes := k.API.Resource(schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"})
	require.Eventually(t, func() bool {
		_, err := routes.Namespace("default").List(t.Context(), metav1.ListOptions{})
		return err == nil
	}, time.Minute, 50*time.Millisecond, "the API serves HTTPRoutes")
}

// HTTPRoute makes an HTTPRoute whose one rule shares the traffic of Services, with these weights.
func (k *Kubernetes) HTTPRoute(t testing.TB, namespace, name string, weights map[string]int64) {
	t.Helper()
	var refs []any
	for service, weight := range weights {
		refs = append(refs, map[string]any{"group": "", "kind": "Service", "name": service, "port": int64(80), "weight": weight})
	}
	k.Create(t, namespace, schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}, map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"parentRefs": []any{map[string]any{"name": "public"}},
			"rules":      []any{map[string]any{"backendRefs": refs}},
		},
	})
}
