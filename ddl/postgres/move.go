package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// A table keeps its rows when it gets other parents or none, becomes a partition or stops being one: it is
// taken from its parents first, then changed as a table of its own, and given to its new parents at last.
// The same goes for a table of a type.

// move is a table's way from parents to others.
type move struct {
	leave, enter []string // parents, as statements name them
	leftovers    bool     // the parents may leave keys and indexes behind
	retyped      bool     // its type is made anew
	rebound      bool     // a partition of the same parent, with other bounds: it is away but for a moment
}

func (m *move) enters(parent *node) bool {
	return m != nil && parent.key.Kind == schema.KindTable && slices.Contains(m.enter, qualified(parent.key.Schema, parent.key.Name))
}

// families are the tables of both schemas, by the names that statements have for them.
type families struct{ from, to map[string]*schema.Table }

func familiesOf(r *diff.Result) families {
	tables := func(d *schema.Database) map[string]*schema.Table {
		m := map[string]*schema.Table{}
		for _, s := range d.Schemas {
			for _, t := range s.Tables {
				m[qualified(s.Name, t.Name)] = t
			}
		}
		return m
	}
	return families{tables(r.From), tables(r.To)}
}

func parentsOf(t *schema.Table) []string {
	if isPartition(t) {
		return []string{option(t, "partition of")}
	}
	return splitOptions(option(t, "inherits"))
}

// moveOf is how a table changes parents, or nil when it does not or cannot.
func (f families) moveOf(a, b *schema.Table) *move {
	if otherwiseMadeAnew(a, b) {
		return nil
	}
	m := &move{leave: parentsOf(a), enter: parentsOf(b)}
	if !isPartition(a) && !isPartition(b) {
		var kept []string
		for _, parent := range m.leave {
			if slices.Contains(m.enter, parent) && !f.anew(parent) && !f.ownsOther(a, b, parent) {
				kept = append(kept, parent)
			}
		}
		if len(kept) > len(m.enter) || !slices.Equal(kept, m.enter[:len(kept)]) {
			return nil // the order of parents is that in which they came
		}
		m.leave, m.enter = without(m.leave, kept), without(m.enter, kept)
		if !f.ownColumns(b, m.enter, kept) {
			return nil // columns that were a table's own stay its own
		}
	} else if slices.Equal(m.leave, m.enter) && !f.anew(m.leave[0]) {
		m.leave, m.enter, m.rebound = nil, nil, option(a, "partition bound") != option(b, "partition bound")
	}
	if !m.rebound && len(m.leave)+len(m.enter) == 0 && option(a, "of type") == option(b, "of type") {
		return nil
	}
	for _, parent := range m.leave {
		m.leftovers = m.leftovers || isPartition(a) && f.hasKeys(f.from[parent])
	}
	return m
}

func without(list, what []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(x string) bool { return slices.Contains(what, x) })
}

// otherwiseMadeAnew tells whether a table becomes something else altogether, whatever its parents.
func otherwiseMadeAnew(a, b *schema.Table) bool {
	for _, name := range []string{"foreign", "server", "partition key"} {
		if option(a, name) != option(b, name) {
			return true
		}
	}
	return option(a, "of type") != option(b, "of type") && option(b, "of type") != "" && !inOrderOfType(a, b)
}

// inOrderOfType tells whether a table that is altered has its columns in the order that its type wants.
func inOrderOfType(a, b *schema.Table) bool {
	var order []string
	for _, c := range a.Columns {
		if b.Column(c.Name) != nil {
			order = append(order, c.Name)
		}
	}
	for _, c := range b.Columns {
		if a.Column(c.Name) == nil {
			order = append(order, c.Name)
		}
	}
	return slices.EqualFunc(order, b.Columns, func(name string, c *schema.Column) bool { return name == c.Name })
}

// anew tells whether a table that is a parent is made again.
func (f families) anew(parent string) bool {
	a, b := f.from[parent], f.to[parent]
	return a == nil || b == nil || otherwiseMadeAnew(a, b) || f.changesParents(a, b) && f.moveOf(a, b) == nil
}

