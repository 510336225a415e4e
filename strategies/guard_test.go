package strategies

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
)

func TestObstacles(t *testing.T) {
	strain := Strain{
		Strain: migrate.Strain{Free: 3, Transactions: []migrate.OpenTransaction{
			{Blocker: migrate.Blocker{Session: "7", User: "report"}, Open: time.Hour},
			{Blocker: migrate.Blocker{Session: "8"}, Open: time.Second},
		}},
		Lags: []migrate.Lag{{Replica: "a", Behind: time.Minute}, {Replica: "b"}, {Replica: "c", Problem: "it is down"}},
	}
	require.Empty(t, (&Guard{}).obstacles(strain), "what is zero is not looked at")
	require.Equal(t, []string{
		"a transaction is open for 1h0m0s: session 7 of report",
		"3 connections are left, wanted are 4",
		"replica a is 1m0s behind",
		"how far replica c is behind cannot be told: it is down",
	}, (&Guard{Transactions: time.Minute, Connections: 4, Lag: time.Second}).obstacles(strain))
	require.Empty(t, (&Guard{Transactions: 2 * time.Hour, Connections: 3}).obstacles(strain))
}

func TestGuarded(t *testing.T) {
	p := Plan{Guard: &Guard{}, Steps: []Step{{Kind: Preflight}, {Kind: Expand}, {Kind: Start}, {Kind: Shift, Weight: 5}, {Kind: Shift, Weight: 100}, {Kind: Contract}}}
	var steps []int
	for i := range p.Steps {
		if p.guarded(i) {
			steps = append(steps, i)
		}
	}
	require.Equal(t, []int{0, 3, 5}, steps)
	p.Guard = nil
	require.False(t, p.guarded(0))
}
