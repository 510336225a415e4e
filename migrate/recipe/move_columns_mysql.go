package recipe

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

func (*mysql) primaryKey(Table) string { return "PRIMARY" }

func (g *mysql) copyRows(m *moveColumns, says string) string {
	first := g.quote(m.keys[0].there)
	return fmt.Sprintf("INSERT INTO %s (%s)\nSELECT %s\nFROM %s\nWHERE (%s)\n  AND :batch\nLOCK IN SHARE MODE\nON DUPLICATE KEY UPDATE %s = %s.%s",
		g.table(m.to), m.columnsThere(g), m.valuesHere(g, ""), g.table(m.from), says, first, g.table(m.to), first)
}

// keepers are of one event each. MySQL does not let a trigger write to a table that the statement which fired it
// writes to, even if nothing is to be changed: so those of one table leave a variable with the moment of the
// statement, and those of the other do nothing within the same statement. A variable that an error has left behind
// is of another moment, and says nothing. Deleting a row, and giving it another key, is the foreign key's.
func (g *mysql) keepers(m *moveColumns, st state) []keeper {
	restart, tell := "    "+m.restart(g, st), g.tellWhere(m, st)
	moved := fmt.Sprintf("    IF %s THEN\n    %s\n    END IF;\n", m.moved(g), m.restart(g, st))
	list := []keeper{
		g.keeper(m, "back", m.to, "DELETE", restart),
		g.keeper(m, "back", m.to, "UPDATE", moved+tell),
		g.keeper(m, "back", m.to, "INSERT", tell),
	}
	if st == after {
		return list
	}
	sets := m.each(func(c movedColumn) string { return g.quote(c.there) + " = NEW." + g.quote(c.here) })
	changed := m.each(func(c movedColumn) string { return g.distinct("NEW."+g.quote(c.here), "OLD."+g.quote(c.here), c.typ) })
	says := m.says(g, before, "NEW.")
	write := fmt.Sprintf("INSERT INTO %s (%s)\n      VALUES (%s)\n      ON DUPLICATE KEY UPDATE %s;", g.table(m.to), m.columnsThere(g), m.valuesHere(g, "NEW."), strings.Join(sets, ", "))
	return append(list,
		g.keeper(m, "there", m.from, "UPDATE", fmt.Sprintf("    IF NOT (%s) THEN\n      DELETE FROM %s WHERE %s;\n    ELSEIF %s THEN\n      %s\n    END IF;",
			says, g.table(m.to), m.matches(g, "", "NEW."), strings.Join(changed, " OR "), write)),
		g.keeper(m, "there", m.from, "INSERT", fmt.Sprintf("    IF %s THEN\n      %s\n    END IF;", says, write)))
}

// tellWhere has a row of the old table say what one of the new table does, if it does not. It looks first, since the
// statement that copies rows reads the old table, which cannot be written to then.
func (g *mysql) tellWhere(m *moveColumns, st state) string {
	tell := m.tell(g, st)
	return fmt.Sprintf(`    BEGIN
      DECLARE others int;
      SELECT count(*) INTO others FROM %s
      %s
      LOCK IN SHARE MODE;
      IF others > 0 THEN
        %s
      END IF;
    END;`, g.table(m.from), strings.TrimSpace(strings.TrimSuffix(tell[strings.Index(tell, "\n"):], ";")), strings.ReplaceAll(tell, "\n    ", "\n        "))
}

func (g *mysql) keeper(m *moveColumns, way string, on Table, event, body string) keeper {
	variable := func(way string) string {
		return "@" + g.quote(fit(g.limit(), "switchback_"+g.id+"_"+way+"_", m.to.Name))
	}
	other := map[string]string{"back": "there", "there": "back"}[way]
	return keeper{on: on, trigger: &schema.Trigger{
		Name: fit(g.limit(), fmt.Sprintf("switchback_%s_%s_%s_", g.id, way, strings.ToLower(event)), m.to.Name),
		Definition: fmt.Sprintf(`AFTER %s FOR EACH ROW BEGIN
  IF NOT (%s <=> UNIX_TIMESTAMP(NOW(6))) THEN
    SET %s = UNIX_TIMESTAMP(NOW(6));
%s
    SET %s = NULL;
  END IF;
END`, event, variable(other), variable(way), body, variable(way)),
	}}
}
