package integration

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/source"
	"github.com/switchbackdb/switchback/integration/servers"
)

// sourceServers are the servers that dumps are taken from.
func sourceServers() []servers.Kind {
	return []servers.Kind{servers.Postgres15, servers.Postgres17, servers.Postgres18, servers.MySQL9, servers.MariaDB1011, servers.MariaDB118}
}

// onServers runs a test on servers, without SQLite.
func onServers(t *testing.T, kinds []servers.Kind, test func(t *testing.T, k servers.Kind)) {
	if testing.Short() {
		return
	}
	for _, k := range kinds {
		t.Run(k.Name, func(t *testing.T) { test(t, k) })
	}
}

// dumpTool is the dump program of a server, with the ways to call it that say all there is.
func dumpTool(k servers.Kind) (string, [][]string) {
	if k.Engine == "postgres" {
		return "pg_dump", [][]string{nil, {"--schema-only"}, {"--create"}, {"--clean", "--if-exists", "--create"}, {"--inserts"}}
	}
	tool, args := "mariadb-dump", []string{"--single-transaction", "--routines", "--events", "--triggers"}
	if k.Engine == "mysql" {
		tool, args = "mysqldump", append(args, "--no-tablespaces")
	}
	return tool, [][]string{args, append(slices.Clone(args), "--no-data"), append(slices.Clone(args), "--add-drop-database", "--databases")}
}

// TestDumpHasNoDrift loads a schema into a database, dumps that with the server's own program, rows and all,
// and compares the dump with the database.
func TestDumpHasNoDrift(t *testing.T) {
	onServers(t, sourceServers(), func(t *testing.T, k servers.Kind) {
		u := servers.URL(t, k)
		load(t, k, u, dumped(k))
		server, err := servers.Server(k)
		require.NoError(t, err)
		tool, ways := dumpTool(k)
		for _, args := range ways {
			t.Log(args)
			file := filepath.Join(t.TempDir(), "dump.sql")
			require.NoError(t, os.WriteFile(file, []byte(servers.Tool(t, k, u, nil, tool, args...)), 0o600))
			requireSameSchema(t, server, file, u)
		}
		requireNoScratch(t, k)
	})
}

// TestDumpOfEverything is the same with schemas that hold every kind of object. They are read as files too,
// which says the same as the database that the server's own client loads them into.
func TestDumpOfEverything(t *testing.T) {
	onServers(t, servers.Main(), func(t *testing.T, k servers.Kind) {
		server, err := servers.Server(k)
		require.NoError(t, err)
		files := map[string][]string{
			"postgres": {"postgres/all.sql"}, "mysql": {"mysql/tables.sql", "mysql/programs.sql"}, "mariadb": {"mariadb/tables.sql", "mariadb/programs.sql"},
		}[k.Engine]
		for _, name := range files {
			text, err := os.ReadFile(filepath.Join("../testdata/schema", name))
			require.NoError(t, err)
			// A subscription is left out of a file, and keeps a database from being dropped; a language without an
			// extension is one that pg_dump cannot write.
			text = regexp.MustCompile(`(?m)^.*(SUBSCRIPTION|ALTER ROLE pg_monitor IN DATABASE|\botherpl\b).*$`).ReplaceAll(text, nil)
			file := filepath.Join(t.TempDir(), filepath.Base(name))
			require.NoError(t, os.WriteFile(file, text, 0o600))
			u := servers.URL(t, k)
			load(t, k, u, string(text))
			requireSameSchema(t, server, file, u)
			tool, ways := dumpTool(k)
			dump := filepath.Join(t.TempDir(), "dump.sql")
			require.NoError(t, os.WriteFile(dump, []byte(servers.Tool(t, k, u, nil, tool, ways[0]...)), 0o600))
			requireSameSchema(t, server, dump, u)
		}
	})
}

// TestDumpOfCorpus is the same with schemas that others wrote.
func TestDumpOfCorpus(t *testing.T) {
	onServers(t, servers.Main(), func(t *testing.T, k servers.Kind) {
		server, err := servers.Server(k)
		require.NoError(t, err)
		names := []string{"chinook/MySql.sql", "sakila/mysql-schema.sql"}
		if k.Engine == "postgres" {
			names = []string{"chinook/PostgreSql.sql", "sakila/postgres-schema.sql"}
		}
		for _, name := range names {
			original := corpus(t, name)
			r := &source.Reader{Scratch: server}
			from, err := r.Read(t.Context(), original)
			require.NoError(t, err)
			require.Greater(t, len(from.Database.Schemas[0].Tables), 10)
			require.True(t, from.Scripted)
			requireSameSchema(t, server, original, original)
		}
		requireNoScratch(t, k)
	})
}

