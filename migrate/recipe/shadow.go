package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// PartitionTable partitions a table, or partitions it in another way.
type PartitionTable struct {
	Table Table
	By    string // as behind PARTITION BY, such as RANGE (id) (PARTITION p0 VALUES LESS THAN (1000))
}

// String implements Operation.
func (o PartitionTable) String() string {
	return fmt.Sprintf("partition table %s by (%s)", o.Table, o.By)
}

func (o PartitionTable) on() Table { return o.Table }

func (o PartitionTable) recipe(p *planner) (recipe, error) {
	return newShadow(p, o, o.Table, func(t *schema.Table) error {
		setOption(t, "partitions", "BY "+o.By)
		return nil
	})
}

// ConvertTable writes a table and its texts in another collation, and so in its character set.
type ConvertTable struct {
	Table     Table
	Collation string
}

// String implements Operation.
func (o ConvertTable) String() string {
	return fmt.Sprintf("convert table %s %s", o.Table, word(o.Collation))
}

func (o ConvertTable) on() Table { return o.Table }

func (o ConvertTable) recipe(p *planner) (recipe, error) {
	return newShadow(p, o, o.Table, func(t *schema.Table) error {
		before := schema.Value(t.Options, "collation")
		setOption(t, "collation", o.Collation)
		for i, c := range t.Columns {
			if c.Collation == before || c.Collation == "" {
				next := *c
				next.Collation = ""
				t.Columns[i] = &next
			}
		}
		return nil
	})
}

