// Package backup has backups taken, verified and restored by a tool that the user has set up already: pgBackRest,
// WAL-G, mariadb-backup, a cloud's snapshot API.
//
// A tool is a few commands of switchback.yaml. They run without a shell; {id} stands for the backup's own name,
// which the command that takes one prints as its last line. What they print is shown when they fail.
package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/program"
)

// Tool is a set of commands.
type Tool struct {
	Name    string
	Create  []string // takes a backup, and prints its name as the last line
	Verify  []string // ends with 0 when the backup is whole
	Restore []string // puts it in its place
}

// ErrNoCommand is returned for what the configuration has no command for.
var ErrNoCommand = errors.New("the configuration has no command for it")

// maxID is how long a backup's own name may be, in bytes.
const maxID = 512

// Take takes a backup and returns its own name.
func (t Tool) Take(ctx context.Context) (id string, err error) {
	out, err := t.run(ctx, "create", t.Create, "")
	if err != nil {
		return "", err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	id = strings.TrimSpace(lines[len(lines)-1])
	if id == "" || len(id) > maxID {
		return "", fmt.Errorf("%s create: its last line should be the backup's name, and is %q", t.Name, id[:min(len(id), 80)])
	}
	return id, nil
}

// Check verifies a backup.
func (t Tool) Check(ctx context.Context, id string) error {
	_, err := t.run(ctx, "verify", t.Verify, id)
	return err
}

// Bring restores a backup.
func (t Tool) Bring(ctx context.Context, id string) error {
	_, err := t.run(ctx, "restore", t.Restore, id)
	return err
}

// grace is how long a command may take to end once it is told to.
const grace = 10 * time.Second

func (t Tool) run(ctx context.Context, what string, command []string, id string) (string, error) {
	if len(command) == 0 {
		return "", fmt.Errorf("%s %s: %w", t.Name, what, ErrNoCommand)
	}
	args := make([]string, len(command))
	for i, a := range command {
		args[i] = strings.ReplaceAll(a, "{id}", id)
	}
	out, problems := &program.Tail{Most: kept}, &program.Tail{Most: kept}
	err := program.Program{Command: args, Output: out, Errors: problems, Grace: grace}.Run(ctx)
	if err != nil {
		return "", fmt.Errorf("%s %s (%s): %w: %s", t.Name, what, command[0], err, strings.TrimSpace(problems.String()+"\n"+out.String()))
	}
	return out.String(), nil
}

// kept is how much of what a command prints is kept, in bytes: the end of it.
const kept = 8 << 10
