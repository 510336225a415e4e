package postgres

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// action is what becomes of an object.
type action int

const (
	keep     action = iota
	create          // it is not there yet
	drop            // it goes
	alter           // it is changed in place
	replace         // CREATE OR REPLACE
	recreate        // it is dropped and made again
)

// kindDefault is the kind of a node for a column's default, which may stand on a function or sequence.
const kindDefault schema.Kind = "default"

// node is an object of either side, or a part of a table or view.
type node struct {
	key      schema.Key
	from, to schema.Object
	parent   *node // the table or view that it is a part of
	children []*node
	change   diff.Change
	act      action
	retype   bool // a column whose type is made anew
	needs    struct{ from, to []*node }
	users    []*node // that need it in the first schema
}

// gone tells whether the object of the first schema is dropped.
func (n *node) gone() bool { return n.act == drop || n.act == recreate }

// made tells whether the object of the second schema is made.
func (n *node) made() bool { return n.act == create || n.act == recreate }

func (n *node) label() string {
	name := n.key.Name
	if n.key.Schema != "" && n.key.Kind != "" {
		name = n.key.Schema + "." + name
	}
	if n.key.Kind == "" {
		return "schema " + n.key.Schema
	}
	return string(n.key.Kind) + " " + name
}

// property returns what is said of it by the comparison, and whether it differs.
func (n *node) differs(name string) bool {
	_, ok := n.change.Property(name)
	return ok
}

// plan is a script being made.
type plan struct {
	result   *diff.Result
	families families
	moves    map[schema.Key]*move      // tables that change parents
	leaves   map[*node]map[string]bool // tables that are out of a publication for a while
	nodes    map[schema.Key]*node
	order    []*node // as they were met, so that scripts are the same each time
	notes    []string
	alone    bool // nobody else is in the database
}

func newPlan(r *diff.Result) *plan {
	p := &plan{families: familiesOf(r), leaves: map[*node]map[string]bool{}, nodes: map[schema.Key]*node{}}
	r, p.moves = moved(r)
	p.result = r
	p.collect(r.From, false)
	p.collect(r.To, true)
	for _, n := range p.order {
		p.link(n)
	}
	for _, c := range r.Changes {
		p.apply(schema.Key{Kind: c.Kind, Name: c.Name}, c)
	}
	return p
}

func (p *plan) add(k schema.Key, o schema.Object, second bool, parent *node) *node {
	n := p.nodes[k]
	if n == nil {
		n = &node{key: k, parent: parent}
		p.nodes[k] = n
		p.order = append(p.order, n)
		if parent != nil {
			parent.children = append(parent.children, n)
		}
	}
	if second {
		n.to = o
	} else {
		n.from = o
	}
	return n
}

func (p *plan) collect(d *schema.Database, second bool) {
	for _, o := range d.Objects() {
		if s, ok := o.(*schema.Schema); ok {
			p.add(schema.Key{Schema: s.Name}, s, second, nil)
			p.collectSchema(s, second)
			continue
		}
		p.add(schema.Key{Kind: o.Kind(), Name: o.ObjectName()}, o, second, nil)
	}
}

func (p *plan) collectSchema(s *schema.Schema, second bool) {
	for _, o := range s.Children() {
		if o.Kind() == schema.KindGrant {
			continue
		}
		n := p.add(schema.Key{Schema: s.Name, Kind: o.Kind(), Name: o.ObjectName()}, o, second, nil)
		if o.Kind() != schema.KindTable && o.Kind() != schema.KindView {
			continue
		}
		for _, c := range o.Children() {
			if c.Kind() == schema.KindGrant || c.Kind() == schema.KindColumn && o.Kind() == schema.KindView {
				continue
			}
			p.add(schema.Key{Schema: s.Name, Kind: c.Kind(), Name: part(n.key.Name, c.ObjectName())}, c, second, n)
			if column, ok := c.(*schema.Column); ok && column.Default != "" && !isInherited(column) {
				p.add(schema.Key{Schema: s.Name, Kind: kindDefault, Name: part(n.key.Name, column.Name)}, column, second, n)
			}
		}
	}
}

// link connects a node with what it needs. A part of a table needs it too, but that goes without saying.
func (p *plan) link(n *node) {
	n.needs.from, n.needs.to = p.needsOf(n, n.from), p.needsOf(n, n.to)
	for _, m := range n.needs.from {
		m.users = append(m.users, n)
	}
}

