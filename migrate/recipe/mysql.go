package recipe

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	writer "github.com/switchbackdb/switchback/ddl/mysql"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

// mysql writes what MySQL and MariaDB run. Their triggers are of one event each, so a pass over a row is two
// of them, and they stop every write once a column that they name has another name: so they are exchanged
// while nobody else writes, in a group that locks the table.
type mysql struct {
	id      string
	mariadb bool
}

func (g *mysql) name() string {
	if g.mariadb {
		return "mariadb"
	}
	return "mysql"
}

func (*mysql) quote(name string) string   { return writer.Quote(name) }
func (*mysql) table(t Table) string       { return writer.Quote(t.Name) }
func (*mysql) walkName(t Table) string    { return t.Name }
func (*mysql) literal(text string) string { return writer.Literal(text) }
func (*mysql) limit() int                 { return 64 }
func (*mysql) fillsNotNull() bool         { return true }
func (*mysql) locksGroups() bool          { return true }

// byBytes are the types that are compared byte by byte: their collation may take two values for one.
var byBytes = regexp.MustCompile(`^(char|varchar|tinytext|text|mediumtext|longtext|enum|set|json)\b`)

func (g *mysql) distinct(a, b, typ string) string {
	if b == "NULL" {
		return a + " IS NOT NULL"
	}
	return "NOT (" + g.same(a, b, typ) + ")"
}

// same is the condition that two expressions of a type are the same, NULL being a value like any other.
func (*mysql) same(a, b, typ string) string {
	switch {
	case b == "NULL":
		return a + " IS NULL"
	case byBytes.MatchString(typ):
		return "CAST(" + a + " AS BINARY) <=> CAST(" + b + " AS BINARY)"
	}
	return a + " <=> " + b
}

// half is a pass over a row for one event: one trigger.
type half struct {
	number int    // sorts it among its four: those for UPDATE come first, so that no row is filled that is not kept in step
	pass   string // ahead, up or down
	event  string // UPDATE or INSERT
}

var halves = []half{{0, "ahead", "UPDATE"}, {0, "ahead", "INSERT"}, {1, "up", "UPDATE"}, {2, "up", "INSERT"}, {3, "down", "UPDATE"}, {4, "down", "INSERT"}}

func (g *mysql) trigger(s *sync, h half) string {
	return fit(64, fmt.Sprintf("switchback_%s_%d_%s_%s_", g.id, h.number, h.pass, strings.ToLower(h.event)), s.table.Name)
}

func (g *mysql) addTriggers(e *edit, s *sync, st state) {
	for _, h := range halves {
		if body := g.body(s, st, h); body != "" {
			g.insert(e.table(s.table), &schema.Trigger{
				Name:       g.trigger(s, h),
				Definition: "BEFORE " + h.event + " FOR EACH ROW BEGIN\n" + body + "\nEND",
			})
		}
	}
}

func (g *mysql) dropTriggers(e *edit, s *sync, st state) {
	g.dropPasses("ahead", "up", "down")(e, s, st)
}

// dropPasses removes the triggers of some passes.
func (g *mysql) dropPasses(passes ...string) func(*edit, *sync, state) {
	return func(e *edit, s *sync, st state) {
		for _, h := range halves {
			if slices.Contains(passes, h.pass) && g.body(s, st, h) != "" {
				e.dropTrigger(s.table, g.trigger(s, h))
			}
		}
	}
}

// passOf are the names of triggers of a change, with its number and their pass.
var passOf = regexp.MustCompile(`^switchback_(\d+)_\d_(up|down)_`)

// insert puts a trigger where it fires in its turn: behind those of the application, up passes in the order of
// the changes, then down passes in the reverse one.
func (g *mysql) insert(t *schema.Table, x *schema.Trigger) {
	event := func(x *schema.Trigger) string { return strings.Join(strings.Fields(x.Definition)[:2], " ") }
	if firesAhead(x.Name) {
		at := slices.IndexFunc(t.Triggers, func(other *schema.Trigger) bool { return event(other) == event(x) })
		t.Triggers = slices.Insert(t.Triggers, max(at, 0), x)
		return
	}
	at := slices.IndexFunc(t.Triggers, func(other *schema.Trigger) bool {
		return event(other) == event(x) && firesBefore(x.Name, other.Name)
	})
	if at < 0 {
		at = len(t.Triggers)
	}
	t.Triggers = slices.Insert(t.Triggers, at, x)
}

