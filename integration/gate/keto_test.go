package gate

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/check/proof"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/foreign"
)

// ketoVerdicts are the findings of the real migrations of another project, each with what a person finds in its files.
var ketoVerdicts = map[string]struct{ rules, byHand string }{
	"20201110175414000000": {proof.NotInverse, "the down file is empty: the table stays until the down of …000001"},
	"20201110175414000001": {proof.NotInverse, "the up file is empty, the down file drops the table of …000000"},
	"20210623162417000000": {proof.NotInverse, "the down file is empty: the table stays until the down of …000001"},
	"20210623162417000001": {proof.NotInverse, "up makes an index, down drops the table of …000000"},
	"20210623162417000002": {proof.NotInverse, "the down file is empty: the index stays"},
	"20210623162417000003": {proof.NotInverse, "the down file is empty: the index stays"},
	"20210914134624000000": {proof.LosesData + " " + proof.NotInverse, "up drops a table with its rows, down makes it empty, and with AUTOINCREMENT, which it had not"},
	"20220217152313000000": {proof.NotInverse + " " + proof.RefusesRows, "down rebuilds the table without its three indexes; up deletes by (SELECT nid FROM networks), where nid is the tuple's own column: it keeps rows that the new foreign key refuses"},
	"20220513200400000001": {proof.NotInverse, "the down file does nothing: the check is gone"},
	"20220513200600000000": {proof.NotInverse, "up drops a table, down makes one with other types, a named key and other conditions of its indexes"},
}

// TestKeto has the gate look at the migrations of another tool, in the corpus: it names the down files that are no
// inverse, and those only.
func TestKeto(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "corpus", "keto")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the corpus is not there")
	}
	from, err := foreign.Read(dir, foreign.Options{})
	require.NoError(t, err)
	changes := filepath.Join(t.TempDir(), "changes")
	plan, err := foreign.Plan(from, changes)
	require.NoError(t, err)
	require.NoError(t, foreign.Write(from, plan, changes))
	folder, err := migrate.LoadFolder(changes, migrate.SQLite)
	require.NoError(t, err)
	require.Greater(t, len(folder.Changes), len(ketoVerdicts))
	server, err := scratch.Open(t.Context(), "", scratch.Options{})
	require.NoError(t, err)
	p := &proof.Proof{
		Scratch: scratch.Proofs{Server: server}, Folder: changes, Changes: folder.Changes,
		Base: func(ctx context.Context, db proof.Database) error { // of another project, before its own
			_, err := db.DB().ExecContext(ctx, "CREATE TABLE networks (id uuid PRIMARY KEY)")
			return err
		},
	}
	part, err := p.Rollback(t.Context())
	require.NoError(t, err)
	found := map[string]string{}
	for _, f := range part.Findings {
		if f.Rule != proof.WithoutRows {
			version, _, _ := strings.Cut(f.Place.Change, "_")
			found[version] = strings.TrimSpace(found[version] + " " + f.Rule)
		}
	}
	for version, verdict := range ketoVerdicts {
		require.ElementsMatch(t, strings.Fields(verdict.rules), strings.Fields(found[version]), "%s: %s", version, verdict.byHand)
		delete(found, version)
	}
	require.Empty(t, found)
}
