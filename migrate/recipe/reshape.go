package recipe

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// reshape replaces columns of a table by others that say the same: the common recipe of renaming, changing
// the type, splitting and merging columns. The new columns are added and kept in step, filled, given the
// constraints and indexes of the old ones; at contract the old ones go to the attic, under another name
// and still in step; purge drops them.
type reshape struct {
	op    Operation
	table Table
	rule  *rule
	added []*schema.Column  // the new columns, by their names in the expanded table
	total bool              // up gives NOT NULL columns a value for every row that the old shape can hold
	same  map[string]string // an old column: the new one that takes its place in constraints and indexes
	moved []moved
	key   bool // of a keyChange, which sees to primary and foreign keys itself
	// standIns are indexes that go at contract.
	standIns []string
	// late are checks that move to the new columns at the end of contract, where each statement commits by itself.
	late []*schema.Constraint
}

// moved is a constraint or index that the new shape has as well.
type moved struct {
	kind            schema.Kind
	name, old, temp string // what it is called; in the attic; before contract
}

func (r *reshape) expand(p *planner) error {
	if err := p.step(nil, func(e *edit) {
		t := e.table(r.table)
		for _, c := range r.added {
			bare := *c
			bare.NotNull, bare.Default = false, ""
			if start, ok := r.start(p, c); ok {
				bare.NotNull, bare.Default = true, start
			}
			bare.Options = slices.DeleteFunc(slices.Clone(c.Options), func(o schema.Property) bool { return o.Name == "on update" })
			t.Columns = append(t.Columns, &bare)
			for _, old := range r.rule.old {
				for _, g := range t.Grants {
					if g.Column == old {
						also := *g
						also.Column = c.Name
						t.Grants = append(t.Grants, &also)
					}
				}
			}
		}
	}); err != nil {
		return err
	}
	if err := r.defaults(p); err != nil {
		return err
	}
	if p.rebuilds() {
		p.noteTriggers(r.table)
	}
	if !p.engine.fillsNotNull() && !r.rule.hidden {
		if err := r.free(p); err != nil {
			return err
		}
	}
	s, err := p.sync(r.op, r.table)
	if err != nil {
		return err
	}
	s.rules = append(s.rules, r.rule)
	maps.Copy(s.successors, r.same)
	if !r.total {
		var required []string
		for _, c := range r.added {
			if c.NotNull {
				required = append(required, c.Name)
			}
		}
		p.check(r.table, s.key, r.rule, required)
	}
	return nil
}

// start is the default with which a new column is NOT NULL from the beginning, in the catalogue only. To set it NOT NULL once
// its rows are filled MySQL and MariaDB write the table anew, and so does each of their replicas, one after the other.
func (r *reshape) start(p *planner, c *schema.Column) (string, bool) {
	g, ok := p.engine.(*mysql)
	if !ok || !r.rule.plain || !c.NotNull || g.quiet(c.Type) == "" {
		return "", false
	}
	d := or(r.rule.initial[c.Name], g.zero(c.Type))
	return d, d != ""
}

// defaults gives the new columns their defaults, and old ones those that they have until purge.
func (r *reshape) defaults(p *planner) error {
	if err := p.step(nil, func(e *edit) {
		for _, c := range r.added {
			if d, ok := r.rule.initial[c.Name]; ok {
				e.column(r.table, c.Name).Default = d
			}
		}
	}); err != nil {
		return err
	}
	g, ok := p.engine.(*mysql)
	if !ok || r.rule.hidden {
		return nil
	}
	var old []*schema.Column
	for _, name := range r.rule.old {
		if c := p.now.Schema(r.table.Schema).Table(r.table.Name).Column(name); g.demands(c) && g.lasting(c.Type) {
			old = append(old, c)
		}
	}
	return p.lendTo(g, r.table, old)
}

