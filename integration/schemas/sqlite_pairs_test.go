package schemas

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// liteDraw draws the statements of a schema. Names of tables, views and virtual tables come from one
// list, so that two schemas have some in common, also of different kinds.
type liteDraw struct {
	*rapid.T
	statements []string
	tables     []liteTable
	views      []liteTable
}

type liteTable struct {
	name    string
	columns []string // that are not generated
}

func (d *liteDraw) maybe(label string) bool { return d.oneIn(3, label) }

func (d *liteDraw) oneIn(n int, label string) bool {
	return rapid.IntRange(1, n).Draw(d.T, label) == n // so that it shrinks to false
}

func (d *liteDraw) from(label string, list ...string) string {
	return rapid.SampledFrom(list).Draw(d.T, label)
}

func (d *liteDraw) add(format string, args ...any) {
	d.statements = append(d.statements, fmt.Sprintf(format, args...))
}

func drawLite(t *rapid.T, label string) []string {
	d := &liteDraw{T: t}
	for _, name := range []string{"a", "b", `"c d"`, "e"} {
		switch d.from(label+": "+name+" is", "nothing", "table", "table", "table", "view", "virtual") {
		case "table":
			d.table(name)
		case "view":
			d.view(name)
		case "virtual":
			d.add("CREATE VIRTUAL TABLE %s USING fts5 (%s)", name, d.from("columns", "x", "x, y"))
		}
	}
	for _, name := range []string{"i", `"j j"`, "k"} {
		if len(d.tables) > 0 && d.maybe("index") {
			d.index(name)
		}
	}
	for _, name := range []string{"t", "u"} {
		if len(d.tables) > 0 && d.maybe("trigger") {
			d.trigger(name)
		}
	}
	if d.oneIn(5, "user_version") {
		d.add("PRAGMA user_version = %s", d.from("version", "1", "2"))
	}
	return d.statements
}

func (d *liteDraw) table(name string) {
	t := liteTable{name: name}
	strict, withoutRowid := d.oneIn(4, "strict"), d.oneIn(5, "without rowid")
	var items []string
	key := d.from("key", "none", "id", "autoincrement", "two")
	if withoutRowid && key != "two" {
		key = "id"
	}
	switch key {
	case "id":
		items = append(items, "id INTEGER PRIMARY KEY"+d.from("order", "", " ASC", " DESC"))
		t.columns = append(t.columns, "id")
	case "autoincrement":
		items = append(items, "id INTEGER PRIMARY KEY AUTOINCREMENT")
		t.columns = append(t.columns, "id")
	}
	for i, column := range []string{"x", "y", `"z z"`, `"order"`} {
		if i == 0 || d.from("column", "no", "yes") == "yes" {
			items = append(items, d.column(t, column, strict))
			t.columns = append(t.columns, column)
		}
	}
	if d.oneIn(4, "generated") {
		items = append(items, fmt.Sprintf("g INT AS (length(%s)) %s", d.from("of", t.columns...), d.from("kept", "VIRTUAL", "STORED")))
	}
	items = append(items, d.constraints(t, key)...)
	var options []string
	if strict {
		options = append(options, "STRICT")
	}
	if withoutRowid {
		options = append(options, "WITHOUT ROWID")
	}
	d.add("CREATE TABLE %s (\n  %s\n) %s", name, strings.Join(items, ",\n  "), strings.Join(options, ", "))
	d.tables = append(d.tables, t)
}

func (d *liteDraw) column(t liteTable, name string, strict bool) string {
	var kind string
	if strict {
		kind = d.from("type", "TEXT", "INT", "REAL", "BLOB", "ANY")
	} else {
		kind = d.from("type", "TEXT", "INT", "REAL", "BLOB", "", "VARCHAR(10)", "NUMERIC")
	}
	text := name + " " + kind
	if d.maybe("default") {
		value := d.from("value", "'v'", "NULL", "CURRENT_DATE", "(1 + 1)", "-1")
		if kind == "INT" || kind == "REAL" {
			value = d.from("number", "7", "-1", "(1 + 1)")
		}
		text += " DEFAULT " + value
	}
	if d.oneIn(4, "not null") {
		text += " NOT NULL" + d.from("on conflict", "", "", " ON CONFLICT REPLACE", " ON CONFLICT IGNORE")
	}
	if d.oneIn(5, "collate") {
		text += " COLLATE " + d.from("collation", "NOCASE", "RTRIM")
	}
	if d.oneIn(6, "unique") {
		text += " UNIQUE" + d.from("on conflict", "", " ON CONFLICT REPLACE")
	}
	if d.oneIn(5, "check") {
		text += fmt.Sprintf(" CHECK (%s IS NULL OR %s <> %s)", name, name, d.from("value", "'no'", "'never'"))
	}
	if d.oneIn(5, "references") {
		text += " REFERENCES " + d.from("parent", "a", "b", "e", t.name) + d.from("columns", "", " (id)", " (x)") +
			d.from("action", "", " ON DELETE CASCADE", " ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED")
	}
	return text
}

