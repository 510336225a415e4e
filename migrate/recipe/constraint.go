package recipe

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// AddConstraint adds a check, a foreign key or a unique key, once no row is against it.
type AddConstraint struct {
	Table      Table
	Constraint schema.Constraint // its definition is as the engine writes it, such as CHECK (price > 0)
}

// String implements Operation.
func (o AddConstraint) String() string {
	return fmt.Sprintf("add constraint %s.%s %s", o.Table, word(o.Constraint.Name), o.Constraint.Definition)
}

type addConstraint struct {
	nothing
	op    AddConstraint
	table Table
}

func (o AddConstraint) on() Table { return o.Table }

func (o AddConstraint) recipe(p *planner) (recipe, error) {
	table, t, err := p.table(o, o.Table)
	if err != nil {
		return nil, err
	}
	if t.Constraint(o.Constraint.Name) != nil {
		return nil, &Error{o, fmt.Sprintf("table %s has a constraint %s already", table, word(o.Constraint.Name)), ""}
	}
	if err := p.replaced(o, table, ruled(p.engine, t, o.Constraint)...); err != nil {
		return nil, err
	}
	if w, ok := p.engine.(interface{ uniqueIndex() bool }); ok && w.uniqueIndex() && o.Constraint.Type == schema.Unique {
		i := strings.Index(o.Constraint.Definition, "(")
		if i < 0 || t.Index(o.Constraint.Name) != nil {
			return nil, &Error{o, fmt.Sprintf("table %s has an index of that name already, or the key names no columns", table), ""}
		}
		x := schema.Index{Name: o.Constraint.Name, Definition: "UNIQUE INDEX " + o.Constraint.Definition[i:], Unique: true, Columns: o.Constraint.Columns}
		return &addUniqueKey{key: addConstraint{op: o, table: table}, unique: addIndex{op: AddIndex{o.Table, x}, table: table}}, nil
	}
	if o.Constraint.Type == schema.PrimaryKey {
		if err := demandsValues(o, t, o.Constraint.Columns); err != nil {
			return nil, err
		}
	}
	if o.Constraint.Type == schema.Check && p.engine.name() == "mysql" {
		if p.besides[table] {
			return nothing{}, nil // the first of the table's checks brings it along
		}
		r, err := o.beside(p, table)
		if err == nil {
			return r, nil
		}
		p.note("MySQL copies %s for the check %s while writes wait. A second table is no way out: %s.", table, word(o.Constraint.Name), err.Reason)
	}
	return &addConstraint{op: o, table: table}, nil
}

// demandsValues refuses a primary key over columns that may be NULL.
func demandsValues(op Operation, t *schema.Table, columns []string) error {
	for _, c := range columns {
		if t.Column(c) != nil && !t.Column(c).NotNull {
			return &Error{op, fmt.Sprintf("column %s may be NULL", word(c)), "set not null first, in a change of its own"}
		}
	}
	return nil
}

// together are the checks that the change adds to a table, which one second table has all of.
func (o AddConstraint) together(p *planner, table Table) (list []AddConstraint) {
	for _, op := range p.draft.Operations {
		other, is := op.(AddConstraint)
		if !is || other.Constraint.Type != schema.Check {
			continue
		}
		if full, _, err := p.table(op, op.on()); err == nil && full == table {
			list = append(list, other)
		}
	}
	return list
}

// beside adds a check by a second table, with the others that the change adds to it, or says why that cannot be.
func (o AddConstraint) beside(p *planner, table Table) (recipe, *Error) {
	r, err := newSecond(p, o, table, func(t *schema.Table) error {
		for _, other := range o.together(p, table) {
			t.Constraints = append(t.Constraints, &other.Constraint)
		}
		return nil
	})
	var wrong *Error
	switch {
	case errors.As(err, &wrong):
		return nil, wrong
	case err != nil:
		return nil, &Error{o, err.Error(), ""}
	}
	p.besides[table] = true
	return r, nil
}

func (r *addConstraint) fill(p *planner) error {
	if s, ok := r.against(p); ok {
		p.scripts.step([]Statement{s}, nil)
	}
	k := r.op.Constraint
	if k.Type == schema.ForeignKey {
		return p.addForeignKey(r.table, &k)
	}
	change := func(e *edit) {
		t := e.table(r.table)
		t.Constraints = append(t.Constraints, &k)
	}
	if k.Type == schema.Check && p.engine.name() == "mariadb" && p.copiesForChecks(r.table, k.Name) {
		return p.besideWriters(r.table, change)
	}
	return p.step(nil, change)
}

