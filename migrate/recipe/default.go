package recipe

import "fmt"

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
	return &setDefault{op: o, table: table}, nil
}

func (r *setDefault) contract(p *planner) error {
	return p.step(nil, func(e *edit) { e.column(r.table, r.op.Column).Default = r.op.Default })
}

// defaultOf writes a default as the engine's model has it.
func (p *planner) defaultOf(expression string) string {
	if w, ok := p.engine.(interface{ defaultOf(string) string }); ok {
		return w.defaultOf(expression)
	}
	return expression
}
