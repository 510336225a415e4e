package recipe

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// Difference is what leads from one schema to another.
type Difference struct {
	Operations []Operation
	Notes      []string // such as what looks like a rename and was taken for a drop and an add
	Loss       Loss
}

// Loss is what a difference drops.
type Loss struct {
	Tables         []string // that go to the attic
	Dropped, There int      // columns of tables that stay: dropped, and how many there were
}

// Much tells whether somebody has to say that so much is to go: a table, or more than a third of the columns.
func (l Loss) Much() bool { return len(l.Tables) > 0 || 3*l.Dropped > l.There }

// String says what goes.
func (l Loss) String() string {
	text := fmt.Sprintf("%d of %d columns", l.Dropped, l.There)
	switch {
	case l.Dropped == 0 && len(l.Tables) > 0:
		text = ""
	case len(l.Tables) > 0:
		text = " and " + text
	}
	if len(l.Tables) == 0 {
		return text
	}
	noun := "tables "
	if len(l.Tables) == 1 {
		noun = "table "
	}
	return noun + strings.Join(l.Tables, ", ") + text
}

// FromDiff returns the operations that lead from a schema to another. Renames are the confirmed ones. An
// operation that is given takes the place of the one that the difference would give for the same object, to say what no
// schema can: how values are converted, or what rows start with. What changes on their way have made for
// their own use is no difference.
//
// Operations stand in the order of tables, and of a table in a fixed one. The error is an *Error, or one of
// diff.Compare.
func FromDiff(from, to *schema.Database, renames []diff.Rename, given []Operation, engine migrate.Engine) (*Difference, error) {
	e, err := newEngine(engine, "0")
	if err != nil {
		return nil, err
	}
	from, to = withoutOurs(from), withoutOurs(to)
	renames = slices.DeleteFunc(slices.Clone(renames), func(r diff.Rename) bool { return r.Kind == schema.KindView }) // no row is in it
	r, err := diff.Compare(from, to, diff.Options{Renames: renames})
	if err != nil {
		return nil, err
	}
	d := &differ{engine: e, from: from, to: to, renames: r.Renames, given: given, used: make([]bool, len(given))}
	for _, n := range r.Proposed {
		d.out.Notes = append(d.out.Notes, fmt.Sprintf("%s %s looks like %s by another name (%s), but is planned as one that goes and one that comes: if it is the same, say --rename %s", n.Kind, n.From, n.To, n.Evidence, n))
	}
	if r.Same() {
		return &d.out, nil
	}
	if err := d.operations(r); err != nil {
		return nil, err
	}
	for i, op := range given {
		if !d.used[i] {
			return nil, &Error{op, "the difference has nothing that this could stand for", "plan it in a change of its own, without --to"}
		}
	}
	return &d.out, nil
}

// differ turns a comparison into operations.
type differ struct {
	engine   engine
	from, to *schema.Database
	past     *schema.Database // to, with tables named as they are before contract
	renames  []diff.Rename
	given    []Operation
	used     []bool
	out      Difference
}

func (d *differ) operations(r *diff.Result) error {
	var tables []diff.Rename
	for _, n := range d.renames {
		if n.Kind == schema.KindTable {
			tables = append(tables, n)
		}
	}
	inverse := diff.Invert(tables)
	slices.Reverse(inverse)
	var err error
	if d.past, err = diff.Renamed(d.to, inverse); err != nil {
		return err
	}
	var made, settled []string
	var drops []Operation
	for _, c := range r.Changes {
		if c.Kind != schema.KindSchema {
			d.other(c, "", &made, &settled)
			continue
		}
		if c.Action != diff.Modify || len(c.Properties) > 0 {
			d.other(c, "", &made, &settled)
		}
		children := slices.Clone(c.Children)
		slices.SortStableFunc(children, func(a, b diff.Change) int { return cmp.Compare(a.Name, b.Name) })
		for _, child := range children {
			switch {
			case d.enum(c.Name, child):
			case child.Kind == schema.KindTable && child.Action == diff.Add && d.withPartitions(c.Name, child.Name):
			case child.Kind != schema.KindTable || child.Action == diff.Add:
				d.other(child, c.Name, &made, &settled)
			case child.Action == diff.Drop:
				name := Table{c.Name, child.Name}
				drops = append(drops, d.instead(DropTable{Table: name}))
				d.out.Loss.Tables = append(d.out.Loss.Tables, name.String())
			}
		}
	}
	if err := d.tables(r, &settled); err != nil {
		return err
	}
	for _, s := range d.from.Schemas {
		for _, t := range s.Tables {
			if !slices.Contains(d.out.Loss.Tables, Table{s.Name, t.Name}.String()) {
				d.out.Loss.There += len(t.Columns)
			}
		}
	}
	d.out.Operations = append(d.out.Operations, d.partitionsFirst(drops)...)
	for _, n := range tables {
		d.out.Operations = append(d.out.Operations, d.instead(RenameTable{Table: Table{n.Schema, n.From}, To: n.To}))
	}
	if err := d.together(tables); err != nil {
		return err
	}
	var others []diff.Rename
	for _, n := range d.renames {
		if n.Kind == schema.KindIndex || n.Kind == diff.KindLabel {
			others = append(others, n)
			settled = append(settled, fmt.Sprintf("%s %s", n.Kind, n))
		}
	}
	if len(made) > 0 {
		d.out.Operations = slices.Insert(d.out.Operations, 0, Operation(Introduce{To: d.to, Objects: made}))
	}
	d.out.Operations = append(d.out.Operations, Settle{To: d.to, Renames: others, Objects: settled})
	return nil
}

