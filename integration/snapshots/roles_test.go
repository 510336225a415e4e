package snapshots

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/snapshot"
)

// TestRestoreRoles restores a database whose roles the server does not have any more. With their names they get what
// they were granted, and what they owned; none of them can log in. Without --roles, the grants are left out.
func TestRestoreRoles(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			from, to, without := servers.URL(t, k), servers.URL(t, k), servers.URL(t, k)
			role := "r_" + nameOf(t, from)[5:]
			make_, drop := rolesOn(k, role)
			execute(t, from, "CREATE TABLE orders (id int PRIMARY KEY, total int)", "CREATE VIEW totals AS SELECT sum(total) AS n FROM orders")
			execute(t, from, make_...)
			s := &table{t: t, url: from, db: openDatabase(t, from), store: newStore(t)}
			was := s.model()
			require.Contains(t, was, role)
			s.m = create(t, s.store, from)
			execute(t, from, drop...)
			dropLater(t, k, role, to, from)

			require.NoError(t, fill(t, s.store, s.m, without))
			require.NotContains(t, (&table{t: t, url: without, db: openDatabase(t, without)}).model(), role)

			db := openDatabase(t, to)
			site, err := database.Site(db)
			require.NoError(t, err)
			require.NoError(t, s.store.Fill(t.Context(), s.m, site, snapshot.BuildOptions{Workers: 2, Roles: true}))
			require.Equal(t, was, (&table{t: t, url: to, db: db}).model())
			require.Contains(t, strings.Join(site.(interface{ Warnings() []string }).Warnings(), "\n"), role)
			locked := "SELECT NOT rolcanlogin FROM pg_roles WHERE rolname = '" + role + "'"
			switch k.Engine {
			case "mysql":
				locked = "SELECT account_locked = 'Y' FROM mysql.user WHERE user = '" + role + "'"
			case "mariadb":
				locked = "SELECT JSON_VALUE(priv, '$.account_locked') FROM mysql.global_priv WHERE user = '" + role + "'"
			}
			require.Contains(t, []string{"true", "1"}, text(t, to, locked))
		})
	}
}

// rolesOn are the statements that make a role with rights, and that drop it.
func rolesOn(k servers.Kind, role string) (made, drop []string) {
	if k.Engine == "postgres" {
		made = []string{
			"CREATE ROLE " + role + " LOGIN PASSWORD 'secret'", "GRANT SELECT, INSERT ON orders TO " + role + " WITH GRANT OPTION", "GRANT UPDATE (total) ON orders TO " + role,
			"ALTER VIEW totals OWNER TO " + role, "CREATE TABLE theirs (n int)", "ALTER TABLE theirs OWNER TO " + role,
			"ALTER DEFAULT PRIVILEGES FOR ROLE " + role + " GRANT SELECT ON TABLES TO pg_monitor",
		}
		return made, []string{"DROP OWNED BY " + role, "DROP ROLE " + role}
	}
	account := "'" + role + "'@'%'"
	return []string{
		"CREATE USER " + account + " IDENTIFIED BY 'secret'", "GRANT SELECT, INSERT ON orders TO " + account + " WITH GRANT OPTION", "GRANT UPDATE (total) ON orders TO " + account,
		"CREATE PROCEDURE hello () SELECT 1", "GRANT EXECUTE ON PROCEDURE hello TO " + account,
	}, []string{"DROP USER " + account}
}

// dropLater drops the role when the test ends, from the databases where it has rights.
func dropLater(t *testing.T, k servers.Kind, role string, urls ...string) {
	t.Cleanup(func() {
		if k.Engine != "postgres" {
			execute(t, urls[0], "DROP USER '"+role+"'@'%'")
			return
		}
		for _, u := range urls {
			execute(t, u, "DROP OWNED BY "+role)
		}
		execute(t, urls[0], "DROP ROLE "+role)
	})
}
