package schemas

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	atlasmysql "ariga.io/atlas/sql/mysql"
	atlaspostgres "ariga.io/atlas/sql/postgres"
	atlas "ariga.io/atlas/sql/schema"
	atlassqlite "ariga.io/atlas/sql/sqlite"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	atlasmigrate "ariga.io/atlas/sql/migrate"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// The second opinion: Atlas's library reads and compares the same databases. A table that we call equal
// Atlas has to call equal, and the other way round. disagreements says where the two may differ, and why.
// What it does not explain fails the test.

// disagreement is a difference that one of the two sees alone, and why that is right.
type disagreement struct {
	engines string // those it is about, set apart by blanks; empty for all
	ours    bool   // we see it, Atlas does not
	what    string // a regular expression for the whole line that describes it
	why     string
}

var disagreements = []disagreement{
	{"sqlite", false, `(?:DropIndex sqlite_autoindex_.*|AddIndex (?:a|b|c d|e)_.*)`, "Atlas names the index behind a UNIQUE anew on one side, and then finds it missing on the other; the statements are the same"},
}

// opinion is what one of the two says: for each table that differs, what differs in it.
type opinion map[string][]string

// ourOpinion compares tables without what Atlas's community edition does not have: triggers, comments,
// owners, policies.
func ourOpinion(t tb, a, b *schema.Database) opinion {
	o := opinion{}
	r := compareLite(t, a, b, diff.Options{Kinds: []schema.Kind{schema.KindTable}, NoOwners: true, NoGrants: true, NoComments: true})
	var visit func(table string, changes []diff.Change)
	visit = func(table string, changes []diff.Change) {
		for _, c := range changes {
			switch c.Kind {
			case schema.KindSchema:
				visit("", c.Children)
				continue
			case schema.KindTrigger, schema.KindPolicy, schema.KindRule:
				continue
			case schema.KindTable:
				table = c.Name
			}
			if c.Action != diff.Modify {
				o[table] = append(o[table], fmt.Sprintf("%s %s %s: %s", c.Action, c.Kind, c.Name, values(c)))
				continue
			}
			for _, p := range c.Properties {
				o[table] = append(o[table], fmt.Sprintf("%s %s: %s: %s → %s", c.Kind, c.Name, p.Name, p.From, p.To))
			}
			visit(table, c.Children)
		}
	}
	visit("", r.Changes)
	return o
}

func values(c diff.Change) string {
	var list []string
	for _, p := range c.Properties {
		list = append(list, p.Name+" "+p.From+p.To)
	}
	return strings.Join(list, ", ")
}

// atlasOpinion reads and compares two databases with Atlas's library.
func atlasOpinion(ctx context.Context, t tb, a, b atlas.ExecQuerier, engine migrate.Engine) opinion {
	var inspected [2]*atlas.Schema
	var driver atlasmigrate.Driver
	for i, db := range []atlas.ExecQuerier{a, b} {
		var err error
		driver, err = openAtlas(db, engine)
		require.NoError(t, err)
		name := ""
		if engine == migrate.Postgres {
			name = "public"
		}
		inspected[i], err = driver.InspectSchema(ctx, name, &atlas.InspectOptions{Mode: atlas.InspectTables})
		require.NoError(t, err)
		inspected[i].Name = "main"
		inspected[i].Attrs = nil // the database's own charset and collation
	}
	changes, err := driver.SchemaDiff(inspected[0], inspected[1])
	if err != nil && engine == migrate.Postgres && (strings.Contains(err.Error(), "invalid input syntax") || strings.Contains(err.Error(), "out of range")) {
		// It compares two defaults by casting the one to the type of the other, which may not go.
		t.Skip("Atlas has no opinion")
	}
	require.NoError(t, err)
	o := opinion{}
	for _, c := range changes {
		switch c := c.(type) {
		case *atlas.AddTable:
			o[c.T.Name] = append(o[c.T.Name], "add table "+c.T.Name)
		case *atlas.DropTable:
			o[c.T.Name] = append(o[c.T.Name], "drop table "+c.T.Name)
		case *atlas.ModifyTable:
			for _, d := range c.Changes {
				o[c.T.Name] = append(o[c.T.Name], atlasChange(d))
			}
		}
	}
	return o
}

func openAtlas(db atlas.ExecQuerier, engine migrate.Engine) (atlasmigrate.Driver, error) {
	switch engine {
	case migrate.Postgres:
		return atlaspostgres.Open(db)
	case migrate.MySQL, migrate.MariaDB:
		return atlasmysql.Open(db)
	}
	return atlassqlite.Open(db)
}

