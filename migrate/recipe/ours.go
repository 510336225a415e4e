package recipe

import (
	"regexp"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// ourRoutine is the name of a function that keeps two shapes in step.
var ourRoutine = regexp.MustCompile(`^switchback_[0-9]+_`)

// isOurs tells whether an object is one that a change has made for its own use, and takes away again.
func isOurs(o schema.Object) bool {
	name := o.ObjectName()
	attic := strings.HasPrefix(name, oldPrefix) || strings.HasPrefix(name, newPrefix)
	switch o.Kind() {
	case schema.KindTable:
		return attic || strings.HasSuffix(name, secondNew) || strings.HasSuffix(name, secondOld)
	case schema.KindColumn, schema.KindConstraint, schema.KindIndex, schema.KindType:
		return attic
	case schema.KindTrigger:
		return strings.HasPrefix(name, "zz_switchback_") || strings.HasPrefix(name, early) || ourRoutine.MatchString(name)
	case schema.KindRoutine:
		return ourRoutine.MatchString(name)
	}
	return false
}

// onOurs tells whether one of some columns is ours.
func onOurs(columns []string) bool {
	return slices.ContainsFunc(columns, func(c string) bool { return isOurs(&schema.Column{Name: c}) })
}

// withoutOurs is a model without what changes that are on their way have made for their own use.
func withoutOurs(d *schema.Database) *schema.Database {
	out := *d
	out.Schemas = slices.Clone(d.Schemas)
	for i, s := range out.Schemas {
		n := *s
		n.Tables, n.Routines, n.Types = theirs(s.Tables), theirs(s.Routines), theirs(s.Types)
		for j, t := range n.Tables {
			c := *t
			c.Columns, c.Triggers = theirs(t.Columns), theirs(t.Triggers)
			c.Constraints = slices.DeleteFunc(theirs(t.Constraints), func(k *schema.Constraint) bool { return onOurs(k.Columns) })
			c.Indexes = slices.DeleteFunc(theirs(t.Indexes), func(x *schema.Index) bool { return onOurs(x.Columns) })
			c.Grants = slices.DeleteFunc(slices.Clone(t.Grants), func(g *schema.Grant) bool { return g.Column != "" && onOurs([]string{g.Column}) })
			n.Tables[j] = &c
		}
		out.Schemas[i] = &n
	}
	return &out
}

func theirs[T schema.Object](list []T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(o T) bool { return isOurs(o) })
}

// eachObject visits what belongs to no table.
func eachObject(d *schema.Database, visit func(schema.Key, schema.Object)) {
	for _, i := range d.Items {
		visit(schema.Key{Kind: i.Of, Name: i.Name}, i)
	}
	for _, s := range d.Schemas {
		for _, o := range s.Children() {
			if o.Kind() != schema.KindGrant {
				visit(schema.Key{Schema: s.Name, Kind: o.Kind(), Name: o.ObjectName()}, o)
			}
		}
	}
}

// partsOf visits what belongs to a table or view.
func partsOf(key schema.Key, o schema.Object, visit func(schema.Key)) {
	list := o.Children()
	if v, ok := o.(*schema.View); ok {
		for _, c := range v.Columns {
			list = append(list, c)
		}
	}
	for _, c := range list {
		if c.Kind() != schema.KindGrant {
			visit(schema.Key{Schema: key.Schema, Kind: c.Kind(), Name: key.Name + "." + c.ObjectName()})
		}
	}
}

// keysOf are all the objects that others may need.
func keysOf(d *schema.Database) map[schema.Key]bool {
	out := map[schema.Key]bool{}
	eachObject(d, func(k schema.Key, o schema.Object) {
		out[k] = true
		partsOf(k, o, func(part schema.Key) { out[part] = true })
	})
	return out
}

// needsOf is what an object says has to be there before it.
func needsOf(o schema.Object) []schema.Key {
	switch o := o.(type) {
	case *schema.Item:
		return slices.Clone(o.Needs)
	case *schema.Table:
		return slices.Clone(o.Needs)
	case *schema.View:
		return slices.Clone(o.Needs)
	case *schema.Routine:
		return slices.Clone(o.Needs)
	case *schema.Type:
		list := slices.Clone(o.Needs)
		for _, a := range o.Attributes {
			list = append(list, a.Needs...)
		}
		return list
	case *schema.Column:
		return slices.Clone(o.Needs)
	case *schema.Constraint:
		return slices.Clone(o.Needs)
	case *schema.Index:
		return slices.Clone(o.Needs)
	case *schema.Trigger:
		return slices.Clone(o.Needs)
	case *schema.Policy:
		return slices.Clone(o.Needs)
	case *schema.Rule:
		return slices.Clone(o.Needs)
	}
	return nil
}

// neededByOurs is what columns and tables in the attic have need of: it cannot go before them.
func neededByOurs(d *schema.Database) map[schema.Key]bool {
	out := map[schema.Key]bool{}
	need := func(list []schema.Key) {
		for _, k := range list {
			out[k] = true
		}
	}
	for _, s := range d.Schemas {
		for _, t := range s.Tables {
			for _, c := range t.Columns {
				if isOurs(t) || isOurs(c) {
					need(c.Needs)
				}
			}
			if !isOurs(t) {
				continue
			}
			need(t.Needs)
			for _, c := range t.Children() {
				need(needsOf(c))
			}
		}
		for _, q := range s.Sequences {
			if strings.Contains(schema.Value(q.Options, "owned by"), oldPrefix) {
				out[schema.Key{Schema: s.Name, Kind: schema.KindSequence, Name: q.Name}] = true
			}
		}
	}
	for again := true; again; { // what those need
		again = false
		eachObject(d, func(k schema.Key, o schema.Object) {
			if !out[k] {
				return
			}
			for _, n := range needsOf(o) {
				if !out[n] {
					out[n], again = true, true
				}
			}
		})
	}
	return out
}

// columnsOf lists columns with their schema and table.
func columnsOf(d *schema.Database) [][3]string {
	var out [][3]string
	for _, s := range d.Schemas {
		for _, t := range s.Tables {
			for _, c := range t.Columns {
				out = append(out, [3]string{s.Name, t.Name, c.Name})
			}
		}
	}
	return out
}
