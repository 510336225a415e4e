package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/binary"
	"github.com/switchbackdb/switchback/integration/servers"
)

// TestStoppedRelease stops a release (SIGSTOP) before the effects of its steps for longer than its lock lives, has another
// run bring it back, and continues it: it changes nothing any more, neither in the journal nor in the service, the
// router or the registry. That of a swarm is in TestReleaseSwarm.
func TestStoppedRelease(t *testing.T) {
	t.Run("process", func(t *testing.T) {
		t.Parallel()
		newStage(t).outlived(before(5))
	})
	t.Run("nginx", func(t *testing.T) {
		t.Parallel()
		s, _ := newNGINXStage(t)
		s.first()
		s.outlived(before(7))
	})
	t.Run("docker", func(t *testing.T) {
		s, _, _ := dockerStage(t)
		s.outlived(before(7), marksOf("docker: "))
	})
	t.Run("kubernetes", func(t *testing.T) {
		s := newClusterStage(t)
		s.allowed(t)
		s.first()
		s.outlived(before(7), marksOf("kubernetes: "))
	})
	t.Run("rolling on kubernetes", func(t *testing.T) {
		s, _ := newRollingStage(t)
		s.first()
		s.outlived(marksOf("kubernetes: "))
	})
}

// TestStoppedRegistry stops it between its looks at a registry and what it does there.
func TestStoppedRegistry(t *testing.T) {
	onRegistries(t, func(s *stage, r registry, _ *servers.Link) { s.outlived(marksOf(r.kind + ": fence read")) })
}

// shifts is the number of the step that first gives the candidate of the stage's releases a share.
const shifts = 8

// before chooses the marks before every nth step of a release, that which moves traffic first among them, or before each.
func before(every int) func(names []string) []int {
	if os.Getenv("SWITCHBACK_KILLS") == "all" {
		every = 1
	}
	return func(names []string) (list []int) {
		step := 0
		for i, name := range names {
			if name != "release: step begun" {
				continue
			}
			if step++; (step-shifts)%every == 0 {
				list = append(list, i+1)
			}
		}
		return list
	}
}

// outlived stops releases of v2 at those of their marks that the functions choose.
func (s *stage) outlived(choose ...func(names []string) []int) {
	s.t.Helper()
	names := marks(s.t, s.dir, "release", "start", "--version", "v2")
	run(s.t, s.dir, "release", "rollback")
	for _, chosen := range choose {
		list := chosen(names)
		require.NotEmpty(s.t, list, "of %v", names)
		for _, n := range list {
			when := fmt.Sprintf("stopped at %d, %s", n, names[n-1])
			first := s.stoppedAt(n, when)
			time.Sleep(600 * time.Millisecond) // the lock's time has to pass
			run(s.t, s.dir, "release", "abort")
			s.is("v1", when)
			before := s.remains()
			require.NoError(s.t, first.Process.Signal(syscall.SIGCONT))
			require.NotZero(s.t, first.End(s.t), "%s: it went on as if nothing had happened\n%s", when, first.Out.String())
			require.Equal(s.t, before, s.remains(), "%s: it changed something\n%s", when, first.Out.String())
			s.is("v1", when)
		}
	}
}

// stoppedAt starts a release that stops itself at a mark. One that another goroutine of it had be writing to the database then,
// to renew its lock, is no case of this: whoever is stopped with SQLite's own lock keeps everybody out. It is started again.
func (s *stage) stoppedAt(n int, when string) *binary.Command {
	s.t.Helper()
	for range 5 {
		first := start(s.t, s.dir, []string{fmt.Sprint("STOP=", n)}, "release", "start", "--version", "v2", "--lock-ttl", "500ms")
		require.True(s.t, first.Stopped(s.t), "%s\n%s", when, first.Out.String())
		if s.writable() {
			return first
		}
		require.NoError(s.t, first.Process.Kill())
		<-first.Exited
		run(s.t, s.dir, "release", "abort")
	}
	require.Fail(s.t, "it is always stopped in the midst of a write", when)
	return nil
}

// writable tells whether nobody holds the database's lock.
func (s *stage) writable() bool {
	s.t.Helper()
	db := servers.Open(s.t, "sqlite:"+filepath.Join(s.dir, "shop.db"))
	defer db.Close()
	conn, err := db.Conn(s.t.Context())
	require.NoError(s.t, err)
	defer conn.Close()
	_, err = conn.ExecContext(s.t.Context(), "PRAGMA busy_timeout = 1000; BEGIN IMMEDIATE; ROLLBACK")
	return err == nil
}

// remains is what a release leaves, as text.
func (s *stage) remains() string {
	s.t.Helper()
	history := run(s.t, s.dir, "history", "--json")
	if s.roller != nil {
		now, err := s.roller.Rollout(s.t.Context())
		require.NoError(s.t, err)
		return fmt.Sprintf("%+v\n%s", now, history)
	}
	routing, err := s.router.Observe(s.t.Context())
	require.NoError(s.t, err)
	instances, err := s.service.List(s.t.Context())
	require.NoError(s.t, err)
	registered, err := s.registry.List(s.t.Context())
	require.NoError(s.t, err)
	return fmt.Sprintf("%+v\n%+v\n%+v\n%s", routing, instances, registered, history)
}
