package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/switchbackdb/switchback/check/lint"
	"github.com/switchbackdb/switchback/check/proof"
	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// checks proves 20 changes on a schema of 300 tables, with 1,000 queries of either version, and lints 1,000 files.
func checks(ctx context.Context, b *bencher) error {
	for _, engine := range []migrate.Engine{migrate.Postgres, migrate.SQLite} {
		name := ""
		if engine == migrate.Postgres {
			var err error
			if name, err = servers.Server(servers.Postgres17); err != nil {
				return err
			}
		}
		if err := proofOn(ctx, b, engine, name); err != nil {
			return fmt.Errorf("%s: %w", engine, err)
		}
	}
	return lints(ctx, b)
}

// proofOn measures the proofs on an engine.
func proofOn(ctx context.Context, b *bencher, engine migrate.Engine, name string) (err error) {
	tables, queries := b.amount(300), b.amount(1000)
	folder, done, err := changesOf(engine, b.amount(20), func(i int) (forward, back string) {
		return fmt.Sprintf("ALTER TABLE t%d ADD COLUMN extra varchar(20);\n", i%tables), fmt.Sprintf("ALTER TABLE t%d DROP COLUMN extra;\n", i%tables)
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	server, err := scratch.Open(ctx, name, scratch.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	var asked []workload.Query
	for i := range queries {
		asked = append(asked, workload.Query{Text: fmt.Sprintf("SELECT name, note FROM t%d WHERE id = :id AND n > %d", i%tables, i), File: "q.sql", Line: i + 1})
	}
	p := &proof.Proof{
		Scratch: scratch.Proofs{Server: server}, Folder: folder.Path, Changes: folder.Changes,
		Base: func(ctx context.Context, db proof.Database) error {
			for i := range tables {
				for _, s := range []string{
					fmt.Sprintf("CREATE TABLE t%d (id integer PRIMARY KEY, name varchar(40) NOT NULL, note varchar(200) DEFAULT 'none', amount numeric(10,2) NOT NULL DEFAULT 0, born date, n integer)", i),
					fmt.Sprintf("CREATE INDEX t%d_name ON t%d (name)", i, i),
				} {
					if _, err := db.DB().ExecContext(ctx, s); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
	rollback, ask := &figure{who: "rollback proof"}, &figure{who: "workload proof"}
	for range b.rounds {
		for _, part := range []struct {
			took *figure
			run  func() error
		}{
			{rollback, func() error { _, err := p.Rollback(ctx); return err }},
			{ask, func() error { _, err := p.Workload(ctx, workload.Load{Blue: asked, Green: asked}); return err }},
		} {
			begun := time.Now()
			if err := part.run(); err != nil {
				return err
			}
			part.took.add(time.Since(begun).Seconds())
		}
	}
	amounts := fmt.Sprintf("%d changes on %d tables with %d queries, %s", len(folder.Changes), tables, queries, engine)
	b.report.table("rollback proof of "+amounts, "s", []*figure{rollback})
	b.report.table("workload proof of "+amounts, "s", []*figure{ask})
	return nil
}

// lints measures lint without a server.
func lints(ctx context.Context, b *bencher) (err error) {
	folder, done, err := changesOf(migrate.Postgres, b.amount(500), func(i int) (forward, back string) {
		return fmt.Sprintf("ALTER TABLE users ADD COLUMN c%d int NOT NULL DEFAULT 0;\nCREATE INDEX i%d ON users (c%d);\nUPDATE users SET c%d = 1 WHERE c%d IS NULL;\n", i, i, i, i, i),
			fmt.Sprintf("DROP INDEX i%d;\nALTER TABLE users DROP COLUMN c%d;\n", i, i)
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	rate := &figure{who: "lint"}
	for range b.rounds {
		begun := time.Now()
		scripts, err := lint.FromFolder(folder)
		if err != nil {
			return err
		}
		if _, _, err := lint.Run(ctx, scripts, lint.Options{Engine: migrate.Postgres}); err != nil {
			return err
		}
		rate.add(float64(len(scripts)) / time.Since(begun).Seconds())
	}
	b.report.table("lint without a server", "files/s", []*figure{rate})
	return nil
}

// changesOf writes n changes of one phase and reads them.
func changesOf(engine migrate.Engine, n int, scripts func(i int) (forward, back string)) (folder *migrate.Folder, done func() error, err error) {
	dir, err := os.MkdirTemp("", "switchback-bench-")
	if err != nil {
		return nil, nil, err
	}
	done = func() error { return os.RemoveAll(dir) }
	defer func() {
		if err != nil {
			err = errors.Join(err, done())
		}
	}()
	for i := range n {
		change := filepath.Join(dir, fmt.Sprintf("%04d_change", i+1))
		if err := os.Mkdir(change, 0o755); err != nil { //nolint:gosec // a folder as in a project
			return nil, nil, err
		}
		forward, back := scripts(i)
		for file, text := range map[string]string{"expand.sql": forward, "expand.rollback.sql": back} {
			if err := os.WriteFile(filepath.Join(change, file), []byte(text), 0o600); err != nil {
				return nil, nil, err
			}
		}
	}
	if err := migrate.WriteSum(dir); err != nil {
		return nil, nil, err
	}
	folder, err = migrate.LoadFolder(dir, engine)
	return folder, done, err
}
