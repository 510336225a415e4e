package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/check/proof"
	"github.com/switchbackdb/switchback/migrate"
)

// workload asks what the two versions of the application ask, in each phase.
func (g *gate) workload(ctx context.Context) (check.Part, error) {
	files := g.c.StringSlice("workload")
	if len(files) == 0 {
		return check.Part{Skipped: "no --workload"}, nil
	}
	load, err := g.readWorkload(files)
	if err != nil {
		return check.Part{}, err
	}
	p, skipped, err := g.proof()
	if p == nil || err != nil {
		return check.Part{Skipped: skipped}, err
	}
	return p.Workload(ctx, load)
}

// readWorkload reads files of queries, as the engine splits them.
func (g *gate) readWorkload(files []string) (load proof.Workload, err error) {
	for _, text := range files {
		version, file, _ := strings.Cut(text, "=")
		queries := &load.Blue
		switch version {
		case "blue":
		case "green":
			queries = &load.Green
		default:
			return load, fmt.Errorf("--workload %s: want blue=FILE or green=FILE", text)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return load, fmt.Errorf("read the workload: %w", err)
		}
		statements, err := migrate.Scan(g.engine, string(content))
		if err != nil {
			return load, fmt.Errorf("read the workload %s: %w", file, err)
		}
		for _, s := range statements {
			*queries = append(*queries, proof.Query{Name: queryName(s.Comments), Text: s.Text, File: filepath.ToSlash(file), Line: s.Line})
		}
	}
	return load, nil
}

// queryName is the name that a comment above a query gives it, as in sqlc's "-- name: GetUser :one".
func queryName(comments []string) string {
	for _, comment := range comments {
		if name, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimLeft(comment, "-# \t")), "name:"); ok {
			return strings.Fields(name + " ?")[0]
		}
	}
	return ""
}
