package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// twin is the recipe for a table of PostgreSQL that is written anew beside itself: one that gets partitions, or other ones
// (PartitionTable), and what the server would do while nobody reads it (Remake). As with a second table of
// MySQL, a new one is filled batch by batch and kept in step by triggers of the first; at contract the two change
// places in one transaction, and triggers of the new one keep the old one for the way back.
//
// Until contract nobody but the triggers uses the new table: privileges, policies and the application's triggers move to
// it with the name, so that none of them acts twice. Foreign keys that point to the table get a twin that points to
// the new one before, and takes their place: the old table has none afterwards, since a row that moves to another
// partition is deleted there and written again, which must not cascade.
type twin struct {
	second
	by      *partitioning // nil where the new table has none
	parts   []*schema.Table
	borne   []*schema.Trigger // the application's
	moved   []moved           // constraints and indexes whose names are unique in the schema
	foreign []keyForeign      // that point to the table
	given   []*schema.Column  // draw numbers by themselves
}

// early sorts the triggers before those of foreign keys, RI_…, and those of most applications: what a key cascades to
// is then there in both tables.
const early = "00_switchback_"

// newTwin plans a table beside one, with partitions where by is given, and of the form that change gives it. The error is an
// *Error where it cannot have one.
func newTwin(p *planner, op Operation, name Table, by *partitioning, change func(*schema.Table) error) (*twin, error) {
	table, t, err := p.table(op, name)
	if err != nil {
		return nil, err
	}
	e := p.engine
	r := &twin{by: by, second: second{
		op: op, table: table, new: Table{table.Schema, fit(e.limit(), newPrefix, table.Name)}, old: Table{table.Schema, fit(e.limit(), oldPrefix, table.Name)},
		key: t.KeyColumns(), there: map[string]string{}, back: map[string]string{}, types: [2]map[string]string{{}, {}}, apart: map[string]bool{},
	}}
	if err := settledTable(op, table, t); err != nil {
		return nil, err
	}
	if err := r.possible(p, t); err != nil {
		return nil, err
	}
	if err := r.pointedAt(p); err != nil {
		return nil, err
	}
	if err := r.form(p, t); err != nil {
		return nil, err
	}
	if err := change(r.next); err != nil {
		return nil, err
	}
	for _, c := range t.Columns {
		if c.Generated != "" {
			continue
		}
		next := r.next.Column(c.Name)
		r.columns = append(r.columns, c.Name)
		r.there[c.Name], r.back[c.Name] = e.quote(c.Name), e.quote(c.Name)
		r.apart[c.Name] = next.Collation != c.Collation
		r.types[0][c.Name], r.types[1][c.Name] = c.Type, next.Type
	}
	r.borne = t.Triggers
	return r, nil
}