// tables gives the operations of the tables that stay. One where only a column has another name is none of the
// comparison's changes.
func (d *differ) tables(r *diff.Result, settled *[]string) error {
	changes := map[Table]diff.Change{}
	for _, c := range r.Changes {
		for _, child := range c.Children {
			if c.Kind == schema.KindSchema && c.Action == diff.Modify && child.Kind == schema.KindTable && child.Action == diff.Modify {
				changes[Table{c.Name, child.Name}] = child
			}
		}
	}
	for _, n := range d.renames {
		at := Table{n.Schema, n.Parent}
		if _, there := changes[at]; !there && n.Kind == schema.KindColumn {
			changes[at] = diff.Change{Action: diff.Modify, Kind: schema.KindTable, Name: n.Parent}
		}
	}
	names := slices.SortedFunc(maps.Keys(changes), func(a, b Table) int {
		return cmp.Or(cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Name, b.Name))
	})
	for _, name := range names {
		if err := d.table(name.Schema, changes[name], settled); err != nil {
			return err
		}
	}
	return nil
}

// other notes an object that has no operation of its own.
func (d *differ) other(c diff.Change, in string, made, settled *[]string) {
	name := string(c.Kind) + " " + Table{in, c.Name}.String()
	if c.Kind == schema.KindGrant || c.Kind == schema.KindRoutine || c.Kind == schema.KindSetting {
		name = string(c.Kind) + " " + strings.TrimPrefix(in+"."+c.Name, ".")
	}
	if c.Action == diff.Add && c.Kind != schema.KindView {
		*made = append(*made, name)
	} else {
		*settled = append(*settled, name)
	}
}

// enum gives the operation of an enum type whose columns would have to be written anew, as labels go or come in another
// order. One that only gets more of them is altered as it is.
func (d *differ) enum(in string, c diff.Change) bool {
	if c.Kind != schema.KindType || c.Action != diff.Modify || d.engine.name() != "postgres" {
		return false
	}
	before, after := d.from.Schema(in).Type(c.Name), d.to.Schema(in).Type(c.Name)
	if before == nil || after == nil || before.Form != schema.Enum || after.Form != schema.Enum || after.Extends(before) || !columnsOfType(d.from, schema.Key{Schema: in, Kind: schema.KindType, Name: c.Name}) {
		return false
	}
	d.add(ChangeEnum{Type: Table{in, c.Name}, Labels: after.Labels})
	return !slices.ContainsFunc(c.Properties, func(x diff.PropertyChange) bool { return x.Name != "labels" }) && len(c.Children) == 0
}

// columnsOfType tells whether a table has a column of a type.
func columnsOfType(d *schema.Database, key schema.Key) bool {
	for _, s := range d.Schemas {
		for _, t := range s.Tables {
			if slices.ContainsFunc(t.Columns, func(c *schema.Column) bool { return slices.Contains(c.Needs, key) }) {
				return true
			}
		}
	}
	return false
}

// partitionsFirst has tables come before those that they are a part of.
func (d *differ) partitionsFirst(drops []Operation) []Operation {
	depth := func(op Operation) int {
		at := op.(DropTable).Table
		t, n := d.from.Schema(at.Schema).Table(at.Name), 0
		for t != nil && n < 10 {
			i := slices.IndexFunc(t.Needs, func(k schema.Key) bool { return k.Kind == schema.KindTable })
			if i < 0 || schema.Value(t.Options, "partition of") == "" && schema.Value(t.Options, "inherits") == "" {
				break
			}
			n++
			in := d.from.Schema(t.Needs[i].Schema)
			if in == nil {
				break
			}
			t = in.Table(t.Needs[i].Name)
		}
		return n
	}
	slices.SortStableFunc(drops, func(a, b Operation) int { return depth(b) - depth(a) })
	return drops
}

