package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// What the names of a second table end with: behind the name of the table, so that they sort behind it too. Tables
// are locked in that order, the table before the second one, as they are by whoever writes: else the two could wait for
// each other.
const (
	secondNew = "_switchback_new"
	secondOld = "_switchback_old"
)

// second is the recipe for what MySQL can only do by copying a table while nobody writes to it. A
// second table of the new form is filled batch by batch and kept in step by triggers of the first; at contract the
// two change places, and from then on triggers of the new table keep the old one in step for the way back.
//
// At no moment are there triggers of both tables, so none has to tell its own writes from others: they are
// exchanged, and the tables renamed, in one group, while nobody else reads or writes the table.
type second struct {
	nothing
	engine   *mysql
	op       Operation
	table    Table
	new, old Table // the second table before contract, and after it
	next     *schema.Table
	key      []string
	columns  []string          // that are written, in the table's order
	there    map[string]string // column: its value in the new table, over the old one's columns
	back     map[string]string // and the other way round
	types    [2]map[string]string
	apart    map[string]bool // columns of PostgreSQL whose collations differ, so that neither could compare them
	online   bool            // the server copies beside readers and writers by itself: there is no second table
}

// newSecond plans a second table, whose form is that of the first but for what form does to it. The error is an
// *Error where the table cannot have one.
func newSecond(p *planner, op Operation, name Table, form func(*schema.Table) error) (*second, error) {
	g, ok := p.engine.(*mysql)
	if !ok {
		return nil, &Error{op, fmt.Sprintf("a second table is for what MySQL can only do by a copy, and not known on %s", p.engine.name()), ""}
	}
	if g.mariadb && !copiesOnline(p.begun.Version) {
		return nil, &Error{op, "MariaDB would copy the table while writes wait, before version 11.2; a second table beside it is no way out, as statements of the application fail there, or write without them, when triggers come and go", "write an ALTER TABLE by hand, with switchback new, and run it in a window without writes"}
	}
	table, t, err := p.table(op, name)
	if err != nil {
		return nil, err
	}
	if g.mariadb && schema.Value(t.Options, "partitions") != "" {
		return nil, &Error{op, fmt.Sprintf("table %s has partitions, and MariaDB loses writes that come while it copies one that has", table), "write an ALTER TABLE with LOCK=SHARED by hand, with switchback new, and run it in a window without writes"}
	}
	r := &second{op: op, engine: g, online: g.mariadb, table: table, new: Table{table.Schema, table.Name + secondNew}, old: Table{table.Schema, table.Name + secondOld}, there: map[string]string{}, back: map[string]string{}}
	r.key = t.KeyColumns()
	if err := r.possible(p, t); err != nil {
		return nil, err
	}
	next := *t
	next.Name, next.Constraints, next.Columns, next.Grants = r.new.Name, slices.Clone(t.Constraints), slices.Clone(t.Columns), nil
	if err := form(&next); err != nil {
		return nil, err
	}
	if r.online {
		next.Name, next.Grants = t.Name, t.Grants
	} else if err := r.checks(p, t, &next); err != nil {
		return nil, err
	}
	r.next = &next
	r.types = [2]map[string]string{{}, {}}
	for _, c := range t.Columns {
		if c.Generated == "" {
			r.columns = append(r.columns, c.Name)
			r.there[c.Name], r.back[c.Name] = p.engine.quote(c.Name), p.engine.quote(c.Name)
			r.types[0][c.Name], r.types[1][c.Name] = c.Type, next.Column(c.Name).Type
		}
	}
	if schema.Value(t.Options, "auto_increment") == "" && !r.online {
		for _, c := range t.Columns {
			if schema.Value(c.Options, "auto_increment") != "" {
				p.note("The numbers of %s.%s go on behind the greatest one that was copied or written since expand: one of a row that was deleted before may come again.", table, word(c.Name))
			}
		}
	}
	return r, nil
}