// possible says why a table cannot have another one beside it.
func (r *twin) possible(p *planner, t *schema.Table) error {
	in := p.now.Schema(r.table.Schema)
	fail := func(next, format string, args ...any) error { return &Error{r.op, fmt.Sprintf(format, args...), next} }
	for _, o := range []string{"foreign", "of type", "inherits", "partition of", "partition key"} {
		if v := schema.Value(t.Options, o); v != "" && (o != "partition key" || r.by == nil) {
			return fail("write the change by hand, with switchback new", "table %s has %s %s, and cannot have another one in its place by itself", r.table, o, v)
		}
	}
	switch {
	case r.key == nil:
		return fail("give it one first, in a change of its own", "table %s has no primary key, so its rows cannot be copied batch by batch", r.table)
	case in.Table(r.old.Name) != nil || in.Table(r.new.Name) != nil:
		return fail("finish the change that made it, to purge", "there is a second table of %s already", r.table)
	case len(t.Rules) > 0:
		return fail("drop it first, and make it again in a later change", "rule %s is on the table: it would stay behind with the old one", word(t.Rules[0].Name))
	case strings.HasPrefix(schema.Value(t.Options, "replica identity"), "index "):
		return fail(fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY DEFAULT or FULL first", p.engine.table(r.table)), "%s is the replica identity of %s, which the new table cannot have before it has the index's name", schema.Value(t.Options, "replica identity"), r.table)
	}
	if err := r.constraints(t); err != nil {
		return err
	}
	for _, op := range p.draft.Operations {
		if full, _, err := p.table(op, op.on()); op.String() != r.op.String() && err == nil && full == r.table {
			return fail("plan the two one after the other, each in a change of its own", "%q is about the same table, and the new table would not have it", op)
		}
	}
	for _, c := range r.key {
		if typ := t.Column(c).Type; !r.comparable(p, typ) {
			return fail("write the change by hand, with switchback new", "column %s of the primary key has type %s, which triggers could not compare", word(c), typ)
		}
	}
	return r.onlookers(p)
}

// comparable tells whether values of a type are compared by what PostgreSQL has itself, which is all that the triggers go by.
func (*twin) comparable(p *planner, typ string) bool {
	in, name, other := strings.Cut(typ, ".")
	if !other || strings.HasSuffix(typ, "citext") {
		return true
	}
	s := p.now.Schema(strings.Trim(in, `"`))
	return s != nil && s.Type(strings.Trim(name, `"`)) != nil && s.Type(strings.Trim(name, `"`)).Form != schema.Base
}

// constraints says which of the table's no other table can have beside it.
func (r *twin) constraints(t *schema.Table) error {
	fail := func(next, format string, args ...any) error { return &Error{r.op, fmt.Sprintf(format, args...), next} }
	for _, k := range t.Constraints {
		called := fmt.Sprintf("constraint %s of %s", word(k.Name), r.table)
		switch {
		case strings.Contains(k.Definition, "NOT VALID") || strings.Contains(k.Definition, "NOT ENFORCED"):
			return fail(fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s first", r.table, word(k.Name)), "%s may not hold for the rows that are there, and the new table would refuse them", called)
		case k.Type == schema.PrimaryKey && strings.Contains(k.Definition, "DEFERRABLE"):
			return fail("make it one that is not deferrable first", "%s is deferrable, so no row can be told by it before the transaction ends", called)
		case k.Type == schema.ForeignKey && k.References != nil && k.References.Table == r.table.Name && or(k.References.Schema, r.table.Schema) == r.table.Schema:
			return fail(fmt.Sprintf("drop constraint %s.%s first, and add it again in a later change", r.table, word(k.Name)), "foreign key %s of %s points to the table itself: rows that are written together would have to come in an order", word(k.Name), r.table)
		}
	}
	return nil
}

// onlookers refuses a table that something reads which would go on reading the old one: views are made again.
func (r *twin) onlookers(p *planner) error {
	var found string
	look := func(key schema.Key, needs []schema.Key) {
		own := key.Schema == r.table.Schema && (key.Name == r.table.Name || strings.HasPrefix(key.Name, r.table.Name+"."))
		if found != "" || own || key.Kind == schema.KindView || key.Kind == schema.KindConstraint || key.Kind == schema.KindSequence {
			return
		}
		for _, n := range needs {
			if n.Schema == r.table.Schema && (n.Kind == schema.KindTable && n.Name == r.table.Name || n.Kind == schema.KindColumn && strings.HasPrefix(n.Name, r.table.Name+".")) {
				found = fmt.Sprintf("%s %s", key.Kind, key.Name)
			}
		}
	}
	eachObject(p.now, func(key schema.Key, o schema.Object) {
		if t, ok := o.(*schema.Table); ok && partOf(t, r.table) {
			return
		}
		look(key, needsOf(o))
		for _, c := range o.Children() {
			look(schema.Key{Schema: key.Schema, Kind: c.Kind(), Name: key.Name + "." + c.ObjectName()}, needsOf(c))
		}
	})
	if found == "" {
		return nil
	}
	return &Error{r.op, fmt.Sprintf("%s is bound to %s, and would stay with the old table", found, r.table), "drop it first, and make it again in a later change"}
}

// partOf tells whether a table is a partition of another one.
func partOf(t *schema.Table, of Table) bool {
	d := sqltoken.Of("postgres")
	list := sqltoken.Split(schema.Value(t.Options, "partition of"), d)
	return len(list) > 0 && list[len(list)-1].Names(of.Name, d) && (len(list) < 3 || list[len(list)-3].Names(of.Schema, d))
}

// pointedAt finds the foreign keys that point to the table, which get a twin.
func (r *twin) pointedAt(p *planner) (err error) {
	e, d := p.engine, sqltoken.Of("postgres")
	eachForeignKey(p.now, func(from Table, k *schema.Constraint, to Table) {
		if to != r.table || err != nil {
			return
		}
		drop := fmt.Sprintf("drop constraint %s.%s first, and add it again in a later change", from, word(k.Name))
		partitioned := func(t Table) bool {
			return schema.Value(p.now.Schema(t.Schema).Table(t.Name).Options, "partition key") != ""
		}
		switch {
		case partitioned(from):
			err = &Error{r.op, fmt.Sprintf("foreign key %s of %s points to it, and a partitioned table gets one under a lock only, while all its rows are read", word(k.Name), from), drop}
		case partitioned(to):
			err = &Error{r.op, fmt.Sprintf("foreign key %s of %s points to it: a row that moves to another partition would be deleted in the new table and written again, with what that cascades to", word(k.Name), from), drop}
		}
		also, reference := *k, *k.References
		reference.Table = r.new.Name
		also.Name, also.References, also.Needs = fit(e.limit(), newPrefix, k.Name), &reference, nil
		behind := false
		also.Definition = sqltoken.Replace(k.Definition, d, func(list []sqltoken.Token, i int) (string, bool) {
			behind = behind || list[i].Is("references")
			return e.quote(r.new.Name), behind && list[i].Names(r.table.Name, d) && i+1 < len(list) && list[i+1].IsSign("(") && (list[i-1].Is("references") || list[i-1].IsSign("."))
		})
		r.foreign = append(r.foreign, keyForeign{from, k, &also, also.Name, k.Name})
	})
	return err
}

// form is the new table, as the old one is, with its partitions.
func (r *twin) form(p *planner, t *schema.Table) error {
	e, d := p.engine, sqltoken.Of("postgres")
	next := *t
	next.Name, next.Columns, next.Constraints, next.Indexes = r.new.Name, nil, nil, nil
	next.Triggers, next.Policies, next.Grants, next.Needs = nil, nil, nil, nil
	next.Options = slices.DeleteFunc(slices.Clone(t.Options), func(o schema.Property) bool { return o.Name == "row security" || o.Name == "cluster on" })
	if r.by != nil {
		r.divide(p, t, &next)
	}
	for _, c := range t.Columns {
		column := *c
		if c.Identity != "" || strings.HasPrefix(c.Default, "nextval(") {
			r.given = append(r.given, c)
		}
		if c.Identity != "" {
			column.Identity = ""
			column.Options = slices.DeleteFunc(slices.Clone(c.Options), func(o schema.Property) bool { return strings.HasPrefix(o.Name, "sequence") })
		}
		next.Columns = append(next.Columns, &column)
	}
	called := func(kind schema.Kind, name string) (string, error) {
		m := moved{kind, name, fit(e.limit(), oldPrefix, name), fit(e.limit(), newPrefix, name)}
		r.moved = append(r.moved, m)
		return m.temp, p.vacant(r.op, r.table, m.name, m.old, m.temp)
	}
	for _, k := range t.Constraints {
		also := *k
		also.Needs = nil
		if k.Type == schema.PrimaryKey || k.Type == schema.Unique || k.Type == schema.Exclusion {
			var err error
			if also.Name, err = called(schema.KindConstraint, k.Name); err != nil {
				return err
			}
		}
		next.Constraints = append(next.Constraints, &also)
	}
	for _, x := range t.Indexes {
		also := *x
		var err error
		if also.Name, err = called(schema.KindIndex, x.Name); err != nil {
			return err
		}
		behind := false
		also.Definition = sqltoken.Replace(x.Definition, d, func(list []sqltoken.Token, i int) (string, bool) {
			if behind || i == 0 {
				return "", false
			}
			switch {
			case list[i-1].Is("index") && list[i].Names(x.Name, d):
				return e.quote(also.Name), true
			case r.by != nil && list[i].Is("on") && !list[i+1].Is("only"):
				return "ON ONLY", true
			case list[i].Names(r.table.Name, d) && !list[i+1].IsSign("."):
				behind = true
				return e.quote(r.new.Name), true
			}
			return "", false
		})
		next.Indexes = append(next.Indexes, &also)
	}
	r.next = &next
	return nil
}

// triggers are the names of a direction's, for each row and for TRUNCATE, and of their function.
func (r *twin) triggers(p *planner, d direction) (rows, all, function string) {
	name := func(prefix string) string { return fit(p.engine.limit(), prefix, r.table.Name) }
	return name(early + p.id + "_" + d.way + "_"), name(early + p.id + "_" + d.way + "_all_"), name("switchback_" + p.id + "_" + d.way + "_")
}

// keep makes or drops the triggers of a direction, with their function.
func (r *twin) keep(p *planner, d direction, there bool) error {
	p.saying = fmt.Sprintf("By way of it, writes of %s reach %s too, in the same transaction.", d.on, d.to)
	defer func() { p.saying = "" }()
	rows, all, function := r.triggers(p, d)
	return p.step(nil, func(e *edit) {
		in := e.schema(d.on.Schema)
		if !there {
			e.dropTrigger(d.on, rows)
			e.dropTrigger(d.on, all)
			e.dropRoutine(d.on.Schema, function+"()")
			return
		}
		in.Routines = append(in.Routines, &schema.Routine{
			Name: function + "()", Form: "function", Definition: r.function(p, d, function),
			Grants: []*schema.Grant{{To: "public", Privileges: "none"}}, // who may execute it could have it fire for a table of his own
		})
		t := e.table(d.on)
		t.Triggers = append(t.Triggers, r.made(p, d, rows, "INSERT OR DELETE OR UPDATE", "ROW"), r.made(p, d, all, "TRUNCATE", "STATEMENT"))
	})
}

// made is a trigger, which also fires for what replication brings.
func (r *twin) made(p *planner, d direction, name, events, each string) *schema.Trigger {
	_, _, function := r.triggers(p, d)
	return &schema.Trigger{
		Name: name, Enabled: "always",
		Definition: fmt.Sprintf("CREATE TRIGGER %s AFTER %s ON %s FOR EACH %s EXECUTE FUNCTION %s()", p.engine.quote(name), events, p.engine.table(d.on), each, p.engine.table(Table{d.on.Schema, function})),
		Needs:      []schema.Key{{Schema: d.on.Schema, Kind: schema.KindRoutine, Name: function + "()"}},
	}
}

// function has the other table say of a key what the table says by then: so it does not matter in which order triggers of
// the application have written the row meanwhile. It writes with the rights of whoever runs the change.
func (r *twin) function(p *planner, d direction, name string) string {
	e := p.engine
	is := func(prefix, row string) string {
		return joinBy(r.key, " AND ", func(c string) string { return prefix + e.quote(c) + " = " + row + "." + e.quote(c) })
	}
	moved := joinBy(r.key, " OR ", func(c string) string { return e.distinct("NEW."+e.quote(c), "OLD."+e.quote(c), r.types[0][c]) })
	set := join(r.columns, func(c string) string { return e.quote(c) + " = excluded." + e.quote(c) }) // the key too: what is equal may read otherwise
	return fmt.Sprintf(`CREATE OR REPLACE FUNCTION %[1]s()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
#variable_conflict use_column
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    DELETE FROM %[2]s;
    RETURN NULL;
  END IF;
  IF TG_OP = 'DELETE' THEN
    DELETE FROM %[2]s WHERE %[3]s
      AND NOT EXISTS (SELECT FROM %[4]s WHERE %[3]s);
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' AND (%[5]s) THEN
    UPDATE %[2]s SET %[6]s
    WHERE %[3]s;
  END IF;
  INSERT INTO %[2]s (%[7]s)
  SELECT %[7]s FROM %[4]s WHERE %[8]s
  ON CONFLICT (%[9]s) DO UPDATE SET %[10]s;
  RETURN NULL;
END
$function$`, e.table(Table{d.on.Schema, name}), e.table(d.to), is("", "OLD"), e.table(d.on), moved,
		join(r.key, func(c string) string { return e.quote(c) + " = NEW." + e.quote(c) }), join(r.columns, e.quote), is("", "NEW"), join(r.key, e.quote), set)
}

func (r *twin) expand(p *planner) error {
	e := p.engine
	t := p.now.Schema(r.table.Schema).Table(r.table.Name)
	if schema.Value(t.Options, "row security") != "" {
		p.scripts.step([]Statement{{
			SQL: fmt.Sprintf("SELECT current_user\nWHERE row_security_active(%s)", e.literal(e.table(r.table))), Why: "Reads the catalogue.",
			Assert: fmt.Sprintf("row security hides rows of %s from this role, which would not be copied: run the change as one that it does not apply to", r.table),
		}}, nil)
	}
	if r.by != nil && !r.by.open() {
		p.scripts.step([]Statement{{
			SQL: fmt.Sprintf("SELECT *\nFROM %s\nWHERE NOT (%s)\nLIMIT 5", e.table(r.table), r.by.fits(e.quote)), Why: "Reads the table without a lock.",
			Assert: fmt.Sprintf("rows of %s have no place in any partition", r.table),
		}}, nil)
	}
	p.saying = "The new table. No version of the application uses it."
	if r.by != nil {
		p.saying = "The new table, with its partitions. No version of the application uses it."
	}
	err := p.step(nil, func(e *edit) {
		s := e.schema(r.table.Schema)
		s.Tables = append(append(s.Tables, r.next), r.parts...)
	})
	p.saying = ""
	if err != nil {
		return err
	}
	p.together = true
	defer func() { p.together = false }()
	return r.keep(p, r.forth(), true)
}

func (r *twin) fill(p *planner) error {
	e, d := p.engine, r.forth()
	p.scripts.step([]Statement{{
		SQL:   fmt.Sprintf("INSERT INTO %s (%s)\nSELECT %s\nFROM %s\nWHERE :batch\nFOR SHARE\nON CONFLICT DO NOTHING", e.table(d.to), join(r.columns, e.quote), join(r.columns, e.quote), e.table(d.on)),
		Why:   "Copies the rows that were there before the triggers were, a batch a transaction. It holds the rows that it reads, so none of them is changed or deleted before it is in the new table. What is there already is newer, and stays.",
		Batch: &Batch{Table: e.walkName(r.table), Key: r.key},
	}}, nil)
	for _, f := range r.foreign {
		if err := p.step(nil, func(e *edit) { t := e.table(f.table); t.Constraints = append(t.Constraints, f.next) }); err != nil {
			return err
		}
	}
	p.scripts.step(r.compare(p, d), nil)
	return nil
}

// moves has the views on the table made again: they would go on reading the old one.
func (r *twin) moves() []move { return []move{{table: r.table}} }

func (r *twin) ready(p *planner) error {
	var back []Statement
	for _, f := range r.foreign {
		back = append(back, Statement{SQL: fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", p.engine.table(f.table), p.engine.quote(f.original)), Outside: true, Why: "Reads the table while others write to it."})
	}
	p.scripts.step(append([]Statement{r.assertTriggers(p, r.forth())}, alone(r.compare(p, r.forth()))...), back)
	return nil
}

// alone has statements that take long run outside of the transaction that locks the tables.
func alone(list []Statement) []Statement {
	for i := range list {
		list[i].Outside = true
	}
	return list
}

func (r *twin) assertTriggers(p *planner, d direction) Statement {
	rows, all, _ := r.triggers(p, d)
	return p.engine.assertThere(d.on, []string{rows, all}, fmt.Sprintf("a trigger that keeps %s and %s in step is gone or off, so they may differ: roll back to before expand, and go forward again", d.on, d.to))
}

// contract lets the tables change places, and gives the new one what only the one of that name may have.
func (r *twin) contract(p *planner) error {
	if err := r.keep(p, r.forth(), false); err != nil {
		return err
	}
	t := p.now.Schema(r.table.Schema).Table(r.table.Name)
	triggers, policies, grants, security := t.Triggers, t.Policies, t.Grants, schema.Value(t.Options, "row security")
	p.saying = "Privileges, policies and triggers go with the name. Changes the catalogue only."
	err := p.step(nil, func(e *edit) {
		t := e.table(r.table)
		t.Triggers, t.Policies, t.Grants = nil, nil, nil
		t.Options = slices.DeleteFunc(slices.Clone(t.Options), func(o schema.Property) bool { return o.Name == "row security" })
	})
	p.saying = ""
	if err != nil {
		return err
	}
	if err := r.rename(p); err != nil {
		return err
	}
	for _, c := range r.given {
		if err := r.give(p, c); err != nil {
			return err
		}
	}
	p.saying = "Privileges, policies and triggers go with the name. Changes the catalogue only."
	err = p.step(nil, func(e *edit) {
		t := e.table(r.table)
		t.Triggers, t.Policies, t.Grants = triggers, policies, grants
		if security != "" {
			t.Options = append(slices.Clone(t.Options), schema.Property{Name: "row security", Value: security})
		}
	})
	p.saying = ""
	if err != nil {
		return err
	}
	return r.keep(p, r.forBack(), true)
}

// rename gives both tables, and all that is called after them, their names.
func (r *twin) rename(p *planner) error {
	p.saying = "Changes the catalogue only."
	defer func() { p.saying = "" }()
	constraint := func(on Table, from, to string) {
		forward, _ := p.engine.renameConstraint(on, from, to)
		back, _ := p.engine.renameConstraint(on, to, from)
		p.raw([]Statement{{SQL: forward, Why: p.saying}}, []Statement{{SQL: back, Why: p.saying}}, func(e *edit) { e.renameConstraint(on, from, to) })
	}
	index := func(on Table, from, to string) error {
		return p.rename([]diff.Rename{{Kind: schema.KindIndex, Schema: on.Schema, Parent: on.Name, From: from, To: to}})
	}
	for _, m := range r.moved {
		if m.kind == schema.KindConstraint {
			constraint(r.table, m.name, m.old)
			constraint(r.new, m.temp, m.name)
			continue
		}
		if err := index(r.table, m.name, m.old); err != nil {
			return err
		}
		if err := index(r.new, m.temp, m.name); err != nil {
			return err
		}
	}
	for _, f := range r.foreign {
		head := fmt.Sprintf("ALTER TABLE %s ", p.engine.table(f.table))
		again := []Statement{{SQL: head + fmt.Sprintf("ADD CONSTRAINT %s %s NOT VALID", p.engine.quote(f.original), f.key.Definition), Why: "It is validated below, while others write."}}
		if f.key.Comment != "" {
			again = append(again, Statement{SQL: fmt.Sprintf("COMMENT ON CONSTRAINT %s ON %s IS %s", p.engine.quote(f.original), p.engine.table(f.table), p.engine.literal(f.key.Comment)), Why: p.saying})
		}
		p.raw([]Statement{{SQL: head + "DROP CONSTRAINT " + p.engine.quote(f.original), Why: "Its twin, which points to the new table, takes its place. " + p.saying}}, again, func(e *edit) {
			t := e.table(f.table)
			t.Constraints = slices.DeleteFunc(t.Constraints, func(k *schema.Constraint) bool { return k.Name == f.original })
		})
		constraint(f.table, f.temp, f.original)
	}
	for _, way := range [][2]string{{r.table.Name, r.old.Name}, {r.new.Name, r.table.Name}} {
		if err := p.rename([]diff.Rename{{Kind: schema.KindTable, Schema: r.table.Schema, From: way[0], To: way[1]}}); err != nil {
			return err
		}
	}
	return nil
}

// give has the new table draw the numbers that the old one has drawn, from where they stand.
func (r *twin) give(p *planner, c *schema.Column) error {
	if c.Identity == "" {
		in, sequence := sequenceOf(p.now, c)
		if sequence == nil || schema.Value(sequence.Options, "owned by") == "" {
			return nil
		}
		p.saying = "The numbers go on from where they are, and stay when the old table goes."
		defer func() { p.saying = "" }()
		return p.step(nil, func(e *edit) {
			s := e.schema(in)
			i := slices.IndexFunc(s.Sequences, func(q *schema.Sequence) bool { return q.Name == sequence.Name })
			next := *s.Sequences[i]
			next.Options = []schema.Property{{Name: "owned by", Value: p.engine.table(r.table) + "." + p.engine.quote(c.Name)}}
			s.Sequences[i] = &next
		})
	}
	sequence := sequenceClause(p.engine, keyGiven{table: r.table, old: c.Name, column: c}, c.Type)
	const why = "The numbers go on from where they are. Changes the catalogue only."
	p.raw(
		[]Statement{{SQL: moveIdentity(p.engine, r.old, c.Name, r.table, c.Name, c.Identity, sequence), Why: why}},
		[]Statement{{SQL: moveIdentity(p.engine, r.table, c.Name, r.old, c.Name, c.Identity, sequence), Why: why}},
		func(e *edit) {
			from, to := e.column(r.old, c.Name), e.column(r.table, c.Name)
			from.Identity, from.Options, to.Identity, to.Options = "", to.Options, c.Identity, c.Options
		})
	return nil
}

// settle is what the rollback of contract begins with.
func (r *twin) settle(p *planner) error {
	p.scripts.step(nil, append([]Statement{r.assertTriggers(p, r.forBack())}, alone(r.faithful(p, r.forBack()))...))
	return nil
}

func (r *twin) purge(p *planner) error {
	p.together = true
	err := r.keep(p, r.forBack(), false)
	p.together = false
	if err != nil {
		return err
	}
	return p.step(nil, func(e *edit) {
		s := e.schema(r.table.Schema)
		s.Tables = slices.DeleteFunc(s.Tables, func(t *schema.Table) bool { return t.Name == r.old.Name || partOf(t, r.old) }) // also the partitions that it had
	})
}
