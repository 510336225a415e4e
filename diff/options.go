package diff

import (
	"path"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// Options say what is compared. The zero value compares everything but the order of columns.
type Options struct {
	Include     []string      // patterns of objects; without one, all
	Exclude     []string      // patterns of objects
	Kinds       []schema.Kind // only these, with what they are in; without one, all
	NoOwners    bool
	NoGrants    bool
	NoComments  bool
	NoSettings  bool     // of the database: encoding, locale, ALTER DATABASE SET
	ColumnOrder bool     // columns in another order are a difference
	Renames     []Rename // confirmed
}

// A pattern is a name of an object of a schema or of a whole schema, with * and ? for what may stand there,
// and may begin with a kind: "public.tmp_*", "audit", "table:public.orders", "*.users". A name without a dot is that
// of an object in any schema, or of a schema.
func matches(pattern string, kind schema.Kind, namespace, name string) bool {
	if k, rest, ok := strings.Cut(pattern, ":"); ok {
		if k != string(kind) {
			return false
		}
		pattern = rest
	}
	full := name
	if namespace != "" {
		full = namespace + "." + name
	}
	for _, candidate := range []string{full, name} {
		if ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(candidate, "/", "\x00")); ok && err == nil {
			return true
		}
	}
	return false
}

// Match tells whether a pattern of Options matches an object. The namespace is what the object is in: its
// schema or, for a part of a table, "schema.table".
func Match(pattern string, kind schema.Kind, namespace, name string) bool {
	return matches(pattern, kind, namespace, name)
}

// CheckPattern tells whether a pattern can be understood.
func CheckPattern(pattern string) error {
	_, err := path.Match(pattern, "")
	return err
}

func (o Options) wanted(namespace string, object schema.Object) bool {
	kind, name := object.Kind(), object.ObjectName()
	match := func(p string) bool {
		return matches(p, kind, namespace, name) || namespace != "" && matches(p, schema.KindSchema, "", namespace)
	}
	if slices.ContainsFunc(o.Exclude, match) {
		return false
	}
	return len(o.Include) == 0 || slices.ContainsFunc(o.Include, match)
}

// Filter returns the database without the objects that Include and Exclude leave out. What is kept is
// shared with the original, which is not changed.
func (o Options) Filter(d *schema.Database) *schema.Database { return o.filter(d) }

// filter returns the database without the objects that the options leave out. What is kept is shared
// with the original, which is not changed.
func (o Options) filter(d *schema.Database) *schema.Database {
	if len(o.Include) == 0 && len(o.Exclude) == 0 {
		return d
	}
	out := *d
	out.Settings = keep(d.Settings, "", o)
	out.Items = keep(d.Items, "", o)
	out.Schemas = nil
	for _, s := range d.Schemas {
		n := *s
		n.Types, n.Sequences, n.Tables = keep(s.Types, s.Name, o), keep(s.Sequences, s.Name, o), keep(s.Tables, s.Name, o)
		n.Views, n.Routines, n.Items = keep(s.Views, s.Name, o), keep(s.Routines, s.Name, o), keep(s.Items, s.Name, o)
		if len(n.Types)+len(n.Sequences)+len(n.Tables)+len(n.Views)+len(n.Routines)+len(n.Items) > 0 || o.wanted("", s) {
			out.Schemas = append(out.Schemas, &n)
		}
	}
	return &out
}

func keep[T schema.Object](list []T, namespace string, o Options) []T {
	return slices.DeleteFunc(slices.Clone(list), func(x T) bool { return !o.wanted(namespace, x) })
}

// objects are those of the database that are compared.
func (o Options) objects(d *schema.Database) []schema.Object {
	list := o.ofKinds(d.Objects())
	if !o.NoSettings {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(c schema.Object) bool { return c.Kind() == schema.KindSetting })
}

// children are those of an object that are compared.
func (o Options) children(object schema.Object) []schema.Object {
	list := object.Children()
	if object.Kind() == schema.KindSchema {
		list = o.ofKinds(list)
	}
	if o.NoGrants {
		list = slices.DeleteFunc(slices.Clone(list), func(c schema.Object) bool { return c.Kind() == schema.KindGrant })
	}
	return list
}

// ofKinds leaves the kinds out that are not asked for. Schemas stay, for what is in them.
func (o Options) ofKinds(list []schema.Object) []schema.Object {
	if len(o.Kinds) == 0 && !o.NoGrants {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(c schema.Object) bool {
		return o.NoGrants && c.Kind() == schema.KindDefaultPrivileges ||
			len(o.Kinds) > 0 && c.Kind() != schema.KindSchema && !slices.Contains(o.Kinds, c.Kind())
	})
}

// properties are those of an object that are compared.
func (o Options) properties(object schema.Object) []schema.Property {
	list := object.Properties()
	if o.NoOwners || o.NoComments {
		list = slices.DeleteFunc(list, func(p schema.Property) bool {
			return o.NoOwners && p.Name == schema.PropertyOwner || o.NoComments && p.Name == schema.PropertyComment
		})
	}
	if t, ok := object.(*schema.Table); ok && o.ColumnOrder {
		var names []string
		for _, c := range t.Columns {
			names = append(names, c.Name)
		}
		list = append(list, schema.Property{Name: "column order", Value: strings.Join(names, ", ")})
	}
	return list
}
