package integration

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/golang-migrate/migrate/v4"
	migratedb "github.com/golang-migrate/migrate/v4/database"
	migratemysql "github.com/golang-migrate/migrate/v4/database/mysql"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	migratesqlite "github.com/golang-migrate/migrate/v4/database/sqlite"
	_ "github.com/golang-migrate/migrate/v4/source/file"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	ours "github.com/switchbackdb/switchback/migrate"
)

// corpus returns the path of real input by others, and skips where it is not there.
func corpus(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../shared/corpus", name))
	require.NoError(t, err)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		t.Skip("the corpus is not here")
	}
	return path
}

func engineOf(g *target) ours.Engine { return g.db.Dialect().Engine }

// TestImportKeto takes the migrations of ory/keto over, up and back down. What comes out is compared
// with what their files make when they are run one after the other by hand.
func TestImportKeto(t *testing.T) {
	keto := corpus(t, "keto")
	// Not on MariaDB, for which keto has no scripts: it names check constraints differently.
	servers.Each(t, []servers.Kind{servers.Postgres17, servers.MySQL9}, func(t *testing.T, url string) {
		g := project(t, url)
		networks(g)
		empty := g.fingerprint()

		byHand(g, keto)
		want := g.fingerprint()
		require.NotEqual(t, empty, want)
		dropAll(g)
		require.Equal(t, empty, g.fingerprint())

		dir := filepath.Dir(g.changes)
		require.Contains(t, run(t, dir, "import", keto), "wrote 15 changes")
		require.Contains(t, run(t, dir, "import", keto), "wrote 0 changes", "an import can be repeated")
		for range 2 {
			run(t, dir, g.args("up")...)
			require.Equal(t, want, g.fingerprint())
			run(t, dir, g.args("rollback", "--to", "0")...)
			require.Equal(t, empty, g.fingerprint())
		}
	})
}

// networks is the table that keto's migrations expect from another project of Ory.
func networks(g *target) {
	id := map[ours.Engine]string{ours.Postgres: "uuid", ours.SQLite: "text"}[engineOf(g)]
	if id == "" {
		id = "char(36)"
	}
	g.exec("CREATE TABLE networks (id " + id + " NOT NULL PRIMARY KEY, created_at timestamp NOT NULL, updated_at timestamp NOT NULL)")
}

// byHand runs the files for the engine in their order, statement by statement.
func byHand(g *target, dir string) {
	dialects := map[ours.Engine][]string{
		ours.Postgres: {"postgres"}, ours.MySQL: {"mysql"}, ours.MariaDB: {"mysql"}, ours.SQLite: {"sqlite", "sqlite3"},
	}[engineOf(g)]
	files, err := filepath.Glob(filepath.Join(dir, "*.up.sql"))
	require.NoError(g.t, err)
	chosen := map[string]string{}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".up.sql")
		dialect := strings.TrimPrefix(filepath.Ext(name), ".")
		switch {
		case slices.Contains(dialects, dialect):
			chosen[strings.TrimSuffix(name, "."+dialect)] = f
		case dialect == "" && chosen[name] == "":
			chosen[name] = f
		}
	}
	var names []string
	for name := range chosen {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text, err := os.ReadFile(chosen[name])
		require.NoError(g.t, err)
		statements, err := g.db.Scan(string(text))
		require.NoError(g.t, err)
		for _, s := range statements {
			g.exec(s.Text)
		}
	}
}

// dropAll drops keto's tables.
func dropAll(g *target) {
	query := "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'keto%' AND table_schema = 'public'"
	switch engineOf(g) {
	case ours.SQLite:
		query = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'keto%'"
	case ours.MySQL, ours.MariaDB:
		query = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'keto%' AND table_schema = DATABASE()"
	}
	for _, name := range g.list(query) {
		g.exec("DROP TABLE " + name)
	}
}

// TestImportAdopts lets the other tool itself run the first two of three migrations, adopts its table,
// runs the third, and goes all the way back.
func TestImportAdopts(t *testing.T) {
	tools := map[string]struct {
		files map[string]string
		run   func(t *testing.T, g *target, dir string)
	}{
		"golang-migrate": {pairs(), runGolangMigrate},
		"goose":          {annotatedFiles("-- +goose Up", "-- +goose Down"), runGoose},
		"dbmate":         {annotatedFiles("-- migrate:up", "-- migrate:down"), tableOf("schema_migrations", "version varchar(128) PRIMARY KEY", "('1'), ('2')")},
		"flyway":         {flywayFiles(), flywayTable},
	}
	for name, tool := range tools {
		t.Run(name, func(t *testing.T) {
			servers.Each(t, servers.Main(), func(t *testing.T, url string) {
				g := project(t, url)
				dir := t.TempDir()
				for file, text := range tool.files {
					require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
				}
				tool.run(t, g, dir)
				out := run(t, filepath.Dir(g.changes), g.args("import", dir)...)
				require.Contains(t, out, "wrote 3 changes")
				require.Contains(t, out, "recorded 2 of them as applied")
				require.Contains(t, run(t, "", g.args("up")...), "0003")
				require.Equal(t, "3", g.text("SELECT c FROM a"))
				run(t, "", g.args("rollback", "--to", "0")...)
				_, err := g.plain.ExecContext(t.Context(), "SELECT 1 FROM a")
				require.Error(t, err, "the table should be gone")
			})
		})
	}
}