func load(t *testing.T, k servers.Kind, u, sql string) {
	t.Helper()
	client, args := "mariadb", []string{"--comments"} // it would take comments out of bodies
	switch k.Engine {
	case "postgres":
		client, args = "psql", []string{"-v", "ON_ERROR_STOP=1", "-q"}
	case "mysql":
		client, args = "mysql", nil
	}
	servers.Tool(t, k, u, strings.NewReader(sql), client, args...)
}

// requireSameSchema compares two sources.
func requireSameSchema(t *testing.T, scratch, from, to string) {
	t.Helper()
	r := &source.Reader{Scratch: scratch}
	defer func() { require.NoError(t, r.Close()) }()
	a, b, err := r.ReadPair(t.Context(), from, to)
	require.NoError(t, err)
	result, err := diff.Compare(a.Database, b.Database, source.Options(diff.Options{}, a, b))
	require.NoError(t, err)
	var text strings.Builder
	require.NoError(t, diff.NewReport(from, to, result, diff.Options{}).Text(&text, false))
	require.True(t, result.Same(), text.String())
}

// dumped is a schema with what a dump has meta-commands for, and with rows.
func dumped(k servers.Kind) string {
	if k.Engine == "postgres" {
		return `
CREATE SCHEMA sales;
CREATE TYPE sales.state AS ENUM ('new', 'paid');
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL DEFAULT 'it''s; \. a name', note text);
CREATE TABLE sales.orders (id serial PRIMARY KEY, customer bigint NOT NULL REFERENCES customers, state sales.state DEFAULT 'new', at timestamptz DEFAULT now());
CREATE INDEX orders_customer ON sales.orders (customer) WHERE state = 'new';
COMMENT ON TABLE customers IS E'first line\n\\connect elsewhere\n\\.';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN NEW.note := 'a;b'; RETURN NEW; END $f$;
CREATE FUNCTION two() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;
CREATE TRIGGER touch BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION touch();
CREATE VIEW names AS SELECT name FROM customers;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM customers;
CREATE RULE keep AS ON DELETE TO customers DO ALSO (SELECT 1; SELECT 2);
GRANT SELECT ON customers TO public;
INSERT INTO customers (name, note) VALUES (E'line\nbreak', E'\\.'), ('\.', ';');
`
	}
	return `
CREATE TABLE customers (id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(200) NOT NULL DEFAULT 'it''s; a name', note text, UNIQUE KEY by_name (name)) COMMENT 'first; \'line\'';
CREATE TABLE orders (id int AUTO_INCREMENT PRIMARY KEY, customer bigint NOT NULL, at timestamp DEFAULT CURRENT_TIMESTAMP, CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE);
CREATE VIEW names AS SELECT name FROM customers;
INSERT INTO customers (name, note) VALUES ('a\'; DROP TABLE customers; --', '\\');
DELIMITER //
CREATE TRIGGER touch BEFORE UPDATE ON customers FOR EACH ROW BEGIN IF NEW.note IS NULL THEN SET NEW.note = ';'; END IF; END//
CREATE PROCEDURE p(a int) BEGIN SELECT a; SELECT CASE a WHEN 1 THEN 2 END; END//
CREATE FUNCTION f(a int) RETURNS int DETERMINISTIC RETURN a + 1//
CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO BEGIN DELETE FROM orders; END//
DELIMITER ;
`
}

// scratches lists the scratch databases of a server.
func scratches(t *testing.T, k servers.Kind) []string {
	t.Helper()
	server, err := servers.Server(k)
	require.NoError(t, err)
	db := servers.Open(t, server)
	defer db.Close()
	query := `SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'switchback\_scratch\_%'`
	if k.Engine == "postgres" {
		query = `SELECT datname FROM pg_database WHERE datname LIKE 'switchback\_scratch\_%'`
	}
	rows, err := db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}

// requireNoScratch wants none of the scratch databases that were there to stay. Those of others, who use
// the server at the same time, go.
func requireNoScratch(t *testing.T, k servers.Kind) {
	t.Helper()
	left := scratches(t, k)
	require.Eventually(t, func() bool {
		now := map[string]bool{}
		for _, name := range scratches(t, k) {
			now[name] = true
		}
		for _, name := range left {
			if now[name] {
				return false
			}
		}
		return true
	}, 30*time.Second, 50*time.Millisecond)
}