// aheadOf are the names of triggers that fire before those of the application.
var aheadOf = regexp.MustCompile(`^switchback_\d+_0_ahead_`)

func firesAhead(name string) bool { return aheadOf.MatchString(name) }

// firesBefore tells whether a trigger of ours has to fire before another.
func firesBefore(name, other string) bool {
	a, b := passOf.FindStringSubmatch(name), passOf.FindStringSubmatch(other)
	if b == nil {
		return false
	}
	older := len(a[1]) < len(b[1]) || len(a[1]) == len(b[1]) && a[1] < b[1]
	switch {
	case a[2] != b[2]:
		return a[2] == "up"
	case a[2] == "up":
		return older
	}
	return !older && a[1] != b[1]
}

// body is what a trigger does, or nothing where a state has no use for it.
func (g *mysql) body(s *sync, st state, h half) string {
	var parts []string
	switch h.pass {
	case "ahead":
		for _, r := range s.rules {
			if r.ahead(st) {
				parts = append(parts, g.ahead(r, st, h.event))
			}
		}
	case "up":
		for _, r := range s.rules {
			if text := g.up(r, st, h.event); r.ups(st) && text != "" {
				parts = append(parts, text)
			}
		}
	default:
		for _, r := range slices.Backward(s.rules) {
			if r.downs(st) {
				parts = append(parts, g.down(r, st, h.event))
			}
		}
	}
	return strings.Join(parts, "\n")
}

// up is a rule's part of the first pass.
func (g *mysql) up(r *rule, st state, event string) string {
	if r.once && event == "UPDATE" {
		return ""
	}
	untouched := g.each(r, r.new, st, " AND ", func(c, q string) string { return g.unwritten(r, c, "NEW."+q, st) })
	kept := g.each(r, r.new, st, " AND ", func(c, q string) string { return g.same("NEW."+q, "OLD."+q, r.types[c]) })
	changed := g.each(r, r.old, st, " OR ", g.changed(r))
	var condition string
	switch {
	case r.once:
		condition = untouched
	case r.hidden && event == "UPDATE":
		condition = changed
	case r.hidden:
	case event == "UPDATE":
		condition = kept + "\n    AND (" + changed + ")"
	default:
		condition = untouched
	}
	comment := fmt.Sprintf("%s from %s, unless it was written itself", strings.Join(r.names(r.new, st), ", "), or(strings.Join(r.names(r.old, st), ", "), "what a row starts with"))
	var sets []string
	for _, c := range r.new {
		sets = append(sets, fmt.Sprintf("SET NEW.%s = %s;", g.quote(r.name(c, st)), r.expression(g, r.up[c], st, "NEW.")))
	}
	return block(comment, condition, sets)
}

// unwritten is the condition that a row was inserted without a new column. One that is NOT NULL says NULL then; by LOAD DATA,
// or where it has a default for the time being, what says nothing: which the new version may have written as well, where the
// old shape has no value.
func (g *mysql) unwritten(r *rule, column, says string, st state) string {
	text := g.same(says, or(r.initial[column], "NULL"), r.types[column])
	z := r.quiet[column]
	if z == "" {
		return text
	}
	value := r.expression(g, r.up[column], st, "NEW.")
	if !slices.ContainsFunc(r.old, func(c string) bool { return value == "NEW."+g.quote(c) }) {
		value = "(" + value + ")"
	}
	return fmt.Sprintf("(%s OR %s AND %s IS NOT NULL)", text, g.same(says, z, r.types[column]), value)
}

