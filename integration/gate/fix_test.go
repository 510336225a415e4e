package gate

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// TestFixed runs what lint has rewritten, there and back: it comes to what was meant.
func TestFixed(t *testing.T) {
	if testing.Short() {
		return
	}
	program, err := program.Path()
	require.NoError(t, err)
	target := customers(t, servers.Postgres17)
	dir := t.TempDir()
	for file, text := range map[string]string{
		"1_index/expand.sql":          "CREATE INDEX by_note ON customers (note);\nCREATE INDEX by_born ON customers (born);\n",
		"1_index/expand.rollback.sql": "DROP INDEX by_note;\nDROP INDEX by_born;\n",
		"2_rules/expand.sql":          "ALTER TABLE customers ADD CONSTRAINT grown CHECK (id > 0);\nALTER TABLE parts ADD CONSTRAINT of_order FOREIGN KEY (order_id) REFERENCES orders (id);\n",
		"2_rules/expand.rollback.sql": "ALTER TABLE customers DROP CONSTRAINT grown;\nALTER TABLE parts DROP CONSTRAINT of_order;\n",
	} {
		path := filepath.Join(dir, "changes", file)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	require.NoError(t, migrate.WriteSum(filepath.Join(dir, "changes")))
	switchback := func(args ...string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), program, append(args, "--dir", dir)...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	switchback("lint", "--engine", "postgres", "--strict", "--fix")
	db := servers.Open(t, target)
	defer db.Close()
	made := func() (n int) {
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM pg_constraint WHERE conname IN ('grown', 'of_order') AND convalidated)
			+ (SELECT count(*) FROM pg_index WHERE indexrelid::regclass::text IN ('by_note', 'by_born') AND indisvalid)`).Scan(&n))
		return n
	}
	switchback("up", "--url", target)
	require.Equal(t, 4, made())
	switchback("rollback", "--to", "0", "--url", target)
	require.Equal(t, 0, made())
}
