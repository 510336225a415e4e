package schema

// Table is a table with all that hangs on it.
type Table struct {
	Name        string        `json:"name"`
	Owner       string        `json:"owner,omitempty"`
	Options     []Property    `json:"options,omitempty"` // what is special about it: partition key, strict, engine, storage
	Comment     string        `json:"comment,omitempty"`
	Columns     []*Column     `json:"columns,omitempty"` // in the table's order, which is no difference by itself
	Constraints []*Constraint `json:"constraints,omitempty"`
	Indexes     []*Index      `json:"indexes,omitempty"` // but those that a constraint stands on
	Triggers    []*Trigger    `json:"triggers,omitempty"`
	Policies    []*Policy     `json:"policies,omitempty"`
	Rules       []*Rule       `json:"rules,omitempty"`
	Grants      []*Grant      `json:"grants,omitempty"`
	Source      string        `json:"source,omitempty"` // the statement that made it, where the engine keeps it; not compared
	Needs       []Key         `json:"needs,omitempty"`  // what has to be there before it; not compared
}

// Column returns the column of that name, or nil.
func (t *Table) Column(name string) *Column { return find(t.Columns, name) }

// Index returns the index of that name, or nil.
func (t *Table) Index(name string) *Index { return find(t.Indexes, name) }

// Constraint returns the constraint of that name, or nil.
func (t *Table) Constraint(name string) *Constraint { return find(t.Constraints, name) }

// PrimaryKey returns the primary key, or nil.
func (t *Table) PrimaryKey() *Constraint {
	for _, c := range t.Constraints {
		if c.Type == PrimaryKey {
			return c
		}
	}
	return nil
}

// KeyColumns are the columns of the primary key; nil where there is none.
func (t *Table) KeyColumns() []string {
	if key := t.PrimaryKey(); key != nil {
		return key.Columns
	}
	return nil
}

// Kind implements Object.
func (t *Table) Kind() Kind { return KindTable }

// ObjectName implements Object.
func (t *Table) ObjectName() string { return t.Name }

// Properties implements Object.
func (t *Table) Properties() []Property {
	return append(append([]Property(nil), t.Options...), Property{PropertyOwner, t.Owner}, Property{PropertyComment, t.Comment})
}

// Children implements Object.
func (t *Table) Children() []Object {
	return concat(objects(t.Columns), objects(t.Constraints), objects(t.Indexes), objects(t.Triggers), objects(t.Policies), objects(t.Rules), objects(t.Grants))
}

// Column is a column of a table.
type Column struct {
	Name      string     `json:"name"`
	Type      string     `json:"type"` // as the server writes it, with its modifiers
	NotNull   bool       `json:"not_null,omitempty"`
	Default   string     `json:"default,omitempty"`   // an expression
	Generated string     `json:"generated,omitempty"` // an expression, with its kind: stored or virtual
	Identity  string     `json:"identity,omitempty"`  // always or by default
	Collation string     `json:"collation,omitempty"` // where it is not the type's own
	Options   []Property `json:"options,omitempty"`
	Comment   string     `json:"comment,omitempty"`
	Needs     []Key      `json:"needs,omitempty"` // what its type and its expression have need of; not compared
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
		{PropertyComment, c.Comment},
	}, c.Options...)
}

// Children implements Object.
func (c *Column) Children() []Object { return nil }

// The types of constraint.
const (
	PrimaryKey = "primary key"
	Unique     = "unique"
	Check      = "check"
	ForeignKey = "foreign key"
	Exclusion  = "exclusion"
	NotNull    = "not null" // one with a name or options of its own
)

// Constraint is a primary key, unique, check, foreign key or exclusion constraint, or a NOT NULL that has
// a name of its own.
type Constraint struct {
	Name       string     `json:"name"` // or, where the engine gives none, its definition
	Type       string     `json:"type"`
	Definition string     `json:"definition"`
	Options    []Property `json:"options,omitempty"`
	Comment    string     `json:"comment,omitempty"`
	Columns    []string   `json:"columns,omitempty"` // of the table; said again by the definition, so not compared
	References *Reference `json:"references,omitempty"`
	Unnamed    bool       `json:"unnamed,omitempty"` // the name is the definition; not compared
	Needs      []Key      `json:"needs,omitempty"`   // what has to be there before it; not compared
}

