package strategies

import (
	"strings"
	"testing"
	"time"

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
			"rolling",
			Plan{Blue: blue, Strategy: Rolling, Changes: []string{"1_a"}},
			phases,
			nil,
			true, true,
			"preflight snapshot expand backfill roll bake promote contract retire",
		},
		{
			"the first, rolling",
			Plan{Strategy: Rolling},
			nil,
			nil,
			false, true,
			"preflight roll bake retire",
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

func TestCheckPace(t *testing.T) {
	require.NoError(t, CheckPace(Pace{}))
	require.NoError(t, CheckPace(Pace{Replicas: 3, Parallelism: 1, Delay: time.Second, Order: StopFirst, Surge: "25%", Unavailable: "0", Monitor: time.Minute}))
	for word, bad := range map[string]Pace{
		"replicas": {Replicas: -1}, "parallelism": {Parallelism: -1}, "delay": {Delay: -1}, "monitor": {Monitor: -1},
		"order": {Order: "both"}, "surge": {Surge: "101%"}, "unavailable": {Unavailable: "-1"},
	} {
		var wrong *PaceError
		require.ErrorAs(t, CheckPace(bad), &wrong)
		require.Equal(t, word, wrong.Word)
	}
}

// TestProgress has a step say how far it has come, until it has ended.
func TestProgress(t *testing.T) {
	r := newRelease(Plan{Steps: []Step{{Kind: Preflight}, {Kind: Roll}}}, 1, "")
	entry := func(status migrate.Status) migrate.Entry {
		return migrate.Entry{Direction: migrate.Forward, Status: status}
	}
	r.apply(entry(migrate.Started), detail{Step: 2})
	r.apply(entry(migrate.Done), detail{Step: 2, Progress: "2 of 4 are v2"})
	require.Equal(t, StepStatus{Step: Step{Kind: Roll}, State: Begun, Note: "2 of 4 are v2"}, r.Steps[1])
	r.apply(entry(migrate.Done), detail{Step: 2, Note: "4 of 4 are v2"})
	require.Equal(t, StepStatus{Step: Step{Kind: Roll}, State: Done, Note: "4 of 4 are v2"}, r.Steps[1])
}
