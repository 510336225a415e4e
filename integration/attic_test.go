package integration

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// TestAttic finds what was put away by its names, and nothing else.
func TestAttic(t *testing.T) {
	servers.Each(t, servers.All(), func(t *testing.T, url string) {
		g := open(t, url, migrate.Options{})
		g.exec("CREATE TABLE people (id integer primary key, switchback_old_name varchar(40), switchbackxoldx integer)")
		g.exec("CREATE TABLE switchback_old_orders (id integer primary key)")
		g.exec("CREATE TABLE switchbackxoldx (id integer primary key)")
		g.exec("CREATE VIEW switchback_old_view AS SELECT switchback_old_name FROM people")
		g.exec("INSERT INTO people VALUES (1, 'somebody of ten', 0), (2, 'somebody of ten', 0)")
		if engineOf(g) == migrate.Postgres {
			g.exec("ANALYZE people")
		}
		old, err := database.Attic(t.Context(), g.db)
		require.NoError(t, err)
		require.Len(t, old, 2)
		require.Equal(t, "people", old[0].Table.Name)
		require.Equal(t, "switchback_old_name", old[0].Column)
		require.Equal(t, "switchback_old_orders", old[1].Table.Name)
		require.Empty(t, old[1].Column)
		if engineOf(g) == migrate.Postgres {
			require.Equal(t, int64(32), old[0].Bytes, "two times 15 letters and their length")
		}
	})
}
