package integration

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/discovery/etcd"
	"github.com/switchbackdb/switchback/integration/servers"
)

// TestReleaseEtcd has releases register in etcd what they start, and take it out again: a canary out, and back.
func TestReleaseEtcd(t *testing.T) {
	slow(t)
	url, stop, err := servers.StartEtcd(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	s := newStage(t, "  discovery: {driver: etcd, endpoints: [\""+url+"\"], prefix: shop}\n")
	registry, err := etcd.New(etcd.Options{Endpoints: []string{url}, Prefix: "shop"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, registry.Close()) })
	registered := func() (list []string) {
		all, err := registry.List(t.Context())
		require.NoError(t, err)
		for _, r := range all {
			require.NotEmpty(t, r.Address)
			list = append(list, r.Key+" "+r.Version+" "+r.State)
		}
		return list
	}
	require.Equal(t, []string{"shop/v1-green v1 up"}, registered())
	s.load()
	run(t, s.dir, "release", "start", "--version", "v2", "--strategy", "canary", "--pause")
	require.Equal(t, []string{"shop/v1-green v1 up", "shop/v2-green v2 up"}, registered())
	run(t, s.dir, "release", "promote")
	require.Equal(t, []string{"shop/v2-green v2 up"}, registered())
	run(t, s.dir, "release", "rollback")
	require.Equal(t, []string{"shop/v1-green v1 up"}, registered())
}
