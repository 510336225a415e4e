package recipes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
	"github.com/switchbackdb/switchback/schema"
)

// setting is a number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, name)
	return n
}

// TestChains plans random changes one after the other, on what the last one has left: contracted, purged, or on its way. It
// walks through their phases to and fro, while all versions of the application that can run write rows. After every
// step each of them must read what a model in Go says, and the schema must be the one that the phases which are applied
// give without any detour; in the end, the one that the operations describe.
//
// SWITCHBACK_SEED is the first seed, SWITCHBACK_CHAINS how many chains there are on each engine.
func TestChains(t *testing.T) {
	seed, n := setting(t, "SWITCHBACK_SEED", 1), setting(t, "SWITCHBACK_CHAINS", 2)
	for _, engine := range engines() {
		if testing.Short() && engine != "sqlite" {
			continue
		}
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			for i := range n {
				t.Run(fmt.Sprintf("seed_%d", seed+i), func(t *testing.T) { walkChain(t, engine, seed+i) })
			}
		})
	}
}

// applied is a phase of a change.
type applied struct {
	change *chainChange
	phase  migrate.Phase
}

// chain is one under way.
type chain struct {
	*target
	*oracle
	maker    *maker
	rand     *rand.Rand
	tongue   tongue
	log      []string
	straight map[string]*schema.Database // the model, by the phases that are applied
	order    []applied                   // what is applied, in order
	detour   bool                        // something was rolled back
	app      *sql.DB
	folder   *migrate.Folder
	next     int64 // row
	serial   int
}

func walkChain(t *testing.T, engine string, seed int) {
	r := rand.New(rand.NewPCG(uint64(seed), 7))
	url := fresh(t, engine)
	g := open(t, url)
	m := &maker{engine: engine, rand: r}
	first := m.first()
	c := &chain{
		target: g, maker: m, rand: r, tongue: tongue{engine, g.db.Dialect().Quote}, straight: map[string]*schema.Database{},
		oracle: &oracle{versions: []*chainVersion{first}, phases: map[*chainChange]map[migrate.Phase]bool{}},
	}
	if engine == "postgres" {
		url += "&default_query_exec_mode=simple_protocol" // types change under statements that were prepared
	}
	c.app = servers.Open(t, url)
	t.Cleanup(func() { require.NoError(t, c.app.Close()) })
	for _, table := range first.tables {
		c.entities = append(c.entities, table.entity)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s, SWITCHBACK_SEED=%d SWITCHBACK_CHAINS=1\n%s%s\n%s", engine, seed, c.describe(), strings.Join(c.log, "\n"), g.scripts())
		}
	})
	c.exec(first.script(engine))
	c.exec("INSERT INTO parents (id, label) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
	for i := range 3 {
		c.insert(c.entities[0], int64(i+1), map[*cell]any{first.tables[0].columns[0].cell: string(rune('a' + i))})
	}
	c.next = 3
	for range 8 {
		c.write()
	}
	c.models()
	for range 3 + r.IntN(4) {
		c.plan()
		for range 1 + r.IntN(4) {
			c.step()
		}
	}
	c.end()
}

func (c *chain) say(format string, args ...any) { c.log = append(c.log, fmt.Sprintf(format, args...)) }

// plan plans a change on what is there. What is on its way, or in the attic, may be in the way: then it is another one.
func (c *chain) plan() {
	c.t.Helper()
	switch n := c.rand.IntN(10); {
	case n < 5 || c.maker.engine == "sqlite": // its scripts, purge too, write tables anew as they know them
		c.forwardTo(migrate.Purge)
	case n < 8:
		c.forwardTo(migrate.Contract)
	default:
		c.forwardTo(migrate.Backfill)
	}
	now := c.model()
	c.sameChecks(now)
	c.unfinished = nil
	for _, x := range c.planned {
		if !c.at(x, migrate.Contract) {
			c.unfinished = append(c.unfinished, recipe.Unfinished{Change: strconv.Itoa(x.number), Operations: c.parse(strings.Join(x.operations, "\n"))})
		}
	}
	for range 20 {
		x := c.maker.change(c.versions[len(c.versions)-1], len(c.planned)+1)
		last := c.last
		_, err := c.planOn(now, strings.Join(x.operations, "\n"))
		var refused *recipe.Error
		switch {
		case err == nil:
			c.say("planned %s", strings.Join(x.operations, "; "))
			c.folder, err = migrate.LoadFolder(c.changes, c.db.Dialect().Engine)
			require.NoError(c.t, err)
			x.base = map[*chainChange]int{}
			for _, y := range c.planned {
				x.base[y] = c.count(y)
			}
			c.planned, c.versions = append(c.planned, x), append(c.versions, x.to)
			c.phases[x] = map[migrate.Phase]bool{}
			return
		case errors.As(err, &refused) && c.mayRefuse(refused):
			c.say("refused %v", err)
			c.last = last
		default:
			require.NoError(c.t, err, strings.Join(x.operations, "\n"))
		}
	}
	c.forwardTo(migrate.Purge)
}

