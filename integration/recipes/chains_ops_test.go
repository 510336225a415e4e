package recipes

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// chainChange is one change of a chain, as planned and as the oracle sees it.
type chainChange struct {
	number     int
	operations []string
	from, to   *chainVersion
	links      []*link
	added      []*cell              // that come without a link
	defaults   map[*cell]any        // what columns that are to go have until then
	refills    []refill             // what the rollback of expand gives rows without a value
	base       map[*chainChange]int // how many phases of earlier changes were applied when it was planned
	touched    map[*cell]bool       // cells that an operation is about: one each
	names      map[string]bool      // of tables with operations
}

type refill struct {
	cell  *cell
	value func(r *chainRow) any
}

// maker chooses operations that are valid on a version.
type maker struct {
	engine string
	rand   *rand.Rand
	serial int
}

func (m *maker) name(prefix string) string {
	m.serial++
	return prefix + strconv.Itoa(m.serial)
}

func (m *maker) pick(engine text) string { return engine.on(m.engine) }

// typeOf is a type of a kind.
func (m *maker) typeOf(kind string, width int) string {
	switch kind {
	case "word", "code":
		return fmt.Sprintf("varchar(%d)", width)
	case "digits":
		return m.pick(text{"": "varchar(40)", "postgres": "text", "sqlite": "text"})
	}
	return "int"
}

// first is the schema that a chain begins with.
func (m *maker) first() *chainVersion {
	parents := &chainTable{entity: &entity{}, name: "parents", idType: "int", columns: []*chainColumn{{name: "label", cell: &cell{kind: "word", limit: 40}, typ: "varchar(40)", width: 40}}}
	items := &chainTable{entity: &entity{}, name: "items", idType: "int"}
	for i := range 5 + m.rand.IntN(3) {
		kind := []string{"word", "word", "count", "code", "ref", "count", "word"}[i]
		c := &chainColumn{name: m.name("c"), cell: &cell{kind: kind, full: m.rand.IntN(3) == 0}, width: 60}
		if kind == "word" {
			c.width = 40 + 20*m.rand.IntN(2)
		}
		c.cell.limit, c.typ = c.width, m.typeOf(kind, c.width)
		c.notNull = m.rand.IntN(5) < 2
		if m.rand.IntN(3) == 0 {
			m.defaulted(c)
		}
		items.columns = append(items.columns, c)
		switch {
		case kind == "code" && m.rand.IntN(2) == 0:
			items.keys = append(items.keys, &chainKey{name: m.name("k"), kind: "unique", cells: []*cell{c.cell}})
		case kind == "ref":
			items.keys = append(items.keys, &chainKey{name: m.name("i"), kind: "index", cells: []*cell{c.cell}})
			if m.rand.IntN(2) == 0 {
				items.keys = append(items.keys, &chainKey{name: m.name("k"), kind: "foreign", cells: []*cell{c.cell}})
			}
		case m.rand.IntN(3) == 0:
			items.keys = append(items.keys, &chainKey{name: m.name("i"), kind: "index", cells: []*cell{c.cell}})
		case m.rand.IntN(3) == 0:
			items.keys = append(items.keys, m.check(c.cell))
		}
	}
	return &chainVersion{[]*chainTable{parents, items}}
}

// defaulted gives a column a default.
func (m *maker) defaulted(c *chainColumn) {
	switch c.cell.kind {
	case "word":
		v := []string{"nobody", "someone", ""}[m.rand.IntN(3)]
		c.value, c.constant = v, "'"+v+"'"
	case "count":
		v := strconv.Itoa(m.rand.IntN(9))
		c.value, c.constant = v, v
	case "ref":
		c.value, c.constant = "1", "1"
	}
}

func (m *maker) check(c *cell) *chainKey {
	k := &chainKey{name: m.name("k"), kind: "check", cells: []*cell{c}, check: " <> 13"}
	if c.kind == "word" || c.kind == "code" || c.kind == "digits" {
		k.check = " <> 'nothing'"
	}
	return k
}

// change makes a change of one to three operations.
func (m *maker) change(from *chainVersion, number int) *chainChange {
	c := &chainChange{number: number, from: from, to: from.clone(), defaults: map[*cell]any{}, touched: map[*cell]bool{}, names: map[string]bool{}}
	for want := 1 + m.rand.IntN(3)*m.rand.IntN(2); len(c.operations) < want; {
		kinds := m.kinds()
		if op := kinds[m.rand.IntN(len(kinds))](c); op != "" {
			c.operations = append(c.operations, op)
		}
	}
	return c
}