func atlasChange(c atlas.Change) string {
	kind := strings.TrimPrefix(fmt.Sprintf("%T", c), "*schema.")
	switch c := c.(type) {
	case *atlas.AddColumn:
		return kind + " " + c.C.Name
	case *atlas.DropColumn:
		return kind + " " + c.C.Name
	case *atlas.ModifyColumn:
		return fmt.Sprintf("%s %s: %b", kind, c.From.Name, c.Change)
	case *atlas.AddIndex:
		return kind + " " + c.I.Name
	case *atlas.DropIndex:
		return kind + " " + c.I.Name
	case *atlas.ModifyIndex:
		return fmt.Sprintf("%s %s: %b", kind, c.From.Name, c.Change)
	case *atlas.AddForeignKey:
		return kind + " " + c.F.Symbol
	case *atlas.DropForeignKey:
		return kind + " " + c.F.Symbol
	case *atlas.ModifyForeignKey:
		return fmt.Sprintf("%s %s: %b", kind, c.From.Symbol, c.Change)
	case *atlas.AddCheck:
		return kind + " " + c.C.Name + " " + c.C.Expr
	case *atlas.DropCheck:
		return kind + " " + c.C.Name + " " + c.C.Expr
	case *atlas.AddAttr:
		return fmt.Sprintf("%s %T", kind, c.A)
	case *atlas.DropAttr:
		return fmt.Sprintf("%s %T", kind, c.A)
	case *atlas.ModifyAttr:
		return fmt.Sprintf("%s %T", kind, c.From)
	}
	return kind
}

// agree wants the two opinions to be about the same tables, but for what is explained.
func agree(t tb, engine migrate.Engine, ours, theirs opinion, about string) {
	t.Helper()
	unexplained := func(lines []string, mine bool) (rest []string) {
		for _, line := range lines {
			if !slices.ContainsFunc(disagreements, func(d disagreement) bool {
				return d.ours == mine && (d.engines == "" || slices.Contains(strings.Fields(d.engines), string(engine))) && regexp.MustCompile("^(?s:"+d.what+")$").MatchString(line)
			}) {
				rest = append(rest, line)
			}
		}
		return rest
	}
	for table, lines := range ours {
		if theirs[table] == nil {
			require.Empty(t, unexplained(lines, true), "table %s is equal to Atlas, not to us\n%s", table, about)
		}
	}
	for table, lines := range theirs {
		if ours[table] == nil {
			require.Empty(t, unexplained(lines, false), "table %s is equal to us, not to Atlas\n%s", table, about)
		}
	}
}

// atlasSide is a database that both look at.
type atlasSide struct {
	engine migrate.Engine
	db     migrate.Database
	plain  *sql.DB
	url    string
}

func newAtlasSide(t *testing.T, url string) *atlasSide {
	db, err := database.Open(t.Context(), url, database.Options{})
	require.NoError(t, err)
	plain := servers.Open(t, url)
	t.Cleanup(func() {
		require.NoError(t, plain.Close())
		require.NoError(t, db.Close())
	})
	return &atlasSide{engine: db.Dialect().Engine, db: db, plain: plain, url: url}
}

func (s *atlasSide) inspect(ctx context.Context, t tb) *schema.Database {
	d, err := s.db.(interface {
		Inspect(ctx context.Context) (*schema.Database, error)
	}).Inspect(ctx)
	require.NoError(t, err)
	return d
}

// clear drops everything.
func (s *atlasSide) clear(ctx context.Context, t tb) {
	if s.engine == migrate.Postgres {
		s.exec(ctx, t, "DROP SCHEMA public CASCADE")
		s.exec(ctx, t, "CREATE SCHEMA public")
		return
	}
	conn, err := s.plain.Conn(ctx)
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.ExecContext(ctx, "SET foreign_key_checks = 0")
	require.NoError(t, err)
	for _, t2 := range s.inspect(ctx, t).Schemas[0].Tables {
		_, err = conn.ExecContext(ctx, "DROP TABLE `"+t2.Name+"`")
		require.NoError(t, err)
	}
	_, err = conn.ExecContext(ctx, "SET foreign_key_checks = 1")
	require.NoError(t, err)
}

func (s *atlasSide) exec(ctx context.Context, t tb, statement string) {
	_, err := s.plain.ExecContext(ctx, statement)
	require.NoError(t, err, statement)
}

