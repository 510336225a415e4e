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
}

// passes are the two of a change. They sort behind the triggers of most applications, up in the order
// of the changes, down in the reverse one.
func (g *postgres) passes() (up, down pass) {
	return pass{"up", "1_" + g.id}, pass{"down", "2_" + complement(g.id)}
}

func (p pass) trigger() string { return "zz_switchback_" + p.number }

func (g *postgres) function(s *sync, p pass) string {
	return fit(63, "switchback_"+g.id+"_"+p.suffix+"_", s.table.Name)
}

func (g *postgres) addTriggers(e *edit, s *sync, st state) {
	up, down := g.passes()
	if body := g.up(s, st); body != "" {
		g.addPass(e, s, up, body)
	}
	if body := g.down(s, st); body != "" {
		g.addPass(e, s, down, body)
	}
}

func (g *postgres) addPass(e *edit, s *sync, p pass, body string) {
	name := g.quote(s.table.Schema) + "." + g.quote(g.function(s, p))
	in := e.schema(s.table.Schema)
	in.Routines = append(in.Routines, &schema.Routine{
		Name: g.function(s, p) + "()", Form: "function",
		Definition: fmt.Sprintf("CREATE OR REPLACE FUNCTION %s()\n RETURNS trigger\n LANGUAGE plpgsql\nAS $function$\nBEGIN\n%s\n  RETURN NEW;\nEND\n$function$", name, body),
	})
	t := e.table(s.table)
	t.Triggers = append(t.Triggers, &schema.Trigger{
		Name: p.trigger(), Enabled: "always", // also for rows that replication brings
		Definition: fmt.Sprintf("CREATE TRIGGER %s BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s()", p.trigger(), g.table(s.table), name),
		Needs:      []schema.Key{{Schema: s.table.Schema, Kind: schema.KindRoutine, Name: g.function(s, p) + "()"}},
	})
}

func (g *postgres) dropTriggers(e *edit, s *sync, st state) {
	up, down := g.passes()
	if g.up(s, st) != "" {
		e.dropTrigger(s.table, up.trigger())
		e.dropRoutine(s.table.Schema, g.function(s, up)+"()")
	}
	if g.down(s, st) != "" {
		e.dropTrigger(s.table, down.trigger())
		e.dropRoutine(s.table.Schema, g.function(s, down)+"()")
	}
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
			fmt.Fprintf(&text, "  IF TG_OP = 'INSERT' OR %s THEN\n", g.each(r, r.old, st, " OR ", g.changed(r)))
		default:
			fmt.Fprintf(&text, "  IF TG_OP = 'INSERT' AND %s\n    OR TG_OP = 'UPDATE' AND %s AND (%s) THEN\n", unwritten,
				g.each(r, r.new, st, " AND ", func(c, q string) string { return "NOT " + g.bracket(g.distinct("NEW."+q, "OLD."+q, r.types[c])) }),
				g.each(r, r.old, st, " OR ", g.changed(r)))
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
			g.each(r, r.new, st, " OR ", func(c, q string) string {
				return g.distinct("NEW."+q, r.expression(g, r.up[c], st, "NEW."), r.types[c])
			}))
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
	up, down := g.passes()
	if g.up(s, st) != "" {
		names = append(names, up.trigger())
	}
	if g.down(s, st) != "" {
		names = append(names, down.trigger())
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
