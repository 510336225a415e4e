package recipe

import "fmt"

// RenameColumn gives a column another name. Until contract both names are there.
type RenameColumn struct {
	Table  Table
	Column string
	To     string
}

// String implements Operation.
func (o RenameColumn) String() string {
	return fmt.Sprintf("rename column %s.%s %s", o.Table, word(o.Column), word(o.To))
}

func (o RenameColumn) on() Table { return o.Table }

func (o RenameColumn) recipe(p *planner) (recipe, error) {
	table, _, c, err := p.column(o, o.Table, o.Column)
	if err != nil {
		return nil, err
	}
	r, err := newReshape(p, o, table, &rule{
		old: []string{o.Column}, new: []string{o.To},
		up: only(o.To, p.engine.quote(o.Column)), down: only(o.Column, p.engine.quote(o.To)),
	}, columns(successor(c, o.To)))
	if err != nil {
		return nil, err
	}
	r.total, r.rule.plain, r.same[o.Column] = true, true, o.To
	return r, nil
}