// TestScratchAfterError drops the scratch of a file that fails, and says where.
func TestScratchAfterError(t *testing.T) {
	onServers(t, servers.Main(), func(t *testing.T, k servers.Kind) {
		server, err := servers.Server(k)
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "broken.sql")
		require.NoError(t, os.WriteFile(file, []byte("CREATE TABLE a (id int);\n\n-- here\nCREATE TABLE b (\n  id int,\n  wrong int no such\n);\n"), 0o600))
		r := &source.Reader{Scratch: server}
		_, err = r.Read(t.Context(), file)
		var at *source.StatementError
		require.ErrorAs(t, err, &at)
		require.Equal(t, file, at.File)
		want := 4
		if k.Engine == "postgres" {
			want = 6 // it says where in the statement
		}
		require.Equal(t, want, at.Line, err.Error())
		require.Contains(t, err.Error(), "CREATE TABLE b ( id int")
		require.Contains(t, err.Error(), "syntax")
		requireNoScratch(t, k)
	})
}

// TestScratchConfined runs files that would reach beyond the scratch.
func TestScratchConfined(t *testing.T) {
	onServers(t, servers.Main(), func(t *testing.T, k servers.Kind) {
		u := servers.URL(t, k)
		victim := strings.Trim(mustURL(t, u).Path, "/")
		load(t, k, u, "CREATE TABLE precious (id int);")
		server, err := servers.Server(k)
		require.NoError(t, err)
		text := fmt.Sprintf("DROP DATABASE %s;\nUSE %s;\nDROP TABLE IF EXISTS precious;\nCREATE TABLE made (id int);\n", victim, victim)
		if k.Engine == "postgres" {
			text = fmt.Sprintf("DROP DATABASE %s;\n\\connect %s\nDROP TABLE IF EXISTS precious;\nCREATE TABLE made (id int);\n", victim, victim)
		}
		file := filepath.Join(t.TempDir(), "leaving.sql")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		r := &source.Reader{Scratch: server}
		s, err := r.Read(t.Context(), file)
		require.NoError(t, err)
		require.Len(t, s.Notes, 1)
		require.Contains(t, s.Notes[0], "left out 2 statements that make, drop or choose a database")
		after, err := r.Read(t.Context(), u)
		require.NoError(t, err)
		require.NotNil(t, after.Database.Schemas[0].Table("precious"))
		if k.Engine != "postgres" {
			require.NoError(t, os.WriteFile(file, []byte("DROP TABLE "+victim+".precious;\n"), 0o600))
			_, err = r.Read(t.Context(), file)
			require.ErrorContains(t, err, "leaving.sql:1: DROP TABLE "+victim)
			after, err = r.Read(t.Context(), u)
			require.NoError(t, err)
			require.NotNil(t, after.Database.Schemas[0].Table("precious"))
		}
	})
}

func mustURL(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u
}

// TestScratchWithoutRights says what to grant, without the password.
func TestScratchWithoutRights(t *testing.T) {
	onServers(t, servers.Main(), func(t *testing.T, k servers.Kind) {
		u := servers.URL(t, k)
		db := servers.Open(t, u)
		defer db.Close()
		name := "lowly_" + strings.Trim(mustURL(t, u).Path, "/")[5:]
		create, drop := "CREATE ROLE "+name+" LOGIN PASSWORD 'only-its-own'", "DROP ROLE "+name
		if k.Engine != "postgres" {
			create, drop = "CREATE USER "+name+" IDENTIFIED BY 'only-its-own'", "DROP USER "+name
		}
		_, err := db.ExecContext(t.Context(), create)
		require.NoError(t, err)
		defer func() {
			_, err := db.ExecContext(context.Background(), drop)
			require.NoError(t, err)
		}()
		scratch := mustURL(t, u)
		scratch.User = url.UserPassword(name, "only-its-own")
		scratch.Path = ""
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "a.sql"), []byte("CREATE TABLE a (id int);"), 0o600))
		c := start(t, dir, nil, "diff", "empty", "a.sql", "--scratch", scratch.String())
		require.Equal(t, 1, c.End(t), c.Out.String())
		want := "GRANT ALL ON `switchback\\_scratch\\_%`.* TO '" + name
		if k.Engine == "postgres" {
			want = `ALTER ROLE "` + name + `" CREATEDB`
		}
		require.Contains(t, c.Out.String(), want)
		require.NotContains(t, c.Out.String(), "only-its-own")
	})
}

