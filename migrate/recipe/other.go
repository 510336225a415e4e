package recipe

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// Introduce makes what is new and needs no recipe of its own: schemas, types, sequences, tables, functions,
// and the rest. It comes first, so that other operations find it.
type Introduce struct {
	To      *schema.Database // the schema that is wanted
	Objects []string         // for people, such as "table public.orders"
}

// String implements Operation.
func (o Introduce) String() string { return "make " + strings.Join(o.Objects, ", ") }

// Settle changes and drops what differs from the wanted schema and needs no recipe of its own: views,
// functions, triggers, policies, comments, grants, owners and the rest. It comes last, and sees to it that nothing
// is left that differs.
type Settle struct {
	To      *schema.Database
	Renames []diff.Rename // confirmed ones of indexes and enum values
	Objects []string      // for people, such as "view public.names"
}

// String implements Operation.
func (o Settle) String() string {
	if len(o.Objects) == 0 {
		return "see that nothing else differs"
	}
	return "settle " + strings.Join(o.Objects, ", ")
}

func (Introduce) on() Table { return Table{} }
func (Settle) on() Table    { return Table{} }

type introduce struct {
	nothing
	op Introduce
}

func (o Introduce) recipe(p *planner) (recipe, error) {
	p.target = o.To
	return &introduce{op: o}, nil
}

// expand leaves views alone of which the model does not know what they need: a column may come with an operation.
func (r *introduce) expand(p *planner) error {
	return p.take(&taker{planner: p, stage: widening, blind: p.engine.name() != "postgres"})
}

type settle struct {
	nothing
	op Settle
}

func (o Settle) recipe(p *planner) (recipe, error) {
	p.target, p.renames = o.To, o.Renames
	p.interrupted(o.To)
	return &settle{op: o}, p.remade(o)
}

// remade refuses what an engine can only do by making a table again, without its rows, and no other operation does.
func (p *planner) remade(o Settle) error {
	for _, in := range o.To.Schemas {
		before := p.now.Schema(in.Name)
		if before == nil {
			continue
		}
		for _, t := range in.Tables {
			old := before.Table(t.Name)
			if old == nil || p.partitions(Table{in.Name, t.Name}) {
				continue
			}
			if numbers(old) != numbers(t) {
				return &Error{o, fmt.Sprintf("AUTOINCREMENT of table %s is not what it was: SQLite takes it only where a table is made", t.Name), "a key of type integer draws its numbers without it: leave it as it is, or write the change by hand: switchback new"}
			}
			for _, name := range []string{"partition key", "foreign", "server", "of type"} {
				if a, b := schema.Value(old.Options, name), schema.Value(t.Options, name); a != b {
					return &Error{o, fmt.Sprintf("the %s of table %s is %q and is to be %q: that is another table", name, Table{in.Name, t.Name}, a, b), "make a table of another name, or use an operation for it: switchback plan --help"}
				}
			}
			for _, name := range []string{"partition of", "inherits"} {
				if a, b := schema.Value(old.Options, name), schema.Value(t.Options, name); (a == "") != (b == "") {
					return &Error{o, fmt.Sprintf("table %s is %q %s and is to be %q: that is another table", Table{in.Name, t.Name}, a, name, b), "attach or detach it in a change of its own, written by hand: switchback new"}
				}
			}
		}
	}
	return nil
}

// numbers tells whether a table of SQLite draws no number twice.
func numbers(t *schema.Table) bool {
	return slices.ContainsFunc(t.Constraints, func(k *schema.Constraint) bool {
		return k.Type == schema.PrimaryKey && strings.HasSuffix(k.Definition, " AUTOINCREMENT")
	})
}

// partitions tells whether an operation of the change partitions a table.
func (p *planner) partitions(t Table) bool {
	return slices.ContainsFunc(p.draft.Operations, func(op Operation) bool {
		o, ok := op.(PartitionTable)
		return ok && o.Table == t
	})
}

func (r *settle) expand(p *planner) error { return p.takeOver(widening) }

