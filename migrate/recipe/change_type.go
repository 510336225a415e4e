package recipe

import (
	"fmt"
	"strings"
)

// ChangeType gives a column another type. Both versions of the application go by the same name, so until
// contract all of them write the old type; then the new type takes the name.
type ChangeType struct {
	Table  Table
	Column string
	Type   string
	Up     string // expression over the column that gives the new value; empty where the types tell
	Down   string // expression over the column as it is then that gives the old value; empty where the types tell
}

// String implements Operation.
func (o ChangeType) String() string {
	text := fmt.Sprintf("change type %s.%s %s", o.Table, word(o.Column), o.Type)
	if o.Up != "" {
		text += " up (" + o.Up + ")"
	}
	if o.Down != "" {
		text += " down (" + o.Down + ")"
	}
	return text
}

func (o ChangeType) on() Table { return o.Table }

func (o ChangeType) recipe(p *planner) (recipe, error) {
	table, _, c, err := p.column(o, o.Table, o.Column)
	if err != nil {
		return nil, err
	}
	o.Type = p.engine.canonical(o.Type)
	if strings.EqualFold(c.Type, o.Type) {
		return nil, &Error{o, "the column has that type already", ""}
	}
	if keyed(p.now, table, o.Column) && p.engine.locksGroups() && len(pointers(p.now, table, o.Column)) == 0 {
		return secondType(p, o, table, c)
	}
	if keyed(p.now, table, o.Column) && p.rebuilds() {
		return newRetypedKey(p, o, table)
	}
	if keyed(p.now, table, o.Column) {
		return newKeyChange(p, o, table)
	}
	temp := fit(p.engine.limit(), newPrefix, o.Column)
	up, down, total, ok := p.engine.conversion(o.Column, temp, c.Type, o.Type)
	if o.Up != "" {
		up, total = o.Up, false
	}
	if o.Down != "" {
		down = renamedIn(p.engine, o.Down, o.Column, temp)
	}
	if !ok && (o.Up == "" || o.Down == "") {
		return nil, &Error{o, fmt.Sprintf("how %s becomes %s and back is not known", c.Type, o.Type), fmt.Sprintf("say it, as in: up (expression over %s) down (expression over %s)", word(o.Column), word(o.Column))}
	}
	if zero := p.engine.zero(c.Type); c.NotNull && o.Down == "" && zero != "" && strings.HasPrefix(down, "CASE ") {
		down = "coalesce(" + down + ", " + zero + ")" // a value that the old type cannot hold must not stop the new version
	}
	added := successor(c, temp)
	added.Type, added.Collation = o.Type, ""
	if k, ok := p.engine.(interface{ keepsCollation(from, to string) bool }); ok && k.keepsCollation(c.Type, o.Type) {
		added.Collation = c.Collation
	}
	if c.Default != "" && isConstant(c.Default) {
		added.Default = p.engine.retype(c.Default, c.Type, o.Type)
	}
	r, err := newReshape(p, o, table, &rule{
		old: []string{o.Column}, new: []string{temp}, hidden: true,
		up: only(temp, up), down: only(o.Column, down),
		renamed: only(temp, o.Column),
	}, columns(added))
	if err != nil {
		return nil, err
	}
	r.total, r.same[o.Column] = total, temp
	r.rule.plain = total && o.Down == "" && p.engine.zero(c.Type) == "0" && p.engine.zero(o.Type) == "0"
	return r, nil
}
