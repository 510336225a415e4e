package snapshots

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
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

// TestRolesCopied copies what roles and accounts are along, and makes them anew: but for the password and the right to
// log in they are the same, with those they are members of and those that are members of them. One that is there
// already is left as it is, and said.
func TestRolesCopied(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			from, to, again := servers.URL(t, k), servers.URL(t, k), servers.URL(t, k)
			name := "r_" + nameOf(t, from)[5:]
			group, user, above := name+"_g", name+"_u", name+"_a"
			execute(t, from, "CREATE TABLE orders (id int PRIMARY KEY)")
			execute(t, from, membersOn(k, group, user, above)...)
			drops := []string{"DROP OWNED BY " + group, "DROP ROLE " + group, "DROP ROLE " + user, "DROP ROLE " + above}
			change := "ALTER ROLE " + group + " NOCREATEDB"
			switch k.Engine {
			case "mysql":
				drops = []string{"DROP ROLE '" + group + "'", "DROP USER '" + user + "'", "DROP ROLE '" + above + "'"}
				change = "ALTER USER '" + user + "' WITH MAX_USER_CONNECTIONS 1"
			case "mariadb":
				drops = []string{"DROP ROLE " + group, "DROP USER '" + user + "'", "DROP ROLE " + above}
				change = "ALTER USER '" + user + "' WITH MAX_USER_CONNECTIONS 1"
			}
			store := newStore(t)
			was, m := copyRoles(t, store, from)
			require.Len(t, was, 3, "the role that has rights, its member, and what it is a member of")
			said, err := json.Marshal(was)
			require.NoError(t, err)
			require.NotContains(t, string(said), "secret")
			require.NotContains(t, strings.ToLower(string(said)), "scram")
			manifest, err := json.Marshal(m)
			require.NoError(t, err)
			require.NotContains(t, string(manifest), "8MB", "settings can be secrets: they are where an encrypted snapshot is encrypted")
			require.Contains(t, string(manifest), "the passwords of")

			execute(t, from, drops...)
			warned := fillRoles(t, store, m, to)
			t.Cleanup(func() {
				if k.Engine == "postgres" {
					execute(t, again, drops[0])
				}
				execute(t, to, drops...)
			})
			require.Contains(t, warned, user)
			is, _ := copyRoles(t, newStore(t), to)
			require.Equal(t, unlocked(was), unlocked(is))
			require.Contains(t, warned, map[bool]string{true: "ALTER ROLE " + user + " LOGIN", false: "ACCOUNT UNLOCK"}[k.Engine == "postgres"])

			execute(t, to, change)
			warned = fillRoles(t, store, m, again)
			require.NotContains(t, warned, "made the")
			require.Contains(t, warned, "is there, and left as it is")
			require.Contains(t, warned, map[bool]string{true: "CREATEDB was set, is not set", false: "MAX_USER_CONNECTIONS was 5, is 1"}[k.Engine == "postgres"])
		})
	}
}

// membersOn are the statements that make a role with rights, one that has it, and one that it has.
func membersOn(k servers.Kind, group, user, above string) []string {
	switch k.Engine {
	case "postgres":
		return []string{
			"CREATE ROLE " + above, "CREATE ROLE " + group + " CREATEDB", "GRANT " + above + " TO " + group + " WITH INHERIT FALSE, SET TRUE",
			"CREATE ROLE " + user + " LOGIN NOINHERIT PASSWORD 'secret' CONNECTION LIMIT 5 VALID UNTIL '2040-01-01 00:00:00+00'",
			"ALTER ROLE " + user + " SET work_mem = '8MB'", "ALTER ROLE " + user + " SET search_path = public, \"$user\"",
			"GRANT " + group + " TO " + user + " WITH ADMIN OPTION", "GRANT SELECT ON orders TO " + group,
		}
	case "mysql":
		return []string{
			"CREATE ROLE '" + above + "'", "CREATE ROLE '" + group + "'", "GRANT '" + above + "' TO '" + group + "'",
			"CREATE USER '" + user + "' IDENTIFIED BY 'secret' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 100 MAX_USER_CONNECTIONS 5 PASSWORD EXPIRE INTERVAL 90 DAY",
			"GRANT '" + group + "' TO '" + user + "' WITH ADMIN OPTION", "SET DEFAULT ROLE '" + group + "' TO '" + user + "'", "GRANT SELECT ON orders TO '" + group + "'",
		}
	}
	return []string{
		"CREATE ROLE " + above, "CREATE ROLE " + group, "GRANT " + above + " TO " + group,
		"CREATE USER '" + user + "' IDENTIFIED BY 'secret' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 100 MAX_USER_CONNECTIONS 5 PASSWORD EXPIRE INTERVAL 90 DAY",
		"GRANT " + group + " TO '" + user + "' WITH ADMIN OPTION", "SET DEFAULT ROLE " + group + " FOR '" + user + "'", "GRANT SELECT ON orders TO " + group,
	}
}

// copyRoles takes a snapshot with roles, and returns those.
func copyRoles(t *testing.T, store *snapshot.Store, url string) ([]snapshot.Role, *snapshot.Manifest) {
	t.Helper()
	db := openDatabase(t, url)
	live, ok := db.(snapshot.Source)
	require.True(t, ok)
	m, err := store.Create(t.Context(), live, snapshot.About{Engine: string(db.Dialect().Engine)}, snapshot.CreateOptions{Workers: 2, Roles: true})
	require.NoError(t, err)
	roles, err := store.Roles(t.Context(), m, nil)
	require.NoError(t, err)
	return roles, m
}

// fillRoles restores a snapshot with its roles, and returns what was said.
func fillRoles(t *testing.T, store *snapshot.Store, m *snapshot.Manifest, url string) string {
	t.Helper()
	site, err := database.Site(openDatabase(t, url))
	require.NoError(t, err)
	require.NoError(t, store.Fill(t.Context(), m, site, snapshot.BuildOptions{Workers: 2, Roles: true}))
	return strings.Join(site.(interface{ Warnings() []string }).Warnings(), "\n")
}

// unlocked is without what says whether somebody can log in.
func unlocked(roles []snapshot.Role) []snapshot.Role {
	for i := range roles {
		roles[i].Attributes = slices.DeleteFunc(roles[i].Attributes, func(p schema.Property) bool { return p.Name == "LOGIN" || p.Name == "ACCOUNT LOCK" })
		if len(roles[i].Attributes) == 0 {
			roles[i].Attributes = nil
		}
	}
	return roles
}
