//go:build failpoint && linux

package failpoint

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// stop stops the process here. The signal goes to this very thread: one to the process may be taken by
// another, and this one would run on for a moment, into whatever is behind the mark.
func stop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGSTOP)
}
