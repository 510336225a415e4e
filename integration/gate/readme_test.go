package gate

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadme sees that the tests that the README names are there.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var source strings.Builder
	require.NoError(t, filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		_, _ = source.Write(text)
		return err
	}))
	named := regexp.MustCompile(`\bTest[A-Z]\w*`).FindAllString(string(readme), -1)
	require.NotEmpty(t, named)
	for _, name := range named {
		require.Contains(t, source.String(), "func "+name+"(")
	}
}