// possible says why a table cannot have a second one.
func (r *second) possible(p *planner, t *schema.Table) error {
	in := p.now.Schema(r.table.Schema)
	fail := func(next, format string, args ...any) error { return &Error{r.op, fmt.Sprintf(format, args...), next} }
	switch {
	case r.key == nil:
		return fail("give it one first, in a change of its own", "table %s has no primary key, so its rows cannot be copied batch by batch", r.table)
	case len(t.Triggers) > 0 && !r.online:
		return fail("drop it first, and make it again in a later change", "trigger %s is on the table: it would stay behind with the old one", word(t.Triggers[0].Name))
	case len(r.new.Name) > p.engine.limit() && !r.online:
		return fail("rename it first", "the name of table %s is too long: that of the second table has %d letters more", r.table, len(secondNew))
	case in.Table(r.old.Name) != nil || in.Table(r.new.Name) != nil:
		return fail("finish the change that made it, to purge", "there is a second table of %s already", r.table)
	}
	var err error
	eachForeignKey(p.now, func(from Table, k *schema.Constraint, to Table) {
		switch {
		case err != nil:
		case r.online && (to == r.table || from == r.table):
			err = fail(fmt.Sprintf("drop constraint %s.%s first, and add it again in a later change", from, word(k.Name)), "foreign key %s of %s is in the way: MariaDB refuses to change what it is on, or to do it beside writers", word(k.Name), from)
		case to == r.table:
			err = fail(fmt.Sprintf("drop constraint %s.%s first, and add it again in a later change", from, word(k.Name)), "foreign key %s of %s points to it, and would go on pointing to the old table", word(k.Name), from)
		case from == r.table:
			err = fail(fmt.Sprintf("drop constraint %s.%s first, and add it again in a later change", from, word(k.Name)), "table %s has foreign key %s: rows that it changes or deletes by itself fire no triggers, and the second table would keep them", r.table, word(k.Name))
		}
	})
	if err != nil {
		return err
	}
	isCheck := func(op Operation) bool {
		add, is := op.(AddConstraint)
		return is && add.Constraint.Type == schema.Check
	}
	for _, op := range p.draft.Operations {
		if isCheck(op) && isCheck(r.op) {
			continue // it has them all
		}
		if full, _, err := p.table(op, op.on()); op.String() != r.op.String() && err == nil && full == r.table {
			return fail("plan the two one after the other, each in a change of its own", "%q is about the same table, and the second table would not have it", op)
		}
	}
	return nil
}

// checks gives the checks of the second table names of their own: they are unique in a whole database of MySQL. To have them
// called as the schema that is wanted says the server would copy the table once more, while writes wait.
func (r *second) checks(p *planner, t, next *schema.Table) error {
	taken := func(name string) bool {
		for _, other := range p.now.Schema(r.table.Schema).Tables {
			if other.Constraint(name) != nil {
				return true
			}
		}
		return next.Constraint(name) != nil
	}
	for i, k := range next.Constraints {
		if k.Type != schema.Check || t.Constraint(k.Name) == nil {
			continue
		}
		if p.settles() {
			return &Error{r.op, fmt.Sprintf("check %s would have another name afterwards than the schema that is wanted says, as names of checks are unique in a whole database", word(k.Name)), ""}
		}
		also := *k
		for n := 2; taken(also.Name); n++ {
			also.Name = fit(p.engine.limit(), "", fmt.Sprintf("%s_%d", k.Name, n))
		}
		next.Constraints[i] = &also
		p.note("Check %s of %s is called %s afterwards: the names of checks are unique in a whole database, and MySQL cannot change them.", word(k.Name), r.table, word(also.Name))
	}
	return nil
}

// direction is from the table that is written to, by its name then, to the other one.
type direction struct {
	way    string
	on, to Table
	values map[string]string
	invert map[string]string // the values the other way round
	types  map[string]string // of the columns of to
}

func (r *second) forth() direction {
	return direction{"there", r.table, r.new, r.there, r.back, r.types[1]}
}

func (r *second) forBack() direction {
	return direction{"back", r.table, r.old, r.back, r.there, r.types[0]}
}

func (r *second) expand(p *planner) error {
	if r.online {
		return nil
	}
	defer func() { p.saying = "" }()
	p.saying = "The second table, of the new form. No version of the application uses it."
	if err := p.step(nil, func(e *edit) { s := e.schema(r.table.Schema); s.Tables = append(s.Tables, r.next) }); err != nil {
		return err
	}
	d := r.forth()
	p.saying = fmt.Sprintf("Takes writes of %s to the second table, in the same transaction.", r.table)
	err := r.locked(p, d, func(event string) error { // DELETE and UPDATE first: a row that INSERT brings is in step from then on
		return p.step(nil, func(e *edit) { t := e.table(d.on); t.Triggers = append(t.Triggers, r.trigger(p, d, event)) })
	})
	for i := range p.scripts.Back { // what became of them in a contract that failed must not be in the way
		st := &p.scripts.Back[i]
		if name, ok := strings.CutPrefix(st.SQL, "DROP TRIGGER "); ok && !strings.HasPrefix(name, "IF EXISTS ") && strings.Contains(name, "_"+d.way+"_") {
			st.SQL, st.Why = "DROP TRIGGER IF EXISTS "+name, "Writes are no longer taken to the second table."
		}
	}
	return err
}

