package agent

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/discovery/consul"
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

// TestRenderFaultsConsul has Consul be away, be emptied, and come back with an index that is lower than the one before. NGINX keeps
// the last good configuration, and follows when it can.
func TestRenderFaultsConsul(t *testing.T) {
	s := newStage(t)
	n := newNGINX(t)
	url, stop, err := servers.StartConsul(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	faults := servers.NewFaults(t, url, nil)
	d, err := consul.New(consul.Options{Address: url, Prefix: "test"})
	require.NoError(t, err)
	m, err := d.Agent("one", lease)
	require.NoError(t, err)
	c := api.DefaultConfig()
	c.Address = url
	hand, err := api.NewClient(c)
	require.NoError(t, err)
	dir := project(t, fmt.Sprintf("release:\n  discovery: {driver: consul, endpoints: [%q], prefix: test}\nagent:\n  labels: [%q]\n%s", faults.URL, s.label, n.render))
	v := s.serveIn(m, "a", "b", "c")
	v.up("a")
	one := agent(t, dir, "one", "--no-register")
	n.follows(t, "a")

	faults.On(".*", -1, servers.Refused)
	one.says(t, "gives no answer")
	v.up("b")
	require.Equal(t, "a", n.names(t))
	faults.Mend()
	n.follows(t, "b")

	_, err = hand.KV().DeleteTree("", nil)
	require.NoError(t, err)
	one.says(t, "has no instance")
	require.Equal(t, "b", n.names(t))
	v.up("b", "c")
	n.follows(t, "b c")

	back := faults.On("GET .*/kv/.*index=", 3, func(w http.ResponseWriter, forward func(http.ResponseWriter)) { forward(older{w}) })
	v.up("a", "c")
	n.follows(t, "a c")
	require.True(t, await(func() bool { v.up("a"); v.up("a", "b"); return back() == 3 }))
	n.follows(t, "a b")
	require.Equal(t, 0, one.end(t, syscall.SIGTERM))
}

// older has an answer of Consul tell an index that is lower than those before.
type older struct{ http.ResponseWriter }

func (o older) WriteHeader(status int) {
	o.Header().Set("X-Consul-Index", "1")
	o.ResponseWriter.WriteHeader(status)
}
