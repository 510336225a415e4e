package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// MoveColumns moves columns of a table to a new one, by the same key: it splits a table. The new table has a row for
// each row of the old one that says something in the columns: where one of them is not what a row starts with,
// its default or NULL.
type MoveColumns struct {
	Table   Table
	Columns []string
	To      Table
	Key     []string // what the columns of the primary key are called in the new table
}

// String implements Operation.
func (o MoveColumns) String() string {
	return fmt.Sprintf("move columns %s (%s) to %s (%s)", o.Table, join(o.Columns, word), o.To, join(o.Key, word))
}

// moveColumns is the recipe. Triggers after each write of one table write the other where it says something else;
// at contract the columns go to the attic, where the triggers of the new table keep them.
//
// A row for which the columns only say what a row starts with has none in the new table, since the new version
// writes the old table first, without them, and then the new one, where a row would be in its way.
type moveColumns struct {
	nothing
	op       MoveColumns
	from, to Table
	made     *schema.Table
	keys     []movedColumn // of the primary key
	columns  []movedColumn // the others
	freed    []string      // are NOT NULL and have nothing that a row could start with: they may be NULL for the time being
	started  []string      // are NOT NULL and get a default for it
}

// movedColumn is a column as both tables have it.
type movedColumn struct {
	here, there string // its name in the old table, and in the new one
	attic       string // its name in the old table after contract
	typ         string
	initial     string // what it says in a row that is written without it
}

// named is what the column is called in the old table.
func (c movedColumn) named(st state) string {
	if st == after && c.attic != "" {
		return c.attic
	}
	return c.here
}

// keeper is a trigger that keeps two tables in step, with the function that it calls, on engines where it has one.
type keeper struct {
	on       Table
	trigger  *schema.Trigger
	function *schema.Routine
}

func (o MoveColumns) on() Table { return o.Table }

func (o MoveColumns) recipe(p *planner) (recipe, error) {
	from, t, err := p.table(o, o.Table)
	if err != nil {
		return nil, err
	}
	if p.engine.name() == "mariadb" {
		return nil, &Error{
			o, "MariaDB runs a write that waited while a trigger was made without the tables that the trigger names, so that writes of the application would fail now and then (error 1146)",
			"write the change by hand, with switchback new, and have the application write both tables for a time",
		}
	}
	to := Table{or(o.To.Schema, from.Schema), o.To.Name}
	in := p.now.Schema(to.Schema)
	if in == nil || in.Table(to.Name) != nil || in.View(to.Name) != nil {
		return nil, &Error{o, fmt.Sprintf("%s has to be a new table in a schema that is there", to), ""}
	}
	r := &moveColumns{op: o, from: from, to: to, made: &schema.Table{Name: to.Name, Owner: t.Owner, Grants: t.Grants, Options: carried(t.Options)}}
	key := t.PrimaryKey()
	if key == nil || len(key.Columns) != len(o.Key) {
		return nil, &Error{o, fmt.Sprintf("the new table takes the primary key of %s over, which has to have as many columns as are named", from), ""}
	}
	if walk := walkKey(t); !slices.Equal(walk, key.Columns) {
		return nil, &Error{o, fmt.Sprintf("the primary key of %s may be NULL, and such a row can have none in the new table", from), "make its columns NOT NULL first, in a change of its own"}
	}
	for i, name := range key.Columns {
		column := successor(t.Column(name), o.Key[i])
		column.Default, column.Needs, column.Options = "", nil, carried(column.Options)
		r.made.Columns = append(r.made.Columns, column)
		r.keys = append(r.keys, movedColumn{here: name, there: o.Key[i], typ: column.Type})
	}
	for _, name := range o.Columns {
		if err := r.take(p, t, name); err != nil {
			return nil, err
		}
	}
	r.made.Constraints = r.constraints(p)
	if p.engine.locksGroups() {
		p.note("Until contract, a statement that writes one of %s and %s and reads the other fails (error 1442), since triggers write both: make it two.", from, to)
	}
	return r, nil
}

// carried are the options that a table or a column of the new table has as well.
func carried(options []schema.Property) []schema.Property {
	return slices.DeleteFunc(slices.Clone(options), func(o schema.Property) bool {
		return slices.Contains([]string{"auto_increment", "partitions", "comment", "sequence"}, o.Name)
	})
}