// sameChecks enters that a second table has other names for its checks, as the plan's note says: on MySQL they are unique in
// a whole database.
func (c *chain) sameChecks(now *schema.Database) {
	if c.maker.engine != "mysql" {
		return
	}
	for _, t := range c.versions[len(c.versions)-1].tables {
		there := now.Schemas[0].Table(t.name)
		for _, k := range t.keys {
			if k.kind == "check" && there != nil && there.Constraint(k.name) == nil && there.Constraint(k.name+"_2") != nil {
				k.name += "_2"
			}
		}
	}
}

// mayRefuse tells whether a plan may be refused: not when nothing is on its way, and nothing in the attic.
func (c *chain) mayRefuse(e *recipe.Error) bool {
	lively := slices.ContainsFunc(c.planned, func(x *chainChange) bool { return !c.at(x, migrate.Purge) })
	return lively || strings.Contains(e.Reason, "as it is")
}

func (c *chain) change(id string) *chainChange {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(id, "202611240930"), "_change"))
	require.NoError(c.t, err)
	return c.planned[n-1]
}

// pending is the next phase of a change, if there is one.
func (c *chain) pending(x *chainChange) (migrate.Phase, bool) {
	for _, p := range migrate.Phases() {
		if !c.at(x, p) {
			return p, true
		}
	}
	return "", false
}

// count is how many phases of a change are applied.
func (c *chain) count(x *chainChange) int {
	return len(slices.DeleteFunc(migrate.Phases(), func(p migrate.Phase) bool { return !c.at(x, p) }))
}

// ready tells whether the changes before one are at least as far as when it was planned.
func (c *chain) ready(x *chainChange) bool {
	for y, n := range x.base {
		if c.count(y) < n {
			return false
		}
	}
	return true
}

// has tells whether a change has scripts for a phase.
func (c *chain) has(x *chainChange, p migrate.Phase) (migrate.Pair, bool) {
	return c.folder.Change(idOf(x)).Pair(p)
}

func idOf(x *chainChange) string { return fmt.Sprintf("202611240930%02d_change", x.number) }

// forwardTo takes all changes to a phase. The attic is emptied last, and that of the newest change first: the scripts
// of a change know what the ones before it had there when it was planned.
func (c *chain) forwardTo(to migrate.Phase) {
	c.t.Helper()
	if to == migrate.Purge {
		c.forwardTo(migrate.Contract)
		for _, x := range slices.Backward(c.planned) {
			if !c.at(x, migrate.Purge) {
				c.forward1(x, migrate.Purge)
			}
		}
		return
	}
	for _, x := range c.planned {
		c.underlay(x)
		for p, more := c.pending(x); more && slices.Index(migrate.Phases(), p) <= slices.Index(migrate.Phases(), to); p, more = c.pending(x) {
			c.forward1(x, p)
		}
	}
	c.look()
}

// underlay takes the changes before one to where they were when it was planned, if they were taken back since.
func (c *chain) underlay(x *chainChange) {
	c.t.Helper()
	for _, y := range c.planned {
		for c.count(y) < x.base[y] {
			p, _ := c.pending(y)
			c.forward1(y, p)
		}
	}
}

