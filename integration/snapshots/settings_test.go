package snapshots

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/snapshot"
)

// TestDatabaseSettings restores what was set for the database itself, and finds it missing when it is.
func TestDatabaseSettings(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			from, to := servers.URL(t, k), servers.URL(t, k)
			set, unset := "ALTER DATABASE %s CHARACTER SET latin1 COLLATE latin1_german2_ci", "ALTER DATABASE %s COLLATE latin1_bin"
			ask, want := "SELECT @@collation_database", "latin1_german2_ci"
			if k.Engine == "postgres" {
				set, unset = "ALTER DATABASE %s SET work_mem = '7MB'", "ALTER DATABASE %s RESET work_mem"
				ask, want = "SHOW work_mem", "7MB"
			}
			execute(t, from, "CREATE TABLE rows_ (n int PRIMARY KEY)", "INSERT INTO rows_ VALUES (1)", strings.Replace(set, "%s", nameOf(t, from), 1))
			store := newStore(t)
			m := create(t, store, from)
			site, err := database.Site(openDatabase(t, to))
			require.NoError(t, err)
			require.NoError(t, store.Fill(t.Context(), m, site, snapshot.BuildOptions{Workers: 2}))
			require.Equal(t, want, text(t, to, ask))
			found, err := store.Compare(t.Context(), m.Content, site, 2)
			require.NoError(t, err)
			require.Empty(t, found)

			execute(t, to, strings.Replace(unset, "%s", nameOf(t, to), 1))
			found, err = store.Compare(t.Context(), m.Content, site, 2)
			require.NoError(t, err)
			require.NotEmpty(t, found)
		})
	}
}

// TestPostgresOtherLocale restores into a database whose locale and encoding are not those of the one that was copied.
// No statement can change them: it is said.
func TestPostgresOtherLocale(t *testing.T) {
	if testing.Short() {
		return
	}
	from := servers.URL(t, servers.Postgres17)
	execute(t, from, "CREATE TABLE words (w text PRIMARY KEY)", "INSERT INTO words VALUES ('é'), ('Z'), ('a')")
	store := newStore(t)
	m := create(t, store, from)
	to := nameOf(t, from) + "_l1"
	execute(t, from, "CREATE DATABASE "+to+" TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
	t.Cleanup(func() { execute(t, from, "DROP DATABASE "+to+" WITH (FORCE)") })
	site, err := database.Site(openDatabase(t, inDatabase(t, from, to)))
	require.NoError(t, err)
	require.NoError(t, store.Fill(t.Context(), m, site, snapshot.BuildOptions{Workers: 2}))
	said := strings.Join(site.(interface{ Warnings() []string }).Warnings(), "\n")
	require.Contains(t, said, "encoding is LATIN1, was UTF8")
	require.Contains(t, said, "collate is C, was")

	execute(t, from, "INSERT INTO words VALUES ('日本')") // which LATIN1 does not have
	m = create(t, store, from)
	execute(t, from, "DROP DATABASE "+to+" WITH (FORCE)", "CREATE DATABASE "+to+" TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
	require.ErrorContains(t, fill(t, store, m, inDatabase(t, from, to)), "has no equivalent in encoding")
}