// fill makes sure that no row is against a NOT NULL that a column gets along with another name or type.
func (r *settle) fill(p *planner) error {
	for _, other := range p.recipes {
		shape, ok := other.(*reshape)
		if !ok {
			continue
		}
		for _, c := range shape.added {
			in := r.op.To.Schema(shape.table.Schema)
			if c.NotNull || in == nil || in.Table(shape.table.Name) == nil {
				continue
			}
			if to := in.Table(shape.table.Name).Column(shape.rule.name(c.Name, after)); to != nil && to.NotNull {
				p.scripts.step([]Statement{{
					SQL: fmt.Sprintf("SELECT *\nFROM %s\nWHERE %s IS NULL\nLIMIT 5", p.engine.table(shape.table), p.engine.quote(c.Name)),
					Why: "Reads the table without a lock.", Assert: fmt.Sprintf("rows of %s have no %s, which is NOT NULL from contract on: give them a value", shape.table, to.Name),
				}}, nil)
			}
		}
	}
	return nil
}

func (r *settle) settle(p *planner) error {
	if err := p.renameOthers(); err != nil {
		return err
	}
	return p.takeOver(settling)
}

func (r *settle) purge(p *planner) error {
	if err := p.takeOver(clearing); err != nil {
		return err
	}
	left, err := diff.Compare(withoutOurs(p.now), withoutOurs(r.op.To), diff.Options{})
	if err != nil {
		return err
	}
	if left.Same() {
		return nil
	}
	var paths []string
	diff.Walk(left.Changes, func(path string, c diff.Change) {
		for _, x := range c.Properties {
			if c.Action == diff.Modify {
				path += fmt.Sprintf(" (%s: %s → %s)", x.Name, x.From, x.To)
			}
		}
		paths = append(paths, string(c.Action)+" "+path)
	})
	return &Error{r.op, "this would still differ after purge: " + strings.Join(paths, "; "), "plan the change in two, or leave out what differs there"}
}

// renameOthers renames what holds no rows and was confirmed to have another name: indexes and enum values.
func (p *planner) renameOthers() error {
	for _, n := range p.renames {
		if n.Kind != schema.KindIndex && n.Kind != diff.KindLabel {
			continue
		}
		if err := p.rename([]diff.Rename{n}); err != nil {
			return err
		}
	}
	return nil
}

// stage is how far the model is taken to the wanted schema.
type stage int

const (
	widening stage = iota // what the old version does not notice: what is new, comments, more privileges
	settling              // all but what the attic has need of
	clearing              // all
)

// takeOver takes the model to the wanted schema, as far as the stage allows and what is there already makes
// possible.
func (p *planner) takeOver(st stage) error { return p.take(&taker{planner: p, stage: st}) }

func (p *planner) take(k *taker) error {
	next := k.database()
	forward, back := len(p.scripts.Forward), len(p.scripts.Back)
	if err := p.step(nil, func(e *edit) { e.database = next }); err != nil {
		return err
	}
	if !p.engine.locksGroups() && !p.rebuilds() {
		asOne(p.scripts.Forward[forward:])
		asOne(p.scripts.Back[:len(p.scripts.Back)-back])
	}
	return nil
}

// asOne has statements take effect together where that can be: nobody is to be without a privilege, a view or a policy
// between the statement that takes it away and the one that gives it again. What cannot, as it reads all rows while others go
// on, comes behind them.
func asOne(list []Statement) {
	type ranked struct {
		Statement
		rank int
	}
	later := make([]ranked, len(list))
	for i, s := range list {
		later[i].Statement = s
		switch v := validates.FindStringSubmatch(s.SQL); {
		case later[i].rank > 0:
		case v == nil && builtBeside.MatchString(s.SQL), addsConstraint.MatchString(s.SQL) && slices.ContainsFunc(later[:i], func(o ranked) bool { return o.rank == 2 }):
			later[i].rank = 2 // a foreign key may be on the key that is built
		case v != nil:
			later[i].rank = 3
			last := slices.IndexFunc(list, func(o Statement) bool { return strings.HasPrefix(o.SQL, v[1]+" DROP CONSTRAINT "+v[2]) })
			for j := i; j <= last; j++ { // a check that proves that a column has values, which a key may need
				if strings.HasPrefix(list[j].SQL, v[1]+" ") {
					later[j].rank = 1
				}
			}
		}
	}
	slices.SortStableFunc(later, func(a, b ranked) int { return a.rank - b.rank })
	for i, s := range later {
		list[i] = s.Statement
		list[i].Together = len(list) > 1 && !s.Outside && !validates.MatchString(s.SQL)
	}
}

