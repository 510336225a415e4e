package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/check/proof"
)

// workload asks what the two versions of the application ask, in each phase.
func (g *gate) workload(ctx context.Context) (check.Part, error) {
	files := g.c.StringSlice("workload")
	if len(files) == 0 {
		return check.Part{Skipped: "no --workload"}, nil
	}
	p, skipped, err := g.proof()
	if p == nil || err != nil {
		return check.Part{Skipped: skipped}, err
	}
	load, err := g.readWorkload(ctx, p, files)
	if err != nil {
		return check.Part{}, err
	}
	return p.Workload(ctx, load)
}

// readWorkload reads files of queries. A scratch database of the engine splits them.
func (g *gate) readWorkload(ctx context.Context, p *proof.Proof, files []string) (load proof.Workload, err error) {
	db, err := p.Scratch.Create(ctx)
	if err != nil {
		return load, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
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
		statements, err := db.Scan(string(content))
		if err != nil {
			return load, fmt.Errorf("read the workload %s: %w", file, err)
		}
		for _, s := range statements {
			q := proof.Query{Text: s.Text, File: filepath.ToSlash(file), Line: s.Line}
			for _, comment := range s.Comments {
				if name, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimLeft(comment, "-# \t")), "name:"); ok {
					q.Name = strings.Fields(name + " ?")[0]
				}
			}
			*queries = append(*queries, q)
		}
	}
	return load, nil
}