func (f families) changesParents(a, b *schema.Table) bool {
	return !slices.Equal(parentsOf(a), parentsOf(b)) || isPartition(a) != isPartition(b) || option(a, "of type") != option(b, "of type") ||
		!isPartition(a) && slices.ContainsFunc(parentsOf(a), func(p string) bool { return f.ownsOther(a, b, p) })
}

// ownsOther tells whether a child has other columns of a parent as its own too, so that they would stay with
// it. Leaving the parent makes them its own; there is no way back.
func (f families) ownsOther(a, b *schema.Table, parent string) bool {
	own := func(t *schema.Table, name string) bool { return t.Column(name) != nil && !isInherited(t.Column(name)) }
	before, after := f.whole(f.from, f.from[parent]), f.whole(f.to, f.to[parent])
	return slices.ContainsFunc(before.Columns, func(c *schema.Column) bool {
		return after.Column(c.Name) != nil && own(a, c.Name) != own(b, c.Name)
	})
}

// ownColumns tells whether a table has all columns of parents as its own, or from those it keeps.
func (f families) ownColumns(t *schema.Table, parents, kept []string) bool {
	for _, parent := range parents {
		for _, c := range f.whole(f.to, f.to[parent]).Columns {
			if own := t.Column(c.Name); (own == nil || isInherited(own)) && !f.provides(f.to, kept, c.Name) {
				return false
			}
		}
	}
	return true
}

func (f families) provides(side map[string]*schema.Table, parents []string, column string) bool {
	return slices.ContainsFunc(parents, func(p string) bool { return side[p] != nil && f.whole(side, side[p]).Column(column) != nil })
}

// hasKeys tells whether a table hands keys or indexes down to its partitions.
func (f families) hasKeys(t *schema.Table) bool {
	if t == nil {
		return false
	}
	return len(t.Indexes) > 0 || slices.ContainsFunc(t.Constraints, func(k *schema.Constraint) bool { return k.Type != schema.Check && k.Type != schema.NotNull }) ||
		slices.ContainsFunc(parentsOf(t), func(p string) bool { return f.hasKeys(f.from[p]) })
}

// whole is a table with all that it has from its parents.
func (f families) whole(side map[string]*schema.Table, t *schema.Table) *schema.Table {
	if t == nil {
		return &schema.Table{}
	}
	return f.with(side, t, parentsOf(t))
}

// with is a table with what it has from some parents as its own.
func (f families) with(side map[string]*schema.Table, t *schema.Table, parents []string) *schema.Table {
	out := *t
	out.Columns, out.Constraints = nil, slices.Clone(t.Constraints)
	kept := without(parentsOf(t), parents)
	for _, name := range parents {
		parent := f.whole(side, side[name])
		for _, c := range parent.Columns {
			if out.Column(c.Name) == nil && !f.provides(side, kept, c.Name) {
				out.Columns = append(out.Columns, ownColumn(t, c))
			}
		}
		for _, k := range parent.Constraints {
			if (k.Type == schema.Check || k.Type == schema.NotNull) && !strings.Contains(k.Definition, " NO INHERIT") && out.Constraint(k.Name) == nil {
				copied := *k
				copied.Comment = ""
				out.Constraints = append(out.Constraints, &copied)
			}
		}
	}
	for _, c := range t.Columns {
		if out.Column(c.Name) == nil {
			out.Columns = append(out.Columns, c)
		}
	}
	return &out
}

// ownColumn is a column that comes from a parent as the table itself has it.
func ownColumn(t *schema.Table, parent *schema.Column) *schema.Column {
	c := *parent
	c.Comment, c.Options = "", nil
	for _, o := range parent.Options {
		if o.Name == "storage" || o.Name == "compression" {
			c.Options = append(c.Options, o)
		}
	}
	if own := t.Column(parent.Name); own != nil {
		c = *own
		c.Options = slices.DeleteFunc(slices.Clone(own.Options), func(o schema.Property) bool { return o.Name == "inherited" })
	}
	if isPartition(t) {
		c.Identity = "" // it comes and goes with the parent
	}
	return &c
}

