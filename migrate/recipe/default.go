package recipe

import (
	"fmt"
	"regexp"

	writer "github.com/switchbackdb/switchback/ddl/postgres"
)

// SetDefault gives a column another default, or none. Both versions share it, so it changes at contract.
type SetDefault struct {
	Table   Table
	Column  string
	Default string // an expression; empty for none
}

// String implements Operation.
func (o SetDefault) String() string {
	if o.Default == "" {
		return fmt.Sprintf("drop default %s.%s", o.Table, word(o.Column))
	}
	return fmt.Sprintf("set default %s.%s (%s)", o.Table, word(o.Column), o.Default)
}

type setDefault struct {
	nothing
	op    SetDefault
	table Table
	draws string // the sequence that rows have drawn nothing from so far
}

func (o SetDefault) on() Table { return o.Table }

func (o SetDefault) recipe(p *planner) (recipe, error) {
	table, _, c, err := p.column(o, o.Table, o.Column)
	if err != nil {
		return nil, err
	}
	o.Default = p.defaultOf(o.Default)
	if c.Default == o.Default {
		return nil, &Error{o, "it is so already", ""}
	}
	if err := p.replaced(o, table, o.Column); err != nil {
		return nil, err
	}
	r := &setDefault{op: o, table: table}
	switch m := drawsFrom.FindStringSubmatch(o.Default); {
	case m == nil || drawsFrom.MatchString(c.Default):
	case p.engine.name() == "postgres":
		r.draws = m[1]
	default:
		p.note("The sequence that %s.%s draws from does not know the numbers that rows have: have it start behind them.", table, word(o.Column))
	}
	return r, nil
}

// drawsFrom finds the sequence that a default draws its numbers from.
var drawsFrom = regexp.MustCompile(`(?i)^\(?nextval\((.*)\)\)?$`)

func (r *setDefault) contract(p *planner) error {
	if err := p.step(nil, func(e *edit) { e.column(r.table, r.op.Column).Default = r.op.Default }); err != nil || r.draws == "" {
		return err
	}
	p.scripts.step([]Statement{{
		SQL: writer.NumbersBehind(p.engine.table(r.table), r.op.Column, r.draws), Together: p.together,
		Why: "The numbers go on behind those that rows have. Reads the end of the column's index; without one, the table.",
	}}, nil)
	return nil
}

// defaultOf writes a default as the engine's model has it.
func (p *planner) defaultOf(expression string) string {
	if w, ok := p.engine.(interface{ defaultOf(string) string }); ok {
		return w.defaultOf(expression)
	}
	return expression
}
