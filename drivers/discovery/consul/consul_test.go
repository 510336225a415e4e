package consul

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/agent"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

// start starts a Consul of the test's own.
func start(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server")
	}
	url, stop, err := servers.StartConsul(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	return url
}

func open(t *testing.T, url string) *Discovery {
	t.Helper()
	d, err := New(Options{Address: url, Prefix: "/test/shop"})
	require.NoError(t, err)
	return d
}

// healthy are the addresses that Consul gives to who asks for an application.
func healthy(t *testing.T, d *Discovery, application string) (addresses []string) {
	t.Helper()
	list, _, err := d.client.Health().Service(application, "", true, nil)
	require.NoError(t, err)
	for _, s := range list {
		addresses = append(addresses, s.Service.Address)
	}
	return addresses
}

func TestDiscovery(t *testing.T) {
	url := start(t)
	conformance.Discovery(t, func(t *testing.T) strategies.Discovery { return open(t, url) })

	// What is up is found by who asks Consul, and what drains or is gone is not.
	d := open(t, url)
	op := strategies.Operation{ID: "a", Fence: 99}
	r := strategies.Registration{Key: "web/v1-green", Address: "10.0.0.7:80", State: "up"}
	require.NoError(t, d.Register(t.Context(), op, r))
	require.Equal(t, []string{"10.0.0.7"}, healthy(t, d, "web"))
	r.State = "drain"
	require.NoError(t, d.Register(t.Context(), op, r))
	require.Empty(t, healthy(t, d, "web"))
	r.State = "up"
	require.ErrorIs(t, d.Register(t.Context(), strategies.Operation{ID: "late", Fence: 98}, r), strategies.ErrStaleFence)
	require.Empty(t, healthy(t, d, "web"), "a late run does not bring it back")
	require.NoError(t, d.Deregister(t.Context(), op, r.Key))
	services, _, err := d.client.Catalog().Service("web", "", nil)
	require.NoError(t, err)
	require.Empty(t, services)

	// What is not ours is named, and not overwritten.
	put := func(key, value string) {
		_, err := d.client.KV().Put(&api.KVPair{Key: key, Value: []byte(value)}, nil)
		require.NoError(t, err)
	}
	put("test/shop/instances/app/x", "no JSON")
	_, err = d.List(t.Context())
	require.ErrorContains(t, err, "test/shop/instances/app/x")
	put("test/shop/fence", "no number")
	err = d.Register(t.Context(), op, strategies.Registration{Key: "app/x", Address: "10.0.0.7:80"})
	require.ErrorIs(t, err, strategies.ErrForeignChange)
}

func TestNobodyThere(t *testing.T) {
	d, err := New(Options{Address: "http://127.0.0.1:1", Prefix: "shop"})
	require.NoError(t, err)
	_, err = d.List(t.Context())
	require.ErrorContains(t, err, "next: consul members -http-addr=http://127.0.0.1:1")
	_, err = New(Options{Address: "127.0.0.1:8500"})
	require.ErrorContains(t, err, "release.discovery.endpoints")
}

func join(t *testing.T, d *Discovery, name string, ttl time.Duration) *Member {
	t.Helper()
	m, err := d.Agent(name, ttl)
	require.NoError(t, err)
	return m
}

func TestMembership(t *testing.T) {
	d := open(t, start(t))
	conformance.Membership(t, d, func(t *testing.T, name string) agent.Membership { return join(t, d, name, 20*time.Second) })
	_, err := d.Agent("../one", time.Second)
	require.Error(t, err)
}

// TestServed has an agent's entries be services that Consul finds for as long as the agent renews their checks.
func TestServed(t *testing.T) {
	d := open(t, start(t))
	m := join(t, d, "one", time.Second)
	up := strategies.Registration{Key: "shop/one.a", Address: "10.0.0.1:80", Version: "v1", State: "up"}
	started := strategies.Registration{Key: "shop/r1-green", Address: "10.0.0.2:80", State: "started"}
	_, err := m.Announce(t.Context(), []strategies.Registration{up, started})
	require.NoError(t, err)
	found := func(want ...string) {
		t.Helper()
		require.Eventually(t, func() bool {
			return strings.Join(healthy(t, d, "shop"), " ") == strings.Join(want, " ")
		}, 20*time.Second, 10*time.Millisecond, want)
	}
	found("10.0.0.1") // what a release started, it lets in by itself
	up.Address = "10.0.0.3:80"
	_, err = m.Announce(t.Context(), []strategies.Registration{up})
	require.NoError(t, err)
	found("10.0.0.3")
	found() // nobody renews it
	_, err = m.Announce(t.Context(), []strategies.Registration{up})
	require.NoError(t, err)
	found("10.0.0.3")
	require.NoError(t, m.Leave(t.Context()))
	found()
	services, _, err := d.client.Catalog().Service("shop", "", nil)
	require.NoError(t, err)
	require.Empty(t, services)
}