// take takes a column along.
func (r *moveColumns) take(p *planner, t *schema.Table, name string) error {
	c := t.Column(name)
	switch {
	case c == nil:
		return noColumn(r.op, r.from, name)
	case keyed(p.now, r.from, name) || c.Generated != "":
		return &Error{r.op, fmt.Sprintf("column %s is part of a key, or generated", word(name)), ""}
	case c.Identity != "" || c.Default != "" && !isConstant(c.Default) && !strings.HasPrefix(strings.ToLower(c.Default), "null"):
		return &Error{
			r.op, fmt.Sprintf("column %s has a default that is computed: a row that the new version writes without it would say something in it", word(name)),
			fmt.Sprintf("switchback plan NAME --op 'drop default %s.%s', in a change of its own before this one", r.from, word(name)),
		}
	}
	if err := p.readable(r.op, r.from, name); err != nil {
		return err
	}
	m := movedColumn{here: name, there: name, attic: fit(p.engine.limit(), oldPrefix, name), typ: c.Type, initial: "NULL"}
	if t.Column(m.attic) != nil {
		return &Error{r.op, fmt.Sprintf("the attic of %s holds a column %s already", r.from, word(name)), "switchback purge, for the change that put it there"}
	}
	column := successor(c, name)
	zero := p.engine.zero(c.Type)
	switch {
	case isConstant(c.Default):
		m.initial = c.Default
	case c.NotNull && isConstant(zero):
		m.initial = zero
		r.started = append(r.started, name)
	case c.NotNull:
		r.freed = append(r.freed, name)
		column.NotNull = len(r.op.Columns) == 1
	}
	r.columns = append(r.columns, m)
	r.made.Columns = append(r.made.Columns, column)
	for _, k := range t.Constraints {
		if k.Type != schema.NotNull && len(named(p.engine, &schema.Table{Columns: columns(c)}, k.Definition)) > 0 {
			p.note("Constraint %s of %s goes to the attic with the columns; give the new table one of its own.", word(k.Name), r.from)
		}
	}
	return nil
}

func (r *moveColumns) constraints(p *planner) []*schema.Constraint {
	here := make([]string, len(r.keys))
	for i, k := range r.keys {
		here[i] = k.here
	}
	key := join(r.op.Key, p.engine.quote)
	return []*schema.Constraint{
		{Name: p.engine.primaryKey(r.to), Type: schema.PrimaryKey, Definition: "PRIMARY KEY (" + key + ")", Columns: r.op.Key},
		{
			Name: fit(p.engine.limit(), "", r.to.Name+"_"+r.op.Key[0]+"_fkey"), Type: schema.ForeignKey, Columns: r.op.Key,
			Definition: fmt.Sprintf("FOREIGN KEY (%s) REFERENCES %s(%s) ON UPDATE CASCADE ON DELETE CASCADE", key, p.engine.table(r.from), join(here, p.engine.quote)),
			References: &schema.Reference{Schema: r.from.Schema, Table: r.from.Name, Columns: here},
			Needs:      []schema.Key{{Schema: r.from.Schema, Kind: schema.KindTable, Name: r.from.Name}},
		},
	}
}

func (r *moveColumns) expand(p *planner) error {
	for _, c := range r.started {
		p.saying = "The new version writes rows without the column: they get a value that says nothing. Changes the catalogue only."
		err := p.step(nil, func(e *edit) { c := e.column(r.from, c); c.Default = p.engine.zero(c.Type) })
		p.saying = ""
		if err != nil {
			return err
		}
	}
	for _, c := range r.freed {
		before := p.now.Schema(r.from.Schema).Table(r.from.Name)
		if err := p.step(nil, func(e *edit) { e.column(r.from, c).NotNull = false }); err != nil {
			return err
		}
		if err := p.refill(r.from, before, c, ""); err != nil {
			return err
		}
	}
	if err := p.step(nil, func(e *edit) {
		s := e.schema(r.to.Schema)
		s.Tables = append(s.Tables, r.made)
	}); err != nil {
		return err
	}
	return r.keep(p, before)
}

// keep makes the triggers of a state.
func (r *moveColumns) keep(p *planner, st state) error {
	return r.saying(p, func(e *edit) {
		for _, k := range p.engine.keepers(r, st) {
			if k.function != nil {
				s := e.schema(r.to.Schema)
				s.Routines = append(s.Routines, k.function)
			}
			t := e.table(k.on)
			t.Triggers = append(t.Triggers, k.trigger)
		}
	})
}

