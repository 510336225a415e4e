package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/strategies"
)

// TestSameKind has the stable version be of the other kind than the release that is to follow.
func TestSameKind(t *testing.T) {
	releases := []*strategies.Release{{Plan: strategies.Plan{Release: "v1", Strategy: strategies.Rolling}}, {Plan: strategies.Plan{Release: "v2", Strategy: strategies.Canary}}}
	require.NoError(t, sameKind(nil, releases, true))
	require.NoError(t, sameKind(&strategies.Stable{Release: "v1"}, releases, true))
	require.NoError(t, sameKind(&strategies.Stable{Release: "v2"}, releases, false))
	err := sameKind(&strategies.Stable{Release: "v1"}, releases, false)
	require.ErrorContains(t, err, "release v1 is the stable one, and it is rolling")
	require.ErrorContains(t, err, "next: go on with --strategy rolling")
	require.ErrorContains(t, sameKind(&strategies.Stable{Release: "v2"}, releases, true), "next: go on with --strategy canary")
}
