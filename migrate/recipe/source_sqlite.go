package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqliteddl"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// rebuilder is an engine that writes a table anew for most changes, and keeps each object as the statement
// that made it. There, the steps of a phase that follow each other become one: a table is written anew once.
// A script is one transaction, so what is better not done by itself, statement by statement, waits for
// contract.
type rebuilder interface {
	// settle brings the statements of what was edited up to what the model says.
	settle(before *schema.Database, e *edit)
	// constant writes a default as an expression.
	constant(text string) string
	// unknown is a query for the columns, indexes and triggers of a table that the model does not have.
	unknown(t *schema.Table) string
	// missing is a query for those of some indexes, triggers and views that are not there, or not by the
	// statement that is known of them.
	missing(names []string, statements map[string]string) string
}

func (p *planner) rebuilds() bool {
	_, ok := p.engine.(rebuilder)
	return ok
}

// known asserts that tables which a script writes anew have nothing that it does not know of and would lose,
// such as what another change has added since this one was planned; and that what it replaces is there.
func (p *planner) known(r rebuilder, from *schema.Database, script []Statement) (asserts []Statement) {
	var replaced []string
	alters := false
	for _, s := range script {
		for _, kind := range []string{"INDEX ", "TRIGGER ", "VIEW "} {
			if name, drops := strings.CutPrefix(s.SQL, "DROP "+kind); drops {
				replaced = append(replaced, unquote(name))
			}
		}
		alters = alters || strings.HasPrefix(s.SQL, "ALTER TABLE ")
		name, drops := strings.CutPrefix(s.SQL, "DROP TABLE ")
		if !drops {
			continue
		}
		for _, in := range from.Schemas {
			for _, t := range in.Tables {
				if p.engine.quote(t.Name) == name {
					asserts = append(asserts, Statement{
						SQL: r.unknown(t), Why: "Reads the catalogue.", Together: p.together,
						Assert: fmt.Sprintf("table %s has what this script does not know and would lose: finish or roll back the change that added it, or plan this one again", word(t.Name)),
					})
				}
			}
		}
	}
	statements := statementsOf(from)
	alters = alters || slices.ContainsFunc(replaced, func(n string) bool { return statements[n] != "" })
	if alters && len(replaced) > 0 {
		asserts = append(asserts, Statement{
			SQL: r.missing(replaced, statements), Why: "Reads the catalogue.", Together: p.together,
			Assert: "something that this script replaces is not as it knows it: finish or roll back the change that took it away, or plan this one again",
		})
	}
	return asserts
}

func unquote(name string) string {
	if list := sqltoken.Split(name, sqltoken.Of("sqlite")); len(list) == 1 {
		return list[0].Name
	}
	return name
}

// statementsOf are the statements of the views and triggers that are not ours. SQLite keeps those as they were
// made; what it does to the others when something is renamed is its own.
func statementsOf(d *schema.Database) map[string]string {
	out := map[string]string{}
	triggers := func(list []*schema.Trigger) {
		for _, x := range list {
			if !made(x.Name) {
				out[x.Name] = x.Source
			}
		}
	}
	for _, s := range d.Schemas {
		for _, t := range s.Tables {
			triggers(t.Triggers)
		}
		for _, v := range s.Views {
			out[v.Name] = v.Source
			triggers(v.Triggers)
		}
	}
	return out
}

func (g *sqlite) missing(names []string, statements map[string]string) string {
	rows := join(names, func(n string) string {
		if sql := statements[n]; sql != "" {
			return "(" + g.literal(n) + ", " + g.literal(sql) + ")"
		}
		return "(" + g.literal(n) + ", NULL)"
	})
	return fmt.Sprintf("SELECT column1 AS name\nFROM (VALUES %s)\nWHERE NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = column1 AND (column2 IS NULL OR sql = column2))", rows)
}

func (g *sqlite) unknown(t *schema.Table) string {
	columns := join(t.Columns, func(c *schema.Column) string { return g.literal(c.Name) })
	objects := []string{"''"}
	for _, x := range t.Indexes {
		objects = append(objects, g.literal(x.Name))
	}
	for _, x := range t.Triggers {
		objects = append(objects, g.literal(x.Name))
	}
	return fmt.Sprintf(`SELECT 'column' AS type, name FROM pragma_table_xinfo(%s)
WHERE name COLLATE NOCASE NOT IN (%s)
UNION ALL
SELECT type, name FROM sqlite_schema
WHERE tbl_name = %s COLLATE NOCASE AND type IN ('index', 'trigger') AND sql IS NOT NULL
  AND name COLLATE NOCASE NOT IN (%s)`, g.literal(t.Name), columns, g.literal(t.Name), strings.Join(objects, ", "))
}

