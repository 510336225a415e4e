package integration

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// TestCrashSnapshot kills the real binary at every mark of `snapshot create` and `snapshot restore`. A
// snapshot that was cut off is none; a database is as it was or as it was restored to, whole, and the
// command can be run again.
func TestCrashSnapshot(t *testing.T) {
	for _, mode := range []string{"DELETE", "WAL"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			g := project(t, servers.SQLite(t))
			dir := filepath.Dir(g.changes)
			g.exec("PRAGMA journal_mode = " + mode)
			g.exec("CREATE TABLE a (n integer)")
			g.exec("INSERT INTO a VALUES (1)")
			create := g.args("snapshot", "create", "--verify", "restored")
			names := marks(t, dir, create...)
			kept := snapshots(t, dir)
			require.Len(t, kept, 1)
			taken := kept
			for n := range names {
				crash(t, n+1, names, create)
				now := snapshots(t, dir)
				require.LessOrEqual(t, len(now), len(taken)+2, "killed at %d", n+1)
				for _, id := range now {
					if !slices.Contains(taken, id) {
						require.Contains(t, run(t, dir, "snapshot", "verify", id), "is whole", "killed at %d", n+1)
					}
				}
				taken = now
			}
			for _, id := range taken {
				require.Contains(t, run(t, dir, "snapshot", "verify", id), "is whole", "when all were taken")
			}

			restore := g.args("snapshot", "restore", kept[0])
			g.exec("INSERT INTO a VALUES (2)")
			names = marks(t, dir, restore...)
			require.Equal(t, "1", g.text("SELECT count(*) FROM a"))
			for n := range names {
				g.exec("INSERT INTO a VALUES (2)")
				c := start(t, dir, []string{fmt.Sprint("KILL=", n+1)}, restore...)
				require.Equal(t, -1, c.End(t), c.Out.String())
				require.Contains(t, []string{"1", "2"}, g.text("SELECT count(*) FROM a"), "killed at %d, %s", n+1, names[n])
				require.Equal(t, "ok", g.text("PRAGMA integrity_check"), "killed at %d, %s", n+1, names[n])
				run(t, dir, restore...)
				require.Equal(t, "1", g.text("SELECT count(*) FROM a"), "killed at %d, %s", n+1, names[n])
			}
			leftovers, err := filepath.Glob(filepath.Join(filepath.Dir(strings.TrimPrefix(g.url, "sqlite:")), ".switchback-restore-*"))
			require.NoError(t, err)
			require.Empty(t, leftovers, "scratch folders of killed runs")
		})
	}
}

// snapshots are the IDs of those that count.
func snapshots(t *testing.T, dir string) []string {
	t.Helper()
	var doc struct {
		Snapshots []struct{ ID, Problem string }
	}
	require.NoError(t, json.Unmarshal([]byte(run(t, dir, "snapshot", "list", "--json")), &doc))
	var ids []string
	for _, s := range doc.Snapshots {
		if s.Problem == "" {
			ids = append(ids, s.ID)
		}
	}
	return ids
}
