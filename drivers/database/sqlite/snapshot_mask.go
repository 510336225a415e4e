package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/snapshot"
)

var (
	_ snapshot.Masker = Copy{}
	_ snapshot.Masker = (*point)(nil)
)

// Mask implements snapshot.Masker, for the copy that the point is.
func (p *point) Mask(ctx context.Context, m *snapshot.Mask) error {
	if err := p.copied.Mask(ctx, m); err != nil {
		return err
	}
	masked, err := p.copied.OpenPoint(ctx, snapshot.PointOptions{})
	if err != nil {
		return err
	}
	old := p.file
	*p = *masked.(*point)
	return old.Close()
}

// Mask implements snapshot.Masker. Triggers do not fire, and are as they were afterwards. The file is written
// anew at last, since pages that are free now hold values from before.
func (c Copy) Mask(ctx context.Context, m *snapshot.Mask) (err error) {
	copied, err := Open(ctx, "sqlite:"+c.File(), Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	tables, err := copied.tables(ctx)
	if err != nil {
		return err
	}
	copied.db.SetMaxOpenConns(1)
	for _, s := range []string{"PRAGMA foreign_keys = OFF", "BEGIN IMMEDIATE"} {
		if _, err := copied.db.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	triggers, err := copied.dropTriggers(ctx)
	if err != nil {
		return err
	}
	for _, name := range tables {
		if rules := m.Columns(name); len(rules) > 0 {
			if err := copied.maskTable(ctx, name, rules, m); err != nil {
				return fmt.Errorf("table %s: %w", name, err)
			}
		}
	}
	for _, s := range append(triggers, "COMMIT", "VACUUM") {
		if _, err := copied.db.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// dropTriggers drops all triggers, and returns what makes them again.
func (d *Database) dropTriggers(ctx context.Context) ([]string, error) {
	rows, err := d.db.QueryContext(ctx, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names, create []string
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return nil, err
		}
		names, create = append(names, name), append(create, text)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, err := d.db.ExecContext(ctx, "DROP TRIGGER "+quote(name)); err != nil {
			return nil, err
		}
	}
	return create, nil
}

// maskBatch is how many rows are masked at once.
const maskBatch = 500

// maskTable takes all rows out and puts them back with their new values: a key that becomes another must not
// meet one that has not changed yet.
func (d *Database) maskTable(ctx context.Context, name string, rules map[string]snapshot.MaskRule, m *snapshot.Mask) error {
	columns, err := d.stored(ctx, name)
	if err != nil {
		return err
	}
	list := strings.Join(quoteAll(columns), ", ")
	for _, s := range []string{"CREATE TEMP TABLE switchback_unmasked AS SELECT " + list + " FROM main." + quote(name), "DELETE FROM main." + quote(name)} {
		if _, err := d.db.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(columns)), ", ")
	insert := fmt.Sprintf("INSERT INTO main.%s (%s) VALUES (%s)", quote(name), list, marks)
	for last := int64(0); ; {
		batch, err := d.unmasked(ctx, len(columns), last)
		if err != nil {
			return err
		}
		if len(batch) == 0 {
			break
		}
		for _, row := range batch {
			last = row[0].(int64)
			if err := maskRow(columns, row[1:], rules, m); err != nil {
				return err
			}
			if _, err := d.db.ExecContext(ctx, insert, row[1:]...); err != nil {
				return err
			}
		}
	}
	_, err = d.db.ExecContext(ctx, "DROP TABLE temp.switchback_unmasked")
	return err
}

// stored are the columns that rows are written with: generated ones are not.
func (d *Database) stored(ctx context.Context, table string) ([]string, error) {
	rows, err := d.db.QueryContext(ctx, "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid", table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, rows.Err()
}

// unmasked reads the next rows, each with its number first.
func (d *Database) unmasked(ctx context.Context, columns int, after int64) ([][]any, error) {
	rows, err := d.db.QueryContext(ctx, "SELECT rowid, * FROM temp.switchback_unmasked WHERE rowid > ? ORDER BY rowid LIMIT ?", after, maskBatch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var batch [][]any
	for rows.Next() {
		row, into := make([]any, columns+1), make([]any, columns+1)
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		batch = append(batch, row)
	}
	return batch, rows.Err()
}

func maskRow(columns []string, row []any, rules map[string]snapshot.MaskRule, m *snapshot.Mask) error {
	for i, name := range columns {
		rule, ok := rules[name]
		if !ok || row[i] == nil {
			continue
		}
		if rule.Kind == snapshot.MaskNull {
			row[i] = nil
			continue
		}
		masked, err := m.Value(rule, text(row[i]))
		if err != nil {
			return fmt.Errorf("column %s: %w", name, err)
		}
		row[i] = masked
		if n, err := strconv.ParseInt(masked, 10, 64); err == nil && rule.Kind == snapshot.MaskNumber {
			row[i] = n
		}
	}
	return nil
}

// text is a value as a text.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return fmt.Sprint(v)
}

func quoteAll(names []string) []string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = quote(n)
	}
	return all
}