// TestAtlasSQLite asks for the second opinion over the corpus and random pairs.
func TestAtlasSQLite(t *testing.T) {
	texts := liteSchemas(t)
	for name := range texts {
		if strings.HasPrefix(name, "sqlite/") {
			delete(texts, name) // Atlas does not read virtual tables
		}
	}
	for one, a := range texts {
		for two, b := range texts {
			if one < two {
				continue
			}
			t.Run(one+" and "+two, func(t *testing.T) { atlasPairSQLite(t.Context(), t, a, b) })
		}
	}
	t.Run("pairs", func(t *testing.T) {
		checkPairs(t, func(t *rapid.T) {
			a, b := drawLite(t, "first"), drawLite(t, "second")
			for i := range a { // tables that differ in little say more
				if i < len(b) && rapid.Bool().Draw(t, "same") && strings.HasPrefix(a[i], "CREATE TABLE") && strings.HasPrefix(b[i], strings.SplitAfter(a[i], "(")[0]) {
					b[i] = a[i]
				}
			}
			ctx := context.Background()
			l, m := newLite(ctx, t, ""), newLite(ctx, t, "")
			defer l.close()
			defer m.close()
			loadLite(ctx, t, l, onlyTables(a))
			loadLite(ctx, t, m, onlyTables(b))
			agree(t, migrate.SQLite, ourOpinion(t, l.inspect(ctx, t), m.inspect(ctx, t)), atlasOpinion(ctx, t, l.conn, m.conn, migrate.SQLite), strings.Join(append(append(onlyTables(a), "---"), onlyTables(b)...), "\n"))
		})
	})
}

// onlyTables leaves tables and indexes, and of foreign keys those of the corpus alone: Atlas does not read
// one to a table that is not there, which SQLite allows.
func onlyTables(statements []string) []string {
	return slices.DeleteFunc(slices.Clone(statements), func(s string) bool {
		return !strings.HasPrefix(s, "CREATE TABLE") && !strings.Contains(s, "INDEX") || strings.Contains(s, "REFERENCES")
	})
}

func atlasPairSQLite(ctx context.Context, t *testing.T, one, two string) {
	a, b := newLite(ctx, t, ""), newLite(ctx, t, "")
	defer a.close()
	defer b.close()
	a.load(ctx, t, one)
	b.load(ctx, t, two)
	agree(t, migrate.SQLite, ourOpinion(t, a.inspect(ctx, t), b.inspect(ctx, t)), atlasOpinion(ctx, t, a.conn, b.conn, migrate.SQLite), "")
}

// TestAtlasServers asks for the second opinion on servers, over random pairs of tables.
func TestAtlasServers(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range []servers.Kind{servers.Postgres17, servers.MySQL9, servers.MariaDB118} {
		t.Run(k.Name, func(t *testing.T) {
			a, b := newAtlasSide(t, servers.URL(t, k)), newAtlasSide(t, servers.URL(t, k))
			ctx := t.Context()
			checkPairs(t, func(t *rapid.T) {
				a.clear(ctx, t)
				b.clear(ctx, t)
				var about []string
				for _, name := range []string{"a", "b"} {
					one := drawServerTable(t, a.engine, name)
					two := one
					if rapid.Bool().Draw(t, "another") {
						two = drawServerTable(t, a.engine, name)
					}
					for _, statement := range one {
						a.exec(ctx, t, statement)
					}
					for _, statement := range two {
						b.exec(ctx, t, statement)
					}
					about = append(append(append(about, one...), "---"), two...)
				}
				agree(t, a.engine, ourOpinion(t, a.inspect(ctx, t), b.inspect(ctx, t)), atlasOpinion(ctx, t, a.plain, b.plain, a.engine), strings.Join(about, "\n"))
			})
		})
	}
}

