package gate

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// TestStats saves the sizes of a server's tables, and lint says by them what a statement would touch.
func TestStats(t *testing.T) {
	if testing.Short() {
		return
	}
	program, err := program.Path()
	require.NoError(t, err)
	migrations := t.TempDir()
	for file, text := range map[string]string{
		"1_a.up.sql": "ALTER TABLE customers DROP COLUMN note;\n", "1_a.down.sql": "ALTER TABLE customers ADD COLUMN note varchar(200);\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(migrations, file), []byte(text), 0o600))
	}
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			target := customers(t, k)
			db := servers.Open(t, target)
			defer db.Close()
			insert := "INSERT INTO customers (id, name) WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 900) SELECT i, 'confidential' FROM n"
			for _, s := range []string{insert, map[bool]string{true: "ANALYZE customers", false: "ANALYZE TABLE customers"}[k.Engine == "postgres"]} {
				_, err := db.ExecContext(t.Context(), s)
				require.NoError(t, err, s)
			}
			file := filepath.Join(t.TempDir(), "stats.json")
			out, err := exec.CommandContext(t.Context(), program, "stats", "save", file, "--url", target).CombinedOutput()
			require.NoError(t, err, "%s", out)
			for _, from := range []string{file, target} {
				out, err = exec.CommandContext(t.Context(), program, "lint", "--engine", k.Engine, "--target", from, migrations).CombinedOutput()
				require.Error(t, err, "%s", out)
				require.Regexp(t, `table customers, about (8|9)\d\d rows, [0-9.]+ KiB`, string(out))
			}
		})
	}
}