// together refuses what cannot be one change: a table that is renamed, and reshaped by its old name after that.
func (d *differ) together(renamed []diff.Rename) error {
	for _, n := range renamed {
		for _, op := range d.out.Operations {
			var at Table
			switch o := op.(type) {
			case RenameColumn:
				at = o.Table
			case ChangeType:
				at = o.Table
			case DropColumn:
				at = o.Table
			case DropConstraint:
				at = o.Table
			case DropIndex:
				at = o.Table
			case SetNotNull:
				if o.Fill == "" {
					continue
				}
				at = o.Table
			}
			if at == (Table{n.Schema, n.From}) {
				return &Error{op, fmt.Sprintf("the table is renamed to %s as well", word(n.To)), "plan the two in changes of their own: first --to a schema where the table has its old name"}
			}
		}
	}
	return nil
}

// table gives the operations of a table that stays.
func (d *differ) table(in string, c diff.Change, settled *[]string) error {
	name := Table{in, c.Name}
	for _, n := range d.renames {
		if n.Kind == schema.KindTable && n.Schema == in && n.To == c.Name {
			name.Name = n.From
		}
	}
	t := &tableDiffer{differ: d, name: name, now: c.Name, before: d.from.Schema(in).Table(name.Name), after: d.past.Schema(in).Table(name.Name), same: map[string]string{}, renamed: name.Name != c.Name}
	if t.before == nil || t.after == nil {
		return fmt.Errorf("the comparison has a table %s that the schemas have not", name)
	}
	if err := t.columns(); err != nil {
		return err
	}
	t.split = t.partitions()
	t.constraints(c)
	t.indexes(c)
	t.remake()
	rest := len(c.Properties) > 0
	for _, child := range c.Children {
		rest = rest || child.Kind != schema.KindColumn && child.Kind != schema.KindConstraint && child.Kind != schema.KindIndex ||
			child.Action == diff.Modify && (child.Kind != schema.KindColumn || slices.ContainsFunc(child.Properties, func(x diff.PropertyChange) bool {
				return x.Name != "type" && x.Name != "not null" && x.Name != "default"
			}))
	}
	if rest {
		*settled = append(*settled, "table "+Table{in, c.Name}.String())
	}
	return nil
}

// add adds an operation, or the given one that stands for it.
func (d *differ) add(op Operation) { d.out.Operations = append(d.out.Operations, d.instead(op)) }

func (d *differ) instead(op Operation) Operation {
	for i, g := range d.given {
		if !d.used[i] && d.standsFor(g, op) {
			d.used[i] = true
			return g
		}
	}
	return op
}

// standsFor tells whether an operation is about the same object as another, in the same way.
func (d *differ) standsFor(given, op Operation) bool {
	same := func(a, b Table) bool { return a.Name == b.Name && (a.Schema == "" || a.Schema == b.Schema) }
	switch o := op.(type) {
	case RenameColumn:
		g, ok := given.(RenameColumn)
		return ok && same(g.Table, o.Table) && g.Column == o.Column && g.To == o.To
	case ChangeType:
		g, ok := given.(ChangeType)
		return ok && same(g.Table, o.Table) && g.Column == o.Column && d.engine.canonical(g.Type) == d.engine.canonical(o.Type)
	case PartitionTable:
		g, ok := given.(PartitionTable)
		return ok && same(g.Table, o.Table)
	case ChangeEnum:
		g, ok := given.(ChangeEnum)
		return ok && same(g.Type, o.Type) && slices.Equal(g.Labels, o.Labels)
	case AddColumn:
		g, ok := given.(AddColumn)
		return ok && same(g.Table, o.Table) && g.Column.Name == o.Column.Name
	case DropColumn:
		g, ok := given.(DropColumn)
		return ok && same(g.Table, o.Table) && g.Column == o.Column
	case SetNotNull:
		g, ok := given.(SetNotNull)
		return ok && same(g.Table, o.Table) && g.Column == o.Column
	case DropNotNull:
		g, ok := given.(DropNotNull)
		return ok && same(g.Table, o.Table) && g.Column == o.Column
	}
	return false
}

// tableDiffer gives the operations of a table.
type tableDiffer struct {
	*differ
	name          Table
	now           string            // its name in the wanted schema
	before, after *schema.Table     // after by the names that tables have before contract
	same          map[string]string // a column that is there under a temporary name until contract
	gone          []string          // columns that go to the attic
	moved         []string          // columns that have a successor
	renamed       bool              // the table gets another name
	split         bool              // the table gets partitions
}