// down is a rule's part of the second pass.
func (g *mysql) down(r *rule, st state, event string) string {
	differs := g.each(r, r.new, st, " OR ", func(c, q string) string {
		return g.distinct("NEW."+q, r.expression(g, r.up[c], st, "NEW."), r.types[c])
	})
	condition := differs
	if event == "UPDATE" {
		condition = "(" + g.each(r, r.new, st, " OR ", g.changed(r)) + ")\n    AND (" + differs + ")"
	}
	comment := fmt.Sprintf("%s from %s, where it does not say so already", strings.Join(r.names(r.old, st), ", "), strings.Join(r.names(r.new, st), ", "))
	var sets []string
	for _, c := range r.old {
		if x, ok := r.down[c]; ok {
			sets = append(sets, fmt.Sprintf("SET NEW.%s = %s;", g.quote(r.name(c, st)), r.expression(g, x, st, "NEW.")))
		}
	}
	return block(comment, condition, sets)
}

// ahead is a rule's part of the pass ahead of the application's triggers: the new shape alone was written, and is not what
// up makes of the old one.
func (g *mysql) ahead(r *rule, st state, event string) string {
	unwritten := g.each(r, r.old, st, " AND ", func(c, q string) string { return g.same("NEW."+q, or(r.begins[c], "NULL"), r.types[c]) })
	if event == "UPDATE" {
		unwritten = g.each(r, r.old, st, " AND ", func(c, q string) string { return g.same("NEW."+q, "OLD."+q, r.types[c]) }) +
			"\n    AND (" + g.each(r, r.new, st, " OR ", g.changed(r)) + ")"
	}
	differs := g.each(r, r.new, st, " OR ", func(c, q string) string {
		return g.distinct("NEW."+q, r.expression(g, r.up[c], st, "NEW."), r.types[c])
	})
	comment := fmt.Sprintf("%s from %s, for the triggers that read it", strings.Join(r.old, ", "), strings.Join(r.new, ", "))
	var sets []string
	for _, c := range r.old {
		if x, ok := r.down[c]; ok {
			sets = append(sets, fmt.Sprintf("SET NEW.%s = %s;", g.quote(c), r.expression(g, x, st, "NEW.")))
		}
	}
	return block(comment, unwritten+"\n    AND ("+differs+")", sets)
}

// block writes assignments under a condition, if there is one.
func block(comment, condition string, sets []string) string {
	text := "  -- " + strings.NewReplacer("\n", " ", "\r", " ").Replace(comment) + "\n"
	if condition == "" {
		return text + "  " + strings.Join(sets, "\n  ")
	}
	return text + "  IF " + condition + " THEN\n    " + strings.Join(sets, "\n    ") + "\n  END IF;"
}

// changed is the condition that a column is not what it was.
func (g *mysql) changed(r *rule) func(column, quoted string) string {
	return func(c, q string) string { return g.distinct("NEW."+q, "OLD."+q, r.types[c]) }
}

// each joins a condition on each of some columns.
func (g *mysql) each(r *rule, columns []string, st state, with string, condition func(column, quoted string) string) string {
	var list []string
	for _, c := range columns {
		list = append(list, condition(c, g.quote(r.name(c, st))))
	}
	return strings.Join(list, with)
}

func (g *mysql) triggersOf(s *sync, st state) (names []string) {
	for _, h := range halves {
		if g.body(s, st, h) != "" {
			names = append(names, g.trigger(s, h))
		}
	}
	return names
}

func (g *mysql) assertThere(_ Table, triggers []string, failure string) Statement {
	return Statement{
		SQL: fmt.Sprintf("SELECT count(*) AS triggers_left\nFROM information_schema.triggers\nWHERE trigger_schema = DATABASE()\n  AND trigger_name IN (%s)\nHAVING count(*) < %d",
			joinBy(triggers, ",\n    ", g.literal), len(triggers)),
		Why: "Reads the catalogue.", Assert: failure,
	}
}

func (*mysql) renameConstraint(Table, string, string) (string, bool) { return "", false }

