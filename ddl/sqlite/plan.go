package sqlite

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/internal/sqliteddl"
	"github.com/switchbackdb/switchback/schema"
)

// plan is what has to be done.
type plan struct {
	result         *diff.Result
	from, to       *schema.Schema
	drops          []*schema.Table // tables
	adds           []*schema.Table
	alters         []*alteration
	dropped        map[part]string // indexes, triggers and views that have to go first, with the reason
	made           map[part]bool   // indexes, triggers and views that have to be made at the end
	settings       []diff.Change
	first          []ddl.Statement // what comes before the transaction
	notes          []string
	foreignKeysOff bool
}

// part is an index, trigger or view by its kind and its name in lower case. SQLite tells neither case
// apart nor two of them in different tables.
type part struct {
	kind schema.Kind
	name string
}

func partOf(o schema.Object) part { return part{o.Kind(), strings.ToLower(o.ObjectName())} }

func newPlan(r *diff.Result) (*plan, error) {
	p := &plan{result: r, from: mainOf(r.From), to: mainOf(r.To), dropped: map[part]string{}, made: map[part]bool{}}
	for _, c := range r.Changes {
		switch {
		case c.Kind == schema.KindSetting:
			p.settings = append(p.settings, c)
		case c.Kind == schema.KindSchema && c.Name == "main":
			for _, child := range c.Children {
				p.change(child)
			}
		default:
			p.notes = append(p.notes, fmt.Sprintf("nothing is done about %s %s: SQLite has none", c.Kind, c.Name))
		}
	}
	p.pairCases()
	for _, a := range p.alters {
		if err := a.decide(); err != nil {
			return nil, err
		}
	}
	p.renamed()
	p.dependents()
	p.fixedSettings()
	p.foreignKeysOff = len(p.drops) > 0
	for _, a := range p.alters {
		p.foreignKeysOff = p.foreignKeysOff || a.rebuild || a.addsForeignKey
	}
	return p, nil
}

func mainOf(d *schema.Database) *schema.Schema {
	if s := d.Schema("main"); s != nil {
		return s
	}
	return &schema.Schema{Name: "main"}
}

// change sorts a difference of an object of the schema.
func (p *plan) change(c diff.Change) {
	switch c.Kind {
	case schema.KindTable:
		before, _ := c.Before.(*schema.Table)
		after, _ := c.After.(*schema.Table)
		switch {
		case after == nil:
			p.drops = append(p.drops, before)
		case before == nil:
			p.adds = append(p.adds, after)
			p.makeAll(after)
		case isVirtual(before) || isVirtual(after):
			if len(c.Properties) > 0 {
				p.drops, p.adds = append(p.drops, before), append(p.adds, after)
				p.makeAll(after)
			}
		default:
			p.alters = append(p.alters, &alteration{from: before, to: after, change: c})
			p.parts(c.Children)
		}
	case schema.KindView:
		if c.Action != diff.Modify || len(c.Properties) > 0 {
			p.parts([]diff.Change{c})
			if v, ok := c.After.(*schema.View); ok {
				p.makeTriggers(v.Triggers)
			}
		}
		p.parts(c.Children)
	}
}

func isVirtual(t *schema.Table) bool { return schema.Value(t.Options, "virtual") != "" }

// parts notes which indexes, triggers and views go and come.
func (p *plan) parts(changes []diff.Change) {
	for _, c := range changes {
		if c.Kind != schema.KindIndex && c.Kind != schema.KindTrigger && c.Kind != schema.KindView {
			continue
		}
		if c.Before != nil {
			p.dropped[partOf(c.Before)] = "" // the definition is another, or none
		}
		if c.After != nil {
			p.made[partOf(c.After)] = true
		}
	}
}

// makeAll notes that all that hangs on a table has to be made.
func (p *plan) makeAll(t *schema.Table) {
	for _, x := range t.Indexes {
		p.made[partOf(x)] = true
	}
	p.makeTriggers(t.Triggers)
}

func (p *plan) makeTriggers(triggers []*schema.Trigger) {
	for _, x := range triggers {
		p.made[partOf(x)] = true
	}
}

// pairCases finds tables whose name differs in nothing but case, which are the same table to SQLite.
func (p *plan) pairCases() {
	var drops []*schema.Table
	for _, from := range p.drops {
		i := indexFold(p.adds, from.Name)
		if i < 0 || isVirtual(from) || isVirtual(p.adds[i]) {
			drops = append(drops, from)
			continue
		}
		p.alters = append(p.alters, &alteration{from: from, to: p.adds[i], rebuild: true, why: "its name is written in another case"})
		p.adds = append(p.adds[:i:i], p.adds[i+1:]...)
	}
	p.drops = drops
}