func (d *liteDraw) constraints(t liteTable, key string) (items []string) {
	second := t.columns[len(t.columns)-1]
	if key == "two" {
		second := ", " + second
		if second == ", x" {
			second = ""
		}
		items = append(items, d.from("name", "", "CONSTRAINT pk ")+"PRIMARY KEY (x"+d.from("order", "", " DESC")+second+")")
	}
	if d.oneIn(5, "check") {
		items = append(items, fmt.Sprintf("CONSTRAINT checked CHECK (%s.x IS NOT 'bad' OR %s > 3)", t.name, second))
	}
	if d.oneIn(5, "unique") {
		items = append(items, d.from("name", "", "CONSTRAINT one ")+"UNIQUE ("+second+") ON CONFLICT ABORT")
	}
	if d.oneIn(5, "foreign") {
		items = append(items, fmt.Sprintf("CONSTRAINT far FOREIGN KEY (%s) REFERENCES %s (id) MATCH FULL ON DELETE %s", second, d.from("parent", "a", "b", `"c d"`, t.name), d.from("action", "CASCADE", "SET DEFAULT")))
	}
	return items
}

func (d *liteDraw) view(name string) {
	v := liteTable{name: name}
	switch sources := append(append([]liteTable(nil), d.tables...), d.views...); {
	case len(sources) == 0:
		v.columns = []string{"one"}
		d.add("CREATE VIEW %s (one) AS SELECT 1", name)
	default:
		source := rapid.SampledFrom(sources).Draw(d.T, "source")
		column := d.from("column", source.columns...)
		v.columns = []string{"p"}
		if d.maybe("list") {
			d.add("CREATE VIEW %s (p) AS SELECT %s FROM %s", name, column, source.name)
		} else {
			d.add("CREATE VIEW %s AS SELECT %s AS p FROM %s WHERE %s IS NOT NULL -- why", name, column, source.name, column)
		}
	}
	d.views = append(d.views, v)
}

func (d *liteDraw) index(name string) {
	t := rapid.SampledFrom(d.tables).Draw(d.T, "table")
	column := d.from("column", t.columns...)
	d.add("CREATE %sINDEX %s ON %s (%s)%s", d.from("unique", "", "", "UNIQUE "), name, t.name,
		d.from("key", column, column+" DESC", column+" COLLATE NOCASE", "length("+column+")", column+", x"),
		d.from("where", "", "", " WHERE "+d.from("column", t.columns...)+" IS NOT NULL"))
}

func (d *liteDraw) trigger(name string) {
	t := rapid.SampledFrom(d.tables).Draw(d.T, "table")
	other := rapid.SampledFrom(append(append([]liteTable(nil), d.tables...), d.views...)).Draw(d.T, "other")
	body := fmt.Sprintf("SELECT %s FROM %s; SELECT ';' END", d.from("column", other.columns...), other.name)
	if len(d.views) > 0 && d.maybe("instead of") {
		v := rapid.SampledFrom(d.views).Draw(d.T, "view")
		d.add("CREATE TRIGGER %s INSTEAD OF INSERT ON %s BEGIN %s; END", name, v.name, body)
		return
	}
	d.add("CREATE TRIGGER %s %s ON %s %s BEGIN %s; END", name, d.from("when", "AFTER INSERT", "BEFORE DELETE", "UPDATE OF "+d.from("column", t.columns...)), t.name,
		d.from("for", "", "FOR EACH ROW", "WHEN 1"), body)
}

// fill puts rows into the tables. Those that a table does not take are left out.
func (l *lite) fill(ctx context.Context, t tb, d *schema.Database) {
	for _, table := range d.Schemas[0].Tables {
		if schema.Value(table.Options, "virtual") != "" {
			continue
		}
		for n := 1; n <= 2; n++ {
			var columns, values []string
			for _, c := range table.Columns {
				if c.Generated != "" {
					continue
				}
				columns = append(columns, liteQuote(c.Name))
				value := fmt.Sprint(n)
				switch c.Type {
				case "TEXT", "":
					value = fmt.Sprintf("'%d'", n)
				case "BLOB":
					value = fmt.Sprintf("x'3%d'", n)
				}
				values = append(values, value)
			}
			_, _ = l.conn.ExecContext(ctx, fmt.Sprintf("INSERT OR ABORT INTO %s (%s) VALUES (%s)", liteQuote(table.Name), strings.Join(columns, ", "), strings.Join(values, ", ")))
		}
	}
}

