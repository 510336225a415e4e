package schemas

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/ddl"
	ddlpostgres "github.com/switchbackdb/switchback/ddl/postgres"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database/postgres"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

// pgDatabase is a database of a test on a server of PostgreSQL.
type pgDatabase struct {
	t    testing.TB
	kind servers.Kind
	url  string
	db   *sql.DB
}

func newPostgres(t testing.TB, k servers.Kind) *pgDatabase {
	url := servers.URL(t, k)
	p := &pgDatabase{t, k, url, servers.Open(t, url)}
	t.Cleanup(func() {
		// A database with a subscription cannot be dropped.
		rows, err := p.db.Query("SELECT quote_ident(subname) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())")
		require.NoError(t, err)
		defer rows.Close()
		var names []string
		for rows.Next() {
			var n string
			require.NoError(t, rows.Scan(&n))
			names = append(names, n)
		}
		require.NoError(t, rows.Err())
		for _, n := range names {
			_, err := p.db.Exec("DROP SUBSCRIPTION " + n)
			require.NoError(t, err)
		}
		require.NoError(t, p.db.Close())
	})
	return p
}

// load runs files by psql.
func (p *pgDatabase) load(scripts ...string) {
	p.t.Helper()
	for _, s := range scripts {
		servers.Tool(p.t, p.kind, p.url, strings.NewReader(s), "psql", "--quiet", "--set=ON_ERROR_STOP=1")
	}
}

func (p *pgDatabase) inspect() *schema.Database {
	p.t.Helper()
	d, err := postgres.Inspect(p.t.Context(), p.db)
	require.NoError(p.t, err)
	return d
}

// run executes a script as a plain driver does: statement by statement, on one connection.
func (p *pgDatabase) run(s *ddl.Script) error {
	conn, err := p.db.Conn(p.t.Context())
	if err != nil {
		return err
	}
	defer func() {
		_, _ = conn.ExecContext(p.t.Context(), "RESET ALL")
		_ = conn.Close()
	}()
	for _, statement := range s.Statements {
		if _, err := conn.ExecContext(p.t.Context(), statement.SQL); err != nil {
			return fmt.Errorf("%w\nin: %s", err, statement.SQL)
		}
	}
	return nil
}

// between is the script that turns a schema into another.
func between(from, to *schema.Database) (*ddl.Script, error) {
	r, err := diff.Compare(from, to, diff.Options{})
	if err != nil {
		return nil, err
	}
	return ddlpostgres.Writer{}.Script(r)
}

func printed(s *ddl.Script) string {
	var b bytes.Buffer
	_ = s.Write(&b, "", "")
	return b.String()
}

// differences is the text of a comparison, empty when there are none. What is fixed when a database is made
// is left out against the empty schema.
func differences(t testing.TB, from, to *schema.Database) string {
	t.Helper()
	r, err := diff.Compare(from, to, diff.Options{})
	require.NoError(t, err)
	r.Changes = slices.DeleteFunc(r.Changes, func(c diff.Change) bool {
		s, ok := c.After.(*schema.Setting)
		if !ok {
			s, ok = c.Before.(*schema.Setting)
		}
		return ok && s.Fixed
	})
	if r.Same() {
		return ""
	}
	var b bytes.Buffer
	diff.Walk(r.Changes, func(path string, c diff.Change) {
		fmt.Fprintf(&b, "%s %s %v\n", c.Action, path, c.Properties)
	})
	return b.String()
}

// automaticNotNulls are names of version 18 that a column's NOT NULL has from its table, or from the parent of
// its table.
var automaticNotNulls = regexp.MustCompile(` CONSTRAINT \w+_not_null\d* NOT NULL`)

// dumped is what pg_dump says of the database. What is normalised, and why:
//   - order: pg_dump orders by oid where nothing else decides, and A's objects were made in another order;
//   - storage parameters, which are kept in the order in which they were set;
//   - the owner of the schema public, who is the database's owner by name or as pg_database_owner;
//   - names that version 18 gives to NOT NULL by itself: those of a partition depend on how it came to be;
//   - \restrict and \unrestrict, which hold a random word;
//   - passwords and connection strings, which our script does not know.
func (p *pgDatabase) dumped() string {
	text := servers.Tool(p.t, p.kind, p.url, nil, "pg_dump", "--schema-only")
	var blocks []string
	for i, b := range strings.Split(text, "\n--\n-- Name: ") {
		if i > 0 {
			_, b, _ = strings.Cut(b, "\n") // the rest of its head
		}
		var lines []string
		for _, line := range strings.Split(b, "\n") {
			switch {
			case line == "ALTER SCHEMA public OWNER TO postgres;", strings.HasPrefix(line, `\restrict`), strings.HasPrefix(line, `\unrestrict`), strings.HasPrefix(line, "    password "), strings.HasPrefix(line, "--"), line == "":
				continue
			case strings.HasPrefix(line, "WITH ("):
				options := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "WITH ("), ");"), ", ")
				sort.Strings(options)
				line = strings.Join(options, ", ")
			case strings.HasPrefix(line, "CREATE SUBSCRIPTION"):
				line = line[:strings.Index(line, "CONNECTION")]
			}
			lines = append(lines, automaticNotNulls.ReplaceAllString(strings.TrimSuffix(line, ","), " NOT NULL"))
		}
		if len(lines) > 0 {
			blocks = append(blocks, strings.Join(lines, "\n"))
		}
	}
	sort.Strings(blocks)
	return strings.Join(blocks, "\n\n")
}

