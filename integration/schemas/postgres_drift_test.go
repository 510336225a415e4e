package schemas

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database/postgres"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

// TestPostgresNoFalseDrift makes the same schema by other ways.
func TestPostgresNoFalseDrift(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, c := range []struct {
		name     string
		from, to servers.Kind
		// What truly differs, and why.
		differs []string
	}{
		{"dump and restore", servers.Postgres17, servers.Postgres17, nil},
		// The server of version 15 writes a view's columns with their table even where there is only one
		// table, later ones do not. The views mean the same: what is listed here is the server's wording.
		{"15 to 18", servers.Postgres15, servers.Postgres18, []string{
			"view shop.grouped definition", "view shop.happier definition", "view shop.happy definition", "view shop.sums definition", "view shop.through definition",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := newPostgres(t, c.from), newPostgres(t, c.to)
			a.load(ownSchemas(t, c.from)["all"]...)
			dump := servers.Tool(t, c.from, a.url, nil, "pg_dump", "--schema-only")
			// pg_dump takes a language whose functions are the system's for one of an extension.
			dump = strings.NewReplacer("CREATE OR REPLACE PROCEDURAL LANGUAGE otherpl;", "CREATE LANGUAGE otherpl HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler VALIDATOR plpgsql_validator;",
				`CREATE OR REPLACE PROCEDURAL LANGUAGE otherpl`, "CREATE LANGUAGE otherpl HANDLER plpgsql_call_handler INLINE plpgsql_inline_handler VALIDATOR plpgsql_validator").Replace(dump)
			// pg_dump leaves settings of the database to pg_dumpall and to --create.
			dump += "\nDO $$ BEGIN\n" + strings.Join([]string{
				"EXECUTE format('ALTER DATABASE %I SET statement_timeout = %L', current_database(), '1h');",
				"EXECUTE format('ALTER ROLE postgres IN DATABASE %I SET search_path = shop, public', current_database());",
				"EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), 'all kinds');",
			}, "\n") + "\nEND $$;\n"
			b.load(dump)
			r, err := diff.Compare(a.inspect(), b.inspect(), diff.Options{})
			require.NoError(t, err)
			var got []string
			diff.Walk(r.Changes, func(path string, c diff.Change) {
				for _, p := range c.Properties {
					got = append(got, path+" "+p.Name)
				}
			})
			require.Equal(t, c.differs, got)
		})
	}
}

// TestPostgresLeastPrivilege reads a catalogue as a role that may use nothing in it.
func TestPostgresLeastPrivilege(t *testing.T) {
	if testing.Short() {
		return
	}
	a := newPostgres(t, servers.Postgres17)
	a.load(ownSchemas(t, a.kind)["all"]...)
	role := "reader_" + strings.TrimPrefix(strings.Trim(mustParse(t, a.url).Path, "/"), "test_")
	_, err := a.db.Exec("CREATE ROLE " + role + " LOGIN PASSWORD 'hidden'")
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := a.db.Exec("DROP ROLE " + role)
		require.NoError(t, err)
	})
	u := mustParse(t, a.url)
	u.User = url.UserPassword(role, "hidden")
	db := servers.Open(t, u.String())
	defer db.Close()
	d, err := postgres.Inspect(t.Context(), db)
	require.NoError(t, err)
	var said []string
	for _, c := range d.Uncovered {
		said = append(said, fmt.Sprintf("%s: %s (%s)", c.Kind, strings.Join(c.Names, ", "), c.Why))
	}
	require.Contains(t, said, "user mapping: public on server far (no right to read the options)")
	require.Empty(t, withoutItem(differences(t, a.inspect(), d), "user mapping"), "all else can be read by everybody")
}

// withoutItem leaves lines out that begin with a change of that kind.
func withoutItem(text, kind string) string {
	var keep []string
	for _, line := range strings.Split(text, "\n") {
		if !strings.Contains(line, " "+kind+" ") {
			keep = append(keep, line)
		}
	}
	return strings.Join(keep, "\n")
}

func mustParse(t *testing.T, text string) *url.URL {
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

// cut is a connection that is lost after a number of queries.
type cut struct {
	conn *sql.Conn
	left int
	end  func()
}

func (c *cut) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if c.left--; c.left == 0 {
		c.end()
	}
	return c.conn.QueryContext(ctx, query, args...)
}

// TestPostgresConnectionLost ends the session while the catalogue is read.
func TestPostgresConnectionLost(t *testing.T) {
	if testing.Short() {
		return
	}
	a := newPostgres(t, servers.Postgres17)
	conn, err := a.db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	var pid int
	require.NoError(t, conn.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid))
	q := &cut{conn, 8, func() {
		_, err := a.db.Exec("SELECT pg_terminate_backend($1, 5000)", pid)
		require.NoError(t, err)
	}}
	d, err := postgres.Inspect(t.Context(), q)
	require.Nil(t, d)
	require.ErrorContains(t, err, "of the catalogue: ")
}

// TestPostgresScriptGolden keeps a script for people to look at.
func TestPostgresScriptGolden(t *testing.T) {
	if testing.Short() {
		return
	}
	a := newPostgres(t, servers.Postgres17)
	a.load(ownSchemas(t, a.kind)["all"]...)
	want := a.inspect()
	require.NotEmpty(t, want.Schemas)
	script, err := between(&schema.Database{}, want)
	require.NoError(t, err)
	file := filepath.Join("..", "..", "testdata", "schema", "postgres", "all.golden")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(printed(script)), 0o600))
	}
	golden, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(golden), printed(script))
}
