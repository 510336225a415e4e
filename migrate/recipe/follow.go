package recipe

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// readers are what reads a column by its name, as far as the model knows.
type readers struct {
	generated []string // columns that are computed from it
	routines  []string // functions of the table's triggers whose text names it
}

// readersOf finds what reads a column.
func readersOf(p *planner, table Table, column string) readers {
	var r readers
	t := p.now.Schema(table.Schema).Table(table.Name)
	bare := &schema.Table{Columns: []*schema.Column{{Name: column}}}
	for _, c := range t.Columns {
		if c.Generated != "" && len(named(p.engine, bare, c.Generated)) > 0 {
			r.generated = append(r.generated, c.Name)
		}
	}
	d := sqltoken.Of(p.engine.name())
	for _, g := range t.Triggers {
		for _, k := range g.Needs {
			if k.Kind != schema.KindRoutine || p.now.Schema(k.Schema) == nil {
				continue
			}
			for _, f := range p.now.Schema(k.Schema).Routines {
				if f.Name == k.Name && mentions(f.Definition, column, d) {
					r.routines = append(r.routines, k.Schema+"."+f.Name)
				}
			}
		}
		if len(g.Needs) == 0 && mentions(g.Definition, column, d) {
			r.routines = append(r.routines, g.Name)
		}
	}
	return r
}

// mentions tells whether a text names a column, bodies in dollar quotes included.
func mentions(text, column string, d sqltoken.Dialect) bool {
	tokens := sqltoken.Split(text, d)
	return sqltoken.Mentions(tokens, column, d) || slices.ContainsFunc(tokens, func(t sqltoken.Token) bool {
		return t.Kind == sqltoken.Text && t.Name != text && len(t.Name) > len(column) && mentions(t.Name, column, d)
	})
}

// ourChange finds the number of a change in the name of a trigger or function that a recipe has made.
var ourChange = regexp.MustCompile(`\bswitchback_(\d+)_`)

// readable refuses a column that is to go to the attic while a generated one is computed from it, and
// notes what will not find it there.
func (p *planner) readable(op Operation, table Table, column string) error {
	if p.rebuilds() {
		return nil // they follow, see repoint
	}
	r := readersOf(p, table, column)
	if len(r.generated) > 0 {
		return &Error{op, fmt.Sprintf("column %s is computed from it", word(r.generated[0])), fmt.Sprintf("drop column %s.%s first, in a change of its own, and add it again on the new column", table, word(r.generated[0]))}
	}
	if err := kept(op, column, r); err != nil {
		return err
	}
	for _, f := range r.routines {
		p.note("%s, which a trigger of %s runs, names %s: it fails from contract on, unless the same change replaces it.", f, table, word(column))
	}
	return nil
}

// kept refuses a column that the triggers of another change name: that one has a column with the same values, and the
// same rules, on its way or in the attic.
func kept(op Operation, column string, r readers) error {
	for _, f := range r.routines {
		if m := ourChange.FindStringSubmatch(f); m != nil {
			return &Error{op, fmt.Sprintf("change %s keeps column %s in step", m[1], word(column)), fmt.Sprintf("finish that change first: contract it, and then, once nobody will go back, switchback purge --to %s…", m[1])}
		}
	}
	return nil
}

// upPass is the name of the trigger, or of its function, that fills the new shape until contract.
var upPass = regexp.MustCompile(`\bswitchback_(\d+)_(\d_)?up_`)

// replaced refuses a column that another change is about to put into the attic: what is said of it by its name, and
// what stands on it, would go there with it.
func (p *planner) replaced(op Operation, table Table, columns ...string) error {
	for _, c := range columns {
		for _, f := range readersOf(p, table, c).routines {
			if m := upPass.FindStringSubmatch(f); m != nil {
				return &Error{op, fmt.Sprintf("change %s is about to replace column %s, or another by it", m[1], word(c)), "contract that change first, or roll it back"}
			}
		}
	}
	return nil
}

// move is a column that another one takes the place of at contract, or a table, where no column is named.
type move struct {
	table    Table
	old, now string // as they are called before contract, and the successor after it
}

func (m move) whole() bool { return m.old == "" }

// mover is a recipe that moves columns.
type mover interface{ moves() []move }

// dependents are the views, policies and triggers that read moved columns, and the views on those views. An engine
// that binds them to the column would have them read the attic; one that keeps their text would not find the
// column any more.
type dependents struct {
	views    []placed[*schema.View]
	policies []placed[*schema.Policy]
	triggers []placed[*schema.Trigger] // that fire for the columns, or ask for them
}

// placed is an object with the table it belongs to, or, of a view, with its schema and no table.
type placed[T any] struct {
	in     Table
	object T
}

