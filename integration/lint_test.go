package integration

import (
	"context"
	"slices"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/check/lint"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// TestLintObserved: the bad example of each rule about locks fires it on the real server, the good one none.
func TestLintObserved(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers")
	}
	for engine, kind := range map[migrate.Engine]servers.Kind{
		migrate.Postgres: servers.Postgres17, migrate.MySQL: servers.MySQL9, migrate.MariaDB: servers.MariaDB118,
	} {
		t.Run(string(engine), func(t *testing.T) {
			server, err := scratch.Open(context.Background(), servers.URL(t, kind), scratch.Options{})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, server.Close()) })
			for _, r := range lint.Rules() {
				for _, e := range r.Examples {
					if !r.Observed() || e.Engine != engine {
						continue
					}
					t.Run(r.Name, func(t *testing.T) {
						want := append([]string{r.Name}, e.Also...)
						sort.Strings(want)
						require.Equal(t, want, observed(t, server, e.Before, e.Bad))
						require.Empty(t, observed(t, server, e.Before, e.Good))
					})
				}
			}
		})
	}
}

// observed are the rules that fire on a script in a scratch database that begins with a schema.
func observed(t *testing.T, server scratch.Server, before, script string) []string {
	t.Helper()
	ctx := context.Background()
	db, err := server.Create(ctx)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	_, err = db.DB().ExecContext(ctx, before)
	require.NoError(t, err)
	part, _, err := lint.Run(ctx, []lint.Script{{Change: "1_example", Phase: migrate.Expand, File: "expand.sql", SQL: script}},
		lint.Options{Engine: server.Engine(), Observer: db.LintObserver()})
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
