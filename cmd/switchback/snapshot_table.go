package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

// tableFlags say that one table goes back.
func tableFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "table", Usage: "restore this `TABLE` alone, or SCHEMA.TABLE, beside the live one; with --into: into that database"},
		&cli.BoolFlag{Name: "merge", Usage: "with --table: put those rows back into the live table that are missing there by primary key"},
		&cli.BoolFlag{Name: "schema-only", Usage: "with --into: the schema without rows, into an empty database"},
		&cli.BoolFlag{Name: "data-only", Usage: "with --into: the rows without the schema, into a database whose tables are there and empty"},
		&cli.BoolFlag{Name: "roles", Usage: "with --into: make the roles or accounts that are missing there, without a password and locked, and grant them what they had"},
		&cli.StringFlag{Name: "as", Usage: "with --table: the `NAME` of the copy", DefaultText: "TABLE_restored_DAY_ID"},
	}
}

// tableFlagsFit refuses flags that do not go together.
func tableFlagsFit(c *cli.Context) error {
	refused := func(text string) error { return errors.New(text + "\n  state: nothing was changed") }
	if err := halfFits(c); err != nil {
		return err
	}
	if c.Bool("roles") && (c.String("into") == "" || c.IsSet("replace") || c.IsSet("table") || c.IsSet("data-only")) {
		return refused("--roles is about a database that is made anew: it goes with --into alone, or with --schema-only")
	}
	if !c.IsSet("table") {
		if c.IsSet("as") {
			return refused("--as names the copy of a table: it goes with --table")
		}
		if c.Bool("merge") {
			return refused("--merge puts rows of one table back: it goes with --table")
		}
		return nil
	}
	if (c.Bool("merge") || c.Bool("replace")) && c.IsSet("as") {
		return refused("--as names a copy, and --merge and --replace make none")
	}
	for _, other := range []string{"undo", "mask"} {
		if c.IsSet(other) {
			return refused("--" + other + " is about a whole database, and does not go with --table")
		}
	}
	if c.Bool("merge") && c.Bool("replace") {
		return refused("--merge keeps the live rows, and --replace does not: want one of them")
	}
	if c.String("table") == "" {
		return refused("--table wants the name of a table")
	}
	return nil
}

// halfFits refuses flags that do not go with one half of a snapshot.
func halfFits(c *cli.Context) error {
	refused := func(text string) error { return errors.New(text + "\n  state: nothing was changed") }
	for half, others := range map[string][]string{
		"schema-only": {"data-only", "table", "replace", "undo", "mask", "dry-run", "merge"},
		"data-only":   {"table", "replace", "undo", "dry-run", "merge"},
	} {
		if !c.Bool(half) {
			continue
		}
		if c.String("into") == "" {
			return refused("--" + half + " goes into another database, which --into names")
		}
		for _, other := range others {
			if c.IsSet(other) {
				return refused("--" + half + " goes into another database, and does not go with --" + other)
			}
		}
	}
	return nil
}

// lockTimeout is how long a lock on a live table is waited for when the flags do not say.
const lockTimeout = 2 * time.Second

