package conformance

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/strategies"
)

// Application builds the application that services are tested with, one static binary, and returns its path.
func Application(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "application")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/switchbackdb/switchback/strategies/conformance/testdata/application")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

// Patience is how long a thing may take on a machine that is busy.
const Patience = 2 * time.Minute

// look is how often it is looked at meanwhile.
const look = 20 * time.Millisecond

// Secret is in the environment of every application that the suite starts.
const Secret = "s3cret-of-the-suite/&+"

// service is a service under test, and a second client of it.
type service struct {
	s, other strategies.Service
	version  strategies.Version // how the driver starts the application
	mute     bool               // nothing answers at an instance's address
}

// version is the application in a release, behaving as mode says.
func (s service) in(release, mode string) strategies.Version {
	v := s.version
	v.Release, v.Slot, v.Name = release, strategies.Green, "v-"+release
	v.Env = map[string]string{"MODE": mode, "LISTEN": "{{address}}", "NAME": "{{version}}", "SECRET": Secret}
	return v
}

func (s service) await(t *testing.T, id string, want strategies.State) (got strategies.Instance) {
	t.Helper()
	require.Eventually(t, func() bool {
		var err error
		got, err = s.other.Observe(t.Context(), id)
		require.NoError(t, err)
		return got.State == want
	}, Patience, look, "want %s", want)
	require.NotContains(t, got.Detail, Secret)
	return got
}

// Service tests a service. Each call of open gives another client of the same service, which has no instance at
// first; version says how the driver starts the application, whose name, mode and release the suite sets.
func Service(t *testing.T, version strategies.Version, open func(*testing.T) strategies.Service) {
	service{open(t), open(t), version, false}.test(t)
}

// MuteService is Service for instances that nothing runs behind, such as pods on nodes that are only played. It does
// not show that they answer, nor that they no longer do.
func MuteService(t *testing.T, version strategies.Version, open func(*testing.T) strategies.Service) {
	t.Log("not shown here: that an instance answers, and that a stopped one does not")
	service{open(t), open(t), version, true}.test(t)
}

func (s service) test(t *testing.T) {
	t.Run("knows nothing at first", s.knowsNothing)
	t.Run("starts once, however often the same is asked", s.startsOnce)
	t.Run("refuses a stale fence", s.refusesStale)
	t.Run("stops, and starts the same again", s.stopsAndStarts)
	t.Run("kills what does not stop in its time", s.killsStubborn)
	t.Run("tells starting from healthy", s.tellsIll)
	t.Run("tells what ended by itself, and no secret", s.tellsEnded)
	t.Run("removes what is stopped, once or again", s.removes)
	t.Run("refuses names that are none", s.refusesNames)
}

func op(id string, fence int64) strategies.Operation {
	return strategies.Operation{ID: id, Fence: fence}
}

func (s service) knowsNothing(t *testing.T) {
	list, err := s.s.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	i, err := s.s.Observe(t.Context(), "r0-green")
	require.NoError(t, err)
	require.Equal(t, strategies.Instance{ID: "r0-green", State: strategies.StateAbsent}, i)
	require.NoError(t, s.s.Stop(t.Context(), op("none", 2), "r0-green", time.Second))
	require.NoError(t, s.s.Remove(t.Context(), op("none", 2), "r0-green"))
	_, err = s.other.Start(t.Context(), op("late", 1), s.in("r0", "serve"))
	require.ErrorIs(t, err, strategies.ErrStaleFence, "a newer run has said that it is not to be there")
}

