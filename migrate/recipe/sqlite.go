package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqliteddl"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// sqlite writes what SQLite runs. A trigger there cannot change the row that is about to be written, so the
// shapes are kept in step by AFTER triggers that update the row once more. They come to rest by their
// conditions alone, whether triggers fire recursively or not: what one of them writes leaves the shapes in
// step, in one reading or the other, and then none has anything to do. Those of several changes fire each
// other: each sees to its own columns.
type sqlite struct{ id string }

func (*sqlite) name() string             { return "sqlite" }
func (*sqlite) quote(name string) string { return sqliteddl.Quote(name) }

func (*sqlite) table(t Table) string                                  { return sqliteddl.Quote(t.Name) }
func (*sqlite) walkName(t Table) string                               { return t.Name }
func (*sqlite) literal(text string) string                            { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
func (*sqlite) limit() int                                            { return 255 }
func (*sqlite) locksGroups() bool                                     { return false }
func (*sqlite) fillsNotNull() bool                                    { return false }
func (*sqlite) renameConstraint(Table, string, string) (string, bool) { return "", false }

// distinct compares by bytes, also where the column's collation does not.
func (*sqlite) distinct(a, b, typ string) string {
	if _, collation, ok := strings.Cut(typ, " COLLATE "); ok && collation != "BINARY" {
		return operand(a) + " COLLATE BINARY IS NOT " + operand(b)
	}
	return operand(a) + " IS NOT " + operand(b)
}

// operand puts an expression into parentheses, unless it is a word, a call or a CASE.
func operand(expression string) string {
	list := sqltoken.Split(expression, sqltoken.Of("sqlite"))
	n := len(list)
	switch {
	case n <= 1, n == 3 && list[1].IsSign("."), list[0].Is("CASE") && list[n-1].Is("END"):
		return expression
	case list[n-1].IsSign(")") && (list[0].IsSign("(") || list[0].IsName() && list[1].IsSign("(")):
		depth := 0
		for _, t := range list[:n-1] {
			if t.IsSign("(") {
				depth++
			} else if t.IsSign(")") {
				depth--
			}
			if depth == 0 && !t.IsName() {
				return "(" + expression + ")"
			}
		}
		return expression
	}
	return "(" + expression + ")"
}

// The triggers of a rule, by what they wait for.
const (
	onInsert = "insert"
	onOld    = "up"
	onNew    = "down"
	onNull   = "not_null"
)

// triggersOf are the triggers that a rule has in a state.
func (r *rule) triggersOf(st state) (kinds []string) {
	if st == before || r.downs(st) {
		kinds = append(kinds, onInsert)
	}
	if st == before && !r.once {
		kinds = append(kinds, onOld)
	}
	if r.downs(st) {
		kinds = append(kinds, onNew)
	}
	if len(r.guarded(st)) > 0 {
		kinds = append(kinds, onNull)
	}
	return kinds
}

// guarded are the old columns that may not be NULL and are free of NOT NULL for the time being.
func (r *rule) guarded(st state) []string {
	if st == before && r.hidden {
		return nil // nothing but the old shape is written
	}
	return r.freed
}

func (g *sqlite) prefix(s *sync) string {
	return fit(g.limit()-20, "zz_switchback_"+g.id+"_", s.table.Name) + "_"
}

// trigger is the name of a trigger of the nth rule. Names of triggers are the database's, not the table's.
func (g *sqlite) trigger(s *sync, n int, kind string) string {
	if n > 0 {
		kind = fmt.Sprintf("%d_%s", n+1, kind)
	}
	return g.prefix(s) + kind
}

func (g *sqlite) addTriggers(e *edit, s *sync, st state) {
	t := e.table(s.table)
	for n, r := range s.rules {
		w := &sqliteTriggers{sqlite: g, rule: r, state: st, table: g.table(s.table), row: g.row(t, s)}
		for _, kind := range r.triggersOf(st) {
			name := g.trigger(s, n, kind)
			t.Triggers = append(t.Triggers, sqliteddl.Trigger(name, "CREATE TRIGGER "+g.quote(name)+" "+w.text(kind)))
		}
	}
}

func (g *sqlite) dropTriggers(e *edit, s *sync, st state) {
	for n, r := range s.rules {
		for _, kind := range r.triggersOf(st) {
			e.dropTrigger(s.table, g.trigger(s, n, kind))
		}
	}
}

func (g *sqlite) triggersOf(s *sync, st state) (names []string) {
	for n, r := range s.rules {
		for _, kind := range r.triggersOf(st) {
			names = append(names, g.trigger(s, n, kind))
		}
	}
	return names
}

func (g *sqlite) assertThere(_ Table, triggers []string, failure string) Statement {
	rows := "(NULL)"
	if len(triggers) > 0 {
		rows = join(triggers, func(name string) string { return "(" + g.literal(name) + ")" })
	}
	return Statement{
		SQL: fmt.Sprintf("SELECT column1 AS name\nFROM (VALUES %s)\nWHERE column1 NOT IN (SELECT name FROM sqlite_schema WHERE type = 'trigger')", rows),
		Why: "Reads the catalogue.", Assert: failure,
	}
}

// row is the condition that a row is the one that a trigger was fired for.
func (g *sqlite) row(t *schema.Table, s *sync) string {
	key := s.key
	if id := rowid(t); id != "" {
		key = []string{id}
	}
	var parts []string
	for _, c := range key {
		q := g.quote(c)
		if strings.EqualFold(c, "rowid") {
			q = c
		}
		parts = append(parts, q+" = NEW."+q)
	}
	return strings.Join(parts, " AND ")
}

// rowid is a name of the rowid of a table: that of the column which is it, or one that no column has. It is
// empty when there is none.
func rowid(t *schema.Table) string {
	if strings.Contains(schema.Value(t.Options, "options"), "WITHOUT ROWID") {
		return ""
	}
	for _, k := range t.Constraints {
		if k.Type != schema.PrimaryKey || len(k.Columns) != 1 || strings.Contains(k.Definition, "DESC") {
			continue
		}
		for _, c := range t.Columns {
			if strings.EqualFold(c.Name, k.Columns[0]) && c.Type == "INTEGER" {
				return c.Name
			}
		}
	}
	for _, name := range []string{"rowid", "_rowid_", "oid"} {
		if !slices.ContainsFunc(t.Columns, func(c *schema.Column) bool { return strings.EqualFold(c.Name, name) }) {
			return name
		}
	}
	return ""
}

// sqliteKey is the key to walk a table by: its primary key where that is the rowid or has no NULLs, else the
// rowid itself. Only tables whose columns have taken all its names have none.
func sqliteKey(t *schema.Table) []string {
	without := strings.Contains(schema.Value(t.Options, "options"), "WITHOUT ROWID")
	id := rowid(t)
	for _, k := range t.Constraints {
		if k.Type == schema.PrimaryKey && (without || withoutNulls(t, k.Columns) || slices.Equal(k.Columns, []string{id})) {
			return k.Columns
		}
	}
	if id == "" {
		return nil
	}
	return []string{id}
}

// sqliteTriggers writes the triggers of one rule.
type sqliteTriggers struct {
	*sqlite
	*rule
	state state
	table string
	row   string
}

func (w *sqliteTriggers) text(kind string) string {
	switch kind {
	case onInsert:
		return w.insert()
	case onOld:
		return w.updateOld()
	case onNew:
		return w.updateNew()
	}
	return w.notNull()
}

// insert gives a new row the shape that it was written without.
func (w *sqliteTriggers) insert() string {
	var when, body []string
	switch {
	case w.once:
		when = append(when, w.unwritten("NEW."))
		body = append(body, w.update(w.ups(""), w.unwritten("")))
	case w.state == after || w.hidden:
		when = append(when, w.differ("NEW."))
		set := w.ups("")
		if w.state == after {
			set = w.downs("")
		}
		body = append(body, w.update(set, w.differ("")))
	default:
		when = append(when, w.differ("NEW."))
		body = append(body, "  -- what the old version has written\n"+w.update(w.ups(""), w.unwritten(""), w.differ("")))
		if w.rule.downs(w.state) {
			body = append(body, "  -- what the new version has written\n"+w.update(w.downs(""), "NOT ("+w.unwritten("")+")", w.differ("")))
		}
	}
	for _, c := range w.guarded(w.state) {
		when = append(when, "NEW."+w.column(c)+" IS NULL")
		body = append(body, fmt.Sprintf("  SELECT RAISE(ABORT, %s) FROM %s\n  WHERE %s AND %s IS NULL;", w.failure(c), w.table, w.row, w.column(c)))
	}
	return fmt.Sprintf("AFTER INSERT ON %s\nWHEN %s\nBEGIN\n%s\nEND", w.table, strings.Join(when, " OR "), strings.Join(body, "\n"))
}

// updateOld brings the new shape behind an old one that was written.
func (w *sqliteTriggers) updateOld() string {
	when := []string{bracket(w.changed(w.old, " OR ")), w.differ("NEW.")}
	if !w.hidden {
		when = []string{bracket(w.changed(w.old, " OR ")), w.unchanged(w.new), w.differ("NEW.")}
		if lossy := w.differDown("NEW."); lossy != "" {
			when = append(when, lossy)
		}
	}
	return w.afterUpdate(w.old, when, w.ups(""))
}

// updateNew brings the old shape behind a new one that was written, unless the new one says what the old
// one does.
func (w *sqliteTriggers) updateNew() string {
	return w.afterUpdate(w.new, []string{bracket(w.changed(w.new, " OR ")), w.differ("NEW.")}, w.downs(""))
}

func (w *sqliteTriggers) afterUpdate(of []string, when, set []string) string {
	return fmt.Sprintf("AFTER UPDATE OF %s ON %s\nWHEN %s\nBEGIN\n%s\nEND", w.list(of), w.table, strings.Join(when, "\n  AND "), w.update(set))
}

// notNull stands in for NOT NULL.
func (w *sqliteTriggers) notNull() string {
	var when, body []string
	for _, c := range w.guarded(w.state) {
		q := w.column(c)
		when = append(when, fmt.Sprintf("NEW.%s IS NULL AND OLD.%s IS NOT NULL", q, q))
		body = append(body, fmt.Sprintf("  SELECT RAISE(ABORT, %s) WHERE NEW.%s IS NULL AND OLD.%s IS NOT NULL;", w.failure(c), q, q))
	}
	return fmt.Sprintf("BEFORE UPDATE OF %s ON %s\nWHEN %s\nBEGIN\n%s\nEND", w.list(w.guarded(w.state)), w.table, strings.Join(when, "\n  OR "), strings.Join(body, "\n"))
}

// failure is what SQLite itself says.
func (w *sqliteTriggers) failure(column string) string {
	return w.literal("NOT NULL constraint failed: " + w.table + "." + w.column(column))
}

func (w *sqliteTriggers) column(c string) string { return w.quote(w.rule.name(c, w.state)) }

func (w *sqliteTriggers) list(columns []string) string {
	return join(columns, w.column)
}

func (w *sqliteTriggers) update(set []string, where ...string) string {
	return fmt.Sprintf("  UPDATE %s SET %s\n  WHERE %s;", w.table, strings.Join(set, ", "), strings.Join(append([]string{w.row}, where...), " AND "))
}

// ups and downs are the assignments of the two directions.
func (w *sqliteTriggers) ups(prefix string) []string {
	return w.assignments(w.new, w.up, prefix)
}

func (w *sqliteTriggers) downs(prefix string) []string {
	return w.assignments(w.old, w.down, prefix)
}

func (w *sqliteTriggers) assignments(columns []string, expressions map[string]string, prefix string) (out []string) {
	for _, c := range columns {
		if x, ok := expressions[c]; ok {
			out = append(out, w.column(c)+" = "+w.expression(w.sqlite, x, w.state, prefix))
		}
	}
	return out
}

// differ is the condition that the new shape is not what up makes of the old one.
func (w *sqliteTriggers) differ(prefix string) string {
	return w.differing(w.new, w.up, prefix)
}

// differDown is the condition that the old shape is not what down makes of the new one; empty where there is
// no down.
func (w *sqliteTriggers) differDown(prefix string) string {
	return w.differing(w.old, w.down, prefix)
}

func (w *sqliteTriggers) differing(columns []string, expressions map[string]string, prefix string) string {
	var any []string
	for _, c := range columns {
		if x, ok := expressions[c]; ok {
			any = append(any, w.distinct(prefix+w.column(c), w.expression(w.sqlite, x, w.state, prefix), w.types[c]))
		}
	}
	if len(any) == 0 {
		return ""
	}
	return bracket(strings.Join(any, " OR "))
}

// unwritten is the condition that no new column has another value than it has by itself.
func (w *sqliteTriggers) unwritten(prefix string) string {
	var all []string
	for _, c := range w.new {
		all = append(all, same(w.distinct(prefix+w.column(c), or(w.initial[c], "NULL"), w.types[c])))
	}
	return strings.Join(all, " AND ")
}

func (w *sqliteTriggers) changed(columns []string, with string) string {
	var any []string
	for _, c := range columns {
		any = append(any, w.distinct("NEW."+w.column(c), "OLD."+w.column(c), w.types[c]))
	}
	return strings.Join(any, with)
}

func (w *sqliteTriggers) unchanged(columns []string) string {
	var all []string
	for _, c := range columns {
		all = append(all, same(w.distinct("NEW."+w.column(c), "OLD."+w.column(c), w.types[c])))
	}
	return strings.Join(all, " AND ")
}

// same turns a comparison by distinct around.
func same(distinct string) string { return strings.Replace(distinct, " IS NOT ", " IS ", 1) }

// bracket puts a condition of several into parentheses.
func bracket(condition string) string {
	if strings.Contains(condition, " OR ") {
		return "(" + condition + ")"
	}
	return condition
}

// updatable lets rows be written through a view.
func (g *sqlite) updatable(*schema.View) {}
