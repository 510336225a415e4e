package postgres

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/schema"
)

// Ranks order what does not depend on each other: first what goes, then as a reader expects it. What would
// act on the script itself, event triggers and default privileges, goes first and comes last.
const (
	rankFirst  = 0
	rankDrop   = 10
	rankMake   = 20
	rankDetail = 70
	rankAway   = 80 // old types, which are set aside until no column has them
	rankLast   = 100
)

func rankOf(k schema.Kind) int {
	switch k {
	case schema.KindSetting, "":
		return rankMake
	case schema.KindExtension, schema.KindCollation:
		return rankMake + 1
	case schema.KindType:
		return rankMake + 2
	case schema.KindSequence:
		return rankMake + 3
	case schema.KindTable:
		return rankMake + 4
	case schema.KindRoutine:
		return rankMake + 6
	case schema.KindView:
		return rankMake + 7
	case schema.KindDefaultPrivileges, schema.KindEventTrigger:
		return rankLast
	}
	return rankMake + 8
}

func (n *node) dropID() string   { return "drop " + n.label() }
func (n *node) createID() string { return "create " + n.label() }
func (n *node) alterID() string  { return "alter " + n.label() }
func (n *node) awayID() string   { return "drop old " + n.label() }

// absorbedDrop tells whether a part goes with its table or view.
func (p *plan) absorbedDrop(n *node) bool {
	if n.parent == nil {
		return false
	}
	if n.key.Kind == schema.KindColumn || !n.parent.gone() {
		return n.key.Kind == schema.KindColumn // ALTER TABLE drops it
	}
	if c, ok := n.from.(*schema.Constraint); ok && c.Type == schema.ForeignKey {
		return p.toItself(n, c)
	}
	return !reaches(n.needs.from, n.parent, func(m *node) []*node { return m.needs.from })
}

// absorbedCreate tells whether a part is written in the statement that makes its table.
func (p *plan) absorbedCreate(n *node) bool {
	if n.parent == nil {
		return false
	}
	if n.key.Kind == schema.KindColumn {
		return true
	}
	if !n.parent.made() || n.key.Kind != schema.KindConstraint && n.key.Kind != kindDefault {
		return false
	}
	t := n.parent.to.(*schema.Table)
	if c, ok := n.to.(*schema.Constraint); ok && (c.Type == schema.ForeignKey || strings.HasSuffix(c.Definition, "NOT VALID") || repeats(t, c) || isPartition(t) && schema.Value(c.Options, "inherited") != "") {
		return false
	}
	if n.key.Kind == kindDefault && isInherited(n.to.(*schema.Column)) {
		return false
	}
	return !reaches(n.needs.to, n.parent, func(m *node) []*node { return m.needs.to })
}

// repeats tells whether a constraint is unique over the columns of another one, which CREATE TABLE would take for the same and
// leave out.
func repeats(t *schema.Table, c *schema.Constraint) bool {
	return c.Type == schema.Unique && slices.ContainsFunc(t.Constraints, func(k *schema.Constraint) bool {
		return (k.Type == schema.PrimaryKey || k.Type == schema.Unique && k.Name < c.Name) && slices.Equal(k.Columns, c.Columns)
	})
}

func (p *plan) toItself(n *node, c *schema.Constraint) bool {
	return c.References != nil && c.References.Schema == "" && c.References.Table == n.parent.key.Name
}

// reaches tells whether one of the nodes needs the target, by whatever way.
func reaches(list []*node, target *node, next func(*node) []*node) bool {
	seen := map[*node]bool{}
	for stack := slices.Clone(list); len(stack) > 0; {
		m := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if m == target {
			return true
		}
		if seen[m] {
			continue
		}
		seen[m] = true
		stack = append(stack, next(m)...)
		if m.parent != nil {
			stack = append(stack, m.parent)
		}
		for _, c := range m.children {
			if c.key.Kind == schema.KindColumn || c.key.Kind == kindDefault {
				stack = append(stack, next(c)...)
			}
		}
	}
	return false
}

// dropper is the step in which a node goes.
func (p *plan) dropper(n *node) string {
	if n.parent != nil && p.absorbedDrop(n) {
		if n.parent.gone() {
			return n.parent.dropID()
		}
		return n.parent.alterID()
	}
	return n.dropID()
}

// maker is the step after which a node is as it has to be.
func (p *plan) makers(n *node) []string {
	if n.parent != nil && p.absorbedCreate(n) {
		return []string{n.parent.createID(), n.parent.alterID()}
	}
	return []string{n.createID(), n.alterID()}
}

func (p *plan) steps() []ddl.Step {
	var steps []ddl.Step
	add := func(s ddl.Step) {
		if len(s.Statements) > 0 {
			steps = append(steps, s)
		}
	}
	for _, n := range p.order {
		add(p.detachStep(n))
		add(p.leaveStep(n))
		add(identityStep(n))
		add(p.inheritedStep(n))
		if n.gone() && !p.absorbedDrop(n) {
			add(p.dropStep(n))
			if n.setAside() {
				add(p.awayStep(n))
			}
		}
		if (n.made() || n.act == replace) && !p.absorbedCreate(n) {
			add(p.createStep(n))
		}
		if n.act == alter && n.key.Kind != schema.KindColumn && n.key.Kind != kindDefault {
			add(p.alterStep(n))
		}
		if t, ok := n.to.(*schema.Table); ok && n.act != drop {
			add(p.attachStep(n, t))
		}
		if q, ok := n.to.(*schema.Sequence); ok && n.act != drop {
			add(p.ownedStep(n, q))
		}
	}
	return steps
}

