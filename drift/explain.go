package drift

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// explain puts into the report which changes are applied on one side only, and which differences they
// account for. What it cannot find out is a note: the report stands without it.
func (d *Drift) explain(ctx context.Context, from, to Side, a, b *schema.Database, o Options) error {
	states := [2]*migrate.State{}
	for i, s := range []Side{from, to} {
		var err error
		if states[i], err = migrate.NewRunner(s.Database, migrate.Options{}).State(ctx); err != nil {
			return fmt.Errorf("read the journal of %s: %w", s.Name, err)
		}
	}
	onlyFrom, onlyTo := missing(states[1], states[0]), missing(states[0], states[1])
	if len(onlyFrom)+len(onlyTo) == 0 {
		return nil
	}
	d.Report.Pending = pending(states[0], states[1])
	if len(d.Report.Changes) == 0 {
		return nil
	}
	if o.Scratch == nil || o.Writer == nil || a.Engine != b.Engine {
		d.Report.Notes = append(d.Report.Notes, "whether the pending changes explain the drift was not tried: there is no scratch database for "+a.Engine)
		return nil
	}
	if err := d.try(ctx, a, b, onlyFrom, onlyTo, o); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d.Report.Notes = append(d.Report.Notes, fmt.Sprintf("whether the pending changes explain the drift cannot be told: %v", err))
	}
	return nil
}

// missing are the phases that there has and here has not, in the order in which they were applied.
func missing(here, there *migrate.State) []migrate.Applied {
	return slices.DeleteFunc(there.Applied(), func(a migrate.Applied) bool { return here.Of(a.Change, a.Phase) != nil })
}

// pending are the changes that do not stand alike, in the order of their names.
func pending(from, to *migrate.State) []diff.Pending {
	var ids []string
	for _, a := range append(missing(from, to), missing(to, from)...) {
		ids = append(ids, a.Change)
	}
	slices.Sort(ids)
	var list []diff.Pending
	for _, id := range slices.Compact(ids) {
		f, _ := from.Last(id)
		t, _ := to.Last(id)
		list = append(list, diff.Pending{Change: id, From: string(f), To: string(t)})
	}
	return list
}

// try runs on a copy of each side's schema what only the other has applied, and looks which differences go
// away with which change.
func (d *Drift) try(ctx context.Context, a, b *schema.Database, onlyFrom, onlyTo []migrate.Applied, o Options) (err error) {
	left := map[string]bool{}
	diff.Walk(d.Report.Changes, func(path string, _ diff.Change) { left[path] = true })
	d.Report.Explained = map[string]string{}
	now := [2]*schema.Database{a, b}
	for i, steps := range [][]migrate.Applied{onlyTo, onlyFrom} {
		if len(steps) == 0 {
			continue
		}
		scratch, err := copyOf(ctx, now[i], o)
		if err != nil {
			return err
		}
		err = d.run(ctx, scratch, steps, func(change string, model *schema.Database) error {
			now[i] = model
			return d.credit(change, now, left, o)
		})
		if err = errors.Join(err, scratch.Close()); err != nil {
			return err
		}
	}
	for i := range d.Report.Pending {
		p := &d.Report.Pending[i]
		for _, change := range d.Report.Explained {
			if change == p.Change {
				p.Explains++
			}
		}
	}
	if len(left) > 0 && len(d.Report.Explained) > 0 {
		d.Report.Notes = append(d.Report.Notes, fmt.Sprintf("pending changes explain %d of %d differences", len(d.Report.Explained), len(d.Report.Explained)+len(left)))
	}
	return nil
}

// copyOf makes a scratch database with the schema of a model.
func copyOf(ctx context.Context, model *schema.Database, o Options) (Scratch, error) {
	scratch, err := o.Scratch(ctx)
	if err != nil {
		return nil, err
	}
	fail := func(err error) (Scratch, error) {
		return nil, errors.Join(fmt.Errorf("copy the schema: %w", err), scratch.Close())
	}
	empty, err := scratch.Inspect(ctx)
	if err != nil {
		return fail(err)
	}
	// A scratch belongs to somebody else, who may not grant what he does not own.
	result, err := diff.Compare(empty, model, diff.Options{NoOwners: true, NoGrants: true})
	if err != nil {
		return fail(err)
	}
	script, err := o.Writer.Script(result)
	if err != nil {
		return fail(err)
	}
	conn, err := scratch.DB().Conn(ctx)
	if err != nil {
		return fail(err)
	}
	defer conn.Close()
	for _, s := range script.Statements {
		if _, err := scratch.Execute(ctx, conn, s.SQL); err != nil {
			return fail(fmt.Errorf("%s: %w", s.SQL, err))
		}
	}
	return scratch, nil
}

// run runs recorded scripts on a scratch database, and tells the schema after each change.
func (d *Drift) run(ctx context.Context, scratch Scratch, steps []migrate.Applied, after func(change string, model *schema.Database) error) error {
	runner := migrate.NewRunner(scratch, migrate.Options{})
	for _, a := range steps {
		if a.Script == nil || a.Phase == migrate.Backfill { // there are no rows to fill
			continue
		}
		script, err := migrate.ParseScript(a.Change, *a.Script)
		if err != nil {
			return err
		}
		step := migrate.Step{Change: a.Change, Phase: a.Phase, Direction: migrate.Forward, Script: script}
		if _, err := runner.Run(ctx, "drift", func(context.Context, *migrate.State) ([]migrate.Step, error) { return []migrate.Step{step}, nil }); err != nil {
			return fmt.Errorf("%s on a copy: %w", step, err)
		}
		model, err := scratch.Inspect(ctx)
		if err != nil {
			return err
		}
		if err := after(a.Change, model); err != nil {
			return err
		}
	}
	return nil
}

// credit strikes off the differences that have gone away, in favour of a change.
func (d *Drift) credit(change string, now [2]*schema.Database, left map[string]bool, o Options) error {
	options := o.Diff
	options.NoOwners, options.NoGrants = true, true
	r, err := diff.Compare(now[0], now[1], options)
	if err != nil {
		return err
	}
	still := map[string]bool{}
	diff.Walk(r.Changes, func(path string, _ diff.Change) { still[path] = true })
	for path := range left {
		if !still[path] && !accessOnly(d.Report.Changes, path) {
			d.Report.Explained[path] = change
			delete(left, path)
		}
	}
	return nil
}

// accessOnly tells whether a difference is one of grants or of owners alone, which a copy does not have.
func accessOnly(changes []diff.Change, path string) bool {
	only := false
	diff.Walk(changes, func(p string, c diff.Change) {
		if p != path {
			return
		}
		only = c.Kind == schema.KindGrant || c.Kind == schema.KindDefaultPrivileges || c.Action == diff.Modify &&
			!slices.ContainsFunc(c.Properties, func(q diff.PropertyChange) bool { return q.Name != schema.PropertyOwner })
	})
	return only
}
