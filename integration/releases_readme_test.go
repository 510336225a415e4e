package integration

import (
	"testing"

	"github.com/switchbackdb/switchback/integration/readme"
)

// TestReleasesReadme wants each test that RELEASES.md names to be there.
func TestReleasesReadme(t *testing.T) {
	readme.Tests(t, "RELEASES.md", "..")
}
