package snapshots

import "github.com/switchbackdb/switchback/integration/binary"

// program is the real command.
var program binary.Binary
