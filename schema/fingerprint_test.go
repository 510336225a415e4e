package schema

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// anyTable draws a table with a few columns and indexes.
func anyTable(t *rapid.T, name string) *Table {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 4, rapid.ID[string])
	table := &Table{Name: name}
	for _, n := range names.Draw(t, "columns of "+name) {
		table.Columns = append(table.Columns, &Column{Name: n, Type: rapid.SampledFrom([]string{"int", "text"}).Draw(t, "type"), NotNull: rapid.Bool().Draw(t, "not null")})
	}
	for _, n := range names.Draw(t, "indexes of "+name) {
		table.Indexes = append(table.Indexes, &Index{Name: n, Definition: rapid.StringN(0, 4, 8).Draw(t, "definition")})
	}
	return table
}

func anyDatabase(t *rapid.T) *Database {
	d := &Database{Engine: "sqlite"}
	for _, s := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"main", "other"}), 0, 2, rapid.ID[string]).Draw(t, "schemas") {
		n := &Schema{Name: s, Comment: rapid.SampledFrom([]string{"", "x"}).Draw(t, "comment")}
		for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}`), 0, 5, rapid.ID[string]).Draw(t, "tables of "+s) {
			n.Tables = append(n.Tables, anyTable(t, name))
		}
		d.Schemas = append(d.Schemas, n)
	}
	return d
}

// The order in which objects were read makes no difference.
func TestFingerprintOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyDatabase(t)
		before := d.Fingerprint()
		shuffle(d.Schemas)
		for _, n := range d.Schemas {
			shuffle(n.Tables)
			for _, table := range n.Tables {
				shuffle(table.Columns)
				shuffle(table.Indexes)
			}
		}
		require.Equal(t, before, d.Fingerprint())
	})
}

func shuffle[T any](list []T) {
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}

// What is followed table by table has the fingerprint that is read whole, and that changes with each
// property.
func TestSumsFollow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &Database{Schemas: []*Schema{{Name: "main"}}}
		main := d.Schemas[0]
		sums := d.Sums()
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			before := sums.Fingerprint()
			name := rapid.StringMatching(`[a-c]`).Draw(t, "table")
			at := slices.IndexFunc(main.Tables, func(x *Table) bool { return x.Name == name })
			if at >= 0 && rapid.Bool().Draw(t, "drop") {
				main.Tables = slices.Delete(main.Tables, at, at+1)
				require.True(t, sums.Remove(Key{"main", KindTable, name}))
				require.NotEqual(t, before, sums.Fingerprint())
			} else {
				table := anyTable(t, name)
				if at >= 0 {
					main.Tables[at] = table
				} else {
					main.Tables = append(main.Tables, table)
				}
				sums.Merge(&Database{Schemas: []*Schema{{Name: "main", Tables: []*Table{table}}}})
			}
			require.Equal(t, d.Fingerprint(), sums.Fingerprint())
		}
	})
}

func TestFingerprintProperties(t *testing.T) {
	with := func(change func(*Table)) string {
		table := &Table{Name: "t", Columns: []*Column{{Name: "a", Type: "int"}}}
		change(table)
		return (&Database{Schemas: []*Schema{{Name: "main", Tables: []*Table{table}}}}).Fingerprint()
	}
	seen := map[string]bool{}
	for _, change := range []func(*Table){
		func(*Table) {},
		func(x *Table) { x.Name = "u" },
		func(x *Table) { x.Comment = "c" },
		func(x *Table) { x.Columns[0].Name = "b" },
		func(x *Table) { x.Columns[0].Type = "text" },
		func(x *Table) { x.Columns[0].NotNull = true },
		func(x *Table) { x.Columns[0].Default = "1" },
		func(x *Table) { x.Columns = append(x.Columns, &Column{Name: "b"}) },
		func(x *Table) { x.Constraints = []*Constraint{{Name: "k", Type: "check"}} },
		func(x *Table) { x.Triggers = []*Trigger{{Name: "k"}} },
		func(x *Table) { x.Indexes = []*Index{{Name: "k"}} },
	} {
		f := with(change)
		require.False(t, seen[f])
		seen[f] = true
	}
}
