package file

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/agent"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

func TestDiscovery(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "discovery.json")
	conformance.Discovery(t, func(*testing.T) strategies.Discovery { return New(path) })
}

func TestMembership(t *testing.T) {
	d := New(filepath.Join(t.TempDir(), "sub", "discovery.json"))
	conformance.Membership(t, d, func(t *testing.T, name string) agent.Membership {
		m, err := d.Agent(name)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, m.Close()) })
		return m
	})
}

// TestSuccessor has an agent of the same name come while the first lives, and after.
func TestSuccessor(t *testing.T) {
	d := New(filepath.Join(t.TempDir(), "discovery.json"))
	first, err := d.Agent("one")
	require.NoError(t, err)
	_, err = first.Announce(t.Context(), []strategies.Registration{{Key: "shop/a", Address: "10.0.0.1:80"}})
	require.NoError(t, err)
	_, err = d.Agent("one")
	require.ErrorIs(t, err, agent.ErrSuperseded)
	require.NoError(t, first.Close())

	second, err := d.Agent("one")
	require.NoError(t, err)
	did, err := second.Announce(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, did.Removed, 1, "what the first left is the second's")
	require.NoError(t, second.Close())
	_, err = d.Agent("../one")
	require.Error(t, err)
}