// columns gives the operations of the columns in the order of kinds: what goes first is what other operations
// of the change may build on.
func (t *tableDiffer) columns() error {
	was := map[string]string{} // by the new name
	for _, n := range t.renames {
		if n.Kind == schema.KindColumn && n.Schema == t.name.Schema && n.Parent == t.now {
			was[n.To] = n.From
		}
	}
	var renamed, retyped, added, dropped, nulls, defaults []Operation
	kept := map[string]bool{}
	for _, c := range byName(t.after.Columns) {
		old := c.Name
		if from, ok := was[c.Name]; ok {
			old = from
		}
		b := t.before.Column(old)
		kept[old] = kept[old] || b != nil
		switch {
		case inherited(c.Options) || b != nil && inherited(b.Options): // from a parent: that has the operation
		case b == nil:
			column := *c
			added = append(added, t.instead(AddColumn{Table: t.name, Column: column}))
		case old != c.Name && b.Type != c.Type:
			return &Error{RenameColumn{t.name, old, c.Name}, fmt.Sprintf("its type changes too, from %s to %s", b.Type, c.Type), "plan the two in changes of their own: first --to a schema where the column has its old type"}
		case old != c.Name:
			t.moved = append(t.moved, old)
			renamed = append(renamed, t.instead(RenameColumn{Table: t.name, Column: old, To: c.Name}))
		case b.Type != c.Type && computed(b, c):
		case b.Type != c.Type:
			t.same[c.Name], t.moved = fit(t.engine.limit(), newPrefix, c.Name), append(t.moved, old)
			if !t.follows(c.Name) {
				retyped = append(retyped, t.instead(ChangeType{Table: t.name, Column: c.Name, Type: c.Type}))
			}
		default:
			if !b.NotNull && c.NotNull {
				op := t.instead(SetNotNull{Table: t.name, Column: c.Name})
				if op.(SetNotNull).Fill != "" {
					t.same[c.Name], t.moved = fit(t.engine.limit(), newPrefix, c.Name), append(t.moved, old)
				}
				nulls = append(nulls, op)
			} else if b.NotNull && !c.NotNull {
				nulls = append(nulls, t.instead(DropNotNull{Table: t.name, Column: c.Name}))
			}
			if b.Default != c.Default && !computed(b, c) {
				defaults = append(defaults, t.instead(SetDefault{Table: t.name, Column: c.Name, Default: c.Default}))
			}
		}
	}
	for _, b := range byName(t.before.Columns) {
		if kept[b.Name] || inherited(b.Options) {
			continue
		}
		t.gone = append(t.gone, b.Name)
		dropped = append(dropped, t.instead(DropColumn{Table: t.name, Column: b.Name}))
		t.out.Loss.Dropped++
	}
	t.out.Operations = slices.Concat(t.out.Operations, renamed, retyped, added, nulls, defaults, dropped)
	return nil
}

// computed tells whether one of two columns is given its values by the engine.
func computed(a, b *schema.Column) bool {
	return a.Generated != "" || b.Generated != "" || a.Identity != b.Identity
}

// follows tells whether a column changes its type along with the key that it points to.
func (t *tableDiffer) follows(column string) bool {
	for _, k := range t.before.Constraints {
		i := slices.Index(k.Columns, column)
		if k.References == nil || i < 0 || i >= len(k.References.Columns) {
			continue
		}
		in := or(k.References.Schema, t.name.Schema)
		parent, wanted := t.from.Schema(in), t.past.Schema(in)
		if parent == nil || wanted == nil || parent.Table(k.References.Table) == nil || wanted.Table(k.References.Table) == nil {
			continue
		}
		on := Table{in, k.References.Table}
		a, b := parent.Table(on.Name).Column(k.References.Columns[i]), wanted.Table(on.Name).Column(k.References.Columns[i])
		if a != nil && b != nil && a.Type != b.Type && (on != t.name || a.Name != column) {
			return true
		}
	}
	return false
}

