package recipe

import (
	"fmt"
	"slices"

	"github.com/switchbackdb/switchback/schema"
)

// SetNotNull makes a column NOT NULL. With a Fill, rows without a value get one, and the old version may go
// on to write NULL; what was NULL is remembered in the attic. Without, there must be none.
type SetNotNull struct {
	Table  Table
	Column string
	Fill   string
}

// String implements Operation.
func (o SetNotNull) String() string {
	text := fmt.Sprintf("set not null %s.%s", o.Table, word(o.Column))
	if o.Fill != "" {
		text += " fill (" + o.Fill + ")"
	}
	return text
}

type setNotNull struct {
	nothing
	op    SetNotNull
	table Table
}

func (o SetNotNull) on() Table { return o.Table }

func (o SetNotNull) recipe(p *planner) (recipe, error) {
	table, t, c, err := p.column(o, o.Table, o.Column)
	if err != nil {
		return nil, err
	}
	if c.NotNull {
		return nil, &Error{o, "it is NOT NULL already", ""}
	}
	if err := p.thawed(o, t); err != nil {
		return nil, err
	}
	if o.Fill == "" {
		if err := p.replaced(o, table, o.Column); err != nil {
			return nil, err
		}
		return &setNotNull{op: o, table: table}, nil
	}
	temp := fit(p.engine.limit(), newPrefix, o.Column)
	added := successor(c, temp)
	added.NotNull = true
	r, err := newReshape(p, o, table, &rule{
		old: []string{o.Column}, new: []string{temp}, hidden: true,
		up: only(temp, fmt.Sprintf("coalesce(%s, %s)", p.engine.quote(o.Column), o.Fill)), down: only(o.Column, p.engine.quote(temp)),
		renamed: only(temp, o.Column),
	}, columns(added))
	if err != nil {
		return nil, err
	}
	r.total, r.same[o.Column] = true, temp
	return r, nil
}

func (r *setNotNull) fill(p *planner) error {
	q := p.engine.quote(r.op.Column)
	p.scripts.step([]Statement{{
		SQL: fmt.Sprintf("SELECT *\nFROM %s\nWHERE %s IS NULL\nLIMIT 5", p.engine.table(r.table), q),
		Why: "Reads the table without a lock.", Assert: fmt.Sprintf("rows of %s have no %s: give them a value, or plan with a fill", r.table, r.op.Column),
	}}, nil)
	return p.step(nil, func(e *edit) { e.column(r.table, r.op.Column).NotNull = true })
}

// DropNotNull lets a column be NULL. The old version may read NULLs from expand on.
type DropNotNull struct {
	Table  Table
	Column string
	Fill   string // what rows without a value get on the way back; empty: they are named, and it stops
}

// String implements Operation.
func (o DropNotNull) String() string {
	text := fmt.Sprintf("drop not null %s.%s", o.Table, word(o.Column))
	if o.Fill != "" {
		text += " fill (" + o.Fill + ")"
	}
	return text
}

type dropNotNull struct {
	nothing
	op     DropNotNull
	table  Table
	before *schema.Table
}

func (o DropNotNull) on() Table { return o.Table }

func (o DropNotNull) recipe(p *planner) (recipe, error) {
	table, t, c, err := p.column(o, o.Table, o.Column)
	if err != nil {
		return nil, err
	}
	switch {
	case !c.NotNull:
		return nil, &Error{o, "it may be NULL already", ""}
	case slices.Contains(t.KeyColumns(), c.Name):
		return nil, &Error{o, fmt.Sprintf("column %s is part of the primary key, which is never NULL", word(c.Name)), "give the table another key first, in a change written by hand: switchback new"}
	case c.Identity != "" || schema.Value(c.Options, "auto_increment") != "":
		return nil, &Error{o, fmt.Sprintf("column %s draws its values by itself, and such a column is never NULL", word(c.Name)), "take the numbers off it first, in a change written by hand: switchback new"}
	}
	if err := p.thawed(o, t); err != nil {
		return nil, err
	}
	// A column in the attic that is kept in step would go on to refuse what this one may be.
	if err := kept(o, o.Column, readersOf(p, table, o.Column)); err != nil {
		return nil, err
	}
	if p.rebuilds() {
		if err := settledTable(o, table, t); err != nil {
			return nil, err
		}
	}
	return &dropNotNull{op: o, table: table, before: t}, nil
}

func (r *dropNotNull) expand(p *planner) error {
	if err := p.step(nil, func(e *edit) { e.column(r.table, r.op.Column).NotNull = false }); err != nil {
		return err
	}
	return p.refill(r.table, r.before, r.op.Column, r.op.Fill)
}
