package binary

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a command may take that is waited for: machines are slow.
const patience = 3 * time.Minute

// Command is a run of the command.
type Command struct {
	*exec.Cmd
	Out    Output
	Exited chan struct{} // closed when it has ended
}

// Start starts the command with extra environment, such as KILL=3 for the failpoint of that name. It is killed when the
// test ends.
func (b *Binary) Start(t *testing.T, dir string, failpoint []string, args ...string) *Command {
	t.Helper()
	path, err := b.Path()
	require.NoError(t, err)
	c := &Command{Cmd: exec.Command(path, args...), Exited: make(chan struct{})}
	c.Dir = dir
	c.Env = os.Environ()
	for _, f := range failpoint {
		c.Env = append(c.Env, "SWITCHBACK_FAILPOINT_"+f)
	}
	c.Stdout, c.Stderr = &c.Out, &c.Out
	// A process it starts inherits no pipe of ours: Wait would wait for that one too.
	c.WaitDelay = 5 * time.Second
	require.NoError(t, c.Start())
	go func() { defer close(c.Exited); _ = c.Wait() }()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-c.Exited
	})
	return c
}

// End waits for the command and returns its exit code, -1 when it was killed by SIGKILL.
func (c *Command) End(t *testing.T) int {
	t.Helper()
	select {
	case <-c.Exited:
	case <-time.After(patience):
		_ = c.Process.Kill()
		<-c.Exited
		require.Fail(t, "the command hangs", "%s\n%s", c.Args, c.Out.String())
	}
	status := c.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		require.Equal(t, syscall.SIGKILL, status.Signal(), c.Out.String())
		return -1
	}
	return status.ExitStatus()
}

// Stopped waits until the command has stopped itself, or has ended; it tells which.
func (c *Command) Stopped(t *testing.T) bool {
	t.Helper()
	stopped := false
	require.Eventually(t, func() bool {
		select {
		case <-c.Exited:
			return true
		default:
		}
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
		if errors.Is(err, os.ErrNotExist) {
			return false
		}
		require.NoError(t, err)
		_, state, _ := strings.Cut(string(data), ") ")
		stopped = strings.HasPrefix(state, "T")
		return stopped
	}, patience, 5*time.Millisecond)
	return stopped
}

// Run runs the command to its end, wants it to succeed, and returns what it printed.
func (b *Binary) Run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := b.Start(t, dir, nil, args...)
	code := c.End(t)
	require.Zero(t, code, "%s\n%s", strings.Join(args, " "), c.Out.String())
	return c.Out.String()
}

// Marks returns the names of the failpoints that a command passes when nothing stops it.
func (b *Binary) Marks(t *testing.T, dir string, args ...string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trace")
	c := b.Start(t, dir, []string{"TRACE=" + file}, args...)
	require.Zero(t, c.End(t), c.Out.String())
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}