func (p *plan) needsOf(n *node, o schema.Object) []*node {
	var list []*node
	for _, k := range needs(n, o) {
		m := p.nodes[k]
		// A column is named beside its table: the column alone is what the object stands on.
		if m == nil || m == n || m == n.parent || n.key.Kind == schema.KindTable && m.parent == n {
			continue
		}
		list = append(list, m)
	}
	return list
}

// needs are what has to be there before an object, but for its schema.
func needs(n *node, o schema.Object) []schema.Key {
	switch o := o.(type) {
	case *schema.Table:
		return slices.Concat(o.Needs, serverOf(o))
	case *schema.View:
		return o.Needs
	case *schema.Routine:
		return o.Needs
	case *schema.Type:
		list := slices.Clone(o.Needs)
		for _, a := range o.Attributes {
			list = append(list, a.Needs...)
		}
		for _, c := range o.Constraints {
			list = append(list, c.Needs...)
		}
		return list
	case *schema.Item:
		return o.Needs
	case *schema.Column:
		if n.key.Kind == kindDefault || o.Default == "" {
			return o.Needs
		}
		return slices.DeleteFunc(slices.Clone(o.Needs), func(k schema.Key) bool { return !ofType(k) })
	case *schema.Constraint:
		return o.Needs
	case *schema.Index:
		return o.Needs
	case *schema.Trigger:
		return o.Needs
	case *schema.Policy:
		return o.Needs
	case *schema.Rule:
		return o.Needs
	}
	return nil
}

// ofType tells whether it is a column's type that needs the object, not its default.
func ofType(k schema.Key) bool {
	return k.Kind == schema.KindType || k.Kind == schema.KindCollation || k.Kind == schema.KindExtension || k.Kind == schema.KindTable || k.Kind == schema.KindView
}

func serverOf(t *schema.Table) []schema.Key {
	if server := schema.Value(t.Options, "server"); server != "" {
		return []schema.Key{{Kind: schema.KindServer, Name: server}}
	}
	return nil
}

// apply says what the comparison wants of each node.
func (p *plan) apply(k schema.Key, c diff.Change) {
	if c.Kind == schema.KindSchema {
		k = schema.Key{Schema: c.Name}
		for _, child := range c.Children {
			if child.Kind != schema.KindGrant {
				p.apply(schema.Key{Schema: c.Name, Kind: child.Kind, Name: child.Name}, child)
			}
		}
	}
	n := p.nodes[k]
	if n == nil {
		return
	}
	n.change = c
	switch c.Action {
	case diff.Add:
		n.act = create
	case diff.Drop:
		n.act = drop
	default:
		n.act = p.way(n)
	}
	if n.key.Kind != schema.KindTable && n.key.Kind != schema.KindView {
		return
	}
	for _, child := range c.Children {
		p.apply(schema.Key{Schema: k.Schema, Kind: child.Kind, Name: part(k.Name, child.Name)}, child)
		if child.Kind == schema.KindColumn {
			p.applyDefault(p.nodes[schema.Key{Schema: k.Schema, Kind: kindDefault, Name: part(k.Name, child.Name)}], child)
		}
	}
	if n.act == recreate {
		p.recreate(n)
	}
}

func (p *plan) applyDefault(n *node, c diff.Change) {
	if n == nil {
		return
	}
	n.change = c
	switch {
	case c.Action == diff.Add:
		n.act = create
	case c.Action == diff.Drop:
		n.act = drop
	case n.from == nil:
		n.act = create
	case n.to == nil:
		n.act = drop
	case n.differs("default") || n.differs("type"):
		n.act = recreate
	}
}

// way is how an object that differs can be changed.
func (p *plan) way(n *node) action {
	switch a := n.from.(type) {
	case *schema.Table:
		return p.tableWay(n)
	case *schema.View:
		return viewWay(n, a, n.to.(*schema.View))
	case *schema.Routine:
		return routineWay(n, a, n.to.(*schema.Routine))
	case *schema.Type:
		return typeWay(n, a, n.to.(*schema.Type))
	case *schema.Item:
		return itemWay(n, a)
	case *schema.Column:
		return columnWay(n, a, n.to.(*schema.Column))
	case *schema.Constraint:
		return constraintWay(n, a, n.to.(*schema.Constraint))
	case *schema.Index, *schema.Trigger, *schema.Policy, *schema.Rule:
		if n.differs("definition") || n.differs("invalid") || n.differs("tablespace") {
			return recreate
		}
	}
	return alter
}

// recreate has an object dropped and made again, with all its parts.
func (p *plan) recreate(n *node) {
	set := func(n *node) {
		switch {
		case n.from == nil:
			n.act = create
		case n.to == nil:
			n.act = drop
		default:
			n.act = recreate
		}
	}
	set(n)
	for _, c := range n.children {
		set(c)
	}
}