// constraints gives the operations of what is added and dropped. What changes under its name is settled, as are
// the NOT NULLs, which come with their columns.
func (t *tableDiffer) constraints(c diff.Change) {
	for _, child := range c.Children {
		if child.Kind != schema.KindConstraint {
			continue
		}
		switch child.Action {
		case diff.Add:
			k := t.after.Constraint(child.Name)
			if k == nil || k.Type == schema.NotNull || inherited(k.Options) || t.numbered(k, t.before) {
				continue
			}
			also := *k
			also.Definition, also.Columns = t.temporary(k.Definition, k.Type == schema.ForeignKey), t.temporaries(k.Columns)
			t.add(AddConstraint{Table: t.name, Constraint: also})
		case diff.Drop:
			k := t.before.Constraint(child.Name)
			if k == nil || k.Type == schema.NotNull || inherited(k.Options) || k.Type != schema.ForeignKey && t.goes(k.Columns) || t.numbered(k, t.after) {
				continue
			}
			t.add(DropConstraint{Table: t.name, Name: k.Name})
		default:
			old, k := t.before.Constraint(child.Name), t.after.Constraint(child.Name)
			if _, differs := child.Property("definition"); differs && old != nil && k != nil && !inherited(k.Options) && t.replaceable(old, k) && !t.moves(old.Definition) {
				t.add(ReplaceConstraint{Table: t.name, Constraint: *k})
			}
		}
	}
}

// replaceable tells whether a constraint is replaced by an operation. SQLite writes the table anew for it as for all else.
func (t *tableDiffer) replaceable(old, k *schema.Constraint) bool {
	if k.Type != old.Type {
		return false
	}
	switch t.engine.name() {
	case "postgres":
		return slices.Contains([]string{schema.Check, schema.ForeignKey, schema.Unique}, k.Type) || keyReplaceable(t.engine, t.from, t.name, t.before, old, k)
	case "mysql", "mariadb":
		return k.Type == schema.Check || k.Type == schema.ForeignKey && slices.Equal(k.Columns, old.Columns)
	}
	return false
}

// numbered tells whether a primary key is the other table's but for AUTOINCREMENT, which is no constraint: SQLite writes it
// behind the key.
func (t *tableDiffer) numbered(k *schema.Constraint, other *schema.Table) bool {
	bare := func(k *schema.Constraint) string { return strings.Replace(k.Definition, " AUTOINCREMENT", "", 1) }
	return t.engine.name() == "sqlite" && k.Type == schema.PrimaryKey && slices.ContainsFunc(other.Constraints, func(o *schema.Constraint) bool {
		return o.Type == k.Type && bare(o) == bare(k)
	})
}

func (t *tableDiffer) indexes(c diff.Change) {
	for _, child := range c.Children {
		if child.Kind != schema.KindIndex {
			continue
		}
		switch child.Action {
		case diff.Add:
			x := t.after.Index(child.Name)
			if x == nil || inherited(x.Options) {
				continue
			}
			also := *x
			also.Definition, also.Columns = t.temporary(x.Definition, false), t.temporaries(x.Columns)
			t.add(AddIndex{Table: t.name, Index: also})
		case diff.Drop:
			x := t.before.Index(child.Name)
			if x == nil || inherited(x.Options) || t.goes(x.Columns) {
				continue
			}
			t.add(DropIndex{Table: t.name, Name: x.Name})
		default:
			old, x := t.before.Index(child.Name), t.after.Index(child.Name)
			if t.split && old != nil && x != nil && indexed(old.Definition) == x.Definition {
				continue
			}
			if _, differs := child.Property("definition"); differs && t.engine.name() != "sqlite" && old != nil && x != nil && !inherited(x.Options) && !t.moves(old.Definition) {
				t.add(ReplaceIndex{Table: t.name, Index: *x})
			}
		}
	}
}

// goes tells whether one of some columns goes to the attic; what stands on it goes along.
func (t *tableDiffer) goes(columns []string) bool {
	return slices.ContainsFunc(columns, func(c string) bool { return slices.Contains(t.gone, c) })
}

// moves tells whether a definition names a column that has a successor, or goes. What stands on such a column is
// carried along by the operation on the column.
func (t *tableDiffer) moves(definition string) bool {
	d := sqltoken.Of(t.engine.name())
	return t.renamed || slices.ContainsFunc(t.gone, func(c string) bool { return mentions(definition, c, d) }) ||
		slices.ContainsFunc(t.moved, func(c string) bool { return mentions(definition, c, d) })
}

// temporary writes a definition with columns as they are called before contract.
func (t *tableDiffer) temporary(definition string, foreign bool) string {
	if len(t.same) == 0 {
		return definition
	}
	return (&sync{successors: t.same}).replace(&planner{engine: t.engine}, definition, foreign)
}

func (t *tableDiffer) temporaries(columns []string) []string {
	return (&sync{successors: t.same}).replaced(columns)
}

func byName(columns []*schema.Column) []*schema.Column {
	out := slices.Clone(columns)
	slices.SortFunc(out, func(a, b *schema.Column) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
