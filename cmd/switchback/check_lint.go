package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/check/lint"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// lint looks at the scripts of the pending phases: by the rules that need no server, and, where there is a scratch
// server whose locks can be seen, by those about locks.
func (g *gate) lint(ctx context.Context) (check.Part, error) {
	if len(g.pending) == 0 {
		return check.Part{Skipped: "no change is pending"}, nil
	}
	o, err := g.lintLevels()
	if err != nil {
		return check.Part{}, err
	}
	o.Engine = g.engine
	if o.Sizes, err = g.sizes(ctx); err != nil {
		return check.Part{}, err
	}
	scripts, err := lint.FromFolder(g.folder, g.report.Changes...)
	if err != nil {
		return check.Part{}, err
	}
	scripts = slices.DeleteFunc(scripts, func(s lint.Script) bool {
		left, ok := g.phases[s.Change]
		return ok && !slices.Contains(left, s.Phase)
	})
	part, silenced, err := g.observed(ctx, scripts, o)
	var failed *lint.RunError
	var missing *noScratchError
	switch {
	case errors.As(err, &failed): // the proof of the rollback says more of it
		part, silenced, err = lint.Run(ctx, scripts, o)
		first, _, _ := strings.Cut(failed.Err.Error(), "\n")
		part.Looked += fmt.Sprintf("; %s does not run: %s", failed.File, first)
	case errors.As(err, &missing):
		part, silenced, err = lint.Run(ctx, scripts, o)
		err = errors.Join(err, missing)
	}
	g.report.Silenced = append(g.report.Silenced, silenced...)
	return part, err
}

// sizes are those of the tables where the changes would run: what --target says, else the target.
func (g *gate) sizes(ctx context.Context) (map[recipe.Table]recipe.Size, error) {
	if g.c.String("target") == "" && g.target != nil {
		return database.Sizes(ctx, g.target.db)
	}
	return g.read, nil
}

// observed looks at scripts that are run in a scratch database, behind those that run before them; without one where
// there is none, or where the engine's locks are not seen.
func (g *gate) observed(ctx context.Context, scripts []lint.Script, o lint.Options) (_ check.Part, _ []check.Silence, err error) {
	if g.c.Bool("static") || g.engine == migrate.SQLite || g.c.String("scratch") == "" {
		return lint.Run(ctx, scripts, o)
	}
	p, _, err := g.proof()
	if err != nil {
		return check.Part{}, nil, err
	}
	db, err := g.server.Create(ctx)
	if err != nil {
		return check.Part{}, nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := p.Base(ctx, db); err != nil {
		return check.Part{}, nil, err
	}
	before, err := g.scriptsBefore()
	if err != nil {
		return check.Part{}, nil, err
	}
	o.Observer = db.LintObserver()
	if len(before) > 0 {
		if _, _, err := lint.Run(ctx, before, o); err != nil {
			return check.Part{}, nil, err
		}
	}
	return lint.Run(ctx, scripts, o)
}

// scriptsBefore are those of the changes that are run before the pending ones.
func (g *gate) scriptsBefore() ([]lint.Script, error) {
	if len(g.earlier) == 0 {
		return nil, nil
	}
	var ids []string
	for _, c := range g.earlier {
		ids = append(ids, c.ID)
	}
	before, err := lint.FromFolder(g.folder, ids...)
	return slices.DeleteFunc(before, func(s lint.Script) bool { return !runsBefore(s) }), err
}