// dependentsOf finds what reads moved columns, with the text it has to have afterwards.
func (p *planner) dependentsOf(moves []move) dependents {
	var out dependents
	reading := map[Table]bool{}
	for again := true; again; {
		again = false
		for _, s := range p.now.Schemas {
			for _, v := range s.Views {
				at := Table{s.Name, v.Name}
				if reading[at] {
					continue
				}
				next, reads := p.moved(s.Name, v, moves)
				for on := range reading {
					reads = reads || p.reads(s.Name, v, on)
				}
				if reads {
					reading[at], again = true, true
					out.views = append(out.views, placed[*schema.View]{at, next})
				}
			}
		}
	}
	moves = slices.DeleteFunc(slices.Clone(moves), move.whole) // its recipe knows what is on it
	for _, m := range moves {
		for _, k := range p.now.Schema(m.table.Schema).Table(m.table.Name).Policies {
			if mentions(k.Definition, m.old, sqltoken.Of(p.engine.name())) { // also where the successor has the same name: it is another column
				next := *k
				next.Definition = p.rename1(k.Definition, m, false)
				next.Needs = nil
				out.policies = append(out.policies, placed[*schema.Policy]{m.table, &next})
			}
		}
	}
	if p.engine.name() == "postgres" {
		out.triggers = p.boundTriggers(moves)
	}
	return out
}

// boundTriggers are the application's triggers that name moved columns behind UPDATE OF or WHEN: PostgreSQL binds
// them to the column.
func (p *planner) boundTriggers(moves []move) []placed[*schema.Trigger] {
	var out []placed[*schema.Trigger]
	for _, m := range moves {
		for _, g := range p.now.Schema(m.table.Schema).Table(m.table.Name).Triggers {
			at := slices.IndexFunc(out, func(x placed[*schema.Trigger]) bool { return x.in == m.table && x.object.Name == g.Name })
			definition := g.Definition
			if at >= 0 {
				definition = out[at].object.Definition
			}
			text, bound := p.rebound(definition, m)
			switch {
			case ourTrigger.MatchString(g.Name) || !bound:
			case at >= 0:
				out[at].object.Definition = text
			default:
				next := *g
				next.Definition = text
				next.Needs = slices.DeleteFunc(slices.Clone(g.Needs), func(k schema.Key) bool { return k.Kind == schema.KindColumn })
				out = append(out, placed[*schema.Trigger]{m.table, &next})
			}
		}
	}
	return out
}

// ourTrigger is the name of a trigger that a recipe has made.
var ourTrigger = regexp.MustCompile(`^(zz|00)_switchback_`)

// rebound writes a trigger's definition with the successor's name, and tells whether the column is in it.
func (p *planner) rebound(definition string, m move) (text string, bound bool) {
	d := sqltoken.Of(p.engine.name())
	columns, when, depth := false, false, 0
	text = sqltoken.Replace(definition, d, func(tokens []sqltoken.Token, i int) (string, bool) {
		t := tokens[i]
		switch {
		case t.Is("of") && i > 0 && tokens[i-1].Is("update"):
			columns = true
		case t.Is("on") && !when:
			columns = false
		case t.Is("when") && depth == 0 && i+1 < len(tokens) && tokens[i+1].IsSign("("):
			when = true
		case t.IsSign("("):
			depth++
		case t.IsSign(")"):
			depth--
			when = when && depth > 0
		}
		row := i > 1 && tokens[i-1].IsSign(".") && (tokens[i-2].Is("new") || tokens[i-2].Is("old"))
		if !t.IsName() || !t.Names(m.old, d) || sqltoken.InType(tokens, i) || !columns && (!when || !row) {
			return "", false
		}
		bound = true
		return p.engine.quote(m.now), true
	})
	return text, bound
}

// moved writes a view with the successors in the place of the columns it reads.
func (p *planner) moved(in string, v *schema.View, moves []move) (*schema.View, bool) {
	next, reads := *v, false
	for _, m := range moves {
		if !p.reads(in, v, m.table) || !p.readsColumn(v, m) {
			continue
		}
		reads = true
		if m.whole() {
			continue
		}
		next.Definition, next.Source = p.rename1(next.Definition, m, true), p.rename1(next.Source, m, true)
		next.Needs = slices.DeleteFunc(slices.Clone(next.Needs), func(k schema.Key) bool { return k.Kind == schema.KindColumn })
		next.Triggers = p.movedTriggers(next.Triggers, m)
	}
	return &next, reads
}

