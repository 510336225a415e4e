package conformance

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/agent"
	"github.com/switchbackdb/switchback/strategies"
)

// Members is a registry with room for agents.
type Members interface {
	strategies.Discovery
	agent.Registry
}

// Membership tests what an agent has in a registry, which is empty at first: each call of join gives the membership
// of an agent.
func Membership(t *testing.T, d Members, join func(t *testing.T, name string) agent.Membership) {
	one, other := join(t, "one"), join(t, "other")
	up := func(key, address string) strategies.Registration {
		return strategies.Registration{Key: key, Address: address, Version: "v1", State: "up"}
	}
	announce := func(m agent.Membership, want ...strategies.Registration) agent.Announced {
		t.Helper()
		did, err := m.Announce(t.Context(), want)
		require.NoError(t, err)
		return did
	}
	entry := func(key string) (found strategies.Registration) {
		t.Helper()
		list, err := d.List(t.Context())
		require.NoError(t, err)
		for _, r := range list {
			if r.Key == key {
				found = r
			}
		}
		return found
	}
	a, b, c := up("shop/a", "10.0.0.1:80"), up("shop/b", "10.0.0.1:81"), up("shop/c", "10.0.0.2:80")

	t.Run("announces, changes and removes, and nothing twice", func(t *testing.T) {
		did := announce(one, a, b)
		require.Len(t, did.Added, 2)
		require.Equal(t, "one", entry("shop/a").Agent)
		require.Equal(t, agent.Announced{}, announce(one, a, b))
		b.Address = "10.0.0.1:82"
		did = announce(one, b)
		require.Len(t, did.Changed, 1)
		require.Len(t, did.Removed, 1)
		require.Equal(t, []string{"shop/b"}, keys(t, d))
		require.Equal(t, "10.0.0.1:82", entry("shop/b").Address)
	})
	t.Run("leaves another agent's entries alone", func(t *testing.T) {
		require.Len(t, announce(other, c).Added, 1)
		require.Equal(t, []string{"shop/b"}, announce(other, b, c).Held)
		require.Equal(t, "one", entry("shop/b").Agent)
		require.Equal(t, agent.Announced{}, announce(one, b))
		require.Equal(t, []string{"shop/b", "shop/c"}, keys(t, d))
	})
	t.Run("leaves a release's entries alone, and is overruled by one", func(t *testing.T) {
		release := strategies.Operation{ID: "register", Fence: 99}
		theirs := strategies.Registration{Key: "shop/r", Address: "10.0.0.9:80", Slot: strategies.Green, State: "up"}
		require.NoError(t, d.Register(t.Context(), release, theirs))
		require.Equal(t, []string{"shop/r"}, announce(one, b, up("shop/r", "10.0.0.1:83")).Held)
		require.Equal(t, "10.0.0.9:80", entry("shop/r").Address)

		theirs.Key = "shop/b"
		require.NoError(t, d.Register(t.Context(), release, theirs))
		require.Equal(t, []string{"shop/b"}, announce(one, b).Held)
		require.Empty(t, announce(one).Removed)
		require.Equal(t, "10.0.0.9:80", entry("shop/b").Address)
		require.NoError(t, one.Leave(t.Context()))
		require.Equal(t, "10.0.0.9:80", entry("shop/b").Address)

		// What the release lets go is there to be had again; a fence does not concern an agent, and it raises none.
		require.NoError(t, d.Deregister(t.Context(), release, "shop/b"))
		require.Len(t, announce(one, b).Added, 1)
		require.ErrorIs(t, d.Deregister(t.Context(), strategies.Operation{ID: "late", Fence: 98}, "shop/r"), strategies.ErrStaleFence)
		require.NoError(t, d.Deregister(t.Context(), release, "shop/r"))
	})
	t.Run("puts back what was taken away by hand", func(t *testing.T) {
		for _, key := range keys(t, d) {
			require.NoError(t, d.Deregister(t.Context(), strategies.Operation{ID: "hand", Fence: 99}, key))
		}
		require.Len(t, announce(one, b).Added, 1)
		require.Len(t, announce(other, c).Added, 1)
	})
	t.Run("tells who watches", func(t *testing.T) {
		var rung atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); d.Watch(ctx, func() { rung.Add(1) }) }()
		more := func(since int64) {
			require.Eventually(t, func() bool { return rung.Load() > since }, 20*time.Second, 10*time.Millisecond)
		}
		more(0)
		before := rung.Load()
		announce(one, a, b)
		more(before)
		cancel()
		<-ended
	})
	t.Run("refuses what is no key", func(t *testing.T) {
		for _, key := range []string{"", "shop", "shop/", "/a", "shop/a/b", "sh op/a"} {
			_, err := one.Announce(t.Context(), []strategies.Registration{up(key, "10.0.0.1:80")})
			require.Error(t, err, key)
		}
		_, err := one.Announce(t.Context(), []strategies.Registration{a, a})
		require.ErrorContains(t, err, "twice")
	})
	t.Run("leaves", func(t *testing.T) {
		require.NoError(t, one.Leave(t.Context()))
		require.Equal(t, []string{"shop/c"}, keys(t, d))
		require.Len(t, announce(one, a).Added, 1, "and comes back")
	})
}
