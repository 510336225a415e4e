package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// keyChange changes the type of a column that is a key, and of all columns of other tables that point to it,
// through the whole graph of foreign keys. Each column has a successor, kept in step and filled; the
// successors get unique indexes and foreign keys of their own, built while others write. At contract the
// primary keys, the foreign keys, the names and the numbers that the columns draw change in one transaction,
// which touches the catalogue only.
type keyChange struct {
	nothing
	op      Operation
	columns []*reshape // the root first
	tables  []keyTable
	foreign []keyForeign
	given   []keyGiven
}

// keyTable is a table whose primary key holds one of the columns.
type keyTable struct {
	table    Table
	key      *schema.Constraint
	old, new []string // the columns of the key, before contract
}

// keyForeign is a foreign key from or to one of the columns.
type keyForeign struct {
	table    Table
	key      *schema.Constraint // as it is
	next     *schema.Constraint // over the successors, before contract
	temp     string
	original string
}

// keyGiven is a column that gets numbers by itself: an identity, or a default that draws from a sequence.
type keyGiven struct {
	table     Table
	old, temp string
	column    *schema.Column
	typ       string
}

// keyed tells whether a column is part of a primary key, or a foreign key of another column points to it.
func keyed(d *schema.Database, table Table, column string) bool {
	t := d.Schema(table.Schema).Table(table.Name)
	for _, k := range t.Constraints {
		if k.Type == schema.PrimaryKey && slices.Contains(k.Columns, column) {
			return true
		}
	}
	return len(pointers(d, table, column)) > 0
}

// pointer is a column that a foreign key takes to another one.
type pointer struct {
	table  Table
	column string
}

func pointers(d *schema.Database, table Table, column string) []pointer {
	var out []pointer
	eachForeignKey(d, func(from Table, k *schema.Constraint, to Table) {
		if to != table {
			return
		}
		for i, c := range k.References.Columns {
			if c == column {
				out = append(out, pointer{from, k.Columns[i]})
			}
		}
	})
	return out
}

func eachForeignKey(d *schema.Database, visit func(from Table, k *schema.Constraint, to Table)) {
	for _, s := range d.Schemas {
		for _, t := range s.Tables {
			for _, k := range t.Constraints {
				if k.Type == schema.ForeignKey && k.References != nil && len(k.References.Columns) == len(k.Columns) {
					visit(Table{s.Name, t.Name}, k, Table{or(k.References.Schema, s.Name), k.References.Table})
				}
			}
		}
	}
}

// newKeyChange follows the foreign keys from a column, and plans the change of all of them.
func newKeyChange(p *planner, o ChangeType, table Table) (recipe, error) {
	if p.engine.name() != "postgres" {
		return nil, &Error{o, fmt.Sprintf("the column is a key, and changing the type of keys is not known on %s yet", p.engine.name()), ""}
	}
	r := &keyChange{op: o}
	next := map[pointer]string{} // a column: its successor
	queue := []pointer{{table, o.Column}}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if _, seen := next[at]; seen {
			continue
		}
		temp := fit(p.engine.limit(), newPrefix, at.column)
		next[at] = temp
		if err := r.add(p, o, at, temp); err != nil {
			return nil, err
		}
		queue = append(queue, pointers(p.now, at.table, at.column)...)
	}
	r.keys(p, next)
	return r, nil
}