// moved finds the tables that change parents. In the comparison that it returns they are tables with columns
// and checks of their own, as they are while the script changes them.
func moved(r *diff.Result) (*diff.Result, map[schema.Key]*move) {
	f, moves := familiesOf(r), map[schema.Key]*move{}
	out := *r
	out.From, out.To, out.Changes = cloneTables(r.From), cloneTables(r.To), slices.Clone(r.Changes)
	for _, s := range out.From.Schemas {
		other := out.To.Schema(s.Name)
		if other == nil {
			continue
		}
		for i, a := range s.Tables {
			j := slices.IndexFunc(other.Tables, func(t *schema.Table) bool { return t.Name == a.Name })
			if j < 0 {
				continue
			}
			m := f.moveOf(a, other.Tables[j])
			if m == nil {
				continue
			}
			moves[schema.Key{Schema: s.Name, Kind: schema.KindTable, Name: a.Name}] = m
			if m.rebound {
				continue
			}
			s.Tables[i], other.Tables[j] = f.with(f.from, a, m.leave), f.with(f.to, other.Tables[j], m.enter)
			out.Changes = compareAgain(out.Changes, s.Name, s.Tables[i], other.Tables[j])
		}
	}
	return &out, moves
}

func cloneTables(d *schema.Database) *schema.Database {
	out := *d
	out.Schemas = nil
	for _, s := range d.Schemas {
		c := *s
		c.Tables = slices.Clone(s.Tables)
		out.Schemas = append(out.Schemas, &c)
	}
	return &out
}

// compareAgain puts the columns and constraints of a table that moves into the changes.
func compareAgain(changes []diff.Change, namespace string, a, b *schema.Table) []diff.Change {
	at := func(list *[]diff.Change, kind schema.Kind, name string) *diff.Change {
		*list = slices.Clone(*list)
		i := slices.IndexFunc(*list, func(c diff.Change) bool { return c.Kind == kind && c.Name == name })
		if i < 0 {
			i = len(*list)
			*list = append(*list, diff.Change{Action: diff.Modify, Kind: kind, Name: name})
		}
		return &(*list)[i]
	}
	table := at(&at(&changes, schema.KindSchema, namespace).Children, schema.KindTable, a.Name)
	of := func(k schema.Kind) bool { return k == schema.KindColumn || k == schema.KindConstraint }
	table.Before, table.After = a, b
	table.Children = slices.DeleteFunc(slices.Clone(table.Children), func(c diff.Change) bool { return of(c.Kind) })
	alone := func(t *schema.Table) *schema.Database {
		return &schema.Database{Schemas: []*schema.Schema{{Name: namespace, Tables: []*schema.Table{t}}}}
	}
	again, err := diff.Compare(alone(a), alone(b), diff.Options{})
	if err != nil || len(again.Changes) == 0 { // errors are of renames alone
		return changes
	}
	for _, c := range again.Changes[0].Children[0].Children {
		if of(c.Kind) {
			table.Children = append(table.Children, c)
		}
	}
	return changes
}

// changesType tells whether a table that is of a type is not for a while.
func (p *plan) changesType(n *node) bool {
	m := p.moves[n.key]
	return n.differs("of type") || m != nil && m.retyped
}

// stillTyped tells whether the columns of a table come and go with those of its type.
func (p *plan) stillTyped(n *node, t *schema.Table) bool {
	return option(t, "of type") != "" && !p.changesType(n)
}

// retype has a table leave its type, which is made anew, and come back to it. It tells whether that is news.
func (p *plan) retype(n *node) bool {
	if p.moves[n.key] != nil {
		return false
	}
	if !inOrderOfType(n.from.(*schema.Table), n.to.(*schema.Table)) {
		p.recreate(n)
		return true
	}
	p.moves[n.key] = &move{retyped: true}
	if n.act == keep {
		n.act = alter
	}
	return true
}

func detachID(n *node) string { return "detach " + n.label() }

// apart are the steps by which tables leave their parents: what is done to either comes after them.
func apart(n *node) []string {
	list := []string{detachID(n)}
	for _, u := range n.users {
		if u.key.Kind == schema.KindTable {
			list = append(list, detachID(u))
		}
	}
	if n.parent != nil {
		list = append(list, apart(n.parent)...)
	}
	return list
}

