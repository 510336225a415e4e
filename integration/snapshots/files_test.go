package snapshots

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// write writes a file and the folders it is in.
func write(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

func number(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
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