func (p *plan) dropStep(n *node) ddl.Step {
	s := ddl.Step{ID: n.dropID(), Rank: rankDrop, After: apart(n), Statements: p.dropStatements(n)}
	if rankOf(n.key.Kind) == rankLast {
		s.Rank = rankFirst
	}
	aside := n.setAside() // columns and other types follow later
	for _, u := range n.allUsers() {
		if aside && (u.key.Kind == schema.KindType || u.key.Kind == schema.KindColumn && !u.parent.gone()) {
			continue
		}
		if u.gone() {
			s.After = append(s.After, p.dropper(u), u.awayID())
		} else if u.parent != nil && u.parent.gone() {
			s.After = append(s.After, u.parent.dropID())
		} else if !aside && !isPublication(u) && p.moves[u.key] == nil && (u.act == alter || u.act == replace) {
			s.After = append(s.After, p.changer(u))
		}
	}
	if n.key.Kind == "" {
		for _, m := range p.order {
			if m.key.Schema == n.key.Schema && m != n {
				s.After = append(s.After, p.dropper(m), m.awayID(), m.alterID())
			}
		}
	}
	return s
}

func (p *plan) changer(n *node) string {
	if n.key.Kind == schema.KindColumn {
		return n.parent.alterID()
	}
	if n.act == replace {
		return n.createID()
	}
	return n.alterID()
}

// allUsers are those of a node and of its parts.
func (n *node) allUsers() []*node {
	list := slices.Clone(n.users)
	for _, c := range n.children {
		for _, u := range c.users {
			if u.parent != n {
				list = append(list, u)
			}
		}
		if c.from != nil { // its parts that go by themselves
			list = append(list, c)
		}
	}
	return list
}

// setAside tells whether a type that is made anew has to stay for a while: columns or other types have it
// until they have the new one.
func (n *node) setAside() bool {
	return n.act == recreate && n.key.Kind == schema.KindType && n.lingers()
}

// lingers tells whether a type that goes is had by a column until its table is altered, or by another type
// that stays or lingers.
func (n *node) lingers() bool {
	return slices.ContainsFunc(n.users, func(u *node) bool {
		return u.key.Kind == schema.KindColumn && !u.parent.gone() || u.key.Kind == schema.KindType && (u.act != drop || u.lingers())
	})
}

// awayStep drops a type that was set aside.
func (p *plan) awayStep(n *node) ddl.Step {
	s := ddl.Step{ID: n.awayID(), Rank: rankAway, After: append(p.makers(n), apart(n)...), Statements: []ddl.Statement{{
		SQL:     "DROP TYPE " + qualified(n.key.Schema, aside(n.key.Name)),
		Comment: "The old type: no column has it any more.", Destroys: true,
	}}}
	if n.from.(*schema.Type).Form == schema.Domain {
		s.Statements[0].SQL = strings.Replace(s.Statements[0].SQL, "TYPE", "DOMAIN", 1)
	}
	for _, u := range n.allUsers() {
		if u.key.Kind == schema.KindType {
			s.After = append(s.After, u.awayID(), u.alterID())
			if u.act == drop {
				s.After = append(s.After, u.dropID())
			}
			continue
		}
		s.After = append(s.After, p.dropper(u), p.changer(u))
	}
	return s
}

func (p *plan) createStep(n *node) ddl.Step {
	s := ddl.Step{ID: n.createID(), Rank: rankOf(n.key.Kind), After: p.before(n)}
	s.After = append(append(s.After, apart(n)...), n.dropID())
	if n.parent != nil {
		s.Rank = rankDetail
		s.After = append(s.After, p.makers(n.parent)...)
	}
	s.Statements = p.createStatements(n)
	return s
}

// before are the steps that have to come before a node is as it has to be.
func (p *plan) before(n *node) []string {
	var after []string
	if n.key.Schema != "" && n.key.Kind != "" {
		after = append(after, "create schema "+n.key.Schema)
	}
	for _, m := range n.needs.to {
		if n.act == alter && p.moves[n.key].enters(m) {
			continue // it is changed by itself, and given to this parent at last
		}
		after = append(after, p.makers(m)...)
	}
	for _, c := range n.children {
		if c.to != nil && p.absorbedCreate(c) {
			for _, m := range c.needs.to {
				if m.parent != n {
					after = append(after, p.makers(m)...)
				}
			}
		}
	}
	return slices.DeleteFunc(after, func(id string) bool { return id == n.createID() || id == n.alterID() })
}

func (p *plan) alterStep(n *node) ddl.Step {
	s := ddl.Step{ID: n.alterID(), Rank: rankOf(n.key.Kind), After: append(p.before(n), apart(n)...)}
	for _, c := range n.children {
		s.After = append(s.After, identityStep(c).ID)
		if c.gone() && !p.absorbedDrop(c) {
			s.After = append(s.After, c.dropID())
		}
		if c.key.Kind == schema.KindColumn && (c.gone() || disturbs(c)) {
			for _, u := range c.users {
				if u.gone() && u.parent != n {
					s.After = append(s.After, p.dropper(u))
				}
			}
		}
	}
	for _, u := range n.allUsers() {
		if isPublication(u) {
			s.After = append(s.After, leaveID(u))
		}
	}
	for _, u := range n.allUsers() { // keys of other tables to one that becomes logged or unlogged
		if u.key.Kind == schema.KindConstraint && u.parent != n && u.gone() && n.differs("persistence") {
			s.After = append(s.After, p.dropper(u))
		}
	}
	for _, u := range n.users { // a type or domain that changes in place
		if u.gone() && u.key.Kind != schema.KindColumn && n.key.Kind == schema.KindType && !u.lingers() {
			s.After = append(s.After, p.dropper(u))
		}
	}
	if n.parent != nil {
		s.Rank = rankDetail
		s.After = append(s.After, p.makers(n.parent)...)
	}
	s.Statements = p.alterStatements(n)
	return s
}