// resync is the statement that brings the rows in step again that were written while no trigger was there, as
// after a crash in the middle of a group: what the version of the application that runs then goes by wins.
func (g *mysql) resync(s *sync, r *rule, st state) (Statement, bool) {
	columns, from := r.old, r.down
	if r.hidden && st == before {
		columns, from = r.new, r.up
	}
	if r.once || len(from) == 0 {
		return Statement{}, false
	}
	var sets []string
	for _, c := range columns {
		if x, ok := from[c]; ok {
			sets = append(sets, g.quote(r.name(c, st))+" = "+r.expression(g, x, st, ""))
		}
	}
	differ := func(columns []string, expressions map[string]string) string {
		var any []string
		for _, c := range columns {
			if x, ok := expressions[c]; ok {
				any = append(any, g.distinct(g.quote(r.name(c, st)), r.expression(g, x, st, ""), r.types[c]))
			}
		}
		return strings.Join(any, " OR ")
	}
	where := differ(r.new, r.up)
	switch back := differ(r.old, r.down); {
	case !r.hidden || st == after:
		where = "(" + where + ")\n  AND (" + back + ")"
	case back != "": // what the old type cannot say was written before a rollback of contract, and stays
		where = "(" + where + ")\n  AND (" + joinBy(r.new, "", func(c string) string { return g.quote(r.name(c, st)) + " IS NULL OR " }) + back + ")"
	}
	return Statement{
		SQL:     fmt.Sprintf("UPDATE %s\nSET %s\nWHERE %s", g.table(s.table), strings.Join(sets, ",\n    "), where),
		Why:     "Only after a crash: what was written while the triggers were not there.",
		Resumed: true,
	}, true
}

// demanding are the columns of a table that has two shapes which no row can do without, though a version of the
// application that runs does not write them: triggers do.
func (g *mysql) demanding(d *schema.Database, s *sync, st state) []*schema.Column {
	var list []*schema.Column
	t := d.Schema(s.table.Schema).Table(s.table.Name)
	for _, r := range s.rules {
		if r.once { // it reads the old columns, and the new version writes the new one
			continue
		}
		columns := r.old
		if r.hidden {
			columns = slices.Concat(r.old, r.new)
		}
		for _, name := range r.names(columns, st) {
			if c := t.Column(name); g.demands(c) && !slices.Contains(list, c) {
				list = append(list, c)
			}
		}
	}
	return list
}

// demands tells whether a row cannot do without a column, and there is a default that says nothing.
func (g *mysql) demands(c *schema.Column) bool { return c != nil && c.Default == "" && g.demandsBut(c) }

// demandsBut is demands, whatever default the column has.
func (g *mysql) demandsBut(c *schema.Column) bool {
	return c.NotNull && c.Generated == "" && schema.Value(c.Options, "auto_increment") == "" && g.silence(c.Type) != ""
}

// quiet is what a column says in a row that was written without it, where that can be told from what was written. A timestamp is
// another one for a session in another time zone; a binary column has zeros behind what it was given.
func (g *mysql) quiet(typ string) string {
	for _, prefix := range []string{"timestamp", "binary", "bit", "json"} {
		if strings.HasPrefix(typ, prefix) {
			return ""
		}
	}
	return g.silence(typ)
}

// lasting tells whether a column that is NOT NULL, and that a version of the application does not write, has to have a default
// for as long as there are triggers. MariaDB refuses INSERT … SELECT else, though a trigger gives the value; MySQL has LOAD
// DATA say a date that is none. The others have none, so that a row without a value in either shape is refused as before.
func (g *mysql) lasting(typ string) bool {
	return g.quiet(typ) != "" && (g.mariadb || strings.HasPrefix(typ, "date"))
}

// silence is a default that says nothing, if need be one that is computed.
func (g *mysql) silence(typ string) string {
	zero := g.zero(typ)
	switch {
	case zero != "":
		return zero
	case strings.HasPrefix(typ, "binary"), strings.HasPrefix(typ, "varbinary"):
		return "''"
	case typ == "json" && g.mariadb:
		return "'null'"
	case typ == "json":
		return "(CAST('null' AS JSON))"
	case inBytes(typ), strings.HasSuffix(typ, "blob"):
		return "(concat(''))"
	}
	return ""
}

