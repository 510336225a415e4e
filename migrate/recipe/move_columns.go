package recipe

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// MoveColumns moves columns of a table to a new one that has a row for each row which has a value in one of
// them, by the same key: it splits a table.
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

// moveColumns is the recipe. A row of the new table stands for a row of the old one in which not all of the
// columns are NULL. Triggers after each write of one table write the other where it says something else,
// so that they end by themselves; at contract the columns go to the attic, where the triggers of the new
// table keep them.
type moveColumns struct {
	nothing
	op       MoveColumns
	from, to Table
	key      *schema.Constraint
	made     *schema.Table
	freed    []string          // columns that are NOT NULL without a default: the new version does not write them
	attic    map[string]string // what the columns are called after contract
}

func (o MoveColumns) on() Table { return o.Table }

func (o MoveColumns) recipe(p *planner) (recipe, error) {
	if p.engine.name() != "postgres" {
		return nil, &Error{o, fmt.Sprintf("moving columns to another table is not known on %s yet", p.engine.name()), ""}
	}
	from, t, err := p.table(o, o.Table)
	if err != nil {
		return nil, err
	}
	to := Table{or(o.To.Schema, from.Schema), o.To.Name}
	in := p.now.Schema(to.Schema)
	if in == nil || in.Table(to.Name) != nil || in.View(to.Name) != nil {
		return nil, &Error{o, fmt.Sprintf("%s has to be a new table in a schema that is there", to), ""}
	}
	r := &moveColumns{op: o, from: from, to: to, attic: map[string]string{}, made: &schema.Table{Name: to.Name, Owner: t.Owner, Grants: t.Grants}}
	r.key = t.PrimaryKey()
	if r.key == nil || len(r.key.Columns) != len(o.Key) {
		return nil, &Error{o, fmt.Sprintf("the new table takes the primary key of %s over, which has to have as many columns as are named", from), ""}
	}
	for i, c := range r.key.Columns {
		column := successor(t.Column(c), o.Key[i])
		column.Default, column.Needs = "", nil
		r.made.Columns = append(r.made.Columns, column)
	}
	for _, name := range o.Columns {
		c := t.Column(name)
		switch {
		case c == nil:
			return nil, noColumn(o, from, name)
		case keyed(p.now, from, name) || c.Generated != "":
			return nil, &Error{o, fmt.Sprintf("column %s is part of a key, or generated", word(name)), ""}
		}
		column := successor(c, name)
		column.NotNull = c.NotNull && len(o.Columns) == 1
		r.made.Columns = append(r.made.Columns, column)
		r.attic[name] = fit(p.engine.limit(), oldPrefix, name)
		if c.NotNull {
			r.freed = append(r.freed, name)
		}
		for _, k := range t.Constraints {
			if k.Type != schema.NotNull && len(named(p.engine, &schema.Table{Columns: []*schema.Column{c}}, k.Definition)) > 0 {
				p.note("Constraint %s of %s goes to the attic with the columns; give the new table one of its own.", word(k.Name), from)
			}
		}
	}
	r.made.Constraints = r.constraints(p)
	return r, nil
}

func (r *moveColumns) constraints(p *planner) []*schema.Constraint {
	key, parent := join(r.op.Key, p.engine.quote), join(r.key.Columns, p.engine.quote)
	return []*schema.Constraint{
		{Name: fit(p.engine.limit(), "", r.to.Name+"_pkey"), Type: schema.PrimaryKey, Definition: "PRIMARY KEY (" + key + ")", Columns: r.op.Key},
		{
			Name: fit(p.engine.limit(), "", r.to.Name+"_"+r.op.Key[0]+"_fkey"), Type: schema.ForeignKey, Columns: r.op.Key,
			Definition: fmt.Sprintf("FOREIGN KEY (%s) REFERENCES %s(%s) ON UPDATE CASCADE ON DELETE CASCADE", key, p.engine.table(r.from), parent),
			References: &schema.Reference{Schema: r.from.Schema, Table: r.from.Name, Columns: r.key.Columns},
			Needs:      []schema.Key{{Schema: r.from.Schema, Kind: schema.KindTable, Name: r.from.Name}},
		},
	}
}

