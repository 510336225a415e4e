//go:build linux || darwin

package main

import (
	"os"
	"runtime"
	"syscall"
)

// peak is how much memory a process that has ended held at most, in MiB.
func peak(p *os.ProcessState) float64 {
	usage, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return float64(usage.Maxrss) / (1 << 20)
	}
	return float64(usage.Maxrss) / (1 << 10)
}
