package cluster

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/internal/freeport"
	"github.com/switchbackdb/switchback/strategies"
)

func TestMain(m *testing.M) { os.Exit(servers.Run(m)) }

func kubernetes(t *testing.T) *servers.Kubernetes {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server")
	}
	return servers.Cluster(t)
}

// TestExplained is what is said when the API cannot be used: what is wrong, and what to do.
func TestExplained(t *testing.T) {
	k := kubernetes(t)
	nowhere, err := freeport.Address(t.Context())
	require.NoError(t, err)
	for name, test := range map[string]struct {
		change func(*api.Cluster, *api.AuthInfo)
		says   []string
	}{
		"no rights": {servers.Limited, []string{
			"list deployments.apps in namespace default: the right to list deployments.apps is missing", `User "limited" cannot list resource "deployments"`,
			"next: give it by the Role in docs/kubernetes.md; to see it: kubectl -n default auth can-i list deployments.apps",
		}},
		"unknown token": {func(_ *api.Cluster, u *api.AuthInfo) { u.Token = "s3cret" }, []string{
			"the Kubernetes API does not accept who asks", "next: log in again",
		}},
		"expired certificate": {k.Expired(t), []string{"the token or certificate has expired", "next: log in again"}},
		"unknown authority": {func(c *api.Cluster, _ *api.AuthInfo) {
			c.CertificateAuthority, c.CertificateAuthorityData = "", servers.OtherAuthority(t)
		}, []string{"the certificate of the Kubernetes API is not that of this cluster", "next: set the cluster's certificate-authority-data"}},
		"nobody there": {func(c *api.Cluster, _ *api.AuthInfo) { c.Server = "https://" + nowhere }, []string{
			"the Kubernetes API cannot be reached", "connection refused", "next: kubectl cluster-info",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Open(Options{Kubeconfig: k.KubeconfigOf(t, test.change)})
			require.NoError(t, err)
			_, err = c.List(t.Context(), Deployments, nil)
			for _, text := range test.says {
				require.ErrorContains(t, err, text)
			}
			require.NotContains(t, err.Error(), "s3cret")
		})
	}
	_, err = Open(Options{Kubeconfig: filepath.Join(t.TempDir(), "none")})
	require.ErrorContains(t, err, "next: kubectl config get-contexts")
	_, err = Open(Options{Kubeconfig: k.Kubeconfig, Context: "other"})
	require.ErrorContains(t, err, `context "other" does not exist`)
}

// TestFence has many runs come at once: no smaller fence gets by once a larger one was seen.
func TestFence(t *testing.T) {
	k := kubernetes(t)
	c, err := Open(Options{Kubeconfig: k.Kubeconfig, Namespace: k.Namespace(t)})
	require.NoError(t, err)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := c.Enter(t.Context(), "shop", strategies.Operation{Fence: 7}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for fence := range int64(40) {
		all.Go(func() {
			err := c.Enter(t.Context(), "shop", strategies.Operation{Fence: fence})
			if fence < 7 {
				assert.ErrorIs(t, err, strategies.ErrStaleFence)
			}
		})
	}
	all.Wait()
	require.ErrorIs(t, c.Enter(t.Context(), "shop", strategies.Operation{Fence: 38}), strategies.ErrStaleFence)
	require.NoError(t, c.Enter(t.Context(), "shop", strategies.Operation{Fence: 39}))
	require.NoError(t, c.Enter(t.Context(), "other", strategies.Operation{Fence: 1}), "another application")

	lease, err := c.Get(t.Context(), leases, "switchback-shop")
	require.NoError(t, err)
	lease.SetAnnotations(map[string]string{fenceKey: "seven"})
	_, err = c.Update(t.Context(), leases, lease)
	require.NoError(t, err)
	require.ErrorIs(t, c.Enter(t.Context(), "shop", strategies.Operation{Fence: 50}), strategies.ErrForeignChange)
}
