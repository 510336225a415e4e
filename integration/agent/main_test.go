// Package agent tests switchback agent on a real engine, a real etcd and a real NGINX.
package agent

import (
	"os"
	"testing"

	"github.com/switchbackdb/switchback/integration/binary"
	"github.com/switchbackdb/switchback/integration/servers"
)

// program is the real command, built once for the package.
var program binary.Binary

func TestMain(m *testing.M) {
	code := servers.Run(m)
	program.Remove()
	os.Exit(code)
}
