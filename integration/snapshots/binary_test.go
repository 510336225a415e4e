package snapshots

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

	"github.com/switchbackdb/switchback/integration/binary"
)

// program is the command with the failpoints that let a test kill it at a chosen mark.
var program binary.Binary

// command is a run of the real command.
type command struct {
	*exec.Cmd
	out    binary.Output
	exited chan struct{}
}

// start starts the command with extra environment, such as KILL=3 for the failpoint of that name.
func start(t *testing.T, dir string, failpoint []string, args ...string) *command {
	t.Helper()
	path, err := program.Path()
	require.NoError(t, err)
	c := &command{Cmd: exec.Command(path, args...), exited: make(chan struct{})}
	c.Dir = dir
	c.Env = os.Environ()
	for _, f := range failpoint {
		c.Env = append(c.Env, "SWITCHBACK_FAILPOINT_"+f)
	}
	c.Stdout, c.Stderr = &c.out, &c.out
	// A process it starts inherits no pipe of ours: Wait would wait for that one too.
	c.WaitDelay = 5 * time.Second
	require.NoError(t, c.Start())
	go func() { defer close(c.exited); _ = c.Wait() }()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-c.exited
	})
	return c
}

// end waits for the command and returns its exit code, -1 when it was killed by SIGKILL.
func (c *command) end(t *testing.T) int {
	t.Helper()
	select {
	case <-c.exited:
	case <-time.After(3 * time.Minute):
		_ = c.Process.Kill()
		<-c.exited
		require.Fail(t, "the command hangs", "%s\n%s", c.Args, c.out.String())
	}
	status := c.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		require.Equal(t, syscall.SIGKILL, status.Signal(), c.out.String())
		return -1
	}
	return status.ExitStatus()
}

// run runs the command to its end and wants it to succeed.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	c := start(t, dir, nil, args...)
	code := c.end(t)
	require.Zero(t, code, "%s\n%s", strings.Join(args, " "), c.out.String())
	return c.out.String()
}

// marks returns the names of the failpoints that a command passes when nothing stops it.
func marks(t *testing.T, dir string, args ...string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trace")
	c := start(t, dir, []string{"TRACE=" + file}, args...)
	require.Zero(t, c.end(t), c.out.String())
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// stopped waits until the command has stopped itself at a mark.
func (c *command) stopped(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		select {
		case <-c.exited:
			require.Fail(t, "the command has ended", c.out.String())
		default:
		}
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
		if errors.Is(err, os.ErrNotExist) {
			return false
		}
		require.NoError(t, err)
		_, state, _ := strings.Cut(string(data), ") ")
		return strings.HasPrefix(state, "T")
	}, time.Minute, 5*time.Millisecond)
}