// What reads all rows while others go on, what builds an index so and takes it for a constraint, and what adds constraints.
var (
	validates      = regexp.MustCompile(`^(ALTER \S+ .+) VALIDATE CONSTRAINT (.+)$`)
	builtBeside    = regexp.MustCompile(`^CREATE (UNIQUE )?INDEX CONCURRENTLY |^ALTER TABLE .* USING INDEX |^ALTER INDEX .* ATTACH PARTITION `)
	addsConstraint = regexp.MustCompile(`^ALTER TABLE .* ADD CONSTRAINT `)
)

// keeps tells whether an object holds what its definition does not say, such as the number a sequence is at, or
// a password: it goes at purge only.
func keeps(o schema.Object) bool {
	return slices.Contains([]schema.Kind{schema.KindSequence, schema.KindExtension, schema.KindSubscription, schema.KindUserMapping, schema.KindServer, schema.KindWrapper}, o.Kind())
}

// taker takes objects over from the wanted schema.
type taker struct {
	*planner
	stage  stage
	there  map[schema.Key]bool // what objects may need: it is there, or is made in this step
	fresh  map[schema.Key]bool // what is made in this step
	attic  map[schema.Key]bool // what the attic needs
	leaves []move
	blind  bool // views wait, as the model does not know what columns they need
}

func (k *taker) database() *schema.Database {
	k.there, k.fresh = keysOf(k.now), map[schema.Key]bool{}
	if k.stage == widening {
		k.leaves = k.leaving()
	}
	if k.stage != clearing {
		k.attic = neededByOurs(k.now)
	}
	k.choose()
	out := *k.now
	if k.stage != widening {
		out.Settings = k.target.Settings
	}
	out.Items = k.items("", k.now.Items, k.target.Items)
	out.Schemas = merge(k.now.Schemas, k.target.Schemas, merging[*schema.Schema]{
		add:    func(b *schema.Schema) (*schema.Schema, bool) { return k.schema(bare(b), b), true },
		change: k.schema,
		drop: func(a *schema.Schema) (*schema.Schema, bool) {
			rest := k.schema(a, bare(a))
			empty := len(rest.Types)+len(rest.Sequences)+len(rest.Tables)+len(rest.Views)+len(rest.Routines)+len(rest.Items) == 0
			return rest, k.stage != widening && empty
		},
	})
	return &out
}

// bare is a schema with nothing in it.
func bare(s *schema.Schema) *schema.Schema {
	return &schema.Schema{Name: s.Name, Owner: s.Owner, Comment: s.Comment, Options: s.Options, Grants: s.Grants}
}

// choose finds what can be made in this step: whatever needs nothing but what is there by then.
func (k *taker) choose() {
	for again := true; again; {
		again = false
		eachObject(k.target, func(key schema.Key, o schema.Object) {
			if k.there[key] || k.fresh[key] || !k.ready(key, o) {
				return
			}
			again, k.fresh[key], k.there[key] = true, true, true
			partsOf(key, o, func(part schema.Key) { k.there[part] = true })
		})
	}
}

// ready tells whether an object can be made now.
func (k *taker) ready(key schema.Key, o schema.Object) bool {
	if k.stage == widening && k.late(key, o) {
		return false
	}
	list := needsOf(o)
	if t, ok := o.(*schema.Table); ok {
		for _, c := range t.Columns {
			list = append(list, c.Needs...)
		}
	}
	for _, n := range list {
		inside := n == key || n.Schema == key.Schema && strings.HasPrefix(n.Name, key.Name+".")
		if !inside && k.known(n) && !k.there[n] {
			return false
		}
		if k.stage == widening && key.Kind != schema.KindTable && hits(n, k.leaves) {
			return false
		}
	}
	return true
}

