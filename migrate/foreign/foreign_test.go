package foreign

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
)

// folder writes files below a new folder.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	return dir
}

// imported reads the files, writes the changes and loads them for an engine.
func imported(t *testing.T, engine migrate.Engine, o Options, files map[string]string) (*Folder, *migrate.Folder) {
	t.Helper()
	f, err := Read(folder(t, files), o)
	require.NoError(t, err)
	changes := filepath.Join(t.TempDir(), "changes")
	plan, err := Plan(f, changes)
	require.NoError(t, err)
	require.NoError(t, Write(f, plan, changes))
	loaded, err := migrate.LoadFolder(changes, engine)
	require.NoError(t, err)
	return f, loaded
}

func names(f *migrate.Folder) []string {
	var ids []string
	for _, c := range f.Changes {
		ids = append(ids, c.ID)
	}
	return ids
}

func sql(t *testing.T, c *migrate.Change) (forward, back string) {
	t.Helper()
	p, ok := c.Pair(migrate.Expand)
	require.True(t, ok)
	if p.Rollback != nil {
		back = p.Rollback.SQL
	}
	return p.Forward.SQL, back
}

func TestGolangMigrate(t *testing.T) {
	f, changes := imported(t, migrate.Postgres, Options{}, map[string]string{
		"1_first.up.sql":    "\xef\xbb\xbfBEGIN;\r\nCREATE TABLE a (b int);\r\nCOMMIT;\r\n",
		"1_first.down.sql":  "DROP TABLE a;",
		"2_second.up.sql":   "CREATE INDEX CONCURRENTLY i ON a (b);",
		"10_tenth.up.sql":   "SELECT 10;",
		"10_tenth.down.sql": "",
		"README.md":         "not SQL",
		"stray.sql":         "SELECT 1;",
	})
	require.Equal(t, GolangMigrate, f.Tool)
	require.Equal(t, []string{"0001_first", "0002_second", "0010_tenth"}, names(changes))
	require.Len(t, f.Notes, 1)
	require.Contains(t, f.Notes[0], "stray.sql")

	up, down := sql(t, changes.Changes[0])
	require.Equal(t, "-- (runs in one transaction)\nCREATE TABLE a (b int);\n\n", up)
	require.Equal(t, "DROP TABLE a;", down)
	second := changes.Changes[1]
	pair, _ := second.Pair(migrate.Expand)
	require.True(t, pair.Forward.Directives.NoTransaction, "an index is built concurrently outside a transaction")
	require.Contains(t, second.Meta.Irreversible, "2_second.up.sql of golang-migrate came without")
	require.Empty(t, changes.Changes[2].Meta.Irreversible, "an empty way back is a way back")
}

func TestGoose(t *testing.T) {
	_, changes := imported(t, migrate.SQLite, Options{Placeholders: map[string]string{"WHO": "me"}}, map[string]string{
		"00001_trigger.sql": `-- +goose Up
-- +goose StatementBegin
CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END;
-- +goose StatementEnd
-- +goose Down
DROP TRIGGER t;
`,
		"00002_alone.sql": "-- +goose NO TRANSACTION\n-- +goose up\nVACUUM;\n",
		"00003_env.sql":   "-- +goose Up\n-- +goose ENVSUB ON\nSELECT '${WHO}', '${AGE:-7}';\n-- +goose ENVSUB OFF\nSELECT '${WHO}';\n",
	})
	up, down := sql(t, changes.Changes[0])
	require.Equal(t, "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END;\n", up)
	require.Equal(t, "DROP TRIGGER t;\n", down)
	up, _ = sql(t, changes.Changes[1])
	require.Equal(t, "-- switchback:no-transaction\nVACUUM;\n", up)
	up, _ = sql(t, changes.Changes[2])
	require.Equal(t, "SELECT 'me', '7';\nSELECT '${WHO}';\n", up)
}

func TestDbmate(t *testing.T) {
	f, changes := imported(t, migrate.MySQL, Options{}, map[string]string{
		"20200101000000_a.sql": "-- migrate:up transaction:false\nSELECT 1;\n\n-- migrate:down\nSELECT 2;\n",
	})
	require.Equal(t, Dbmate, f.Tool)
	require.Equal(t, []string{"20200101000000_a"}, names(changes))
	up, down := sql(t, changes.Changes[0])
	require.Equal(t, "-- switchback:no-transaction\nSELECT 1;\n", up)
	require.Equal(t, "SELECT 2;\n", down)
}

func TestFlyway(t *testing.T) {
	f, changes := imported(t, migrate.Postgres, Options{Placeholders: map[string]string{"schema": "app"}}, map[string]string{
		"V1__base.sql":            "CREATE TABLE ${schema}.a (b int);",
		"U1__base.sql":            "DROP TABLE ${schema}.a;",
		"sub/V1_1__more.sql":      "SELECT 11;",
		"V1.10__ten.sql":          "SELECT 110;",
		"V1.10__ten.sql.conf":     "executeInTransaction = false\n",
		"V2__two.sql":             "SELECT 2;",
		"R__view.sql":             "CREATE OR REPLACE VIEW v AS SELECT 1;",
		"B2__base.sql":            "SELECT 0;",
		"V3__java_migration.java": "class X {}",
	})
	require.Equal(t, Flyway, f.Tool)
	require.Equal(t, []string{"0001_base", "0001p01_more", "0001p10_ten", "0002_two", "0002r001_view"}, names(changes))
	require.Len(t, f.Notes, 3, "the baseline, the repeatable one, and the one in Java")
	up, _ := sql(t, changes.Changes[0])
	require.Equal(t, "CREATE TABLE app.a (b int);", up)
	up, _ = sql(t, changes.Changes[2])
	require.Equal(t, "-- switchback:no-transaction\nSELECT 110;", up)
}

