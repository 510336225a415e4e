package ddl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestOrder(t *testing.T) {
	ids := func(steps []Step) (list []string) {
		for _, s := range steps {
			list = append(list, s.ID)
		}
		return list
	}
	sorted, err := Order([]Step{
		{ID: "view", Rank: 1, After: []string{"table", "function", "elsewhere"}},
		{ID: "table", Rank: 2},
		{ID: "function", Rank: 3},
		{ID: "alone", Rank: 2},
	})
	require.NoError(t, err)
	require.Equal(t, []string{"alone", "table", "function", "view"}, ids(sorted))

	_, err = Order([]Step{{ID: "a"}, {ID: "a"}})
	require.ErrorContains(t, err, `two steps have the name "a"`)

	_, err = Order([]Step{{ID: "free"}, {ID: "a", After: []string{"c"}}, {ID: "b", After: []string{"a"}}, {ID: "c", After: []string{"b"}}, {ID: "behind", After: []string{"c"}}})
	var cycle *CycleError
	require.True(t, errors.As(err, &cycle))
	require.Len(t, cycle.IDs, 4)
	require.Equal(t, cycle.IDs[0], cycle.IDs[3])
	require.NotContains(t, cycle.IDs, "behind")
	require.NotContains(t, cycle.IDs, "free")
}

// Whatever the steps, each comes after those it has to come after, and their order at the beginning makes
// no difference.
func TestOrderProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 20).Draw(t, "steps")
		steps := make([]Step, n)
		for i := range steps {
			steps[i] = Step{ID: fmt.Sprint(i), Rank: rapid.IntRange(0, 3).Draw(t, "rank")}
			for j := range i {
				if rapid.IntRange(0, 4).Draw(t, "edge") == 0 {
					steps[i].After = append(steps[i].After, fmt.Sprint(j))
				}
			}
		}
		sorted, err := Order(steps)
		require.NoError(t, err)
		require.Len(t, sorted, n)
		at := map[string]int{}
		for i, s := range sorted {
			for _, id := range s.After {
				before, there := at[id]
				require.True(t, there, "%s before %s", id, s.ID)
				require.Less(t, before, i)
			}
			at[s.ID] = i
		}
		shuffled := rapid.Permutation(steps).Draw(t, "shuffled")
		again, err := Order(shuffled)
		require.NoError(t, err)
		require.True(t, slices.EqualFunc(sorted, again, func(a, b Step) bool { return a.ID == b.ID }))
	})
}

func TestWrite(t *testing.T) {
	script := &Script{
		Notes: []string{"the encoding cannot be changed"},
		Statements: []Statement{
			{SQL: "CREATE TABLE t (a integer)", Comment: "new\nDROP TABLE x; -- no way out of a comment"},
			{SQL: "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.a = 1; END"},
		},
	}
	var b strings.Builder
	require.NoError(t, script.Write(&b, "From a to b", ""))
	require.Equal(t, `-- From a to b
-- NOTE: the encoding cannot be changed

-- new
-- DROP TABLE x; -- no way out of a comment
CREATE TABLE t (a integer);

CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.a = 1; END;
`, b.String())
	b.Reset()
	require.NoError(t, script.Write(&b, "", "//"))
	require.Contains(t, b.String(), "DELIMITER //\nCREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW BEGIN SET NEW.a = 1; END//\nDELIMITER ;\n")
}
