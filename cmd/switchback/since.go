package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// inCommit are the names of what a git commit has in a folder: changes, or another tool's files. There are none without
// a commit. What a branch adds is the rest.
func inCommit(ctx context.Context, ref, dir string) (map[string]bool, error) {
	if ref == "" {
		return nil, nil
	}
	if strings.HasPrefix(ref, "-") {
		return nil, fmt.Errorf("--since %s is no name of a commit", ref)
	}
	cmd := exec.CommandContext(ctx, "git", "ls-tree", "-z", "--name-only", ref, "./")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(ended.Stderr)))
		}
		return nil, fmt.Errorf("--since %s: list what %s has in that commit: %w\n  next: in CI, fetch it first: git fetch origin %s", ref, dir, err, strings.TrimPrefix(ref, "origin/"))
	}
	known := map[string]bool{}
	for _, name := range strings.Split(string(out), "\x00") {
		known[strings.TrimSuffix(filepath.Base(name), "/")] = true
	}
	return known, nil
}
