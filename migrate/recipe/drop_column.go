package recipe

import (
	"fmt"
	"slices"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// DropColumn drops a column: at contract it goes to the attic, where it stays as it is until purge.
type DropColumn struct {
	Table  Table
	Column string
	Fill   string // expression for the rows that the new version writes without it; empty: the type's zero
}

// String implements Operation.
func (o DropColumn) String() string {
	text := fmt.Sprintf("drop column %s.%s", o.Table, word(o.Column))
	if o.Fill != "" {
		text += " fill (" + o.Fill + ")"
	}
	return text
}

type dropColumn struct {
	nothing
	op      DropColumn
	table   Table
	before  *schema.Table
	attic   string
	value   string // the default that lets the new version do without the column; empty: none is needed
	nulls   bool   // it is freed of NOT NULL instead
	leaving *schema.Column
}

func (o DropColumn) on() Table { return o.Table }

func (o DropColumn) recipe(p *planner) (recipe, error) {
	table, t, c, err := p.column(o, o.Table, o.Column)
	if err != nil {
		return nil, err
	}
	r := &dropColumn{op: o, table: table, before: t, leaving: c, attic: fit(p.engine.limit(), oldPrefix, o.Column)}
	if err := p.readable(o, table, o.Column); err != nil {
		return nil, err
	}
	ruled := false
	for _, k := range t.Constraints {
		about := slices.Contains(k.Columns, o.Column) || len(named(p.engine, &schema.Table{Columns: []*schema.Column{c}}, k.Definition)) > 0
		switch {
		case !about || k.Type == schema.NotNull:
		case k.Type == schema.PrimaryKey:
			return nil, &Error{o, "it is part of the primary key", "give the table another key first"}
		default:
			ruled = true
		}
	}
	if t.Column(r.attic) != nil {
		return nil, &Error{o, fmt.Sprintf("the attic of %s holds a column %s already", table, word(o.Column)), "switchback purge, for the change that put it there"}
	}
	for _, x := range t.Indexes {
		ruled = ruled || x.Unique && slices.Contains(x.Columns, o.Column)
	}
	if c.NotNull && c.Default == "" && c.Identity == "" && c.Generated == "" {
		r.value = or(o.Fill, p.engine.zero(c.Type))
		if !isConstant(r.value) || ruled {
			r.nulls, r.value = true, ""
		}
	}
	return r, nil
}

func (r *dropColumn) expand(p *planner) error {
	switch {
	case r.nulls:
		if err := p.step(nil, func(e *edit) { e.column(r.table, r.op.Column).NotNull = false }); err != nil {
			return err
		}
		return p.refill(r.table, r.before, r.op.Column, r.op.Fill)
	case r.value != "":
		p.saying = "The new version writes rows without the column: they get a value that says nothing. Changes the catalogue only."
		defer func() { p.saying = "" }()
		return p.step(nil, func(e *edit) { e.column(r.table, r.op.Column).Default = r.value })
	}
	return nil
}

func (r *dropColumn) contract(p *planner) error {
	return p.rename([]diff.Rename{{Kind: schema.KindColumn, Schema: r.table.Schema, Parent: r.table.Name, From: r.op.Column, To: r.attic}})
}

func (r *dropColumn) purge(p *planner) error {
	if p.engine.name() != "sqlite" { // its purge is one transaction
		if err := p.loosenColumn(r.table, r.attic); err != nil {
			return err
		}
	}
	return p.purgeColumns(r.table, r.attic)
}
