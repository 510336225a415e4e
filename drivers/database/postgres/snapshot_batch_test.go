package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/snapshot"
)

func TestByTable(t *testing.T) {
	index := func(name, table string) string { return "CREATE INDEX " + name + " ON " + table + " USING btree (a)" }
	key := func(table string) string {
		return "ALTER TABLE " + table + " ADD CONSTRAINT k EXCLUDE USING gist (a WITH &&)"
	}
	const odd = `public."a ON b.c"`
	statements := []string{
		index("big1", "public.big"), index("s1", "public.small"), index("big2", "public.big"), key("public.small"),
		index(`"x ON y"`, odd), index("n", "public.new"), index("m1", "public.middle"),
	}
	bytes := map[string]int64{"public.big": batchBytes + 1, "public.small": 100, odd: 100, "public.middle": batchBytes}
	require.Equal(t, [][]string{
		{index("big1", "public.big")},
		{index("big2", "public.big")},
		{index("n", "public.new")}, // nothing is known of it
		{index("s1", "public.small"), key("public.small"), index(`"x ON y"`, odd)},
		{index("m1", "public.middle")},
	}, byTable(statements, bytes))

	many := make([]string, 2*batchStatements+1)
	for i := range many {
		many[i] = index("i", "public.small")
	}
	require.Len(t, byTable(many, bytes), 1, "one table's own stay together")
	require.Len(t, inBatches(many), 3)
}

func TestStatementAt(t *testing.T) {
	statements := []string{"SELECT 'é'", "SELECT 2", "SELECT 3"}
	require.Equal(t, 0, statementAt(statements, 1))
	require.Equal(t, 0, statementAt(statements, 10))
	require.Equal(t, 1, statementAt(statements, 13))
	require.Equal(t, 1, statementAt(statements, 20))
	require.Equal(t, 2, statementAt(statements, 23))
	require.Equal(t, 2, statementAt(statements, 99))
}

func TestAnalyzes(t *testing.T) {
	m := &snapshot.Manifest{}
	for _, p := range []snapshot.Part{{Table: "a", Bytes: 1}, {Table: "big", Bytes: 2 * batchBytes}, {Table: "B", Bytes: 2}, {Name: "large objects", Bytes: 9}} {
		p.Schema = "public"
		m.Parts = append(m.Parts, p)
	}
	require.Equal(t, [][]string{{"ANALYZE public.big"}, {`ANALYZE public."B", public.a`}}, analyzes(m))
}
