package agent

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// TestRegisterInConsul has who asks Consul for an application find its containers, for as long as they run and their agent
// does.
func TestRegisterInConsul(t *testing.T) {
	s := newStage(t)
	url, stop, err := servers.StartConsul(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	c := api.DefaultConfig()
	c.Address = url
	client, err := api.NewClient(c)
	require.NoError(t, err)
	healthy := func() int {
		list, _, err := client.Health().Service("shop", "", true, nil)
		require.NoError(t, err)
		return len(list)
	}
	keys := func() int {
		list, _, err := client.KV().Keys("test/instances/shop/", "", nil)
		require.NoError(t, err)
		return len(list)
	}
	dir := project(t, fmt.Sprintf("release:\n  discovery: {driver: consul, endpoints: [%q], prefix: test}\nagent: {labels: [%q], ttl: 10s}\n", url, s.label))
	one := agent(s.t, dir, "one")
	gone := s.start(box{name: "a", application: "shop"})
	s.start(box{name: "b", application: "shop"})
	require.True(t, await(func() bool { return healthy() == 2 && keys() == 2 }))
	s.remove(gone)
	require.True(t, await(func() bool { return healthy() == 1 && keys() == 1 }))

	// Another one of the name takes over, without a gap.
	two := agent(s.t, dir, "one")
	require.Equal(t, 4, one.wait(t))
	require.Equal(t, 1, healthy())
	require.Equal(t, 1, keys())
	// What is killed leaves nothing for good.
	require.Equal(t, -1, two.end(t, syscall.SIGKILL))
	require.True(t, await(func() bool { return healthy() == 0 && keys() == 0 }))
}