// shadowType changes the type of a column of the primary key by a shadow.
func shadowType(p *planner, o ChangeType, table Table, c *schema.Column) (recipe, error) {
	q := p.engine.quote(o.Column)
	up, down, total, ok := p.engine.conversion(o.Column, o.Column, c.Type, o.Type)
	if !ok || !total {
		return nil, &Error{o, fmt.Sprintf("%s cannot become %s without a loss", word(o.Column), o.Type), "a key takes a wider type only"}
	}
	r, err := newShadow(p, o, table, func(t *schema.Table) error {
		for i, x := range t.Columns {
			if x.Name == o.Column {
				next := *x
				next.Type = o.Type
				t.Columns[i] = &next
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.there[o.Column] = up
	r.backExpr[o.Column] = fmt.Sprintf("CASE WHEN (%s) = %s THEN (%s) END", down, q, down)
	return r, nil
}

func setOption(t *schema.Table, name, value string) {
	t.Options = slices.Clone(t.Options)
	for i, o := range t.Options {
		if o.Name == name {
			t.Options[i].Value = value
			return
		}
	}
	t.Options = append(t.Options, schema.Property{Name: name, Value: value})
}

// shadow is the recipe for what MySQL and MariaDB can only do by copying a table while nobody writes to it. A
// second table of the new form is filled batch by batch and kept in step by triggers; at contract one atomic
// RENAME TABLE swaps the two. The triggers of both tables are there from expand on, each writing the other
// table by the name that it has when it is the one that is written to; a session variable, which names the
// moment the statement began, keeps the second trigger from answering the first. So there is no moment
// without triggers, and the old table is kept in step for the way back.
type shadow struct {
	nothing
	op         Operation
	table      Table
	temp, old  Table // the new table before contract, the old one after it
	next       *schema.Table
	key        []string
	there      map[string]string // column: its value in the new table, over the old one's columns
	backExpr   map[string]string // and the other way round
	columnList []string
}

func newShadow(p *planner, op Operation, name Table, form func(*schema.Table) error) (*shadow, error) {
	if n := p.engine.name(); n != "mysql" && n != "mariadb" {
		return nil, &Error{op, fmt.Sprintf("rebuilding a table beside itself is not known on %s yet", n), ""}
	}
	table, t, err := p.table(op, name)
	if err != nil {
		return nil, err
	}
	limit := p.engine.limit()
	r := &shadow{
		op: op, table: table, temp: Table{table.Schema, fit(limit, newPrefix, table.Name)}, old: Table{table.Schema, fit(limit, oldPrefix, table.Name)},
		there: map[string]string{}, backExpr: map[string]string{},
	}
	for _, k := range t.Constraints {
		if k.Type == schema.PrimaryKey {
			r.key = k.Columns
		}
	}
	in := p.now.Schema(table.Schema)
	switch {
	case r.key == nil:
		return nil, &Error{op, fmt.Sprintf("table %s has no primary key, so its rows cannot be copied batch by batch", table), "give it one first, in a change of its own"}
	case len(t.Triggers) > 0:
		return nil, &Error{op, fmt.Sprintf("trigger %s is on the table: it would stay behind with the old one", word(t.Triggers[0].Name)), "drop it first, and make it again in a later change"}
	case in.Table(r.old.Name) != nil:
		return nil, &Error{op, fmt.Sprintf("the attic holds a table %s already", word(table.Name)), "switchback purge, for the change that put it there"}
	}
	eachForeignKey(p.now, func(from Table, k *schema.Constraint, to Table) {
		if from == table || to == table {
			err = &Error{op, fmt.Sprintf("foreign key %s of %s would stay with the old table", word(k.Name), from), "drop it first, and add it again in a later change"}
		}
	})
	if err != nil {
		return nil, err
	}
	next := *t
	next.Name, next.Constraints, next.Columns = r.temp.Name, slices.Clone(t.Constraints), slices.Clone(t.Columns)
	if err := form(&next); err != nil {
		return nil, err
	}
	for i, k := range next.Constraints {
		if k.Type == schema.Check && p.engine.name() == "mysql" && t.Constraint(k.Name) != nil { // their names are unique in the whole database
			also := *k
			also.Name = fit(limit, newPrefix, k.Name)
			next.Constraints[i] = &also
			p.note("Check %s of %s is called %s afterwards: MySQL cannot rename it.", word(k.Name), table, word(also.Name))
		}
	}
	r.next = &next
	for _, c := range t.Columns {
		if c.Generated == "" {
			r.columnList = append(r.columnList, c.Name)
			r.there[c.Name], r.backExpr[c.Name] = p.engine.quote(c.Name), p.engine.quote(c.Name)
		}
	}
	return r, nil
}

func (r *shadow) expand(p *planner) error {
	p.saying = "A table of the new form, empty."
	if err := p.step(nil, func(e *edit) { s := e.schema(r.table.Schema); s.Tables = append(s.Tables, r.next) }); err != nil {
		return err
	}
	p.saying = fmt.Sprintf("Takes writes of the new table to the old one, once it is called %s.", r.old)
	if err := p.step(nil, func(e *edit) { r.addTriggers(p, e, r.temp, r.old, "back", r.backExpr) }); err != nil {
		return err
	}
	p.saying = "Takes writes of the table to the new one."
	defer func() { p.saying = "" }()
	return p.step(nil, func(e *edit) { r.addTriggers(p, e, r.table, r.temp, "there", r.there) })
}

func (r *shadow) trigger(p *planner, way, event string) string {
	return fit(p.engine.limit(), fmt.Sprintf("switchback_%s_%s_%s_", p.id, way, strings.ToLower(event)), r.table.Name)
}

// events are in the order in which their triggers are made: one for INSERT that came first would keep a row that
// is then updated from being copied as it is.
var events = []string{"DELETE", "UPDATE", "INSERT"}

func (r *shadow) addTriggers(p *planner, e *edit, on, to Table, way string, values map[string]string) {
	t := e.table(on)
	for _, event := range events {
		t.Triggers = append(t.Triggers, &schema.Trigger{
			Name:       r.trigger(p, way, event),
			Definition: "AFTER " + event + " FOR EACH ROW BEGIN\n  IF @switchback_copies IS NULL AND NOT (@switchback <=> NOW(6)) THEN\n    SET @switchback = NOW(6);\n" + r.body(p, to, event, values) + "\n    SET @switchback = NULL;\n  END IF;\nEND",
		})
	}
}

func (r *shadow) body(p *planner, to Table, event string, values map[string]string) string {
	e := p.engine
	gone := fmt.Sprintf("    DELETE FROM %s WHERE %s", e.table(to), r.keyIs(p, "OLD", values))
	row := join(r.columnList, func(c string) string { return r.value(p, c, "NEW", values) })
	source := "VALUES (" + row + ")"
	if fits := r.fits(p, "NEW.", values); len(fits) > 0 {
		source = "SELECT " + row + " FROM DUAL WHERE " + strings.Join(fits, " AND ")
	}
	write := fmt.Sprintf("    INSERT INTO %s (%s)\n    %s\n    ON DUPLICATE KEY UPDATE %s;", e.table(to), join(r.columnList, e.quote), source,
		join(r.columnList, func(c string) string { return e.quote(c) + " = VALUES(" + e.quote(c) + ")" }))
	switch event {
	case "DELETE":
		return gone + ";"
	case "UPDATE":
		return gone + " AND NOT (" + r.keyIs(p, "NEW", values) + ");\n" + write
	}
	return write
}

// fits are the conditions that the other table can hold the key of a row at all.
func (r *shadow) fits(p *planner, prefix string, values map[string]string) []string {
	var out []string
	for _, c := range r.key {
		if values[c] != p.engine.quote(c) {
			out = append(out, "("+(&rule{old: r.columnList}).expression(p.engine, values[c], before, prefix)+") IS NOT NULL")
		}
	}
	return out
}

// value is a column's value in the other table, of the row that is written.
func (r *shadow) value(p *planner, column, row string, values map[string]string) string {
	rule := &rule{old: r.columnList}
	return rule.expression(p.engine, values[column], before, row+".")
}

func (r *shadow) keyIs(p *planner, row string, values map[string]string) string {
	var same []string
	for _, c := range r.key {
		same = append(same, p.engine.quote(c)+" = "+r.value(p, c, row, values))
	}
	return strings.Join(same, " AND ")
}

func (r *shadow) fill(p *planner) error {
	e := p.engine
	var same, differs []string
	for _, c := range r.columnList {
		typ := r.next.Column(c).Type
		value := (&rule{old: r.columnList}).expression(e, r.there[c], before, "o.")
		if slices.Contains(r.key, c) {
			same = append(same, "n."+e.quote(c)+" = "+value)
		} else {
			differs = append(differs, e.distinct("n."+e.quote(c), value, typ))
		}
	}
	key := "n." + e.quote(r.key[0])
	p.scripts.step([]Statement{
		{SQL: "SET @switchback_copies = 1", Why: "What this session writes to the new table comes from the old one: its triggers need not answer."},
		{
			SQL: fmt.Sprintf("INSERT INTO %s (%s)\nSELECT %s\nFROM %s\nWHERE :batch\nON DUPLICATE KEY UPDATE %s = %s.%s", e.table(r.temp), join(r.columnList, e.quote),
				join(r.columnList, func(c string) string { return r.there[c] }), e.table(r.table), e.quote(r.key[0]), e.table(r.temp), e.quote(r.key[0])),
			Why:   "Copies the rows that were there before the triggers were, a batch a transaction, which holds the rows it reads. What is there already is newer, and stays.",
			Batch: &Batch{Table: e.walkName(r.table), Key: r.key},
		},
		{SQL: "SET @switchback_copies = NULL"},
		{
			SQL: fmt.Sprintf("SELECT o.*\nFROM %s AS o\nLEFT JOIN %s AS n ON %s\nWHERE %s\nLIMIT 5", e.table(r.table), e.table(r.temp), strings.Join(same, " AND "), strings.Join(append([]string{key + " IS NULL"}, differs...), "\n   OR ")),
			Why: "Reads both tables without a lock.", Assert: fmt.Sprintf("rows of %s are not the same in %s", r.table, r.temp),
		},
		{
			SQL: fmt.Sprintf("SELECT n.*\nFROM %s AS n\nLEFT JOIN %s AS o ON %s\nWHERE o.%s IS NULL\nLIMIT 5", e.table(r.temp), e.table(r.table), strings.Join(same, " AND "), e.quote(r.key[0])),
			Why: "Reads both tables without a lock.", Assert: fmt.Sprintf("rows of %s are not in %s any more", r.temp, r.table),
		},
	}, nil)
	return nil
}

// settle swaps the tables. It is no part of a group: RENAME TABLE is atomic by itself, and waits for the
// writes that are under way.
func (r *shadow) settle(p *planner) error {
	e := p.engine
	p.scripts.step([]Statement{r.assertTriggers(p)}, nil)
	swap := func(a, b, c Table) []Statement {
		return []Statement{{
			SQL: fmt.Sprintf("RENAME TABLE %s TO %s, %s TO %s", e.table(a), e.table(b), e.table(c), e.table(a)),
			Why: "Both at once, or neither: no statement finds the name missing. Needs the metadata locks of both for a moment.",
		}}
	}
	next, err := diff.Renamed(p.now, []diff.Rename{
		{Kind: schema.KindTable, Schema: r.table.Schema, From: r.table.Name, To: r.old.Name},
		{Kind: schema.KindTable, Schema: r.table.Schema, From: r.temp.Name, To: r.table.Name},
	})
	if err != nil {
		return err
	}
	p.raw(swap(r.table, r.old, r.temp), swap(r.table, r.temp, r.old), func(d *edit) { d.database = next })
	if fits := r.fits(p, "", r.backExpr); len(fits) > 0 {
		p.scripts.step(nil, []Statement{{
			SQL: fmt.Sprintf("SELECT *\nFROM %s\nWHERE NOT (%s)\nLIMIT 5", e.table(r.table), strings.Join(fits, " AND ")), Why: "Reads the table without a lock.",
			Assert: fmt.Sprintf("rows of %s have keys that the old type cannot hold: the old version could not see them", r.table),
		}})
	}
	return nil
}

func (r *shadow) assertTriggers(p *planner) Statement {
	var names []string
	for _, way := range []string{"there", "back"} {
		for _, event := range events {
			names = append(names, p.engine.literal(r.trigger(p, way, event)))
		}
	}
	return Statement{
		SQL:    fmt.Sprintf("SELECT count(*) AS triggers_left\nFROM information_schema.triggers\nWHERE trigger_schema = DATABASE()\n  AND trigger_name IN (%s)\nHAVING count(*) < %d", strings.Join(names, ",\n    "), len(names)),
		Why:    "Reads the catalogue.",
		Assert: "a trigger that keeps " + r.table.String() + " and " + r.temp.String() + " in step is gone, so they may differ",
	}
}

func (r *shadow) purge(p *planner) error {
	p.saying = "The attic is no longer kept in step."
	if err := p.step(nil, func(e *edit) {
		for _, event := range events {
			e.dropTrigger(r.table, r.trigger(p, "back", event))
			e.dropTrigger(r.old, r.trigger(p, "there", event))
		}
	}); err != nil {
		return err
	}
	p.saying = ""
	return p.step(nil, func(e *edit) { e.dropTable(r.old) })
}
