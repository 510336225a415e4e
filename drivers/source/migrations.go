package source

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/foreign"
)

// runChanges runs the phases of our own changes forward in their order, without purge, by the runner that
// runs them on a live database.
func runChanges(ctx context.Context, db *scratch.Database, n named) error {
	folder, err := migrate.LoadFolder(n.path, db.Dialect().Engine)
	if err != nil {
		return err
	}
	upTo, last, some := strings.Cut(n.upTo, ":")
	if n.upTo != "" && folder.Change(upTo) == nil {
		return &migrate.FolderError{Path: n.path, Reason: fmt.Sprintf("has no change %q", upTo), Next: "ls " + n.path}
	}
	phases := []migrate.Phase{migrate.Expand, migrate.Backfill, migrate.Contract}
	var end migrate.Phase
	if some {
		if end, err = migrate.ParsePhase(last); err != nil {
			return err
		}
	}
	var steps []migrate.Step
	for _, c := range folder.Changes {
		if n.upTo != "" && c.ID > upTo {
			break
		}
		for _, p := range phases {
			if pair, ok := c.Pair(p); ok {
				if e := recognise(pair.Forward.Path, pair.Forward.SQL, folder.Engine); e != nil {
					return e
				}
				steps = append(steps, migrate.Step{Change: c.ID, Phase: p, Direction: migrate.Forward, Script: pair.Forward, Rollback: pair.Rollback})
			}
			if c.ID == upTo && p == end {
				break
			}
		}
	}
	return runSteps(ctx, db, n.path, steps)
}

// runMigrations runs another tool's migrations forward in their order.
func (r *Reader) runMigrations(ctx context.Context, db *scratch.Database, n named) ([]string, error) {
	folder, err := foreign.Read(n.path, foreign.Options{Placeholders: r.Placeholders})
	if err != nil {
		return nil, err
	}
	engine := db.Dialect().Engine
	var steps []migrate.Step
	for _, m := range folder.Migrations {
		text, ok := m.Up.For(engine)
		if !ok {
			return nil, &migrate.FolderError{Path: n.path, Reason: fmt.Sprintf("%s has no script for %s", m.File, engineName(engine)), Next: "--scratch with a server of an engine that it has scripts for"}
		}
		if e := recognise(filepath.Join(n.path, m.File), text, engine); e != nil {
			return nil, e
		}
		script, err := migrate.ParseScript(filepath.Join(n.path, m.File), text)
		if err != nil {
			return nil, err
		}
		steps = append(steps, migrate.Step{Change: m.File, Phase: migrate.Expand, Direction: migrate.Forward, Script: script})
	}
	return folder.Notes, runSteps(ctx, db, n.path, steps)
}

// runSteps runs steps. Their journal stays in the scratch and is no part of its schema.
func runSteps(ctx context.Context, db *scratch.Database, folder string, steps []migrate.Step) error {
	runner := migrate.NewRunner(db, migrate.Options{Actor: "scratch"})
	_, err := runner.Run(ctx, "read "+folder, func(context.Context, *migrate.State) ([]migrate.Step, error) { return steps, nil })
	var failed *migrate.StepError
	if errors.As(err, &failed) && failed.Line > 0 {
		e := &StatementError{File: failed.Step.Script.Path, Line: failed.Line, Statement: failed.Statement, Err: failed.Err}
		if isCode(err, syntaxError) {
			findSyntaxError(ctx, db, failed.Step.Script.SQL, e)
		}
		return e
	}
	if err != nil {
		return fmt.Errorf("run %s in a scratch database: %w", folder, err)
	}
	return nil
}

// syntaxError is PostgreSQL's code for it.
const syntaxError = "42601"

// findSyntaxError finds the statement of a script that does not parse. PostgreSQL parses all of what it is
// sent at once before it runs any of it, so the runner cannot tell.
func findSyntaxError(ctx context.Context, db *scratch.Database, script string, e *StatementError) {
	statements, err := db.Scan(script)
	if err != nil {
		return
	}
	for _, st := range statements {
		if err := parse(ctx, db, st.Text); isCode(err, syntaxError) {
			p := piece{line: st.Line, text: st.Text}
			e.Line, e.Statement, e.Err = errorLine(p, err), shorten(p), err
			return
		}
	}
}

// parse has the server read a statement without running it.
func parse(ctx context.Context, db *scratch.Database, statement string) error {
	prepared, err := db.DB().PrepareContext(ctx, statement)
	if err != nil {
		return err
	}
	defer func() { _ = prepared.Close() }()
	return nil
}
