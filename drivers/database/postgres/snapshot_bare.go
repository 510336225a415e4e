package postgres

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// bare returns a copy of a model without what is better made when the rows are there: indexes and keys, which
// are built at once then; foreign keys and checks that call functions, which read other rows; triggers, rules
// and policies, which would act on the rows; views, and what else stands on those. Rights and owners come
// last, too: a table is loaded by who has made it.
func bare(d *schema.Database) (*schema.Database, error) {
	d, err := clone(d)
	if err != nil {
		return nil, err
	}
	c := &cut{needs: map[schema.Key][]schema.Key{}, kept: map[schema.Key]bool{}, later: map[schema.Key]bool{}}
	c.collect(d)
	for k := range c.needs {
		if !c.later[k] && k.Kind != schema.KindRoutine {
			c.keep(k)
		}
	}
	c.keepRoutines()
	c.prune(d)
	return d, nil
}

// cut decides what stays in a bare model.
type cut struct {
	needs map[schema.Key][]schema.Key
	later map[schema.Key]bool // is made afterwards, if nothing before needs it
	kept  map[schema.Key]bool
}

// atTheEnd are items that act on what is made, or stand on tables.
func atTheEnd(i *schema.Item) bool {
	switch i.Of {
	case schema.KindEventTrigger, schema.KindPublication, schema.KindSubscription, schema.KindDefaultPrivileges, schema.KindStatistics:
		return true
	}
	return false
}

func (c *cut) collect(d *schema.Database) {
	for _, i := range d.Items {
		c.item("", i)
	}
	for _, s := range d.Schemas {
		c.add(schema.Key{Schema: s.Name}, nil, false)
		for _, t := range s.Types {
			list := slices.Clone(t.Needs)
			for _, a := range t.Attributes {
				list = append(list, a.Needs...)
			}
			for _, k := range t.Constraints {
				list = append(list, k.Needs...)
			}
			c.add(schema.Key{Schema: s.Name, Kind: schema.KindType, Name: t.Name}, list, false)
		}
		for _, q := range s.Sequences {
			c.add(schema.Key{Schema: s.Name, Kind: schema.KindSequence, Name: q.Name}, nil, false)
		}
		for _, v := range s.Views {
			c.add(schema.Key{Schema: s.Name, Kind: schema.KindView, Name: v.Name}, v.Needs, true)
		}
		for _, r := range s.Routines {
			c.add(schema.Key{Schema: s.Name, Kind: schema.KindRoutine, Name: r.Name}, r.Needs, false)
		}
		for _, i := range s.Items {
			c.item(s.Name, i)
		}
		for _, t := range s.Tables {
			c.table(s.Name, t)
		}
	}
}

func (c *cut) add(k schema.Key, needs []schema.Key, later bool) {
	c.needs[k], c.later[k] = append(c.needs[k], needs...), later
}

func (c *cut) item(namespace string, i *schema.Item) {
	c.add(schema.Key{Schema: namespace, Kind: i.Of, Name: i.Name}, i.Needs, atTheEnd(i))
}

func (c *cut) table(namespace string, t *schema.Table) {
	list := slices.Clone(t.Needs)
	for _, column := range t.Columns {
		list = append(list, column.Needs...)
	}
	c.add(schema.Key{Schema: namespace, Kind: schema.KindTable, Name: t.Name}, list, false)
	for _, k := range t.Constraints {
		key := partKey(namespace, t, k)
		c.add(key, k.Needs, afterRows(k))
	}
	for _, i := range t.Indexes {
		c.add(partKey(namespace, t, i), i.Needs, true)
	}
}

// partKey names a part of a table.
func partKey(namespace string, t *schema.Table, part schema.Object) schema.Key {
	return schema.Key{Schema: namespace, Kind: part.Kind(), Name: t.Name + "." + part.ObjectName()}
}

// afterRows tells whether a constraint is made when the rows are there.
func afterRows(k *schema.Constraint) bool {
	switch k.Type {
	case schema.NotNull:
		return false
	case schema.Check:
		return strings.HasSuffix(k.Definition, " NOT VALID") || slices.ContainsFunc(k.Needs, func(k schema.Key) bool { return k.Kind == schema.KindRoutine })
	}
	return true
}

