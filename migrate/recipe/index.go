package recipe

import (
	"fmt"
	"slices"

	"github.com/switchbackdb/switchback/schema"
)

// AddIndex adds an index, built while others write.
type AddIndex struct {
	Table Table
	Index schema.Index // its definition is as the engine writes it
}

// String implements Operation.
func (o AddIndex) String() string {
	return fmt.Sprintf("add index %s.%s %s", o.Table, word(o.Index.Name), o.Index.Definition)
}

type addIndex struct {
	nothing
	op    AddIndex
	table Table
}

func (o AddIndex) on() Table { return o.Table }

func (o AddIndex) recipe(p *planner) (recipe, error) {
	table, t, err := p.table(o, o.Table)
	if err != nil {
		return nil, err
	}
	if t.Index(o.Index.Name) != nil {
		return nil, &Error{o, fmt.Sprintf("table %s has an index %s already", table, word(o.Index.Name)), ""}
	}
	if err := p.replaced(o, table, named(p.engine, t, behind(o.Index.Definition))...); err != nil {
		return nil, err
	}
	if o.Index, err = p.indexOf(o, o.Index); err != nil {
		return nil, err
	}
	return &addIndex{op: o, table: table}, nil
}

// indexOf writes an index as the engine's model has it.
func (p *planner) indexOf(op Operation, x schema.Index) (schema.Index, error) {
	w, ok := p.engine.(interface {
		indexOf(schema.Index) (schema.Index, bool)
	})
	if !ok {
		return x, nil
	}
	if x, ok = w.indexOf(x); !ok {
		return x, &Error{op, "the statement is no CREATE INDEX … ON TABLE (COLUMN, …)", ""}
	}
	return x, nil
}

func (r *addIndex) index(p *planner) error {
	x := r.op.Index
	return p.step(nil, func(e *edit) {
		t := e.table(r.table)
		t.Indexes = append(t.Indexes, &x)
	})
}

// DropIndex drops an index, at contract: until then the old version relies on it.
type DropIndex struct {
	Table Table
	Name  string
}

// String implements Operation.
func (o DropIndex) String() string {
	return fmt.Sprintf("drop index %s.%s", o.Table, word(o.Name))
}

type dropIndex struct {
	nothing
	op    DropIndex
	table Table
}

func (o DropIndex) on() Table { return o.Table }

func (o DropIndex) recipe(p *planner) (recipe, error) {
	table, t, err := p.table(o, o.Table)
	if err != nil {
		return nil, err
	}
	if t.Index(o.Name) == nil {
		return nil, &Error{o, fmt.Sprintf("table %s has no index %s", table, word(o.Name)), "switchback schema show " + table.String()}
	}
	if x := t.Index(o.Name); x.Unique { // the other one would go on to refuse rows
		if err := p.vacant(o, table, o.Name, fit(p.engine.limit(), oldPrefix, o.Name), fit(p.engine.limit(), newPrefix, o.Name)); err != nil {
			return nil, err
		}
	}
	return &dropIndex{op: o, table: table}, nil
}

func (r *dropIndex) settle(p *planner) error {
	return p.step(nil, func(e *edit) {
		t := e.table(r.table)
		t.Indexes = slices.DeleteFunc(t.Indexes, func(x *schema.Index) bool { return x.Name == r.op.Name })
	})
}
