//go:build failpoint && !linux

package failpoint

import (
	"os"
	"syscall"
)

// stop stops the process.
func stop() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) }
