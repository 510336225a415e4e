package servers_test

import (
	"os"
	"testing"

	"github.com/switchbackdb/switchback/integration/servers"
)

func TestMain(m *testing.M) { os.Exit(servers.Run(m)) }
