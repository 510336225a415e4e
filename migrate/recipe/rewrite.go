package recipe

import (
	"slices"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// rewrite makes the routines and triggers that name a column which moves as the wanted schema has them, with the exchange:
// a function would fail in between, and a trigger that PostgreSQL binds to the column would fire for the attic.
func (p *planner) rewrite() error {
	moves := p.leaving()
	if p.target == nil || p.rebuilds() || len(moves) == 0 {
		return nil
	}
	k := &taker{planner: p, stage: settling}
	k.there, k.fresh = keysOf(p.now), map[schema.Key]bool{}
	k.choose()
	p.saying = "It reads what stays from here on."
	defer func() { p.saying = "" }()
	return p.step(nil, func(e *edit) {
		for _, s := range p.now.Schemas {
			wanted := p.target.Schema(s.Name)
			if wanted == nil {
				continue
			}
			for _, r := range s.Routines {
				i := slices.IndexFunc(wanted.Routines, func(x *schema.Routine) bool { return x.Name == r.Name })
				if i >= 0 && !isOurs(r) && p.namesMoved(r.Definition, moves) && k.ready(schema.Key{Schema: s.Name, Kind: schema.KindRoutine, Name: r.Name}, wanted.Routines[i]) {
					e.replaceRoutine(s.Name, wanted.Routines[i])
				}
			}
			if p.engine.locksGroups() {
				continue // see turn
			}
			for _, t := range s.Tables {
				if to := wanted.Table(t.Name); to != nil {
					p.rewriteTriggers(e, k, Table{s.Name, t.Name}, to, moves)
				}
			}
		}
	})
}

func (p *planner) rewriteTriggers(e *edit, k *taker, at Table, to *schema.Table, moves []move) {
	for _, g := range p.now.Schema(at.Schema).Table(at.Name).Triggers {
		i := slices.IndexFunc(to.Triggers, func(x *schema.Trigger) bool { return x.Name == g.Name })
		if i < 0 || isOurs(g) || !p.namesMoved(g.Definition, moves) || !k.partReady(at.Schema, at.Name, to.Triggers[i]) {
			continue
		}
		t := e.table(at)
		t.Triggers[slices.IndexFunc(t.Triggers, func(x *schema.Trigger) bool { return x.Name == g.Name })] = to.Triggers[i]
	}
}

// namesMoved tells whether a text names one of the columns that move, or a table that does.
func (p *planner) namesMoved(text string, moves []move) bool {
	d := sqltoken.Of(p.engine.name())
	return slices.ContainsFunc(moves, func(m move) bool { return mentions(text, or(m.old, m.table.Name), d) })
}
