package engine

import (
	"errors"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/strategies"
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

func TestSecrets(t *testing.T) {
	s := Hide(map[string]string{
		"URL": "postgres://shop:p%40ssword@db/shop", "KEY": "abc def", "PEM": "BEGIN\nsecretline\nEND", "LONG": "abc defgh", "N": "1",
	})
	require.Equal(t, "to $URL as $URL or $URL with $KEY, $KEY, $PEM; $LONG; 1 of 1",
		s.Text("to postgres://shop:p%40ssword@db/shop as p@ssword or p%40ssword with abc def, abc+def, secretline; abc defgh; 1 of 1"))
	err := s.In(errors.Join(strategies.ErrStaleFence, errors.New("abc def")))
	require.ErrorIs(t, err, strategies.ErrStaleFence)
	require.NotContains(t, err.Error(), "abc def")
}
