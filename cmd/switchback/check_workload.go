package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/drivers/database"
)

// workload asks what the two versions of the application ask, in each phase.
func (g *gate) workload(ctx context.Context) (check.Part, error) {
	named := g.c.StringSlice("workload")
	if len(named) == 0 {
		return check.Part{Skipped: "no --workload"}, nil
	}
	load, err := g.readWorkload(ctx, named)
	if err != nil {
		return check.Part{}, err
	}
	p, skipped, err := g.proof()
	if p == nil || err != nil {
		return check.Part{Skipped: skipped}, err
	}
	return p.Workload(ctx, load)
}

// readWorkload reads the queries of both versions from where the flag says.
func (g *gate) readWorkload(ctx context.Context, named []string) (load workload.Load, err error) {
	for _, text := range named {
		version, from, _ := strings.Cut(text, "=")
		queries := &load.Blue
		switch {
		case version == "blue" && from != "":
		case version == "green" && from != "":
			queries = &load.Green
		default:
			return load, fmt.Errorf("--workload %s: want blue=FROM or green=FROM, FROM being a file, target, or env:NAME", text)
		}
		found, err := g.queries(ctx, from)
		if err != nil {
			return load, err
		}
		*queries = append(*queries, found...)
	}
	return load, nil
}

// queries reads queries from a file, or from what a server remembers: that of the target or of another environment.
func (g *gate) queries(ctx context.Context, from string) ([]workload.Query, error) {
	switch name, env := strings.CutPrefix(from, "env:"); {
	case env:
		e, err := g.config.Environment(name)
		if err != nil {
			return nil, err
		}
		db, err := openDatabase(ctx, e.URL, false)
		if err != nil {
			return nil, err
		}
		defer func() { _ = db.Close() }()
		return g.remembered(ctx, from, db)
	case from == "target" && g.target == nil:
		return nil, fmt.Errorf("--workload …=target: there is no target\n  next: add --url or --env, or name a file: ./target")
	case from == "target":
		return g.remembered(ctx, from, g.target.db)
	}
	return workload.Read(g.engine, from)
}

// remembered reads what a server remembers of the statements of a database, and says what it does not show.
func (g *gate) remembered(ctx context.Context, name string, db database.Database) ([]workload.Query, error) {
	if engine := db.Dialect().Engine; engine != g.engine {
		return nil, fmt.Errorf("--workload …=%s: that is %s, and the changes are for %s", name, engine, g.engine)
	}
	server, ok := db.(interface {
		Remembered(ctx context.Context) (workload.Memory, error)
	})
	if !ok {
		return nil, fmt.Errorf("--workload …=%s: %s remembers no statements\n  next: give a file of queries", name, g.engine)
	}
	memory, err := server.Remembered(ctx)
	if err != nil {
		return nil, fmt.Errorf("--workload …=%s: the statements that the server remembers: %w", name, err)
	}
	if memory.Hidden > 0 {
		g.out.line("note: %s: %d statements are cut short, or not for this role to see", memory.From, memory.Hidden)
	}
	if len(memory.Queries) == 0 {
		return nil, fmt.Errorf("--workload …=%s: %s has no statement of this database that can be asked again\n  next: on PostgreSQL, GRANT pg_read_all_stats TO the role of the URL, and let the application run for a while", name, memory.From)
	}
	return memory.Queries, nil
}