func TestPop(t *testing.T) {
	files := map[string]string{
		"20200101_a.mysql.up.sql":               "SELECT 'mysql';",
		"20200101_a.up.sql":                     "SELECT 'all';",
		"20200101_a.down.sql":                   "SELECT 'back';",
		"20200101_a.cockroach.up.sql":           "SELECT 'cockroach';",
		"20200102_b.postgres.up.sql":            "SELECT 'postgres';",
		"20200102_b.down.sql":                   "SELECT 'back';",
		"20200103_c.sqlite3.autocommit.up.sql":  "SELECT 'sqlite';",
		"20200103_c.autocommit.sqlite.down.sql": "SELECT 'back';",
	}
	want := map[migrate.Engine][3]string{
		migrate.Postgres: {"SELECT 'all';", "SELECT 'postgres';", ""},
		migrate.MariaDB:  {"SELECT 'mysql';", "-- Nothing to do on this engine.\n", ""},
		migrate.SQLite:   {"SELECT 'all';", "-- Nothing to do on this engine.\n", "-- switchback:no-transaction\nSELECT 'sqlite';"},
	}
	for engine, scripts := range want {
		f, changes := imported(t, engine, Options{}, files)
		require.Equal(t, Pop, f.Tool)
		for i, w := range scripts {
			up, _ := sql(t, changes.Changes[i])
			require.Equal(t, w, up, "%s %d", engine, i)
		}
	}
}

// TestAgain imports a folder that has grown since: what was there keeps its ID.
func TestAgain(t *testing.T) {
	dir := folder(t, map[string]string{"V1__a.sql": "SELECT 1;", "R__v.sql": "SELECT 0;"})
	changes := filepath.Join(t.TempDir(), "changes")
	for _, want := range [][]string{
		{"0001_a", "0001r001_v"},
		{"0001_a", "0001p05_b", "0001r001_v", "0002_c"},
	} {
		f, err := Read(dir, Options{})
		require.NoError(t, err)
		plan, err := Plan(f, changes)
		require.NoError(t, err)
		require.NoError(t, Write(f, plan, changes))
		loaded, err := migrate.LoadFolder(changes, migrate.SQLite)
		require.NoError(t, err)
		require.Equal(t, want, names(loaded))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "V1.5__b.sql"), []byte("SELECT 15;"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "V2__c.sql"), []byte("SELECT 2;"), 0o600))
	}
}

// TestRefused has folders that cannot be taken over whole, and what is said of them.
func TestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"nothing":           {map[string]string{"a.txt": ""}, "no migrations of a tool that is known"},
		"two tools":         {map[string]string{"1_a.up.sql": "", "V1__a.sql": ""}, "could be of several tools: golang-migrate, flyway"},
		"two versions":      {map[string]string{"1_a.up.sql": "", "1_b.up.sql": ""}, "two migrations have the version 1"},
		"only back":         {map[string]string{"1_a.down.sql": "", "2_a.up.sql": ""}, "version 1 has a way back but no way forward"},
		"open transaction":  {map[string]string{"1_a.up.sql": "BEGIN;\nSELECT 1;\n"}, "1_a.up.sql:1: begins a transaction that does not end with the file"},
		"annotation":        {map[string]string{"1_a.sql": "-- +goose Up\n-- +goose Sideways\n"}, "1_a.sql:2: unknown annotation"},
		"before":            {map[string]string{"1_a.sql": "SELECT 1;\n-- +goose Up\n"}, "1_a.sql:1: stands before the first annotation"},
		"dbmate option":     {map[string]string{"1_a.sql": "-- migrate:up fast:true\n"}, `:1: unknown option "fast:true"`},
		"placeholder":       {map[string]string{"V1__a.sql": "SELECT ${x};"}, "--placeholder x=VALUE"},
		"undo alone":        {map[string]string{"V1__a.sql": "", "U2__b.sql": ""}, "undo migration of version 2, but no migration"},
		"flyway twice":      {map[string]string{"V1__a.sql": "", "sub/V1__b.sql": ""}, "with the version 1"},
		"not text":          {map[string]string{"1_a.up.sql": "\xff\xfe"}, "is not UTF-8 text"},
		"unknown directive": {map[string]string{"1_a.up.sql": "-- switchback:fly\n"}, `unknown directive "fly"`},
	} {
		t.Run(name, func(t *testing.T) {
			changes := filepath.Join(t.TempDir(), "changes")
			f, err := Read(folder(t, test.files), Options{})
			if err == nil {
				var plan []Imported
				plan, err = Plan(f, changes)
				require.NoError(t, err)
				err = Write(f, plan, changes)
				require.NoFileExists(t, filepath.Join(changes, migrate.SumFile))
			}
			require.ErrorContains(t, err, test.want)
		})
	}
}
