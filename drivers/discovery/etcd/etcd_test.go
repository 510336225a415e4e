package etcd

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/agent"
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

func join(t *testing.T, d *Discovery, name string) *Member {
	t.Helper()
	m, err := d.Agent(name, 3*time.Second)
	require.NoError(t, err)
	return m
}

func TestMembership(t *testing.T) {
	d := open(t, start(t))
	conformance.Membership(t, d, func(t *testing.T, name string) agent.Membership { return join(t, d, name) })
	_, err := d.Agent("../one", time.Second)
	require.Error(t, err)
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
	first, second := join(t, d, "one"), join(t, d, "one")
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
	require.Len(t, list(), 1, "the first one's lease holds nothing any more")

	require.Eventually(t, func() bool { return len(list()) == 0 }, 30*time.Second, 50*time.Millisecond, "nobody keeps them")
	_, err = first.Announce(t.Context(), []strategies.Registration{b})
	require.NoError(t, err, "there is no other one now")
	_, err = second.Announce(t.Context(), []strategies.Registration{a})
	require.ErrorIs(t, err, agent.ErrSuperseded)
	require.Len(t, list(), 1)
}

// TestWatchOverCompaction has etcd compact, while it cannot be reached, what a watch was not told yet.
func TestWatchOverCompaction(t *testing.T) {
	url := start(t)
	there := open(t, url)
	link := servers.NewLink(t, "tcp", strings.TrimPrefix(url, "http://"))
	d := open(t, "http://"+link.Address)
	var rung atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); d.Watch(ctx, func() { rung.Add(1) }) }()
	write := func() int64 {
		put, err := there.client.Put(t.Context(), there.keys.Instance("shop/a"), "{}")
		require.NoError(t, err)
		return put.Header.Revision
	}
	told := func(since int64) {
		require.Eventually(t, func() bool { return rung.Load() > since }, 30*time.Second, 10*time.Millisecond)
	}
	told(0)
	before := rung.Load()
	write()
	told(before)

	link.Cut()
	write()
	_, err := there.client.Compact(t.Context(), write())
	require.NoError(t, err)
	before = rung.Load()
	link.Mend()
	told(before)
	// And it goes on telling.
	require.Eventually(t, func() bool {
		before := rung.Load()
		write()
		time.Sleep(50 * time.Millisecond)
		return rung.Load() > before
	}, 30*time.Second, time.Millisecond)
	cancel()
	<-ended
}
