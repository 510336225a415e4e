// Package program runs programs of the user's: hooks, gates, backup tools, drivers of their own. They run without a
// shell, in a process group of their own, and are ended with all they have started when there is no time left.
package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Program is a program and what it is run with.
type Program struct {
	Command []string          // the program and its arguments
	Dir     string            // where it runs; empty for the current folder
	Env     map[string]string // added to this command's own environment
	Input   []byte            // its standard input
	Output  io.Writer         // of its standard output; nil for nowhere
	Errors  io.Writer         // of its standard error; the same as Output for both in their order
	Grace   time.Duration     // how long it may take to end once it was told to, by SIGTERM
}

// Run runs the program until it ends, or ctx does. The error is that of os/exec, or the cause of ctx's end.
func (p Program) Run(ctx context.Context) error {
	if len(p.Command) == 0 {
		return errors.New("there is no command")
	}
	cmd := exec.CommandContext(ctx, p.Command[0], p.Command[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = p.Dir, bytes.NewReader(p.Input), p.Output, p.Errors
	cmd.Env = os.Environ()
	for name, value := range p.Env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = p.Grace
	err := cmd.Run()
	if ctx.Err() == nil {
		return err
	}
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of its group, if anything
	}
	return context.Cause(ctx)
}

// Killed tells whether the error is that of a program that a signal has ended: what it was about to do may be done or
// not.
func Killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// ExitCode is the exit code that an error tells of, or -1 when it is about something else.
func ExitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// Said is an error with what the program said about it, where it said something.
func Said(err error, says string) error {
	if err == nil || says == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, says)
}