// forward1 runs a phase of a change.
func (c *chain) forward1(x *chainChange, p migrate.Phase) {
	c.t.Helper()
	c.say("%s of %d", p, x.number)
	if pair, ok := c.has(x, p); ok {
		err := c.run(func(context.Context, *migrate.State) ([]migrate.Step, error) {
			return []migrate.Step{{Change: idOf(x), Phase: p, Direction: migrate.Forward, Script: pair.Forward, Rollback: pair.Rollback}}, nil
		})
		require.NoError(c.t, err, "%s of %d", p, x.number)
	}
	c.apply(x, p)
	c.order = append(c.order, applied{x, p})
	c.models()
}

// step does one thing.
func (c *chain) step() {
	c.t.Helper()
	switch n := c.rand.IntN(10); {
	case n < 5:
		for _, x := range c.planned {
			if p, more := c.pending(x); more && p != migrate.Purge && c.ready(x) {
				c.forward1(x, p)
				break
			}
		}
	case n < 6:
		c.rollBack(migrate.BackOptions{LastPhase: true})
	case n < 7:
		c.rollBack(migrate.BackOptions{})
	case n < 8:
		c.rollBack(migrate.BackOptions{To: c.point()})
	case n < 9:
		c.rollForward()
	default:
		c.purge()
	}
	c.look()
	for range c.rand.IntN(4) {
		c.write()
	}
	c.look()
}

// purge empties the attic of a change now and then, when the changes on top of it, if there are any, are done with.
func (c *chain) purge() {
	c.t.Helper()
	for _, x := range slices.Backward(c.planned) {
		if p, more := c.pending(x); more {
			if p == migrate.Purge && c.rand.IntN(2) == 0 {
				c.forward1(x, p)
			}
			return
		}
	}
}

// point is one to go back to.
func (c *chain) point() string {
	s := c.state()
	if c.rand.IntN(4) == 0 || len(s.Applied()) == 0 {
		return "0"
	}
	a := s.Applied()[c.rand.IntN(len(s.Applied()))]
	if c.rand.IntN(2) == 0 {
		return a.Change
	}
	return a.Change + ":" + string(a.Phase)
}

func (c *chain) state() *migrate.State {
	s, err := c.runner.State(c.t.Context())
	require.NoError(c.t, err)
	require.Nil(c.t, s.Interrupted())
	return s
}

// rollBack takes phases back. Behind a purge there is no way back, and none is begun.
func (c *chain) rollBack(o migrate.BackOptions) {
	c.t.Helper()
	s := c.state()
	require.Len(c.t, s.Applied(), len(strings.Fields(c.key())), "what is applied")
	steps, err := migrate.PlanBack(s, o)
	c.say("rollback %+v: %v", o, steps)
	if err != nil {
		require.True(c.t, slices.ContainsFunc(s.Applied(), func(a migrate.Applied) bool { return a.Phase == migrate.Purge }), "%v", err)
		require.Error(c.t, c.back(o))
		return
	}
	require.NoError(c.t, c.back(o), "rollback %+v", o)
	c.detour = c.detour || len(steps) > 0
	for _, step := range steps {
		x := c.change(step.Change)
		c.takeBack(x, step.Phase)
		c.undoAfter(x, step.Phase)
	}
	c.order = slices.DeleteFunc(c.order, func(a applied) bool { return !c.at(a.change, a.phase) })
	c.say("  now: %s", c.key())
	c.models()
}

// undoAfter enters the phases without a script that come after one that is taken back.
func (c *chain) undoAfter(x *chainChange, p migrate.Phase) {
	after := slices.Index(migrate.Phases(), p)
	for i, later := range migrate.Phases() {
		if i > after && c.at(x, later) {
			c.takeBack(x, later)
		}
	}
}

func (c *chain) rollForward() {
	c.t.Helper()
	s := c.state()
	steps, err := migrate.PlanAgain(s)
	require.NoError(c.t, err)
	c.say("rollforward: %v", steps)
	require.NoError(c.t, c.run(func(_ context.Context, s *migrate.State) ([]migrate.Step, error) { return migrate.PlanAgain(s) }), "rollforward")
	for _, step := range steps {
		x := c.change(step.Change)
		for _, p := range migrate.Phases()[:slices.Index(migrate.Phases(), step.Phase)+1] {
			if !c.at(x, p) { // phases without a script come with the next one
				c.apply(x, p)
				c.order = append(c.order, applied{x, p})
			}
		}
	}
	c.models()
}