// add plans a column of the graph.
func (r *keyChange) add(p *planner, o ChangeType, at pointer, temp string) error {
	t := p.now.Schema(at.table.Schema).Table(at.table.Name)
	c := t.Column(at.column)
	if schema.Value(t.Options, "partition key") != "" || schema.Value(t.Options, "partition of") != "" {
		return &Error{o, fmt.Sprintf("table %s is partitioned: the index of a key cannot be built there while others write", at.table), ""}
	}
	up, down, total, ok := p.engine.conversion(at.column, temp, c.Type, o.Type)
	if !ok || !total {
		return &Error{o, fmt.Sprintf("%s.%s cannot become %s without a loss", at.table, word(at.column), o.Type), "a key takes a wider type only"}
	}
	if slices.Contains(integers, c.Type) { // a key that does not fit any more is none
		down = fmt.Sprintf("CASE WHEN %s BETWEEN -%s AND %s THEN %s END", p.engine.quote(temp), reach[c.Type], reach[c.Type], "CAST("+p.engine.quote(temp)+" AS "+c.Type+")")
	}
	added := successor(c, temp)
	added.Type, added.Default = o.Type, ""
	s, err := newKeyReshape(p, o, at.table, &rule{old: []string{at.column}, new: []string{temp}, hidden: true, up: only(temp, up), down: only(at.column, down), renamed: only(temp, at.column)}, columns(added))
	if err != nil {
		return err
	}
	s.total, s.same[at.column], s.key = true, temp, true
	r.columns = append(r.columns, s)
	if c.Identity != "" || strings.HasPrefix(c.Default, "nextval(") {
		r.given = append(r.given, keyGiven{at.table, at.column, temp, c, o.Type})
	} else if c.Default != "" {
		return &Error{o, fmt.Sprintf("%s.%s has the default %s", at.table, word(at.column), c.Default), "drop the default first, in a change of its own"}
	}
	return nil
}

// keys finds the primary keys and foreign keys that change.
func (r *keyChange) keys(p *planner, next map[pointer]string) {
	replaced := func(t Table, columns []string) ([]string, bool) {
		out, any := slices.Clone(columns), false
		for i, c := range columns {
			if to, ok := next[pointer{t, c}]; ok {
				out[i], any = to, true
			}
		}
		return out, any
	}
	for _, s := range p.now.Schemas {
		for _, t := range s.Tables {
			for _, k := range t.Constraints {
				if k.Type != schema.PrimaryKey {
					continue
				}
				if to, any := replaced(Table{s.Name, t.Name}, k.Columns); any {
					r.tables = append(r.tables, keyTable{Table{s.Name, t.Name}, k, k.Columns, to})
				}
			}
		}
	}
	eachForeignKey(p.now, func(from Table, k *schema.Constraint, to Table) {
		here, a := replaced(from, k.Columns)
		there, b := replaced(to, k.References.Columns)
		if !a && !b {
			return
		}
		also := *k
		reference := *k.References
		reference.Columns = there
		also.Name, also.Columns, also.References = fit(p.engine.limit(), newPrefix, k.Name), here, &reference
		also.Definition = foreignDefinition(p.engine, k, here, there)
		r.foreign = append(r.foreign, keyForeign{from, k, &also, also.Name, k.Name})
	})
}

// foreignDefinition writes the definition of a foreign key with other columns on both sides.
func foreignDefinition(e engine, k *schema.Constraint, here, there []string) string {
	d := sqltoken.Of(e.name())
	behind := false
	return sqltoken.Replace(k.Definition, d, func(list []sqltoken.Token, i int) (string, bool) {
		behind = behind || list[i].Is("references")
		if !list[i].IsName() || i == 0 || !list[i-1].IsSign("(") && !list[i-1].IsSign(",") {
			return "", false
		}
		from, to := k.Columns, here
		if behind {
			from, to = k.References.Columns, there
		}
		for j, c := range from {
			if list[i].Names(c, d) {
				return e.quote(to[j]), true
			}
		}
		return "", false
	})
}

func (r *keyChange) moves() []move {
	var out []move
	for _, c := range r.columns {
		out = append(out, c.moves()...)
	}
	return out
}

func (r *keyChange) expand(p *planner) error {
	for _, c := range r.columns {
		if err := c.expand(p); err != nil {
			return err
		}
	}
	return nil
}

// fill gives the successors what the columns have: NOT NULL, constraints, indexes; unique indexes for the
// primary keys of both shapes, since a key takes its index over; and the foreign keys.
func (r *keyChange) fill(p *planner) error {
	for _, c := range r.columns {
		if err := c.fill(p); err != nil {
			return err
		}
	}
	for _, k := range r.tables {
		for _, x := range []*schema.Index{k.index(p, newPrefix, k.new), k.index(p, oldPrefix, k.old)} {
			if err := p.step(nil, func(e *edit) { t := e.table(k.table); t.Indexes = append(t.Indexes, x) }); err != nil {
				return err
			}
		}
	}
	for _, f := range r.foreign {
		if err := p.step(nil, func(e *edit) { t := e.table(f.table); t.Constraints = append(t.Constraints, f.next) }); err != nil {
			return err
		}
	}
	return nil
}