// known tells whether the wanted schema has what something needs; what the model does not hold is taken to be
// there.
func (k *taker) known(n schema.Key) bool {
	if k.wanted == nil {
		k.wanted = keysOf(k.target)
	}
	return k.wanted[n]
}

// late tells whether an object acts on what is there, and has to wait for contract.
func (k *taker) late(key schema.Key, o schema.Object) bool {
	switch o := o.(type) {
	case *schema.Item:
		return o.Of == schema.KindDefaultPrivileges || o.Of == schema.KindEventTrigger || o.Of == schema.KindSubscription
	case *schema.View: // a table that is renamed at contract has a view of that name before
		return k.blind || k.now.Schema(key.Schema) != nil && k.now.Schema(key.Schema).Table(o.Name) != nil
	case *schema.Table:
		return k.now.Schema(key.Schema) != nil && k.now.Schema(key.Schema).View(o.Name) != nil
	case *schema.Rule:
		return true
	case *schema.Policy:
		return strings.Contains(o.Definition, "AS RESTRICTIVE")
	}
	return false
}

// merging says what becomes of the objects of two lists.
type merging[T schema.Object] struct {
	add    func(b T) (T, bool) // whether, and as what
	change func(a, b T) T      // what has the same name
	drop   func(a T) (T, bool) // whether it goes, and what stays of it
}

func merge[T schema.Object](now, to []T, m merging[T]) []T {
	var out []T
	for _, a := range now {
		if i := slices.IndexFunc(to, func(b T) bool { return b.Kind() == a.Kind() && b.ObjectName() == a.ObjectName() }); i >= 0 {
			out = append(out, m.change(a, to[i]))
		} else if rest, gone := m.drop(a); !gone {
			out = append(out, rest)
		}
	}
	for _, b := range to {
		if !slices.ContainsFunc(now, func(a T) bool { return b.Kind() == a.Kind() && b.ObjectName() == a.ObjectName() }) {
			if b, ok := m.add(b); ok {
				out = append(out, b)
			}
		}
	}
	return out
}

// plain merges objects that are taken over as they are.
func plain[T schema.Object](k *taker, in string, now, to []T, widen func(a, b T) T) []T {
	key := func(o T) schema.Key { return schema.Key{Schema: in, Kind: o.Kind(), Name: o.ObjectName()} }
	return merge(now, to, merging[T]{
		add: func(b T) (T, bool) { return b, k.fresh[key(b)] },
		change: func(a, b T) T {
			if k.stage == widening {
				return widen(a, b)
			}
			return b
		},
		drop: func(a T) (T, bool) {
			return a, k.stage == clearing && !isOurs(a) || k.stage == settling && !isOurs(a) && !keeps(a) && !k.attic[key(a)]
		},
	})
}

func (k *taker) items(in string, now, to []*schema.Item) []*schema.Item {
	return plain(k, in, now, to, func(a, b *schema.Item) *schema.Item {
		out := *a
		out.Comment, out.Grants = b.Comment, k.widen(a.Grants, b.Grants, nil)
		return &out
	})
}

func (k *taker) schema(a, b *schema.Schema) *schema.Schema {
	out, in := *a, a.Name
	if k.stage == widening {
		out.Comment, out.Grants = b.Comment, k.widen(a.Grants, b.Grants, nil)
	} else {
		out.Owner, out.Comment, out.Options, out.Grants = b.Owner, b.Comment, b.Options, b.Grants
	}
	out.Types = plain(k, in, a.Types, b.Types, func(a, b *schema.Type) *schema.Type {
		t := *a
		t.Comment, t.Grants = b.Comment, k.widen(a.Grants, b.Grants, nil)
		if within(a.Labels, b.Labels) {
			t.Labels = b.Labels
		}
		return &t
	})
	out.Sequences = k.sequences(in, a.Sequences, b.Sequences)
	out.Tables = k.tables(in, a.Tables, b.Tables)
	out.Views = plain(k, in, a.Views, b.Views, func(a, b *schema.View) *schema.View { return k.widerView(in, a, b) })
	out.Routines = plain(k, in, a.Routines, b.Routines, func(a, b *schema.Routine) *schema.Routine {
		r := *a
		r.Comment, r.Grants = b.Comment, k.widen(a.Grants, b.Grants, nil)
		return &r
	})
	out.Items = k.items(in, a.Items, b.Items)
	return &out
}