// key is what is applied, in order.
func (c *chain) key() string {
	var list []string
	for _, a := range c.order {
		if _, scripted := c.has(a.change, a.phase); scripted {
			list = append(list, fmt.Sprintf("%d:%s", a.change.number, a.phase))
		}
	}
	return strings.Join(list, " ")
}

// runnable are the versions of the application that can run now.
func (c *chain) runnable() []int {
	var list []int
	for n := c.contracted(); n <= max(c.newest(), c.contracted()); n++ {
		list = append(list, n)
	}
	return list
}

// look reads everything in every shape.
func (c *chain) look() {
	c.t.Helper()
	for _, n := range c.runnable() {
		for _, table := range c.versions[n].tables {
			c.read(n, table)
		}
	}
}

func (c *chain) read(n int, table *chainTable) {
	c.t.Helper()
	s := shape{table: table.name}
	for _, x := range table.columns {
		s.columns = append(s.columns, column{name: x.name})
	}
	found, err := readTable(c.t.Context(), c.app, c.tongue, s, "")
	require.NoError(c.t, err, "version %d", n)
	for _, r := range table.entity.rows {
		have, there := found[r.id]
		require.Equal(c.t, !r.gone, there, "version %d, %s: is row %d there?", n, table.name, r.id)
		if r.gone {
			continue
		}
		delete(found, r.id)
		for _, x := range table.columns {
			list := c.actual(x)
			now := list[len(list)-1]
			if now.cell.link != nil && r.stale[now.cell.link] {
				continue
			}
			require.Equal(c.t, r.values[now.cell], have[x.name], "version %d, %s.%s of row %d: %v", n, table.name, x.name, r.id, have)
		}
	}
	require.Empty(c.t, found, "version %d, %s: rows that nobody wrote", n, table.name)
}

// models compares the schema with that of the same phases without a detour.
func (c *chain) models() {
	c.t.Helper()
	key := c.key()
	want, known := c.straight[key]
	switch {
	case known:
	case c.rand.IntN(2) == 0:
		return
	case !c.detour:
		c.straight[key] = c.model()
		return
	case c.rand.IntN(3) > 0:
		return
	default:
		want = c.replay()
		c.straight[key] = want
	}
	alike(c.t, want, c.model(), "the schema is not that of "+key)
}

// replay applies on a database of its own what is applied here.
func (c *chain) replay() *schema.Database {
	c.t.Helper()
	g := open(c.t, fresh(c.t, c.maker.engine))
	g.changes = c.changes
	g.exec(c.versions[0].script(c.maker.engine))
	for _, a := range c.order {
		pair, scripted := c.has(a.change, a.phase)
		if !scripted {
			continue
		}
		require.NoError(c.t, g.run(func(context.Context, *migrate.State) ([]migrate.Step, error) {
			return []migrate.Step{{Change: idOf(a.change), Phase: a.phase, Direction: migrate.Forward, Script: pair.Forward, Rollback: pair.Rollback}}, nil
		}), "again, on another database: %s of %d", a.phase, a.change.number)
	}
	return g.model()
}

// end takes everything to its end: the schema is what the operations describe.
func (c *chain) end() {
	c.t.Helper()
	c.forwardTo(migrate.Contract)
	c.write()
	c.forwardTo(migrate.Purge)
	c.write()
	c.look()
	c.sameChecks(c.model())
	wanted := open(c.t, fresh(c.t, c.maker.engine))
	wanted.exec(c.versions[len(c.versions)-1].script(c.maker.engine))
	alike(c.t, wanted.model(), c.model(), "after purge the schema is not the one that was wanted")
	c.rollBack(migrate.BackOptions{To: "0"})
}

// write lets a version of the application write.
func (c *chain) write() {
	c.t.Helper()
	list := c.runnable()
	n := list[c.rand.IntN(len(list))]
	table := c.versions[n].tables[c.rand.IntN(2)]
	if c.rand.IntN(4) > 0 {
		table = c.versions[n].tables[1]
	}
	switch k := c.rand.IntN(10); {
	case k < 4:
		c.insertRows(n, table, 1+c.rand.IntN(3))
	case k < 9:
		c.update(n, table)
	default:
		c.remove(n, table)
	}
}

