package gate

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// TestReach: a statement that reaches beyond its database is told from one that does not.
func TestReach(t *testing.T) {
	beyond := map[migrate.Engine][]string{
		migrate.SQLite:   {"ATTACH 'x.db' AS x", "VACUUM INTO 'x.db'"},
		migrate.Postgres: {"CREATE ROLE a", "ALTER USER a SUPERUSER", "DROP DATABASE shop", "ALTER SYSTEM SET a = 1", "GRANT a TO b", "/* x */ create user a"},
		migrate.MySQL:    {"CREATE USER a", "DROP SCHEMA shop", "SET GLOBAL a = 1", "GRANT ALL ON *.* TO a", "USE shop", "DELETE FROM test_beside.t", "ALTER TABLE `test_beside` . t ADD c int", "RENAME USER a TO b"},
	}
	within := map[migrate.Engine][]string{
		migrate.SQLite:   {"CREATE TABLE attach (id integer)", "VACUUM"},
		migrate.Postgres: {"CREATE TABLE role (id int)", "GRANT SELECT ON t TO PUBLIC", "CREATE USER MAPPING FOR a SERVER s", "ALTER TABLE a.t ADD c int", "SELECT 'CREATE ROLE a'"},
		migrate.MySQL:    {"CREATE TABLE t (user int)", "SELECT t.a FROM t", "ALTER DATABASE CHARACTER SET utf8mb4", "RENAME TABLE a TO b", "SELECT 1 FROM information_schema.tables", "SELECT 'test_beside.t'"},
	}
	beyond[migrate.MariaDB], within[migrate.MariaDB] = beyond[migrate.MySQL], within[migrate.MySQL]
	onEngines(t, func(t *testing.T, engine migrate.Engine, server scratch.Server) {
		db, err := server.Create(t.Context())
		require.NoError(t, err)
		defer func() { require.NoError(t, db.Close()) }()
		if engine == migrate.MySQL || engine == migrate.MariaDB {
			each(t, db, "CREATE DATABASE IF NOT EXISTS test_beside")
			defer each(t, db, "DROP DATABASE test_beside")
		}
		for _, s := range beyond[engine] {
			at, what, err := db.Reach(t.Context(), []string{"SELECT 1", s})
			require.NoError(t, err)
			require.Equal(t, 1, at, s)
			require.NotEmpty(t, what, s)
		}
		at, what, err := db.Reach(t.Context(), within[engine])
		require.NoError(t, err)
		require.Equal(t, -1, at, what)
	})
}

// TestNothingRunsOnTheTarget checks with flags that name the target everywhere they can, the place of scratch databases
// included: what is there stays as it is. A change that would reach it from a scratch database is refused.
func TestNothingRunsOnTheTarget(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers")
	}
	program, err := program.Path()
	require.NoError(t, err)
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			target := servers.URL(t, k)
			db := servers.Open(t, target)
			defer db.Close()
			for _, s := range []string{"CREATE TABLE parts (id int PRIMARY KEY, n int)", "INSERT INTO parts VALUES (1, 1)"} {
				_, err := db.ExecContext(t.Context(), s)
				require.NoError(t, err)
			}
			state := func() string {
				var tables string
				var n int
				list := "SELECT string_agg(table_name, ' ') FROM information_schema.tables WHERE table_schema = 'public'"
				if k.Engine != "postgres" {
					list = "SELECT group_concat(table_name) FROM information_schema.tables WHERE table_schema = database()"
				}
				require.NoError(t, db.QueryRowContext(t.Context(), list).Scan(&tables))
				require.NoError(t, db.QueryRowContext(t.Context(), "SELECT sum(n) FROM parts").Scan(&n))
				return fmt.Sprint(tables, n)
			}
			before := state()
			dir := project(t, "DROP TABLE a;\nDELETE FROM parts;\n")
			queries := filepath.Join(dir, "queries.sql")
			require.NoError(t, os.WriteFile(queries, []byte("DELETE FROM parts;\nDROP TABLE parts;\nUPDATE parts SET n = 2;\n"), 0o600))
			run := func(args ...string) string {
				out, err := exec.CommandContext(t.Context(), program, append([]string{"check", "--dir", dir}, args...)...).CombinedOutput()
				require.Equal(t, before, state(), "%v: %v: %s", args, err, out)
				return string(out)
			}
			require.NoError(t, exec.CommandContext(t.Context(), program, "sum", "--dir", dir).Run())
			require.Contains(t, run("--url", target, "--scratch", target, "--workload", "blue="+queries, "--workload", "green="+queries), "rollback: looked at 1 change")
			run("--url", target)
			run("--url", target, "--static", "--strict")
			run("--from", target, "--scratch", target, "--only", "rollback")
			if k.Engine == "postgres" {
				return
			}
			u, err := url.Parse(target)
			require.NoError(t, err)
			name := strings.TrimPrefix(u.Path, "/")
			require.NoError(t, os.WriteFile(filepath.Join(dir, "changes/1_a/expand.sql"), []byte("CREATE TABLE a (id int PRIMARY KEY);\nDELETE FROM "+name+".parts;\n"), 0o600))
			require.NoError(t, exec.CommandContext(t.Context(), program, "sum", "--dir", dir).Run())
			require.Contains(t, run("--url", target, "--scratch", target), "expand.sql:2 reaches the database "+name)
		})
	}
}