// updatable has rights checked for who writes, not for who made the view.
func (*mysql) updatable(v *schema.View) {
	v.Options = append(v.Options, schema.Property{Name: "security", Value: "INVOKER"})
}

// indexOf writes an index as the model of these servers has it: INDEX (a, b) rather than CREATE INDEX.
func (g *mysql) indexOf(x schema.Index) (schema.Index, bool) {
	d := sqltoken.Of(g.name())
	list := sqltoken.Split(x.Definition, d)
	kind := "INDEX"
	depth := 0
	for i, t := range list {
		switch {
		case depth == 0 && (t.Is("unique") || t.Is("fulltext") || t.Is("spatial")):
			kind = strings.ToUpper(t.Name) + " INDEX"
		case t.IsSign("("):
			if depth++; depth == 1 {
				x.Columns = nil
				if x.Definition = kind + " " + x.Definition[t.Start:]; list[i+1].IsName() {
					x.Columns = append(x.Columns, list[i+1].Name)
				}
			}
		case t.IsSign(")"):
			depth--
		case depth == 1 && t.IsSign(",") && i+1 < len(list) && list[i+1].IsName():
			x.Columns = append(x.Columns, list[i+1].Name)
		}
	}
	return x, strings.HasPrefix(x.Definition, kind+" (")
}

// uniqueIndex tells that a unique key is an index, and nothing else.
func (*mysql) uniqueIndex() bool { return true }

var plainDefault = regexp.MustCompile(`(?i)^([-+]?[0-9.]+(e[-+]?[0-9]+)?|[bx]?'.*'|0x[0-9a-f]+|null|true|false|current_timestamp(\([0-9]?\))?|\(.*\))$`)

// defaultOf writes a default: one that is an expression stands in parentheses.
func (*mysql) defaultOf(expression string) string {
	if expression == "" || plainDefault.MatchString(expression) {
		return expression
	}
	return "(" + expression + ")"
}

// cannot says why a column cannot be taken through a change, or nothing.
func (g *mysql) cannot(t *schema.Table, c *schema.Column) (reason, next string) {
	d := sqltoken.Of(g.name())
	reads := func(text string) bool {
		return sqltoken.Mentions(sqltoken.Split(text, d), c.Name, d)
	}
	if schema.Value(c.Options, "auto_increment") != "" {
		return "a table has one AUTO_INCREMENT column, and it cannot be two at a time", ""
	}
	for _, other := range t.Columns {
		if other.Generated != "" && reads(other.Generated) {
			return fmt.Sprintf("column %s is generated from it", word(other.Name)), "change that one first"
		}
	}
	if reads(schema.Value(t.Options, "partitions")) {
		return "the table is partitioned by it", ""
	}
	return g.frozen(t)
}

// frozen says why no column of a table can be changed while others write, or nothing.
func (g *mysql) frozen(t *schema.Table) (reason, next string) {
	for _, k := range t.Constraints {
		if !g.mariadb && k.Type == schema.Check && comparesDates(t, k.Definition) {
			return fmt.Sprintf("check %s compares a date with a constant, and where one does, MySQL changes no column without copying the table while writes wait", word(k.Name)), "drop the check in a change of its own before, and add it again after this one"
		}
	}
	return "", ""
}

// comparesDates tells whether a check names a column of dates or times, and has a constant in quotes to compare it with.
func comparesDates(t *schema.Table, check string) bool {
	tokens := sqltoken.Split(check, sqltoken.Of("mysql"))
	dates := slices.ContainsFunc(t.Columns, func(c *schema.Column) bool {
		return temporal.MatchString(c.Type) && sqltoken.Mentions(tokens, c.Name, sqltoken.Of("mysql"))
	})
	return dates && slices.ContainsFunc(tokens, func(k sqltoken.Token) bool { return k.Kind == sqltoken.Text })
}

var temporal = regexp.MustCompile(`^(date|datetime|timestamp|time)\b`)
