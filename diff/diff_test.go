package diff

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/schema"
)

// paths are those that Walk visits, with their action before them.
func paths(changes []Change) (list []string) {
	Walk(changes, func(path string, c Change) { list = append(list, string(c.Action)+" "+path) })
	return list
}

func example(change func(d *schema.Database)) *schema.Database {
	d := &schema.Database{
		Engine:   "postgres",
		Settings: []*schema.Setting{{Name: "encoding", Value: "UTF8"}},
		Items:    []*schema.Item{{Of: schema.KindExtension, Name: "citext", Definition: "CREATE EXTENSION citext"}},
		Schemas: []*schema.Schema{
			{Name: "public", Tables: []*schema.Table{
				{
					Name: "orders", Owner: "app", Comment: "what was bought",
					Columns: []*schema.Column{{Name: "id", Type: "bigint", NotNull: true}, {Name: "note", Type: "text"}},
					Indexes: []*schema.Index{{Name: "orders_note", Definition: "(note)"}},
					Grants:  []*schema.Grant{{To: "reader", Privileges: "SELECT"}},
				},
				{Name: "tmp_1"},
			}},
			{Name: "audit", Routines: []*schema.Routine{{Name: "f()"}}},
		},
	}
	if change != nil {
		change(d)
	}
	return d
}

func TestCompare(t *testing.T) {
	to := example(func(d *schema.Database) {
		d.Settings[0].Value = "LATIN1"
		d.Items = nil
		orders := d.Schema("public").Table("orders")
		orders.Owner, orders.Comment = "", "orders"
		orders.Columns[1].Type = "varchar(40)"
		orders.Columns[0], orders.Columns[1] = orders.Columns[1], orders.Columns[0]
		orders.Grants[0].Privileges = "INSERT, SELECT"
		d.Schema("public").Tables = d.Schema("public").Tables[:1]
		d.Schema("audit").Routines = nil
	})
	for _, c := range []struct {
		name    string
		options Options
		want    []string
	}{
		{"all", Options{}, []string{
			"modify setting encoding", "drop extension citext", "drop routine audit.f()", "modify table public.orders",
			"modify table public.orders, column note", "modify table public.orders, grant to reader", "drop table public.tmp_1",
		}},
		{"neither owners nor comments, grants nor settings", Options{NoOwners: true, NoComments: true, NoGrants: true, Exclude: []string{"setting:*", "audit", "extension:*"}}, []string{
			"modify table public.orders, column note", "drop table public.tmp_1",
		}},
		{"included", Options{Include: []string{"table:public.*"}, Exclude: []string{"*.tmp_*"}, ColumnOrder: true}, []string{
			"modify table public.orders", "modify table public.orders, column note", "modify table public.orders, grant to reader",
		}},
		{"kinds", Options{Kinds: []schema.Kind{schema.KindRoutine}}, []string{"drop routine audit.f()"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Compare(example(nil), to, c.options)
			require.NoError(t, err)
			require.Equal(t, c.want, paths(r.Changes))
		})
	}
	r, err := Compare(example(nil), to, Options{ColumnOrder: true})
	require.NoError(t, err)
	_, before := r.Changes[0].Property("value")
	require.True(t, before)
	same, err := Compare(example(nil), example(nil), Options{ColumnOrder: true})
	require.NoError(t, err)
	require.True(t, same.Same())
}

// What the comparison finds one way, it finds the other way, with add and drop exchanged.
func TestCompareMirrors(t *testing.T) {
	draw := func(t *rapid.T) *schema.Database {
		d := &schema.Database{Schemas: []*schema.Schema{{Name: "main"}}}
		for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching("[a-c]"), 0, 3, rapid.ID[string]).Draw(t, "tables") {
			table := &schema.Table{Name: name, Comment: rapid.SampledFrom([]string{"", "x"}).Draw(t, "comment")}
			for _, c := range rapid.SliceOfNDistinct(rapid.StringMatching("[a-c]"), 0, 3, rapid.ID[string]).Draw(t, "columns") {
				table.Columns = append(table.Columns, &schema.Column{Name: c, Type: rapid.SampledFrom([]string{"int", "text"}).Draw(t, "type")})
			}
			d.Schemas[0].Tables = append(d.Schemas[0].Tables, table)
		}
		return d
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t), draw(t)
		there, err := Compare(a, b, Options{})
		require.NoError(t, err)
		back, err := Compare(b, a, Options{})
		require.NoError(t, err)
		require.Equal(t, a.Fingerprint() == b.Fingerprint(), there.Same())
		mirrored := map[string]string{"add": "drop", "drop": "add", "modify": "modify"}
		var want []string
		Walk(there.Changes, func(path string, c Change) { want = append(want, mirrored[string(c.Action)]+" "+path) })
		require.ElementsMatch(t, want, paths(back.Changes))
	})
}