// ownSchemas are those of testdata that a server of the kind can hold.
func ownSchemas(t testing.TB, k servers.Kind) map[string][]string {
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "schema", "postgres", name+".sql"))
		require.NoError(t, err)
		return string(b)
	}
	m := map[string][]string{"all": {read("all")}}
	if k != servers.Postgres15 {
		m["17"] = []string{read("17")}
	}
	if k == servers.Postgres18 {
		m["18"] = []string{read("18")}
	}
	return m
}

// corpusSchemas are those of others. They are not part of the repository.
func corpusSchemas(t testing.TB, k servers.Kind) map[string][]string {
	corpus := filepath.Join("..", "..", "..", "shared", "corpus")
	m := map[string][]string{}
	read := func(file string) (string, bool) {
		b, err := os.ReadFile(filepath.Join(corpus, file))
		if os.IsNotExist(err) {
			return "", false
		}
		require.NoError(t, err)
		return string(b), true
	}
	for name, file := range map[string]string{"pagila": "pagila/schema.sql", "sakila": "sakila/postgres-schema.sql"} {
		if s, ok := read(file); ok {
			if name == "pagila" && k != servers.Postgres18 {
				continue // it has virtual columns and uuidv7
			}
			// It wants an extension that no server of the tests has.
			s = strings.NewReplacer("public.vector(20)", "text", "CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;", "",
				"COMMENT ON EXTENSION vector IS 'vector data type and ivfflat and hnsw access methods';", "",
				"CREATE INDEX film_embedding_embedding_hnsw_idx ON public.film_embedding USING hnsw (embedding public.vector_cosine_ops);", "").Replace(s)
			m[name] = []string{s}
		}
	}
	if s, ok := read("chinook/PostgreSql.sql"); ok {
		// Its data is of no use here, and it makes a database of its own.
		var keep []string
		for _, line := range strings.Split(s, "\n") {
			if strings.HasPrefix(line, "DROP DATABASE") || strings.HasPrefix(line, "CREATE DATABASE") || strings.HasPrefix(line, `\c `) {
				continue
			}
			if strings.HasPrefix(line, "INSERT INTO") {
				break
			}
			keep = append(keep, line)
		}
		m["chinook"] = []string{strings.Join(keep, "\n")}
	}
	files, err := filepath.Glob(filepath.Join(corpus, "keto", "*.up.sql"))
	require.NoError(t, err)
	var keto []string
	for _, f := range files {
		base := filepath.Base(f)
		own := strings.TrimSuffix(base, ".up.sql")
		switch {
		case strings.Contains(own, ".") && !strings.HasSuffix(own, ".postgres"):
			continue
		case !strings.Contains(own, ".") && slices.Contains(files, filepath.Join(filepath.Dir(f), own+".postgres.up.sql")):
			continue
		}
		s, _ := read(filepath.Join("keto", base))
		keto = append(keto, s)
	}
	if len(keto) > 0 {
		// The tables of another project come before its own.
		m["keto"] = []string{"CREATE TABLE networks (id uuid PRIMARY KEY);\n" + strings.Join(keto, "\n")}
	}
	return m
}

// TestPostgresRoundTrip makes each schema a second time by our script, and takes it away again.
func TestPostgresRoundTrip(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range []servers.Kind{servers.Postgres15, servers.Postgres17, servers.Postgres18} {
		schemas := ownSchemas(t, k)
		for name, s := range corpusSchemas(t, k) {
			schemas[name] = s
		}
		for name, s := range schemas {
			t.Run(k.Name+"/"+name, func(t *testing.T) {
				a, b := newPostgres(t, k), newPostgres(t, k)
				a.load(s...)
				want, empty := a.inspect(), &schema.Database{}
				script, err := between(empty, want)
				require.NoError(t, err)
				require.NoError(t, b.run(script), printed(script))
				require.Empty(t, differences(t, want, b.inspect()), printed(script))
				require.Equal(t, a.dumped(), b.dumped())

				var text strings.Builder // as people run it
				require.NoError(t, script.Write(&text, "From nothing", ""))
				c := newPostgres(t, k)
				c.load(text.String())
				require.Equal(t, a.dumped(), c.dumped())

				back, err := between(want, empty)
				require.NoError(t, err)
				require.NoError(t, a.run(back), printed(back))
				require.Empty(t, differences(t, empty, a.inspect()), printed(back))
			})
		}
	}
}
