// Package readme holds pages that say which test shows what against the tests there are.
package readme

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Tests wants each test that a page names to be somewhere below a folder.
func Tests(t *testing.T, page, folder string) {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	there := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, name := range declared.FindAllStringSubmatch(string(source), -1) {
			there[name[1]] = true
		}
		return err
	}))
	named := regexp.MustCompile(`\bTest[A-Z]\w*`).FindAllString(string(text), -1)
	require.NotEmpty(t, named)
	for _, name := range named {
		require.True(t, there[name], "there is no %s", name)
	}
}
