//go:build failpoint

// Package failpoint marks the places at which a crash is interesting: each journal boundary, each
// step towards the outside. In this build, the process kills itself with SIGKILL at the mark chosen
// by the environment:
//
//	SWITCHBACK_FAILPOINT_KILL=N    die at the Nth mark that is hit, counted from 1, or at the first of that name
//	SWITCHBACK_FAILPOINT_STOP=N    stop (SIGSTOP) there instead, until somebody sends SIGCONT
//	SWITCHBACK_FAILPOINT_TRACE=F   append the name of each mark that is hit to file F
package failpoint

import (
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
)

// hits counts the marks of this process. A counter for the whole process is what the tests ask
// for, and this file is in no build that users run.
var hits atomic.Int64

// Hit marks a place and kills or stops the process when this is the chosen one.
func Hit(name string) {
	n := hits.Add(1)
	if path := os.Getenv("SWITCHBACK_FAILPOINT_TRACE"); path != "" {
		trace(path, name)
	}
	number := strconv.FormatInt(n, 10)
	switch kill := os.Getenv("SWITCHBACK_FAILPOINT_KILL"); {
	case kill == number, kill == name:
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case os.Getenv("SWITCHBACK_FAILPOINT_STOP") == number:
		stop()
	}
}

func trace(path, name string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(name + "\n")
	_ = f.Close()
}
