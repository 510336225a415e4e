package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// die kills an instance as the kernel would, and waits until the service has seen it.
func (s *stage) die(id string) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, ".switchback", "process", id+".pid"))
	require.NoError(s.t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	require.NoError(s.t, err)
	require.NoError(s.t, syscall.Kill(pid, syscall.SIGKILL))
	s.t.Logf("%s died", id)
}

// answered asks until so many requests in a row were answered, all by the version.
func (s *stage) answered(version string, inARow int) {
	s.t.Helper()
	client := &http.Client{Timeout: 10 * time.Second}
	good := 0
	require.Eventually(s.t, func() bool {
		resp, err := client.Get(s.url + "/customers/1")
		if err != nil {
			good = 0
			return false
		}
		_ = resp.Body.Close()
		if good++; resp.StatusCode != http.StatusOK || resp.Header.Get("X-Version") != version {
			good = 0
		}
		return good == inARow
	}, 30*time.Second, 10*time.Millisecond)
}

// TestCandidateDies has the candidate die while a release waits to be promoted: whoever promotes it then gets the stable
// version back, which was never stopped.
func TestCandidateDies(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	run(t, s.dir, "release", "start", "--version", "v2", "--pause")
	s.die("v2-green")
	c := start(t, s.dir, nil, "release", "promote")
	require.Equal(t, 3, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "drain failed: v2-green is stopped")
	s.is("v1", "brought back")
	s.answered("v1", 50)
}

// TestCandidateDiesInTheMidst has it die between two shares: the release turns back at once.
func TestCandidateDiesInTheMidst(t *testing.T) {
	t.Parallel()
	s := newStage(t, "  pause: 1h\n")
	c := start(t, s.dir, nil, "release", "start", "--version", "v2")
	s.sharing()
	s.die("v2-green")
	require.Equal(t, 3, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "v2-green is stopped")
	s.is("v1", "brought back")
	s.answered("v1", 50)
}

// sharing waits until the release watches a candidate that has its first share.
func (s *stage) sharing() {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		return regexp.MustCompile(`shift 100 % +begun`).MatchString(run(s.t, s.dir, "release", "status"))
	}, 30*time.Second, 50*time.Millisecond)
}

// TestForeignRoute has somebody else move the traffic while a release waits to be promoted, and on its way back. What he did
// stays, until he takes it back.
func TestForeignRoute(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	theirs := answering(t, "theirs")
	run(t, s.dir, "release", "start", "--version", "v2", "--pause")
	ours, err := s.router.Observe(t.Context())
	require.NoError(t, err)
	run(t, s.dir, "traffic", "set", "green="+theirs+"=100")
	for _, command := range []string{"promote", "resume"} {
		c := start(t, s.dir, nil, "release", command)
		require.Equal(t, 1, c.End(t), c.Out.String())
		require.Contains(t, c.Out.String(), "traffic goes to "+theirs)
		require.Contains(t, c.Out.String(), "changed by somebody else")
		require.Contains(t, c.Out.String(), "\n  state: ")
		require.Contains(t, c.Out.String(), "next: mend the cause, then: switchback release resume")
		require.Equal(t, "theirs", s.answer())
	}
	run(t, s.dir, "traffic", "set", "blue="+ours.Backends[0].Address+"=100", "green="+theirs+"=0")
	c := start(t, s.dir, nil, "release", "resume")
	require.Equal(t, 3, c.End(t), c.Out.String())
	s.is("v1", "once it was taken back")
}

// TestStableDies has the stable version die in the midst of a canary. The candidate keeps the traffic and a person is
// asked, who has the stable version started again.
func TestStableDies(t *testing.T) {
	t.Parallel()
	s := newStage(t, "  pause: 1h\n")
	c := start(t, s.dir, nil, "release", "start", "--version", "v2")
	s.sharing()
	s.die("v1-green")
	require.Zero(t, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "is held: the stable version is gone: v1-green is stopped")
	require.Contains(t, c.Out.String(), "next: switchback release resume")
	s.answered("v2", 50)
	run(t, s.dir, "release", "abort")
	s.is("v1", "started again")
	s.answered("v1", 50)
}

// TestStableDiesUnseen has it die while nothing watches, and the person go on without it, who is asked once.
func TestStableDiesUnseen(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	names := marks(t, s.dir, "release", "start", "--version", "v2")
	run(t, s.dir, "release", "rollback")
	n, steps := 0, 0
	for ; steps < 8; n++ { // the eighth step gives the candidate its half
		if names[n] == "release: step journalled" {
			steps++
		}
	}
	s.killed(n, names, "release", "start", "--version", "v2")
	s.die("v1-green")
	require.Contains(t, run(t, s.dir, "release", "resume"), "is held: the stable version is gone")
	s.answered("v2", 50)
	require.Contains(t, run(t, s.dir, "release", "resume"), "v2 is the stable version")
	s.is("v2", "without it")
}
