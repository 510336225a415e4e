package lint

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/migrate"
)

// TestPlannedIsClean: lint finds no error in what plan writes.
func TestPlannedIsClean(t *testing.T) {
	t.Parallel()
	golden, err := filepath.Glob("../../migrate/recipe/testdata/*.golden")
	require.NoError(t, err)
	require.NotEmpty(t, golden)
	for _, file := range golden {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			engine := migrate.Postgres
			switch name := filepath.Base(file); {
			case strings.HasPrefix(name, "second_"):
				engine = migrate.MySQL
			case strings.HasPrefix(name, "online"):
				engine = migrate.MariaDB
			}
			part, _, err := Run(context.Background(), planned(t, string(text)), Options{Engine: engine})
			require.NoError(t, err)
			for _, f := range part.Findings {
				if f.Severity == check.Error {
					t.Errorf("%s:%d: %s: %s\n%s", f.Place.File, f.Place.Line, f.Rule, f.Message, f.Place.Text)
				}
			}
		})
	}
}

// planned cuts a golden file into its scripts.
func planned(t *testing.T, text string) []Script {
	t.Helper()
	var list []Script
	for _, part := range strings.Split("\n"+text, "\n=== ")[1:] {
		name, sql, ok := strings.Cut(part, "\n")
		require.True(t, ok)
		if !strings.HasSuffix(name, ".sql") {
			continue
		}
		words := strings.Split(name, ".")
		list = append(list, Script{Change: "20261124093000_to", Phase: migrate.Phase(words[0]), Back: words[1] == "rollback", File: name, SQL: sql})
	}
	return list
}
