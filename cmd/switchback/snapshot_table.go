package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/snapshot"
)

// tableFlags say that one table goes back.
func tableFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "table", Usage: "restore this `TABLE` alone, or SCHEMA.TABLE, beside the live one; with --into: into that database"},
		&cli.StringFlag{Name: "as", Usage: "with --table: the `NAME` of the copy", DefaultText: "TABLE_restored_DAY_ID"},
	}
}

// tableFlagsFit refuses flags that do not go together.
func tableFlagsFit(c *cli.Context) error {
	refused := func(text string) error { return errors.New(text + "\n  state: nothing was changed") }
	if !c.IsSet("table") {
		if c.IsSet("as") {
			return refused("--as names the copy of a table: it goes with --table")
		}
		return nil
	}
	for _, other := range []string{"undo", "mask"} {
		if c.IsSet(other) {
			return refused("--" + other + " is about a whole database, and does not go with --table")
		}
	}
	if c.Bool("replace") {
		return refused("--replace puts a whole database in the place of another, and does not go with --table")
	}
	if c.String("table") == "" {
		return refused("--table wants the name of a table")
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

// tableTarget is the database that a table goes into.
func (p *project) tableTarget(c *cli.Context, m *snapshot.Manifest) (*target, error) {
	if into := c.String("into"); into != "" {
		return p.elsewhere(c, m, into)
	}
	return openTarget(c, false)
}