func (r *moveColumns) expand(p *planner) error {
	if err := p.step(nil, func(e *edit) {
		s := e.schema(r.to.Schema)
		s.Tables = append(s.Tables, r.made)
	}); err != nil {
		return err
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
	if err := p.pair(r, "there", r.from, r.there); err != nil {
		return err
	}
	return p.pair(r, "back", r.to, func(p *planner) string { return r.back(p, before) })
}

// pair makes one of the two triggers.
func (p *planner) pair(r *moveColumns, suffix string, on Table, body func(*planner) string) error {
	p.saying = fmt.Sprintf("Keeps %s and %s in step.", r.from, r.to)
	defer func() { p.saying = "" }()
	return p.step(nil, func(e *edit) { r.add(p, e, suffix, on, body(p)) })
}

func (r *moveColumns) function(p *planner, suffix string) string {
	return fit(p.engine.limit(), "switchback_"+p.id+"_"+suffix+"_", r.to.Name)
}

func (r *moveColumns) trigger(p *planner, suffix string) string {
	return "zz_switchback_3_" + p.id + "_" + suffix
}

func (r *moveColumns) add(p *planner, e *edit, suffix string, on Table, body string) {
	name := r.function(p, suffix)
	full := p.engine.table(Table{r.to.Schema, name})
	events := map[string]string{"there": "INSERT OR UPDATE", "back": "INSERT OR UPDATE OR DELETE"}[suffix]
	s := e.schema(r.to.Schema)
	s.Routines = append(s.Routines, &schema.Routine{
		Name: name + "()", Form: "function",
		Definition: fmt.Sprintf("CREATE OR REPLACE FUNCTION %s()\n RETURNS trigger\n LANGUAGE plpgsql\nAS $function$\nBEGIN\n%s\n  RETURN NULL;\nEND\n$function$", full, body),
	})
	t := e.table(on)
	t.Triggers = append(t.Triggers, &schema.Trigger{
		Name: r.trigger(p, suffix), Enabled: "always",
		Definition: fmt.Sprintf("CREATE TRIGGER %s AFTER %s ON %s FOR EACH ROW EXECUTE FUNCTION %s()", r.trigger(p, suffix), events, p.engine.table(on), full),
		Needs:      []schema.Key{{Schema: r.to.Schema, Kind: schema.KindRoutine, Name: name + "()"}},
	})
}

func (r *moveColumns) drop(p *planner, suffix string, on Table) error {
	p.saying = fmt.Sprintf("Keeps %s and %s in step.", r.from, r.to)
	defer func() { p.saying = "" }()
	return p.step(nil, func(e *edit) {
		e.dropTrigger(on, r.trigger(p, suffix))
		e.dropRoutine(r.to.Schema, r.function(p, suffix)+"()")
	})
}

// there is the body of the trigger that takes writes of the old table to the new one.
func (r *moveColumns) there(p *planner) string {
	e := p.engine
	var same, sets, some, differs, oldDiffers []string
	for i, c := range r.key.Columns {
		same = append(same, e.quote(r.op.Key[i])+" = NEW."+e.quote(c))
	}
	t := p.now.Schema(r.from.Schema).Table(r.from.Name)
	for _, c := range r.op.Columns {
		q, typ := e.quote(c), t.Column(c).Type
		sets = append(sets, q+" = excluded."+q)
		some = append(some, "NEW."+q+" IS NOT NULL")
		differs = append(differs, e.distinct("t."+q, "excluded."+q, typ))
		oldDiffers = append(oldDiffers, e.distinct("NEW."+q, "OLD."+q, typ))
	}
	columns := append(append([]string(nil), r.op.Key...), r.op.Columns...)
	values := append(append([]string(nil), r.key.Columns...), r.op.Columns...)
	return fmt.Sprintf(`  IF TG_OP = 'UPDATE' AND NOT (%s) THEN
    RETURN NULL;
  END IF;
  IF %s THEN
    INSERT INTO %s AS t (%s)
    VALUES (%s)
    ON CONFLICT (%s) DO UPDATE SET %s
    WHERE %s;
  ELSE
    DELETE FROM %s WHERE %s;
  END IF;`,
		strings.Join(oldDiffers, " OR "), strings.Join(some, " OR "), e.table(r.to), join(columns, e.quote),
		join(values, func(c string) string { return "NEW." + e.quote(c) }), join(r.op.Key, e.quote), strings.Join(sets, ", "), strings.Join(differs, " OR "),
		e.table(r.to), strings.Join(same, " AND "))
}

// back is the body of the trigger that takes writes of the new table back to the old one.
func (r *moveColumns) back(p *planner, st state) string {
	e := p.engine
	var same, gone, sets, nulls, differs, not []string
	for i, c := range r.key.Columns {
		same = append(same, e.quote(c)+" = NEW."+e.quote(r.op.Key[i]))
		gone = append(gone, e.quote(c)+" = OLD."+e.quote(r.op.Key[i]))
	}
	for _, c := range r.made.Columns[len(r.op.Key):] {
		there := c.Name
		if st == after {
			there = r.attic[c.Name]
		}
		q := e.quote(there)
		sets = append(sets, q+" = NEW."+e.quote(c.Name))
		nulls = append(nulls, q+" = NULL")
		differs = append(differs, e.distinct(q, "NEW."+e.quote(c.Name), c.Type))
		not = append(not, q+" IS NOT NULL")
	}
	return fmt.Sprintf(`  IF TG_OP = 'DELETE' THEN
    UPDATE %[1]s SET %[2]s WHERE %[3]s AND (%[4]s);
  ELSE
    UPDATE %[1]s SET %[5]s WHERE %[6]s AND (%[7]s);
  END IF;`,
		e.table(r.from), strings.Join(nulls, ", "), strings.Join(gone, " AND "), strings.Join(not, " OR "),
		strings.Join(sets, ", "), strings.Join(same, " AND "), strings.Join(differs, " OR "))
}

func (r *moveColumns) fill(p *planner) error {
	e := p.engine
	var some, same, differs []string
	for i, c := range r.key.Columns {
		same = append(same, "n."+e.quote(r.op.Key[i])+" = o."+e.quote(c))
	}
	for _, c := range r.made.Columns[len(r.op.Key):] {
		some = append(some, e.quote(c.Name)+" IS NOT NULL")
		differs = append(differs, e.distinct("n."+e.quote(c.Name), "o."+e.quote(c.Name), c.Type))
	}
	columns := append(append([]string(nil), r.op.Key...), r.op.Columns...)
	values := append(append([]string(nil), r.key.Columns...), r.op.Columns...)
	p.scripts.step([]Statement{
		{
			SQL: fmt.Sprintf("INSERT INTO %s (%s)\nSELECT %s\nFROM %s\nWHERE (%s)\n  AND :batch\nFOR SHARE\nON CONFLICT DO NOTHING", e.table(r.to), join(columns, e.quote), join(values, e.quote), e.table(r.from), strings.Join(some, " OR ")),
			Why: "Copies what was there before the triggers were, a batch a transaction. FOR SHARE keeps a row from being deleted while it is copied.", Batch: &Batch{Table: e.walkName(r.from), Key: r.key.Columns},
		},
		{
			SQL: fmt.Sprintf("SELECT o.*, n.*\nFROM %s AS o\nLEFT JOIN %s AS n ON %s\nWHERE %s\nLIMIT 5", e.table(r.from), e.table(r.to), strings.Join(same, " AND "), strings.Join(differs, " OR ")),
			Why: "Reads both tables without a lock.", Assert: fmt.Sprintf("rows of %s and %s do not say the same", r.from, r.to),
		},
	}, nil)
	return nil
}

func (r *moveColumns) contract(p *planner) error {
	if err := p.dropBoth(r); err != nil {
		return err
	}
	var renames []diff.Rename
	for _, c := range r.op.Columns {
		renames = append(renames, diff.Rename{Kind: schema.KindColumn, Schema: r.from.Schema, Parent: r.from.Name, From: c, To: r.attic[c]})
	}
	if err := p.rename(renames); err != nil {
		return err
	}
	return p.pair(r, "back", r.to, func(p *planner) string { return r.back(p, after) })
}

func (p *planner) dropBoth(r *moveColumns) error {
	if err := r.drop(p, "there", r.from); err != nil {
		return err
	}
	return r.drop(p, "back", r.to)
}

func (r *moveColumns) purge(p *planner) error {
	if err := r.drop(p, "back", r.to); err != nil {
		return err
	}
	return p.step(nil, func(e *edit) {
		for _, c := range r.op.Columns {
			e.purgeColumn(r.from, r.attic[c])
		}
	})
}
