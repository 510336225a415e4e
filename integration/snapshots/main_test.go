// Package snapshots tests copies of whole databases on real servers.
package snapshots

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