// TestAtlasCorpus asks for the second opinion on servers, over each pair of the corpus's schemas.
func TestAtlasCorpus(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, c := range []struct {
		kind   servers.Kind
		client string
		files  []string
	}{
		{servers.Postgres17, "psql", []string{"chinook/PostgreSql.sql", "sakila/postgres-schema.sql"}},
		{servers.MySQL9, "mysql", []string{"chinook/MySql.sql", "sakila/mysql-schema.sql"}},
		{servers.MariaDB118, "mariadb", []string{"chinook/MySql.sql", "sakila/mysql-schema.sql"}},
	} {
		t.Run(c.kind.Name, func(t *testing.T) {
			ctx := t.Context()
			var sides []*atlasSide
			for _, file := range append(slices.Clone(c.files), c.files...) {
				text, err := os.ReadFile("../../../shared/corpus/" + file)
				if os.IsNotExist(err) {
					t.Skip("the corpus is not there")
				}
				require.NoError(t, err)
				side := newAtlasSide(t, servers.URL(t, c.kind))
				servers.Tool(t, c.kind, side.url, strings.NewReader(leaveDatabase(string(text))), c.client)
				sides = append(sides, side)
			}
			for i, a := range sides {
				for j, b := range sides[i+1:] {
					ours, theirs := ourOpinion(t, a.inspect(ctx, t), b.inspect(ctx, t)), atlasOpinion(ctx, t, a.plain, b.plain, a.engine)
					require.Equal(t, j == 1, len(ours) == 0, "the same file is the same schema, to us and only then")
					agree(t, a.engine, ours, theirs, "")
				}
			}
		})
	}
}

// leaveDatabase takes out of a script what leads to a database of its own, which in the corpus is sakila.
func leaveDatabase(script string) string {
	return regexp.MustCompile(`(?im)^\s*(?:CREATE\s+(?:DATABASE|SCHEMA)|DROP\s+(?:DATABASE|SCHEMA)|USE|\\c)\b[^;\n]*;?`).ReplaceAllString(strings.ReplaceAll(script, "sakila.", ""), "")
}

// drawServerTable draws a table that all servers take.
func drawServerTable(t *rapid.T, engine migrate.Engine, name string) []string {
	from := func(label string, list ...string) string { return rapid.SampledFrom(list).Draw(t, label) }
	types := []string{"integer", "bigint", "varchar(20)", "varchar(30)", "numeric(10,2)", "date", "double precision", "smallint", "char(3)"}
	defaults := map[string][]string{"integer": {"1", "-2"}, "bigint": {"1"}, "varchar(20)": {"'x'", "'it''s'"}, "numeric(10,2)": {"1.50", "0"}, "smallint": {"3"}}
	if engine == migrate.Postgres {
		types = append(types, "text", "jsonb", "timestamp with time zone", "uuid", "integer[]", "boolean")
		defaults["text"], defaults["timestamp with time zone"], defaults["boolean"] = []string{"'a'", "NULL"}, []string{"now()"}, []string{"true"}
	} else {
		types = append(types, "text", "json", "datetime", "timestamp", "int unsigned", "enum('a','b')", "enum('a','c')", "tinyint(1)", "varbinary(8)")
		defaults["datetime"], defaults["enum('a','b')"] = []string{"CURRENT_TIMESTAMP"}, []string{"'a'"}
	}
	items := []string{"id integer NOT NULL"}
	for _, column := range []string{"x", "y"} {
		kind := from("type", types...)
		text := column + " " + kind
		if list := defaults[kind]; list != nil && rapid.Bool().Draw(t, "default") {
			text += " DEFAULT " + from("value", list...)
		}
		if rapid.Bool().Draw(t, "not null") && !strings.Contains(text, "NULL") {
			text += " NOT NULL"
		}
		items = append(items, text)
	}
	items = append(items, "n varchar(10)", "p integer")
	if rapid.Bool().Draw(t, "key") {
		items = append(items, "PRIMARY KEY ("+from("key", "id", "id, p")+")")
	}
	if rapid.Bool().Draw(t, "unique") {
		items = append(items, "CONSTRAINT "+name+"_u UNIQUE ("+from("columns", "n", "n, p")+")")
	}
	if rapid.Bool().Draw(t, "check") {
		items = append(items, "CONSTRAINT "+name+"_c CHECK ("+from("check", "p > 0", "p > 1", "n <> 'a' OR p IS NULL")+")")
	}
	statements := []string{"CREATE TABLE " + name + " (" + strings.Join(items, ", ") + ")"}
	if rapid.Bool().Draw(t, "index") {
		statements = append(statements, fmt.Sprintf("CREATE %sINDEX %s_i ON %s (%s)", from("unique", "", "UNIQUE "), name, name, from("columns", "n", "n DESC", "p, n")))
	}
	if name == "b" && rapid.Bool().Draw(t, "foreign") {
		statements = append([]string{"CREATE TABLE IF NOT EXISTS parent (id integer PRIMARY KEY)"}, statements...)
		statements = append(statements, "ALTER TABLE b ADD CONSTRAINT b_f FOREIGN KEY (p) REFERENCES parent (id)"+from("action", "", " ON DELETE CASCADE"))
	}
	return statements
}
