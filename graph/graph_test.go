package graph

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/schema"
)

// table is one with an id and foreign keys.
func table(name string, to ...string) *schema.Table {
	t := &schema.Table{Name: name, Columns: []*schema.Column{{Name: "id", Type: "int", NotNull: true}}}
	t.Constraints = append(t.Constraints, &schema.Constraint{Name: "pk", Type: schema.PrimaryKey, Columns: []string{"id"}})
	for i, other := range to {
		column := fmt.Sprintf("r%d", i)
		t.Columns = append(t.Columns, &schema.Column{Name: column, Type: "int"})
		t.Constraints = append(t.Constraints, &schema.Constraint{
			Name: "fk_" + column, Type: schema.ForeignKey, Columns: []string{column}, References: &schema.Reference{Table: other},
		})
	}
	return t
}

func database(tables ...*schema.Table) *schema.Database {
	return &schema.Database{Schemas: []*schema.Schema{{Name: "public", Tables: tables}}}
}

// TestKeys tells how many rows a key joins, also where only its definition says what it is.
func TestKeys(t *testing.T) {
	one := table("one", "all")
	one.Columns[1].NotNull = true
	one.Indexes = append(one.Indexes, &schema.Index{Name: "u", Unique: true, Columns: []string{"r0"}})
	told := table("told")
	told.Columns = append(told.Columns, &schema.Column{Name: "a b", Type: "int"})
	told.Constraints = append(told.Constraints, &schema.Constraint{Type: schema.ForeignKey, Definition: "FOREIGN KEY (\"a b\") REFERENCES `public`.\"all\"(id)", Unnamed: true})
	g := New(database(table("all", "nowhere"), one, told))
	require.Equal(t, []Key{
		{Name: "fk_r0", From: 1, To: 0, Columns: []int{1}, One: true},
		{From: 2, To: 0, Columns: []int{1}, Optional: true},
	}, g.Keys)
	var b strings.Builder
	require.NoError(t, g.Mermaid(&b))
	require.Contains(t, b.String(), `t0 ||--o| t1 : "fk_r0"`)
	require.Contains(t, b.String(), `t0 |o--o{ t2 : ""`)
	require.Contains(t, b.String(), `int a_b FK "a b"`)
}

// TestHostileNames writes names that would end a string, a tag or a line in either format.
func TestHostileNames(t *testing.T) {
	for _, name := range []string{`"] { x`, "a\nb", `</text><script>alert(1)</script>`, `%%{init: {}}%%`, `"; click t0 href "javascript:x"`, "\x00\x1b[31m", "naïve"} {
		x := table(name)
		x.Columns = append(x.Columns, &schema.Column{Name: name, Type: name})
		g := New(database(x))
		var b strings.Builder
		require.NoError(t, g.Mermaid(&b))
		require.Equal(t, 5, strings.Count(b.String(), "\n"), b.String())
		require.Zero(t, strings.Count(b.String(), `"`)%2)
		require.NotContains(t, b.String(), "<")
		require.NotContains(t, b.String(), "%%")
		require.NotContains(t, b.String(), "\x1b")

		b.Reset()
		require.NoError(t, g.SVG(&b, name))
		require.NotContains(t, b.String(), "<script")
		d := xml.NewDecoder(strings.NewReader(b.String()))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
	}
}

// TestLayout draws random graphs, circles and keys to oneself among them: no table covers another, all are on
// the page, and a key goes through neighbouring layers.
func TestLayout(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "tables")
		var tables []*schema.Table
		for i := range n {
			var to []string
			for _, other := range rapid.SliceOfN(rapid.IntRange(0, n-1), 0, 4).Draw(t, "keys") {
				to = append(to, fmt.Sprint("t", other))
			}
			tables = append(tables, table(fmt.Sprint("t", i), to...))
		}
		l := newLayout(New(database(tables...)), size)
		for i, a := range l.boxes {
			if a.table < 0 {
				continue
			}
			require.GreaterOrEqual(t, a.x, 0.0)
			require.GreaterOrEqual(t, a.y, 0.0)
			require.LessOrEqual(t, a.x+a.width, l.width)
			require.LessOrEqual(t, a.y+a.height, l.height)
			for _, b := range l.boxes[:i] {
				apart := a.x >= b.x+b.width || b.x >= a.x+a.width || a.y >= b.y+b.height-0.01 || b.y >= a.y+a.height-0.01
				require.True(t, apart, "%+v covers %+v", *a, *b)
			}
		}
		for _, route := range l.routes {
			for i := 1; i < len(route); i++ {
				require.LessOrEqual(t, abs(l.boxes[route[i]].layer-l.boxes[route[i-1]].layer), 1)
			}
		}
	})
}

func abs(n int) int { return max(n, -n) }
