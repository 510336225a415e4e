package recipes

import (
	"slices"
	"sync"
	"sync/atomic"
)

// stage is how far the change is.
type stage int

const (
	plain       stage = iota // not expanded
	expanding                // or going back
	expanded                 // both shapes are there
	contracting              // or going back
	contracted               // the old shape is in the attic
)

// record is what the book has of a row. Whoever works on the row holds its lock.
type record struct {
	sync.Mutex
	id    int64
	gone  bool
	blue  values // as the old shape must read
	green values // as the new shape must read
	stale bool   // the new shape is not filled yet

	passed []values // what the old shape read before writes that no trigger may have seen
}

// book keeps what the table must hold. It knows the relations of a case from its functions in Go alone.
type book struct {
	c      *matrixCase
	gaps   bool         // the group that exchanges the shapes is interrupted, and triggers are away meanwhile
	gate   sync.RWMutex // held by each piece of work; and alone by who wants quiet
	stage  stage        // changes in quiet
	number atomic.Int64

	mu   sync.Mutex
	rows []*record
}

// quiet runs f while no client is at work.
func (b *book) quiet(f func()) {
	b.gate.Lock()
	defer b.gate.Unlock()
	f()
}

// all returns the rows there have ever been.
func (b *book) all() []*record {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clip(b.rows)
}

// create returns new rows, locked. They are gone until they are written.
func (b *book) create(n int) []*record {
	list := make([]*record, n)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range list {
		list[i] = &record{id: int64(len(b.rows) + 1), gone: true, blue: values{}, green: values{}}
		list[i].Lock()
		b.rows = append(b.rows, list[i])
	}
	return list
}

// hides tells whether a side still goes by the old column of that name.
func (b *book) hides(name string) bool {
	return b.stage != contracted && slices.ContainsFunc(b.c.relations, func(r relation) bool { return r.hidden && slices.Contains(r.new, name) })
}

func (b *book) related(name string) bool {
	return slices.ContainsFunc(b.c.relations, func(r relation) bool { return slices.Contains(r.old, name) || slices.Contains(r.new, name) })
}

// shape is what a side works with.
func (b *book) shape(s side) shape {
	if s == blue {
		return b.c.blue
	}
	return b.c.green
}

// definition is the column as the side finds it in the table now.
func (b *book) definition(s side, name string) *column {
	if s == blue || b.stage != contracted {
		if c := b.c.blue.column(name); c != nil && (s == blue || !b.related(name) || b.hides(name)) {
			return c
		}
	}
	return b.c.green.column(name)
}

// reads is what a side must read of a row.
func (b *book) reads(s side, r *record) values {
	if s == blue {
		return r.blue
	}
	out := values{}
	for _, name := range b.c.green.names() {
		if b.hides(name) {
			out[name] = r.blue[name]
		} else {
			out[name] = r.green[name]
		}
	}
	return out
}

// writes enters what a side wrote.
func (b *book) writes(s side, r *record, set values) {
	insert := r.gone
	oldBefore, newBefore := r.blue.clone(), r.green.clone()
	if insert {
		r.gone = false
		b.begin(s, r, set)
	}
	for name, v := range set {
		b.enter(s, r, name, v)
	}
	defer b.make(r, set)
	if b.gaps && b.stage == contracting && !insert {
		r.passed = append(r.passed, oldBefore)
	}
	if b.stage == plain {
		return
	}
	for _, rel := range b.c.relations {
		b.follow(rel, r, insert, oldBefore, newBefore)
	}
	if b.stage == expanding {
		r.stale = true
	}
}

// make enters what triggers and functions make of a row that was written: they change at contract.
func (b *book) make(r *record, set values) {
	now, row := b.c.blue, r.blue
	if b.stage == contracted {
		now, row = b.c.green, r.green
	}
	for _, c := range now.columns {
		if _, written := set[c.name]; c.made != nil && (c.call == "" || written) {
			r.blue[c.name] = c.made(row)
			r.green[c.name] = r.blue[c.name]
		}
	}
}

// steady tells whether triggers and functions make the same of a row that green writes, before and after contract.
func (b *book) steady(r *record, set values) bool {
	old, now := values{}, values{}
	if !r.gone {
		old, now = r.blue.clone(), r.green.clone()
	}
	for name, v := range set {
		old[name], now[name] = v, v
	}
	for _, rel := range b.c.relations {
		if rel.down != nil && !rel.hidden {
			old.set(rel.down(now), rel.old)
		}
	}
	return !slices.ContainsFunc(b.c.blue.columns, func(c column) bool {
		return c.made != nil && c.made(old) != b.c.green.column(c.name).made(now)
	})
}

