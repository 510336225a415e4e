package recipe

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// leaving are the columns and tables that contract takes away from under what reads them: into the attic, or
// to another name. A move without a column is of the whole table.
func (p *planner) leaving() []move {
	var out []move
	for _, r := range p.recipes {
		switch r := r.(type) {
		case *dropColumn:
			out = append(out, move{table: r.table, old: r.op.Column})
		case *dropTable:
			out = append(out, move{table: r.table})
		case *renameTable:
			out = append(out, move{table: r.table})
		case mover:
			out = append(out, r.moves()...)
		}
	}
	return out
}

// hits tells whether what something needs is leaving.
func hits(n schema.Key, leaves []move) bool {
	return slices.ContainsFunc(leaves, func(m move) bool {
		if n.Schema != m.table.Schema {
			return false
		}
		if m.old == "" {
			return (n.Kind == schema.KindTable || n.Kind == schema.KindType) && n.Name == m.table.Name || n.Kind == schema.KindColumn && strings.HasPrefix(n.Name, m.table.Name+".")
		}
		return n.Kind == schema.KindColumn && n.Name == m.table.Name+"."+m.old
	})
}

// affected finds the views, policies, rules and other objects that read what is leaving, and the views on
// those views. With the wanted schema at hand they are made again as that has them, rather than by writing
// their text anew.
func (p *planner) affected() map[schema.Key]bool {
	leaves, found := p.leaving(), map[schema.Key]bool{}
	d := sqltoken.Of(p.engine.name())
	reads := func(needs []schema.Key, text string) bool {
		for _, n := range needs {
			if found[n] || hits(n, leaves) {
				return true
			}
		}
		if p.engine.name() == "postgres" {
			return false
		}
		return slices.ContainsFunc(leaves, func(m move) bool {
			return mentions(text, m.table.Name, d) && (m.old == "" || mentions(text, m.old, d))
		}) || slices.ContainsFunc(sqltoken.Split(text, d), func(t sqltoken.Token) bool {
			return t.IsName() && found[schema.Key{Schema: p.now.Schemas[0].Name, Kind: schema.KindView, Name: t.Name}]
		})
	}
	for n := -1; n != len(found); {
		n = len(found)
		for _, s := range p.now.Schemas {
			for _, v := range s.Views {
				if reads(v.Needs, or(v.Source, v.Definition)) {
					found[schema.Key{Schema: s.Name, Kind: schema.KindView, Name: v.Name}] = true
				}
			}
			for _, i := range s.Items {
				if reads(i.Needs, "") {
					found[schema.Key{Schema: s.Name, Kind: i.Of, Name: i.Name}] = true
				}
			}
			for _, t := range s.Tables {
				part := func(k schema.Kind, name string) schema.Key {
					return schema.Key{Schema: s.Name, Kind: k, Name: t.Name + "." + name}
				}
				for _, o := range t.Policies {
					if reads(o.Needs, "") {
						found[part(schema.KindPolicy, o.Name)] = true
					}
				}
				for _, o := range t.Rules {
					if reads(o.Needs, "") {
						found[part(schema.KindRule, o.Name)] = true
					}
				}
			}
			for _, r := range s.Routines {
				k := schema.Key{Schema: s.Name, Kind: schema.KindRoutine, Name: r.Name}
				if reads(r.Needs, "") && !p.needed(k, found) {
					found[k] = true
				}
			}
		}
	}
	for _, r := range p.recipes {
		if r, ok := r.(*renameTable); ok { // its own view makes room by itself
			delete(found, schema.Key{Schema: r.table.Schema, Kind: schema.KindView, Name: r.op.To})
		}
	}
	return found
}

// needed tells whether anything that stays needs an object.
func (p *planner) needed(k schema.Key, gone map[schema.Key]bool) bool {
	needed := false
	eachObject(p.now, func(key schema.Key, o schema.Object) {
		if needed || gone[key] {
			return
		}
		needed = slices.Contains(needsOf(o), k)
		for _, c := range o.Children() {
			part := schema.Key{Schema: key.Schema, Kind: c.Kind(), Name: key.Name + "." + c.ObjectName()}
			needed = needed || !gone[part] && slices.Contains(needsOf(c), k)
		}
	})
	return needed
}

