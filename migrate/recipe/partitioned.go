package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// newPartitioned plans a partitioned table of PostgreSQL beside one. The error is an *Error where it cannot have one.
func newPartitioned(p *planner, op PartitionTable) (*twin, error) {
	table, t, err := p.table(op, op.Table)
	if err != nil {
		return nil, err
	}
	by, err := readPartitioning(table.Name, op.By)
	if err != nil {
		return nil, &Error{op, err.Error(), "write it as " + partitionings}
	}
	if err := by.possible(p, op, table, t); err != nil {
		return nil, err
	}
	r, err := newTwin(p, op, table, &by, func(*schema.Table) error { return nil })
	if err != nil {
		return nil, err
	}
	r.notes(p, t)
	return r, nil
}

// possible says why a table cannot be partitioned so.
func (by partitioning) possible(p *planner, op PartitionTable, table Table, t *schema.Table) error {
	in, key := p.now.Schema(table.Schema), t.KeyColumns()
	fail := func(next, format string, args ...any) error { return &Error{op, fmt.Sprintf(format, args...), next} }
	var missing []string
	for _, c := range by.columns {
		if t.Column(c) == nil {
			return noColumn(op, table, c)
		}
		if !slices.Contains(key, c) {
			missing = append(missing, word(c))
		}
	}
	if key != nil && len(missing) > 0 {
		return fail(fmt.Sprintf("partition it by columns of the key (%s), as HASH or RANGE of them, or have a key with %s in it first, in a change written by hand: switchback new", join(key, word), strings.Join(missing, ", ")),
			"the primary key of %s does not hold %s: PostgreSQL sees to a key within each partition only", table, strings.Join(missing, ", "))
	}
	for _, x := range by.parts {
		if in.Table(x.name) != nil || in.View(x.name) != nil {
			return fail("give the partition another name", "there is a %s already", word(x.name))
		}
	}
	for _, g := range t.Triggers {
		if strings.Contains(g.Definition, " REFERENCING ") && strings.Contains(g.Definition, " FOR EACH ROW ") {
			return fail("drop it first, and make it again for each statement in a later change", "trigger %s is for each row and has transition tables, which a partitioned table cannot have", word(g.Name))
		}
	}
	return by.constraints(op, table, t)
}

// constraints says which of the table's a partitioned one cannot have.
func (by partitioning) constraints(op PartitionTable, table Table, t *schema.Table) error {
	fail := func(next, format string, args ...any) error { return &Error{op, fmt.Sprintf(format, args...), next} }
	within := func(columns []string) bool {
		return !slices.ContainsFunc(by.columns, func(c string) bool { return !slices.Contains(columns, c) })
	}
	for _, k := range t.Constraints {
		switch {
		case k.Type == schema.Exclusion || strings.Contains(k.Definition, "WITHOUT OVERLAPS"):
			return fail("drop it first, in a change of its own", "constraint %s of %s excludes rows across partitions, which PostgreSQL cannot do", word(k.Name), table)
		case k.Type == schema.Unique && !within(k.Columns):
			return fail(fmt.Sprintf("drop constraint %s.%s first, and add it again in a later change", table, word(k.Name)),
				"constraint %s of %s does not hold %s: PostgreSQL sees to it within each partition only", word(k.Name), table, join(by.columns, word))
		}
	}
	for _, x := range t.Indexes {
		if x.Unique && !within(x.Columns) {
			return fail(fmt.Sprintf("drop index %s.%s first, or make it one that is not unique", table, word(x.Name)), "unique index %s of %s does not hold %s: PostgreSQL sees to it within each partition only", word(x.Name), table, join(by.columns, word))
		}
	}
	return nil
}

// divide gives the new table its partitions, which have what is said of a table that has rows.
func (r *twin) divide(p *planner, t, next *schema.Table) {
	next.Options = []schema.Property{{Name: "partition key", Value: fmt.Sprintf("%s (%s)", r.by.method, join(r.by.columns, p.engine.quote))}}
	var below []schema.Property
	for _, o := range t.Options {
		switch o.Name {
		case "replica identity":
			next.Options, below = append(next.Options, o), append(below, o)
		case "persistence", "access method", "storage", "toast storage", "tablespace":
			below = append(below, o)
		case "cluster on":
			p.note("%s is not clustered by an index afterwards: a partitioned table cannot be.", r.table)
		}
	}
	for _, x := range r.by.parts {
		r.parts = append(r.parts, &schema.Table{
			Name: x.name, Owner: t.Owner, Needs: []schema.Key{{Schema: r.new.Schema, Kind: schema.KindTable, Name: r.new.Name}},
			Options: append([]schema.Property{{Name: "partition of", Value: p.engine.table(r.new)}, {Name: "partition bound", Value: x.bound}}, below...),
		})
	}
}

// notes say what the reader has to know, and ask for the rows that have no place.
func (r *twin) notes(p *planner, t *schema.Table) {
	p.note("Rows come and go in both tables until purge, by way of %s: a partition that is dropped, detached or truncated by itself before takes nothing out of the old table, and there is no way back then.", r.table)
	for _, g := range t.Triggers {
		if strings.Contains(g.Definition, " BEFORE ") && strings.Contains(g.Definition, " FOR EACH ROW ") {
			p.note("Trigger %s must not change %s from contract on: a row has its partition by then.", word(g.Name), join(r.by.columns, word))
		}
	}
	if r.by.open() {
		return
	}
	p.note("From expand on, a row of %s that has no place in a partition is refused. A PARTITION … DEFAULT would take it.", r.table)
	e := p.engine
	from := fmt.Sprintf("FROM %s\nWHERE NOT (%s)", e.table(r.table), r.by.fits(e.quote))
	p.draft.Checks = append(p.draft.Checks, Check{
		What: fmt.Sprintf("rows of %s have no place in any partition", r.table), Fatal: true,
		Count: "SELECT count(*)\n" + from, Rows: "SELECT *\n" + from + "\nLIMIT 5",
	})
}
