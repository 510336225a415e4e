package lint

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
)

// TestFixExamples: the bad example of a rule that can be fixed is rewritten so that the rule fires no more, and
// rewriting it again changes nothing.
func TestFixExamples(t *testing.T) {
	t.Parallel()
	for _, r := range Rules() {
		if !r.Fixable() {
			continue
		}
		for _, e := range r.Examples {
			t.Run(r.Name+"/"+string(e.Engine), func(t *testing.T) {
				t.Parallel()
				s := scriptOn(t, e.Bad)
				s.Foreign = e.Foreign
				o := Options{Engine: e.Engine}
				for _, file := range fixed(t, s, o) {
					require.Contains(t, file.Rules, r.Name)
					if file.File == s.File {
						s.SQL = file.After
					}
				}
				require.NotContains(t, fired(t, s, o), r.Name)
				require.Empty(t, fixed(t, s, o))
			})
		}
	}
}

// scriptOn is the expand script of a change on disk.
func scriptOn(t *testing.T, sql string) Script {
	t.Helper()
	file := filepath.Join(t.TempDir(), "expand.sql")
	require.NoError(t, os.WriteFile(file, []byte(sql+"\n"), 0o600))
	return Script{Change: "1_example", Phase: migrate.Expand, File: filepath.ToSlash(file), SQL: sql + "\n"}
}

// fixed rewrites a script, and writes what comes of it.
func fixed(t *testing.T, s Script, o Options) []Fixed {
	t.Helper()
	list, err := Fix(context.Background(), []Script{s}, o)
	require.NoError(t, err)
	for _, f := range list {
		require.NoError(t, os.WriteFile(f.File, []byte(f.After), 0o600))
	}
	return list
}

func TestFix(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql, want, backfill string
		engine              migrate.Engine
		foreign             bool
	}{
		"two indexes": {
			sql:  "CREATE UNIQUE INDEX a ON t (a); -- the first\n/* CREATE */ CREATE INDEX IF NOT EXISTS b ON t (b);",
			want: "-- switchback:no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY a ON t (a); -- the first\n/* CREATE */ CREATE INDEX CONCURRENTLY IF NOT EXISTS b ON t (b);",
		},
		"an index and more": {sql: "ALTER TABLE t ADD COLUMN a int;\nCREATE INDEX b ON t (a);"},
		"several indexes":   {sql: "DROP INDEX a, b;"},
		"silenced":          {sql: "-- switchback:allow index-not-concurrent: a small table\nCREATE INDEX b ON t (a);"},
		"a check with a comment behind": {
			sql:      "ALTER TABLE ONLY \"a b\".t ADD CONSTRAINT \"c d\" CHECK (a > 1) -- more than one\n;\nALTER TABLE t ADD CONSTRAINT e FOREIGN KEY (a) REFERENCES u (a) DEFERRABLE;",
			want:     "ALTER TABLE ONLY \"a b\".t ADD CONSTRAINT \"c d\" CHECK (a > 1) NOT VALID -- more than one\n;\nALTER TABLE t ADD CONSTRAINT e FOREIGN KEY (a) REFERENCES u (a) DEFERRABLE NOT VALID;",
			backfill: "ALTER TABLE \"a b\".t VALIDATE CONSTRAINT \"c d\";\nALTER TABLE t VALIDATE CONSTRAINT e;\n",
		},
		"a check without a name": {sql: "ALTER TABLE t ADD CHECK (a > 1);"},
		"a timeout, inside a file of both ways": {
			sql:     "-- +goose Up\n\nALTER TABLE t ADD COLUMN a int;\n-- +goose Down\n",
			want:    "-- +goose Up\n\nSET lock_timeout = '2s';\nALTER TABLE t ADD COLUMN a int;\n-- +goose Down\n",
			foreign: true,
		},
		"an engine that is not InnoDB": {sql: "CREATE TABLE t (id int PRIMARY KEY) ENGINE = MEMORY;", engine: migrate.MySQL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.engine == "" {
				c.engine = migrate.Postgres
			}
			s := scriptOn(t, c.sql)
			s.Foreign = c.foreign
			list := fixed(t, s, Options{Engine: c.engine})
			got := map[string]string{}
			for _, f := range list {
				got[filepath.Base(f.File)] = f.After
			}
			want := map[string]string{}
			if c.want != "" {
				want["expand.sql"] = c.want + "\n"
			}
			if c.backfill != "" {
				want["backfill.sql"] = c.backfill
			}
			require.Equal(t, want, got)
		})
	}
}