// sequences are owned by columns that may not be there yet.
func (k *taker) sequences(in string, now, to []*schema.Sequence) []*schema.Sequence {
	owned := func(s *schema.Sequence) bool {
		by := schema.Value(s.Options, "owned by")
		return by == "" || slices.ContainsFunc(columnsOf(k.now), func(c [3]string) bool {
			return k.engine.table(Table{c[0], c[1]})+"."+k.engine.quote(c[2]) == by
		}) || slices.ContainsFunc(columnsOf(k.target), func(c [3]string) bool {
			return k.fresh[schema.Key{Schema: c[0], Kind: schema.KindTable, Name: c[1]}] && k.engine.table(Table{c[0], c[1]})+"."+k.engine.quote(c[2]) == by
		})
	}
	free := func(s *schema.Sequence) *schema.Sequence {
		out := *s
		out.Options = slices.DeleteFunc(slices.Clone(s.Options), func(o schema.Property) bool { return o.Name == "owned by" })
		return &out
	}
	list := slices.Clone(to)
	for i, s := range list {
		if !owned(s) {
			list[i] = free(s)
		}
	}
	return plain(k, in, now, list, func(a, b *schema.Sequence) *schema.Sequence {
		out := *a
		out.Comment, out.Grants = b.Comment, k.widen(a.Grants, b.Grants, nil)
		if schema.Value(a.Options, "owned by") == "" {
			out.Options = b.Options
		}
		return &out
	})
}

func (k *taker) tables(in string, now, to []*schema.Table) []*schema.Table {
	key := func(o schema.Object) schema.Key { return schema.Key{Schema: in, Kind: o.Kind(), Name: o.ObjectName()} }
	return merge(now, to, merging[*schema.Table]{
		add:    func(b *schema.Table) (*schema.Table, bool) { return k.newTable(in, b), k.fresh[key(b)] },
		change: func(a, b *schema.Table) *schema.Table { return k.table1(in, a, b) },
		drop: func(a *schema.Table) (*schema.Table, bool) {
			return a, k.stage != widening && !isOurs(a) && !k.attic[key(a)]
		},
	})
}

// newTable is a table without the parts that need what is not there yet.
func (k *taker) newTable(in string, b *schema.Table) *schema.Table {
	out := *b
	out.Constraints = slices.DeleteFunc(slices.Clone(b.Constraints), func(c *schema.Constraint) bool { return !k.partReady(in, b.Name, c) })
	out.Indexes = slices.DeleteFunc(slices.Clone(b.Indexes), func(c *schema.Index) bool { return !k.partReady(in, b.Name, c) })
	out.Triggers = slices.DeleteFunc(slices.Clone(b.Triggers), func(c *schema.Trigger) bool { return !k.partReady(in, b.Name, c) })
	out.Policies = slices.DeleteFunc(slices.Clone(b.Policies), func(c *schema.Policy) bool { return !k.partReady(in, b.Name, c) })
	return &out
}

// partReady tells whether a part of a table can be made now.
func (k *taker) partReady(in, table string, o schema.Object) bool {
	if !k.ready(schema.Key{Schema: in, Kind: o.Kind(), Name: table + "." + o.ObjectName()}, o) {
		return false
	}
	c, ok := o.(*schema.Constraint)
	if !ok || c.References == nil {
		return true
	}
	on := Table{or(c.References.Schema, in), c.References.Table}
	if !k.there[schema.Key{Schema: on.Schema, Kind: schema.KindTable, Name: on.Name}] {
		return false
	}
	for _, column := range c.References.Columns {
		n := schema.Key{Schema: on.Schema, Kind: schema.KindColumn, Name: on.Name + "." + column}
		if !k.there[n] || k.stage == widening && hits(n, k.leaves) {
			return false
		}
	}
	return true
}

