package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/drift"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/drivers/source"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

func snapshotDiffCommand() *cli.Command {
	flags := append(outputFlags(), storeFlags()...)
	flags = append(flags,
		&cli.StringFlag{Name: "format", Value: "text", Usage: strings.Join(driftFormats, ", ")},
		&cli.StringFlag{Name: "out", Usage: "write to `FILE` instead of the terminal"},
		&cli.IntFlag{Name: "rows", Value: 5, Usage: "how many differing rows of a table are shown"},
		&cli.BoolFlag{Name: "no-data", Usage: "do not compare rows"})
	return &cli.Command{
		Name: "diff", Usage: "what differs between two snapshots, or a snapshot and a database: schema, and rows by key (exit 2)",
		ArgsUsage: "ID ID|URL|env:NAME", Flags: append(flags, compareFlags()...), Action: snapshotDiff,
	}
}

// compared is one side of snapshot diff.
type compared struct {
	drift.Side
	manifest *snapshot.Manifest // nil for a database
	close    func() error
}

func snapshotDiff(c *cli.Context) (err error) {
	if c.NArg() != 2 {
		return errors.New("want a snapshot, and another one or a database, as in: switchback snapshot diff 20261124T101530Z-3f9a1c env:production")
	}
	p, err := openProject(c)
	if err != nil {
		return err
	}
	format, err := driftFormat(c, p)
	if err != nil {
		return err
	}
	var sides [2]*compared
	for i := range sides {
		if sides[i], err = p.compared(c, c.Args().Get(i)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, sides[i].close()) }()
	}
	o := drift.Options{Mask: p.config.Drift.Mask, Rows: c.Int("rows"), Now: time.Now()}
	if o.Diff, err = compareOptions(c); err != nil {
		return err
	}
	if !c.Bool("no-data") {
		if o.Tables, err = rowsToCompare(c.Context, sides); err != nil {
			return err
		}
	}
	end, err := p.scratchFor(c, string(sides[0].Database.Dialect().Engine), &o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	found, err := drift.Compare(c.Context, sides[0].Side, sides[1].Side, o)
	if err != nil {
		return err
	}
	found.Report.Title = "Snapshot comparison"
	if err := p.write(c.String("out"), func(o *output) error { return printDrift(o, format, found) }); err != nil {
		return err
	}
	if !found.Clean() {
		return findings
	}
	return nil
}

// compared opens a side: a snapshot is built in a scratch database.
func (p *project) compared(c *cli.Context, name string) (*compared, error) {
	store, err := p.store(c)
	if err != nil {
		return nil, err
	}
	if name, err = p.snapshotNamed(c, store, name); err != nil {
		return nil, err
	}
	m, err := store.Manifest(c.Context, name)
	if errors.Is(err, snapshot.ErrNotFound) && strings.Contains(name, ":") {
		return p.comparedDatabase(c.Context, name)
	}
	if err != nil {
		return nil, err
	}
	o, err := p.buildOptions(c)
	if err != nil {
		return nil, err
	}
	place, err := scratch.NewPlace(c.Context, c.String("scratch"), migrate.Engine(m.Engine), scratch.Options{Progress: func(text string) { p.out.line("  … %s", text) }})
	if err != nil {
		return nil, err
	}
	s := &compared{manifest: m, close: place.Close}
	if err := store.Build(c.Context, m, place.Site, o); err != nil {
		return nil, errors.Join(err, place.Close())
	}
	db, err := place.Database(c.Context)
	if err != nil {
		return nil, errors.Join(err, place.Close())
	}
	s.close = func() error { return errors.Join(db.Close(), place.Close()) }
	if s.Side, err = sideOf("snapshot "+name, db); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (p *project) comparedDatabase(ctx context.Context, name string) (*compared, error) {
	url, err := p.urlOf(name)
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(ctx, url, false)
	if err != nil {
		return nil, err
	}
	s := &compared{close: db.Close}
	if s.Side, err = sideOf(source.Redact(name), db); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func sideOf(name string, db database.Database) (drift.Side, error) {
	d, ok := db.(drift.Database)
	if !ok {
		return drift.Side{}, fmt.Errorf("%s: %s cannot be compared", name, db.Version())
	}
	return drift.Side{Name: name, Database: d}, nil
}

// rowsToCompare are the tables that both sides have, without those whose rows two manifests say are the same.
func rowsToCompare(ctx context.Context, sides [2]*compared) ([]string, error) {
	var tables [2]map[string]bool
	for i, s := range sides {
		model, err := s.Database.Inspect(ctx)
		if err != nil {
			return nil, fmt.Errorf("inspect %s: %w", s.Name, err)
		}
		tables[i] = map[string]bool{}
		for _, schema := range model.Schemas {
			for _, t := range schema.Tables {
				tables[i][schema.Name+"."+t.Name] = true
			}
		}
	}
	same := map[string]bool{}
	if a, b := sides[0].manifest, sides[1].manifest; a != nil && b != nil {
		same = sameRows(a.Content, b.Content)
	}
	var names []string
	for name := range tables[0] {
		_, short, _ := strings.Cut(name, ".")
		if tables[1][name] && !same[name] && !same[short] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// sameRows are the tables that have the same rows, by the names that manifests have for them.
func sameRows(a, b snapshot.Content) map[string]bool {
	same := map[string]bool{}
	for _, t := range a.Tables {
		same[t.Name] = t.Hash != "" && slices.Contains(b.Tables, t)
	}
	return same
}
