package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTagOf: a port of the registry is no tag, and a digest none that could be a name.
func TestTagOf(t *testing.T) {
	for image, want := range map[string]string{
		"shop": "", "shop:v2": "v2", "registry.example:5000/shop": "", "registry.example:5000/team/shop:v2": "v2",
		"shop@sha256:0123": "", "shop:v2@sha256:0123": "v2",
	} {
		require.Equal(t, want, tagOf(image), image)
	}
}