// locked makes or drops the triggers of a direction, one for each event, in a group that locks the tables.
func (r *second) locked(p *planner, d direction, each func(event string) error) error {
	p.together, p.locks = true, []string{d.on.Name, d.to.Name}
	defer func() { p.together, p.locks = false, nil }()
	for _, event := range events {
		if err := each(event); err != nil {
			return err
		}
	}
	return nil
}

var events = []string{"DELETE", "UPDATE", "INSERT"}

func (r *second) triggerName(p *planner, d direction, event string) string {
	return fit(p.engine.limit(), fmt.Sprintf("switchback_%s_%s_%s_", p.id, d.way, strings.ToLower(event)), r.table.Name)
}

func (r *second) trigger(p *planner, d direction, event string) *schema.Trigger {
	return &schema.Trigger{Name: r.triggerName(p, d, event), Definition: "AFTER " + event + " FOR EACH ROW BEGIN\n" + r.body(p, d, event) + "\nEND"}
}

func (r *second) body(p *planner, d direction, event string) string {
	e := p.engine
	gone := fmt.Sprintf("DELETE FROM %s WHERE %s;", e.table(d.to), r.keyIs(p, d, "OLD.", " = "))
	if event == "DELETE" {
		return "  " + gone
	}
	write := "  " + strings.ReplaceAll(r.write(p, d, "NEW.", ""), "\n", "\n  ") + ";"
	if event == "INSERT" {
		return write
	}
	var moved []string
	for _, c := range r.key {
		moved = append(moved, fmt.Sprintf("NOT (NEW.%s <=> OLD.%s)", e.quote(c), e.quote(c)))
	}
	return "  IF " + strings.Join(moved, " OR ") + " THEN\n    " + gone + "\n  END IF;\n" + write
}

// write is the statement that writes a row, or all rows of a table, to the other table. What the other table cannot
// hold the key of is left out.
func (r *second) write(p *planner, d direction, prefix, from string) string {
	e := p.engine
	source := "VALUES (" + join(r.columns, func(c string) string { return r.value(p, d, c, prefix) }) + ")"
	fits := r.fits(p, d, prefix)
	if from != "" || len(fits) > 0 {
		source = "SELECT " + join(r.columns, func(c string) string { return r.value(p, d, c, prefix) }) + "\nFROM " + or(from, "DUAL")
		if len(fits) > 0 {
			source += "\nWHERE " + strings.Join(fits, " AND ")
		}
	}
	set := join(r.columns, func(c string) string { return e.quote(c) + " = VALUES(" + e.quote(c) + ")" })
	return fmt.Sprintf("INSERT INTO %s (%s)\n%s\nON DUPLICATE KEY UPDATE %s", e.table(d.to), join(r.columns, e.quote), source, set)
}

// fits are the conditions that the other table can hold the key of a row at all.
func (r *second) fits(p *planner, d direction, prefix string) []string {
	var out []string
	for _, c := range r.key {
		if d.values[c] != p.engine.quote(c) {
			out = append(out, "("+r.value(p, d, c, prefix)+") IS NOT NULL")
		}
	}
	return out
}

// value is a column's value in the other table.
func (r *second) value(p *planner, d direction, column, prefix string) string {
	return (&rule{old: r.columns}).expression(p.engine, d.values[column], before, prefix)
}

func (r *second) keyIs(p *planner, d direction, prefix, equals string) string {
	return strings.Join(r.each(p, d, prefix, equals, r.key), " AND ")
}

func (r *second) each(p *planner, d direction, prefix, equals string, columns []string) []string {
	var out []string
	for _, c := range columns {
		out = append(out, p.engine.table(d.to)+"."+p.engine.quote(c)+equals+r.value(p, d, c, prefix))
	}
	return out
}

func (r *second) fill(p *planner) error {
	if r.online {
		return nil
	}
	e, d := p.engine, r.forth()
	first := e.quote(r.key[0])
	p.scripts.step([]Statement{{
		SQL: fmt.Sprintf("INSERT INTO %s (%s)\nSELECT %s\nFROM %s\nWHERE :batch\nFOR SHARE\nON DUPLICATE KEY UPDATE %s = %s.%s", e.table(d.to), join(r.columns, e.quote),
			join(r.columns, func(c string) string { return d.values[c] }), e.table(d.on), first, e.table(d.to), first),
		Why:   "Copies the rows that were there before the triggers were, a batch a transaction. It holds the rows that it reads, so none of them is changed or deleted before it is in the second table. What is there already is newer, and stays.",
		Batch: &Batch{Table: e.walkName(r.table), Key: r.key},
	}}, nil)
	p.scripts.step(r.faithful(p, d), nil)
	return nil
}

