package recipes

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// view is a view that both versions read, beside their table.
type view struct {
	name     string
	old, now map[string]func(row values) any // what it says of a row, by its columns
	early    bool                            // it only gets columns behind: the new version reads them from expand on
}

// says is what a side must read of a row in the view. While the change is contracted, it is one of two things.
func (v *view) says(b *book, s side, r *record) []values {
	of := func(columns map[string]func(values) any, row values) values {
		out := values{}
		for name, say := range columns {
			out[name] = say(row)
		}
		return out
	}
	switch {
	case r.gone:
		return []values{nil}
	case s == blue || b.stage != contracting && b.stage != contracted && !v.early:
		return []values{of(v.old, r.blue)}
	case b.stage == contracting && !v.early:
		return []values{of(v.old, r.blue), of(v.now, r.green)}
	}
	return []values{of(v.now, r.green)}
}

// read reads rows of the view, if there is one, and tells what is wrong with them.
func (v *view) read(ctx context.Context, q queryer, g tongue, b *book, s side, rows []*record, where string, args ...any) (problem string, err error) {
	if v == nil {
		return "", nil
	}
	columns := v.now
	if s == blue {
		columns = v.old
	}
	as := shape{table: v.name}
	for _, name := range slices.Sorted(maps.Keys(columns)) {
		as.columns = append(as.columns, column{name: name})
	}
	found, err := readTable(ctx, q, g, as, where, args...)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s, err)
	}
	for _, r := range rows {
		want := v.says(b, s, r)
		if s == green && r.stale || slices.ContainsFunc(want, func(w values) bool { return maps.Equal(w, found[r.id]) }) {
			continue
		}
		return fmt.Sprintf("%s, stage %d, id %d: the view %s says %v, want %v", s, b.stage, r.id, v.name, found[r.id], want), nil
	}
	return "", nil
}