// slowFile is a file that makes a table and then takes long.
func slowFile(t *testing.T, k servers.Kind) string {
	t.Helper()
	text := "CREATE TABLE begun (id int);\nSELECT pg_sleep(20);\n"
	if k.Engine != "postgres" {
		text = "CREATE TABLE begun (id int);\nDO SLEEP(20);\n"
	}
	file := filepath.Join(t.TempDir(), "slow.sql")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// begun waits until a scratch has the table that a slow file begins with, and returns its name.
func begun(t *testing.T, k servers.Kind, before []string) string {
	t.Helper()
	server, err := servers.Server(k)
	require.NoError(t, err)
	var found string
	require.Eventually(t, func() bool {
		for _, name := range scratches(t, k) {
			if strings.Contains(strings.Join(before, " "), name) {
				continue
			}
			u := mustURL(t, server)
			u.Path = "/" + name
			db, err := database.Open(t.Context(), u.String(), database.Options{})
			if err != nil {
				continue
			}
			var n int
			err = db.DB().QueryRowContext(t.Context(), "SELECT count(*) FROM information_schema.tables WHERE table_name = 'begun' AND table_schema IN ('public', '"+name+"')").Scan(&n)
			_ = db.Close()
			if err == nil && n == 1 {
				found = name
				return true
			}
		}
		return false
	}, 30*time.Second, 20*time.Millisecond)
	return found
}

// TestScratchAfterSignal interrupts the real command in the middle of a file.
func TestScratchAfterSignal(t *testing.T) {
	onServers(t, servers.Main(), func(t *testing.T, k servers.Kind) {
		server, err := servers.Server(k)
		require.NoError(t, err)
		for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
			before := scratches(t, k)
			c := start(t, "", nil, "diff", "empty", slowFile(t, k), "--scratch", server)
			name := begun(t, k, before)
			require.NoError(t, c.Process.Signal(signal))
			require.Equal(t, 1, c.End(t), c.Out.String())
			require.NotContains(t, scratches(t, k), name)
		}
	})
}

// TestScratchAfterKill kills the real command in the middle of a file. The next run removes what it left,
// and leaves a scratch that is in use alone.
func TestScratchAfterKill(t *testing.T) {
	onServers(t, servers.Main(), func(t *testing.T, k servers.Kind) {
		server, err := servers.Server(k)
		require.NoError(t, err)
		before := scratches(t, k)
		killed := start(t, "", nil, "diff", "empty", slowFile(t, k), "--scratch", server)
		left := begun(t, k, before)
		alive := start(t, "", nil, "diff", "empty", slowFile(t, k), "--scratch", server)
		used := begun(t, k, append(before, left))
		require.NoError(t, killed.Process.Kill())
		require.Equal(t, -1, killed.End(t))

		file := filepath.Join(t.TempDir(), "quick.sql")
		require.NoError(t, os.WriteFile(file, []byte("CREATE TABLE a (id int);"), 0o600))
		require.Eventually(t, func() bool { // the server notices that its client is gone once its statement has ended
			r := &source.Reader{Scratch: server}
			_, err := r.Read(t.Context(), file)
			require.NoError(t, err)
			now := strings.Join(scratches(t, k), " ")
			require.Contains(t, now, used, "a scratch in use was dropped")
			return !strings.Contains(now, left)
		}, 15*time.Second, 200*time.Millisecond)
		require.NoError(t, alive.Process.Signal(os.Interrupt))
		require.Equal(t, 1, alive.End(t))
	})
}

// containers lists those of scratch servers, in the states given or in any.
func containers(t *testing.T, states ...string) []string {
	t.Helper()
	args := []string{"ps", "--all", "--quiet", "--filter", "label=switchback.scratch"}
	for _, s := range states {
		args = append(args, "--filter", "status="+s)
	}
	out, err := exec.Command("docker", args...).Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}

