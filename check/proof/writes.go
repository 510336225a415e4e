package proof

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// withWrites takes a change forward and back while both versions of the application write. What the old version writes
// is done in a second scratch too, that never sees the change: in the end both are to hold the same.
func (r *run) withWrites(ctx context.Context, i int) (err error) {
	c := r.Changes[i]
	if r.rows(i) != allRows {
		return nil // what it refuses of rows, it refuses of writes
	}
	one, err := r.build(ctx, i)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, one.close()) }()
	control, err := r.build(ctx, i)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, control.close()) }()
	all := r.phases(c)
	for k := 1; k <= len(all); k++ {
		fine, err := r.oldWrites(ctx, i, all[:k], one, control)
		if err != nil || !fine {
			return err
		}
	}
	return r.newWrites(ctx, i, one, control)
}

// oldWrites goes forward, writes as the old version does as long as it runs, and comes back.
func (r *run) oldWrites(ctx context.Context, i int, until []migrate.Phase, one, control *subject) (fine bool, err error) {
	c, last := r.Changes[i], until[len(until)-1]
	r.tries++
	if err := one.forward(ctx, c, until); err != nil {
		return false, r.failure(ctx, i, err, NotAgain)
	}
	having := ""
	if last != migrate.Contract {
		having = ", with writes of the old version in between,"
		broken, err := r.write(ctx, control, one, c)
		if err != nil {
			return false, err
		}
		if broken.statement != "" {
			place := scriptOf(c, last, false)
			place.Text = broken.statement
			r.found(check.Finding{
				Rule: BlueBreaks, Severity: check.Error, Evidence: broken.statement + "\n" + broken.err.Error(), Place: place,
				Message: fmt.Sprintf("after %s, a write of the old version fails: %s", last, firstLine(broken.err.Error())),
				Why:     "The old version of the application still runs then.",
			})
			return false, nil
		}
	}
	if err := one.back(ctx, c, nil); err != nil {
		return false, r.failure(ctx, i, err, Fails)
	}
	want, err := control.note(ctx)
	if err != nil {
		return false, err
	}
	return r.compare(ctx, c, last, want, one, having)
}

// brokenWrite is a statement that works without the change and not with it.
type brokenWrite struct {
	statement string
	err       error
}

// write does in both databases what works in the first.
func (r *run) write(ctx context.Context, control, one *subject, c *migrate.Change) (brokenWrite, error) {
	f := newFiller(control.db, control.model)
	f.next = 1000 + 50*r.tries
	for _, t := range f.inOrder() {
		if !mentions(c, t.Name) {
			continue
		}
		for _, statement := range f.writes(t) {
			if _, err := control.db.DB().ExecContext(ctx, statement); err != nil {
				if ctx.Err() != nil {
					return brokenWrite{}, ctx.Err()
				}
				continue // it is no write that the table takes
			}
			if _, err := one.db.DB().ExecContext(ctx, statement); err != nil {
				if ctx.Err() != nil {
					return brokenWrite{}, ctx.Err()
				}
				return brokenWrite{statement, err}, nil
			}
		}
	}
	return brokenWrite{}, nil
}

// mentions tells whether a script of the change names a table.
func mentions(c *migrate.Change, table string) bool {
	word := regexp.MustCompile(`(?i)(^|\W)` + regexp.QuoteMeta(table) + `(\W|$)`)
	return slices.ContainsFunc(c.Phases(), func(p migrate.Phase) bool {
		pair, _ := c.Pair(p)
		return word.MatchString(pair.Forward.SQL)
	})
}

// writes are an insert, an update of each column and a delete.
func (f *filler) writes(t place) []string {
	d := f.db.Dialect()
	row := f.columns(t)
	if len(row) == 0 {
		return nil
	}
	list := []string{f.statement(t, row, -1, 0), f.statement(t, row, -1, 0)}
	key := t.KeyColumns()
	if len(key) == 0 {
		return list
	}
	name := d.QuoteTable(t.in, t.Name)
	first, last := oneRow(d, name, key, ""), oneRow(d, name, key, " DESC")
	for _, c := range row {
		if slices.Contains(key, c.Name) {
			continue
		}
		for choice, value := range c.values {
			if value == omitted {
				continue
			}
			f.next++
			where := first
			if choice%2 == 1 {
				where = last
			}
			list = append(list, fmt.Sprintf("UPDATE %s SET %s = %s%s", name, d.Quote(c.Name), strings.ReplaceAll(value, fresh, fmt.Sprint(f.next)), where))
		}
	}
	return append(list, "DELETE FROM "+name+last)
}