func (g *sqlite) settle(before *schema.Database, e *edit) {
	for _, in := range e.database.Schemas {
		was := before.Schema(in.Name)
		for _, t := range in.Tables {
			if was != nil && slices.Contains(was.Tables, t) || settled(t) {
				continue
			}
			e.settleTable(Table{in.Name, t.Name})
		}
		for _, v := range in.Views {
			if v.Source == "" {
				e.settleView(in.Name, v)
			}
		}
	}
}

// settled tells whether the statement of a table and those of its indexes say what the model says.
func settled(t *schema.Table) bool {
	if schema.Value(t.Options, "virtual") != "" {
		return true
	}
	if t.Source == "" {
		return false
	}
	said := sqliteddl.ParseTable(t.Name, t.Source).Table
	return schema.Value(said.Options, "options") == schema.Value(t.Options, "options") && sameObjects(said.Columns, t.Columns) && sameObjects(said.Constraints, t.Constraints) &&
		!slices.ContainsFunc(t.Indexes, func(x *schema.Index) bool { return !settledIndex(x) })
}

func settledIndex(x *schema.Index) bool {
	return x.Source != "" && sqliteddl.Index(x.Name, x.Source).Definition == x.Definition
}

func sameObjects[T schema.Object](a, b []T) bool {
	return slices.EqualFunc(a, b, func(x, y T) bool {
		return x.ObjectName() == y.ObjectName() && slices.Equal(x.Properties(), y.Properties())
	})
}

// settleTable rewrites the statement of a table, and takes over what SQLite will read in it.
func (e *edit) settleTable(name Table) {
	t := e.table(name)
	t.Source = sqliteddl.Rewrite(t)
	said := sqliteddl.ParseTable(t.Name, t.Source).Table
	t.Columns, t.Constraints = said.Columns, said.Constraints
	t.Options = said.Options
	for i, x := range t.Indexes {
		if !settledIndex(x) {
			t.Indexes[i] = sqliteddl.Index(x.Name, x.Definition)
			t.Indexes[i].Needs = x.Needs
		}
	}
}

func (e *edit) settleView(in string, v *schema.View) {
	s := e.schema(in)
	i := slices.IndexFunc(s.Views, func(x *schema.View) bool { return x.Name == v.Name })
	s.Views[i] = settledView(v, "CREATE VIEW "+sqliteddl.Quote(v.Name)+" AS "+v.Definition)
}

func settledView(v *schema.View, source string) *schema.View {
	out := sqliteddl.View(v.Name, source)
	out.Triggers, out.Needs = v.Triggers, v.Needs
	return out
}

// viewKey is what tells a row of a table from the others through a view, where there is no rowid. A primary key
// that may be NULL does so together with all other columns.
func viewKey(t *schema.Table) []string {
	for _, k := range t.Constraints {
		if k.Type != schema.PrimaryKey {
			continue
		}
		if slices.Equal(sqliteKey(t), k.Columns) {
			return k.Columns
		}
		key := slices.Clone(k.Columns)
		for _, c := range t.Columns {
			if !slices.ContainsFunc(key, func(n string) bool { return strings.EqualFold(n, c.Name) }) {
				key = append(key, c.Name)
			}
		}
		return key
	}
	return nil
}

// updatableOver lets rows of a table be written through a view of all its columns.
func (g *sqlite) updatableOver(v *schema.View, t *schema.Table, key []string) {
	var into, values, set, same []string
	for _, c := range t.Columns {
		if c.Generated != "" {
			continue
		}
		q := g.quote(c.Name)
		value := "NEW." + q
		if c.Default != "" {
			value = "coalesce(" + value + ", " + g.constant(c.Default) + ")"
		}
		into, values, set = append(into, q), append(values, value), append(set, q+" = NEW."+q)
	}
	for _, c := range key {
		same = append(same, g.quote(c)+" IS OLD."+g.quote(c))
	}
	table, view, where := g.quote(t.Name), g.quote(v.Name), strings.Join(same, " AND ")
	for _, way := range [][2]string{
		{"insert", "INSERT INTO " + table + " (" + strings.Join(into, ", ") + ")\n  VALUES (" + strings.Join(values, ", ") + ")"},
		{"update", "UPDATE " + table + " SET " + strings.Join(set, ", ") + "\n  WHERE " + where},
		{"delete", "DELETE FROM " + table + " WHERE " + where},
	} {
		name := fit(g.limit(), "zz_switchback_"+g.id+"_", v.Name+"_"+way[0])
		v.Triggers = append(v.Triggers, sqliteddl.Trigger(name, "CREATE TRIGGER "+g.quote(name)+" INSTEAD OF "+strings.ToUpper(way[0])+" ON "+view+"\nBEGIN\n  "+way[1]+";\nEND"))
	}
}