// detachStep takes a table that moves from its parents.
func (p *plan) detachStep(n *node) ddl.Step {
	s := ddl.Step{ID: detachID(n), Rank: rankDrop}
	m := p.moves[n.key]
	if m == nil || n.act != alter {
		return s
	}
	full, from := qualified(n.key.Schema, n.key.Name), n.from.(*schema.Table)
	for _, parent := range m.leave {
		if isPartition(from) {
			s.Statements = append(s.Statements, ddl.Statement{SQL: "ALTER TABLE " + parent + " DETACH PARTITION " + full, Comment: "Its rows stay in it; they are no longer among those of " + parent + "."})
		} else {
			s.Statements = append(s.Statements, ddl.Statement{SQL: "ALTER TABLE " + full + " NO INHERIT " + parent, Comment: "Its rows stay in it; they are no longer among those of " + parent + "."})
		}
	}
	if m.leftovers {
		s.Statements = append(s.Statements, leftovers(full, from))
	}
	if option(from, "of type") != "" && p.changesType(n) {
		s.Statements = append(s.Statements, ddl.Statement{SQL: "ALTER TABLE " + full + " NOT OF", Comment: "Its columns are its own from now on; no row is touched."})
	}
	return s
}

// leftovers drops the keys and indexes that a partition keeps from its parent. Their names are not in the
// model, so they are all but its own.
func leftovers(full string, t *schema.Table) ddl.Statement {
	own := []string{"''"}
	for _, k := range t.Constraints {
		own = append(own, Literal(k.Name))
	}
	for _, i := range t.Indexes {
		own = append(own, Literal(i.Name))
	}
	list := strings.Join(own, ", ")
	return ddl.Statement{
		SQL: fmt.Sprintf(`DO $do$ DECLARE r record; BEGIN
  FOR r IN SELECT conname FROM pg_catalog.pg_constraint WHERE conrelid = %[1]s::pg_catalog.regclass AND contype IN ('p', 'u', 'x', 'f') AND conname NOT IN (%[2]s)
  LOOP EXECUTE pg_catalog.format('ALTER TABLE %[3]s DROP CONSTRAINT %%I', r.conname); END LOOP;
  FOR r IN SELECT i.indexrelid::pg_catalog.regclass AS name FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = %[1]s::pg_catalog.regclass AND c.relname NOT IN (%[2]s)
  LOOP EXECUTE pg_catalog.format('DROP INDEX %%s', r.name); END LOOP;
END $do$`, Literal(full), list, strings.ReplaceAll(strings.ReplaceAll(full, "'", "''"), "%", "%%")),
		Comment: "The keys and indexes that it had from its parent go: those it has to have are made below.", Destroys: true,
	}
}

// attach gives a table that moves to its new parents.
func (p *plan) attach(n *node, t *schema.Table) []ddl.Statement {
	m := p.moves[n.key]
	if m == nil || n.act != alter {
		return nil
	}
	full := qualified(n.key.Schema, t.Name)
	var list []ddl.Statement
	if m.rebound {
		parent := option(t, "partition of")
		list = append(list,
			ddl.Statement{SQL: "ALTER TABLE " + parent + " DETACH PARTITION " + full, Comment: "The partition holds other rows from now on."},
			ddl.Statement{SQL: "ALTER TABLE " + parent + " ATTACH PARTITION " + full + " " + option(t, "partition bound"), Comment: "Its rows are read, to see that they belong there; it fails when one does not."})
	}
	for _, parent := range m.enter {
		if isPartition(t) {
			list = append(list, ddl.Statement{SQL: "ALTER TABLE " + parent + " ATTACH PARTITION " + full + " " + option(t, "partition bound"), Comment: "Its rows are read, to see that they belong there; it fails when one does not."})
		} else {
			list = append(list, ddl.Statement{SQL: "ALTER TABLE " + full + " INHERIT " + parent, Comment: "Its rows are among those of " + parent + " from now on."})
		}
	}
	if v := option(t, "of type"); v != "" && p.changesType(n) {
		list = append(list, ddl.Statement{SQL: "ALTER TABLE " + full + " OF " + v, Comment: "Its columns are those of the type already; no row is touched."})
	}
	return list
}