// index is the unique index that a primary key takes over.
func (k keyTable) index(p *planner, prefix string, columns []string) *schema.Index {
	name := fit(p.engine.limit(), prefix, k.key.Name)
	return &schema.Index{Name: name, Unique: true, Columns: columns, Definition: fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s USING btree (%s)", p.engine.quote(name), p.engine.table(k.table), join(columns, p.engine.quote))}
}

func (r *keyChange) contract(p *planner) error {
	const instant = "Changes the catalogue only."
	e := p.engine
	for _, f := range r.foreign {
		drop := func(name string) string {
			return fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", e.table(f.table), e.quote(name))
		}
		rename := fmt.Sprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", e.table(f.table), e.quote(f.temp), e.quote(f.original))
		p.raw(
			[]Statement{
				{SQL: drop(f.original), Why: "The successors have a foreign key of their own. " + instant},
				{SQL: rename, Why: instant},
			},
			[]Statement{{SQL: fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID", e.table(f.table), e.quote(f.original), f.key.Definition), Why: "It is validated below, while others write."}},
			func(d *edit) {
				t := d.table(f.table)
				t.Constraints = slices.DeleteFunc(t.Constraints, func(k *schema.Constraint) bool { return k.Name == f.original || k.Name == f.temp })
				named := *f.next
				named.Name = f.original
				t.Constraints = append(t.Constraints, &named)
			})
	}
	for _, k := range r.tables {
		drop := Statement{SQL: fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", e.table(k.table), e.quote(k.key.Name)), Why: "The key of the other shape takes its place. " + instant}
		p.raw([]Statement{drop}, []Statement{r.adopt(p, k, oldPrefix)}, func(d *edit) {
			t := d.table(k.table)
			t.Constraints = slices.DeleteFunc(t.Constraints, func(c *schema.Constraint) bool { return c.Name == k.key.Name })
		})
	}
	for _, c := range r.columns {
		if err := c.contract(p); err != nil {
			return err
		}
	}
	for _, g := range r.given {
		r.give(p, g)
	}
	for _, k := range r.tables {
		drop := Statement{SQL: fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", e.table(k.table), e.quote(k.key.Name)), Why: "The key of the other shape takes its place. " + instant}
		p.raw([]Statement{r.adopt(p, k, newPrefix)}, []Statement{drop}, func(d *edit) {
			t := d.table(k.table)
			t.Indexes = slices.DeleteFunc(t.Indexes, func(x *schema.Index) bool { return x.Name == fit(e.limit(), newPrefix, k.key.Name) })
			t.Constraints = append(t.Constraints, k.key)
		})
	}
	for _, f := range r.foreign {
		p.raw(nil, []Statement{{SQL: fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", e.table(f.table), e.quote(f.original)), Why: "It stands on the key that goes; it is made again below."}}, func(*edit) {})
	}
	r.loosen(p)
	return nil
}

// adopt makes an index the primary key.
func (r *keyChange) adopt(p *planner, k keyTable, prefix string) Statement {
	return Statement{
		SQL: fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s PRIMARY KEY USING INDEX %s", p.engine.table(k.table), p.engine.quote(k.key.Name), p.engine.quote(fit(p.engine.limit(), prefix, k.key.Name))),
		Why: "The index is there and its columns are NOT NULL: no row is read.",
	}
}

// ready is what a rollback of contract makes at its end: indexes that the keys have taken over, and the
// foreign keys on them.
func (r *keyChange) ready(p *planner) error {
	e := p.engine
	var back []Statement
	for _, k := range r.tables {
		for _, x := range []*schema.Index{k.index(p, newPrefix, k.new), k.index(p, oldPrefix, k.old)} {
			back = append(back, Statement{SQL: strings.Replace(x.Definition, " INDEX ", " INDEX CONCURRENTLY ", 1), Outside: true, Why: "A key has taken the last one over. Built while others read and write."})
		}
	}
	for _, f := range r.foreign {
		back = append(back,
			Statement{SQL: fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID", e.table(f.table), e.quote(f.temp), f.next.Definition), Why: "From now on it is kept; rows that are there are not read yet."},
			Statement{SQL: fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", e.table(f.table), e.quote(f.temp)), Why: "Reads the table while others write to it."},
			Statement{SQL: fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", e.table(f.table), e.quote(f.original)), Why: "Reads the table while others write to it."})
	}
	p.scripts.step(nil, back)
	return nil
}

// loosen lets the attic be without a value, for keys that the old type cannot hold; the way back begins with
// the proof that there is none.
func (r *keyChange) loosen(p *planner) {
	e := p.engine
	for _, c := range r.columns {
		if !c.added[0].NotNull {
			continue
		}
		attic := c.rule.name(c.rule.old[0], after)
		head := "ALTER TABLE " + e.table(c.table)
		check := e.quote(fit(e.limit(), "switchback_fits_", c.rule.old[0]))
		p.raw(
			[]Statement{{SQL: head + " ALTER COLUMN " + e.quote(attic) + " DROP NOT NULL", Why: "Keys that the old type cannot hold have no value in the attic."}},
			[]Statement{
				{SQL: head + " ALTER COLUMN " + e.quote(attic) + " SET NOT NULL", Why: "The check proves it: no row is read."},
				{SQL: head + " DROP CONSTRAINT " + check, Why: "The check has done its work."},
			},
			func(d *edit) { d.column(c.table, attic).NotNull = false })
	}
}

func (r *keyChange) settle(p *planner) error {
	e := p.engine
	var back []Statement
	for _, c := range r.columns {
		if !c.added[0].NotNull {
			continue
		}
		attic := c.rule.name(c.rule.old[0], after)
		head := "ALTER TABLE " + e.table(c.table)
		check := e.quote(fit(e.limit(), "switchback_fits_", c.rule.old[0]))
		back = append([]Statement{{
			SQL: fmt.Sprintf("SELECT *\nFROM %s\nWHERE %s IS NULL\nLIMIT 5", e.table(c.table), e.quote(attic)), Why: "Reads the table without a lock.",
			Assert: fmt.Sprintf("rows of %s have a %s that the old type cannot hold: the old version could not see them", c.table, c.rule.old[0]),
		}}, back...)
		back = append(back,
			Statement{SQL: fmt.Sprintf("%s ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID", head, check, e.quote(attic)), Why: "From now on only keys are written that the old type can hold."},
			Statement{SQL: head + " VALIDATE CONSTRAINT " + check, Why: "Reads the table while others write to it. It fails when there is a key that the old type cannot hold: the old version could not see that row."})
	}
	p.scripts.step(nil, back)
	return nil
}

func (r *keyChange) purge(p *planner) error {
	for _, c := range r.columns {
		if err := c.purge(p); err != nil {
			return err
		}
	}
	return nil
}

// give has the successor draw the numbers that the column has drawn, from where they stand.
func (r *keyChange) give(p *planner, g keyGiven) {
	e := p.engine
	attic := fit(e.limit(), oldPrefix, g.old)
	if g.column.Identity == "" {
		r.giveSequence(p, g, attic)
		return
	}
	move := func(from, to, typ string) string {
		return moveIdentity(e, g.table, from, g.table, to, g.column.Identity, sequenceClause(e, g, typ))
	}
	const why = "The numbers go on from where they are. Changes the catalogue only."
	p.raw([]Statement{{SQL: move(attic, g.old, g.typ), Why: why}}, []Statement{{SQL: move(g.old, attic, g.column.Type), Why: why}}, func(d *edit) {
		c := d.column(g.table, attic)
		identity, options := c.Identity, c.Options
		c.Identity, c.Options = "", slices.DeleteFunc(slices.Clone(options), func(o schema.Property) bool { return o.Name == "sequence" })
		n := d.column(g.table, g.old)
		n.Identity, n.Options = identity, widened(options, g.column.Type, g.typ)
	})
}

// moveIdentity is a statement by which a column draws the numbers that another one has drawn, from where they stand.
func moveIdentity(e engine, from Table, fromColumn string, to Table, toColumn, identity, sequence string) string {
	return fmt.Sprintf(`DO $do$
DECLARE
  last bigint;
  called boolean;
BEGIN
  EXECUTE 'SELECT last_value, is_called FROM ' || pg_get_serial_sequence(%[1]s, %[2]s) INTO last, called;
  ALTER TABLE %[3]s ALTER COLUMN %[4]s DROP IDENTITY;
  ALTER TABLE %[5]s ALTER COLUMN %[6]s ADD GENERATED %[7]s AS IDENTITY%[8]s;
  PERFORM setval(pg_get_serial_sequence(%[9]s, %[10]s), last, called);
END
$do$`, e.literal(e.table(from)), e.literal(fromColumn), e.table(from), e.quote(fromColumn), e.table(to), e.quote(toColumn), strings.ToUpper(identity), sequence, e.literal(e.table(to)), e.literal(toColumn))
}

// giveSequence moves a default that draws from a sequence.
func (r *keyChange) giveSequence(p *planner, g keyGiven, attic string) {
	e := p.engine
	head := "ALTER TABLE " + e.table(g.table) + " ALTER COLUMN "
	move := func(from, to string) []Statement {
		return []Statement{
			{SQL: head + e.quote(to) + " SET DEFAULT " + g.column.Default, Why: "The numbers go on from where they are."},
			{SQL: head + e.quote(from) + " DROP DEFAULT", Why: "They are drawn once for a row."},
		}
	}
	forward, back := move(attic, g.old), move(g.old, attic)
	in, sequence := sequenceOf(p.now, g.column)
	if sequence != nil {
		name := e.table(Table{in, sequence.Name})
		full := e.table(g.table) + "."
		forward = append(forward,
			Statement{SQL: fmt.Sprintf("ALTER SEQUENCE %s AS %s OWNED BY %s", name, g.typ, full+e.quote(g.old)), Why: "Changes the catalogue only."})
		back = append(back,
			Statement{SQL: fmt.Sprintf("ALTER SEQUENCE %s AS %s OWNED BY %s", name, g.column.Type, full+e.quote(attic)), Why: "Changes the catalogue only. It fails when the numbers have outgrown the type."})
	}
	p.raw(forward, back, func(d *edit) {
		d.column(g.table, g.old).Default = g.column.Default
		d.column(g.table, g.old).Needs = g.column.Needs
		d.column(g.table, attic).Default = ""
		if sequence == nil {
			return
		}
		s := d.schema(in)
		for i, q := range s.Sequences {
			if q.Name == sequence.Name {
				next := *q
				next.Definition = widen(q.Definition, g.column.Type, g.typ)
				next.Options = []schema.Property{{Name: "owned by", Value: g.table.Schema + "." + g.table.Name + "." + g.old}}
				s.Sequences[i] = &next
			}
		}
	})
}

// sequenceOf finds the sequence that a column's default draws from.
func sequenceOf(d *schema.Database, c *schema.Column) (string, *schema.Sequence) {
	for _, k := range c.Needs {
		if k.Kind != schema.KindSequence || d.Schema(k.Schema) == nil {
			continue
		}
		for _, s := range d.Schema(k.Schema).Sequences {
			if s.Name == k.Name {
				return k.Schema, s
			}
		}
	}
	return "", nil
}

// widen writes the definition of a sequence with another type, and with that type's end where it had its own.
func widen(definition, from, to string) string {
	definition = strings.Replace(definition, "AS "+from+" ", "AS "+to+" ", 1)
	return strings.Replace(definition, "MAXVALUE "+reach[from]+" ", "MAXVALUE "+reach[to]+" ", 1)
}

func widened(options []schema.Property, from, to string) []schema.Property {
	out := slices.Clone(options)
	for i, o := range out {
		if o.Name == "sequence" {
			out[i].Value = widen(o.Value, from, to)
		}
	}
	return out
}

// sequenceClause writes the name and the options of an identity's sequence for a type.
func sequenceClause(e engine, g keyGiven, typ string) string {
	name := schema.Value(g.column.Options, "sequence name") // as SQL has it, with its schema
	if automatic := g.table.Name + "_" + g.old + "_seq"; name == "" && len(automatic) <= e.limit() {
		name = e.table(Table{g.table.Schema, automatic})
	}
	var parts []string
	if name != "" {
		parts = append(parts, "SEQUENCE NAME "+name)
	}
	if _, rest, ok := strings.Cut(widen(schema.Value(g.column.Options, "sequence"), g.column.Type, typ), "INCREMENT"); ok {
		parts = append(parts, "INCREMENT"+rest)
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, " ") + ")"
}