// release drops the triggers of a state that are on some tables.
func (r *moveColumns) release(p *planner, st state, on ...Table) error {
	return r.saying(p, func(e *edit) {
		for _, k := range p.engine.keepers(r, st) {
			if !slices.Contains(on, k.on) {
				continue
			}
			e.dropTrigger(k.on, k.trigger.Name)
			if k.function != nil {
				e.dropRoutine(r.to.Schema, k.function.Name)
			}
		}
	})
}

func (r *moveColumns) saying(p *planner, change func(*edit)) error {
	p.saying = fmt.Sprintf("Keeps %s and %s in step.", r.from, r.to)
	defer func() { p.saying = "" }()
	if !p.together {
		// All at once: one by one they would have a prepared statement made anew more often than MySQL does that (error
		// 1615). On PostgreSQL a group gives way to transactions that have the tables the other way round.
		p.together = true
		if p.engine.locksGroups() {
			p.locks = names(r.locks())
		}
		defer func() { p.together, p.locks = false, nil }()
	}
	return p.step(nil, change)
}

func names(tables []Table) (out []string) {
	for _, t := range tables {
		out = append(out, t.Name)
	}
	return out
}

func (r *moveColumns) index(p *planner) error {
	e := p.engine
	some := r.says(e, before, "")
	p.scripts.step([]Statement{
		{
			SQL: e.copyRows(r, some), Batch: &Batch{Table: e.walkName(r.from), Key: r.here()},
			Why: "Copies what was there before the triggers were, a batch a transaction. No row is changed or deleted while it is copied.",
		},
		{
			SQL: fmt.Sprintf("SELECT o.*\nFROM %s AS o\nLEFT JOIN %s AS n ON %s\nWHERE %s\nLIMIT 5", e.table(r.from), e.table(r.to),
				r.matches(e, "n.", "o."), strings.Join(r.each(func(c movedColumn) string {
					return e.distinct("o."+e.quote(c.here), r.told(e, c), c.typ)
				}), "\n   OR ")),
			Why: "Reads both tables without a lock.", Assert: fmt.Sprintf("rows of %s and %s do not say the same", r.from, r.to),
		},
	}, nil)
	return nil
}

// here are the columns of the key in the old table.
func (r *moveColumns) here() (out []string) {
	for _, k := range r.keys {
		out = append(out, k.here)
	}
	return out
}

// told is what the new table, called n, says of a column.
func (r *moveColumns) told(e engine, c movedColumn) string {
	return fmt.Sprintf("CASE WHEN n.%s IS NULL THEN %s ELSE n.%s END", e.quote(r.keys[0].there), c.initial, e.quote(c.there))
}

func (r *moveColumns) each(condition func(movedColumn) string) (out []string) {
	for _, c := range r.columns {
		out = append(out, condition(c))
	}
	return out
}

// says is the condition that a row of the old table, led by a prefix, says something in the columns.
func (r *moveColumns) says(e engine, st state, prefix string) string {
	return strings.Join(r.each(func(c movedColumn) string { return e.distinct(prefix+e.quote(c.named(st)), c.initial, c.typ) }), " OR ")
}

// matches is the condition that rows of both tables have one key.
func (r *moveColumns) matches(e engine, there, here string) string {
	var all []string
	for _, k := range r.keys {
		all = append(all, there+e.quote(k.there)+" = "+here+e.quote(k.here))
	}
	return strings.Join(all, " AND ")
}

// moved is the condition that the key of a row of the new table is another one than before.
func (r *moveColumns) moved(e engine) string {
	var any []string
	for _, k := range r.keys {
		any = append(any, e.distinct("NEW."+e.quote(k.there), "OLD."+e.quote(k.there), k.typ))
	}
	return strings.Join(any, " OR ")
}

// restart is the statement that has a row of the old table say what a row starts with, for a row of the new one that
// has gone.
func (r *moveColumns) restart(e engine, st state) string {
	sets := r.each(func(c movedColumn) string { return e.quote(c.named(st)) + " = " + c.initial })
	return fmt.Sprintf("UPDATE %s SET %s\n    WHERE %s AND (%s);", e.table(r.from), strings.Join(sets, ", "), r.matches(e, "OLD.", ""), r.says(e, st, ""))
}

