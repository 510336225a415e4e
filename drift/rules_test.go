package drift

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// changes are those of a table: a column with two properties that differ, one that was added.
func changes() []diff.Change {
	return []diff.Change{{Action: diff.Modify, Kind: schema.KindSchema, Name: "public", Children: []diff.Change{
		{Action: diff.Modify, Kind: schema.KindTable, Name: "users", Children: []diff.Change{
			{Action: diff.Modify, Kind: schema.KindColumn, Name: "note", Properties: []diff.PropertyChange{{Name: "type", From: "a", To: "b"}, {Name: "default", To: "c"}}},
			{Action: diff.Add, Kind: schema.KindColumn, Name: "users"},
		}},
	}}}
}

func paths(list []diff.Change) (paths []string) {
	diff.Walk(list, func(path string, _ diff.Change) { paths = append(paths, path) })
	return paths
}

func TestRules(t *testing.T) {
	note, added := "table public.users, column note", "table public.users, column users"
	for _, c := range []struct {
		name, object, property, until string
		kept, ignored                 []string
	}{
		{"a whole table", "public.users", "", "", nil, []string{"table public.users"}},
		{"a name is not that of a column", "note", "", "", []string{note, added}, nil},
		{"a part by its kind", "column:public.users.note", "", "", []string{added}, []string{note}},
		{"a part by its own name", "column:u*", "", "", []string{note}, []string{added}},
		{"a property", "column:*.note", "default", "", []string{note, added}, []string{note + ", default"}},
		{"the last day counts", "public.users", "", "2026-11-02", nil, []string{"table public.users"}},
		{"expired", "public.users", "", "2026-11-01", []string{note, added}, nil},
		{"another kind", "view:public.users", "", "", []string{note, added}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			rule, err := NewRule(c.object, c.property, "because", c.until)
			require.NoError(t, err)
			v := applyRules(changes(), []Rule{rule}, day(2))
			require.Equal(t, c.kept, paths(v.kept))
			var ignored []string
			for _, i := range v.ignored {
				require.Equal(t, "because", i.Reason)
				ignored = append(ignored, i.Path)
			}
			require.Equal(t, c.ignored, ignored)
			require.Equal(t, len(c.ignored) == 0, len(v.sections()) == 1, "a rule that does nothing is listed")
		})
	}
}

func TestRulesRefused(t *testing.T) {
	for _, c := range [][4]string{{"", "", "r", ""}, {"x", "", " ", ""}, {"x", "", "r", "tomorrow"}, {"[", "", "r", ""}} {
		_, err := NewRule(c[0], c[1], c[2], c[3])
		require.Error(t, err, "%v", c)
	}
}

// TestRulesOfRows: only a rule that names the kind is about rows, and only while it holds.
func TestRulesOfRows(t *testing.T) {
	for _, c := range []struct {
		object, property, until string
		ignored, column         bool
	}{
		{"rows:public.users", "", "", true, false},
		{"rows:u*", "", "2026-11-02", true, false},
		{"rows:u*", "", "2026-11-01", false, false},
		{"rows:other.users", "", "", false, false},
		{"public.users", "", "", false, false},
		{"table:public.users", "", "", false, false},
		{"rows:users", "seen", "", false, true},
		{"rows:users", "seen", "2026-11-01", false, false},
		{"column:public.users.seen", "", "", false, false},
		{"table:users", "seen", "", false, false},
	} {
		rule, err := NewRule(c.object, c.property, "because", c.until)
		require.NoError(t, err)
		v := applyRules(nil, []Rule{rule}, day(2))
		require.Equal(t, c.ignored, v.rows("users", "public", "users"), "%v", c)
		require.Equal(t, c.ignored, len(v.ignored) == 1 && v.ignored[0].Path == "rows of users" && v.ignored[0].Reason == "because", "%v", c)
		reason, out := v.column("public", "users", "seen")
		require.Equal(t, c.column, out && reason == "because", "%v", c)
		require.Equal(t, c.ignored || c.column, len(v.sections()) == 0, "a rule that does nothing is listed: %v", c)
	}
}
