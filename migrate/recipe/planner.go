package recipe

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	ddlmysql "github.com/switchbackdb/switchback/ddl/mysql"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// Options say for what a change is planned.
type Options struct {
	Engine migrate.Engine
	Writer ddl.Writer     // of the engine
	ID     string         // of the change: its digits tell its triggers from those of other changes
	Sizes  map[Table]Size // of the target's tables, for the reviewer; may be empty

	Unfinished []Unfinished // changes that are not contracted on the target; may be empty
}

// Plan plans operations on a schema, in their order; later ones see what earlier ones do. The error is an
// *Error when an operation cannot be planned.
func Plan(from *schema.Database, operations []Operation, o Options) (*Draft, error) {
	e, err := newEngine(o.Engine, digits(o.ID))
	if err != nil {
		return nil, err
	}
	p := &planner{engine: e, writer: o.Writer, id: digits(o.ID), begun: from, now: from, sizes: o.Sizes, besides: map[Table]bool{}, draft: &Draft{Operations: operations, scripts: map[migrate.Phase]*Scripts{}}}
	if err := p.underWay(operations); err != nil {
		return nil, err
	}
	if err := p.apart(operations); err != nil {
		return nil, err
	}
	if err := p.overtakes(operations, o.Unfinished); err != nil {
		return nil, err
	}
	var recipes []recipe
	for _, op := range operations {
		r, err := op.recipe(p)
		if err != nil {
			return nil, err
		}
		recipes = append(recipes, r)
	}
	p.recipes = recipes
	for _, run := range []struct {
		phase migrate.Phase
		do    func([]recipe) error
	}{{migrate.Expand, p.expand}, {migrate.Backfill, p.backfill}, {migrate.Contract, p.contract}, {migrate.Purge, p.purge}} {
		p.scripts = &Scripts{}
		p.draft.scripts[run.phase] = p.scripts
		err := run.do(recipes)
		if err == nil {
			err = p.flush()
		}
		if err != nil {
			return nil, fmt.Errorf("plan %s: %w", run.phase, err)
		}
		if run.phase == migrate.Purge {
			p.scripts.Back = nil // a verified snapshot stands behind it
		}
	}
	for _, s := range p.draft.scripts {
		for _, list := range [][]Statement{s.Forward, s.Back} {
			p.describe(list)
		}
	}
	return p.draft, nil
}

// digits is the number that a change's ID begins with.
func digits(id string) string {
	end := strings.IndexFunc(id, func(r rune) bool { return r < '0' || r > '9' })
	if end >= 0 {
		id = id[:end]
	}
	if id == "" {
		return "0"
	}
	return id
}

// planner is a change being planned.
type planner struct {
	engine   engine
	writer   ddl.Writer
	id       string           // digits
	begun    *schema.Database // the model before the first step
	now      *schema.Database // the model after the steps so far
	pending  *pending         // steps that are not written yet
	draft    *Draft
	scripts  *Scripts // of the phase being planned
	together bool     // steps take effect with their neighbours
	locks    []string // tables that nobody else reads or writes meanwhile
	sizes    map[Table]Size
	saying   string  // of the step being planned: why it is safe, where the writer cannot know
	syncs    []*sync // the tables that have two shapes, in the order in which they were met
	recipes  []recipe
	besides  map[Table]bool      // tables that have a second one for their checks
	target   *schema.Database    // the schema that is wanted, where the operations come from a difference
	wanted   map[schema.Key]bool // what is in it
	renames  []diff.Rename       // confirmed ones that have no operation
}

// triggers is a step that makes or drops the triggers of a table.
func (p *planner) triggers(change func(*edit, *sync, state), s *sync, st state) error {
	p.saying = "Keeps both shapes of " + s.table.String() + " in step. Needs the table's lock for a moment."
	if st == after {
		p.saying = "Keeps the attic of " + s.table.String() + " in step. Needs the table's lock for a moment."
	}
	defer func() { p.saying = "" }()
	return p.step(nil, func(e *edit) { change(e, s, st) })
}

