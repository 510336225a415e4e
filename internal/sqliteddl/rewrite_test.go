package sqliteddl

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/schema"
)

func TestRewrite(t *testing.T) {
	const users = `CREATE TABLE "users" (
  id INTEGER PRIMARY KEY, -- the key
  name TEXT CONSTRAINT given NOT NULL DEFAULT 'x' COLLATE NOCASE UNIQUE CHECK (users.name <> ''), /* called */
  age INT, CONSTRAINT old CHECK (age > 0) UNIQUE (name, age)
) STRICT`
	column := func(t *schema.Table, name string) *schema.Column {
		i := slices.IndexFunc(t.Columns, func(c *schema.Column) bool { return c.Name == name })
		return t.Columns[i]
	}
	for _, c := range []struct {
		name, from, want string
		edit             func(t *schema.Table)
	}{
		{"nothing", users, users, func(*schema.Table) {}},
		{
			"a column",
			"CREATE TABLE t (a INT, b INT)", "CREATE TABLE t (a INT, b INT, \"c d\" TEXT COLLATE NOCASE NOT NULL DEFAULT ('x' || 'y'))",
			func(t *schema.Table) {
				t.Columns = append(t.Columns, &schema.Column{Name: "c d", Type: "TEXT", NotNull: true, Default: "'x' || 'y'", Collation: "NOCASE"})
			},
		},
		{
			"a column before constraints",
			"CREATE TABLE t (\n\ta INT, -- a\n\tUNIQUE (a) -- u\n)", "CREATE TABLE t (\n\ta INT,\n\tb DEFAULT -1, -- a\n\tUNIQUE (a) -- u\n)",
			func(t *schema.Table) { t.Columns = append(t.Columns, &schema.Column{Name: "b", Default: "-1"}) },
		},
		{
			"a column at the end, lines",
			"CREATE TABLE t (\n  a INT,\n  b INT\n)", "CREATE TABLE t (\n  a INT,\n  b INT,\n  c\n)",
			func(t *schema.Table) { t.Columns = append(t.Columns, &schema.Column{Name: "c"}) },
		},
		{
			"a comment before the end",
			"CREATE TABLE t (\n  a INT,\n  b INT -- the b\n)", "CREATE TABLE t (\n  a INT,\n  b INT -- the b\n,\n  c)",
			func(t *schema.Table) { t.Columns = append(t.Columns, &schema.Column{Name: "c"}) },
		},
		{
			"no column any more",
			"CREATE TABLE t (\n  a INT,\n  b INT UNIQUE, -- the b\n  UNIQUE (a)\n)", "CREATE TABLE t (\n  a INT, -- the b\n  UNIQUE (a)\n)",
			func(t *schema.Table) {
				t.Columns = t.Columns[:1]
				t.Constraints = slices.DeleteFunc(t.Constraints, func(c *schema.Constraint) bool { return c.Columns[0] == "b" })
			},
		},
		{
			"the last is gone",
			"CREATE TABLE t (\n  a INT,\n  b INT\n)", "CREATE TABLE t (\n  a INT\n)",
			func(t *schema.Table) { t.Columns = t.Columns[:1] },
		},
		{
			"properties",
			users, `CREATE TABLE "users" (
  id INTEGER PRIMARY KEY, -- the key
  name TEXT DEFAULT 1 COLLATE NOCASE UNIQUE CHECK (users.name <> ''), /* called */
  age INT NOT NULL DEFAULT 7, CONSTRAINT old CHECK (age > 0) UNIQUE (name, age)
) STRICT`,
			func(t *schema.Table) {
				column(t, "name").NotNull, column(t, "name").Default = false, "1"
				column(t, "age").NotNull, column(t, "age").Default = true, "7"
			},
		},
		{
			"type, collation, expression",
			"CREATE TABLE t (a VARCHAR (10) COLLATE NOCASE, b, g AS (a || b))", "CREATE TABLE t (a TEXT, b INT COLLATE RTRIM, g GENERATED ALWAYS AS (a) STORED)",
			func(t *schema.Table) {
				column(t, "a").Type, column(t, "a").Collation = "TEXT", ""
				column(t, "b").Type, column(t, "b").Collation = "INT", "RTRIM"
				column(t, "g").Generated = "a stored"
			},
		},
		{
			"constraints",
			users, `CREATE TABLE "users" (
  id INTEGER PRIMARY KEY, -- the key
  name TEXT CONSTRAINT given NOT NULL DEFAULT 'x' COLLATE NOCASE CHECK (users.name <> ''), /* called */
  age INT, CONSTRAINT "the new" CHECK (age > 0), CONSTRAINT more CHECK (age < 9)
) STRICT`,
			func(t *schema.Table) {
				t.Constraints = slices.DeleteFunc(t.Constraints, func(c *schema.Constraint) bool { return c.Type == schema.Unique })
				t.Constraint("old").Name = "the new"
				t.Constraints = append(t.Constraints, &schema.Constraint{Name: "more", Type: schema.Check, Definition: "CHECK (age < 9)"})
			},
		},
		{
			"options", "CREATE TABLE t (a INT PRIMARY KEY) /* none */", "CREATE TABLE t (a INT PRIMARY KEY) STRICT, WITHOUT ROWID",
			func(t *schema.Table) { t.Options[0].Value = "STRICT, WITHOUT ROWID" },
		},
		{
			"a statement where there is none", "", "CREATE TABLE t (\n  a INT NOT NULL,\n  UNIQUE (a)\n) STRICT",
			func(t *schema.Table) {
				t.Columns = []*schema.Column{{Name: "a", Type: "INT", NotNull: true}}
				t.Constraints = []*schema.Constraint{{Name: "UNIQUE (a)", Definition: "UNIQUE (a)", Unnamed: true}}
				t.Options = []schema.Property{{Name: "options", Value: "STRICT"}}
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := "t"
			if c.from == users {
				name = "users"
			}
			table := &schema.Table{Name: name}
			if c.from != "" {
				table = ParseTable(name, c.from).Table
			}
			c.edit(table)
			got := Rewrite(table)
			require.Equal(t, c.want, got)
			table.Source = got
			require.Equal(t, got, Rewrite(table), "what is rewritten says what the table says")
		})
	}
}
