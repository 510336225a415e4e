package recipe

import (
	"fmt"
	"regexp"

	"github.com/switchbackdb/switchback/schema"
)

// AddColumn adds a column. The old version does not know it, so a NOT NULL one needs a default or a Fill.
type AddColumn struct {
	Table  Table
	Column schema.Column
	Fill   string // expression over the other columns that gives rows a value to start with; may be empty
}

// String implements Operation.
func (o AddColumn) String() string {
	text := fmt.Sprintf("add column %s.%s %s", o.Table, word(o.Column.Name), o.Column.Type)
	if o.Column.NotNull {
		text += " not null"
	}
	if o.Column.Default != "" {
		text += " default (" + o.Column.Default + ")"
	}
	if o.Fill != "" {
		text += " fill (" + o.Fill + ")"
	}
	return text
}

// addColumn is the recipe: a column whose default is a constant comes at once; else it comes without a
// value, and is filled like a new shape.
type addColumn struct {
	nothing
	op    AddColumn
	table Table
	rule  *rule // nil when no row has to be filled
	// loan is the default that the column has until contract, for statements that give a column without one a value before any
	// trigger does, or are refused: LOAD DATA on MySQL, INSERT … SELECT on MariaDB.
	loan string
}

// plainLiteral is a number or a text by itself, which every server takes for a default.
var plainLiteral = regexp.MustCompile(`^(-?\d+(\.\d+)?|'([^'\\]|'')*')$`)

func (o AddColumn) on() Table { return o.Table }

func (o AddColumn) recipe(p *planner) (recipe, error) {
	table, t, err := p.table(o, o.Table)
	if err != nil {
		return nil, err
	}
	o.Column.Type = p.engine.canonical(o.Column.Type)
	o.Column.Default = p.defaultOf(o.Column.Default)
	c := o.Column
	if t.Column(c.Name) != nil {
		return nil, &Error{o, fmt.Sprintf("table %s has a column %s already", table, word(c.Name)), ""}
	}
	r := &addColumn{op: o, table: table}
	fill := o.Fill
	if fill == "" && c.Default != "" && !isConstant(c.Default) {
		fill = c.Default
	}
	switch {
	case c.Generated != "" || c.Identity != "":
		p.note("Column %s of %s is computed for each row: unless the engine does that when it is read, the table is rewritten while it is locked.", word(c.Name), table)
		return r, nil
	case fill == "" && c.NotNull && c.Default == "":
		return nil, &Error{o, "the running version does not write the column, so it cannot be NOT NULL", "say what rows get that do not have it, as in: fill (0), or give it a default"}
	case fill == "":
		return r, nil
	}
	if walkKey(t) == nil {
		return nil, noKey(o, table)
	}
	r.rule = &rule{old: named(p.engine, t, fill), new: []string{c.Name}, up: only(c.Name, fill), once: true, types: map[string]string{c.Name: c.Type}, initial: map[string]string{}}
	for _, name := range r.rule.old {
		r.rule.types[name] = t.Column(name).Type
	}
	if isConstant(c.Default) {
		r.rule.initial[c.Name] = c.Default
	}
	if g, ok := p.engine.(*mysql); ok && c.NotNull && c.Default == "" {
		if plainLiteral.MatchString(fill) {
			r.loan = fill
		} else if g.mariadb {
			p.noteRefused(table, c.Name)
		}
	}
	return r, nil
}

func (r *addColumn) expand(p *planner) error {
	c := r.op.Column
	if r.rule != nil {
		c.NotNull, c.Default = false, ""
	}
	if err := p.step(nil, func(e *edit) {
		t := e.table(r.table)
		t.Columns = append(t.Columns, &c)
	}); err != nil || r.rule == nil {
		return err
	}
	if d := or(r.op.Column.Default, r.loan); d != "" {
		if err := p.step(nil, func(e *edit) { e.column(r.table, c.Name).Default = d }); err != nil {
			return err
		}
	}
	s, err := p.sync(r.op, r.table)
	if err != nil {
		return err
	}
	s.rules = append(s.rules, r.rule)
	return nil
}

func (r *addColumn) fill(p *planner) error {
	if r.rule == nil || !r.op.Column.NotNull {
		return nil
	}
	return p.step(nil, func(e *edit) { e.column(r.table, r.op.Column.Name).NotNull = true })
}

func (r *addColumn) settle(p *planner) error {
	if r.loan == "" {
		return nil
	}
	return p.step(nil, func(e *edit) { e.column(r.table, r.op.Column.Name).Default = "" })
}