// some chooses values for some columns of a table, by the cells that are there now.
func (c *chain) some(table *chainTable, insert, single bool) (names []string, cells []*cell, values []any) {
	for _, x := range table.columns {
		list := c.actual(x)
		now := list[len(list)-1]
		nullable, limit := true, 1000
		for _, k := range list {
			nullable = nullable && !k.notNull && !k.cell.full
			limit = min(limit, max(k.cell.limit, 1))
		}
		required := !nullable && (x.value == nil || c.defaultOf(now.cell) == nil)
		if x.cell.kind == "code" && !single || !(insert && required) && c.rand.IntN(3) == 0 {
			continue
		}
		view := c.maker.engine == "sqlite" && c.isView(table) && c.defaultOf(now.cell) != nil
		var v any
		if !nullable || view || c.rand.IntN(4) > 0 {
			v = valueOf(c.rand, c.written(list), limit, func() int { c.serial++; return c.serial })
		}
		names, cells, values = append(names, x.name), append(cells, now.cell), append(values, v)
	}
	return names, cells, values
}

// written is the narrowest of the cells that a value has to suit.
func (c *chain) written(list []*chainColumn) *cell {
	now := *list[len(list)-1].cell
	for _, x := range list {
		if x.cell.kind == "count" {
			now.kind = "count" // no other text
		}
		now.big = now.big && x.cell.big
	}
	return &now
}

// isView tells whether a table's name is still that of a view.
func (c *chain) isView(table *chainTable) bool {
	return c.versions[c.contracted()].of(table.entity).name != table.name
}

func (c *chain) do(n int, statement string, args []any) {
	c.t.Helper()
	c.say("  version %d: %s %v", n, statement, args)
	_, err := c.app.ExecContext(c.t.Context(), statement, args...)
	require.NoError(c.t, err, "version %d: %s %v", n, statement, args)
}

func (c *chain) insertRows(n int, table *chainTable, rows int) {
	c.t.Helper()
	for range rows {
		names, cells, values := c.some(table, true, true)
		c.next++
		list, places, args := []string{"id"}, []string{c.tongue.parameter(1)}, []any{c.next}
		set := map[*cell]any{}
		for i, name := range names {
			args = append(args, values[i])
			list, places = append(list, name), append(places, c.tongue.parameter(len(args)))
			set[cells[i]] = values[i]
		}
		c.do(n, fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table.name, strings.Join(list, ", "), strings.Join(places, ", ")), args)
		c.insert(table.entity, c.next, set)
	}
}

// someRows are up to n of the rows of a table.
func (c *chain) someRows(table *chainTable, n int) []*chainRow {
	var list []*chainRow
	for range n {
		if len(table.entity.rows) == 0 {
			return nil
		}
		r := table.entity.rows[c.rand.IntN(len(table.entity.rows))]
		if !r.gone && !slices.Contains(list, r) {
			list = append(list, r)
		}
	}
	return list
}

func (c *chain) where(rows []*chainRow) string {
	var ids []string
	for _, r := range rows {
		ids = append(ids, strconv.FormatInt(r.id, 10))
	}
	return " WHERE id IN (" + strings.Join(ids, ", ") + ")"
}

func (c *chain) update(n int, table *chainTable) {
	c.t.Helper()
	rows := c.someRows(table, 1+c.rand.IntN(4)*c.rand.IntN(2))
	names, cells, values := c.some(table, false, len(rows) == 1)
	if len(rows) == 0 || len(names) == 0 {
		return
	}
	var sets []string
	set := map[*cell]any{}
	for i, name := range names {
		sets = append(sets, name+" = "+c.tongue.parameter(i+1))
		set[cells[i]] = values[i]
	}
	c.do(n, fmt.Sprintf("UPDATE %s SET %s%s", table.name, strings.Join(sets, ", "), c.where(rows)), values)
	for _, r := range rows {
		c.oracle.write(table.entity, r, set, false)
	}
}

func (c *chain) remove(n int, table *chainTable) {
	c.t.Helper()
	rows := slices.DeleteFunc(c.someRows(table, 3), func(r *chainRow) bool { return r.id <= 3 })
	if len(rows) == 0 {
		return
	}
	c.do(n, "DELETE FROM "+table.name+c.where(rows), nil)
	for _, r := range rows {
		r.gone = true
	}
}
