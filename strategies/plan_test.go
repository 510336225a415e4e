package strategies

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
)

func TestSteps(t *testing.T) {
	blue := &Stable{Release: "v1", Address: "127.0.0.1:1"}
	phases := []migrate.Phase{migrate.Expand, migrate.Backfill, migrate.Contract}
	for _, test := range []struct {
		name            string
		plan            Plan
		pending         []migrate.Phase
		shares          []int
		pause, contract bool
		want            string
	}{
		{
			"everything",
			Plan{Blue: blue, Changes: []string{"1_a"}},
			phases,
			[]int{10, 100},
			true, true,
			"preflight snapshot expand backfill start healthy register shift-10 shift-100 bake promote drain stop contract retire",
		},
		{
			"the first",
			Plan{Changes: []string{"1_a"}},
			phases,
			[]int{10, 50, 100},
			false, true,
			"preflight snapshot expand backfill start healthy register shift-100 bake contract retire",
		},
		{
			"no change",
			Plan{Blue: blue},
			nil,
			[]int{100},
			false, true,
			"preflight start healthy register shift-100 bake drain stop retire",
		},
		{
			"a canary",
			Plan{Blue: blue, Strategy: Canary},
			nil,
			[]int{5, 100},
			true, true,
			"preflight start healthy register clear shift-5 shift-100 bake promote drain stop retire",
		},
		{
			"contract later, no snapshot",
			Plan{Blue: blue, Changes: []string{"1_a"}, NoSnapshot: "tried it"},
			phases,
			[]int{100},
			false, false,
			"preflight expand backfill start healthy register shift-100 bake drain stop retire",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, s := range Steps(&test.plan, Outline{Pending: test.pending, Shares: test.shares, Pause: test.pause, Contract: test.contract}) {
				got = append(got, strings.TrimSuffix(strings.ReplaceAll(s.String(), "shift ", "shift-"), " %"))
			}
			require.Equal(t, test.want, strings.Join(got, " "))
		})
	}
}

func TestCheckShares(t *testing.T) {
	require.NoError(t, CheckShares([]int{100}))
	require.NoError(t, CheckShares([]int{1, 50, 100}))
	for _, bad := range [][]int{nil, {50}, {0, 100}, {50, 50, 100}, {60, 50, 100}, {50, 101}, {-1, 100}} {
		require.Error(t, CheckShares(bad), bad)
	}
}
