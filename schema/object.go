package schema

// Kind is the kind of an object, such as "table".
type Kind string

// The kinds of object the model covers.
const (
	KindSchema     Kind = "schema"
	KindTable      Kind = "table"
	KindColumn     Kind = "column"
	KindIndex      Kind = "index"
	KindConstraint Kind = "constraint"
	KindTrigger    Kind = "trigger"
	KindView       Kind = "view"
	KindRoutine    Kind = "routine"
	KindType       Kind = "type"
	KindSequence   Kind = "sequence"
	KindPolicy     Kind = "policy"
	KindSetting    Kind = "setting"
)

// Object is a node of the model.
type Object interface {
	Kind() Kind
	// ObjectName is unique among the objects of its kind below the same parent.
	ObjectName() string
	// Properties are what the object is like, apart from its children, in a fixed order. Empty values
	// stand for the engine's default.
	Properties() []Property
	// Children are the objects that belong to this one.
	Children() []Object
}

// Property is one thing that two objects of the same name may differ in.
type Property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Database is a whole catalogue.
type Database struct {
	Engine    string // postgres, mysql, mariadb or sqlite
	Version   string // the server's version; no part of the comparison
	Schemas   []*Schema
	Uncovered []Census // what the catalogue holds and the model does not
}

// Census counts the objects of a kind that the model does not cover.
type Census struct {
	Kind  Kind     `json:"kind"`
	Count int      `json:"count"`
	Names []string `json:"names"` // the first few
}

