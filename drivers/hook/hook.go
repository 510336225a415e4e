// Package hook runs the programs that a release calls beside its steps (strategies.Hook).
package hook

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/switchbackdb/switchback/internal/program"
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
	last := &program.LastLine{}
	both := io.MultiWriter(last, r.Output)
	err = program.Program{Command: command, Dir: r.Dir, Env: env, Output: both, Errors: both, Grace: grace}.Run(ctx)
	says = last.String()
	switch {
	case err == nil:
		return says, nil
	case ctx.Err() == nil:
		err = program.Said(err, says)
	}
	return says, fmt.Errorf("hook %s: %w", filepath.Base(command[0]), err)
}