// compare asserts that both tables say the same, from one snapshot of both each.
func (r *second) compare(p *planner, d direction) []Statement {
	e := p.engine
	this, that := e.table(d.on), e.table(d.to)
	same := r.keyIs(p, d, this+".", " = ")
	var differs []string
	for _, c := range r.columns {
		if slices.Contains(r.key, c) && d.values[c] == e.quote(c) && !byBytes.MatchString(d.types[c]) {
			continue
		}
		value := r.value(p, d, c, this+".")
		if r.apart[c] {
			value += ` COLLATE "C"`
		}
		differs = append(differs, e.distinct(that+"."+e.quote(c), value, d.types[c]))
	}
	first := e.quote(r.key[0])
	const why = "Reads both tables as they were at one moment, without a lock."
	return []Statement{
		{
			SQL: fmt.Sprintf("SELECT %s.*\nFROM %s\nLEFT JOIN %s ON %s\nWHERE %s\nLIMIT 5", this, this, that, same, strings.Join(append([]string{that + "." + first + " IS NULL"}, differs...), "\n   OR ")),
			Why: why, Assert: fmt.Sprintf("rows of %s are not the same in %s", d.on, d.to),
		},
		{
			SQL: fmt.Sprintf("SELECT %s.*\nFROM %s\nLEFT JOIN %s ON %s\nWHERE %s.%s IS NULL\nLIMIT 5", that, that, this, same, this, first),
			Why: why, Assert: fmt.Sprintf("rows of %s are not in %s any more", d.to, d.on),
		},
	}
}

// settle lets the tables change places, there and back.
func (r *second) settle(p *planner) error {
	if r.online {
		return r.copied(p)
	}
	forth, back := r.forth(), r.forBack()
	p.scripts.step(append([]Statement{r.assertTriggers(p, forth)}, r.faithful(p, forth)...), nil)
	next, err := r.swapped(p)
	if err != nil {
		return err
	}
	p.together, p.locks = true, []string{r.table.Name, r.new.Name, r.old.Name}
	defer func() { p.together, p.locks = false, nil }()
	forward, err := r.swap(p, p.now, next, forth, back)
	if err != nil {
		return err
	}
	backward, err := r.swap(p, next, p.now, back, forth)
	if err != nil {
		return err
	}
	p.raw(forward, backward, func(d *edit) { d.database = next })
	p.scripts.step(nil, append([]Statement{r.assertTriggers(p, back)}, r.faithful(p, back)...))
	return nil
}

// swapped is the model with the tables in each other's place, and the other triggers.
func (r *second) swapped(p *planner) (*schema.Database, error) {
	out := newEdit(p.now)
	for _, event := range events {
		out.dropTrigger(r.table, r.triggerName(p, r.forth(), event))
	}
	grants := out.table(r.table).Grants // they are of the name, not of the table
	out.table(r.table).Grants, out.table(r.new).Grants = nil, grants
	next, err := diff.Renamed(out.database, []diff.Rename{
		{Kind: schema.KindTable, Schema: r.table.Schema, From: r.table.Name, To: r.old.Name},
		{Kind: schema.KindTable, Schema: r.table.Schema, From: r.new.Name, To: r.table.Name},
	})
	if err != nil {
		return nil, err
	}
	out = newEdit(next)
	for _, event := range events {
		t := out.table(r.table)
		t.Triggers = append(t.Triggers, r.trigger(p, r.forBack(), event))
	}
	return out.database, nil
}

// swap writes the statements of a group that ends the triggers of one direction, exchanges the tables, and makes the
// triggers of the other one.
//
// What an interrupted group missed is brought in step while no trigger of the other direction is there.
func (r *second) swap(p *planner, from, to *schema.Database, ends, begins direction) ([]Statement, error) {
	var list []Statement
	add := func(why string, statements ...Statement) {
		for _, s := range statements {
			if s.Why == "" {
				s.Why = why
			}
			list = append(list, s)
		}
	}
	drop, err := r.drops(p, from, ends)
	if err != nil {
		return nil, err
	}
	create, err := r.creates(p, to, begins)
	if err != nil {
		return nil, err
	}
	rename := Statement{
		SQL: fmt.Sprintf("RENAME TABLE %s TO %s, %s TO %s", p.engine.table(r.table), p.engine.table(begins.to), p.engine.table(ends.to), p.engine.table(r.table)),
		Why: "Both at once, or neither: no statement finds the name missing.",
	}
	const keeps = "Keeps the table that leaves in step."
	for i := range drop {
		drop[i].Why, drop[i].Destroys = "Nobody writes until the others are there.", false
	}
	add("", drop...)
	add("", r.mend(p, ends)...)
	add("", rename)
	add(keeps, create...)
	add("", r.mend(p, begins)...)
	return list, nil
}