// renamed sees to confirmed renames of what SQLite cannot rename: indexes and views are made again.
func (p *plan) renamed() {
	for _, r := range p.result.Renames {
		if r.Kind == schema.KindIndex || r.Kind == schema.KindView {
			p.made[part{r.Kind, strings.ToLower(r.To)}] = true
			p.dropped[part{r.Kind, strings.ToLower(r.To)}] = "It gets the name " + r.To + "."
		}
		if v := p.to.View(r.To); r.Kind == schema.KindView && v != nil {
			p.makeTriggers(v.Triggers)
		}
	}
}

// nameOf is the name that a table, index or view has until now.
func (p *plan) nameOf(o schema.Object) string {
	for _, r := range p.result.Renames {
		if r.Kind == o.Kind() && strings.EqualFold(r.To, o.ObjectName()) {
			return r.From
		}
	}
	return o.ObjectName()
}

// dependents finds the views and triggers that name what is altered, by the names of tables and views in
// their text. SQLite would check them at each step, or change them, so they go first and come back last.
func (p *plan) dependents() {
	touched := p.touched()
	if touched == nil {
		return
	}
	for again := true; again; {
		again = false
		for _, v := range p.from.Views {
			if names(v.Source, touched) && !touched[strings.ToLower(v.Name)] {
				touched[strings.ToLower(v.Name)], again = true, true
			}
		}
	}
	for _, v := range p.from.Views {
		if touched[strings.ToLower(v.Name)] {
			p.again(v)
			for _, t := range v.Triggers {
				p.made[partOf(t)] = p.made[partOf(t)] || p.remains(t)
			}
		}
		for _, t := range v.Triggers {
			if names(t.Source, touched) {
				p.again(t)
			}
		}
	}
	for _, table := range p.from.Tables {
		for _, t := range table.Triggers {
			if names(t.Source, touched) {
				p.again(t)
			}
		}
	}
}

// touched returns the tables that are altered in a way that SQLite checks other objects at, and what is
// missing while it does, in lower case; nil when there are none.
func (p *plan) touched() map[string]bool {
	touched := map[string]bool{}
	for _, a := range p.alters {
		if a.rebuild || len(a.dropped) > 0 {
			touched[strings.ToLower(a.from.Name)] = true
			if a.rebuild {
				p.makeAll(a.to)
			}
		}
	}
	for _, r := range p.result.Renames {
		switch r.Kind {
		case schema.KindTable:
			touched[strings.ToLower(r.From)], touched[strings.ToLower(r.To)] = true, true
		case schema.KindColumn:
			touched[strings.ToLower(r.Parent)] = true
		}
	}
	if len(touched) == 0 {
		return nil
	}
	for _, t := range p.drops {
		touched[strings.ToLower(t.Name)] = true
	}
	for k := range p.dropped {
		if k.kind == schema.KindView {
			touched[k.name] = true
		}
	}
	return touched
}

func names(sql string, wanted map[string]bool) bool {
	for n := range sqliteddl.Mentions(sql) {
		if wanted[n] {
			return true
		}
	}
	return false
}

// again notes that a view or trigger goes and, unless it is to go for good, comes back.
func (p *plan) again(o schema.Object) {
	k := partOf(o)
	if _, already := p.dropped[k]; already {
		return
	}
	p.dropped[k] = "It names what is altered below, and is made again after that."
	p.made[k] = p.made[k] || p.remains(o)
}

// remains tells whether a trigger or view of the first schema is there in the end. What a filter leaves
// out of the second schema but not of the changes is none of ours to drop.
func (p *plan) remains(o schema.Object) bool {
	for _, t := range p.drops {
		for _, x := range t.Triggers {
			if partOf(x) == partOf(o) {
				return false
			}
		}
	}
	for _, v := range p.from.Views {
		_, gone := p.dropped[partOf(v)]
		for _, x := range v.Triggers {
			if partOf(x) == partOf(o) && gone && !p.made[partOf(v)] {
				return false
			}
		}
	}
	why, drop := p.dropped[partOf(o)]
	return !drop || p.made[partOf(o)] || why != ""
}

func indexFold[T schema.Object](list []T, name string) int {
	for i, o := range list {
		if strings.EqualFold(o.ObjectName(), name) {
			return i
		}
	}
	return -1
}
