package recipe

import (
	"fmt"
	"slices"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// ReplaceConstraint gives a constraint another definition: the new one is added under a temporary name, and
// takes the name of the old one at contract. Until then rows have to obey both. Where no constraint can be renamed, and
// where a foreign key only acts otherwise, the two are exchanged at contract.
type ReplaceConstraint struct {
	Table      Table
	Constraint schema.Constraint
}

// String implements Operation.
func (o ReplaceConstraint) String() string {
	return fmt.Sprintf("replace constraint %s.%s %s", o.Table, word(o.Constraint.Name), o.Constraint.Definition)
}

func (o ReplaceConstraint) on() Table { return o.Table }

type replaceConstraint struct {
	addConstraint
	name, temp, attic string
}

func (o ReplaceConstraint) recipe(p *planner) (recipe, error) {
	table, t, err := p.table(o, o.Table)
	if err != nil {
		return nil, err
	}
	old := t.Constraint(o.Constraint.Name)
	_, named := p.engine.renameConstraint(table, "", "")
	switch {
	case old == nil:
		return nil, &Error{o, fmt.Sprintf("table %s has no constraint %s", table, word(o.Constraint.Name)), "switchback schema show " + table.String()}
	case old.Type == schema.PrimaryKey && keyReplaceable(p.engine, p.now, table, t, old, &o.Constraint):
		return newReplaceKey(p, o, table, t, old)
	case old.Type == schema.PrimaryKey:
		return nil, &Error{o, "there cannot be two of it for a time", "drop it and add it, each in a change of its own"}
	}
	if err := p.replaced(o, table, ruled(p.engine, t, o.Constraint)...); err != nil {
		return nil, err
	}
	partitioned := schema.Value(t.Options, "partition key") != "" // a foreign key of it is validated as it is added
	if !named || sameReference(table, old, &o.Constraint) && !partitioned {
		if err := exchangeable(o, old); err != nil {
			return nil, err
		}
		return &exchangeConstraint{addConstraint: addConstraint{op: AddConstraint(o), table: table}, old: old}, nil
	}
	r := &replaceConstraint{name: old.Name, temp: fit(p.engine.limit(), newPrefix, old.Name), attic: fit(p.engine.limit(), oldPrefix, old.Name)}
	if err := p.vacant(o, table, o.Constraint.Name, r.temp, r.attic); err != nil {
		return nil, err
	}
	k := o.Constraint
	k.Name = r.temp
	r.addConstraint = addConstraint{op: AddConstraint{Table: o.Table, Constraint: k}, table: table}
	return r, nil
}

// vacant refuses a constraint or index of which there were two when the plan began, as another change replaces it or
// has put its predecessor into the attic.
func (p *planner) vacant(op Operation, table Table, name string, others ...string) error {
	var t *schema.Table
	if in := p.begun.Schema(table.Schema); in != nil {
		t = in.Table(table.Name)
	}
	if t == nil {
		return nil // made by this plan
	}
	for _, other := range others {
		if t.Constraint(other) != nil || t.Index(other) != nil {
			return &Error{op, fmt.Sprintf("another change has made %s of %s already, in the place of %s or for it", word(other), table, word(name)), "finish that change first: contract it, and then, once nobody will go back, switchback purge; or roll it back"}
		}
	}
	return nil
}

func (r *replaceConstraint) settle(p *planner) error {
	for _, way := range [][2]string{{r.name, r.attic}, {r.temp, r.name}} {
		forward, _ := p.engine.renameConstraint(r.table, way[0], way[1])
		back, _ := p.engine.renameConstraint(r.table, way[1], way[0])
		p.raw([]Statement{{SQL: forward, Why: "Changes the catalogue only."}}, []Statement{{SQL: back, Why: "Changes the catalogue only."}}, func(e *edit) { e.renameConstraint(r.table, way[0], way[1]) })
	}
	return p.step(nil, func(e *edit) {
		t := e.table(r.table)
		t.Constraints = slices.DeleteFunc(t.Constraints, func(k *schema.Constraint) bool { return k.Name == r.attic })
	})
}

// ReplaceIndex gives an index another definition: the new one is built under a temporary name while others
// write, and takes the name of the old one at contract. SQLite exchanges them at contract, in one transaction.
type ReplaceIndex struct {
	Table Table
	Index schema.Index
}

// String implements Operation.
func (o ReplaceIndex) String() string {
	return fmt.Sprintf("replace index %s.%s %s", o.Table, word(o.Index.Name), o.Index.Definition)
}

func (o ReplaceIndex) on() Table { return o.Table }

type replaceIndex struct {
	addIndex
	name, temp, attic string
}

func (o ReplaceIndex) recipe(p *planner) (recipe, error) {
	table, t, err := p.table(o, o.Table)
	if err != nil {
		return nil, err
	}
	old := t.Index(o.Index.Name)
	if old == nil {
		return nil, &Error{o, fmt.Sprintf("table %s has no index %s", table, word(o.Index.Name)), "switchback schema show " + table.String()}
	}
	if err := p.replaced(o, table, named(p.engine, t, behind(o.Index.Definition))...); err != nil {
		return nil, err
	}
	if p.rebuilds() { // an index cannot be renamed there
		return &exchangeIndex{op: o, table: table}, nil
	}
	r := &replaceIndex{name: old.Name, temp: fit(p.engine.limit(), newPrefix, old.Name), attic: fit(p.engine.limit(), oldPrefix, old.Name)}
	if err := p.vacant(o, table, o.Index.Name, r.temp, r.attic); err != nil {
		return nil, err
	}
	x, err := p.indexOf(o, o.Index)
	if err != nil {
		return nil, err
	}
	x.Definition, x.Name = (&reshape{}).renameIndex(p, x.Definition, x.Name, r.temp), r.temp
	r.addIndex = addIndex{op: AddIndex{Table: o.Table, Index: x}, table: table}
	return r, nil
}

func (r *replaceIndex) settle(p *planner) error {
	named := func(from, to string) diff.Rename {
		return diff.Rename{Kind: schema.KindIndex, Schema: r.table.Schema, Parent: r.table.Name, From: from, To: to}
	}
	if err := p.rename([]diff.Rename{named(r.name, r.attic), named(r.temp, r.name)}); err != nil {
		return err
	}
	return p.step(nil, func(e *edit) {
		t := e.table(r.table)
		t.Indexes = slices.DeleteFunc(t.Indexes, func(x *schema.Index) bool { return x.Name == r.attic })
	})
}

// exchangeIndex drops an index and builds it in its other form, in the transaction of contract.
type exchangeIndex struct {
	nothing
	op    ReplaceIndex
	table Table
}

func (r *exchangeIndex) settle(p *planner) error {
	return p.step(nil, func(e *edit) {
		t := e.table(r.table)
		for i, x := range t.Indexes {
			if x.Name == r.op.Index.Name {
				next := r.op.Index
				t.Indexes[i] = &next
			}
		}
	})
}