// TestSuccessor has an agent of the same name begin while the first sleeps, and the first wake up. The entries end
// with the second.
func TestSuccessor(t *testing.T) {
	d := open(t, start(t))
	list := func() []strategies.Registration {
		list, err := d.List(t.Context())
		require.NoError(t, err)
		return list
	}
	a, b := strategies.Registration{Key: "shop/a", Address: "10.0.0.1:80"}, strategies.Registration{Key: "shop/b", Address: "10.0.0.1:81"}
	first, second := join(t, d, "one", 20*time.Second), join(t, d, "one", 2*time.Second)
	_, err := first.Announce(t.Context(), []strategies.Registration{a})
	require.NoError(t, err)
	did, err := second.Announce(t.Context(), []strategies.Registration{a})
	require.NoError(t, err)
	require.Equal(t, agent.Announced{}, did, "taken over, not changed")
	_, err = first.Announce(t.Context(), []strategies.Registration{a, b})
	require.ErrorIs(t, err, agent.ErrSuperseded)
	_, err = first.Announce(t.Context(), nil)
	require.ErrorIs(t, err, agent.ErrSuperseded)
	require.Len(t, list(), 1)
	require.NoError(t, first.Leave(t.Context()))
	require.Len(t, list(), 1, "the first one's session holds nothing any more")

	require.Eventually(t, func() bool { return len(list()) == 0 }, 30*time.Second, 50*time.Millisecond, "nobody keeps them")
	_, err = first.Announce(t.Context(), []strategies.Registration{b})
	require.NoError(t, err, "there is no other one now")
	_, err = second.Announce(t.Context(), []strategies.Registration{a})
	require.ErrorIs(t, err, agent.ErrSuperseded)
	require.Len(t, list(), 1)
}

// TestOverruled has a release take over a key that the session of an agent holds: it stays when that session ends.
func TestOverruled(t *testing.T) {
	d := open(t, start(t))
	m := join(t, d, "one", 20*time.Second)
	r := strategies.Registration{Key: "shop/a", Address: "10.0.0.1:80", State: "up"}
	_, err := m.Announce(t.Context(), []strategies.Registration{r})
	require.NoError(t, err)
	require.NoError(t, d.Register(t.Context(), strategies.Operation{ID: "release", Fence: 1}, r))
	_, err = d.client.Session().Destroy(m.session, nil)
	require.NoError(t, err)
	list, err := d.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, "release", list[0].Operation)
}

// TestWatchOverACut goes on telling after Consul could not be reached for a while.
func TestWatchOverACut(t *testing.T) {
	url := start(t)
	there := open(t, url)
	link := servers.NewLink(t, "tcp", strings.TrimPrefix(url, "http://"))
	d := open(t, "http://"+link.Address)
	var rung atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); d.Watch(ctx, func() { rung.Add(1) }) }()
	told := func(since int64) {
		t.Helper()
		require.Eventually(t, func() bool { return rung.Load() > since }, 30*time.Second, 10*time.Millisecond)
	}
	told(0)
	op := strategies.Operation{ID: "a", Fence: 1}
	for n, address := range []string{"10.0.0.1:80", "10.0.0.2:80"} {
		if n == 1 {
			link.Cut()
			told(rung.Load())
			link.Mend()
		}
		// It may be told of the mending first; after that it waits for what is written.
		require.Eventually(t, func() bool {
			before := rung.Load()
			require.NoError(t, there.Register(t.Context(), op, strategies.Registration{Key: "shop/a", Address: address}))
			time.Sleep(50 * time.Millisecond)
			return rung.Load() > before
		}, 30*time.Second, time.Millisecond)
	}
	cancel()
	<-ended
}

// TestRefusedIsSaid has what Consul does not take be told at once, in its words, and not tried again.
func TestRefusedIsSaid(t *testing.T) {
	d := open(t, start(t))
	err := d.Deregister(t.Context(), strategies.Operation{ID: "a", Fence: 1}, "/no application")
	require.ErrorIs(t, err, errRefused)
	require.ErrorContains(t, err, "consul at "+d.where+": it refuses: Must provide service name")
	require.NotContains(t, err.Error(), "gives no answer")
}