// settle enters that an old shape was left as it was by several writes in one gap, after which the new one is again what it was
// made of: only where they end is seen then, not each of them. From ("Ada", NULL) a merge makes NULL, and does so still after
// green wrote a name and NULL again.
func (b *book) settle(r *record, found values) {
	for _, rel := range b.c.relations {
		for _, old := range r.passed {
			if same(found, old, rel.old) && same(rel.up(old), r.green, rel.new) {
				r.blue.set(old, rel.old)
			}
		}
	}
}

// begin gives a new row what its columns start with.
func (b *book) begin(s side, r *record, set values) {
	r.blue, r.green, r.stale = values{"id": r.id}, values{"id": r.id}, false
	for _, c := range b.c.blue.columns {
		r.blue[c.name] = c.initial
	}
	for _, c := range b.c.green.columns {
		r.green[c.name] = c.initial
	}
	for _, c := range b.shape(s).columns {
		if _, ok := set[c.name]; !ok {
			b.enter(s, r, c.name, b.definition(s, c.name).initial)
		}
	}
}

// enter enters one column in the shapes that have it.
func (b *book) enter(s side, r *record, name string, v any) {
	switch {
	case !b.related(name):
		if b.c.blue.column(name) != nil {
			r.blue[name] = v
		}
		if b.c.green.column(name) != nil {
			r.green[name] = v
		}
	case s == blue || b.hides(name):
		r.blue[name] = v
	default:
		r.green[name] = v
	}
}

// follow makes one shape follow from the other.
func (b *book) follow(rel relation, r *record, insert bool, oldBefore, newBefore values) {
	written := !insert && !same(r.green, newBefore, rel.new)
	if insert {
		for _, c := range rel.new {
			written = written || r.green[c] != b.c.green.column(c).initial
		}
	}
	changed := !insert && !same(r.blue, oldBefore, rel.old)
	if b.stage != contracted && (insert && (rel.hidden || !written) || changed && !rel.once && (rel.hidden || !written)) {
		r.green.set(rel.up(r.blue), rel.new)
		// Of several new shapes the others may still be empty.
		r.stale = r.stale && (rel.once || len(b.c.relations) > 1)
	}
	if rel.down == nil || rel.hidden && b.stage != contracted {
		return
	}
	if (insert || !same(r.green, newBefore, rel.new)) && !same(r.green, rel.up(r.blue), rel.new) {
		r.blue.set(rel.down(r.green), rel.old)
	}
}

// expand enters that the new shape is there, empty.
func (b *book) expand() {
	for _, r := range b.rows {
		r.stale = true
		for _, c := range b.c.green.columns {
			if b.related(c.name) || b.c.blue.column(c.name) == nil {
				r.green[c.name] = c.initial
			}
		}
	}
}

// fill enters that the new shape is filled.
func (b *book) fill() {
	for _, r := range b.rows {
		if !r.stale || r.gone {
			continue
		}
		r.stale = false
		for _, rel := range b.c.relations {
			r.green.set(rel.up(r.blue), rel.new)
		}
	}
}

// unexpand enters that the new shape is gone.
func (b *book) unexpand() {
	for _, r := range b.rows {
		if b.c.back != nil && !r.gone {
			b.c.back(r.blue)
		}
		for _, c := range b.c.blue.columns {
			if !b.related(c.name) && b.c.green.column(c.name) != nil {
				r.green[c.name] = r.blue[c.name]
			}
		}
	}
}

// plainly tells whether a column of a row reads the same before and after contract, and a value written to it
// would too.
func (b *book) plainly(r *record, set values) bool {
	for _, rel := range b.c.relations {
		if !rel.hidden {
			continue
		}
		if !r.gone && !same(r.blue, r.green, rel.new) {
			return false
		}
		with := r.blue.clone()
		if with == nil {
			with = values{}
		}
		any := false
		for _, c := range rel.new {
			if v, ok := set[c]; ok {
				with[c], any = v, true
			}
		}
		if any && (!same(rel.up(with), with, rel.new) || !same(rel.down(with), with, rel.old)) {
			return false
		}
	}
	return b.steady(r, set)
}
