package integration

import (
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// TestReleaseConsul has releases register in Consul what they start, and take it out again: a canary out, and back. Who asks
// Consul for the application finds what takes traffic.
func TestReleaseConsul(t *testing.T) {
	slow(t)
	url, stop, err := servers.StartConsul(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	c := api.DefaultConfig()
	c.Address = url
	client, err := api.NewClient(c)
	require.NoError(t, err)
	s := newStage(t, "  discovery: {driver: consul, endpoints: [\""+url+"\"], prefix: shop}\n")
	found := func() (list []string) {
		all, _, err := client.Health().Service("shop", "", true, nil)
		require.NoError(t, err)
		for _, i := range all {
			require.NotZero(t, i.Service.Port)
			list = append(list, i.Service.Meta["version"])
		}
		return list
	}
	require.Equal(t, []string{"v1"}, found())
	s.load()
	run(t, s.dir, "release", "start", "--version", "v2", "--strategy", "canary", "--pause")
	require.ElementsMatch(t, []string{"v1", "v2"}, found())
	run(t, s.dir, "release", "promote")
	require.Equal(t, []string{"v2"}, found())
	run(t, s.dir, "release", "rollback")
	require.Equal(t, []string{"v1"}, found())
}