func (m *maker) kinds() []func(*chainChange) string {
	list := []func(*chainChange) string{
		m.renameColumn, m.renameColumn, m.widen, m.narrow, m.wider, m.narrower, m.shifted, m.toText, m.toNumber, m.split, m.merge,
		m.addColumn, m.addColumn, m.dropColumn, m.setNotNull, m.setNotNullFilled, m.dropNotNull, m.setDefault, m.dropDefault,
		m.addKey, m.addKey, m.dropKey, m.renameTable,
	}
	if m.engine == "postgres" || m.engine == "mysql" || m.engine == "mariadb" {
		list = append(list, m.replaceIndex)
	}
	if m.engine == "postgres" {
		list = append(list, m.replaceConstraint, m.wideKey)
	}
	return list
}

// any is a column of a table that no operation of the change is about yet.
func (m *maker) any(c *chainChange, suits func(*chainTable, *chainColumn) bool) (*chainTable, *chainColumn) {
	type place struct {
		table  *chainTable
		column *chainColumn
	}
	var list []place
	for _, t := range c.to.tables {
		for _, x := range t.columns {
			if !c.touched[x.cell] && c.from.column(x.cell) != nil && !c.names[t.name+" renamed"] && suits(t, x) {
				list = append(list, place{t, x})
			}
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	p := list[m.rand.IntN(len(list))]
	c.names[p.table.name] = true
	return p.table, p.column
}

func (m *maker) link(c *chainChange, l *link) {
	l.change = c
	for _, n := range l.new {
		n.link = l
	}
	for _, x := range append(slices.Clone(l.old), l.new...) {
		c.touched[x] = true
	}
	c.links = append(c.links, l)
}

func each(f func(any) any) func([]any) []any {
	return func(in []any) []any { return []any{f(in[0])} }
}

func same1(v any) any { return v }

// heir is a column that takes the place of another by a link.
func (m *maker) heir(c *chainChange, t *chainTable, old *chainColumn, change func(*chainColumn), up, down func(any) any, hidden bool) *chainColumn {
	next, now := *old, *old.cell
	next.cell = &now
	change(&next)
	l := &link{old: []*cell{old.cell}, new: []*cell{next.cell}, up: each(up), down: each(down), initial: []any{next.value}, hidden: hidden}
	if next.constant != "" && strings.Contains(next.constant, "(") {
		l.initial = []any{nil}
	}
	m.link(c, l)
	t.succeed(old.cell, &next)
	return &next
}

func (m *maker) renameColumn(c *chainChange) string {
	t, x := m.any(c, func(*chainTable, *chainColumn) bool { return true })
	if x == nil {
		return ""
	}
	name := m.name("c")
	m.heir(c, t, x, func(n *chainColumn) { n.name = name }, same1, same1, false)
	return fmt.Sprintf("rename column %s.%s %s", t.name, x.name, name)
}

// through leaves NULL alone.
func through(f func(string) any) func(any) any {
	return func(v any) any {
		if v == nil {
			return nil
		}
		return f(v.(string))
	}
}

// kept is a conversion that SQLite does not make, as it keeps every value.
func (m *maker) kept(f func(string) any) func(any) any {
	if m.engine == "sqlite" {
		return same1
	}
	return through(f)
}

func (m *maker) widen(c *chainChange) string  { return m.resize(c, 20) }
func (m *maker) narrow(c *chainChange) string { return m.resize(c, -28) }

func (m *maker) resize(c *chainChange, by int) string {
	t, x := m.any(c, func(_ *chainTable, x *chainColumn) bool {
		return x.cell.kind == "word" && x.width+by > 0 && x.width+by < 200
	})
	if x == nil {
		return ""
	}
	width := x.width
	n := m.heir(c, t, x, func(n *chainColumn) {
		n.width += by
		n.typ = m.typeOf("word", n.width)
		if n.cell.limit == width || n.cell.limit > n.width {
			n.cell.limit = n.width
		}
	}, m.kept(cut(width+by)), m.kept(cut(width)), true)
	return fmt.Sprintf("change type %s.%s %s", t.name, x.name, n.typ)
}

func (m *maker) wider(c *chainChange) string {
	t, x := m.any(c, func(_ *chainTable, x *chainColumn) bool { return x.cell.kind == "count" && x.typ == "int" })
	if x == nil {
		return ""
	}
	m.heir(c, t, x, func(n *chainColumn) { n.typ, n.cell.big = "bigint", true }, same1, m.kept(within), true)
	return fmt.Sprintf("change type %s.%s bigint", t.name, x.name)
}

func (m *maker) narrower(c *chainChange) string {
	t, x := m.any(c, func(_ *chainTable, x *chainColumn) bool { return x.cell.kind == "count" && x.typ == "bigint" })
	if x == nil {
		return ""
	}
	m.heir(c, t, x, func(n *chainColumn) { n.typ, n.cell.big = "int", false }, m.kept(within), same1, true)
	return fmt.Sprintf("change type %s.%s int", t.name, x.name)
}

// shifted converts by expressions.
func (m *maker) shifted(c *chainChange) string {
	t, x := m.any(c, func(t *chainTable, x *chainColumn) bool {
		return x.cell.kind == "count" && x.typ == "int" && x.constant == "" && !t.on(x.cell, "check")
	})
	if x == nil {
		return ""
	}
	add := func(n int64) func(string) any {
		return func(v string) any { return strconv.FormatInt(number(v)+n, 10) }
	}
	m.heir(c, t, x, func(n *chainColumn) { n.typ, n.cell.big = "bigint", false }, through(add(1)), through(add(-1)), true)
	return fmt.Sprintf("change type %s.%s bigint up (%s + 1) down (%s - 1)", t.name, x.name, x.name, x.name)
}

// read reads a number that a type holds, or nothing.
func (m *maker) read(typ string, otherwise any) func(any) any {
	return through(func(v string) any {
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		switch {
		case err != nil:
			return otherwise
		case typ == "int" && m.engine != "sqlite":
			return within(strconv.FormatInt(n, 10))
		}
		return strconv.FormatInt(n, 10)
	})
}

func (m *maker) toText(c *chainChange) string {
	t, x := m.any(c, func(t *chainTable, x *chainColumn) bool {
		return x.cell.kind == "count" && x.constant == "" && !t.on(x.cell, "check")
	})
	if x == nil {
		return ""
	}
	var zero any
	if x.notNull {
		zero = "0"
	}
	n := m.heir(c, t, x, func(n *chainColumn) {
		n.cell.kind, n.cell.limit, n.width = "digits", 40, 40
		n.typ = m.typeOf("digits", 0)
	}, same1, m.read(x.typ, zero), true)
	return fmt.Sprintf("change type %s.%s %s", t.name, x.name, n.typ)
}

func (m *maker) toNumber(c *chainChange) string {
	t, x := m.any(c, func(t *chainTable, x *chainColumn) bool {
		return x.cell.kind == "digits" && !x.notNull && !t.on(x.cell, "check")
	})
	if x == nil {
		return ""
	}
	m.heir(c, t, x, func(n *chainColumn) { n.cell.kind, n.typ, n.cell.big, n.cell.full = "count", "bigint", true, false }, m.read("bigint", nil), same1, true)
	return fmt.Sprintf("change type %s.%s bigint", t.name, x.name)
}

// Expressions that part a text at its first space and put it together.
func (m *maker) before(c string) string {
	return fmt.Sprintf(m.pick(text{"": "substr(%s, 1, instr(concat(%s, ' '), ' ') - 1)", "postgres": "split_part(%s, ' ', 1)", "sqlite": "substr(%s, 1, instr(%s || ' ', ' ') - 1)"}), repeated(m.engine != "postgres", c)...)
}

func (m *maker) behind(c string) string {
	return fmt.Sprintf(m.pick(text{"": "substr(%s, instr(concat(%s, ' '), ' ') + 1)", "postgres": "substr(%s, length(split_part(%s, ' ', 1)) + 2)", "sqlite": "substr(%s, instr(%s || ' ', ' ') + 1)"}), repeated(true, c)...)
}

func repeated(twice bool, c string) []any {
	if twice {
		return []any{c, c}
	}
	return []any{c}
}

func (m *maker) joined(a, b string) string {
	return fmt.Sprintf(m.pick(text{"": "concat(%s, ' ', %s)", "postgres": "%s || ' ' || %s", "sqlite": "%s || ' ' || %s"}), a, b)
}

func part(in []any) []any {
	if in[0] == nil {
		return []any{nil, nil}
	}
	first, last, _ := strings.Cut(in[0].(string), " ")
	return []any{first, last}
}

func unite(in []any) []any {
	if in[0] == nil || in[1] == nil {
		return []any{nil}
	}
	return []any{in[0].(string) + " " + in[1].(string)}
}

func nullness(notNull bool) string {
	if notNull {
		return " not null"
	}
	return ""
}

func (m *maker) split(c *chainChange) string {
	t, x := m.any(c, func(_ *chainTable, x *chainColumn) bool { return x.cell.kind == "word" && x.width >= 12 })
	if x == nil {
		return ""
	}
	a, b := m.name("c"), m.name("c")
	typ := m.typeOf("word", x.width)
	l := &link{old: []*cell{x.cell}, up: part, down: unite, initial: []any{nil, nil}}
	t.drop(x.cell)
	for _, name := range []string{a, b} {
		n := &chainColumn{name: name, cell: &cell{kind: "word", limit: min(x.cell.limit, (x.width-1)/2)}, typ: typ, width: x.width, notNull: x.notNull}
		l.new = append(l.new, n.cell)
		t.columns = append(t.columns, n)
	}
	m.link(c, l)
	return fmt.Sprintf("split column %s.%s into %s %s%s = (%s), %s %s%s = (%s) down (%s)", t.name, x.name,
		a, typ, nullness(x.notNull), m.before(x.name), b, typ, nullness(x.notNull), m.behind(x.name), m.joined(a, b))
}

func (m *maker) merge(c *chainChange) string {
	t, x := m.any(c, func(_ *chainTable, x *chainColumn) bool { return x.cell.kind == "word" && x.width < 100 })
	if x == nil {
		return ""
	}
	_, y := m.any(c, func(u *chainTable, y *chainColumn) bool {
		return u == t && y != x && y.cell.kind == "word" && y.width < 100 && x.notNull == y.notNull
	})
	if y == nil {
		return ""
	}
	width := x.width + y.width + 1
	n := &chainColumn{name: m.name("c"), cell: &cell{kind: "word", limit: min(x.cell.limit, y.cell.limit)}, typ: m.typeOf("word", width), width: width, notNull: x.notNull}
	m.link(c, &link{old: []*cell{x.cell, y.cell}, new: []*cell{n.cell}, up: unite, down: part, initial: []any{nil}})
	t.drop(x.cell)
	t.drop(y.cell)
	t.columns = append(t.columns, n)
	return fmt.Sprintf("merge columns %s (%s, %s) into %s %s%s = (%s) down (%s), (%s)", t.name, x.name, y.name, n.name, n.typ, nullness(n.notNull),
		m.joined(x.name, y.name), m.before(n.name), m.behind(n.name))
}

func (m *maker) table(c *chainChange) *chainTable {
	t := c.to.tables[m.rand.IntN(len(c.to.tables))]
	if c.names[t.name+" renamed"] {
		return nil
	}
	c.names[t.name] = true
	return t
}

func (m *maker) addColumn(c *chainChange) string {
	t := m.table(c)
	if t == nil {
		return ""
	}
	n := &chainColumn{name: m.name("c"), width: 60}
	kind := []string{"word", "count", "code"}[m.rand.IntN(3)]
	n.cell = &cell{kind: kind, limit: n.width}
	n.typ = m.typeOf(kind, n.width)
	c.touched[n.cell] = true
	op := fmt.Sprintf("add column %s.%s %s", t.name, n.name, n.typ)
	switch way := m.rand.IntN(4); {
	case kind == "code" || way == 0:
		c.added = append(c.added, n.cell)
	case way == 1:
		m.defaulted(n)
		n.notNull = m.rand.IntN(2) == 0
		c.added = append(c.added, n.cell)
		op += nullness(n.notNull) + " default (" + n.constant + ")"
	case way == 2 && kind == "count":
		n.value, n.constant, n.notNull = "42", "(abs(-42))", true
		if m.engine == "postgres" {
			n.constant = "abs(-42)"
		}
		m.link(c, &link{new: []*cell{n.cell}, once: true, initial: []any{nil}, up: func([]any) []any { return []any{"42"} }})
		op += " not null default (abs(-42))"
	default:
		n.notNull = m.rand.IntN(2) == 0
		value, given := any("filled"), "'filled'"
		if kind == "count" {
			value, given = "5", "2 + 3"
		}
		m.link(c, &link{new: []*cell{n.cell}, once: true, initial: []any{nil}, up: func([]any) []any { return []any{value} }})
		op += nullness(n.notNull) + " fill (" + given + ")"
	}
	t.columns = append(t.columns, n)
	return op
}

func (m *maker) dropColumn(c *chainChange) string {
	t, x := m.any(c, func(t *chainTable, x *chainColumn) bool { return len(t.columns) > 3 })
	if x == nil {
		return ""
	}
	op := fmt.Sprintf("drop column %s.%s", t.name, x.name)
	if x.notNull && x.constant == "" {
		ruled := t.on(x.cell, "check", "unique", "foreign", "unique index")
		zero := any("")
		switch x.cell.kind {
		case "count", "ref":
			zero = "0"
		case "digits":
			if m.engine != "mysql" && m.engine != "mariadb" {
				zero = ""
			}
		}
		if ruled {
			op += m.refilled(c, x)
		} else {
			c.defaults[x.cell] = zero
		}
	}
	c.touched[x.cell] = true
	t.drop(x.cell)
	return op
}

// refilled says what rows get that are without a value when expand is rolled back.
func (m *maker) refilled(c *chainChange, x *chainColumn) string {
	switch x.cell.kind {
	case "code":
		c.refills = append(c.refills, refill{x.cell, func(r *chainRow) any { return fmt.Sprintf("f%d", r.id) }})
		return " fill (" + m.pick(text{"": "concat('f', id)", "postgres": "'f' || id", "sqlite": "'f' || id"}) + ")"
	case "ref", "count":
		c.refills = append(c.refills, refill{x.cell, func(*chainRow) any { return "2" }})
		return " fill (2)"
	}
	c.refills = append(c.refills, refill{x.cell, func(*chainRow) any { return "2" }})
	return " fill ('2')"
}

func (m *maker) setNotNull(c *chainChange) string {
	t, x := m.any(c, func(_ *chainTable, x *chainColumn) bool { return !x.notNull && x.cell.full })
	if x == nil {
		return ""
	}
	x.notNull = true
	c.touched[x.cell] = true
	return fmt.Sprintf("set not null %s.%s", t.name, x.name)
}

func (m *maker) setNotNullFilled(c *chainChange) string {
	t, x := m.any(c, func(t *chainTable, x *chainColumn) bool { return !x.notNull && x.cell.kind != "code" })
	if x == nil {
		return ""
	}
	value, given := any("2"), "2"
	if x.cell.kind == "word" || x.cell.kind == "digits" {
		given = "'2'"
	}
	m.heir(c, t, x, func(n *chainColumn) { n.notNull = true }, func(v any) any {
		if v == nil {
			return value
		}
		return v
	}, same1, true)
	return fmt.Sprintf("set not null %s.%s fill (%s)", t.name, x.name, given)
}

func (m *maker) dropNotNull(c *chainChange) string {
	t, x := m.any(c, func(_ *chainTable, x *chainColumn) bool { return x.notNull })
	if x == nil {
		return ""
	}
	x.notNull = false
	c.touched[x.cell] = true
	return fmt.Sprintf("drop not null %s.%s%s", t.name, x.name, m.refilled(c, x))
}

func (m *maker) setDefault(c *chainChange) string {
	t, x := m.any(c, func(_ *chainTable, x *chainColumn) bool { return x.cell.kind == "word" || x.cell.kind == "count" })
	if x == nil {
		return ""
	}
	was := x.constant
	for x.constant == was {
		m.defaulted(x)
	}
	c.touched[x.cell] = true
	return fmt.Sprintf("set default %s.%s (%s)", t.name, x.name, x.constant)
}

func (m *maker) dropDefault(c *chainChange) string {
	t, x := m.any(c, func(_ *chainTable, x *chainColumn) bool { return x.constant != "" })
	if x == nil {
		return ""
	}
	x.value, x.constant = nil, ""
	c.touched[x.cell] = true
	return fmt.Sprintf("drop default %s.%s", t.name, x.name)
}

func (m *maker) addKey(c *chainChange) string {
	t, x := m.any(c, func(*chainTable, *chainColumn) bool { return true })
	if x == nil {
		return ""
	}
	k := &chainKey{name: m.name("k"), cells: []*cell{x.cell}}
	switch n := m.rand.IntN(5); {
	case n == 0:
		k = m.check(x.cell)
	case n == 1 && x.cell.kind == "ref":
		k.kind = "foreign"
	case n <= 2 && x.cell.kind == "code":
		k.kind = []string{"unique", "unique index"}[n%2]
	case n == 3:
		k.kind, k.id = "unique", true
	default:
		k.kind, k.id = "index", m.rand.IntN(2) == 0
	}
	if k.kind == "foreign" && t.on(x.cell, "foreign") {
		return ""
	}
	c.touched[x.cell] = true
	t.keys = append(t.keys, k)
	if isIndex(k) {
		return fmt.Sprintf("add index %s.%s %s", t.name, k.name, t.definition(k, ""))
	}
	return fmt.Sprintf("add constraint %s.%s %s", t.name, k.name, t.definition(k, c.to.tables[0].name))
}

// anyKey is a key of a table that no operation is about yet.
func (m *maker) anyKey(c *chainChange, suits func(*chainKey) bool) (*chainTable, *chainKey) {
	t, x := m.any(c, func(t *chainTable, x *chainColumn) bool {
		return slices.ContainsFunc(t.keys, func(k *chainKey) bool { return len(k.cells) == 1 && k.cells[0] == x.cell && suits(k) })
	})
	if x == nil {
		return nil, nil
	}
	i := slices.IndexFunc(t.keys, func(k *chainKey) bool { return len(k.cells) == 1 && k.cells[0] == x.cell && suits(k) })
	c.touched[x.cell] = true
	return t, t.keys[i]
}

func (m *maker) dropKey(c *chainChange) string {
	t, k := m.anyKey(c, func(k *chainKey) bool { return k.kind != "index" || k.cells[0].kind != "ref" })
	if k == nil {
		return ""
	}
	t.keys = slices.DeleteFunc(t.keys, func(x *chainKey) bool { return x == k })
	if isIndex(k) {
		return fmt.Sprintf("drop index %s.%s", t.name, k.name)
	}
	return fmt.Sprintf("drop constraint %s.%s", t.name, k.name)
}

func (m *maker) replaceIndex(c *chainChange) string {
	t, k := m.anyKey(c, func(k *chainKey) bool { return k.kind == "index" && k.cells[0].kind != "ref" })
	if k == nil {
		return ""
	}
	k.id = !k.id
	return fmt.Sprintf("replace index %s.%s %s", t.name, k.name, t.definition(k, ""))
}

func (m *maker) replaceConstraint(c *chainChange) string {
	t, k := m.anyKey(c, func(k *chainKey) bool { return k.kind == "check" })
	if k == nil {
		return ""
	}
	if strings.Contains(k.check, "'") {
		k.check = " <> '" + m.name("never") + "'"
	} else {
		k.check = " <> -" + m.name("9")
	}
	return fmt.Sprintf("replace constraint %s.%s %s", t.name, k.name, t.definition(k, ""))
}

func (m *maker) renameTable(c *chainChange) string {
	i := m.rand.IntN(len(c.to.tables))
	t := c.to.tables[i]
	if c.names[t.name] || i == 0 && m.rand.IntN(2) == 0 {
		return ""
	}
	was := t.name
	t.name = m.name("t")
	c.names[was], c.names[t.name], c.names[t.name+" renamed"] = true, true, true
	return fmt.Sprintf("rename table %s %s", was, t.name)
}

// wideKey gives a primary key a wider type; what points to it comes along.
func (m *maker) wideKey(c *chainChange) string {
	t := m.table(c)
	if t == nil || t.idType != "int" || len(c.operations) > 0 {
		return ""
	}
	t.idType = "bigint"
	if t == c.to.tables[0] {
		for _, u := range c.to.tables {
			for _, x := range u.columns {
				if u.on(x.cell, "foreign") {
					x.typ = "bigint"
					c.touched[x.cell] = true
				}
			}
			c.names[u.name] = true
		}
	}
	c.names[t.name+" renamed"] = true
	return fmt.Sprintf("change type %s.id bigint", t.name)
}
