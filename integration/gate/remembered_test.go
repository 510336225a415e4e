package gate

import (
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// remembering is a server with what makes it remember statements.
type remembering struct {
	servers.Kind
	options []string
	from    string
}

// slowLogFile is where the servers of MySQL and MariaDB write their slow query log.
const slowLogFile = "/tmp/slow.log"

var rememberers = []remembering{
	{servers.Postgres15, []string{"-c", "shared_preload_libraries=pg_stat_statements"}, "pg_stat_statements"},
	{servers.Postgres18, []string{"-c", "shared_preload_libraries=pg_stat_statements"}, "pg_stat_statements"},
	{servers.MySQL9, []string{"--slow-query-log=ON", "--long-query-time=0", "--slow-query-log-file=" + slowLogFile}, "statement digests"},
	{servers.MariaDB118, []string{"--slow-query-log=ON", "--long-query-time=0", "--slow-query-log-file=" + slowLogFile, "--log-output=FILE,TABLE"}, "mysql.slow_log"},
}

// asked is what the application asked, constants and all.
func asked(e migrate.Engine) []string {
	since := "placed > now() - INTERVAL '3 days'"
	if e != migrate.Postgres {
		since = "placed > now() - INTERVAL 3 DAY"
	}
	return []string{
		"SELECT name FROM customers WHERE note = 'confidential' AND id IN (1, 2, 3)",
		"SELECT count(*) FROM orders WHERE " + since,
		"INSERT INTO customers (id, name) VALUES (71, 'confidential'), (72, 'confidential')",
		"UPDATE customers SET note = 'confidential' WHERE id = 71",
		"SELECT id FROM customers WHERE name LIKE 'confidential%' ORDER BY id LIMIT 5",
	}
}

// TestRemembered asks again what a server remembers of what an application asked: the query that a change breaks is
// named, and nothing that a user of the application has typed is in the report.
func TestRemembered(t *testing.T) {
	if testing.Short() {
		return
	}
	program, err := program.Path()
	require.NoError(t, err)
	for _, k := range rememberers {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			server, stop, err := servers.Start(t.Context(), k.Kind, k.options...)
			t.Cleanup(func() { require.NoError(t, stop()) })
			require.NoError(t, err)
			scratch, err := servers.Server(k.Kind)
			require.NoError(t, err)
			engine := migrate.Engine(k.Engine)
			target := live(t, engine, server)
			dir := dropsNote(t, engine)
			check := func(args ...string) (string, int) {
				var out bytes.Buffer
				cmd := exec.CommandContext(t.Context(), program, append([]string{"check", "--dir", dir, "--only", "workload", "--scratch", scratch}, args...)...)
				cmd.Stdout, cmd.Stderr = &out, &out
				_ = cmd.Run()
				return out.String(), cmd.ProcessState.ExitCode()
			}

			out, code := check("--url", target, "--workload", "blue=target")
			require.Equal(t, 2, code, out)
			require.Equal(t, 2, strings.Count(out, "does not work after expand"), out)
			require.NotContains(t, out, "confidential")
			require.NotContains(t, out, "cannot be asked again")
			require.Contains(t, out, k.from)

			if engine != migrate.Postgres {
				log := filepath.Join(t.TempDir(), "slow.log")
				copySlowLog(t, server, log)
				out, code = check("--url", target, "--workload", "blue="+log)
				require.Equal(t, 2, code, out)
				require.Equal(t, 2, strings.Count(out, "does not work after expand"), out)
				require.NotContains(t, out, "confidential")
			}
		})
	}
}

// TestRemembersNothing says what to do where a server does not remember.
func TestRemembersNothing(t *testing.T) {
	if testing.Short() {
		return
	}
	program, err := program.Path()
	require.NoError(t, err)
	for kind, want := range map[servers.Kind]string{
		servers.Postgres17: "next: shared_preload_libraries = 'pg_stat_statements' in postgresql.conf",
		servers.MariaDB118: "next: SET GLOBAL log_output = 'TABLE', slow_query_log = ON",
	} {
		server, err := servers.Server(kind)
		require.NoError(t, err)
		dir := dropsNote(t, migrate.Engine(kind.Engine))
		out, err := exec.CommandContext(t.Context(), program, "check", "--dir", dir, "--only", "workload", "--scratch", server,
			"--url", servers.URL(t, kind), "--workload", "blue=target").CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), want)
	}
}

// live makes the database that the application works on, and is the application for a moment.
func live(t *testing.T, engine migrate.Engine, server string) string {
	db := servers.Open(t, server)
	_, err := db.ExecContext(t.Context(), "CREATE DATABASE shop")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	u, err := url.Parse(server)
	require.NoError(t, err)
	u.Path = "/shop"
	db = servers.Open(t, u.String())
	defer db.Close()
	made := strings.Split(base(engine), ";\n")
	if engine == migrate.Postgres {
		made = append(made, "CREATE SCHEMA tools", "CREATE EXTENSION pg_stat_statements SCHEMA tools")
	}
	for _, s := range append(made, asked(engine)...) {
		if strings.TrimSpace(s) != "" {
			_, err := db.ExecContext(t.Context(), s)
			require.NoError(t, err, s)
		}
	}
	return u.String()
}

// dropsNote is a project with a change that takes a column away too early.
func dropsNote(t *testing.T, engine migrate.Engine) string {
	dir := project(t, "DROP TABLE a;\n")
	change := filepath.Join(dir, "changes/1_a")
	require.NoError(t, os.WriteFile(filepath.Join(change, "expand.sql"), []byte("ALTER TABLE customers DROP COLUMN note;\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(change, "expand.rollback.sql"), []byte("ALTER TABLE customers ADD COLUMN note varchar(200) DEFAULT 'none';\n"), 0o600))
	require.NoError(t, migrate.WriteSum(filepath.Join(dir, "changes")))
	_, err := migrate.LoadFolder(filepath.Join(dir, "changes"), engine)
	require.NoError(t, err)
	return dir
}

// copySlowLog copies the slow query log out of the container of a server.
func copySlowLog(t *testing.T, server, to string) {
	require.NoError(t, os.WriteFile(to, []byte(servers.Shell(t, server, "cat "+slowLogFile)), 0o600))
}
