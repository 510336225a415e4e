package lint

import (
	"strings"
	"time"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// cost is what a statement does with the rows of its table when it breaks a rule, and how others notice.
type cost struct {
	time func(recipe.Size) time.Duration // nil: it does not depend on the rows
	lock string                          // PostgreSQL's, where nothing was observed
}

// touches says what a statement would touch on the target. Where the target's sizes are not known it is what was
// observed.
func (l *linter) touches(r Rule, st *statement, h hit) *check.Touch {
	table := tableOf(st, h)
	size, ok := sizeOf(l.options.Sizes, table)
	if !ok {
		return h.touch
	}
	t := check.Touch{Table: table}
	if h.touch != nil {
		t = *h.touch
	}
	t.Rows, t.Bytes = size.Rows, size.Bytes
	if r.cost.time != nil {
		t.Time = r.cost.time(size)
	}
	if t.Lock == "" && l.options.Engine == migrate.Postgres {
		t.Lock = r.cost.lock
	}
	return &t
}

// tableOf is the table that a hit is about.
func tableOf(st *statement, h hit) string {
	if h.touch != nil && h.touch.Table != "" {
		return h.touch.Table
	}
	if name, ok := strings.CutPrefix(h.object, "table "); ok {
		return name
	}
	if st == nil {
		return ""
	}
	return st.table
}

// sizeOf finds a table. A name without its schema may be of several: it is that of the largest.
func sizeOf(sizes map[recipe.Table]recipe.Size, name string) (size recipe.Size, ok bool) {
	for t, s := range sizes {
		full := t.Name
		if t.Schema != "main" { // where there are no schemas
			full = t.Schema + "." + t.Name
		}
		if sameName(full, name) && (!ok || s.Bytes > size.Bytes) {
			size, ok = s, true
		}
	}
	return size, ok
}
