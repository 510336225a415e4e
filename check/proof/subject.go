package proof

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// subject is a scratch database that a change is tried on.
type subject struct {
	db     Database
	runner *migrate.Runner
	folder string
	at     int              // the change that it is before
	model  *schema.Database // before the change
	plain  int              // the last number in a plain row
}

// lane is what a scratch database is for. Each is taken on from change to change, so that what is before one is run once.
type lane int

const (
	tried   lane = iota // the change goes forward and back, and the new version writes
	written             // it does while the old version writes
	control             // it never does: what the old version writes is written here too
	lanes
)

// before returns scratch databases as they are before the ith change: those of the change before, taken on, or new ones. What
// was written there may be in the way of a change: then all of them are made anew.
func (r *run) before(ctx context.Context, i int, wanted ...lane) ([]*subject, error) {
	list, err := r.takenOn(ctx, i, wanted)
	if err == nil || ctx.Err() != nil {
		return list, err
	}
	if err := r.drop(wanted...); err != nil {
		return nil, err
	}
	return r.takenOn(ctx, i, wanted)
}

func (r *run) takenOn(ctx context.Context, i int, wanted []lane) (list []*subject, err error) {
	for _, l := range wanted {
		one := r.scratches[l]
		if one == nil {
			one, err = r.build(ctx, i)
		} else {
			err = r.takeOn(ctx, one, i)
		}
		if err != nil {
			return nil, err
		}
		r.scratches[l] = one
		list = append(list, one)
	}
	return list, nil
}

// drop ends scratch databases, which are made anew when they are wanted again.
func (r *run) drop(list ...lane) (err error) {
	for _, l := range list {
		if one := r.scratches[l]; one != nil {
			err = errors.Join(err, one.close())
		}
		r.scratches[l] = nil
	}
	return err
}

// takeOn runs the changes up to the ith one.
func (r *run) takeOn(ctx context.Context, one *subject, i int) error {
	for one.at < i {
		c := r.Changes[one.at]
		if err := one.forward(ctx, c, r.phases(c)); err != nil {
			return fmt.Errorf("run %s, which is before it: %w", c.ID, err)
		}
		one.at++
		if err := r.fill(ctx, one, one.at); err != nil { // what it has made gets rows too
			return err
		}
	}
	return nil
}

// build makes a scratch database as it is before the ith change: the base, rows, the changes before it.
func (r *run) build(ctx context.Context, i int) (_ *subject, err error) {
	db, err := r.Scratch.Create(ctx)
	if err != nil {
		return nil, err
	}
	one := &subject{db: db, runner: migrate.NewRunner(db, migrate.Options{Actor: "check"}), folder: r.Folder}
	defer func() {
		if err != nil {
			_ = one.close()
		}
	}()
	if err := r.Base(ctx, db); err != nil {
		return nil, err
	}
	for _, c := range r.Earlier {
		if err := one.forward(ctx, c, beforePurge(c.Phases())); err != nil {
			return nil, fmt.Errorf("run %s, which is before: %w", c.ID, err)
		}
	}
	if err := r.fill(ctx, one, 0); err != nil {
		return nil, err
	}
	return one, r.takeOn(ctx, one, i)
}

// fill reads the model as it is before the ith change, and makes up rows for tables that have too few.
func (r *run) fill(ctx context.Context, one *subject, i int) error {
	var err error
	if one.model, err = one.db.Inspect(ctx); err != nil || r.rows(i) == noRows {
		return err
	}
	f := newFiller(one.db, one.model)
	f.worked = r.worksOn
	f.next = one.plain // the tables that are filled further have the numbers before
	if err := f.fill(ctx, r.rows(i)); err != nil {
		return err
	}
	if r.rows(i) == plainRows {
		one.plain = f.next
	}
	r.made, r.unfilled = f.total, f.unfilled
	return nil
}

// worksOn tells whether a change names a table.
func (r *run) worksOn(table string) bool {
	known, ok := r.named[table]
	if !ok {
		known = slices.ContainsFunc(r.Changes, func(c *migrate.Change) bool { return mentions(c, table) })
		r.named[table] = known
	}
	return known
}

// rows is how many rows there are before the ith change. A change that refuses some is tried with fewer; those
// behind it have all again, which are made up once its rules are there.
func (r *run) rows(i int) amount {
	if i < r.upTo {
		return r.fewer
	}
	return allRows
}

// withFewer makes the next scratches have fewer rows before the ith change; not when there are none already.
func (r *run) withFewer(i int) bool {
	switch {
	case i >= r.upTo:
		r.upTo = i + 1
	case r.fewer == noRows:
		return false
	default:
		r.fewer = noRows
	}
	return true
}

func (s *subject) close() error { return s.db.Close() }

// forward runs phases of a change.
func (s *subject) forward(ctx context.Context, c *migrate.Change, phases []migrate.Phase) error {
	_, err := s.runner.Run(ctx, "check", func(_ context.Context, state *migrate.State) ([]migrate.Step, error) {
		var steps []migrate.Step
		for _, p := range phases {
			pair, ok := c.Pair(p)
			if !ok {
				return nil, fmt.Errorf("%s of %s is gone from %s", p, c.ID, s.folder)
			}
			if state.Of(c.ID, p) == nil {
				steps = append(steps, migrate.Step{Change: c.ID, Phase: p, Direction: migrate.Forward, Script: pair.Forward, Rollback: pair.Rollback})
			}
		}
		return steps, nil
	})
	return err
}

// back rolls a change back: all of it, or some of its phases.
func (s *subject) back(ctx context.Context, c *migrate.Change, phases []migrate.Phase) error {
	_, err := s.runner.Run(ctx, "check", func(_ context.Context, state *migrate.State) ([]migrate.Step, error) {
		return migrate.PlanBack(state, migrate.BackOptions{Only: func(a migrate.Applied) bool {
			return a.Change == c.ID && (phases == nil || slices.Contains(phases, a.Phase))
		}})
	})
	return err
}

// note notes the schema and the rows that are there now.
func (s *subject) note(ctx context.Context) (*noted, error) {
	model, err := s.db.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	n := &noted{schema: model, tables: map[string]*tableRows{}}
	var tables []place
	for _, in := range model.Schemas {
		for _, t := range in.Tables {
			tables = append(tables, place{in.Name, t})
		}
	}
	rows, err := readTables(ctx, s.db, tables)
	if err != nil {
		return nil, err
	}
	for i, t := range tables {
		n.tables[tableName(s.db, t.in, t.Name)] = rows[i]
	}
	return n, nil
}

// tableName is how people write a table: with its schema only where it is another than the usual one.
func tableName(db Database, in, table string) string {
	if db.Dialect().Engine != migrate.Postgres || in == "public" {
		return table
	}
	return in + "." + table
}
