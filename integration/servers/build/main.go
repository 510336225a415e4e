// Command build builds the servers that tests run on and that are built from Go modules, the ones after the other, unless
// they are there already. They go to the user's cache, named by a hash of what they are built from.
//
//	go run ./integration/servers/build
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
	err := buildAll(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func buildAll(ctx context.Context) error {
	for _, b := range servers.AllBuilt() {
		if err := build(ctx, b); err != nil {
			return fmt.Errorf("build %s: %w", b.Name, err)
		}
	}
	return nil
}

func build(ctx context.Context, b servers.Built) error {
	program, err := b.Path()
	if err != nil {
		return err
	}
	if _, err := os.Stat(program); err == nil {
		fmt.Printf("  %s is there: %s\n", b.Name, program)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return err
	}
	source, err := b.Source()
	if err != nil {
		return err
	}
	begun := time.Now()
	unfinished := program + ".unfinished"
	// Nobody debugs it, and no test waits for it: without inlining and debug information it compiles in half the time.
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-p", "2", "-trimpath", "-gcflags=all=-l -dwarf=false", "-ldflags=-s -w", "-o", unfinished, b.Package)
	cmd.Dir, cmd.Stdout, cmd.Stderr = source, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := cmd.Run(); err != nil {
		return err
	}
	if err := os.Rename(unfinished, program); err != nil {
		return err
	}
	fmt.Printf("  %s was built in %s: %s\n", b.Name, time.Since(begun).Round(time.Second), program)
	return nil
}
