package integration

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
