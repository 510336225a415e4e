package etcd

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

// start starts an etcd of the test's own.
func start(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server")
	}
	url, stop, err := servers.StartEtcd(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	return url
}

func open(t *testing.T, url string) *Discovery {
	t.Helper()
	d, err := New(Options{Endpoints: []string{url}, Prefix: "/test/shop"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestDiscovery(t *testing.T) {
	url := start(t)
	conformance.Discovery(t, func(t *testing.T) strategies.Discovery { return open(t, url) })

	// What is not ours is named, and not overwritten.
	d := open(t, url)
	_, err := d.client.Put(t.Context(), "/test/shop/instances/app/x", "no JSON")
	require.NoError(t, err)
	_, err = d.List(t.Context())
	require.ErrorContains(t, err, "/test/shop/instances/app/x")
	_, err = d.client.Put(t.Context(), "/test/shop/fence", "no number")
	require.NoError(t, err)
	err = d.Register(t.Context(), strategies.Operation{ID: "a", Fence: 99}, strategies.Registration{Key: "app/x"})
	require.ErrorIs(t, err, strategies.ErrForeignChange)
}

func TestNobodyThere(t *testing.T) {
	d, err := New(Options{Endpoints: []string{"http://127.0.0.1:1"}, Prefix: "shop"})
	require.NoError(t, err)
	_, err = d.List(t.Context())
	require.ErrorContains(t, err, "next: etcdctl --endpoints http://127.0.0.1:1 endpoint health")
}
