package proof

import (
	"context"
	"database/sql"
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
// is done in a second scratch too, that does not see the change: in the end both are to hold the same.
func (r *run) withWrites(ctx context.Context, i int) error {
	if r.rows(i) != allRows {
		return nil // what it refuses of rows, it refuses of writes
	}
	list, err := r.before(ctx, i, written, control)
	if err != nil {
		return err
	}
	all := r.phases(r.Changes[i])
	for k := 1; k <= len(all); k++ {
		fine, err := r.oldWrites(ctx, i, all[:k], list[0], list[1])
		if err != nil || !fine {
			return err
		}
	}
	return r.newWrites(ctx, i, r.scratches[tried])
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
		having = ", with writes of the old version in between"
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
		broken, err := inBoth(ctx, f.inserts(t), control, one)
		if err != nil || broken.statement != "" {
			return broken, err
		}
		rows, err := f.ends(ctx, t)
		if err != nil {
			return brokenWrite{}, err
		}
		if broken, err = inBoth(ctx, f.changes(t, rows), control, one); err != nil || broken.statement != "" {
			return broken, err
		}
	}
	return brokenWrite{}, nil
}

// inBoth does in both databases what works in the first.
func inBoth(ctx context.Context, statements []string, control, one *subject) (brokenWrite, error) {
	for _, statement := range statements {
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

// inserts are two of the same shape.
func (f *filler) inserts(t place) []string {
	row := f.columns(t)
	if len(row) == 0 {
		return nil
	}
	return []string{f.statement(t, row, -1, 0), f.statement(t, row, -1, 0)}
}

// changes are an update of each column, in one of the rows that the conditions pick, and a delete.
func (f *filler) changes(t place, rows []string) []string {
	if len(rows) == 0 {
		return nil
	}
	d := f.db.Dialect()
	name, key := d.QuoteTable(t.in, t.Name), t.KeyColumns()
	var list []string
	for _, c := range f.columns(t) {
		if slices.Contains(key, c.Name) {
			continue
		}
		for choice, value := range c.values {
			if value == omitted {
				continue
			}
			f.next++
			list = append(list, fmt.Sprintf("UPDATE %s SET %s = %s%s", name, d.Quote(c.Name), numbered(value, f.next), rows[choice%2]))
		}
	}
	return append(list, "DELETE FROM "+name+rows[1])
}

// ends are WHERE clauses that pick the first and the last row of a table by its key, which is spelled out: a change may
// have rows of its own there. They are none where there is no key, or no row.
func (f *filler) ends(ctx context.Context, t place) ([]string, error) {
	d, key := f.db.Dialect(), t.KeyColumns()
	if len(key) == 0 {
		return nil, nil
	}
	var texts []string
	for _, c := range key {
		texts = append(texts, asText(d, d.Quote(c)))
	}
	var ends []string
	for _, direction := range []string{"", " DESC"} {
		var order []string
		for _, c := range key {
			order = append(order, d.Quote(c)+direction)
		}
		values := make([]sql.NullString, len(key))
		into := make([]any, len(key))
		for i := range values {
			into[i] = &values[i]
		}
		query := fmt.Sprintf("SELECT %s FROM %s ORDER BY %s LIMIT 1", strings.Join(texts, ", "), d.QuoteTable(t.in, t.Name), strings.Join(order, ", "))
		switch err := f.db.DB().QueryRowContext(ctx, query).Scan(into...); {
		case errors.Is(err, sql.ErrNoRows):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("read a key of %s: %w", t.Name, err)
		}
		var same []string
		for i := range key {
			same = append(same, texts[i]+" = "+literal(d, values[i].String))
		}
		ends = append(ends, " WHERE "+strings.Join(same, " AND "))
	}
	return ends, nil
}

// literal writes a text as SQL.
func literal(d migrate.Dialect, text string) string {
	if d.Engine == migrate.MySQL || d.Engine == migrate.MariaDB {
		text = strings.ReplaceAll(text, `\`, `\\`)
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// newWrites takes the change forward to where the new version runs, which is before contract and after it, inserts as
// that version does, and comes back: no row that was written may be gone, and those that were there before are as they
// were.
func (r *run) newWrites(ctx context.Context, i int, one *subject) error {
	c := r.Changes[i]
	all := r.phases(c)
	want, err := one.note(ctx)
	if err != nil {
		return err
	}
	written := map[string]int{}
	for k := 1; k <= len(all); k++ {
		if k < len(all) && all[k] != migrate.Contract {
			continue
		}
		if err := one.forward(ctx, c, all[:k]); err != nil {
			return r.failure(ctx, i, err, NotAgain)
		}
		if err := r.insertNew(ctx, c, one, written); err != nil {
			return err
		}
		r.tries++
		if err := one.back(ctx, c, nil); err != nil {
			return r.failure(ctx, i, err, Fails)
		}
		fine, err := r.kept(ctx, c, all[k-1], written, want, one)
		if err != nil || !fine {
			return err
		}
	}
	return nil
}

// insertNew inserts a row of the new shape into each table that the change works on, and counts those that were taken.
func (r *run) insertNew(ctx context.Context, c *migrate.Change, one *subject, written map[string]int) error {
	model, err := one.db.Inspect(ctx)
	if err != nil {
		return err
	}
	f := newFiller(one.db, model)
	f.next = 5000 + 50*r.tries
	for _, t := range f.inOrder() {
		if !mentions(c, t.Name) || !writtenTo(t, one.model) {
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
func (r *run) kept(ctx context.Context, c *migrate.Change, last migrate.Phase, written map[string]int, want *noted, one *subject) (fine bool, err error) {
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
