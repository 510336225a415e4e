// Package diff compares two models of a schema.
//
//	schema.Database ─┐
//	                 ├─ Compare ──▶ []Change ──▶ Text, JSON
//	schema.Database ─┘
//
// It walks both trees through schema.Object alone, so a new kind of object needs nothing here.
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
}

// PropertyChange is a property with its value on both sides; one is empty where there is none.
type PropertyChange struct {
	Name string `json:"name"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Compare returns what has to change in from to have to, ordered by kind and name.
func Compare(from, to *schema.Database) []Change {
	return compare(from.Objects(), to.Objects())
}

// key tells siblings apart.
type key struct {
	kind schema.Kind
	name string
}

func compare(from, to []schema.Object) []Change {
	before, after := index(from), index(to)
	var changes []Change
	for k, a := range before {
		b, ok := after[k]
		if !ok {
			changes = append(changes, whole(Drop, a))
			continue
		}
		if c, differs := modify(a, b); differs {
			changes = append(changes, c)
		}
	}
	for k, b := range after {
		if _, ok := before[k]; !ok {
			changes = append(changes, whole(Add, b))
		}
	}
	sort.Slice(changes, func(i, j int) bool {
		if a, b := rank(changes[i].Kind), rank(changes[j].Kind); a != b {
			return a < b
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

// rank orders kinds as people read them: a table's columns before its keys before its triggers.
func rank(k schema.Kind) int {
	order := []schema.Kind{
		schema.KindSchema, schema.KindSetting, schema.KindType, schema.KindSequence, schema.KindTable, schema.KindColumn,
		schema.KindConstraint, schema.KindIndex, schema.KindTrigger, schema.KindPolicy, schema.KindView, schema.KindRoutine,
	}
	for i, o := range order {
		if o == k {
			return i
		}
	}
	return len(order)
}

// whole is the change that adds or drops an object with all below it.
func whole(action Action, o schema.Object) Change {
	c := Change{Action: action, Kind: o.Kind(), Name: o.ObjectName()}
	for _, p := range o.Properties() {
		switch {
		case p.Value == "":
		case action == Add:
			c.Properties = append(c.Properties, PropertyChange{Name: p.Name, To: p.Value})
		default:
			c.Properties = append(c.Properties, PropertyChange{Name: p.Name, From: p.Value})
		}
	}
	for _, child := range o.Children() {
		c.Children = append(c.Children, whole(action, child))
	}
	return c
}

// modify compares two objects of the same kind and name.
func modify(a, b schema.Object) (Change, bool) {
	c := Change{Action: Modify, Kind: a.Kind(), Name: a.ObjectName()}
	from, to := properties(a), properties(b)
	for _, p := range append(a.Properties(), b.Properties()...) {
		if from[p.Name] != to[p.Name] {
			c.Properties = append(c.Properties, PropertyChange{Name: p.Name, From: from[p.Name], To: to[p.Name]})
			from[p.Name] = to[p.Name] // once is enough
		}
	}
	c.Children = compare(a.Children(), b.Children())
	return c, len(c.Properties) > 0 || len(c.Children) > 0
}

func properties(o schema.Object) map[string]string {
	m := map[string]string{}
	for _, p := range o.Properties() {
		m[p.Name] = p.Value
	}
	return m
}
