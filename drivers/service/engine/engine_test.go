package engine

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPort(t *testing.T) {
	set := func(ports ...string) map[string]struct{} {
		m := map[string]struct{}{}
		for _, p := range ports {
			m[p] = struct{}{}
		}
		return m
	}
	port, err := (&Image{Name: "shop", exposed: set("53/udp", "8080/tcp")}).Port(0)
	require.NoError(t, err)
	require.Equal(t, "8080/tcp", port.String())
	port, err = (&Image{Name: "shop", exposed: set("80/tcp", "81/tcp")}).Port(81)
	require.NoError(t, err)
	require.Equal(t, "81/tcp", port.String())
	for _, exposed := range []map[string]struct{}{nil, set("80/tcp", "81/tcp")} {
		_, err = (&Image{Name: "shop", exposed: exposed}).Port(0)
		require.ErrorContains(t, err, "exposes "+strconv.Itoa(len(exposed))+" ports")
	}
	_, err = (&Image{Name: "shop", exposed: nil}).Port(70000)
	require.ErrorContains(t, err, "next: set release.service.port")
}
