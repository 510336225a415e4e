package recipe

import (
	"slices"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// Borrow returns the wanted schema with what its source cannot know, and the options leave out of the comparison, as
// the schema before has it: owners, privileges and settings, which a plan then leaves as they are.
func Borrow(from, to *schema.Database, renames []diff.Rename, o diff.Options) (*schema.Database, error) {
	if !o.NoOwners && !o.NoGrants && !o.NoSettings {
		return to, nil
	}
	renames = slices.DeleteFunc(slices.Clone(renames), func(r diff.Rename) bool {
		return r.Kind != schema.KindTable && r.Kind != schema.KindColumn
	})
	before, err := diff.Renamed(from, renames)
	if err != nil {
		return nil, err
	}
	out := *to
	if o.NoSettings {
		out.Settings = before.Settings
	}
	b := borrower{o}
	out.Items = b.items(before.Items, to.Items)
	if o.NoGrants { // nobody says what new objects are to be given, either
		out.Items = slices.DeleteFunc(out.Items, isDefaultPrivileges)
		out.Items = append(out.Items, only1(before.Items, isDefaultPrivileges)...)
	}
	out.Schemas = slices.Clone(to.Schemas)
	for i, s := range out.Schemas {
		if old := before.Schema(s.Name); old != nil {
			out.Schemas[i] = b.schema(old, s)
		}
	}
	return &out, nil
}

func isDefaultPrivileges(i *schema.Item) bool { return i.Of == schema.KindDefaultPrivileges }

func only1[T any](list []T, wanted func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(list), func(x T) bool { return !wanted(x) })
}

type borrower struct{ diff.Options }

func (b borrower) dress(owner *string, grants *[]*schema.Grant, oldOwner string, oldGrants []*schema.Grant) {
	if b.NoOwners {
		*owner = oldOwner
	}
	if b.NoGrants {
		*grants = oldGrants
	}
}

func (b borrower) schema(old, s *schema.Schema) *schema.Schema {
	n := *s
	b.dress(&n.Owner, &n.Grants, old.Owner, old.Grants)
	n.Types = lend(old.Types, s.Types, func(a, c *schema.Type) *schema.Type {
		x := *c
		b.dress(&x.Owner, &x.Grants, a.Owner, a.Grants)
		return &x
	})
	n.Sequences = lend(old.Sequences, s.Sequences, func(a, c *schema.Sequence) *schema.Sequence {
		x := *c
		b.dress(&x.Owner, &x.Grants, a.Owner, a.Grants)
		return &x
	})
	n.Tables = lend(old.Tables, s.Tables, func(a, c *schema.Table) *schema.Table {
		x := *c
		b.dress(&x.Owner, &x.Grants, a.Owner, a.Grants)
		x.Grants = slices.DeleteFunc(slices.Clone(x.Grants), func(g *schema.Grant) bool { return g.Column != "" && c.Column(g.Column) == nil })
		return &x
	})
	n.Views = lend(old.Views, s.Views, func(a, c *schema.View) *schema.View {
		x := *c
		b.dress(&x.Owner, &x.Grants, a.Owner, a.Grants)
		return &x
	})
	n.Routines = lend(old.Routines, s.Routines, func(a, c *schema.Routine) *schema.Routine {
		x := *c
		b.dress(&x.Owner, &x.Grants, a.Owner, a.Grants)
		return &x
	})
	n.Items = b.items(old.Items, s.Items)
	return &n
}

func (b borrower) items(old, list []*schema.Item) []*schema.Item {
	return lend(old, list, func(a, c *schema.Item) *schema.Item {
		x := *c
		b.dress(&x.Owner, &x.Grants, a.Owner, a.Grants)
		return &x
	})
}

// lend gives each object of a list what the one of its name in the other list has.
func lend[T schema.Object](old, list []T, give func(a, c T) T) []T {
	out := slices.Clone(list)
	for i, c := range out {
		if j := slices.IndexFunc(old, func(a T) bool { return a.Kind() == c.Kind() && a.ObjectName() == c.ObjectName() }); j >= 0 {
			out[i] = give(old[j], c)
		}
	}
	return out
}