// movedTriggers writes the triggers of a view with the successor's name, where the engine keeps their text. The
// columns of the view itself, which stand behind NEW and OLD, keep their names.
func (p *planner) movedTriggers(list []*schema.Trigger, m move) []*schema.Trigger {
	list = slices.Clone(list)
	for i, x := range list {
		next := *x
		next.Definition, next.Source = renamedIn(p.engine, x.Definition, m.old, m.now), renamedIn(p.engine, x.Source, m.old, m.now)
		list[i] = &next
	}
	return list
}

// reads tells whether a view names a table or view.
func (p *planner) reads(in string, v *schema.View, on Table) bool {
	for _, k := range v.Needs {
		if (k.Kind == schema.KindTable || k.Kind == schema.KindView) && or(k.Schema, in) == on.Schema && k.Name == on.Name {
			return true
		}
	}
	return len(v.Needs) == 0 && in == on.Schema && mentions(or(v.Source, v.Definition), on.Name, sqltoken.Of(p.engine.name()))
}

func (p *planner) readsColumn(v *schema.View, m move) bool {
	if m.whole() {
		return true
	}
	known := false
	for _, k := range v.Needs {
		if k.Kind == schema.KindColumn {
			known = true
			if k.Name == m.table.Name+"."+m.old {
				return true
			}
		}
	}
	return !known && mentions(or(v.Source, v.Definition), m.old, sqltoken.Of(p.engine.name()))
}

// rename1 writes a text with the successor's name for a column. A column of a view's list keeps its name.
func (p *planner) rename1(text string, m move, list bool) string {
	if m.old == m.now {
		return text
	}
	d := sqltoken.Of(p.engine.name())
	return sqltoken.Replace(text, d, func(tokens []sqltoken.Token, i int) (string, bool) {
		t := tokens[i]
		if !t.IsName() || !t.Names(m.old, d) || sqltoken.InType(tokens, i) || i > 0 && tokens[i-1].Is("as") || i+1 < len(tokens) && (tokens[i+1].IsSign("(") || tokens[i+1].IsSign(".")) {
			return "", false
		}
		first := i
		for first >= 2 && tokens[first-1].IsSign(".") {
			first -= 2
		}
		item := list && first > 0 && (tokens[first-1].Is("select") || tokens[first-1].IsSign(",") || tokens[first-1].Is("distinct")) &&
			i+1 < len(tokens) && (tokens[i+1].IsSign(",") || tokens[i+1].Is("from")) && selecting(tokens[:first])
		if item {
			return p.engine.quote(m.now) + " AS " + p.engine.quote(m.old), true
		}
		return p.engine.quote(m.now), true
	})
}

// selecting tells whether what comes after some tokens is an item of a SELECT's list.
func selecting(tokens []sqltoken.Token) bool {
	depth := 0
	for i := len(tokens) - 1; i >= 0; i-- {
		switch t := tokens[i]; {
		case t.IsSign(")"):
			depth++
		case t.IsSign("("):
			if depth == 0 {
				return false
			}
			depth--
		case depth > 0:
		case t.Is("select"):
			return true
		case t.Is("from"), t.Is("by"), t.Is("where"):
			return false
		}
	}
	return false
}

// away drops what depends on moved columns, and again makes it.
func (p *planner) away(d dependents) error {
	p.saying = "It is made again below, on the new shape. Until then nobody sees it missing: it is one transaction."
	defer func() { p.saying = "" }()
	return p.step(nil, func(e *edit) {
		for _, v := range d.views {
			e.dropView(v.in.Schema, v.in.Name)
		}
		for _, k := range d.policies {
			e.dropPolicy(k.in, k.object.Name)
		}
		for _, g := range d.triggers {
			e.dropTrigger(g.in, g.object.Name)
		}
	})
}

func (p *planner) again(d dependents) error {
	p.saying = "It reads the new shape from here on."
	defer func() { p.saying = "" }()
	return p.step(nil, func(e *edit) {
		for _, v := range d.views {
			s := e.schema(v.in.Schema)
			s.Views = append(s.Views, v.object)
		}
		for _, k := range d.policies {
			t := e.table(k.in)
			t.Policies = append(t.Policies, k.object)
		}
		for _, g := range d.triggers {
			t := e.table(g.in)
			t.Triggers = append(t.Triggers, g.object)
		}
	})
}

// instead replaces views at once, where each statement takes effect by itself: before the columns are renamed,
// while both are there.
func (p *planner) instead(d dependents) error {
	p.saying = "It reads the new shape from here on."
	defer func() { p.saying = "" }()
	return p.step(nil, func(e *edit) {
		for _, v := range d.views {
			s := e.schema(v.in.Schema)
			i := slices.IndexFunc(s.Views, func(x *schema.View) bool { return x.Name == v.in.Name })
			s.Views[i] = v.object
		}
	})
}