// TestScratchInDocker starts servers for a file: the container goes after success, and with a command that
// was killed, at whatever moment of the server's start.
func TestScratchInDocker(t *testing.T) {
	onServers(t, servers.Main(), func(t *testing.T, k servers.Kind) {
		before := containers(t)
		// Those of other tests may go meanwhile.
		added := func(states ...string) []string {
			return slices.DeleteFunc(containers(t, states...), func(id string) bool { return slices.Contains(before, id) })
		}
		file := filepath.Join(t.TempDir(), "a.sql")
		require.NoError(t, os.WriteFile(file, []byte("CREATE TABLE a (id int PRIMARY KEY);"), 0o600))
		require.Contains(t, run(t, "", "schema", "show", file, "--scratch", "docker:"+k.Image), "table a")
		require.Empty(t, added())

		for _, after := range []time.Duration{0, 400 * time.Millisecond, 900 * time.Millisecond} {
			c := start(t, "", nil, "diff", "empty", slowFile(t, k), "--scratch", "docker:"+k.Image)
			// One that was not yet started would be left to the next run.
			require.Eventually(t, func() bool { return len(added("running")) > 0 }, time.Minute, 20*time.Millisecond)
			time.Sleep(after)
			require.NoError(t, c.Process.Kill())
			c.End(t)
			require.Eventually(t, func() bool { return len(added()) == 0 }, 30*time.Second, 50*time.Millisecond,
				"the container outlives the command that started it, killed after %s", after)
		}
	})
}

// TestRolesInDocker makes the roles that policies of a dump name, where the whole server is a scratch.
func TestRolesInDocker(t *testing.T) {
	if testing.Short() {
		return
	}
	file := filepath.Join(t.TempDir(), "policy.sql")
	require.NoError(t, os.WriteFile(file, []byte("CREATE TABLE a (id int);\nCREATE POLICY p ON a TO nobody_there USING (true);\nALTER TABLE a OWNER TO nobody_there;\n"), 0o600))
	require.Contains(t, run(t, "", "schema", "show", file, "--scratch", "docker:"+servers.Postgres17.Image), "table a")
	server, err := servers.Server(servers.Postgres17)
	require.NoError(t, err)
	c := start(t, "", nil, "schema", "show", file, "--scratch", server)
	require.Equal(t, 1, c.End(t))
	require.Contains(t, c.Out.String(), `next: on the scratch's server: CREATE ROLE "nobody_there"`)
}

// TestHCL reads Atlas's files for each engine, and finds what they say.
func TestHCL(t *testing.T) {
	onServers(t, servers.Main(), func(t *testing.T, k servers.Kind) {
		name, integer := "public", "integer"
		if k.Engine != "postgres" {
			name, integer = "shop", "int"
		}
		text := strings.NewReplacer("NAME", name, "INTEGER", integer).Replace(`
schema "NAME" {}
table "customers" {
  schema = schema.NAME
  column "id" { type = INTEGER }
  column "name" { type = varchar(100) }
  primary_key { columns = [column.id] }
}
table "orders" {
  schema = schema.NAME
  column "id" { type = INTEGER }
  column "customer" { type = INTEGER }
  primary_key { columns = [column.id] }
  foreign_key "of_customer" {
    columns     = [column.customer]
    ref_columns = [table.customers.column.id]
    on_delete   = CASCADE
  }
  index "by_customer" { columns = [column.customer] }
}
`)
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "schema.hcl"), []byte(text), 0o600))
		u := servers.URL(t, k)
		load(t, k, u, "CREATE TABLE customers (id int NOT NULL PRIMARY KEY, name varchar(100) NOT NULL);"+
			"CREATE TABLE orders (id int NOT NULL PRIMARY KEY, customer int NOT NULL, CONSTRAINT of_customer FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE);"+
			"CREATE INDEX by_customer ON orders (customer);")
		server, err := servers.Server(k)
		require.NoError(t, err)
		requireSameSchema(t, server, filepath.Join(dir, "schema.hcl"), u)
		requireSameSchema(t, server, dir, u)
		requireNoScratch(t, k)
	})
}

// TestScratchOfOtherSide refuses to compare a file with a server's database on SQLite.
func TestScratchOfOtherSide(t *testing.T) {
	onServers(t, servers.Main(), func(t *testing.T, k servers.Kind) {
		file := filepath.Join(t.TempDir(), "a.sql")
		require.NoError(t, os.WriteFile(file, []byte("CREATE TABLE a (id int);"), 0o600))
		c := start(t, "", nil, "diff", file, servers.URL(t, k))
		require.Equal(t, 1, c.End(t))
		require.Contains(t, c.Out.String(), "next: --scratch docker:"+k.Engine)
	})
}
