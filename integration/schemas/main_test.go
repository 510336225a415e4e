// Package schemas tests, on real servers, what is said of schemas: that inspection sees every kind of
// object, that the script from one schema to another leads there and back, and that equal schemas are equal
// however they came to be. What the servers' own programs and Atlas say of them is the second opinion.
package schemas

import (
	"flag"
	"os"
	"testing"

	"github.com/switchbackdb/switchback/integration/servers"
)

// update writes golden files anew instead of comparing with them.
var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { os.Exit(servers.Run(m)) }