func (s service) startsOnce(t *testing.T) {
	var all sync.WaitGroup
	for n := range 4 {
		client := []strategies.Service{s.s, s.other}[n%2]
		all.Go(func() {
			if _, err := client.Start(t.Context(), op("start", 5), s.in("r1", "serve")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	i := s.await(t, "r1-green", strategies.StateHealthy)
	require.Equal(t, []string{"r1", "v-r1", "green"}, []string{i.Release, i.Version, string(i.Slot)})
	require.WithinDuration(t, time.Now(), i.Started, time.Minute)
	again, err := s.other.Start(t.Context(), op("start", 5), s.in("r1", "serve"))
	require.NoError(t, err)
	require.Equal(t, i.Address, again.Address)
	require.Equal(t, i.Started, again.Started)
	s.answers(t, i.Address, "v-r1")

	_, err = s.s.Start(t.Context(), op("start", 5), s.in("r0", "serve"))
	require.NoError(t, err)
	s.await(t, "r0-green", strategies.StateHealthy)
	list, err := s.other.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, []string{"r0-green", "r1-green"}, []string{list[0].ID, list[1].ID})
	require.NotEqual(t, list[0].Address, list[1].Address)
}

func ask(t *testing.T, address string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/healthz", nil)
	require.NoError(t, err)
	return http.DefaultClient.Do(req)
}

// answers wants the application at the address to say something, or nothing to be there.
func (s service) answers(t *testing.T, address, want string) {
	t.Helper()
	if s.mute {
		return
	}
	resp, err := ask(t, address)
	if want == "" {
		if err == nil {
			_ = resp.Body.Close()
		}
		require.Error(t, err, "it still answers")
		return
	}
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, want, string(body))
}

func (s service) refusesStale(t *testing.T) {
	_, err := s.other.Start(t.Context(), op("late", 4), s.in("r2", "serve"))
	require.ErrorIs(t, err, strategies.ErrStaleFence)
	require.ErrorIs(t, s.other.Stop(t.Context(), op("late", 4), "r1-green", 0), strategies.ErrStaleFence)
	require.ErrorIs(t, s.other.Remove(t.Context(), op("late", 4), "r1-green"), strategies.ErrStaleFence)
	// Stopping, too, is seen by a run that is late.
	require.NoError(t, s.s.Stop(t.Context(), op("stop", 7), "r0-green", Patience))
	_, err = s.other.Start(t.Context(), op("late", 6), s.in("r0", "serve"))
	require.ErrorIs(t, err, strategies.ErrStaleFence)
	s.await(t, "r0-green", strategies.StateStopped)
	s.await(t, "r1-green", strategies.StateHealthy)
}

func (s service) stopsAndStarts(t *testing.T) {
	before := s.await(t, "r1-green", strategies.StateHealthy)
	require.Error(t, s.s.Remove(t.Context(), op("remove", 7), "r1-green"), "it runs")
	for range 2 { // the second time as after a crash
		require.NoError(t, s.s.Stop(t.Context(), op("stop", 7), "r1-green", Patience))
	}
	s.await(t, "r1-green", strategies.StateStopped)
	s.answers(t, before.Address, "")

	_, err := s.other.Start(t.Context(), op("back", 7), s.in("r1", "serve"))
	require.NoError(t, err)
	s.answers(t, s.await(t, "r1-green", strategies.StateHealthy).Address, "v-r1")
}

func (s service) killsStubborn(t *testing.T) {
	_, err := s.s.Start(t.Context(), op("start", 7), s.in("stubborn", "stubborn"))
	require.NoError(t, err)
	s.await(t, "stubborn-green", strategies.StateHealthy)
	begun := time.Now()
	require.NoError(t, s.s.Stop(t.Context(), op("stop", 7), "stubborn-green", time.Second))
	require.GreaterOrEqual(t, time.Since(begun), time.Second, "it was given no time")
	s.await(t, "stubborn-green", strategies.StateStopped)
}

func (s service) tellsIll(t *testing.T) {
	_, err := s.s.Start(t.Context(), op("start", 7), s.in("ill", "ill"))
	require.NoError(t, err)
	var i strategies.Instance
	require.Eventually(t, func() bool {
		i, err = s.other.Observe(t.Context(), "ill-green")
		require.NoError(t, err)
		require.Contains(t, []strategies.State{strategies.StateStarting, strategies.StateFailing}, i.State)
		require.NotContains(t, i.Detail, Secret)
		return i.Detail != ""
	}, Patience, look)
	require.NoError(t, s.s.Stop(t.Context(), op("stop", 7), "ill-green", time.Second))
}

func (s service) tellsEnded(t *testing.T) {
	_, err := s.s.Start(t.Context(), op("start", 7), s.in("failed", "fail"))
	require.NoError(t, err)
	require.NotEmpty(t, s.await(t, "failed-green", strategies.StateStopped).Detail)
}

func (s service) removes(t *testing.T) {
	require.NoError(t, s.s.Stop(t.Context(), op("stop", 7), "r1-green", Patience))
	list, err := s.s.List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 5)
	for _, i := range list {
		for range 2 {
			require.NoError(t, s.other.Remove(t.Context(), op("remove", 7), i.ID))
		}
		s.await(t, i.ID, strategies.StateAbsent)
	}
	list, err = s.s.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
}

func (s service) refusesNames(t *testing.T) {
	_, err := s.s.Start(t.Context(), op("start", 7), s.in("../r1", "serve"))
	require.Error(t, err)
	i, err := s.s.Observe(t.Context(), "../../etc/passwd")
	require.NoError(t, err)
	require.Equal(t, strategies.StateAbsent, i.State)
}
