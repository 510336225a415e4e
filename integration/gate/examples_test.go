package gate

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/check/lint"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/migrate"
)

// TestExamples runs what the documentation shows of each rule on the servers of its engines, by the runner that runs it
// in production: the good example works, and no rule fires on it, those about locks included; the bad one works too, but
// where the documentation is about what the server refuses. On SQLite locks cannot be seen.
func TestExamples(t *testing.T) {
	onEngines(t, func(t *testing.T, engine migrate.Engine, server scratch.Server) {
		for _, r := range lint.Rules() {
			for _, e := range r.Examples {
				if e.Engine != engine {
					continue
				}
				t.Run(r.Name, func(t *testing.T) {
					require.NoError(t, carriedOut(t, server, e, e.Good), e.Good)
					err := carriedOut(t, server, e, e.Bad)
					if e.Refused {
						var step *migrate.StepError
						require.ErrorAs(t, err, &step)
					} else {
						require.NoError(t, err, e.Bad)
					}
					require.Empty(t, firing(t, server, e, e.Good, false), e.Good)
					if r.Observed() || !e.Refused {
						require.Contains(t, firing(t, server, e, e.Bad, e.OneWay), r.Name, e.Bad)
					}
				})
			}
		}
	})
}

// begun is a scratch database with the schema that an example begins with.
func begun(t *testing.T, server scratch.Server, e lint.Example) *scratch.Database {
	db, err := server.Create(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	statements, err := migrate.Scan(e.Engine, e.Schema())
	require.NoError(t, err)
	for _, s := range statements {
		_, err := db.DB().ExecContext(t.Context(), s.Text)
		require.NoError(t, err, s.Text)
	}
	return db
}

// phaseOf is the phase that a script is for.
func phaseOf(script string) migrate.Phase {
	if strings.Contains(script, "switchback:batch") {
		return migrate.Backfill
	}
	return migrate.Expand
}

// carriedOut runs a script as a step of a change.
func carriedOut(t *testing.T, server scratch.Server, e lint.Example, text string) error {
	db := begun(t, server, e)
	script, err := migrate.ParseScript("example.sql", text)
	require.NoError(t, err)
	runner := migrate.NewRunner(db, migrate.Options{Actor: "test"})
	_, err = runner.Run(t.Context(), "test", func(context.Context, *migrate.State) ([]migrate.Step, error) {
		return []migrate.Step{{Change: "1_example", Phase: phaseOf(text), Direction: migrate.Forward, Script: script}}, nil
	})
	return err
}

// firing are the rules that fire on a script whose statements are run.
func firing(t *testing.T, server scratch.Server, e lint.Example, text string, oneWay bool) (rules []string) {
	o := lint.Options{Engine: e.Engine}
	if e.Engine != migrate.SQLite {
		o.Observer = begun(t, server, e).LintObserver()
	}
	one := lint.Script{Change: "1_example", Phase: phaseOf(text), File: "example.sql", SQL: text, Foreign: e.Foreign, OneWay: oneWay}
	part, _, err := lint.Run(t.Context(), []lint.Script{one}, o)
	require.NoError(t, err)
	for _, f := range part.Findings {
		rules = append(rules, f.Rule)
	}
	return rules
}