// spread carries on to what stands on something that goes, until nothing more has to go.
func (p *plan) spread() {
	p.freeOfKeys()
	work := slices.Clone(p.order)
	for len(work) > 0 {
		n := work[0]
		work = work[1:]
		if n.from == nil || !n.gone() && !disturbs(n) {
			continue
		}
		for _, u := range append(slices.Clone(n.users), p.hanging(n)...) {
			if p.disturb(u, n) {
				work = append(append(work, u), u.children...)
			}
		}
	}
	p.defaultPrivileges()
}

// freeOfKeys takes foreign keys out of the way of tables that become logged or unlogged: a logged table may
// not refer to an unlogged one, and either of two that refer to each other is the first to change.
func (p *plan) freeOfKeys() {
	for _, n := range p.order {
		k, ok := n.from.(*schema.Constraint)
		if !ok || k.Type != schema.ForeignKey || n.parent.act == drop {
			continue
		}
		to := p.nodes[referenced(n, k)]
		if to != n.parent && (n.parent.differs("persistence") || to != nil && to.differs("persistence")) && !n.gone() {
			p.recreate(n)
			if n.parent.act == keep {
				n.parent.act = alter
			}
		}
	}
}

// referenced is the table that a foreign key points to.
func referenced(n *node, k *schema.Constraint) schema.Key {
	key := schema.Key{Schema: n.key.Schema, Kind: schema.KindTable}
	if k.References != nil {
		key.Name = k.References.Table
		if k.References.Schema != "" {
			key.Schema = k.References.Schema
		}
	}
	return key
}

// disturbs tells whether a column is changed in a way that no view that shows it survives.
func disturbs(n *node) bool {
	return n.key.Kind == schema.KindColumn && (n.retype || n.act == alter && (n.differs("type") || n.differs("collation")))
}

// hanging are the parts of a column's own table that name it: the catalogue does not say so separately.
func (p *plan) hanging(n *node) []*node {
	if n.key.Kind != schema.KindColumn || n.parent.act == drop {
		return nil
	}
	var list []*node
	name := Identifier(n.from.ObjectName())
	for _, c := range n.parent.children {
		switch o := c.from.(type) {
		case *schema.Column:
			if c != n && o.Generated != "" && mentions(o.Generated, name) {
				list = append(list, c)
			}
		case *schema.Constraint:
			if n.gone() && (slices.Contains(o.Columns, n.from.ObjectName()) || mentions(o.Definition, name)) {
				list = append(list, c)
			}
		case *schema.Index:
			if n.gone() && mentions(o.Definition, name) {
				list = append(list, c)
			}
		}
	}
	return list
}

func mentions(text, name string) bool { return strings.Contains(text, name) }

// disturb has an object taken out of the way because another goes. It tells whether that is news.
func (p *plan) disturb(u, because *node) bool {
	if u.gone() || u.from == nil || u.parent != nil && u.parent.gone() {
		return false
	}
	switch u.key.Kind {
	case schema.KindPublication:
		if u.to != nil && (because.key.Kind == schema.KindTable || because.key.Kind == schema.KindColumn) {
			if because.parent != nil {
				because = because.parent
			}
			p.leavesFor(u, because)
			return false
		}
	case schema.KindTable:
		if t, ok := u.to.(*schema.Table); ok && because.key.Kind == schema.KindType && option(t, "of type") != "" && !u.differs("of type") {
			return p.retype(u)
		}
		if because.key.Kind != schema.KindTable || p.moves[u.key] != nil {
			return false
		}
	case schema.KindColumn:
		c := u.from.(*schema.Column)
		if c.Generated == "" || !slices.ContainsFunc(c.Needs, func(k schema.Key) bool { return k == because.key && !ofType(k) }) && because.parent != u.parent {
			if u.retype || u.to == nil {
				return false
			}
			u.retype = true
			if u.act == keep {
				u.act = alter
			}
			if u.parent.act == keep {
				u.parent.act = alter
			}
			if d := p.nodes[schema.Key{Schema: u.key.Schema, Kind: kindDefault, Name: u.key.Name}]; d != nil && d.act == keep {
				d.act = recreate
			}
			return true
		}
		if dropsExpression(u) {
			return false // it stands on nothing any more, and keeps what was computed
		}
		if u.parent.act == keep {
			u.parent.act = alter
		}
	}
	p.recreate(u)
	return true
}
