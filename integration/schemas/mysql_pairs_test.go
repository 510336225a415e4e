package schemas

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database/mysql"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/schema"
)

// TestPairsMySQL draws pairs of schemas. The script from one to the other, run on the one, gives the other;
// and the script back gives the one again. The versions of MariaDB take turns.
func TestPairsMySQL(t *testing.T) {
	if testing.Short() {
		return
	}
	pairSettings(t)
	for engine, kinds := range map[string][]servers.Kind{"mysql": {servers.MySQL9}, "mariadb": {servers.MariaDB1011, servers.MariaDB118}} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			var pairs [][2]*pairDatabase
			for _, k := range kinds {
				pairs = append(pairs, [2]*pairDatabase{openPair(t, k), openPair(t, k)})
				pairs[len(pairs)-1][0].exec(t, "CREATE USER IF NOT EXISTS 'switchback_pairs'@'%'")
			}
			rapid.Check(t, func(r *rapid.T) {
				i := rapid.IntRange(0, len(kinds)-1).Draw(r, "server")
				first, second := (&mysqlPairs{t: r, kind: kinds[i]}).draw(), (&mysqlPairs{t: r, kind: kinds[i]}).draw()
				problem := tryPair(t, pairs[i][0], pairs[i][1], [2][]string{first, second})
				if strings.Contains(problem, corruptIndex) {
					r.Skip(problem)
				}
				if problem != "" {
					r.Fatalf("%s: from:\n  %s\nto:\n  %s\n%s", kinds[i].Name, strings.Join(first, ";\n  "), strings.Join(second, ";\n  "), problem)
				}
			})
		})
	}
}

// corruptIndex is what MariaDB 10.11 and 11.8 answer to ALTER TABLE … ADD COLUMN, ADD INDEX of a table WITH SYSTEM
// VERSIONING that has a unique index over a virtual column: a flaw of theirs that no order of statements avoids.
const corruptIndex = "invalid draw: Error 1034 (HY000): Index for table"

// pairDatabase is a database that is filled and emptied over and over.
type pairDatabase struct {
	plain *sql.DB
	model *mysql.Database
}

func openPair(t *testing.T, k servers.Kind) *pairDatabase {
	url := servers.URL(t, k)
	model, err := mysql.Open(t.Context(), url)
	require.NoError(t, err)
	plain := servers.Open(t, url)
	plain.SetMaxOpenConns(1)
	t.Cleanup(func() {
		require.NoError(t, plain.Close())
		require.NoError(t, model.Close())
	})
	return &pairDatabase{plain, model}
}

func (d *pairDatabase) exec(t *testing.T, statement string) {
	_, err := d.plain.ExecContext(t.Context(), statement)
	require.NoError(t, err, statement)
}

// try runs a statement. The server's dictionary is one for all databases, and those of other tests are changed
// at the same time: a deadlock there says nothing of the statement.
func (d *pairDatabase) try(t *testing.T, statement string) error {
	for {
		_, err := d.plain.ExecContext(t.Context(), statement)
		if !d.model.IsLockTimeout(err) {
			return err
		}
	}
}

func (d *pairDatabase) inspect(t *testing.T) *schema.Database {
	m, err := d.model.Inspect(t.Context())
	require.NoError(t, err)
	return m
}

// run runs the script that turns what is there into the schema given; the error is a text.
func (d *pairDatabase) become(t *testing.T, to *schema.Database) string {
	before := d.inspect(t)
	script := scriptMySQL(t, before, to)
	for _, s := range script.Statements {
		if err := d.try(t, s.SQL); err != nil {
			return fmt.Sprintf("%v\n%s", err, s.SQL)
		}
	}
	if d := pathsThatDiffer(t, to, d.inspect(t), diff.Options{}); len(d) > 0 {
		var text strings.Builder
		_ = script.Write(&text, "", "")
		return "wanted → came to be:\n" + strings.Join(d, "\n") + "\n" + text.String()
	}
	return ""
}

// fill makes a schema of statements in an empty database.
func (d *pairDatabase) fill(t *testing.T, statements []string) (*schema.Database, string) {
	if problem := d.become(t, &schema.Database{Engine: "", Schemas: []*schema.Schema{{Name: "main"}}, Settings: d.inspect(t).Settings}); problem != "" {
		return nil, "empty the database: " + problem
	}
	for _, s := range statements {
		if err := d.try(t, s); err != nil {
			return nil, "invalid draw: " + err.Error() + "\n" + s
		}
	}
	return d.inspect(t), ""
}

// tryPair says what goes wrong with a pair, or "".
func tryPair(t *testing.T, one, other *pairDatabase, pair [2][]string) string {
	a, problem := one.fill(t, pair[0])
	if problem != "" {
		return problem
	}
	b, problem := other.fill(t, pair[1])
	if problem != "" {
		return problem
	}
	if problem := one.become(t, b); problem != "" {
		return "there: " + problem
	}
	if problem := one.become(t, a); problem != "" {
		return "back: " + problem
	}
	return ""
}
