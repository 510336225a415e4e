package recipe

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	writer "github.com/switchbackdb/switchback/ddl/postgres"
	"github.com/switchbackdb/switchback/schema"
)

// postgres writes what PostgreSQL runs.
type postgres struct{ id string }

func (*postgres) name() string             { return "postgres" }
func (*postgres) quote(name string) string { return writer.Identifier(name) }
func (*postgres) table(t Table) string {
	return writer.Identifier(t.Schema) + "." + writer.Identifier(t.Name)
}
func (*postgres) walkName(t Table) string    { return t.Schema + "." + t.Name }
func (*postgres) literal(text string) string { return writer.Literal(text) }
func (*postgres) limit() int                 { return 63 }
func (*postgres) locksGroups() bool          { return false }
func (*postgres) fillsNotNull() bool         { return true }

// incomparable are types without an equality operator.
var incomparable = regexp.MustCompile(`^(json|xml|point|polygon)\b`)

func (*postgres) distinct(a, b, typ string) string {
	if incomparable.MatchString(typ) {
		return "(" + a + ")::text IS DISTINCT FROM (" + b + ")::text"
	}
	return a + " IS DISTINCT FROM " + b
}

// pass is one of the two passes over a row.
type pass struct {
	suffix string // of its function
	number string // sorts its trigger: triggers fire in the order of their names
	first  string // what the trigger's name begins with
}

// passes are the two of a change. They sort behind the triggers of most applications, up in the order
// of the changes, down in the reverse one.
func (g *postgres) passes() (up, down pass) {
	return pass{"up", "1_" + g.id, late}, pass{"down", "2_" + complement(g.id), late}
}

// late sorts triggers behind those of most applications.
const late = "zz_switchback_"

// aheadPass comes before the triggers of most applications, that of the newest change first.
func (g *postgres) aheadPass() pass { return pass{"ahead", "0_" + complement(g.id), early} }

// A pass has a trigger for each event, with the same function. That for UPDATE has a condition, so that a write which
// has nothing to bring in step calls no function, as those of the walk do: only that of UPDATE can name OLD.
func (p pass) trigger() string { return p.first + p.number }

func (p pass) inserted() string { return p.first + p.number[:1] + "_insert" + p.number[1:] }

func (g *postgres) function(s *sync, p pass) string {
	return fit(63, "switchback_"+g.id+"_"+p.suffix+"_", s.table.Name)
}

// written is a pass that has something to do: the body of its function, and the condition of its trigger for UPDATE.
type written struct {
	pass
	body, when string
}

// written are the passes of a table that have something to do.
func (g *postgres) written(s *sync, st state) (list []written) {
	up, down := g.passes()
	ahead, when := g.ahead(s, st)
	for _, w := range []written{{g.aheadPass(), ahead, when}, {up, g.up(s, st), g.upWhen(s, st)}, {down, g.down(s, st), g.downWhen(s, st)}} {
		if w.body != "" {
			list = append(list, w)
		}
	}
	return list
}

func (g *postgres) addTriggers(e *edit, s *sync, st state) {
	for _, w := range g.written(s, st) {
		g.addPass(e, s, w)
	}
}

func (g *postgres) addPass(e *edit, s *sync, w written) {
	function := g.function(s, w.pass)
	name := g.quote(s.table.Schema) + "." + g.quote(function)
	in := e.schema(s.table.Schema)
	in.Routines = append(in.Routines, &schema.Routine{
		Name: function + "()", Form: "function",
		Definition: fmt.Sprintf("CREATE OR REPLACE FUNCTION %s()\n RETURNS trigger\n LANGUAGE plpgsql\nAS $function$\nBEGIN\n%s\n  RETURN NEW;\nEND\n$function$", name, w.body),
	})
	add := func(trigger, event, when string) {
		t := e.table(s.table)
		t.Triggers = append(t.Triggers, &schema.Trigger{
			Name: trigger, Enabled: "always", // also for rows that replication brings
			Definition: fmt.Sprintf("CREATE TRIGGER %s BEFORE %s ON %s FOR EACH ROW %sEXECUTE FUNCTION %s()", g.quote(trigger), event, g.table(s.table), when, name),
			Needs:      []schema.Key{{Schema: s.table.Schema, Kind: schema.KindRoutine, Name: function + "()"}},
		})
	}
	add(w.inserted(), "INSERT", "")
	if w.when != "" {
		add(w.trigger(), "UPDATE", "WHEN ("+w.when+") ")
	}
}

