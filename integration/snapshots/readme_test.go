package snapshots

import (
	"testing"

	"github.com/switchbackdb/switchback/integration/readme"
)

// TestReadme sees that the tests that the README names are there.
func TestReadme(t *testing.T) {
	readme.Tests(t, "README.md", "../..")
}
