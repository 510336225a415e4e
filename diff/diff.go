// Package diff compares two models of a schema.
//
//	schema.Database ─┐ filter ┌ rename
//	                 ├────────┴── Compare ──▶ Result ──▶ Report: text, JSON, Markdown, HTML
//	schema.Database ─┘                          │
//	                                            └──────▶ package ddl: the script that turns one into the other
//
// It walks both trees through schema.Object alone, so a new kind of object needs nothing here but a place
// in the order of kinds.
package diff

import (
	"sort"

	"github.com/switchbackdb/switchback/schema"
)

// Action is what has to be done to an object of the first schema to have that of the second.
type Action string

// The actions.
const (
	Add    Action = "add"
	Drop   Action = "drop"
	Modify Action = "modify"
)

// Change is one object that differs. A change of a child is below the change of its parent, which is
// then a Modify without properties of its own.
type Change struct {
	Action     Action           `json:"action"`
	Kind       schema.Kind      `json:"kind"`
	Name       string           `json:"name"`
	Properties []PropertyChange `json:"properties,omitempty"` // of a Modify: what differs; else what the object is like
	Children   []Change         `json:"children,omitempty"`
	Before     schema.Object    `json:"-"` // nil for an Add
	After      schema.Object    `json:"-"` // nil for a Drop
}

// Property returns the change of the property of that name, and whether there is one.
func (c Change) Property(name string) (PropertyChange, bool) {
	for _, p := range c.Properties {
		if p.Name == name {
			return p, true
		}
	}
	return PropertyChange{}, false
}

// PropertyChange is a property with its value on both sides; one is empty where there is none.
type PropertyChange struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Result is a comparison: what a report shows and what a script is made of.
type Result struct {
	From, To *schema.Database // as they were compared: filtered, and From with the renames already in it
	Renames  []Rename         // confirmed: they come first
	Proposed []Rename         // what looks like a rename but was compared as a drop and an add
	Changes  []Change         // ordered by kind and name
}

// Same tells whether nothing differs.
func (r *Result) Same() bool { return len(r.Changes) == 0 && len(r.Renames) == 0 }

// Compare returns what has to change in from to have to. The error is about renames that the options
// confirm and that cannot be.
func Compare(from, to *schema.Database, o Options) (*Result, error) {
	r := &Result{From: o.filter(from), To: o.filter(to), Renames: inOrder(o.Renames)}
	var err error
	if r.From, err = rename(r.From, r.To, r.Renames); err != nil {
		return nil, err
	}
	r.Changes = compare(o.objects(r.From), o.objects(r.To), o)
	r.Proposed = propose(r.Changes)
	return r, nil
}

// Walk calls visit for each change that says something by itself: those that add, drop or have properties
// that differ. path names the object and what it is in, as in "table public.orders, column note".
func Walk(changes []Change, visit func(path string, c Change)) { walk("", "", changes, visit) }

func walk(above, namespace string, changes []Change, visit func(string, Change)) {
	for _, c := range changes {
		path := c.path(above, namespace)
		if c.Action != Modify || len(c.Properties) > 0 {
			visit(path, c)
		}
		switch {
		case c.Action != Modify:
		case c.Kind == schema.KindSchema:
			walk("", c.Name, c.Children, visit)
		default:
			walk(path, namespace, c.Children, visit)
		}
	}
}

// path names a change below the path above, or in a namespace.
func (c Change) path(above, namespace string) string {
	switch {
	case above != "":
		return above + ", " + string(c.Kind) + " " + c.Name
	case namespace != "" && c.Kind != schema.KindSchema:
		return string(c.Kind) + " " + namespace + "." + c.Name
	}
	return string(c.Kind) + " " + c.Name
}

// key tells siblings apart.
type key struct {
	kind schema.Kind
	name string
}

func compare(from, to []schema.Object, o Options) []Change {
	before, after := index(from), index(to)
	var changes []Change
	for k, a := range before {
		b, ok := after[k]
		if !ok {
			changes = append(changes, whole(Drop, a, o))
			continue
		}
		if c, differs := modify(a, b, o); differs {
			changes = append(changes, c)
		}
	}
	for k, b := range after {
		if _, ok := before[k]; !ok {
			changes = append(changes, whole(Add, b, o))
		}
	}
	sort.Slice(changes, func(i, j int) bool {
		if changes[i].Kind != changes[j].Kind {
			return kindBefore(changes[i].Kind, changes[j].Kind)
		}
		return changes[i].Name < changes[j].Name
	})
	return changes
}

func index(list []schema.Object) map[key]schema.Object {
	m := make(map[key]schema.Object, len(list))
	for _, o := range list {
		m[key{o.Kind(), o.ObjectName()}] = o
	}
	return m
}

// rank orders kinds as people read them: a table's columns before its keys before its triggers. Kinds of
// items come last.
func rank(k schema.Kind) int {
	switch k {
	case schema.KindSetting:
		return 0
	case schema.KindExtension:
		return 1
	case schema.KindSchema:
		return 2
	case schema.KindType:
		return 3
	case schema.KindSequence:
		return 4
	case schema.KindTable:
		return 5
	case schema.KindColumn:
		return 6
	case schema.KindConstraint:
		return 7
	case schema.KindIndex:
		return 8
	case schema.KindTrigger:
		return 9
	case schema.KindPolicy:
		return 10
	case schema.KindRule:
		return 11
	case schema.KindGrant:
		return 12
	case schema.KindView:
		return 13
	case schema.KindRoutine:
		return 14
	}
	return 15
}

// whole is the change that adds or drops an object with all below it.
func whole(action Action, object schema.Object, o Options) Change {
	c := Change{Action: action, Kind: object.Kind(), Name: object.ObjectName()}
	for _, p := range o.properties(object) {
		switch {
		case p.Value == "":
		case action == Add:
			c.Properties = append(c.Properties, PropertyChange{Name: p.Name, To: p.Value})
		default:
			c.Properties = append(c.Properties, PropertyChange{Name: p.Name, From: p.Value})
		}
	}
	for _, child := range o.children(object) {
		c.Children = append(c.Children, whole(action, child, o))
	}
	if action == Add {
		c.After = object
	} else {
		c.Before = object
	}
	return c
}

// modify compares two objects of the same kind and name.
func modify(a, b schema.Object, o Options) (Change, bool) {
	c := Change{Action: Modify, Kind: a.Kind(), Name: a.ObjectName(), Before: a, After: b}
	from, to := o.properties(a), o.properties(b)
	for _, p := range from {
		if v := schema.Value(to, p.Name); v != p.Value {
			c.Properties = append(c.Properties, PropertyChange{Name: p.Name, From: p.Value, To: v})
		}
	}
	for _, p := range to {
		if p.Value != "" && !has(from, p.Name) {
			c.Properties = append(c.Properties, PropertyChange{Name: p.Name, To: p.Value})
		}
	}
	c.Children = compare(o.children(a), o.children(b), o)
	return c, len(c.Properties) > 0 || len(c.Children) > 0
}

func has(list []schema.Property, name string) bool {
	for _, p := range list {
		if p.Name == name {
			return true
		}
	}
	return false
}
