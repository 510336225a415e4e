package file

import (
	"path/filepath"
	"testing"

	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

func TestDiscovery(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "discovery.json")
	conformance.Discovery(t, func(*testing.T) strategies.Discovery { return New(path) })
}
