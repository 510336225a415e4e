package file

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/strategies"
)

func TestDiscovery(t *testing.T) {
	d := New(filepath.Join(t.TempDir(), "sub", "discovery.json"))
	list, err := d.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)

	var all sync.WaitGroup
	for _, key := range []string{"app/c", "app/a", "app/b"} {
		all.Go(func() {
			for range 5 {
				if err := d.Register(t.Context(), strategies.Operation{ID: "op", Fence: 2}, strategies.Registration{Key: key, Address: "x:1"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	list, err = d.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Equal(t, "app/a", list[0].Key)
	require.Equal(t, "op", list[0].Operation)

	err = d.Deregister(t.Context(), strategies.Operation{ID: "late", Fence: 1}, "app/a")
	require.ErrorIs(t, err, strategies.ErrStaleFence)
	require.NoError(t, d.Deregister(t.Context(), strategies.Operation{ID: "op2", Fence: 2}, "app/a"))
	require.NoError(t, d.Deregister(t.Context(), strategies.Operation{ID: "op2", Fence: 2}, "app/a"))
	list, err = d.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
}