// TestStoppedCheck stops the real command in the middle of a change, with a signal that it hears and with one that it
// does not: nothing is left in the scratch server, at the latest after the next run.
func TestStoppedCheck(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers")
	}
	program, err := program.Path()
	require.NoError(t, err)
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			server, err := servers.Server(k)
			require.NoError(t, err)
			db := servers.Open(t, server)
			defer db.Close()
			there := func(name string) (n int) {
				list := "SELECT count(*) FROM information_schema.schemata WHERE schema_name = '" + name + "'"
				if k.Engine == "postgres" {
					list = "SELECT count(*) FROM pg_database WHERE datname = '" + name + "'"
				}
				require.NoError(t, db.QueryRowContext(t.Context(), list).Scan(&n))
				return n
			}
			check := func(dir string) (*exec.Cmd, *bytes.Buffer) {
				require.NoError(t, exec.CommandContext(t.Context(), program, "sum", "--dir", dir).Run())
				cmd, out := exec.CommandContext(t.Context(), program, "check", "--dir", dir, "--scratch", server, "--only", "rollback"), &bytes.Buffer{}
				cmd.Stdout, cmd.Stderr = out, out
				require.NoError(t, cmd.Start())
				return cmd, out
			}
			for i, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
				seconds := fmt.Sprintf("9.%d%d", i, time.Now().Nanosecond())
				sleep := "DO SLEEP(" + seconds + ")"
				if k.Engine == "postgres" {
					sleep = "SELECT pg_sleep(" + seconds + ")"
				}
				dir := project(t, "DROP TABLE a;\n")
				require.NoError(t, os.WriteFile(filepath.Join(dir, "changes/1_a/expand.sql"), []byte("CREATE TABLE a (id int PRIMARY KEY);\n"+sleep+";\n"), 0o600))
				cmd, out := check(dir)
				var name string
				require.Eventually(t, func() bool {
					asks := "SELECT coalesce(max(db), '') FROM information_schema.processlist WHERE info LIKE 'DO SLEEP(" + seconds + "%'"
					if k.Engine == "postgres" {
						asks = "SELECT coalesce(max(datname::text), '') FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND query LIKE '%pg_sleep(" + seconds + "%'"
					}
					return db.QueryRowContext(t.Context(), asks).Scan(&name) == nil && name != ""
				}, time.Minute, 20*time.Millisecond, out)
				require.Equal(t, 1, there(name))
				require.NoError(t, cmd.Process.Signal(signal))
				require.Error(t, cmd.Wait())
				if signal == syscall.SIGKILL {
					// The server notices that its client is gone once the statement has ended, or, on MySQL, when it looks.
					require.Eventually(t, func() bool {
						next, out := check(project(t, "DROP TABLE a;\n"))
						require.NoError(t, next.Wait(), out)
						return there(name) == 0
					}, time.Minute, 200*time.Millisecond)
				}
				require.Zero(t, there(name), "%s is left after %s", name, signal)
			}
		})
	}
}
