package recipes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
)

// oracle is what must be in the database, and for which versions of the application. It knows of each change which
// phases are applied, and of each row the value of each cell.
type oracle struct {
	planned  []*chainChange
	versions []*chainVersion // versions[n] comes after n changes
	phases   map[*chainChange]map[migrate.Phase]bool
	entities []*entity
}

func (o *oracle) at(c *chainChange, p migrate.Phase) bool { return o.phases[c][p] }

// contracted is how many changes are contracted: the oldest version that can run. A change without that phase is
// when what it has is applied and no later one is on its way without it.
func (o *oracle) contracted() int {
	n := 0
	for i, c := range o.planned {
		if o.at(c, migrate.Contract) {
			n = i + 1
		}
	}
	return n
}

// newest is the newest version that can run.
func (o *oracle) newest() int {
	n := 0
	for i, c := range o.planned {
		if !o.at(c, migrate.Backfill) {
			break
		}
		n = i + 1
	}
	return n
}

// actual is the column that a version finds under the name of one of its own: the old one, as long as the new one is
// hidden.
func (o *oracle) actual(c *chainColumn) []*chainColumn {
	list := []*chainColumn{c}
	for l := c.cell.link; l != nil && l.hidden && !o.at(l.change, migrate.Contract); l = c.cell.link {
		c = l.change.from.column(l.old[0])
		list = append(list, c)
	}
	return list
}

// defaultOf is what a cell gets that is not written.
func (o *oracle) defaultOf(c *cell) any {
	for _, x := range o.planned {
		if v, ok := x.defaults[c]; ok && o.at(x, migrate.Expand) {
			return v
		}
	}
	n := o.contracted()
	if x := o.versions[n].column(c); x != nil {
		return x.value
	}
	for _, v := range o.versions[n:] {
		if x := v.column(c); x == nil {
			continue
		} else if c.link != nil && !c.link.once {
			return c.link.initial[slices.Index(c.link.new, c)]
		} else {
			return x.value
		}
	}
	for _, v := range slices.Backward(o.versions[:n]) {
		if x := v.column(c); x != nil {
			return x.value
		}
	}
	return nil
}

// cells are those of a table's rows now.
func (o *oracle) cells(e *entity) []*cell {
	var list []*cell
	for _, c := range o.versions[0].of(e).columns {
		list = append(list, c.cell)
	}
	for _, x := range o.planned {
		if o.at(x, migrate.Expand) {
			for _, c := range x.fresh() {
				if slices.ContainsFunc(x.to.of(e).columns, func(k *chainColumn) bool { return k.cell == c }) {
					list = append(list, c)
				}
			}
		}
	}
	return list
}

func (c *chainChange) fresh() []*cell {
	list := slices.Clone(c.added)
	for _, l := range c.links {
		list = append(list, l.new...)
	}
	return list
}

// links are those whose triggers are there, in the order in which they go up.
func (o *oracle) links() []*link {
	var list []*link
	for _, c := range o.planned {
		if o.at(c, migrate.Expand) && !o.at(c, migrate.Purge) {
			list = append(list, c.links...)
		}
	}
	return list
}

func valuesOf(r *chainRow, list []*cell) []any {
	out := make([]any, len(list))
	for i, c := range list {
		out[i] = r.values[c]
	}
	return out
}

func (r *chainRow) set(list []*cell, values []any) {
	for i, c := range list {
		r.values[c] = values[i]
	}
}

// insert enters a row as a version writes it.
func (o *oracle) insert(e *entity, id int64, set map[*cell]any) {
	r := &chainRow{id: id, values: map[*cell]any{}, stale: map[*link]bool{}}
	for _, c := range o.cells(e) {
		r.values[c] = o.defaultOf(c)
	}
	e.rows = append(e.rows, r)
	o.write(e, r, set, true)
}

// write enters values, and lets the links follow: up in their order, down in the reverse one.
func (o *oracle) write(e *entity, r *chainRow, set map[*cell]any, insert bool) {
	was := map[*cell]any{}
	for c, v := range r.values {
		was[c] = v
	}
	for c, v := range set {
		r.values[c] = v
	}
	changed := func(list []*cell) bool {
		return slices.ContainsFunc(list, func(c *cell) bool { return r.values[c] != was[c] })
	}
	cells := o.cells(e)
	mine := slices.DeleteFunc(o.links(), func(l *link) bool { return !slices.Contains(cells, l.new[0]) })
	for _, l := range mine {
		if o.at(l.change, migrate.Contract) {
			continue
		}
		written := !insert && changed(l.new) || insert && !slices.Equal(valuesOf(r, l.new), l.initial)
		switch {
		case l.once && (!insert || written):
		case l.hidden && (insert || changed(l.old)), !l.hidden && !written && (insert || changed(l.old)):
			r.set(l.new, l.up(valuesOf(r, l.old)))
			delete(r.stale, l)
		}
	}
	for _, l := range slices.Backward(mine) {
		if l.down == nil || l.hidden && !o.at(l.change, migrate.Contract) || !insert && !changed(l.new) {
			continue
		}
		if !slices.Equal(valuesOf(r, l.new), l.up(valuesOf(r, l.old))) {
			r.set(l.old, l.down(valuesOf(r, l.new)))
		}
	}
}

// apply enters that a phase was applied.
func (o *oracle) apply(c *chainChange, p migrate.Phase) {
	o.phases[c][p] = true
	for _, e := range o.entities {
		cells := o.cells(e)
		for _, r := range e.rows {
			switch p {
			case migrate.Expand:
				o.begin(c, r, cells)
			case migrate.Backfill:
				for _, l := range c.links {
					if r.stale[l] {
						r.set(l.new, l.up(valuesOf(r, l.old)))
						delete(r.stale, l)
					}
				}
			}
		}
	}
}

// begin gives a row the cells that expand adds.
func (o *oracle) begin(c *chainChange, r *chainRow, cells []*cell) {
	for _, l := range c.links {
		if slices.Contains(cells, l.new[0]) {
			r.set(l.new, l.initial)
			r.stale[l] = true
		}
	}
	for _, x := range c.added {
		if slices.Contains(cells, x) {
			r.values[x] = c.to.column(x).value
		}
	}
}

// undo enters that a phase was rolled back.
func (o *oracle) takeBack(c *chainChange, p migrate.Phase) {
	o.phases[c][p] = false
	if p != migrate.Expand {
		return
	}
	for _, e := range o.entities {
		for _, r := range e.rows {
			for _, x := range c.fresh() {
				delete(r.values, x)
			}
			for _, l := range c.links {
				delete(r.stale, l)
			}
			for _, f := range c.refills {
				if v, there := r.values[f.cell]; there && v == nil && !r.gone {
					o.write(e, r, map[*cell]any{f.cell: f.value(r)}, false)
				}
			}
		}
	}
}

// describe is a chain in words.
func (o *oracle) describe() string {
	var b strings.Builder
	b.WriteString(o.versions[0].script(""))
	for _, c := range o.planned {
		fmt.Fprintf(&b, "change %d:\n", c.number)
		for _, op := range c.operations {
			b.WriteString("  " + op + "\n")
		}
	}
	return b.String()
}
