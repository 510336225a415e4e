// Command build builds the control plane that tests of the Kubernetes drivers run on, unless it is there already. It
// goes to the user's cache, named by a hash of what it is built from.
//
//	go run ./integration/kubernetes/build
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/switchbackdb/switchback/integration/servers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := build(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the control plane:", err)
		os.Exit(1)
	}
}

func build(ctx context.Context) error {
	program, err := servers.ControlPlane()
	if err != nil {
		return err
	}
	if _, err := os.Stat(program); err == nil {
		fmt.Println("  the control plane is there:", program)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return err
	}
	source, err := servers.ControlPlaneSource()
	if err != nil {
		return err
	}
	begun := time.Now()
	unfinished := program + ".unfinished"
	// Nobody debugs it, and no test waits for it: without inlining and debug information it compiles in half the time.
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-p", "2", "-trimpath", "-gcflags=all=-l -dwarf=false", "-ldflags=-s -w", "-o", unfinished, ".")
	cmd.Dir, cmd.Stdout, cmd.Stderr = source, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := cmd.Run(); err != nil {
		return err
	}
	if err := os.Rename(unfinished, program); err != nil {
		return err
	}
	fmt.Printf("  the control plane was built in %s: %s\n", time.Since(begun).Round(time.Second), program)
	return nil
}
