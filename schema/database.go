package schema

// Database is a whole catalogue.
type Database struct {
	Engine    string     `json:"engine"`             // postgres, mysql, mariadb or sqlite; empty for the empty one
	Version   string     `json:"version,omitempty"`  // the server's version; no part of the comparison
	Settings  []*Setting `json:"settings,omitempty"` // of the database: its encoding, what ALTER DATABASE SET has set
	Items     []*Item    `json:"items,omitempty"`    // what belongs to no schema: extensions, publications, casts
	Schemas   []*Schema  `json:"schemas"`
	Uncovered []Census   `json:"uncovered,omitempty"` // what the catalogue holds and the model does not
}

// Census counts objects of a kind that the model does not hold, and says why.
type Census struct {
	Kind  Kind     `json:"kind"`
	Count int      `json:"count"`
	Names []string `json:"names"`         // the first few
	Why   string   `json:"why,omitempty"` // empty: the model does not cover the kind; else such as "no right to read them"
}

// Schema returns the schema of that name, or nil.
func (d *Database) Schema(name string) *Schema { return find(d.Schemas, name) }

// Objects returns what the database consists of: settings, items, schemas.
func (d *Database) Objects() []Object {
	return concat(objects(d.Settings), objects(d.Items), objects(d.Schemas))
}

// Setting is a setting of the whole database.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Fixed settings are chosen when a database is made and cannot be changed by a script.
	Fixed bool `json:"fixed,omitempty"`
}

// Kind implements Object.
func (s *Setting) Kind() Kind { return KindSetting }

// ObjectName implements Object.
func (s *Setting) ObjectName() string { return s.Name }

// Properties implements Object.
func (s *Setting) Properties() []Property { return []Property{{"value", s.Value}} }

// Children implements Object.
func (s *Setting) Children() []Object { return nil }

// Schema is a namespace. Engines without schemas have one whose name is "main".
type Schema struct {
	Name      string      `json:"name"`
	Owner     string      `json:"owner,omitempty"` // empty when it is the database's owner; so in all objects
	Comment   string      `json:"comment,omitempty"`
	Options   []Property  `json:"options,omitempty"`
	Types     []*Type     `json:"types,omitempty"`
	Sequences []*Sequence `json:"sequences,omitempty"`
	Tables    []*Table    `json:"tables,omitempty"`
	Views     []*View     `json:"views,omitempty"`
	Routines  []*Routine  `json:"routines,omitempty"`
	Items     []*Item     `json:"items,omitempty"` // what has no struct of its own: events, operators, collations
	Grants    []*Grant    `json:"grants,omitempty"`
}

// Table returns the table of that name, or nil.
func (s *Schema) Table(name string) *Table { return find(s.Tables, name) }

// View returns the view of that name, or nil.
func (s *Schema) View(name string) *View { return find(s.Views, name) }

// Type returns the type of that name, or nil.
func (s *Schema) Type(name string) *Type { return find(s.Types, name) }

// Kind implements Object.
func (s *Schema) Kind() Kind { return KindSchema }

// ObjectName implements Object.
func (s *Schema) ObjectName() string { return s.Name }

// Properties implements Object.
func (s *Schema) Properties() []Property {
	return append([]Property{{PropertyOwner, s.Owner}, {PropertyComment, s.Comment}}, s.Options...)
}

// Children implements Object.
func (s *Schema) Children() []Object {
	return concat(objects(s.Types), objects(s.Sequences), objects(s.Tables), objects(s.Views), objects(s.Routines), objects(s.Items), objects(s.Grants))
}

// Item is an object that the model knows as a whole: by the statement that makes it, and by what can be
// altered in it.
type Item struct {
	Of         Kind       `json:"kind"`
	Name       string     `json:"name"`
	Definition string     `json:"definition"` // the statement that makes it, without a semicolon
	Options    []Property `json:"options,omitempty"`
	Owner      string     `json:"owner,omitempty"`
	Comment    string     `json:"comment,omitempty"`
	Grants     []*Grant   `json:"grants,omitempty"`
	Needs      []Key      `json:"needs,omitempty"` // what has to be there before it; no part of the comparison
}

// Kind implements Object.
func (i *Item) Kind() Kind { return i.Of }

// ObjectName implements Object.
func (i *Item) ObjectName() string { return i.Name }

// Properties implements Object.
func (i *Item) Properties() []Property {
	return append([]Property{{"definition", i.Definition}, {PropertyOwner, i.Owner}, {PropertyComment, i.Comment}}, i.Options...)
}

// Children implements Object.
func (i *Item) Children() []Object { return objects(i.Grants) }

// Grant is what a role may do with an object, or with a column of it.
type Grant struct {
	To         string `json:"to"`                  // the role, or "public"; what belongs to the owner anyway is left out
	Column     string `json:"column,omitempty"`    // where it is for one column alone
	Privileges string `json:"privileges"`          // in the order of the alphabet: "INSERT, SELECT"
	Grantable  string `json:"grantable,omitempty"` // those of them that may be handed on
}

// Kind implements Object.
func (g *Grant) Kind() Kind { return KindGrant }

// ObjectName implements Object.
func (g *Grant) ObjectName() string {
	if g.Column != "" {
		return "to " + g.To + " on column " + g.Column
	}
	return "to " + g.To
}

// Properties implements Object.
func (g *Grant) Properties() []Property {
	return []Property{{"privileges", g.Privileges}, {"grantable", g.Grantable}}
}

// Children implements Object.
func (g *Grant) Children() []Object { return nil }
