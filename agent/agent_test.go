package agent

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/strategies"
)

// TestTroubles tells a problem when it comes, when it becomes another, and when it has gone.
func TestTroubles(t *testing.T) {
	var told []string
	tr := newTroubles(func(e Event) { told = append(told, e.Event+" "+e.Detail) })
	for _, err := range []error{
		nil, errors.New("generation 3 was not loaded: a"), errors.New("generation 4 was not loaded: a"), errors.New("generation 5 was not loaded: b"), nil, nil,
	} {
		tr.met("it", err)
	}
	require.Equal(t, []string{"problem generation 3 was not loaded: a", "problem generation 5 was not loaded: b", "recovered it works again"}, told)
}

// TestEntries has containers with labels that anybody may have written: one that is of no use keeps no other out.
func TestEntries(t *testing.T) {
	var told []string
	s := &registering{Registrar: &Registrar{Agent: "one", Tell: func(e Event) { told = append(told, e.Key+" "+e.Detail) }}, waiting: map[string]string{}}
	list := []Container{
		{Name: "a", Application: "shop", Address: "10.0.0.1:80", Version: "v1", Ready: true},
		{Name: "b", Application: "shop", Reason: "its healthcheck fails"},
		{Name: "c", Application: "../x", Address: "10.0.0.1:81", Ready: true},
		{Name: "d", Application: "shop", Address: "nowhere", Ready: true},
		{Name: "e", Application: "shop", Instance: "v2-green", Address: "10.0.0.1:82", Release: "v2", Slot: strategies.Green, Ready: true},
		{Name: "f", Application: "shop", Instance: "v2-green", Address: "10.0.0.1:83", Ready: true},
		{Name: "g", Application: "shop", Instance: "a/b", Address: "10.0.0.1:84", Ready: true},
	}
	for range 2 { // the second time nothing is told again
		want := s.entries(list)
		require.NoError(t, CheckEntries(want))
		require.Equal(t, []strategies.Registration{
			{Key: "shop/one.a", Address: "10.0.0.1:80", Version: "v1", State: "up", Agent: "one"},
			{Key: "shop/v2-green", Address: "10.0.0.1:82", Release: "v2", Slot: strategies.Green, State: "started", Agent: "one"},
		}, want)
	}
	require.Equal(t, []string{
		"shop/one.b its healthcheck fails",
		`../x/one.c its application "../x" is not a name of letters, digits, dots, dashes and underscores`,
		`shop/one.d address "nowhere" is not host:port`,
		"shop/v2-green another container has the same key",
		`shop/a/b its instance "a/b" is not a name of letters, digits, dots, dashes and underscores`,
	}, told)
}
