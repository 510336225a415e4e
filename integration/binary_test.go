package integration

import (
	"testing"

	"github.com/switchbackdb/switchback/integration/binary"
)

// program is the command with the failpoints that let a test kill it at a chosen mark.
var program binary.Binary

func start(t *testing.T, dir string, failpoint []string, args ...string) *binary.Command {
	t.Helper()
	return program.Start(t, dir, failpoint, args...)
}

func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return program.Run(t, dir, args...)
}

func marks(t *testing.T, dir string, args ...string) []string {
	t.Helper()
	return program.Marks(t, dir, args...)
}