func liteQuote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// common returns the rows of the columns that both schemas have with the same type, table by table.
func (l *lite) common(ctx context.Context, t tb, a, b *schema.Database) map[string][]string {
	out := map[string][]string{}
	for _, table := range a.Schemas[0].Tables {
		other := b.Schemas[0].Table(table.Name)
		if other == nil || schema.Value(table.Options, "virtual") != schema.Value(other.Options, "virtual") {
			continue
		}
		var columns []string
		for _, c := range table.Columns {
			// A NULL gets the default where a column becomes NOT NULL; the rows have none.
			if o := other.Column(c.Name); o != nil && o.Type == c.Type && o.Generated == "" && c.Generated == "" {
				columns = append(columns, liteQuote(c.Name), "typeof("+liteQuote(c.Name)+")")
			}
		}
		if len(columns) > 0 {
			out[table.Name] = l.rows(ctx, t, fmt.Sprintf("SELECT %s FROM %s ORDER BY 1, %d", strings.Join(columns, ", "), liteQuote(table.Name), len(columns)))
		}
	}
	return out
}

// refusedByRows tells whether an error is about rows that do not fit: then nothing may have changed.
func refusedByRows(err error) bool {
	text := err.Error()
	return strings.Contains(text, "constraint failed") || strings.Contains(text, "cannot store") || strings.Contains(text, "Cannot add a NOT NULL")
}

// turn applies the script from what the database is to another schema and wants that schema, with the
// rows of the columns that both have.
func (l *lite) turn(ctx context.Context, t tb, to *schema.Database) {
	from := l.inspect(ctx, t)
	script := liteScript(t, from, to, diff.Options{})
	text := scriptText(t, script)
	before, catalogue := l.common(ctx, t, from, to), l.catalogue(ctx, t)
	err := l.apply(ctx, script)
	if err != nil && refusedByRows(err) {
		require.Equal(t, catalogue, l.catalogue(ctx, t), text)
		require.Equal(t, before, l.common(ctx, t, from, to), text)
		l.empty(ctx, t, from)
		before, err = l.common(ctx, t, from, to), l.apply(ctx, script)
	}
	require.NoError(t, err, text)
	got := l.inspect(ctx, t)
	requireSame(t, to, got, text)
	require.Equal(t, before, l.common(ctx, t, got, from), text)
	_, err = l.conn.ExecContext(ctx, "PRAGMA foreign_keys = OFF")
	require.NoError(t, err)
}

func (l *lite) empty(ctx context.Context, t tb, d *schema.Database) {
	l.load(ctx, t, "PRAGMA foreign_keys = OFF")
	for _, table := range d.Schemas[0].Tables {
		l.load(ctx, t, "DELETE FROM "+liteQuote(table.Name))
	}
}

// TestPairsSQLite turns random schemas into each other and back. The script is stable, what we call equal
// has equal pragmas, and rows survive or nothing changes.
func TestPairsSQLite(t *testing.T) {
	checkPairs(t, func(t *rapid.T) {
		ctx := context.Background()
		a, b := newLite(ctx, t, ""), newLite(ctx, t, "")
		defer a.close()
		defer b.close()
		first, second := drawLite(t, "first"), drawLite(t, "second")
		loadLite(ctx, t, a, first)
		loadLite(ctx, t, b, second)
		one, two := a.inspect(ctx, t), b.inspect(ctx, t)
		require.Equal(t, scriptText(t, liteScript(t, one, two, diff.Options{})), scriptText(t, liteScript(t, one, two, diff.Options{})))
		a.fill(ctx, t, one)
		a.turn(ctx, t, two)
		require.Equal(t, b.pragmas(ctx, t), a.pragmas(ctx, t))
		a.turn(ctx, t, one)
	})
}

func loadLite(ctx context.Context, t *rapid.T, l *lite, statements []string) {
	for _, s := range statements {
		if _, err := l.conn.ExecContext(ctx, s); err != nil {
			t.Skip(s, err) // such as a key of the same column twice
		}
	}
}