// addUniqueKey adds a unique key where that is an index.
type addUniqueKey struct {
	nothing
	key    addConstraint
	unique addIndex
}

func (r *addUniqueKey) index(p *planner) error {
	if s, ok := r.key.against(p); ok {
		p.scripts.step([]Statement{s}, nil)
	}
	return r.unique.index(p)
}

// against asserts that no row is against the constraint, where that can be asked.
func (r *addConstraint) against(p *planner) (Statement, bool) {
	e, k := p.engine, r.op.Constraint
	s := Statement{Why: "Reads the table without a lock.", Assert: fmt.Sprintf("rows of %s are against %s", r.table, k.Name)}
	var quoted []string
	for _, c := range k.Columns {
		quoted = append(quoted, e.quote(c))
	}
	list := strings.Join(quoted, ", ")
	switch {
	case k.Type == schema.Check:
		expression := strings.TrimSpace(k.Definition[min(len(k.Definition), len("CHECK")):])
		s.SQL = fmt.Sprintf("SELECT *\nFROM %s\nWHERE NOT %s\nLIMIT 5", e.table(r.table), withoutWords(expression))
	case k.Type == schema.Unique && len(k.Columns) > 0:
		s.SQL = fmt.Sprintf("SELECT %s, count(*)\nFROM %s\nWHERE %s IS NOT NULL\nGROUP BY %s\nHAVING count(*) > 1\nLIMIT 5", list, e.table(r.table), strings.Join(quoted, " IS NOT NULL AND "), list)
	case k.Type == schema.ForeignKey && k.References != nil && len(k.References.Columns) == len(k.Columns):
		var same, given []string
		for i, c := range k.Columns {
			same = append(same, "parent."+e.quote(k.References.Columns[i])+" = child."+e.quote(c))
			given = append(given, "child."+e.quote(c)+" IS NOT NULL")
		}
		parent := Table{Schema: or(k.References.Schema, r.table.Schema), Name: k.References.Table}
		s.SQL = fmt.Sprintf("SELECT child.*\nFROM %s AS child\nWHERE %s\n  AND NOT EXISTS (SELECT 1 FROM %s AS parent WHERE %s)\nLIMIT 5", e.table(r.table), strings.Join(given, " AND "), e.table(parent), strings.Join(same, " AND "))
	default:
		return s, false
	}
	return s, true
}

// withoutWords cuts what may stand behind the parentheses of a check.
func withoutWords(expression string) string {
	if i := strings.LastIndex(expression, ")"); i >= 0 {
		return expression[:i+1]
	}
	return expression
}

// DropConstraint drops a constraint, at contract: until then the old version relies on it.
type DropConstraint struct {
	Table Table
	Name  string
}

// String implements Operation.
func (o DropConstraint) String() string {
	return fmt.Sprintf("drop constraint %s.%s", o.Table, word(o.Name))
}

type dropConstraint struct {
	nothing
	op    DropConstraint
	table Table
}

func (o DropConstraint) on() Table { return o.Table }

func (o DropConstraint) recipe(p *planner) (recipe, error) {
	table, t, err := p.table(o, o.Table)
	if err != nil {
		return nil, err
	}
	if x := t.Index(o.Name); x != nil && x.Unique && t.Constraint(o.Name) == nil {
		return DropIndex(o).recipe(p)
	}
	if t.Constraint(o.Name) == nil {
		return nil, &Error{o, fmt.Sprintf("table %s has no constraint %s", table, word(o.Name)), "switchback schema show " + table.String()}
	}
	if err := p.vacant(o, table, o.Name, fit(p.engine.limit(), oldPrefix, o.Name), fit(p.engine.limit(), newPrefix, o.Name)); err != nil { // the other one would go on to refuse rows
		return nil, err
	}
	return &dropConstraint{op: o, table: table}, nil
}

func (r *dropConstraint) settle(p *planner) error {
	if k := p.now.Schema(r.table.Schema).Table(r.table.Name).Constraint(r.op.Name); k != nil && k.Type == schema.ForeignKey {
		return p.dropForeignKeys(r.table, []*schema.Constraint{k})
	}
	return p.step(nil, func(e *edit) {
		t := e.table(r.table)
		t.Constraints = slices.DeleteFunc(t.Constraints, func(k *schema.Constraint) bool { return k.Name == r.op.Name })
	})
}