// table1 takes over what a table that stays is like, and what hangs on it.
func (k *taker) table1(in string, a, b *schema.Table) *schema.Table {
	out := *a
	part := func(o schema.Object) bool {
		return k.partReady(in, a.Name, o)
	}
	if k.stage == widening {
		out.Comment, out.Grants = b.Comment, k.widen(a.Grants, b.Grants, a)
		out.Columns = slices.Clone(a.Columns)
		for i, c := range out.Columns {
			to := b.Column(c.Name)
			if to == nil || hits(schema.Key{Schema: in, Kind: schema.KindColumn, Name: a.Name + "." + c.Name}, k.leaves) {
				continue
			}
			said := *c
			said.Comment = to.Comment
			out.Columns[i] = &said
		}
	} else {
		out.Owner, out.Comment, out.Options, out.Needs = b.Owner, b.Comment, b.Options, b.Needs
		out.Grants = slices.Clone(b.Grants)
		for _, g := range a.Grants {
			if strings.HasPrefix(g.Column, oldPrefix) || strings.HasPrefix(g.Column, newPrefix) {
				out.Grants = append(out.Grants, g)
			}
		}
		out.Columns = k.columns(a, b)
	}
	out.Constraints = parts(k, a.Constraints, b.Constraints, part, func(c *schema.Constraint) bool { return onOurs(c.Columns) })
	out.Indexes = parts(k, a.Indexes, b.Indexes, part, func(x *schema.Index) bool { return onOurs(x.Columns) })
	out.Triggers = parts(k, a.Triggers, b.Triggers, part, nil)
	out.Policies = parts(k, a.Policies, b.Policies, part, nil)
	out.Rules = parts(k, a.Rules, b.Rules, part, nil)
	return &out
}

// columns takes over what operations leave: comments, storage, identities, and what a renamed or retyped
// column is besides.
func (k *taker) columns(a, b *schema.Table) []*schema.Column {
	return merge(a.Columns, b.Columns, merging[*schema.Column]{
		add: func(c *schema.Column) (*schema.Column, bool) { return c, inherited(c.Options) },
		change: func(a, b *schema.Column) *schema.Column {
			if inherited(b.Options) {
				return b
			}
			out := *b
			out.Type = a.Type // it has an operation
			return &out
		},
		drop: func(c *schema.Column) (*schema.Column, bool) { return c, inherited(c.Options) && !isOurs(c) },
	})
}

func inherited(options []schema.Property) bool { return schema.Value(options, "inherited") != "" }

// parts takes over what hangs on a table. Constraints and indexes have operations: what is new of them comes
// with those.
func parts[T schema.Object](k *taker, now, to []T, ready func(schema.Object) bool, kept func(T) bool) []T {
	return merge(now, to, merging[T]{
		add: func(b T) (T, bool) {
			early := b.Kind() == schema.KindTrigger || b.Kind() == schema.KindPolicy
			return b, (k.stage != widening || early) && ready(b)
		},
		change: func(a, b T) T {
			if k.stage == widening {
				return a
			}
			return b
		},
		drop: func(a T) (T, bool) {
			return a, k.stage != widening && !isOurs(a) && (k.stage == clearing || kept == nil || !kept(a))
		},
	})
}

// widen returns the privileges of both lists.
func (k *taker) widen(a, b []*schema.Grant, of *schema.Table) []*schema.Grant {
	out := slices.Clone(a)
	for _, g := range b {
		if g.Column != "" && (of == nil || of.Column(g.Column) == nil) {
			continue
		}
		i := slices.IndexFunc(out, func(o *schema.Grant) bool { return o.ObjectName() == g.ObjectName() })
		if i < 0 {
			out = append(out, g)
			continue
		}
		both := *out[i]
		both.Privileges, both.Grantable = union(both.Privileges, g.Privileges), union(both.Grantable, g.Grantable)
		out[i] = &both
	}
	return out
}

// union joins two lists that are set apart by commas, in the order of the alphabet.
func union(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	list := append(strings.Split(a, ", "), strings.Split(b, ", ")...)
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}

// within tells whether a list is the other with some left out.
func within(some, all []string) bool {
	for _, x := range all {
		if len(some) > 0 && some[0] == x {
			some = some[1:]
		}
	}
	return len(some) == 0
}