// behindTriggers gives new columns the defaults that last until contract, and takes those away that they were made with. Before
// there are triggers, a row with such a default would look as if it were filled.
func (r *reshape) behindTriggers(p *planner) error {
	g, ok := p.engine.(*mysql)
	if !ok {
		return nil
	}
	var lasting []string
	if err := p.step(nil, func(e *edit) {
		for _, c := range r.added {
			z, demanded := r.rule.quiet[c.Name]
			switch {
			case !demanded:
			case g.lasting(c.Type):
				e.column(r.table, c.Name).Default = z
				lasting = append(lasting, word(c.Name))
			default:
				e.column(r.table, c.Name).Default = ""
				if g.mariadb {
					p.noteRefused(r.table, c.Name)
				}
			}
		}
	}); err != nil {
		return err
	}
	if len(lasting) > 0 && !r.rule.hidden {
		p.note("Until contract, a row of %s that is written without %s in either shape gets a value that says nothing, where it was refused.", r.table, strings.Join(lasting, ", "))
	}
	return nil
}

// free lets old columns be NULL that the new version does not write. Where nothing but the old shape is
// written before contract, that is when it is done.
func (r *reshape) free(p *planner) error {
	return p.step(nil, func(e *edit) {
		for _, c := range r.rule.old {
			if column := e.column(r.table, c); column.NotNull && column.Default == "" {
				column.NotNull = false
				r.rule.freed = append(r.rule.freed, c)
			}
		}
	})
}

func (r *reshape) fill(p *planner) error {
	if r.total {
		if err := r.notNull(p); err != nil {
			return err
		}
	}
	t := p.now.Schema(r.table.Schema).Table(r.table.Name)
	if !p.rebuilds() { // first: a foreign key would make an index of its own where there is none
		if err := r.indexes(p, t); err != nil {
			return err
		}
	}
	for _, k := range t.Constraints {
		if err := r.copyConstraint(p, k); err != nil {
			return err
		}
	}
	return nil
}

// indexes gives the new columns the indexes of the old ones.
func (r *reshape) indexes(p *planner, t *schema.Table) error {
	for _, x := range t.Indexes {
		if err := r.copyIndex(p, x); err != nil {
			return err
		}
	}
	return nil
}

// index does what fill cannot do where tables are written anew, and fill comes at contract only.
func (r *reshape) index(p *planner) error {
	if !p.rebuilds() {
		return nil
	}
	t := p.now.Schema(r.table.Schema).Table(r.table.Name)
	if err := r.indexes(p, t); err != nil {
		return err
	}
	for _, k := range t.Constraints {
		if k.Type == schema.Unique && len(r.same) > 0 && slices.ContainsFunc(k.Columns, func(c string) bool { return r.same[c] != "" }) {
			if err := r.standIn(p, k.Columns); err != nil {
				return err
			}
		}
	}
	return nil
}