// repoint makes what SQLite keeps as text, and has followed a column into the attic, read the column that
// took its place: views, the triggers of others, generated columns.
func (g *sqlite) repoint(e *edit, table Table, attic, final string) {
	t := e.table(table)
	replace := func(sql string) string {
		return sqltoken.Replace(sql, sqltoken.Of("sqlite"), func(list []sqltoken.Token, i int) (string, bool) {
			return g.quote(final), list[i].Names(attic, sqltoken.Of("sqlite"))
		})
	}
	for i, c := range t.Columns {
		if x := replace(c.Generated); x != c.Generated {
			also := *c
			also.Generated = x
			t.Columns[i] = &also
		}
	}
	triggers := func(list []*schema.Trigger) {
		for i, x := range list {
			if text := replace(x.Source); text != x.Source && !made(x.Name) {
				list[i] = sqliteddl.Trigger(x.Name, text)
				list[i].Needs = x.Needs
			}
		}
	}
	s := e.schema(table.Schema)
	for _, other := range slices.Clone(s.Tables) {
		if slices.ContainsFunc(other.Triggers, func(x *schema.Trigger) bool { return replace(x.Source) != x.Source }) {
			triggers(e.table(Table{table.Schema, other.Name}).Triggers)
		}
	}
	for i, v := range s.Views {
		text := replace(v.Source)
		list := slices.Clone(v.Triggers)
		triggers(list)
		if text != v.Source || len(list) > 0 {
			s.Views[i] = settledView(v, text)
			s.Views[i].Triggers = list
		}
	}
}

// noteTriggers says what triggers that update a row once more mean to others.
func (p *planner) noteTriggers(table Table) {
	p.note("The other shape of a row in %s is filled once the row is written: RETURNING and BEFORE triggers see it without.", table)
	for _, x := range p.now.Schema(table.Schema).Table(table.Name).Triggers {
		if !made(x.Name) && strings.Contains(x.Definition, " UPDATE ") {
			p.note("Trigger %s of %s fires also when the other shape of a row is filled, if it is for that.", word(x.Name), table)
		}
	}
}

// underWay refuses tables that another change still has in two shapes: it would write them anew at contract,
// without what this one adds.
func (p *planner) underWay(operations []Operation) error {
	if !p.rebuilds() {
		return nil
	}
	for _, op := range operations {
		full, t, err := p.table(op, op.on())
		if err != nil {
			continue // the recipe says more
		}
		if err := p.pointedTo(op, full); err != nil {
			return err
		}
		for _, x := range t.Triggers {
			if number, _, _ := strings.Cut(strings.TrimPrefix(x.Name, "zz_switchback_"), "_"); made(x.Name) && strings.HasSuffix(x.Name, "_"+onOld) {
				return &Error{op, fmt.Sprintf("change %s has table %s in two shapes", number, full), "finish it first: switchback contract; or roll it back"}
			}
		}
	}
	return nil
}

// pointedTo refuses to give a table another name while one that points to it has something in the attic: the scripts
// of that write the foreign key as they know it.
func (p *planner) pointedTo(op Operation, table Table) error {
	if !movesTable(op) {
		return nil
	}
	for _, t := range p.now.Schema(table.Schema).Tables {
		points := slices.ContainsFunc(t.Constraints, func(k *schema.Constraint) bool {
			return k.References != nil && strings.EqualFold(k.References.Table, table.Name)
		})
		if err := settledTable(op, Table{table.Schema, t.Name}, t); points && err != nil {
			return err
		}
	}
	return nil
}

// made tells whether a trigger is one of a change.
func made(trigger string) bool { return strings.HasPrefix(trigger, "zz_switchback_") }