// Reference is what a foreign key points to. The definition says it too, so it is not compared.
type Reference struct {
	Schema  string   `json:"schema,omitempty"` // empty: the table's own
	Table   string   `json:"table"`
	Columns []string `json:"columns,omitempty"`
}

// Kind implements Object.
func (c *Constraint) Kind() Kind { return KindConstraint }

// ObjectName implements Object.
func (c *Constraint) ObjectName() string { return c.Name }

// Properties implements Object.
func (c *Constraint) Properties() []Property {
	return append([]Property{{"type", c.Type}, {"definition", c.Definition}, {PropertyComment, c.Comment}}, c.Options...)
}

// Children implements Object.
func (c *Constraint) Children() []Object { return nil }

// Index is an index.
type Index struct {
	Name       string     `json:"name"`
	Definition string     `json:"definition"`
	Invalid    bool       `json:"invalid,omitempty"` // left behind by a build that failed
	Options    []Property `json:"options,omitempty"`
	Comment    string     `json:"comment,omitempty"`
	Unique     bool       `json:"unique,omitempty"`  // said again by the definition, so not compared
	Columns    []string   `json:"columns,omitempty"` // those that are no expressions; not compared
	Source     string     `json:"source,omitempty"`  // the statement that made it, where the engine keeps it; not compared
	Needs      []Key      `json:"needs,omitempty"`   // what has to be there before it; not compared
}

// Kind implements Object.
func (i *Index) Kind() Kind { return KindIndex }

// ObjectName implements Object.
func (i *Index) ObjectName() string { return i.Name }

// Properties implements Object.
func (i *Index) Properties() []Property {
	return append([]Property{{"definition", i.Definition}, {"invalid", flag(i.Invalid)}, {PropertyComment, i.Comment}}, i.Options...)
}

// Children implements Object.
func (i *Index) Children() []Object { return nil }

// Trigger is a trigger of a table or view.
type Trigger struct {
	Name       string     `json:"name"`
	Definition string     `json:"definition"`
	Enabled    string     `json:"enabled,omitempty"` // where it is not simply on
	Options    []Property `json:"options,omitempty"`
	Comment    string     `json:"comment,omitempty"`
	Source     string     `json:"source,omitempty"` // the statement that made it, where the engine keeps it; not compared
	Needs      []Key      `json:"needs,omitempty"`
}

// Kind implements Object.
func (t *Trigger) Kind() Kind { return KindTrigger }

// ObjectName implements Object.
func (t *Trigger) ObjectName() string { return t.Name }

// Properties implements Object.
func (t *Trigger) Properties() []Property {
	return append([]Property{{"definition", t.Definition}, {"enabled", t.Enabled}, {PropertyComment, t.Comment}}, t.Options...)
}

// Children implements Object.
func (t *Trigger) Children() []Object { return nil }

// Policy is a row security policy.
type Policy struct {
	Name       string `json:"name"`
	Definition string `json:"definition"`
	Comment    string `json:"comment,omitempty"`
	Needs      []Key  `json:"needs,omitempty"`
}

// Kind implements Object.
func (p *Policy) Kind() Kind { return KindPolicy }

// ObjectName implements Object.
func (p *Policy) ObjectName() string { return p.Name }

// Properties implements Object.
func (p *Policy) Properties() []Property {
	return []Property{{"definition", p.Definition}, {PropertyComment, p.Comment}}
}

// Children implements Object.
func (p *Policy) Children() []Object { return nil }

// Rule is a rewrite rule of a table or view.
type Rule struct {
	Name       string `json:"name"`
	Definition string `json:"definition"`
	Enabled    string `json:"enabled,omitempty"` // where it is not simply on
	Comment    string `json:"comment,omitempty"`
	Needs      []Key  `json:"needs,omitempty"`
}

// Kind implements Object.
func (r *Rule) Kind() Kind { return KindRule }

// ObjectName implements Object.
func (r *Rule) ObjectName() string { return r.Name }

// Properties implements Object.
func (r *Rule) Properties() []Property {
	return []Property{{"definition", r.Definition}, {"enabled", r.Enabled}, {PropertyComment, r.Comment}}
}

// Children implements Object.
func (r *Rule) Children() []Object { return nil }
