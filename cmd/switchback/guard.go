package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/strategies"
)

// guard is the guard of the configuration, as a plan has it; nil when there is none.
func (t *target) guard(m *strategies.Machine) (*strategies.Guard, error) {
	g := t.config.Release.Guard
	switch {
	case g == nil:
		return nil, nil
	case g.Transactions < 0 || g.Connections < 0 || g.Lag < 0 || g.Within < 0:
		return nil, t.config.Fault("release.guard", "has a value that is less than nothing")
	case g.Transactions == 0 && g.Connections == 0 && g.Lag == 0:
		return nil, t.config.Fault("release.guard", "guards nothing: set transactions, connections or lag, see docs/releases.md")
	case m.Strain == nil:
		return nil, t.config.Fault("release.guard", fmt.Sprintf("is of no use here: %s has one writer at a time, and no connections to run out of", t.db.Dialect().Engine))
	}
	return &strategies.Guard{Transactions: g.Transactions, Connections: g.Connections, Lag: g.Lag, Within: g.Within}, nil
}

// strain asks what weighs on the target and its replicas; nil where the engine does not say.
func (t *target) strain() func(ctx context.Context) (strategies.Strain, error) {
	server, ok := t.db.(interface {
		Strain(ctx context.Context) (migrate.Strain, error)
	})
	if !ok {
		return nil
	}
	return func(ctx context.Context) (s strategies.Strain, err error) {
		if s.Strain, err = server.Strain(ctx); err != nil {
			return s, err
		}
		if s.Lags, err = t.db.Lags(ctx); err != nil {
			return s, err
		}
		for _, r := range t.replicas {
			lag, err := r.Lag(ctx)
			if err != nil {
				lag.Problem = err.Error()
			}
			s.Lags = append(s.Lags, lag)
		}
		return s, ctx.Err()
	}
}

// printGuard says what has to hold of the database.
func (t *target) printGuard(plan *strategies.Plan) {
	g := plan.Guard
	if g == nil {
		return
	}
	var words []string
	if g.Transactions > 0 {
		words = append(words, fmt.Sprintf("no transaction open for longer than %s", g.Transactions))
	}
	if g.Connections > 0 {
		words = append(words, fmt.Sprintf("%d connections left", g.Connections))
	}
	if g.Lag > 0 {
		words = append(words, fmt.Sprintf("no replica further behind than %s", g.Lag))
	}
	t.out.printf("  guard: %s; waited for %s", strings.Join(words, ", "), g.Within)
}
