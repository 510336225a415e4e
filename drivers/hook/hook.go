// Package hook runs the programs that a release calls beside its steps (strategies.Hook).
package hook

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// grace is how long a program may take to end once it was asked to.
const grace = 5 * time.Second

// Runner runs programs.
type Runner struct {
	Dir    string    // where they run; empty for the current folder
	Output io.Writer // what they print
}

// Run runs a program, with variables added to this command's own environment, until it ends. What it says last is the
// result. When ctx ends it gets a SIGTERM, and is killed where that does not help. An exit code other than 0 is an
// error.
func (r Runner) Run(ctx context.Context, command []string, env map[string]string) (says string, err error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.WaitDelay = r.Dir, grace
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = os.Environ()
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	last := &lastLine{}
	cmd.Stdout = io.MultiWriter(last, r.Output)
	cmd.Stderr = cmd.Stdout
	err = cmd.Run()
	says = last.text()
	name := filepath.Base(command[0])
	switch {
	case ctx.Err() != nil:
		return says, fmt.Errorf("hook %s: %w", name, context.Cause(ctx))
	case err != nil && says != "":
		return says, fmt.Errorf("hook %s: %w: %s", name, err, says)
	case err != nil:
		return says, fmt.Errorf("hook %s: %w", name, err)
	}
	return says, nil
}

// longest is how much of a line is kept: it goes to the journal.
const longest = 200

// lastLine keeps the last line that says something, cut where it is too long.
type lastLine struct{ whole, open string }

// Write implements io.Writer.
func (l *lastLine) Write(p []byte) (int, error) {
	for i, part := range strings.Split(string(p), "\n") {
		if i > 0 {
			if strings.TrimSpace(l.open) != "" {
				l.whole = l.open
			}
			l.open = ""
		}
		if room := longest - len(l.open); room > 0 {
			l.open += part[:min(room, len(part))]
		}
	}
	return len(p), nil
}

func (l *lastLine) text() string {
	text := l.whole
	if strings.TrimSpace(l.open) != "" {
		text = l.open
	}
	return strings.TrimSpace(strings.ToValidUTF8(text, ""))
}
