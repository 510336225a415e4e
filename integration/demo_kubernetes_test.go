package integration

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/switchbackdb/switchback/integration/servers"
)

// TestDemoKubernetes takes the tour on a cluster, as far as that goes where no process is behind a pod: everything that the
// API sees of it, and the database. Nothing of it stays.
func TestDemoKubernetes(t *testing.T) {
	slow(t)
	t.Log("not shown here: requests to the shop, which the demo leaves to a pod of the cluster")
	k := servers.Cluster(t)
	t.Setenv("KUBECONFIG", k.Kubeconfig)
	for _, kind := range []servers.Kind{servers.Postgres17, servers.MySQL9} {
		t.Run(kind.Name, func(t *testing.T) {
			server := servers.URL(t, kind)
			t.Setenv("SWITCHBACK_DEMO_DATABASE_URL", server)
			c := start(t, t.TempDir(), nil, "demo", "--on", "kubernetes", "--image", "registry.example.com/switchback:1", "--customers", "500")
			require.Zero(t, c.End(t), c.Out.String())
			said := c.Out.String()
			for _, want := range []string{
				"it makes the namespace demo-", "$ switchback release start --version v2 --pause", "shift: update the Service shop in namespace demo-", "release v2 waits",
				"green  100 %", "v2 is the stable version", "release v2 was rolled back", "no requests were sent", "500 rows at the end\n  0 rows lost",
			} {
				require.Contains(t, said, want)
			}
			_, secret, _ := strings.Cut(server, ":")
			secret, _, _ = strings.Cut(strings.TrimPrefix(secret, "//"), "@")
			require.NotContains(t, said, secret)

			found := regexp.MustCompile(`the namespace (demo-([0-9a-f]{6}))`).FindStringSubmatch(said)
			require.NotEmpty(t, found, said)
			namespaces, err := k.API.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}).List(t.Context(), metav1.ListOptions{})
			require.NoError(t, err)
			for _, n := range namespaces.Items {
				require.NotEqual(t, found[1], n.GetName())
			}
			db := servers.Open(t, server)
			defer db.Close()
			catalogue := map[string]string{"postgres": "SELECT count(*) FROM pg_database WHERE datname = 'NAME'", "mysql": "SELECT count(*) FROM information_schema.schemata WHERE schema_name = 'NAME'"}[kind.Engine]
			var left int
			require.NoError(t, db.QueryRowContext(t.Context(), strings.ReplaceAll(catalogue, "NAME", "demo_"+found[2])).Scan(&left))
			require.Zero(t, left)
		})
	}
}