func (g *postgres) dropTriggers(e *edit, s *sync, st state) {
	for _, name := range g.triggersOf(s, st) {
		e.dropTrigger(s.table, name)
	}
	for _, w := range g.written(s, st) {
		e.dropRoutine(s.table.Schema, g.function(s, w.pass)+"()")
	}
}

// upWhen is the condition under which the first pass has something to do for an UPDATE; none where it never has.
func (g *postgres) upWhen(s *sync, st state) string {
	var any []string
	for _, r := range s.rules {
		if r.ups(st) && !r.once {
			any = append(any, g.upUpdate(r, st))
		}
	}
	return alternatives(any)
}

// upUpdate is that of a rule: the old shape was written, and the new one was not, where somebody can write it.
func (g *postgres) upUpdate(r *rule, st state) string {
	changed := g.each(r, r.old, st, " OR ", g.changed(r))
	if r.hidden {
		return changed
	}
	return g.each(r, r.new, st, " AND ", func(c, q string) string { return "NOT " + g.bracket(g.distinct("NEW."+q, "OLD."+q, r.types[c])) }) + " AND (" + changed + ")"
}

// downWhen is the condition under which the second pass has something to do for an UPDATE. Expressions are left to the
// function, which finds what they name where the session does; a column is a column.
func (g *postgres) downWhen(s *sync, st state) string {
	var any []string
	for _, r := range s.rules {
		if !r.downs(st) {
			continue
		}
		when := g.each(r, r.new, st, " OR ", g.changed(r))
		if !slices.ContainsFunc(r.new, func(c string) bool { return !slices.Contains(r.old, r.up[c]) }) {
			when = "(" + when + ") AND (" + g.notUp(r, st) + ")"
		}
		any = append(any, when)
	}
	return alternatives(any)
}

// notUp is the condition that the new shape is not what up makes of the old one.
func (g *postgres) notUp(r *rule, st state) string {
	return g.each(r, r.new, st, " OR ", func(c, q string) string {
		return g.distinct("NEW."+q, r.expression(g, r.up[c], st, "NEW."), r.types[c])
	})
}

// alternatives joins conditions of which one has to hold.
func alternatives(conditions []string) string {
	if len(conditions) < 2 {
		return strings.Join(conditions, "")
	}
	return "(" + strings.Join(conditions, ") OR (") + ")"
}

// up is the body of the first pass.
func (g *postgres) up(s *sync, st state) string {
	var parts []string
	for _, r := range s.rules {
		if !r.ups(st) {
			continue
		}
		var text strings.Builder
		fmt.Fprintf(&text, "  -- %s from %s, unless it was written itself\n", strings.Join(r.names(r.new, st), ", "), or(strings.Join(r.names(r.old, st), ", "), "what a row starts with"))
		unwritten := g.each(r, r.new, st, " AND ", func(c, q string) string {
			return "NOT " + g.bracket(g.distinct("NEW."+q, or(r.initial[c], "NULL"), r.types[c]))
		})
		switch {
		case r.once:
			fmt.Fprintf(&text, "  IF TG_OP = 'INSERT' AND %s THEN\n", unwritten)
		case r.hidden:
			fmt.Fprintf(&text, "  IF TG_OP = 'INSERT' OR %s THEN\n", g.upUpdate(r, st))
		default:
			fmt.Fprintf(&text, "  IF TG_OP = 'INSERT' AND %s\n    OR TG_OP = 'UPDATE' AND %s THEN\n", unwritten, g.upUpdate(r, st))
		}
		for _, c := range r.new {
			fmt.Fprintf(&text, "    NEW.%s := %s;\n", g.quote(r.name(c, st)), r.expression(g, r.up[c], st, "NEW."))
		}
		text.WriteString("  END IF;")
		parts = append(parts, text.String())
	}
	return strings.Join(parts, "\n")
}