// keep keeps an object with all that it needs.
func (c *cut) keep(k schema.Key) {
	if c.kept[k] {
		return
	}
	c.kept[k] = true
	for _, n := range c.needs[k] {
		c.keep(n)
	}
}

// keepRoutines keeps those that stand on nothing that comes later: one may call others without saying so.
func (c *cut) keepRoutines() {
	for k := range c.needs {
		if k.Kind == schema.KindRoutine && !c.stands(k, map[schema.Key]bool{}) {
			c.keep(k)
		}
	}
}

// stands tells whether an object needs something that comes later.
func (c *cut) stands(k schema.Key, seen map[schema.Key]bool) bool {
	if c.later[k] && !c.kept[k] {
		return true
	}
	if seen[k] {
		return false
	}
	seen[k] = true
	return slices.ContainsFunc(c.needs[k], func(n schema.Key) bool { return c.stands(n, seen) })
}

func (c *cut) prune(d *schema.Database) {
	d.Settings = nil
	d.Items = slices.DeleteFunc(d.Items, func(i *schema.Item) bool { return !c.kept[schema.Key{Kind: i.Of, Name: i.Name}] })
	for _, s := range d.Schemas {
		gone := func(k schema.Kind, name string) bool { return !c.kept[schema.Key{Schema: s.Name, Kind: k, Name: name}] }
		s.Items = slices.DeleteFunc(s.Items, func(i *schema.Item) bool { return gone(i.Of, i.Name) })
		s.Views = slices.DeleteFunc(s.Views, func(v *schema.View) bool { return gone(schema.KindView, v.Name) })
		s.Routines = slices.DeleteFunc(s.Routines, func(r *schema.Routine) bool { return gone(schema.KindRoutine, r.Name) })
		for _, v := range s.Views {
			v.Indexes, v.Triggers, v.Rules = nil, nil, nil
		}
		for _, q := range s.Sequences {
			q.Owner, q.Grants = "", nil
			q.Options = slices.DeleteFunc(q.Options, func(p schema.Property) bool { return p.Name == "owned by" })
		}
		for _, t := range s.Tables {
			c.pruneTable(s.Name, t)
		}
	}
}

func (c *cut) pruneTable(namespace string, t *schema.Table) {
	t.Owner, t.Grants, t.Triggers, t.Policies, t.Rules = "", nil, nil, nil, nil
	t.Options = slices.DeleteFunc(t.Options, func(p schema.Property) bool {
		return p.Name == "row security" || p.Name == "replica identity" || p.Name == "cluster on"
	})
	t.Constraints = slices.DeleteFunc(t.Constraints, func(k *schema.Constraint) bool { return !c.kept[partKey(namespace, t, k)] })
	t.Indexes = slices.DeleteFunc(t.Indexes, func(i *schema.Index) bool { return !c.kept[partKey(namespace, t, i)] })
}

// keyed returns a copy of a bare model with the indexes and keys of the whole one that stand on nothing else
// that is missing in it: they can be built in whatever order.
func keyed(bare, whole *schema.Database) (*schema.Database, error) {
	d, err := clone(bare)
	if err != nil {
		return nil, err
	}
	there := &cut{needs: map[schema.Key][]schema.Key{}, kept: map[schema.Key]bool{}, later: map[schema.Key]bool{}}
	there.collect(d)
	ready := func(needs []schema.Key) bool {
		return !slices.ContainsFunc(needs, func(k schema.Key) bool {
			_, ok := there.needs[k]
			return !ok && k.Kind != schema.KindColumn && k.Kind != schema.KindTable
		})
	}
	for _, s := range whole.Schemas {
		for _, t := range s.Tables {
			to := d.Schema(s.Name).Table(t.Name)
			for _, k := range t.Constraints {
				if (k.Type == schema.PrimaryKey || k.Type == schema.Unique || k.Type == schema.Exclusion) && to.Constraint(k.Name) == nil && ready(k.Needs) {
					to.Constraints = append(to.Constraints, k)
				}
			}
			for _, i := range t.Indexes {
				if to.Index(i.Name) == nil && ready(i.Needs) {
					to.Indexes = append(to.Indexes, i)
				}
			}
		}
	}
	return d, nil
}
