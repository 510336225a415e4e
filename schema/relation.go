package schema

// View is a view or materialised view.
type View struct {
	Name         string     `json:"name"`
	Owner        string     `json:"owner,omitempty"`
	Materialized bool       `json:"materialized,omitempty"`
	Definition   string     `json:"definition"` // the query
	Options      []Property `json:"options,omitempty"`
	Comment      string     `json:"comment,omitempty"`
	Columns      []*Column  `json:"columns,omitempty"` // name and type follow from the query; only what else is set of them is compared
	Indexes      []*Index   `json:"indexes,omitempty"`
	Triggers     []*Trigger `json:"triggers,omitempty"`
	Rules        []*Rule    `json:"rules,omitempty"`
	Grants       []*Grant   `json:"grants,omitempty"`
	Source       string     `json:"source,omitempty"` // the statement that made it, where the engine keeps it; not compared
	Needs        []Key      `json:"needs,omitempty"`  // what has to be there before it; not compared
}

// Kind implements Object.
func (v *View) Kind() Kind { return KindView }

// ObjectName implements Object.
func (v *View) ObjectName() string { return v.Name }

// Properties implements Object.
func (v *View) Properties() []Property {
	return append([]Property{
		{"materialized", flag(v.Materialized)},
		{"definition", v.Definition},
		{PropertyOwner, v.Owner},
		{PropertyComment, v.Comment},
	}, v.Options...)
}

// Children implements Object. Columns of which nothing is set but what follows from the query are left
// out.
func (v *View) Children() []Object {
	var set []Object
	for _, c := range v.Columns {
		if c.Default != "" || c.Comment != "" || len(c.Options) > 0 {
			set = append(set, c)
		}
	}
	return concat(set, objects(v.Indexes), objects(v.Triggers), objects(v.Rules), objects(v.Grants))
}

// Routine is a function, procedure, aggregate or window function.
type Routine struct {
	Name       string     `json:"name"`           // with the types of its arguments, since names may be overloaded
	Form       string     `json:"form,omitempty"` // function, procedure, aggregate, window
	Owner      string     `json:"owner,omitempty"`
	Definition string     `json:"definition"` // the whole statement that makes it
	Options    []Property `json:"options,omitempty"`
	Comment    string     `json:"comment,omitempty"`
	Grants     []*Grant   `json:"grants,omitempty"`
	Needs      []Key      `json:"needs,omitempty"` // what has to be there before it; not compared
}

// Kind implements Object.
func (r *Routine) Kind() Kind { return KindRoutine }

// ObjectName implements Object.
func (r *Routine) ObjectName() string { return r.Name }

// Properties implements Object.
func (r *Routine) Properties() []Property {
	return append([]Property{{"form", r.Form}, {"definition", r.Definition}, {PropertyOwner, r.Owner}, {PropertyComment, r.Comment}}, r.Options...)
}

// Children implements Object.
func (r *Routine) Children() []Object { return objects(r.Grants) }

// The forms of type.
const (
	Enum      = "enum"
	Domain    = "domain"
	Composite = "composite"
	Range     = "range"
	Base      = "base"
	Shell     = "shell"
)

// Type is an enum, domain, composite, range or base type.
type Type struct {
	Name        string        `json:"name"`
	Form        string        `json:"form"`
	Owner       string        `json:"owner,omitempty"`
	Definition  string        `json:"definition"` // all of it in the engine's words, but for what the fields below hold
	Labels      []string      `json:"labels,omitempty"`
	Attributes  []*Column     `json:"attributes,omitempty"`  // of a composite type
	Constraints []*Constraint `json:"constraints,omitempty"` // of a domain
	Options     []Property    `json:"options,omitempty"`
	Comment     string        `json:"comment,omitempty"`
	Grants      []*Grant      `json:"grants,omitempty"`
	Needs       []Key         `json:"needs,omitempty"` // what has to be there before it; not compared
}

// Kind implements Object.
func (t *Type) Kind() Kind { return KindType }

// ObjectName implements Object.
func (t *Type) ObjectName() string { return t.Name }

// Properties implements Object.
func (t *Type) Properties() []Property {
	return append([]Property{
		{"form", t.Form},
		{"definition", t.Definition},
		{"labels", literals(t.Labels)},
		{PropertyOwner, t.Owner},
		{PropertyComment, t.Comment},
	}, t.Options...)
}

// Children implements Object.
func (t *Type) Children() []Object {
	return concat(objects(t.Attributes), objects(t.Constraints), objects(t.Grants))
}

// Extends tells whether an enum has all labels of another, in their order, and maybe more: servers can add labels, and no more.
func (t *Type) Extends(other *Type) bool {
	rest := other.Labels
	for _, label := range t.Labels {
		if len(rest) > 0 && rest[0] == label {
			rest = rest[1:]
		}
	}
	return len(rest) == 0
}

// Sequence is a sequence of its own; those of identity columns belong to their column.
type Sequence struct {
	Name       string     `json:"name"`
	Owner      string     `json:"owner,omitempty"`
	Definition string     `json:"definition"` // type, start, increment and so on, in one text
	Options    []Property `json:"options,omitempty"`
	Comment    string     `json:"comment,omitempty"`
	Grants     []*Grant   `json:"grants,omitempty"`
}

// Kind implements Object.
func (s *Sequence) Kind() Kind { return KindSequence }

// ObjectName implements Object.
func (s *Sequence) ObjectName() string { return s.Name }

// Properties implements Object.
func (s *Sequence) Properties() []Property {
	return append([]Property{{"definition", s.Definition}, {PropertyOwner, s.Owner}, {PropertyComment, s.Comment}}, s.Options...)
}

// Children implements Object.
func (s *Sequence) Children() []Object { return objects(s.Grants) }

// literals writes texts as SQL literals, set apart by commas.
func literals(list []string) string {
	var b []byte
	for i, text := range list {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, '\'')
		for j := range len(text) {
			if text[j] == '\'' {
				b = append(b, '\'')
			}
			b = append(b, text[j])
		}
		b = append(b, '\'')
	}
	return string(b)
}
