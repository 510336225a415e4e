// Package drift says where two environments differ that should be the same.
//
//	two databases ──Inspect──▶ diff.Compare ──▶ rules: what is ignored, with its reason
//	      │                                        │
//	      ├── journals ── changes on one side ──▶ explained: a copy of the schema, pending scripts run on it
//	      ├── rows of named tables ── package data
//	      └── history: since when ─────────────▶ diff.Report, which writes itself in every format
//
// Nothing is written to either database. What the package needs of an engine are the interfaces below;
// drivers implement them.
package drift

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drift/data"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// Database is one of the two environments.
type Database interface {
	migrate.Database
	// Inspect reads the catalogue.
	Inspect(ctx context.Context) (*schema.Database, error)
	// RowReader begins a snapshot to compare rows in.
	RowReader(ctx context.Context) (data.Side, error)
}

// Scratch is a throwaway database of the engine that is compared.
type Scratch interface {
	migrate.Database
	Inspect(ctx context.Context) (*schema.Database, error)
	Close() error // drops it
}

// Side is an environment with its name.
type Side struct {
	Name     string
	Database Database
}

// Options say what is compared and how.
type Options struct {
	Diff    diff.Options
	Rules   []Rule
	Tables  []string // whose rows are compared: NAME or SCHEMA.NAME
	Mask    []string // TABLE.COLUMN whose values are not shown
	Rows    int      // how many differing rows of a table are shown
	Now     time.Time
	History *History // nil: none is kept
	// Writer writes the scripts of the report; nil where there is none for the engine.
	Writer ddl.Writer
	// Scratch makes a throwaway database to try pending changes on; nil where there is none.
	Scratch func(ctx context.Context) (Scratch, error)
}

// Format stands at the head of a drift report in JSON.
const Format = "switchback.drift"

// Drift is what was found.
type Drift struct {
	Report  diff.Report
	forward *diff.Result // without what is ignored
	back    *diff.Result
	writer  ddl.Writer
	names   [2]string
}

// Compare compares two environments.
func Compare(ctx context.Context, from, to Side, o Options) (*Drift, error) {
	a, err := inspect(ctx, from)
	if err != nil {
		return nil, err
	}
	b, err := inspect(ctx, to)
	if err != nil {
		return nil, err
	}
	d := &Drift{names: [2]string{from.Name, to.Name}, writer: o.Writer}
	all, err := diff.Compare(a, b, o.Diff)
	if err != nil {
		return nil, err
	}
	verdict := applyRules(all.Changes, o.Rules, o.Now)
	kept := *all
	kept.Changes = verdict.kept
	d.forward = &kept
	if d.back, err = reverse(a, b, o); err != nil {
		return nil, err
	}
	d.Report = diff.NewReport(from.Name, to.Name, all, o.Diff)
	r := &d.Report
	r.Format, r.Title, r.Made = Format, "Drift", o.Now.UTC()
	r.Changes, r.Summary = verdict.kept, diff.Counts(verdict.kept)
	if err := d.explain(ctx, from, to, a, b, o); err != nil {
		return nil, err
	}
	if r.Data, err = compareData(ctx, from, to, a, b, verdict, o); err != nil {
		return nil, err
	}
	r.Ignored = verdict.ignored
	d.remember(ctx, o)
	r.Sections = append(r.Sections, verdict.sections()...)
	return d, nil
}

func inspect(ctx context.Context, s Side) (*schema.Database, error) {
	d, err := s.Database.Inspect(ctx)
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", s.Name, err)
	}
	return d, nil
}

// reverse is the comparison the other way round, for the script that mends the other side.
func reverse(a, b *schema.Database, o Options) (*diff.Result, error) {
	options := o.Diff
	options.Renames = nil
	r, err := diff.Compare(b, a, options)
	if err != nil {
		return nil, err
	}
	back := *r
	back.Changes = applyRules(r.Changes, o.Rules, o.Now).kept
	return &back, nil
}

// Clean tells whether nothing differs but what is ignored.
func (d *Drift) Clean() bool { return d.Report.Same() }

// Fix returns the script that makes the named side like the other. Rows are not part of it.
func (d *Drift) Fix(side string) (*ddl.Script, error) {
	result := d.forward
	switch side {
	case d.names[0]:
	case d.names[1]:
		result = d.back
	default:
		return nil, fmt.Errorf("fix %q: the sides are %s and %s", side, d.names[0], d.names[1])
	}
	if d.writer == nil {
		return nil, fmt.Errorf("fix %s: no script can be written for %s", side, result.From.Engine)
	}
	script, err := d.writer.Script(result)
	if err != nil {
		return nil, fmt.Errorf("write the script that mends %s: %w", side, err)
	}
	return script, nil
}

// AddScripts puts the scripts that mend either side into the report. That one cannot be written is a note.
func (d *Drift) AddScripts() {
	if d.Clean() || d.writer == nil {
		return
	}
	for _, side := range d.names {
		var b strings.Builder
		script, err := d.Fix(side)
		if err == nil {
			err = script.Write(&b, "", d.Delimiter())
		}
		if err != nil {
			d.Report.Notes = append(d.Report.Notes, err.Error())
			continue
		}
		d.Report.Scripts = append(d.Report.Scripts, diff.Script{Title: "makes " + side + " like the other", SQL: b.String()})
	}
}

// Delimiter is the word that ends statements with semicolons in them in the scripts.
func (d *Drift) Delimiter() string {
	if e := d.forward.From.Engine; e == string(migrate.MySQL) || e == string(migrate.MariaDB) {
		return "//"
	}
	return ""
}
