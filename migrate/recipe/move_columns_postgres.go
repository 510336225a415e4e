package recipe

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

func (g *postgres) primaryKey(t Table) string { return fit(g.limit(), "", t.Name+"_pkey") }

func (g *postgres) copyRows(m *moveColumns, says string) string {
	return fmt.Sprintf("INSERT INTO %s (%s)\nSELECT %s\nFROM %s\nWHERE (%s)\n  AND :batch\nFOR SHARE\nON CONFLICT DO NOTHING",
		g.table(m.to), m.columnsThere(g), m.valuesHere(g, ""), g.table(m.from), says)
}

// keepers fire for each write of a row, also for those that replication brings. They end by themselves: each writes
// only where the other table says something else.
func (g *postgres) keepers(m *moveColumns, st state) []keeper {
	back := g.keeper(m, "back", m.to, "INSERT OR UPDATE OR DELETE", g.keepsOld(m, st))
	if st == after {
		return []keeper{back}
	}
	return []keeper{g.keeper(m, "there", m.from, "INSERT OR UPDATE", g.keepsNew(m)), back}
}

func (g *postgres) keeper(m *moveColumns, way string, on Table, events, body string) keeper {
	name := fit(g.limit(), "switchback_"+g.id+"_"+way+"_", m.to.Name)
	trigger := fit(g.limit(), "zz_switchback_3_"+g.id+"_"+way+"_", m.to.Name)
	full := g.table(Table{m.to.Schema, name})
	return keeper{
		on: on,
		trigger: &schema.Trigger{
			Name: trigger, Enabled: "always",
			Definition: fmt.Sprintf("CREATE TRIGGER %s AFTER %s ON %s FOR EACH ROW EXECUTE FUNCTION %s()", g.quote(trigger), events, g.table(on), full),
			Needs:      []schema.Key{{Schema: m.to.Schema, Kind: schema.KindRoutine, Name: name + "()"}},
		},
		function: &schema.Routine{
			Name: name + "()", Form: "function",
			Definition: fmt.Sprintf("CREATE OR REPLACE FUNCTION %s()\n RETURNS trigger\n LANGUAGE plpgsql\nAS $function$\nBEGIN\n%s\n  RETURN NULL;\nEND\n$function$", full, body),
		},
	}
}

// keepsNew is the body of the trigger that takes writes of the old table to the new one.
func (g *postgres) keepsNew(m *moveColumns) string {
	changed := m.each(func(c movedColumn) string { return g.distinct("NEW."+g.quote(c.here), "OLD."+g.quote(c.here), c.typ) })
	sets := m.each(func(c movedColumn) string { return g.quote(c.there) + " = excluded." + g.quote(c.there) })
	differs := m.each(func(c movedColumn) string {
		return g.distinct("t."+g.quote(c.there), "excluded."+g.quote(c.there), c.typ)
	})
	return fmt.Sprintf(`  IF TG_OP = 'UPDATE' AND NOT (%s) THEN
    RETURN NULL;
  END IF;
  IF %s THEN
    INSERT INTO %s AS t (%s)
    VALUES (%s)
    ON CONFLICT (%s) DO UPDATE SET %s
    WHERE %s;
  ELSE
    DELETE FROM %s WHERE %s;
  END IF;`,
		strings.Join(changed, " OR "), m.says(g, before, "NEW."), g.table(m.to), m.columnsThere(g), m.valuesHere(g, "NEW."),
		join(m.op.Key, g.quote), strings.Join(sets, ", "), strings.Join(differs, " OR "), g.table(m.to), m.matches(g, "", "NEW."))
}

// keepsOld is the body of the trigger that takes writes of the new table back to the old one.
func (g *postgres) keepsOld(m *moveColumns, st state) string {
	return fmt.Sprintf(`  IF TG_OP = 'DELETE' THEN
    %s
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' AND (%s) THEN
    %s
  END IF;
  %s`, m.restart(g, st), m.moved(g), m.restart(g, st), strings.ReplaceAll(m.tell(g, st), "\n    ", "\n  "))
}
