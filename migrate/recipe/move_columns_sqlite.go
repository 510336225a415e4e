package recipe

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqliteddl"
)

func (g *sqlite) primaryKey(t Table) string { return t.Name + "_pkey" }

func (g *sqlite) copyRows(m *moveColumns, says string) string {
	return fmt.Sprintf("INSERT INTO %s (%s)\nSELECT %s\nFROM %s\nWHERE (%s)\n  AND NOT EXISTS (SELECT 1 FROM %s AS n WHERE %s)\n  AND :batch",
		g.table(m.to), m.columnsThere(g), m.valuesHere(g, ""), g.table(m.from), says, g.table(m.to), m.matches(g, "n.", g.table(m.from)+"."))
}

// keepers come to rest by their conditions alone, as all of SQLite's do. What a foreign key does to rows of the new
// table they do as well: it is not enforced where a connection does not ask for that.
func (g *sqlite) keepers(m *moveColumns, st state) []keeper {
	to := g.table(m.to)
	restart, tell := "    "+m.restart(g, st), "    "+m.tell(g, st)
	list := []keeper{
		g.keeper(m, "insert_down", m.to, "INSERT", "", tell),
		g.keeper(m, "update_down", m.to, "UPDATE", "", fmt.Sprintf("    %s AND (%s);\n%s", strings.TrimSuffix(m.restart(g, st), ";"), m.moved(g), tell)),
		g.keeper(m, "delete_down", m.to, "DELETE", "", restart),
	}
	if st == after {
		return list
	}
	changed := m.each(func(c movedColumn) string { return g.distinct("NEW."+g.quote(c.here), "OLD."+g.quote(c.here), c.typ) })
	follow := join(m.keys, func(k movedColumn) string { return g.quote(k.there) + " = NEW." + g.quote(k.here) })
	return append([]keeper{
		g.keeper(m, "key_up", m.from, "UPDATE OF "+join(m.here(), g.quote), "", fmt.Sprintf("    UPDATE %s SET %s WHERE %s;", to, follow, m.matches(g, "", "OLD."))),
		g.keeper(m, "delete_up", m.from, "DELETE", "", fmt.Sprintf("    DELETE FROM %s WHERE %s;", to, m.matches(g, "", "OLD."))),
		g.keeper(m, "update_up", m.from, "UPDATE OF "+strings.Join(m.each(func(c movedColumn) string { return g.quote(c.here) }), ", "), strings.Join(changed, " OR "), g.keepsNew(m)),
		g.keeper(m, "insert_up", m.from, "INSERT", "", g.keepsNew(m)),
	}, list...)
}

func (g *sqlite) keeper(m *moveColumns, suffix string, on Table, event, when, body string) keeper {
	name := fit(g.limit()-len(suffix)-1, "zz_switchback_"+g.id+"_", m.to.Name) + "_" + suffix
	if when != "" {
		when = "\nWHEN " + when
	}
	return keeper{on: on, trigger: sqliteddl.Trigger(name, fmt.Sprintf("CREATE TRIGGER %s AFTER %s ON %s%s\nBEGIN\n%s\nEND", g.quote(name), event, g.table(on), when, body))}
}

// keepsNew takes a write of the old table to the new one. It is no upsert, whose conflict clause the one of the
// statement that fired the trigger would replace.
func (g *sqlite) keepsNew(m *moveColumns) string {
	to, row, says := g.table(m.to), m.matches(g, "", "NEW."), m.says(g, before, "NEW.")
	sets := m.each(func(c movedColumn) string { return g.quote(c.there) + " = NEW." + g.quote(c.here) })
	differs := m.each(func(c movedColumn) string { return g.distinct(g.quote(c.there), "NEW."+g.quote(c.here), c.typ) })
	return fmt.Sprintf(`    DELETE FROM %[1]s WHERE %[2]s AND NOT (%[3]s);
    UPDATE %[1]s SET %[4]s
    WHERE %[2]s AND (%[5]s);
    INSERT INTO %[1]s (%[6]s)
    SELECT %[7]s
    WHERE (%[3]s) AND NOT EXISTS (SELECT 1 FROM %[1]s WHERE %[2]s);`,
		to, row, says, strings.Join(sets, ", "), strings.Join(differs, " OR "), m.columnsThere(g), m.valuesHere(g, "NEW."))
}