// without is the model without some objects.
func without(d *schema.Database, gone map[schema.Key]bool) *schema.Database {
	out := *d
	out.Schemas = slices.Clone(d.Schemas)
	for i, s := range out.Schemas {
		n := *s
		n.Views, n.Items, n.Routines = less(s.Views, s.Name, "", gone), less(s.Items, s.Name, "", gone), less(s.Routines, s.Name, "", gone)
		n.Tables = slices.Clone(s.Tables)
		for j, t := range n.Tables {
			c := *t
			c.Policies, c.Rules = less(t.Policies, s.Name, t.Name+".", gone), less(t.Rules, s.Name, t.Name+".", gone)
			n.Tables[j] = &c
		}
		out.Schemas[i] = &n
	}
	return &out
}

func less[T schema.Object](list []T, in, prefix string, gone map[schema.Key]bool) []T {
	return slices.DeleteFunc(slices.Clone(list), func(o T) bool {
		return gone[schema.Key{Schema: in, Kind: o.Kind(), Name: prefix + o.ObjectName()}]
	})
}

// stepAside takes what reads leaving columns and tables out of the way. Where each statement takes effect by
// itself, what the wanted schema has in its place is made at once, as far as that is possible.
func (p *planner) stepAside(gone map[schema.Key]bool) error {
	if len(gone) == 0 {
		return nil
	}
	p.saying = "It is made again below, as it is to be. Until then nobody sees it missing: it is one transaction."
	defer func() { p.saying = "" }()
	next := without(p.now, gone)
	if p.engine.locksGroups() {
		p.saying = "It reads what stays from here on."
		next = p.remake(next, gone)
	}
	return p.step(nil, func(e *edit) { e.database = next })
}

// comeBack makes again what stepped aside, as the wanted schema has it.
func (p *planner) comeBack(gone map[schema.Key]bool) error {
	p.saying = "It reads what stays from here on."
	defer func() { p.saying = "" }()
	if len(gone) == 0 {
		return nil
	}
	next := p.remake(p.now, gone)
	return p.step(nil, func(e *edit) { e.database = next })
}

// remake adds those of some objects that the wanted schema has, where what they need is there.
func (p *planner) remake(d *schema.Database, gone map[schema.Key]bool) *schema.Database {
	q := *p
	q.now = d
	k := &taker{planner: &q, stage: settling}
	k.there, k.fresh = keysOf(d), map[schema.Key]bool{}
	k.choose()
	out := *d
	out.Schemas = slices.Clone(d.Schemas)
	for i, s := range out.Schemas {
		to := p.target.Schema(s.Name)
		if to == nil {
			continue
		}
		n := *s
		n.Views, n.Items, n.Routines = more(k, s.Name, s.Views, to.Views, gone), more(k, s.Name, s.Items, to.Items, gone), more(k, s.Name, s.Routines, to.Routines, gone)
		n.Tables = slices.Clone(s.Tables)
		for j, t := range n.Tables {
			if wanted := to.Table(t.Name); wanted != nil {
				c := *t
				c.Policies, c.Rules = k.parts(s.Name, t, wanted, gone)
				n.Tables[j] = &c
			}
		}
		out.Schemas[i] = &n
	}
	return &out
}

// parts are the policies and rules of a table with those of some objects made again. Where the table has another name by
// now, they go by its old one in gone.
func (k *taker) parts(in string, t, wanted *schema.Table, gone map[schema.Key]bool) ([]*schema.Policy, []*schema.Rule) {
	old := t.Name
	for _, r := range k.recipes {
		if r, ok := r.(*renameTable); ok && r.op.To == t.Name && r.table.Schema == in {
			old = r.table.Name
		}
	}
	policies, rules := slices.Clone(t.Policies), slices.Clone(t.Rules)
	for _, o := range wanted.Policies {
		if gone[schema.Key{Schema: in, Kind: schema.KindPolicy, Name: old + "." + o.Name}] && k.partReady(in, t.Name, o) {
			policies = append(policies, o)
		}
	}
	for _, o := range wanted.Rules {
		if gone[schema.Key{Schema: in, Kind: schema.KindRule, Name: old + "." + o.Name}] && k.partReady(in, t.Name, o) {
			rules = append(rules, o)
		}
	}
	return policies, rules
}

func more[T schema.Object](k *taker, in string, now, to []T, gone map[schema.Key]bool) []T {
	out := slices.Clone(now)
	for _, o := range to {
		key := schema.Key{Schema: in, Kind: o.Kind(), Name: o.ObjectName()}
		if gone[key] && k.fresh[key] {
			out = append(out, o)
		}
	}
	return out
}
