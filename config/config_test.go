package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFault finds the line of a key, or of the block that lacks it.
func TestFault(t *testing.T) {
	file := filepath.Join(t.TempDir(), FileName)
	require.NoError(t, os.WriteFile(file, []byte("changes: changes\nrelease:\n  application: shop\n  router:\n    driver: nginx\n    beacon: 0.0.0.0:1\n"), 0o600))
	c, err := Load(filepath.Dir(file))
	require.NoError(t, err)
	for key, line := range map[string]string{
		"release.router.driver": ":5: ", "release.router.beacon": ":6: ", "release.router.include": ":5: ", "drift.from": ": ",
	} {
		require.EqualError(t, c.Fault(key, "is wrong"), file+line+key+" is wrong")
	}
}
