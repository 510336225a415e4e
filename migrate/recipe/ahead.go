package recipe

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// foresee finds the rules whose old columns the application's triggers read before a row is written. Where the new version
// writes the new columns, these would see what the old ones said before, as down comes behind them: such a rule has a pass
// ahead of them, which says it to the old columns first.
func (p *planner) foresee(s *sync) {
	t := p.now.Schema(s.table.Schema).Table(s.table.Name)
	for _, r := range s.rules {
		if r.hidden || len(r.down) == 0 {
			continue
		}
		for _, g := range t.Triggers {
			if !isOurs(g) && p.firesFor(g, r.old) {
				p.note("Trigger %s fires for updates of %s alone: where the new version updates %s, it does not, until contract.", word(g.Name), strings.Join(r.old, ", "), strings.Join(r.new, ", "))
			}
		}
		reader := p.readBefore(s.table, r.old)
		if reader == "" {
			continue
		}
		if p.rebuilds() {
			p.note("Trigger %s reads %s: where the new version writes %s, it sees what the column said before, until contract.", reader, strings.Join(r.old, ", "), strings.Join(r.new, ", "))
			continue
		}
		r.begins = map[string]string{}
		for _, name := range r.old {
			if c := t.Column(name); isConstant(c.Default) {
				r.begins[name] = c.Default
			}
		}
	}
}

// ahead tells whether a rule has a pass ahead of the application's triggers.
func (r *rule) ahead(st state) bool { return st == before && r.begins != nil }

// readBefore names a trigger of the application that reads one of some columns. On PostgreSQL and MySQL those that fire
// once the row is written see it as it has become.
func (p *planner) readBefore(table Table, columns []string) string {
	d := sqltoken.Of(p.engine.name())
	reads := func(text string) bool {
		return slices.ContainsFunc(columns, func(c string) bool { return mentions(text, c, d) })
	}
	for _, g := range p.now.Schema(table.Schema).Table(table.Name).Triggers {
		first := slices.ContainsFunc(sqltoken.Split(g.Definition, d), func(t sqltoken.Token) bool { return t.Is("before") })
		if isOurs(g) || !first && !p.rebuilds() {
			continue
		}
		if reads(or(g.Source, g.Definition)) || slices.ContainsFunc(g.Needs, func(k schema.Key) bool { return reads(p.bodyOf(k)) }) {
			return word(g.Name)
		}
	}
	return ""
}

// firesFor tells whether a trigger names one of some columns behind UPDATE OF.
func (p *planner) firesFor(g *schema.Trigger, columns []string) bool {
	d := sqltoken.Of(p.engine.name())
	list := sqltoken.Split(or(g.Source, g.Definition), d)
	of := slices.IndexFunc(list, func(t sqltoken.Token) bool { return t.Is("of") })
	if of < 1 || !list[of-1].Is("update") {
		return false
	}
	for _, t := range list[of:] {
		if t.Is("on") {
			return false
		}
		if slices.ContainsFunc(columns, func(c string) bool { return t.IsName() && t.Names(c, d) }) {
			return true
		}
	}
	return false
}

// bodyOf is the definition of a function.
func (p *planner) bodyOf(k schema.Key) string {
	in := p.now.Schema(k.Schema)
	if k.Kind != schema.KindRoutine || in == nil {
		return ""
	}
	if i := slices.IndexFunc(in.Routines, func(f *schema.Routine) bool { return f.Name == k.Name }); i >= 0 {
		return in.Routines[i].Definition
	}
	return ""
}