// oneRow is a WHERE that picks the first row by key, or the last. The subquery is nested, as MySQL reads no table that
// the statement writes to otherwise.
func oneRow(d migrate.Dialect, table string, key []string, direction string) string {
	var columns, order []string
	for _, c := range key {
		columns = append(columns, d.Quote(c))
		order = append(order, d.Quote(c)+direction)
	}
	k := strings.Join(columns, ", ")
	return fmt.Sprintf(" WHERE (%s) = (SELECT %s FROM (SELECT %s FROM %s ORDER BY %s LIMIT 1) AS q)", k, k, k, table, strings.Join(order, ", "))
}

// newWrites takes the change forward to where the new version runs, which is before contract and after it, inserts as
// that version does, and comes back: no row that was written may be gone, and those that were there before are as they
// were.
func (r *run) newWrites(ctx context.Context, i int, one, control *subject) error {
	c := r.Changes[i]
	all := r.phases(c)
	written := map[string]int{}
	for k := 1; k <= len(all); k++ {
		if k < len(all) && all[k] != migrate.Contract {
			continue
		}
		if err := one.forward(ctx, c, all[:k]); err != nil {
			return r.failure(ctx, i, err, NotAgain)
		}
		if err := r.insertNew(ctx, c, one, control.model, written); err != nil {
			return err
		}
		r.tries++
		if err := one.back(ctx, c, nil); err != nil {
			return r.failure(ctx, i, err, Fails)
		}
		fine, err := r.kept(ctx, c, all[k-1], written, one, control)
		if err != nil || !fine {
			return err
		}
	}
	return nil
}

// insertNew inserts a row of the new shape into each table that the change works on, and counts those that were taken.
func (r *run) insertNew(ctx context.Context, c *migrate.Change, one *subject, before *schema.Database, written map[string]int) error {
	model, err := one.db.Inspect(ctx)
	if err != nil {
		return err
	}
	f := newFiller(one.db, model)
	f.next = 5000 + 50*r.tries
	for _, t := range f.inOrder() {
		if !mentions(c, t.Name) || !writtenTo(t, before) {
			continue
		}
		if _, ok, err := f.firstRow(ctx, t); err != nil {
			return err
		} else if ok {
			written[tableName(one.db, t.in, t.Name)]++
		}
	}
	return nil
}

// writtenTo tells whether a version of the application would write to a table: one that was there before, or a new one
// with a key. What a change puts aside for its way back has none, or a name of ours, as items_switchback_old.
func writtenTo(t place, before *schema.Database) bool {
	in := before.Schema(t.in)
	return in != nil && in.Table(t.Name) != nil || len(t.KeyColumns()) > 0 && !strings.Contains(t.Name, "switchback_")
}

// kept looks for what the new version wrote.
func (r *run) kept(ctx context.Context, c *migrate.Change, last migrate.Phase, written map[string]int, one, control *subject) (fine bool, err error) {
	want, err := control.note(ctx)
	if err != nil {
		return false, err
	}
	now, err := one.note(ctx)
	if err != nil {
		return false, err
	}
	fine = true
	for _, name := range slices.Sorted(maps.Keys(want.tables)) {
		before, after := want.tables[name], now.tables[name]
		if after == nil {
			continue
		}
		lines := slices.DeleteFunc(before.against(after), func(line string) bool { return strings.HasPrefix(line, "new: ") })
		if n := len(after.rows) - len(before.rows); n < written[name] && len(lines) == 0 {
			lines = append(lines, fmt.Sprintf("of %d rows that the new version inserted, %d are there", written[name], max(0, n)))
		}
		if len(lines) == 0 {
			continue
		}
		fine = false
		r.loses(scriptOf(c, last, true), loss{name, lines}, fmt.Sprintf("forward to %s and back, what the new version wrote into %s is not all there", last, name))
	}
	return fine, nil
}