// standIn makes a unique index that stands in for a unique constraint until contract, also for ON CONFLICT
// clauses of the new version.
func (r *reshape) standIn(p *planner, columns []string) error {
	s, err := p.sync(r.op, r.table)
	if err != nil {
		return err
	}
	var quoted []string
	for _, c := range s.replaced(columns) {
		quoted = append(quoted, p.engine.quote(c))
	}
	name := fit(p.engine.limit(), newPrefix, strings.Join(append([]string{r.table.Name}, columns...), "_"))
	r.standIns = append(r.standIns, name)
	return p.step(nil, func(e *edit) {
		t := e.table(r.table)
		t.Indexes = append(t.Indexes, &schema.Index{Name: name, Unique: true, Definition: fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s)", p.engine.quote(name), p.engine.table(r.table), strings.Join(quoted, ", "))})
	})
}

// notNull sets the new columns NOT NULL that have to be.
func (r *reshape) notNull(p *planner) error {
	for _, c := range r.added {
		if !c.NotNull || p.now.Schema(r.table.Schema).Table(r.table.Name).Column(c.Name).NotNull {
			continue
		}
		if p.engine.name() == "mariadb" && strings.HasPrefix(c.Type, "timestamp") {
			p.note("To set the timestamp %s of %s NOT NULL, MariaDB copies the table while writes to it wait.", word(c.Name), r.table)
		}
		if err := p.step(nil, func(e *edit) { e.column(r.table, c.Name).NotNull = true }); err != nil {
			return err
		}
	}
	return nil
}

// copyConstraint gives the new columns a constraint of the old ones.
func (r *reshape) copyConstraint(p *planner, k *schema.Constraint) error {
	if k.Type == schema.NotNull || k.Type == schema.PrimaryKey || r.key && k.Type == schema.ForeignKey || !r.about(p, k.Columns, k.Definition) {
		return nil
	}
	if len(r.same) == 0 {
		p.note("Constraint %s of %s stands on a column that goes to the attic, and goes with it; give the new columns one of their own.", k.Name, r.table)
		return nil
	}
	s, first, err := r.copies(p, schema.KindConstraint, k.Name)
	if err != nil || !first {
		return err
	}
	m := moved{schema.KindConstraint, k.Name, fit(p.engine.limit(), oldPrefix, k.Name), fit(p.engine.limit(), newPrefix, k.Name)}
	switch {
	case p.engine.locksGroups() && k.Type == schema.Check:
		return r.later(p, s, k)
	case p.engine.locksGroups() && k.Type == schema.ForeignKey:
		return r.moveForeignKey(p, s, k, m)
	}
	if err := p.vacant(r.op, r.table, m.name, m.old, m.temp); err != nil {
		return err
	}
	also := *k
	also.Name, also.Definition = m.temp, s.replace(p, k.Definition, k.Type == schema.ForeignKey)
	also.Columns = s.replaced(k.Columns)
	if k.Unnamed && p.rebuilds() {
		also.Name = also.Definition
	} else {
		r.moved = append(r.moved, m)
	}
	return p.step(nil, func(e *edit) {
		t := e.table(r.table)
		t.Constraints = append(t.Constraints, &also)
	})
}

// later has a check move to the new columns at the end of contract. Until then that on the old columns is enough:
// they are in step. The servers rename no check, MySQL renames no column that one reads, and to add one is
// to copy the table.
func (r *reshape) later(p *planner, s *sync, k *schema.Constraint) error {
	final := &sync{successors: map[string]string{}}
	for old, now := range s.successors {
		final.successors[old] = p.finalName(r.table, now)
	}
	also := *k
	also.Definition, also.Columns = final.replace(p, k.Definition, false), final.replaced(k.Columns)
	r.late = append(r.late, &also)
	p.note("Check %s of %s is taken off before contract and put on the new column at its end, and the other way round on the way back: to put it on, the table is copied while writes to it wait.", word(k.Name), r.table)
	return nil
}

// finalName is what a column is called after contract.
func (p *planner) finalName(table Table, column string) string {
	for _, s := range p.syncs {
		for _, r := range s.rules {
			if s.table == table && r.renamed[column] != "" {
				return r.renamed[column]
			}
		}
	}
	return column
}

// ready takes checks off the columns that contract renames, where the engine would not rename them.
func (r *reshape) ready(p *planner) error {
	if !p.engine.locksGroups() {
		return nil
	}
	for _, k := range p.now.Schema(r.table.Schema).Table(r.table.Name).Constraints {
		if k.Type != schema.Check || !r.about(p, k.Columns, k.Definition) {
			continue
		}
		if err := p.step(nil, func(e *edit) {
			t := e.table(r.table)
			t.Constraints = slices.DeleteFunc(t.Constraints, func(x *schema.Constraint) bool { return x == k })
		}); err != nil {
			return err
		}
	}
	return nil
}

// moveForeignKey gives the new columns the foreign key, by its name, and keeps that of the old ones under another:
// the servers rename none. Without foreign_key_checks it is added beside readers and writers; the rows need no
// check, as they say what the old columns say, which have it.
func (r *reshape) moveForeignKey(p *planner, s *sync, k *schema.Constraint, m moved) error {
	t := p.now.Schema(r.table.Schema).Table(r.table.Name)
	for old, now := range s.successors {
		if slices.Contains(k.Columns, old) && t.Column(old).Type != t.Column(now).Type {
			return &Error{r.op, fmt.Sprintf("foreign key %s needs column %s as it is", word(k.Name), word(old)), "change the type of the column that it points to: those that point there change with it"}
		}
	}
	also := *k
	also.Definition, also.Columns = s.replace(p, k.Definition, true), s.replaced(k.Columns)
	e := p.engine
	drop := func(name string) string { return "DROP FOREIGN KEY " + e.quote(name) }
	add := func(name, definition string) string { return "ADD CONSTRAINT " + e.quote(name) + " " + definition }
	alter := func(clauses ...string) Statement {
		st := inPlace(e, r.table, clauses...)
		st.Why = "Checks no row: the key holds already, as the columns are in step."
		return st
	}
	p.raw(
		unchecked(alter(add(m.temp, also.Definition)), alter(drop(k.Name), add(m.old, k.Definition)), alter(drop(m.temp), add(k.Name, also.Definition))),
		unchecked(alter(drop(k.Name), add(m.temp, also.Definition)), alter(drop(m.old), add(k.Name, k.Definition)), alter(drop(m.temp))),
		func(d *edit) {
			t := d.table(r.table)
			before := *k
			before.Name = m.old
			t.Constraints = append(slices.DeleteFunc(t.Constraints, func(x *schema.Constraint) bool { return x == k }), &before, &also)
		})
	return nil
}

// copyIndex gives the new columns an index of the old ones.
func (r *reshape) copyIndex(p *planner, x *schema.Index) error {
	if !r.about(p, x.Columns, x.Definition) {
		return nil
	}
	if len(r.same) == 0 {
		p.note("Index %s of %s stands on a column that goes to the attic, and goes with it; give the new columns one of their own.", x.Name, r.table)
		return nil
	}
	s, first, err := r.copies(p, schema.KindIndex, x.Name)
	if err != nil || !first {
		return err
	}
	m := moved{schema.KindIndex, x.Name, fit(p.engine.limit(), oldPrefix, x.Name), fit(p.engine.limit(), newPrefix, x.Name)}
	if err := p.vacant(r.op, r.table, m.name, m.old, m.temp); err != nil {
		return err
	}
	also := *x
	also.Name = m.temp
	also.Columns = s.replaced(x.Columns)
	also.Definition = r.renameIndex(p, s.replace(p, x.Definition, false), x.Name, m.temp)
	r.moved = append(r.moved, m)
	return p.step(nil, func(e *edit) {
		t := e.table(r.table)
		t.Indexes = append(t.Indexes, &also)
	})
}

// copies tells whether nobody has copied a constraint or index yet: one on columns of several reshapes is copied
// by the first of them, with all that succeeds them in it.
func (r *reshape) copies(p *planner, kind schema.Kind, name string) (s *sync, first bool, err error) {
	if s, err = p.sync(r.op, r.table); err != nil {
		return nil, false, err
	}
	k := schema.Key{Kind: kind, Name: name}
	first = !s.copied[k]
	s.copied[k] = true
	return s, first, nil
}

// about tells whether a definition names an old column.
func (r *reshape) about(p *planner, columns []string, definition string) bool {
	if slices.ContainsFunc(columns, func(c string) bool { return slices.Contains(r.rule.old, c) }) {
		return true
	}
	d := sqltoken.Of(p.engine.name())
	tokens := sqltoken.Split(definition, d)
	return slices.ContainsFunc(r.rule.old, func(c string) bool { return sqltoken.Mentions(tokens, c, d) })
}

// replaced are columns with their successors among them.
func (s *sync) replaced(columns []string) []string {
	out := slices.Clone(columns)
	for i, c := range out {
		if now, ok := s.successors[c]; ok {
			out[i] = now
		}
	}
	return out
}

// replace writes a definition with the new columns in it; what a foreign key points to stays.
func (s *sync) replace(p *planner, definition string, foreign bool) string {
	d := sqltoken.Of(p.engine.name())
	behind := false
	return sqltoken.Replace(recast(p.engine, definition, s.retyped), d, func(list []sqltoken.Token, i int) (string, bool) {
		behind = behind || foreign && list[i].Is("references")
		if behind || !list[i].IsName() || i > 0 && (list[i-1].IsSign(".") || list[i-1].Is("on") || list[i-1].Is("index")) || sqltoken.InType(list, i) {
			return "", false
		}
		for old, now := range s.successors {
			if list[i].Names(old, d) {
				return p.engine.quote(now), true
			}
		}
		return "", false
	})
}

// renameIndex writes an index's definition with another name, where it says its name.
func (r *reshape) renameIndex(p *planner, definition, from, to string) string {
	d := sqltoken.Of(p.engine.name())
	return sqltoken.Replace(definition, d, func(list []sqltoken.Token, i int) (string, bool) {
		if i > 0 && list[i-1].Is("index") && list[i].Names(from, d) {
			return p.engine.quote(to), true
		}
		return "", false
	})
}

func (r *reshape) contract(p *planner) error {
	for _, m := range r.moved {
		if err := r.exchange(p, m); err != nil {
			return err
		}
	}
	if p.rebuilds() {
		if err := r.rebuilt(p); err != nil {
			return err
		}
	}
	var renames []diff.Rename
	for _, c := range slices.Concat(r.rule.old, r.rule.new) {
		if to, ok := r.rule.renamed[c]; ok {
			renames = append(renames, diff.Rename{Kind: schema.KindColumn, Schema: r.table.Schema, Parent: r.table.Name, From: c, To: to})
		}
	}
	s, err := p.sync(r.op, r.table)
	if err != nil {
		return err
	}
	p.resync(s, r.rule, before, true)
	if err := p.rename(renames); err != nil {
		return err
	}
	if err := r.repoint(p); err != nil {
		return err
	}
	p.resync(s, r.rule, after, false)
	return r.byItself(p)
}

// settle sets the new columns NOT NULL that the old shape could not fill for certain. It reads all rows, so it
// is no part of the group.
func (r *reshape) settle(p *planner) error {
	for _, k := range r.late {
		if err := p.step(nil, func(e *edit) {
			t := e.table(r.table)
			t.Constraints = append(t.Constraints, k)
		}); err != nil {
			return err
		}
	}
	for _, c := range r.added {
		if r.total || !c.NotNull {
			continue
		}
		name := r.rule.name(c.Name, after)
		if err := p.step(nil, func(e *edit) { e.column(r.table, name).NotNull = true }); err != nil {
			return err
		}
	}
	return nil
}

// rebuilt is what can only be done while the table is written anew.
func (r *reshape) rebuilt(p *planner) error {
	if r.rule.hidden {
		if err := r.free(p); err != nil {
			return err
		}
	}
	if len(r.standIns) == 0 {
		return nil
	}
	return p.step(nil, func(e *edit) {
		t := e.table(r.table)
		t.Indexes = slices.DeleteFunc(t.Indexes, func(x *schema.Index) bool { return slices.Contains(r.standIns, x.Name) })
	})
}

// byItself gives the new columns what fills them by itself: a default that is not the same for every row, and the
// time of a change. Before contract the new column would look as if somebody had written it.
func (r *reshape) byItself(p *planner) error {
	for _, c := range r.added {
		name := r.rule.name(c.Name, after)
		now := p.now.Schema(r.table.Schema).Table(r.table.Name).Column(name)
		if now.Default == c.Default && schema.Value(now.Options, "on update") == schema.Value(c.Options, "on update") {
			continue
		}
		if err := p.step(nil, func(e *edit) {
			column := e.column(r.table, name)
			column.Default, column.Options = c.Default, c.Options
		}); err != nil {
			return err
		}
	}
	return nil
}

func (r *reshape) moves() []move {
	var out []move
	for _, old := range r.rule.old {
		if now, ok := r.same[old]; ok {
			out = append(out, move{r.table, old, r.rule.name(now, after)})
		}
	}
	return out
}

// repoint makes what followed an old column into the attic read the new one.
func (r *reshape) repoint(p *planner) error {
	w, ok := p.engine.(interface {
		repoint(e *edit, table Table, attic, final string)
	})
	if !ok || len(r.same) == 0 {
		return nil
	}
	return p.step(nil, func(e *edit) {
		for _, old := range r.rule.old {
			if now := r.same[old]; now != "" {
				w.repoint(e, r.table, r.rule.name(old, after), r.rule.name(now, after))
			}
		}
	})
}

// exchange gives the name of an old constraint or index to the new one.
func (r *reshape) exchange(p *planner, m moved) error {
	if m.kind == schema.KindIndex {
		return p.rename([]diff.Rename{
			{Kind: schema.KindIndex, Schema: r.table.Schema, Parent: r.table.Name, From: m.name, To: m.old},
			{Kind: schema.KindIndex, Schema: r.table.Schema, Parent: r.table.Name, From: m.temp, To: m.name},
		})
	}
	for _, way := range [][2]string{{m.name, m.old}, {m.temp, m.name}} {
		if p.rebuilds() {
			if err := p.step(nil, func(e *edit) { e.renameConstraint(r.table, way[0], way[1]) }); err != nil {
				return err
			}
			continue
		}
		forward, ok := p.engine.renameConstraint(r.table, way[0], way[1])
		if !ok {
			p.note("Constraint %s of %s keeps the name %s: %s cannot rename it.", m.name, r.table, m.temp, p.engine.name())
			return nil
		}
		back, _ := p.engine.renameConstraint(r.table, way[1], way[0])
		p.raw([]Statement{{SQL: forward, Why: "Changes the catalogue only."}}, []Statement{{SQL: back, Why: "Changes the catalogue only."}}, func(e *edit) { e.renameConstraint(r.table, way[0], way[1]) })
	}
	return nil
}

func (r *reshape) purge(p *planner) error {
	return p.purgeColumns(r.table, r.rule.names(r.rule.old, after)...)
}

// rename is a step that renames.
func (p *planner) rename(renames []diff.Rename) error {
	next, err := diff.Renamed(p.now, renames)
	if err != nil {
		return err
	}
	return p.step(renames, func(e *edit) { e.database = next })
}

// newReshape checks what all reshapes have in common, and names what goes to the attic.
func newReshape(p *planner, op Operation, table Table, rule *rule, added []*schema.Column) (*reshape, error) {
	for _, name := range rule.old {
		if p.now.Schema(table.Schema).Table(table.Name).Column(name) != nil && keyed(p.now, table, name) {
			return nil, &Error{op, fmt.Sprintf("column %s is part of the primary key, or foreign keys point to it", word(name)), "only its type can be changed, as in: change type " + table.String() + "." + word(name) + " bigint"}
		}
	}
	return newKeyReshape(p, op, table, rule, added)
}

// newKeyReshape is newReshape for columns that may be keys.
func newKeyReshape(p *planner, op Operation, table Table, rule *rule, added []*schema.Column) (*reshape, error) {
	t := p.now.Schema(table.Schema).Table(table.Name)
	rule.types, rule.initial, rule.quiet = map[string]string{}, map[string]string{}, map[string]string{}
	if rule.renamed == nil {
		rule.renamed = map[string]string{}
	}
	for _, name := range rule.old {
		c := t.Column(name)
		switch {
		case c == nil:
			return nil, &Error{op, fmt.Sprintf("table %s has no column %s", table, word(name)), "switchback schema show " + table.String()}
		case c.Generated != "":
			return nil, &Error{op, fmt.Sprintf("column %s is generated: nothing can be written to it", word(name)), "add the new column with the expression, and drop this one"}
		}
		if err := p.readable(op, table, name); err != nil {
			return nil, err
		}
		if err := p.changeable(op, t, c); err != nil {
			return nil, err
		}
		rule.types[name] = c.Type
		rule.renamed[name] = fit(p.engine.limit(), oldPrefix, name)
		if t.Column(rule.renamed[name]) != nil {
			return nil, &Error{op, fmt.Sprintf("the attic of %s holds a column %s already", table, word(name)), "switchback purge, for the change that put it there"}
		}
	}
	for _, c := range added {
		if w, ok := p.engine.(rebuilder); ok {
			c.Default = w.constant(c.Default)
		}
		if t.Column(c.Name) != nil {
			return nil, &Error{op, fmt.Sprintf("table %s has a column %s already", table, word(c.Name)), ""}
		}
		rule.types[c.Name] = c.Type
		if isConstant(c.Default) && !(p.rebuilds() && unique(t, rule.old)) {
			rule.initial[c.Name] = c.Default
		} else if g, ok := p.engine.(*mysql); ok && g.demandsBut(c) {
			rule.quiet[c.Name] = g.quiet(c.Type)
		}
	}
	if _, err := p.walkable(op, table); err != nil {
		return nil, err
	}
	return &reshape{op: op, table: table, rule: rule, added: added, same: map[string]string{}}, nil
}

// changeable refuses a column that the engine cannot change while others write.
func (p *planner) changeable(op Operation, t *schema.Table, c *schema.Column) error {
	e, ok := p.engine.(interface {
		cannot(*schema.Table, *schema.Column) (string, string)
	})
	if !ok {
		return nil
	}
	if reason, next := e.cannot(t, c); reason != "" {
		return &Error{op, fmt.Sprintf("column %s: %s", word(c.Name), reason), next}
	}
	return nil
}

// thawed refuses a table no column of which the engine can change while others write.
func (p *planner) thawed(op Operation, t *schema.Table) error {
	e, ok := p.engine.(interface {
		frozen(*schema.Table) (string, string)
	})
	if !ok {
		return nil
	}
	if reason, next := e.frozen(t); reason != "" {
		return &Error{op, reason, next}
	}
	return nil
}

// unique tells whether a column is part of a unique key: then a default that two rows have for a moment, before
// a trigger gives them their values, would be one too many.
func unique(t *schema.Table, columns []string) bool {
	is := func(c string) bool { return slices.Contains(columns, c) }
	return slices.ContainsFunc(t.Constraints, func(k *schema.Constraint) bool { return k.Type == schema.Unique && slices.ContainsFunc(k.Columns, is) }) ||
		slices.ContainsFunc(t.Indexes, func(x *schema.Index) bool { return x.Unique && slices.ContainsFunc(x.Columns, is) })
}

// walkable makes sure that a table has a key to walk by.
func (p *planner) walkable(op Operation, table Table) ([]string, error) {
	key := walkKey(p.now.Schema(table.Schema).Table(table.Name))
	if key == nil {
		return nil, noKey(op, table)
	}
	return key, nil
}

// typedLiteral is a text with its type behind it.
var typedLiteral = regexp.MustCompile(`^'([^'\\]|\'\')*'::[a-z_ ]+(\(\d+(,\d+)?\))?[a-z_ ]*(\[\])*$`)

// isConstant tells whether a default is the same for every row, and can be written into a trigger.
func isConstant(expression string) bool {
	text := strings.ToLower(expression)
	if typedLiteral.MatchString(text) {
		return true
	}
	return text != "" && !strings.Contains(text, "(") && !strings.HasPrefix(text, "current_") && !strings.HasPrefix(text, "local") && text != "null" && !strings.HasPrefix(text, "null::")
}

// successor is a column that takes the place of another, under another name or with another type.
func successor(c *schema.Column, name string) *schema.Column {
	out := *c
	out.Name, out.Identity = name, ""
	out.Options = slices.DeleteFunc(slices.Clone(c.Options), func(o schema.Property) bool { return o.Name == "sequence" })
	return &out
}

func only(key, value string) map[string]string { return map[string]string{key: value} }