// Three migrations, forward and back.
func steps() [][2]string {
	return [][2]string{
		{"CREATE TABLE a (b integer);", "DROP TABLE a;"},
		{"INSERT INTO a VALUES (2);", "DELETE FROM a;"},
		{"ALTER TABLE a ADD COLUMN c integer DEFAULT 3;", "ALTER TABLE a DROP COLUMN c;"},
	}
}

func pairs() map[string]string {
	files := map[string]string{}
	for i, s := range steps() {
		files[fmt.Sprintf("%d_step.up.sql", i+1)] = s[0]
		files[fmt.Sprintf("%d_step.down.sql", i+1)] = s[1]
	}
	return files
}

func annotatedFiles(up, down string) map[string]string {
	files := map[string]string{}
	for i, s := range steps() {
		files[fmt.Sprintf("%d_step.sql", i+1)] = up + "\n" + s[0] + "\n" + down + "\n" + s[1] + "\n"
	}
	return files
}

func flywayFiles() map[string]string {
	files := map[string]string{}
	for i, s := range steps() {
		files[fmt.Sprintf("V%d__step.sql", i+1)] = s[0]
		files[fmt.Sprintf("U%d__step.sql", i+1)] = s[1]
	}
	return files
}

func runGolangMigrate(t *testing.T, g *target, dir string) {
	db := servers.Open(t, g.url)
	var driver migratedb.Driver
	var err error
	switch engineOf(g) {
	case ours.Postgres:
		driver, err = migratepgx.WithInstance(db, &migratepgx.Config{})
	case ours.SQLite:
		driver, err = migratesqlite.WithInstance(db, &migratesqlite.Config{})
	default:
		driver, err = migratemysql.WithInstance(db, &migratemysql.Config{})
	}
	require.NoError(t, err)
	m, err := migrate.NewWithDatabaseInstance("file://"+dir, "target", driver)
	require.NoError(t, err)
	require.NoError(t, m.Migrate(2))
	serr, derr := m.Close()
	require.NoError(t, errors.Join(serr, derr))
}

func runGoose(t *testing.T, g *target, dir string) {
	dialect := map[ours.Engine]goose.Dialect{ours.Postgres: goose.DialectPostgres, ours.SQLite: goose.DialectSQLite3}[engineOf(g)]
	if dialect == "" {
		dialect = goose.DialectMySQL
	}
	p, err := goose.NewProvider(dialect, g.plain, os.DirFS(dir))
	require.NoError(t, err)
	_, err = p.UpTo(t.Context(), 2)
	require.NoError(t, err)
}

// tableOf stands for a tool that cannot be run here, by the version table as its documentation has it.
func tableOf(table, columns, rows string) func(*testing.T, *target, string) {
	return func(_ *testing.T, g *target, _ string) {
		for _, s := range steps()[:2] {
			g.exec(s[0])
		}
		g.exec("CREATE TABLE " + table + " (" + columns + ")")
		g.exec("INSERT INTO " + table + " VALUES " + rows)
	}
}

// flywayTable is a history in which version 2 was undone and run again, and 3 undone.
func flywayTable(t *testing.T, g *target, dir string) {
	tableOf("flyway_schema_history", `installed_rank integer PRIMARY KEY, version varchar(50), description varchar(200) NOT NULL,
		type varchar(20) NOT NULL, script varchar(1000) NOT NULL, checksum integer, installed_by varchar(100) NOT NULL,
		installed_on timestamp NULL, execution_time integer NOT NULL, success boolean NOT NULL`,
		`(1, '1', 'step', 'SQL', 'V1__step.sql', 1, 'me', NULL, 1, true),
		(2, '2', 'step', 'SQL', 'V2__step.sql', 1, 'me', NULL, 1, true),
		(3, '2', 'step', 'UNDO_SQL', 'U2__step.sql', 1, 'me', NULL, 1, true),
		(4, '2', 'step', 'SQL', 'V2__step.sql', 1, 'me', NULL, 1, true),
		(5, '3', 'step', 'SQL', 'V3__step.sql', 1, 'me', NULL, 1, true),
		(6, '3', 'step', 'UNDO_SQL', 'U3__step.sql', 1, 'me', NULL, 1, true)`)(t, g, dir)
}
