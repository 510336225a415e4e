package lint

import (
	"context"
	"slices"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
)

// fired are the names of the rules that fire on a script.
func fired(t *testing.T, s Script, o Options) []string {
	t.Helper()
	part, _, err := Run(context.Background(), []Script{s}, o)
	require.NoError(t, err)
	var names []string
	for _, f := range part.Findings {
		if !slices.Contains(names, f.Rule) {
			names = append(names, f.Rule)
		}
	}
	sort.Strings(names)
	return names
}

// TestExamples: the bad example of each rule that needs no server fires it and no other, the good one none.
func TestExamples(t *testing.T) {
	t.Parallel()
	for _, r := range Rules() {
		require.NotEmpty(t, r.Examples, r.Name)
		if r.Observed() {
			continue
		}
		for _, e := range r.Examples {
			t.Run(r.Name+"/"+string(e.Engine), func(t *testing.T) {
				t.Parallel()
				s := Script{Change: "1_example", Phase: migrate.Expand, File: "expand.sql", Foreign: e.Foreign, OneWay: e.OneWay}
				want := append([]string{r.Name}, e.Also...)
				sort.Strings(want)
				s.SQL = e.Bad
				require.Equal(t, want, fired(t, s, Options{Engine: e.Engine}))
				s.SQL, s.OneWay = e.Good, false
				require.Empty(t, fired(t, s, Options{Engine: e.Engine}))
			})
		}
	}
}
