package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// online adds a foreign key beside readers and writers on MySQL and MariaDB, which do that without foreign_key_checks
// only, and then look at no row. So the rows are read afterwards, when none can be written any more that is against it. ok
// is false where it cannot be asked which those are.
func (p *planner) online(table Table, k *schema.Constraint) (list []Statement, ok bool) {
	found, ok := (&addConstraint{op: AddConstraint{Constraint: *k}, table: table}).against(p)
	if !ok {
		return nil, false
	}
	add := addedInPlace(p.engine, table, k.Name, k)
	add.Why = "From now on it is kept; rows that are there are not read yet."
	found.Why = "Rows that were there before it was: none can come any more. Reads both tables without a lock."
	return append(unchecked(add), found), true
}

// addForeignKey adds a foreign key to a table.
func (p *planner) addForeignKey(table Table, k *schema.Constraint) error {
	add := func(e *edit) {
		t := e.table(table)
		t.Constraints = append(t.Constraints, k)
	}
	list, ok := p.online(table, k)
	if !ok || !p.engine.locksGroups() {
		return p.step(nil, add)
	}
	back, err := p.script(p.edited(add), p.now, nil)
	if err != nil {
		return err
	}
	p.raw(list, back, add)
	return nil
}

// dropForeignKeys drops foreign keys of a table; the way back adds them beside readers and writers, where the engine can.
func (p *planner) dropForeignKeys(table Table, keys []*schema.Constraint) error {
	drop := func(e *edit) {
		t := e.table(table)
		t.Constraints = slices.DeleteFunc(t.Constraints, func(k *schema.Constraint) bool { return slices.Contains(keys, k) })
	}
	if len(keys) == 0 {
		return nil
	}
	var back []Statement
	for _, k := range keys {
		list, ok := p.online(table, k)
		if !ok || !p.engine.locksGroups() {
			return p.step(nil, drop)
		}
		back = append(back, list...)
	}
	forward, err := p.script(p.now, p.edited(drop), nil)
	if err != nil {
		return err
	}
	p.raw(forward, back, drop)
	return nil
}

// inPlace is an ALTER TABLE that works beside readers and writers, or is refused.
func inPlace(e engine, table Table, clauses ...string) Statement {
	return Statement{SQL: fmt.Sprintf("ALTER TABLE %s\n  %s,\n  ALGORITHM=INPLACE,\n  LOCK=NONE", e.table(table), strings.Join(clauses, ",\n  "))}
}

// addedInPlace adds a foreign key, under a name, that is checked for no row that is there.
func addedInPlace(e engine, table Table, name string, k *schema.Constraint) Statement {
	return inPlace(e, table, "ADD CONSTRAINT "+e.quote(name)+" "+k.Definition)
}

// unchecked are statements during which MySQL and MariaDB check no foreign key.
func unchecked(list ...Statement) []Statement {
	return slices.Concat([]Statement{{SQL: "SET foreign_key_checks = 0"}}, list, []Statement{{SQL: "SET foreign_key_checks = 1"}})
}