// down is the body of the second pass; the last rule comes first.
func (g *postgres) down(s *sync, st state) string {
	var parts []string
	for _, r := range slices.Backward(s.rules) {
		if !r.downs(st) {
			continue
		}
		var text strings.Builder
		fmt.Fprintf(&text, "  -- %s from %s, where it does not say so already\n", strings.Join(r.names(r.old, st), ", "), strings.Join(r.names(r.new, st), ", "))
		fmt.Fprintf(&text, "  IF (TG_OP = 'INSERT' OR %s)\n    AND (%s) THEN\n", g.each(r, r.new, st, " OR ", g.changed(r)),
			g.notUp(r, st))
		for _, c := range r.old {
			if x, ok := r.down[c]; ok {
				fmt.Fprintf(&text, "    NEW.%s := %s;\n", g.quote(r.name(c, st)), r.expression(g, x, st, "NEW."))
			}
		}
		text.WriteString("  END IF;")
		parts = append(parts, text.String())
	}
	return strings.Join(parts, "\n")
}

// ahead is the body of the pass ahead of the application's triggers, and the condition under which it has something to do
// for an UPDATE: the new shape alone was written, and is not what up makes of the old one.
func (g *postgres) ahead(s *sync, st state) (body, when string) {
	var parts, any []string
	for _, r := range s.rules {
		if !r.ahead(st) {
			continue
		}
		unwritten := g.each(r, r.old, st, " AND ", func(c, q string) string {
			return "NOT " + g.bracket(g.distinct("NEW."+q, or(r.begins[c], "NULL"), r.types[c]))
		})
		kept := g.each(r, r.old, st, " AND ", func(c, q string) string { return "NOT " + g.bracket(g.changed(r)(c, q)) })
		written := kept + " AND (" + g.each(r, r.new, st, " OR ", g.changed(r)) + ")"
		text := fmt.Sprintf("  -- %s from %s, for the triggers that read it\n  IF (TG_OP = 'INSERT' AND %s\n    OR TG_OP = 'UPDATE' AND %s)\n    AND (%s) THEN\n",
			strings.Join(r.old, ", "), strings.Join(r.new, ", "), unwritten, written, g.notUp(r, st))
		for _, c := range r.old {
			if x, ok := r.down[c]; ok {
				text += fmt.Sprintf("    NEW.%s := %s;\n", g.quote(c), r.expression(g, x, st, "NEW."))
			}
		}
		parts, any = append(parts, text+"  END IF;"), append(any, written)
	}
	return strings.Join(parts, "\n"), alternatives(any)
}

func (g *postgres) bracket(condition string) string { return "(" + condition + ")" }

// changed is the condition that a column is not what it was.
func (g *postgres) changed(r *rule) func(column, quoted string) string {
	return func(c, q string) string { return g.distinct("NEW."+q, "OLD."+q, r.types[c]) }
}

// each joins a condition on each of some columns.
func (g *postgres) each(r *rule, columns []string, st state, with string, condition func(column, quoted string) string) string {
	var list []string
	for _, c := range columns {
		list = append(list, condition(c, g.quote(r.name(c, st))))
	}
	return strings.Join(list, with)
}

func (g *postgres) triggersOf(s *sync, st state) (names []string) {
	for _, w := range g.written(s, st) {
		names = append(names, w.inserted())
		if w.when != "" {
			names = append(names, w.trigger())
		}
	}
	return names
}

func (g *postgres) assertThere(on Table, triggers []string, failure string) Statement {
	rows := join(triggers, func(name string) string { return "(" + g.literal(name) + ")" })
	return Statement{
		SQL: fmt.Sprintf("SELECT name FROM (VALUES %s) AS wanted (name)\nWHERE NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = %s::regclass AND tgname = name AND tgenabled <> 'D')",
			rows, g.literal(g.table(on))),
		Why: "Reads the catalogue.", Assert: failure,
	}
}

func (g *postgres) renameConstraint(t Table, from, to string) (string, bool) {
	return fmt.Sprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", g.table(t), g.quote(from), g.quote(to)), true
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// updatable has rights and row security checked for who writes, not for the view's owner.
func (g *postgres) updatable(v *schema.View) {
	v.Options = []schema.Property{{Name: "storage", Value: "security_invoker=true"}}
}
