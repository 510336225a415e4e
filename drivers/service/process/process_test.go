package process

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

func TestService(t *testing.T) {
	dir := t.TempDir()
	t.Cleanup(func() { // what a failed test has left running
		files, _ := filepath.Glob(filepath.Join(dir, "*.pid"))
		for _, f := range files {
			if pid, ok := New(dir).readPID(filepath.Base(f[:len(f)-len(".pid")])); ok {
				_ = syscall.Kill(-pid, syscall.SIGKILL)
			}
		}
	})
	version := strategies.Version{Health: "/healthz", Command: []string{conformance.Application(t)}}
	conformance.Service(t, version, func(*testing.T) strategies.Service { return New(dir) })
}

func TestSaysWhereTheOutputIs(t *testing.T) {
	s := New(t.TempDir())
	v := strategies.Version{Release: "r1", Slot: strategies.Green, Command: []string{"/bin/sh", "-c", "echo no entry; exit 3"}}
	i, err := s.Start(t.Context(), strategies.Operation{ID: "a", Fence: 1}, v)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		i, err = s.Observe(t.Context(), i.ID)
		require.NoError(t, err)
		return i.State == strategies.StateStopped
	}, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, "ended by itself; its output is in "+s.path(i.ID, "log"), i.Detail)
	output, err := os.ReadFile(s.path(i.ID, "log"))
	require.NoError(t, err)
	require.Equal(t, "no entry\n", string(output))
}
