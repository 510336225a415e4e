package recipes

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/check/lint"
	"github.com/switchbackdb/switchback/check/proof"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// TestMatrixIsProven has the gate look at what plan writes for each case. Both say what a way back is, and were written
// apart: the one must let the other pass. On servers it takes long, for the scratch databases that it makes anew, so
// that without the long run only a second table of MySQL is looked at there.
func TestMatrixIsProven(t *testing.T) {
	for _, engine := range engines() {
		if engine != "sqlite" && (testing.Short() || !thorough() && engine != "mysql") {
			continue
		}
		t.Run(engine, func(t *testing.T) {
			server := scratchOf(t, engine)
			for _, c := range cases() {
				c = c.on(engine)
				if !strings.HasPrefix(c.verdict(engine), works) || engine != "sqlite" && !thorough() && c.name != "add check" {
					continue
				}
				t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
					proven(t, server, c, engine)
				})
			}
		})
	}
}

// TestMatrixIsClean has the linter look at what plan writes, as each statement runs: what it finds must be what the plan says
// of the statement. Both were written apart.
func TestMatrixIsClean(t *testing.T) {
	for _, engine := range engines() {
		if testing.Short() || engine == "sqlite" { // whose locks are of the whole file, and not looked at
			continue
		}
		t.Run(engine, func(t *testing.T) {
			server := scratchOf(t, engine)
			for _, c := range cases() {
				c = c.on(engine)
				if strings.HasPrefix(c.verdict(engine), works) {
					t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) { clean(t, server, c, engine) })
				}
			}
		})
	}
}

func clean(t *testing.T, server scratch.Server, c *matrixCase, engine string) {
	db, err := server.Create(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	g := &target{t: t, db: db, changes: filepath.Join(t.TempDir(), "changes")}
	require.NoError(t, c.begin(t.Context(), engine, db.DB()))
	m, err := db.Inspect(t.Context())
	require.NoError(t, err)
	_, err = g.draftOn(m, c, engine)
	require.NoError(t, err)
	folder, err := migrate.LoadFolder(g.changes, migrate.Engine(engine))
	require.NoError(t, err)
	scripts, err := lint.FromFolder(folder, folder.Changes[0].ID)
	require.NoError(t, err)
	part, _, err := lint.Run(t.Context(), scripts, lint.Options{Engine: migrate.Engine(engine), Observer: db.LintObserver()})
	require.NoError(t, err, g.scripts())
	for _, f := range part.Findings {
		if f.Severity == check.Error && !said(t, f) {
			t.Errorf("%s %s:%d: %s\n%s", f.Rule, f.Place.File, f.Place.Line, f.Message, f.Evidence)
		}
	}
	if t.Failed() {
		t.Log(g.scripts())
	}
}

// said tells whether the comment of a statement says that the table is copied, or that writes to it wait.
func said(t *testing.T, f check.Finding) bool {
	t.Helper()
	text, err := os.ReadFile(f.Place.File)
	require.NoError(t, err)
	lines := strings.Split(string(text), "\n")[:f.Place.Line-1]
	for _, line := range slices.Backward(lines) {
		if !strings.HasPrefix(line, "--") {
			return false
		}
		if strings.Contains(line, "is copied") || strings.Contains(line, "Copies the table") || strings.Contains(line, "while writes to them wait") {
			return true
		}
	}
	return false
}

func scratchOf(t *testing.T, engine string) scratch.Server {
	t.Helper()
	name := ""
	if engine != "sqlite" {
		name = servers.URL(t, kinds[engine])
	}
	server, err := scratch.Open(t.Context(), name, scratch.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

// begin makes the schema that the change is planned on, statement by statement.
func (c *matrixCase) begin(ctx context.Context, engine string, db *sql.DB) error {
	statements, err := migrate.Scan(migrate.Engine(engine), c.before.on(engine))
	if err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := db.ExecContext(ctx, s.Text); err != nil {
			return err
		}
	}
	return nil
}

func proven(t *testing.T, server scratch.Server, c *matrixCase, engine string) {
	g := open(t, fresh(t, engine))
	g.exec(c.before.on(engine))
	_, err := g.draft(c, engine)
	require.NoError(t, err)
	folder, err := migrate.LoadFolder(g.changes, migrate.Engine(engine))
	require.NoError(t, err)
	p := &proof.Proof{
		Scratch: scratch.Proofs{Server: server}, Folder: g.changes, Changes: folder.Changes,
		Base: func(ctx context.Context, db proof.Database) error { return c.begin(ctx, engine, db.DB()) },
	}
	part, err := p.Rollback(t.Context())
	require.NoError(t, err)
	for _, f := range part.Findings {
		if f.Severity == check.Error && !(c.freer && f.Rule == proof.Fails) {
			t.Errorf("%s %s %s: %s\n%s", f.Rule, f.Place.Change, f.Place.Phase, f.Message, f.Evidence)
		} else {
			t.Logf("%s: %s\n%s", f.Rule, f.Message, f.Evidence)
		}
	}
	if t.Failed() {
		t.Log(g.scripts())
	}
}