// restoreTable restores one table of a snapshot.
func (p *project) restoreTable(c *cli.Context, store *snapshot.Store, m *snapshot.Manifest) error {
	t, err := p.tableTarget(c, m)
	if err != nil {
		return err
	}
	defer t.close()
	shelf, ok := t.db.(snapshot.Shelf)
	if !ok {
		return fmt.Errorf("restore one table: %s: %w by this version", t.db.Dialect().Engine, snapshot.ErrUnsupported)
	}
	if into := c.String("into"); into == "" {
		if err := sameDatabase(c.Context, shelf, m); err != nil {
			return err
		}
	}
	build, err := p.buildOptions(c)
	if err != nil {
		return err
	}
	o := snapshot.TableOptions{BuildOptions: build, Table: c.String("table"), As: c.String("as"), DryRun: c.Bool("dry-run"), LockTimeout: lockTimeout}
	if d := c.Duration("lock-timeout"); d > 0 {
		o.LockTimeout = d
	}
	switch {
	case c.Bool("replace"):
		return t.replaceTable(c, store, shelf, m, o)
	case c.Bool("merge"):
		return t.mergeTable(c, store, shelf, m, o)
	}
	r, err := store.Lay(c.Context, shelf, m, o)
	if err != nil {
		return err
	}
	now := "there is no live table of that name"
	if r.RowsNow != nil {
		now = fmt.Sprintf("the live table has %s", count(*r.RowsNow))
	}
	if r.DryRun {
		t.out.printf("would make %s of %s with %s rows; %s", r.Beside, r.Table, count(r.Rows), now)
	} else {
		t.out.printf("restored %s of %s beside the live table, as %s: %s rows; %s", r.Table, m.ID, r.Beside, count(r.Rows), now)
	}
	return t.out.document(r)
}

// intoTable does something to the rows of a live table, under the lock unless it is only tried.
type intoTable func(ctx context.Context, session *migrate.Session, shelf snapshot.Shelf, m *snapshot.Manifest, actor string, o snapshot.TableOptions) (*snapshot.TableRestored, error)

func (t *target) intoTable(c *cli.Context, shelf snapshot.Shelf, m *snapshot.Manifest, o snapshot.TableOptions, do intoTable) (r *snapshot.TableRestored, err error) {
	if o.DryRun {
		return do(c.Context, nil, shelf, m, migrate.Actor(), o)
	}
	err = t.runner.Hold(c.Context, "snapshot restore --table "+o.Table+" "+m.ID, func(ctx context.Context, s *migrate.Session) (err error) {
		r, err = do(ctx, s, shelf, m, migrate.Actor(), o)
		return err
	})
	return r, err
}

// mergeTable puts the rows back that are missing in the live table.
func (t *target) mergeTable(c *cli.Context, store *snapshot.Store, shelf snapshot.Shelf, m *snapshot.Manifest, o snapshot.TableOptions) error {
	r, err := t.intoTable(c, shelf, m, o, store.Merge)
	if err != nil {
		return err
	}
	if r.DryRun {
		t.out.printf("%s rows of %s in the snapshot are missing in %s, which has %s now; nothing was changed", count(r.Missing), count(r.Rows), r.Table, count(*r.RowsNow))
	} else {
		t.out.printf("%s: %s rows of %s were missing and are back", r.Table, count(r.Missing), count(r.Rows))
	}
	return t.out.document(r)
}

// replaceTable makes the rows of the live table those of the snapshot.
func (t *target) replaceTable(c *cli.Context, store *snapshot.Store, shelf snapshot.Shelf, m *snapshot.Manifest, o snapshot.TableOptions) error {
	r, err := t.intoTable(c, shelf, m, o, store.ReplaceRows)
	if err != nil {
		return err
	}
	done := fmt.Sprintf("%s rows back, %s changed, %s removed", count(r.Missing), count(r.Changed), count(r.Removed))
	if r.DryRun {
		t.out.printf("%s has %s rows now and would have the snapshot's %s: %s; nothing was changed", r.Table, count(*r.RowsNow), count(r.Rows), done)
	} else {
		t.out.printf("%s has the %s rows of the snapshot again: %s", r.Table, count(r.Rows), done)
	}
	if r.Differ > 0 {
		t.out.printf("  warning: %s of them are otherwise than in the snapshot: a trigger of the table has written to them", count(r.Differ))
	}
	return t.out.document(r)
}

// tableTarget is the database that a table goes into.
func (p *project) tableTarget(c *cli.Context, m *snapshot.Manifest) (*target, error) {
	if into := c.String("into"); into != "" {
		return p.elsewhere(c, m, into)
	}
	return openTarget(c, false)
}
