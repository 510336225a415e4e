// Package snapshots tests, on real servers, that snapshots are of one moment, hold everything, and go back in the
// place of the live database: beside writers, beside DDL, and with the real command killed at each of its marks.
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
