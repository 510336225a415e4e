package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInOrder: what an error says of the state of things stands before what to do, from wherever in it.
func TestInOrder(t *testing.T) {
	t.Parallel()
	require.Equal(t, "it fails: why\nmore\n  state: as before\n  next: grant it\n  next: run it again",
		inOrder("it fails: why\n  next: grant it\nmore\n  state: as before\n  next: run it again\n  next: grant it"))
	require.Equal(t, "plain", inOrder("plain"))
}
