package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStoppedRelease stops a release (SIGSTOP) before the effects of its steps for longer than its lock lives, has another
// run bring it back, and continues it: it changes nothing any more, neither in the journal nor in the service, the
// router or the registry.
func TestStoppedRelease(t *testing.T) {
	t.Run("process", func(t *testing.T) {
		t.Parallel()
		newStage(t).outlived(5)
	})
	t.Run("nginx", func(t *testing.T) {
		t.Parallel()
		s, _ := newNGINXStage(t)
		s.first()
		s.outlived(7)
	})
	t.Run("docker", func(t *testing.T) {
		s, _, _ := dockerStage(t)
		s.outlived(7)
	})
}

// shifts is the number of the step that first gives the candidate of the stage's releases a share.
const shifts = 8

// outlived stops releases of v2 at every nth of their steps, that which moves traffic first among them, or at each.
func (s *stage) outlived(every int) {
	s.t.Helper()
	names := marks(s.t, s.dir, "release", "start", "--version", "v2")
	run(s.t, s.dir, "release", "rollback")
	if os.Getenv("SWITCHBACK_KILLS") == "all" {
		every = 1
	}
	step, tried := 0, 0
	for i, name := range names {
		if name != "release: step begun" {
			continue
		}
		if step++; (step-shifts)%every != 0 {
			continue
		}
		tried++
		when := fmt.Sprintf("stopped in step %d", step)
		first := start(s.t, s.dir, []string{fmt.Sprint("STOP=", i+1)}, "release", "start", "--version", "v2", "--lock-ttl", "500ms")
		require.True(s.t, first.stopped(s.t), "%s\n%s", when, first.out.String())
		time.Sleep(600 * time.Millisecond) // the lock's time has to pass
		run(s.t, s.dir, "release", "abort")
		s.is("v1", when)
		before := s.remains()
		require.NoError(s.t, first.Process.Signal(syscall.SIGCONT))
		require.NotZero(s.t, first.end(s.t), "%s: it went on as if nothing had happened\n%s", when, first.out.String())
		require.Equal(s.t, before, s.remains(), "%s: it changed something\n%s", when, first.out.String())
		s.is("v1", when)
	}
	require.NotZero(s.t, tried)
}

// remains is what a release leaves, as text.
func (s *stage) remains() string {
	s.t.Helper()
	routing, err := s.router.Observe(s.t.Context())
	require.NoError(s.t, err)
	instances, err := s.service.List(s.t.Context())
	require.NoError(s.t, err)
	registered, err := os.ReadFile(filepath.Join(s.dir, ".switchback", "discovery.json"))
	require.NoError(s.t, err)
	return fmt.Sprintf("%+v\n%+v\n%s\n%s", routing, instances, registered, run(s.t, s.dir, "history", "--json"))
}
