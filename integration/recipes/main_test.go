// Package recipes tests that a planned change stops neither version of an application, and comes back
// without loss.
//
//	cases ──▶ blue and green clients write and read through all phases, there and back
//	  │         │
//	  ▼         ▼
//	README.md   book: what each row must hold, by conversions written in Go
//
// The table of cases is in cases_test.go; the README shows it as a matrix of kinds of change and engines.
package recipes

import (
	"os"
	"testing"

	"github.com/switchbackdb/switchback/integration/servers"
)

func TestMain(m *testing.M) {
	code := servers.Run(m)
	program.Remove()
	os.Exit(code)
}