func (p *planner) expand(recipes []recipe) error {
	for _, r := range recipes {
		if err := r.expand(p); err != nil {
			return err
		}
	}
	// One pass without the other would take an insert of the old version back: they come and go together.
	p.together = !p.engine.locksGroups()
	defer func() { p.together = false }()
	for _, s := range p.syncs {
		p.foresee(s)
		if err := p.triggers(p.engine.addTriggers, s, before); err != nil {
			return err
		}
	}
	for _, r := range recipes {
		if b, ok := r.(interface{ behindTriggers(*planner) error }); ok {
			if err := b.behindTriggers(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *planner) backfill(recipes []recipe) error {
	for _, s := range p.syncs {
		if err := p.walk(s); err != nil {
			return err
		}
	}
	if !p.rebuilds() {
		if err := p.fill(recipes); err != nil {
			return err
		}
	}
	for _, r := range recipes {
		if err := r.index(p); err != nil {
			return err
		}
	}
	return nil
}

// fill gives the new shape what only filled rows can have. Where a table is written anew for that, it is done
// at contract, which is one transaction.
func (p *planner) fill(recipes []recipe) error {
	for _, r := range recipes {
		if err := r.fill(p); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) contract(recipes []recipe) error {
	for _, s := range p.syncs {
		p.scripts.step([]Statement{p.engine.assertThere(s.table, p.engine.triggersOf(s, before), "a trigger that keeps both shapes of "+s.table.String()+" in step is gone or off, so they may differ")}, nil)
	}
	o := p.onlookersOf(recipes)
	if p.engine.locksGroups() {
		if err := p.stepAside(o.aside); err != nil {
			return err
		}
		if err := p.instead(o.readers); err != nil {
			return err
		}
		if err := p.rewrite(); err != nil {
			return err
		}
	}
	for _, r := range recipes {
		if err := r.ready(p); err != nil {
			return err
		}
	}
	if err := p.exchange(recipes, o); err != nil {
		return err
	}
	if p.rebuilds() {
		return nil
	}
	return p.settle(recipes)
}

// onlookers are what reads the columns that contract moves: of a schema that operations were named for, and of
// one that is wanted as a whole.
type onlookers struct {
	readers dependents
	aside   map[schema.Key]bool
}

func (p *planner) onlookersOf(recipes []recipe) onlookers {
	if p.target != nil {
		return onlookers{aside: p.affected()}
	}
	var moves []move
	for _, r := range recipes {
		if m, ok := r.(mover); ok {
			moves = append(moves, m.moves()...)
		}
	}
	return onlookers{readers: p.dependentsOf(moves), aside: map[schema.Key]bool{}}
}

// exchange puts the new shape in the place of the old one, all of it together: what reads the tables steps aside
// where it would be in the way, the triggers of two shapes go, those of the attic come.
func (p *planner) exchange(recipes []recipe, o onlookers) error {
	p.together, p.locks = true, p.locked()
	defer func() { p.together, p.locks = false, nil }()
	if !p.engine.locksGroups() {
		if err := p.away(o.readers); err != nil {
			return err
		}
		if err := p.stepAside(o.aside); err != nil {
			return err
		}
	}
	if err := p.lend(); err != nil {
		return err
	}
	p.demand(before, false)
	if err := p.turn(p.turned()); err != nil {
		return err
	}
	for _, s := range p.syncs {
		if err := p.release(s); err != nil {
			return err
		}
	}
	if err := p.reform(recipes); err != nil {
		return err
	}
	for _, s := range p.syncs {
		if err := p.triggers(p.engine.addTriggers, s, after); err != nil {
			return err
		}
	}
	p.demand(after, true)
	if !p.engine.locksGroups() {
		if err := p.again(o.readers); err != nil {
			return err
		}
		if err := p.comeBack(o.aside); err != nil {
			return err
		}
		if err := p.rewrite(); err != nil {
			return err
		}
	}
	for _, s := range p.syncs {
		for _, r := range s.rules {
			p.resync(s, r, after, true)
		}
	}
	return p.flush()
}

// release drops the triggers of a table that has two shapes.
//
// Where a group that was interrupted is taken up on its way back, rows are mended that were written to the new shape alone.
// That is done when the triggers are there that bring it to the old one, so that nothing is missed from then on, and those
// are not that take the old shape for the newer one. What is hidden is mended last: it follows the old shape.
func (p *planner) release(s *sync) error {
	g, ok := p.engine.(*mysql)
	if !ok {
		return p.triggers(p.engine.dropTriggers, s, before)
	}
	mend := func(hidden bool) {
		for _, r := range s.rules {
			if r.hidden == hidden {
				p.resync(s, r, before, false)
			}
		}
	}
	mend(true)
	if err := p.triggers(g.dropPasses("ahead", "up"), s, before); err != nil {
		return err
	}
	mend(false)
	return p.triggers(g.dropPasses("down"), s, before)
}

// reform runs what recipes do at contract. Where tables are written anew, all that is left is done with it.
func (p *planner) reform(recipes []recipe) error {
	if p.rebuilds() {
		if err := p.fill(recipes); err != nil {
			return err
		}
	}
	for _, r := range recipes {
		if err := r.contract(p); err != nil {
			return err
		}
	}
	if p.rebuilds() {
		return p.settle(recipes)
	}
	return nil
}

// demand lets columns demand a value again that a group did not demand, or not any more: those that only triggers
// write. A group that is interrupted leaves none behind, and the application must be able to add rows all the same.
func (p *planner) demand(st state, again bool) {
	g, ok := p.engine.(*mysql)
	if !ok || g.mariadb {
		return // there they have lasting defaults
	}
	const why = "If it ends here, no trigger writes it, and the application goes on. Changes the catalogue only."
	for _, s := range p.syncs {
		var less, more []string
		for _, c := range g.demanding(p.now, s, st) {
			head := "ALTER COLUMN " + g.quote(c.Name)
			less = append(less, head+" SET DEFAULT "+g.silence(c.Type))
			more = append(more, head+" DROP DEFAULT")
		}
		if len(less) == 0 {
			continue
		}
		alter := func(list []string, why string) []Statement {
			return []Statement{{SQL: fmt.Sprintf("ALTER TABLE %s %s, ALGORITHM=INSTANT", g.table(s.table), strings.Join(list, ", ")), Why: why}}
		}
		forward, back := alter(less, why), alter(more, "The triggers are there.")
		if again {
			forward, back = back, forward
		}
		p.raw(forward, back, func(*edit) {})
	}
}

// lend gives columns of the attic to be a default that says nothing, until purge, where the engine wants one in spite of
// triggers.
func (p *planner) lend() error {
	g, ok := p.engine.(*mysql)
	if !ok || !g.mariadb {
		return nil
	}
	for _, s := range p.syncs {
		if err := p.lendTo(g, s.table, g.demanding(p.now, s, before)); err != nil {
			return err
		}
	}
	return nil
}

// noteRefused says that MariaDB does not take rows without a column that is NOT NULL and cannot have a default meanwhile.
func (p *planner) noteRefused(table Table, column string) {
	p.note("From the end of backfill to contract, MariaDB refuses INSERT … SELECT of the version that does not write %s of %s, though a trigger gives the value: have it use VALUES, or contract soon.", word(column), table)
}

// lendTo gives columns a default that says nothing.
func (p *planner) lendTo(g *mysql, table Table, columns []*schema.Column) error {
	if len(columns) == 0 {
		return nil
	}
	return p.step(nil, func(e *edit) {
		for _, c := range columns {
			e.column(table, c.Name).Default = g.silence(c.Type)
		}
	})
}

func (p *planner) settle(recipes []recipe) error {
	for _, r := range recipes {
		if err := r.settle(p); err != nil {
			return err
		}
	}
	return nil
}

func (p *planner) purge(recipes []recipe) error {
	if err := p.loosen(); err != nil {
		return err
	}
	for _, s := range p.syncs {
		if err := p.triggers(p.engine.dropTriggers, s, after); err != nil {
			return err
		}
	}
	for _, r := range recipes {
		if err := r.purge(p); err != nil {
			return err
		}
	}
	return nil
}

// pending are steps that are written as one.
type pending struct {
	from    *schema.Database // the model before them
	renames []diff.Rename
}

// step changes the model, and writes what leads there and back.
func (p *planner) step(renames []diff.Rename, change func(*edit)) error {
	next := p.edited(change)
	if p.rebuilds() && p.saying == "" {
		if p.pending == nil {
			p.pending = &pending{from: p.now}
		}
		p.pending.renames = append(p.pending.renames, renames...)
		p.now = next
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	from := p.now
	p.now = next
	return p.write(from, renames)
}

// flush writes the steps that are pending.
func (p *planner) flush() error {
	if p.pending == nil {
		return nil
	}
	s, saying := p.pending, p.saying
	p.pending, p.saying = nil, ""
	defer func() { p.saying = saying }()
	return p.write(s.from, s.renames)
}

// write writes what leads from a model to the one now, and back.
func (p *planner) write(from *schema.Database, renames []diff.Rename) error {
	forward, err := p.script(from, p.now, renames)
	if err != nil {
		return err
	}
	inverse := diff.Invert(renames)
	slices.Reverse(inverse)
	back, err := p.script(p.now, from, inverse)
	if err != nil {
		return err
	}
	p.scripts.step(forward, append(back, p.unattached(forward)...))
	return nil
}

// attaches is what makes an index of a partition a part of its parent's.
var attaches = regexp.MustCompile(`^ALTER INDEX .+ ATTACH PARTITION (.+)$`)

// unattached drops the indexes of partitions that a script has built and not attached, as it did not come so far.
func (p *planner) unattached(script []Statement) []Statement {
	var names []string
	for _, s := range script {
		if m := attaches.FindStringSubmatch(s.SQL); m != nil {
			names = append(names, m[1])
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Statement{{SQL: "DROP INDEX IF EXISTS " + strings.Join(names, ",\n  "), Why: "They went with the one before. One is left only where it was built and not attached.", Together: p.together}}
}

func (p *planner) edited(change func(*edit)) *schema.Database {
	e := newEdit(p.now)
	change(e)
	if r, ok := p.engine.(rebuilder); ok {
		r.settle(p.now, e)
	}
	return e.database
}

// raw is a step whose statements the recipe writes itself.
func (p *planner) raw(forward, back []Statement, change func(*edit)) {
	for _, list := range [][]Statement{forward, back} {
		for i := range list {
			list[i].Together, list[i].Locks = p.together, p.locks
		}
	}
	p.scripts.step(forward, back)
	p.now = p.edited(change)
}

func (p *planner) script(from, to *schema.Database, renames []diff.Rename) ([]Statement, error) {
	r, err := diff.Compare(from, to, diff.Options{Renames: renames})
	if err != nil {
		return nil, err
	}
	s, err := p.writer.Script(r)
	if err != nil {
		return nil, err
	}
	if p.target != nil && !p.rebuilds() { // there, a note is on how to run the script by hand
		for _, n := range s.Notes {
			p.note("%s", n)
		}
	}
	var out []Statement
	usual := !slices.ContainsFunc(s.Statements, func(st ddl.Statement) bool { return isSession(st.SQL) && !isUsual(st.SQL) })
	unchecked := false
	for _, st := range s.Statements {
		unchecked = unchecked || st.Frame && st.SQL == "PRAGMA foreign_keys = OFF"
		if st.Frame || usual && isSession(st.SQL) {
			continue
		}
		if p.saying != "" && (!p.rebuilds() || !strings.Contains(st.SQL, "TABLE ") || strings.HasPrefix(st.SQL, "CREATE TRIGGER")) {
			st.Comment, st.Destroys = p.saying, false
		}
		// What reads all rows does not do so under the lock of what stands before it.
		alone := st.Outside || !p.together && strings.Contains(st.SQL, " VALIDATE CONSTRAINT ")
		out = append(out, Statement{SQL: st.SQL, Why: st.Comment, Destroys: st.Destroys, Outside: alone, Together: p.together, Locks: p.locks, Unchecked: unchecked})
	}
	if r, ok := p.engine.(rebuilder); ok {
		out = append(p.known(r, from, out), out...)
	}
	return out, nil
}

// locked are the tables that a group locks, on an engine whose statements commit one by one.
func (p *planner) locked() []string {
	if !p.engine.locksGroups() {
		return nil
	}
	var list []string
	for _, s := range p.syncs {
		list = append(list, s.table.Name)
	}
	for _, r := range p.recipes {
		if m, ok := r.(spanning); ok {
			for _, name := range names(m.locks()) {
				if !slices.Contains(list, name) {
					list = append(list, name)
				}
			}
		}
	}
	for _, t := range p.turned() {
		if !slices.Contains(list, t.Name) {
			list = append(list, t.Name)
		}
	}
	if len(list) == 0 {
		return nil
	}
	for _, op := range p.draft.Operations { // nothing else can be altered while tables are locked
		switch op.(type) {
		case DropTable, RenameTable:
			continue
		}
		if full, _, err := p.table(op, op.on()); err == nil && !slices.Contains(list, full.Name) {
			list = append(list, full.Name)
		}
	}
	return list
}

// loosen makes the attic demand nothing more of new rows, where it outlives its triggers for a moment: as one
// statement commits before the next.
func (p *planner) loosen() error {
	if p.engine.name() == "sqlite" { // its purge is one transaction
		return nil
	}
	for _, s := range p.syncs {
		for _, r := range s.rules {
			for _, c := range r.old {
				if _, gone := r.renamed[c]; !gone {
					continue
				}
				if err := p.loosenColumn(s.table, r.name(c, after)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (p *planner) loosenColumn(table Table, name string) error {
	if err := p.step(nil, func(e *edit) { e.freeColumn(table, name) }); err != nil {
		return err
	}
	c := p.now.Schema(table.Schema).Table(table.Name).Column(name)
	if c.NotNull && !p.engine.locksGroups() { // in the catalogue only; a default would go before the column does
		return p.step(nil, func(e *edit) { e.column(table, name).NotNull = false })
	}
	if !c.NotNull || c.Default != "" || c.Identity != "" || c.Generated != "" {
		return nil
	}
	return p.step(nil, func(e *edit) {
		c := e.column(table, name)
		if zero := p.engine.zero(c.Type); zero != "" {
			c.Default = zero
		} else {
			c.NotNull = false
		}
	})
}

// purgeColumns drops columns of the attic with all that stands on them.
func (p *planner) purgeColumns(table Table, names ...string) error {
	if l, ok := p.engine.(interface{ locksGroups() bool }); ok && l.locksGroups() { // an index that goes by itself does not take the table with it
		if err := p.step(nil, func(e *edit) {
			for _, name := range names {
				e.freeColumn(table, name)
			}
		}); err != nil {
			return err
		}
	}
	return p.step(nil, func(e *edit) {
		for _, name := range names {
			e.purgeColumn(table, name)
		}
	})
}

// resync adds what brings the rows of a rule in step again when a group that was interrupted is taken up: in
// the scripts forward, or in those back.
func (p *planner) resync(s *sync, r *rule, st state, forward bool) {
	g, ok := p.engine.(*mysql)
	if !ok {
		return
	}
	statement, ok := g.resync(s, r, st)
	if !ok {
		return
	}
	statement.Together, statement.Locks = p.together, p.locks
	if forward {
		p.scripts.step([]Statement{statement}, nil)
	} else {
		p.scripts.step(nil, []Statement{statement})
	}
}

// isSession tells whether a statement only makes the session as MySQL's writer wants it.
func isSession(sql string) bool {
	return strings.HasPrefix(sql, "SET NAMES ") || strings.HasPrefix(sql, "SET sql_mode = ") || strings.HasPrefix(sql, "SET time_zone = ")
}

// isUsual tells whether it is that of every connection, which nobody has to say.
func isUsual(sql string) bool {
	return slices.Contains([]string{
		"SET NAMES utf8mb4", "SET time_zone = 'SYSTEM'", "SET sql_mode = @@GLOBAL.sql_mode, time_zone = @@GLOBAL.time_zone",
		"SET sql_mode = '" + ddlmysql.DefaultMode(true) + "'", "SET sql_mode = '" + ddlmysql.DefaultMode(false) + "'",
	}, sql)
}

// note says something to the reader, once.
func (p *planner) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(p.draft.Notes, text) {
		p.draft.Notes = append(p.draft.Notes, text)
	}
}

// table finds a table in the model before the change.
func (p *planner) table(op Operation, name Table) (Table, *schema.Table, error) {
	var found []Table
	for _, s := range p.now.Schemas {
		if t := s.Table(name.Name); t != nil && (name.Schema == "" || name.Schema == s.Name) {
			found = append(found, Table{Schema: s.Name, Name: t.Name})
		}
	}
	switch {
	case len(found) == 0:
		return name, nil, &Error{op, fmt.Sprintf("there is no table %s", name), "switchback schema show, for the tables there are"}
	case len(found) > 1:
		return name, nil, &Error{op, fmt.Sprintf("there are tables %s and %s", found[0], found[1]), "name the schema, as in " + found[0].String()}
	}
	return found[0], p.now.Schema(found[0].Schema).Table(found[0].Name), nil
}
