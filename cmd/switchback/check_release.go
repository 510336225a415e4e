package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/internal/noun"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
	"github.com/switchbackdb/switchback/strategies"
)

// release looks whether the changes may go out as they are: what the runner would refuse.
func (g *gate) release(ctx context.Context) (check.Part, error) {
	begun := time.Now()
	part := check.Part{Looked: noun.Counted(len(g.folder.Changes), "change")}
	if g.edited != nil {
		part.Findings = append(part.Findings, refused("edited-after-apply", g.edited))
	}
	if g.state != nil {
		part.Looked += " and the journal of the target"
		part.Findings = append(part.Findings, g.journal()...)
		standing, err := g.standing(ctx)
		if err != nil {
			return part, err
		}
		part.Findings = append(part.Findings, standing...)
	}
	part.Findings = append(part.Findings, g.unknown()...)
	if age := g.c.Duration("snapshot-age"); age > 0 {
		f, err := g.snapshotWithin(ctx, age)
		if err != nil {
			return part, err
		}
		part.Findings = append(part.Findings, f...)
	}
	part.Took = time.Since(begun)
	return part, nil
}

// unknown names what the schema that the changes begin with holds and the model does not: the proofs do not see it.
func (g *gate) unknown() (found []check.Finding) {
	if g.model == nil {
		return nil
	}
	for _, u := range g.model.Uncovered {
		f := check.Finding{
			Rule: "unknown-object", Severity: check.Note, Place: check.Place{File: config.FileName}, Object: string(u.Kind) + " " + u.Names[0],
			Message: fmt.Sprintf("%s of kind %s: what becomes of them is not proven", noun.Counted(u.Count, "object"), u.Kind),
			Why:     "They are not read, so they are not in the scratch databases, and a change of them is not seen.", Evidence: strings.Join(u.Names, "\n"),
		}
		if u.Why != "" {
			f.Why = u.Why + ". " + f.Why
		}
		found = append(found, f)
	}
	return found
}

// refused is the finding of what the runner refuses a folder for.
func refused(rule string, folder *migrate.FolderError) check.Finding {
	return check.Finding{
		Rule: rule, Severity: check.Error, Message: folder.Reason, Rewrite: folder.Next,
		Place: check.Place{File: filepath.ToSlash(folder.Path), Line: folder.Line},
	}
}

// journal looks whether the target's journal lets the changes go out.
func (g *gate) journal() (found []check.Finding) {
	if e := g.state.Interrupted(); e != nil {
		found = append(found, check.Finding{
			Rule: "step-unfinished", Severity: check.Error, Message: fmt.Sprintf("%s of %s was begun on the target and is not finished", e.Phase, e.Change),
			Place: check.Place{Change: e.Change, Phase: e.Phase}, Rewrite: "switchback status",
		})
	}
	_, err := migrate.PlanForward(g.folder, g.state, migrate.ForwardOptions{Phases: []migrate.Phase{migrate.Expand, migrate.Backfill, migrate.Contract}})
	if folder := (*migrate.FolderError)(nil); errors.As(err, &folder) {
		found = append(found, refused("out-of-order", folder))
	}
	return found
}

// standing looks whether the target is as the last change left it, and whether anybody is at work there.
func (g *gate) standing(ctx context.Context) (found []check.Finding, err error) {
	held, err := g.target.runner.Holder(ctx)
	if err != nil {
		return nil, err
	}
	if held != nil {
		return []check.Finding{{
			Rule: "lock-held", Severity: check.Warning, Message: "the target is " + held.Error(), Place: check.Place{File: config.FileName},
			Why:     "Only one run at a time changes a target. What is said of it here is of the moment.",
			Rewrite: "switchback status",
		}}, nil
	}
	last, err := g.target.runner.Strayed(ctx)
	if err != nil || last == nil {
		return nil, err
	}
	return []check.Finding{{
		Rule: "schema-strayed", Severity: check.Warning, Place: check.Place{Change: last.Change, File: config.FileName},
		Message: strayedFrom(last),
		Why:     "Something else has changed it since. What was planned on the schema of before may not fit, and its rollback does not bring that back.",
		Rewrite: "switchback drift, or switchback diff with the schema that you have in mind",
	}}, nil
}

func strayedFrom(last *migrate.Entry) string {
	return fmt.Sprintf("the schema of the target is not what %s of %s left behind at %s", last.Phase, last.Change, last.Finished)
}

// tellStrayed says before a release with changes what the gate would say: that the schema is not what they were made for.
func (t *target) tellStrayed(ctx context.Context, p *strategies.Plan) error {
	if len(p.Changes) == 0 {
		return nil
	}
	last, err := t.runner.Strayed(ctx)
	if err == nil && last != nil {
		t.out.printf("! %s: something else has changed it, see switchback drift", strayedFrom(last))
	}
	return err
}

// snapshotWithin finds out whether the target has a proven snapshot that is young enough.
func (g *gate) snapshotWithin(ctx context.Context, age time.Duration) ([]check.Finding, error) {
	if g.target == nil {
		return nil, errors.New("--snapshot-age is about the snapshots of a target\n  next: say --env NAME, or --url URL")
	}
	store, err := g.store(g.c)
	if err != nil {
		return nil, err
	}
	live, err := g.target.live()
	if err != nil {
		return nil, err
	}
	list, err := store.List(ctx)
	if err != nil {
		return nil, err
	}
	newest := "there is none that was proven by restoring it"
	for _, s := range slices.Backward(list) {
		if s.Manifest == nil || s.Verified == nil || !s.Verified.OK || s.Verified.Level != snapshot.LevelRestored || sameDatabase(ctx, live, s.Manifest) != nil {
			continue
		}
		old := time.Since(s.Manifest.Created)
		if old <= age {
			return nil, nil
		}
		newest = fmt.Sprintf("the newest that was proven is %s, %s old", s.ID, old.Round(time.Second))
		break
	}
	return []check.Finding{{
		Rule: "snapshot-missing", Severity: check.Error, Place: check.Place{File: config.FileName},
		Message: fmt.Sprintf("the target has no proven snapshot of the last %s: %s", age, newest),
		Why:     "What purge removes, and what a change that cannot come back does, only a snapshot brings back.",
		Rewrite: "switchback snapshot create --verify restored",
	}}, nil
}