// Schema returns the schema of that name, or nil.
func (d *Database) Schema(name string) *Schema {
	for _, s := range d.Schemas {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Objects returns the schemas as objects.
func (d *Database) Objects() []Object { return objects(d.Schemas) }

// Schema is a namespace. Engines without schemas have one whose name is "main".
type Schema struct {
	Name      string
	Comment   string
	Tables    []*Table
	Views     []*View
	Routines  []*Routine
	Types     []*Type
	Sequences []*Sequence
}

// Table returns the table of that name, or nil.
func (s *Schema) Table(name string) *Table {
	for _, t := range s.Tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// Kind implements Object.
func (s *Schema) Kind() Kind { return KindSchema }

// ObjectName implements Object.
func (s *Schema) ObjectName() string { return s.Name }

// Properties implements Object.
func (s *Schema) Properties() []Property { return []Property{{"comment", s.Comment}} }

// Children implements Object.
func (s *Schema) Children() []Object {
	return concat(objects(s.Types), objects(s.Sequences), objects(s.Tables), objects(s.Views), objects(s.Routines))
}

// Table is a table with all that hangs on it.
type Table struct {
	Name        string
	Options     []Property // what is special about it: partition key, strict, without rowid, storage
	Comment     string
	Columns     []*Column // in the table's order, which is no difference by itself
	Constraints []*Constraint
	Indexes     []*Index // but those that a constraint stands on
	Triggers    []*Trigger
	Policies    []*Policy
}

// Column returns the column of that name, or nil.
func (t *Table) Column(name string) *Column {
	for _, c := range t.Columns {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Kind implements Object.
func (t *Table) Kind() Kind { return KindTable }

// ObjectName implements Object.
func (t *Table) ObjectName() string { return t.Name }

// Properties implements Object.
func (t *Table) Properties() []Property {
	return append(append([]Property(nil), t.Options...), Property{"comment", t.Comment})
}

// Children implements Object.
func (t *Table) Children() []Object {
	return concat(objects(t.Columns), objects(t.Constraints), objects(t.Indexes), objects(t.Triggers), objects(t.Policies))
}

// Column is a column of a table.
type Column struct {
	Name      string
	Type      string // as the server writes it, with its modifiers
	NotNull   bool
	Default   string // an expression
	Generated string // an expression, with its kind: stored or virtual
	Identity  string // always or by default
	Collation string // where it is not the type's own
	Options   []Property
	Comment   string
}

// Kind implements Object.
func (c *Column) Kind() Kind { return KindColumn }

// ObjectName implements Object.
func (c *Column) ObjectName() string { return c.Name }

// Properties implements Object.
func (c *Column) Properties() []Property {
	return append([]Property{
		{"type", c.Type},
		{"not null", flag(c.NotNull)},
		{"default", c.Default},
		{"generated", c.Generated},
		{"identity", c.Identity},
		{"collation", c.Collation},
		{"comment", c.Comment},
	}, c.Options...)
}

// Children implements Object.
func (c *Column) Children() []Object { return nil }

// Constraint is a primary key, unique, check, foreign key or exclusion constraint.
type Constraint struct {
	Name       string // or, where the engine gives none, its definition
	Type       string // primary key, unique, check, foreign key, exclusion
	Definition string
	Options    []Property
	Comment    string
}

// Kind implements Object.
func (c *Constraint) Kind() Kind { return KindConstraint }

// ObjectName implements Object.
func (c *Constraint) ObjectName() string { return c.Name }

// Properties implements Object.
func (c *Constraint) Properties() []Property {
	return append([]Property{{"type", c.Type}, {"definition", c.Definition}, {"comment", c.Comment}}, c.Options...)
}

// Children implements Object.
func (c *Constraint) Children() []Object { return nil }

// Index is an index.
type Index struct {
	Name       string
	Definition string
	Invalid    bool // left behind by a build that failed
	Comment    string
}

// Kind implements Object.
func (i *Index) Kind() Kind { return KindIndex }

// ObjectName implements Object.
func (i *Index) ObjectName() string { return i.Name }

// Properties implements Object.
func (i *Index) Properties() []Property {
	return []Property{{"definition", i.Definition}, {"invalid", flag(i.Invalid)}, {"comment", i.Comment}}
}

// Children implements Object.
func (i *Index) Children() []Object { return nil }

// Trigger is a trigger of a table or view.
type Trigger struct {
	Name       string
	Definition string
	Enabled    string // where it is not simply on
	Comment    string
}

// Kind implements Object.
func (t *Trigger) Kind() Kind { return KindTrigger }

// ObjectName implements Object.
func (t *Trigger) ObjectName() string { return t.Name }

// Properties implements Object.
func (t *Trigger) Properties() []Property {
	return []Property{{"definition", t.Definition}, {"enabled", t.Enabled}, {"comment", t.Comment}}
}

// Children implements Object.
func (t *Trigger) Children() []Object { return nil }

// Policy is a row security policy.
type Policy struct {
	Name       string
	Definition string
}

// Kind implements Object.
func (p *Policy) Kind() Kind { return KindPolicy }

// ObjectName implements Object.
func (p *Policy) ObjectName() string { return p.Name }

// Properties implements Object.
func (p *Policy) Properties() []Property { return []Property{{"definition", p.Definition}} }

// Children implements Object.
func (p *Policy) Children() []Object { return nil }

// View is a view or materialised view.
type View struct {
	Name         string
	Materialized bool
	Definition   string
	Options      []Property
	Comment      string
	Indexes      []*Index
	Triggers     []*Trigger
}

// Kind implements Object.
func (v *View) Kind() Kind { return KindView }

// ObjectName implements Object.
func (v *View) ObjectName() string { return v.Name }

// Properties implements Object.
func (v *View) Properties() []Property {
	return append([]Property{{"materialized", flag(v.Materialized)}, {"definition", v.Definition}, {"comment", v.Comment}}, v.Options...)
}

// Children implements Object.
func (v *View) Children() []Object { return concat(objects(v.Indexes), objects(v.Triggers)) }

// Routine is a function or procedure.
type Routine struct {
	Name       string // with the types of its arguments, since names may be overloaded
	Definition string
	Comment    string
}

// Kind implements Object.
func (r *Routine) Kind() Kind { return KindRoutine }

// ObjectName implements Object.
func (r *Routine) ObjectName() string { return r.Name }

// Properties implements Object.
func (r *Routine) Properties() []Property {
	return []Property{{"definition", r.Definition}, {"comment", r.Comment}}
}

// Children implements Object.
func (r *Routine) Children() []Object { return nil }

// Type is an enum, domain, composite or range type.
type Type struct {
	Name       string
	Definition string
	Comment    string
}

// Kind implements Object.
func (t *Type) Kind() Kind { return KindType }

// ObjectName implements Object.
func (t *Type) ObjectName() string { return t.Name }

// Properties implements Object.
func (t *Type) Properties() []Property {
	return []Property{{"definition", t.Definition}, {"comment", t.Comment}}
}

// Children implements Object.
func (t *Type) Children() []Object { return nil }

// Sequence is a sequence of its own; those of identity columns belong to their column.
type Sequence struct {
	Name       string
	Definition string
	Comment    string
}

// Kind implements Object.
func (s *Sequence) Kind() Kind { return KindSequence }

// ObjectName implements Object.
func (s *Sequence) ObjectName() string { return s.Name }

// Properties implements Object.
func (s *Sequence) Properties() []Property {
	return []Property{{"definition", s.Definition}, {"comment", s.Comment}}
}

// Children implements Object.
func (s *Sequence) Children() []Object { return nil }

func flag(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func objects[T Object](list []T) []Object {
	out := make([]Object, len(list))
	for i, o := range list {
		out[i] = o
	}
	return out
}

func concat(lists ...[]Object) []Object {
	var out []Object
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}
