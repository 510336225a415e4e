// Package conformance holds the tests that every driver of an interface of strategies passes. A driver's
// own test calls the suite and adds only what is special about the driver.
package conformance

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/strategies"
)

// Discovery tests a registry. Each call of open gives another client of the same registry, which is empty
// at first.
func Discovery(t *testing.T, open func(*testing.T) strategies.Discovery) {
	op := func(id string, fence int64) strategies.Operation { return strategies.Operation{ID: id, Fence: fence} }
	d, other := open(t), open(t)

	t.Run("is empty at first", func(t *testing.T) {
		list, err := d.List(t.Context())
		require.NoError(t, err)
		require.Empty(t, list)
		require.NoError(t, d.Deregister(t.Context(), op("none", 1), "app/none"))
	})
	t.Run("keeps all that is registered at once", func(t *testing.T) {
		var all sync.WaitGroup
		for n, key := range []string{"app/c", "app/a", "app/b"} {
			client := []strategies.Discovery{d, other}[n%2]
			all.Go(func() {
				for i := range 5 {
					r := strategies.Registration{Key: key, Address: fmt.Sprint("127.0.0.1:", 8000+i), Slot: strategies.Green, Version: "v2", Release: "r2", State: "up"}
					if err := client.Register(t.Context(), op("first", 2), r); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		require.Equal(t, []string{"app/a", "app/b", "app/c"}, keys(t, other))
		list, err := other.List(t.Context())
		require.NoError(t, err)
		require.Equal(t, strategies.Registration{
			Key: "app/a", Address: "127.0.0.1:8004", Slot: strategies.Green, Version: "v2", Release: "r2", State: "up", Operation: "first", Fence: 2,
		}, list[0])
	})
	t.Run("replaces a registration", func(t *testing.T) {
		for range 2 { // the second time as after a crash
			require.NoError(t, d.Register(t.Context(), op("drain", 3), strategies.Registration{Key: "app/a", Address: "127.0.0.1:9000", State: "drain"}))
		}
		list, err := other.List(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 3)
		require.Equal(t, "drain", list[0].State)
		require.Equal(t, int64(3), list[0].Fence)
	})
	t.Run("refuses a stale fence, for other keys too", func(t *testing.T) {
		require.ErrorIs(t, other.Register(t.Context(), op("late", 2), strategies.Registration{Key: "app/d", Address: "127.0.0.1:1"}), strategies.ErrStaleFence)
		require.ErrorIs(t, other.Deregister(t.Context(), op("late", 2), "app/a"), strategies.ErrStaleFence)
		require.Equal(t, []string{"app/a", "app/b", "app/c"}, keys(t, d))
	})
	t.Run("removes a registration, once or again", func(t *testing.T) {
		for range 2 {
			require.NoError(t, d.Deregister(t.Context(), op("gone", 3), "app/b"))
		}
		require.Equal(t, []string{"app/a", "app/c"}, keys(t, other))
	})
	t.Run("of two runs that race the newer wins", func(t *testing.T) {
		var all sync.WaitGroup
		for fence := int64(4); fence < 12; fence++ {
			client := []strategies.Discovery{d, other}[fence%2]
			all.Go(func() {
				// An older one is refused or is overwritten: which of the two is chance.
				_ = client.Register(t.Context(), op(fmt.Sprint("run", fence), fence), strategies.Registration{Key: "app/a", Address: "127.0.0.1:1", State: "up"})
			})
		}
		all.Wait()
		list, err := d.List(t.Context())
		require.NoError(t, err)
		require.Equal(t, "run11", list[0].Operation)
	})
}

func keys(t *testing.T, d strategies.Discovery) []string {
	t.Helper()
	list, err := d.List(t.Context())
	require.NoError(t, err)
	var all []string
	for _, r := range list {
		all = append(all, r.Key)
	}
	return all
}
