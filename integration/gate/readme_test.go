package gate

import (
	"testing"

	"github.com/switchbackdb/switchback/integration/readme"
)

// TestReadme sees that the tests that the README names are there.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme.Tests(t, "README.md", "../..")
}