// tell is the statement that has a row of the old table say what one of the new table does.
func (r *moveColumns) tell(e engine, st state) string {
	sets := r.each(func(c movedColumn) string { return e.quote(c.named(st)) + " = NEW." + e.quote(c.there) })
	differs := r.each(func(c movedColumn) string {
		return e.distinct(e.quote(c.named(st)), "NEW."+e.quote(c.there), c.typ)
	})
	return fmt.Sprintf("UPDATE %s SET %s\n    WHERE %s AND (%s);", e.table(r.from), strings.Join(sets, ", "), r.matches(e, "NEW.", ""), strings.Join(differs, " OR "))
}

// columnsThere and valuesHere are the columns of the new table, and the old table's for them.
func (r *moveColumns) columnsThere(e engine) string {
	return join(slices.Concat(r.keys, r.columns), func(c movedColumn) string { return e.quote(c.there) })
}

func (r *moveColumns) valuesHere(e engine, prefix string) string {
	return join(slices.Concat(r.keys, r.columns), func(c movedColumn) string { return prefix + e.quote(c.here) })
}

// locks are the tables that nobody else uses while the columns go to the attic.
func (r *moveColumns) locks() []Table { return []Table{r.from, r.to} }

func (r *moveColumns) ready(p *planner) error {
	for _, on := range r.locks() {
		var names []string
		for _, k := range p.engine.keepers(r, before) {
			if k.on == on {
				names = append(names, k.trigger.Name)
			}
		}
		failure := fmt.Sprintf("a trigger of %s, which keeps %s and %s in step, is gone or off, so they may differ", on, r.from, r.to)
		p.scripts.step([]Statement{p.engine.assertThere(on, names, failure)}, nil)
	}
	return nil
}

func (r *moveColumns) contract(p *planner) error {
	if err := r.releaseBefore(p); err != nil {
		return err
	}
	var renames []diff.Rename
	for _, c := range r.columns {
		renames = append(renames, diff.Rename{Kind: schema.KindColumn, Schema: r.from.Schema, Parent: r.from.Name, From: c.here, To: c.attic})
	}
	if err := p.rename(renames); err != nil {
		return err
	}
	if err := r.keep(p, after); err != nil {
		return err
	}
	p.mend(r, after, true)
	return nil
}

// releaseBefore drops the triggers that there are before contract. Where an interrupted group is taken up, the way back
// has the rows mended when all triggers of the new table are there, so that nothing is missed from then on, and none of
// the old one, which would write to the table that is read.
func (r *moveColumns) releaseBefore(p *planner) error {
	if !p.engine.locksGroups() {
		return r.release(p, before, r.from, r.to)
	}
	if err := r.release(p, before, r.from); err != nil {
		return err
	}
	p.mend(r, before, false)
	return r.release(p, before, r.to)
}

// mend adds what has the old table say what the new one does when a group that was interrupted is taken up: in the
// scripts forward, or in those back. What the new version wrote while there was no trigger is in the new table only.
//
// Both tables are locked by their names, so they have no others here, and each is named once. The new one is only read, also
// by its foreign key, as what its triggers name may not be locked. The index is forced, as the server may still take a table that was just filled for an
// empty one, and read all of it for each row.
func (p *planner) mend(r *moveColumns, st state, forward bool) {
	if !p.engine.locksGroups() {
		return
	}
	e := p.engine
	here, there := e.table(r.from)+".", e.table(r.to)+"."
	for _, c := range r.columns {
		statement := Statement{
			SQL: fmt.Sprintf("UPDATE /*+ SET_VAR(foreign_key_checks = OFF) */ %s\nSET %s = (SELECT CASE WHEN count(*) = 0 THEN %s ELSE any_value(%s) END FROM %s FORCE INDEX (PRIMARY) WHERE %s)", e.table(r.from), e.quote(c.named(st)),
				c.initial, there+e.quote(c.there), e.table(r.to), r.matches(e, there, here)),
			Why:     "Only after a crash: what was written while the triggers were not there.",
			Resumed: true, Together: p.together, Locks: p.locks,
		}
		if forward {
			p.scripts.step([]Statement{statement}, nil)
		} else {
			p.scripts.step(nil, []Statement{statement})
		}
	}
}

func (r *moveColumns) purge(p *planner) error {
	if err := r.release(p, after, r.from, r.to); err != nil {
		return err
	}
	names := r.each(func(c movedColumn) string { return c.attic })
	if p.engine.name() != "sqlite" { // its purge is one transaction
		for _, name := range names {
			if err := p.loosenColumn(r.from, name); err != nil {
				return err
			}
		}
	}
	return p.purgeColumns(r.from, names...)
}
