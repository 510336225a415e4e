package recipes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
)

// TestExchangeFails has each statement of a contract fail by which a constraint takes another one's place. What the statements
// before it did is taken back, and once it is mended the contract comes to its end.
func TestExchangeFails(t *testing.T) {
	if testing.Short() {
		return
	}
	const numbered = numbers + `CREATE TABLE items (id bigint PRIMARY KEY, n int, note varchar(60), CONSTRAINT items_numbers FOREIGN KEY (n) REFERENCES numbers (n)); CREATE INDEX items_n ON items (n); CREATE INDEX items_note ON items (note);`
	const cascading = "replace constraint items.items_numbers FOREIGN KEY (n) REFERENCES numbers (n) ON DELETE CASCADE\ndrop index items.items_note"
	for engine, operations := range map[string]string{
		"mysql": cascading, "mariadb": cascading,
		"postgres": "replace constraint items.items_pkey PRIMARY KEY (id) INCLUDE (n)\n" + cascading,
	} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			g := open(t, fresh(t, engine))
			g.exec(numbered)
			g.exec("INSERT INTO items VALUES (1, 1, 'one'), (2, NULL, 'two')")
			if engine == "postgres" {
				g.exec("COMMENT ON CONSTRAINT items_pkey ON items IS 'it''s the key'; COMMENT ON CONSTRAINT items_numbers ON items IS 'known numbers'")
			}
			_, err := g.plan(operations)
			require.NoError(t, err)
			require.NoError(t, g.forward(migrate.Expand, migrate.Backfill))
			before := g.model()
			files, err := filepath.Glob(filepath.Join(g.changes, "*", "contract.sql"))
			require.NoError(t, err)
			require.Len(t, files, 1)
			text, err := os.ReadFile(files[0])
			require.NoError(t, err)
			write := func(text string) {
				require.NoError(t, os.WriteFile(files[0], []byte(text), 0o600))
				require.NoError(t, migrate.WriteSum(g.changes))
			}
			parts := strings.Split(string(text), "\nALTER TABLE ")
			require.Greater(t, len(parts), 1, g.scripts())
			for n := 1; n < len(parts); n++ {
				write(strings.Join(parts[:n], "\nALTER TABLE ") + "\nALTER TABLE no_such_" + strings.Join(parts[n:], "\nALTER TABLE "))
				var step *migrate.StepError
				require.ErrorAs(t, g.forward(migrate.Contract), &step, "statement %d", n)
				require.NotContains(t, step.State, "could not be taken back")
				alike(t, before, g.model(), step.State)
			}
			write(string(text))
			require.NoError(t, g.forward(migrate.Contract), g.scripts())
			for _, name := range []string{"items_pkey", "items_numbers"} {
				if engine == "postgres" {
					was := before.Schema("public").Table("items").Constraint(name).Comment
					require.NotEmpty(t, was)
					require.Equal(t, was, g.model().Schema("public").Table("items").Constraint(name).Comment)
				}
			}
			require.NoError(t, g.undo(migrate.Contract))
			alike(t, before, g.model(), "after the rollback of contract the schema is another one")
		})
	}
}