func (r *second) drops(p *planner, d *schema.Database, ends direction) ([]Statement, error) {
	without := newEdit(d)
	for _, event := range events {
		without.dropTrigger(r.table, r.triggerName(p, ends, event))
	}
	return p.script(d, without.database, nil)
}

func (r *second) creates(p *planner, d *schema.Database, begins direction) ([]Statement, error) {
	without := newEdit(d)
	for _, event := range events {
		without.dropTrigger(r.table, r.triggerName(p, begins, event))
	}
	return p.script(without.database, d, nil)
}

// mend makes the other table say what the one that was written to says. Each statement names each table once, as
// locked tables have to be named.
//
// Others wait for it, so it must not take longer for each row the more rows there are: the index is forced, as the
// server still takes a table that was just filled for an empty one, not worth one, and the key is given both ways
// round, as an index finds a column and not what becomes of it. What is deleted without need is written again.
func (r *second) mend(p *planner, d direction) []Statement {
	e := p.engine
	this, that := e.table(d.on), e.table(d.to)
	same := []string{r.keyIs(p, d, this+".", " = ")}
	for _, c := range r.key {
		if d.values[c] != e.quote(c) {
			same = append(same, this+"."+e.quote(c)+" = "+(&rule{old: r.columns}).expression(e, d.invert[c], before, that+"."))
		}
	}
	for _, c := range r.columns {
		same = append(same, r.engine.same(that+"."+e.quote(c), r.value(p, d, c, this+"."), d.types[c]))
	}
	const why = "Only after a crash: what was written while no triggers were there."
	return []Statement{
		{SQL: fmt.Sprintf("DELETE FROM %s\nWHERE NOT EXISTS (SELECT 1 FROM %s FORCE INDEX (PRIMARY) WHERE %s)", that, this, strings.Join(same, " AND ")), Why: why, Resumed: true},
		{SQL: r.write(p, d, this+".", this), Why: why, Resumed: true},
	}
}

// faithful asserts that the other table has all that was written to this one, so that nothing is lost on the way.
func (r *second) faithful(p *planner, d direction) []Statement {
	list := r.compare(p, d)
	types := r.types[1]
	if d.way == "there" {
		types = r.types[0]
	}
	var lost []string
	for _, c := range r.columns {
		if d.values[c] == p.engine.quote(c) {
			continue
		}
		value := (&rule{old: r.columns}).expression(p.engine, d.invert[c], before, p.engine.table(d.to)+".")
		lost = append(lost, p.engine.distinct(p.engine.table(d.on)+"."+p.engine.quote(c), value, types[c]))
	}
	if len(lost) > 0 {
		list[0].SQL = strings.Replace(list[0].SQL, "\nLIMIT 5", "\n   OR "+strings.Join(lost, "\n   OR ")+"\nLIMIT 5", 1)
	}
	switch {
	case d.way != "there":
		list[0].Assert = fmt.Sprintf("rows of %s cannot be in %s as they are: the way back would lose them", d.on, d.to)
	case len(lost) > 0:
		list[0].Assert = fmt.Sprintf("rows of %s cannot be in %s as they are: something of them would be lost", d.on, d.to)
	}
	return list
}

func (r *second) assertTriggers(p *planner, d direction) Statement {
	var names []string
	for _, event := range events {
		names = append(names, r.triggerName(p, d, event))
	}
	return p.engine.assertThere(d.on, names, fmt.Sprintf("a trigger that keeps %s and %s in step is gone, so they may differ: roll back to before expand, and go forward again", d.on, d.to))
}

func (r *second) purge(p *planner) error {
	if r.online {
		return nil
	}
	p.saying = "The attic is no longer kept in step."
	d := r.forBack()
	if err := r.locked(p, d, func(event string) error {
		return p.step(nil, func(e *edit) { e.dropTrigger(r.table, r.triggerName(p, d, event)) })
	}); err != nil {
		return err
	}
	p.saying = ""
	return p.step(nil, func(e *edit) { e.dropTable(r.old) })
}
