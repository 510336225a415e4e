package snapshots

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// TestPostgresManyTables restores many small tables beside one that has its indexes built by itself. What is used from
// then on has statistics of all of them.
func TestPostgresManyTables(t *testing.T) {
	if testing.Short() {
		return
	}
	from, to := servers.URL(t, servers.Postgres17), servers.URL(t, servers.Postgres17)
	var b strings.Builder
	for i := range 150 {
		fmt.Fprintf(&b, "CREATE TABLE t%d (id int PRIMARY KEY, name text UNIQUE, parent int); CREATE INDEX \"i%d ON t\" ON t%d (parent);\n", i, i, i)
		fmt.Fprintf(&b, "INSERT INTO t%d SELECT n, 'row ' || n, n FROM generate_series(1, 20) n;\n", i)
		if i > 0 {
			fmt.Fprintf(&b, "ALTER TABLE t%d ADD CONSTRAINT parent FOREIGN KEY (parent) REFERENCES t%d (id);\n", i, i-1)
		}
	}
	b.WriteString("CREATE TABLE large (id int PRIMARY KEY, filler text);\n")
	b.WriteString("INSERT INTO large SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 10000) n;\n")
	execute(t, from, b.String())
	store := newStore(t)
	require.NoError(t, fill(t, store, create(t, store, from), to))
	sameRows(t, servers.Postgres17, from, servers.Postgres17, to)
	for _, u := range []string{from, to} {
		require.Equal(t, "151", text(t, u, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"))
	}
	require.Equal(t, "151", text(t, to, "SELECT count(DISTINCT tablename) FROM pg_stats WHERE schemaname = 'public'"))
}

// TestPostgresUnrestorable restores what cannot be: two rows have one key, as a broken index can let through. The
// error names the statement, whatever else was in its message.
func TestPostgresUnrestorable(t *testing.T) {
	if testing.Short() {
		return
	}
	from, to := servers.URL(t, servers.Postgres17), servers.URL(t, servers.Postgres17)
	for i := range 5 {
		execute(t, from, fmt.Sprintf("CREATE TABLE t%d (id int, CONSTRAINT t%d_key UNIQUE (id))", i, i))
	}
	execute(t, from, "UPDATE pg_index SET indisready = false, indislive = true WHERE indexrelid = 't3_key'::regclass", "INSERT INTO t3 VALUES (1), (1)",
		"UPDATE pg_index SET indisready = true WHERE indexrelid = 't3_key'::regclass")
	store := newStore(t)
	err := fill(t, store, create(t, store, from), to)
	require.ErrorContains(t, err, "in: CREATE UNIQUE INDEX t3_key")
	require.ErrorContains(t, err, "could not create unique index")
}
