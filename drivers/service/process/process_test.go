package process

import (
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/strategies"
)

// TestMain lets the test binary be the application that is started.
func TestMain(m *testing.M) {
	switch os.Getenv("APPLICATION") {
	case "serve":
		if os.Getenv("STUBBORN") != "" {
			signal.Ignore(syscall.SIGTERM)
		}
		http.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
		_ = http.ListenAndServe(os.Getenv("LISTEN"), nil)
	case "fail":
		os.Exit(3)
	default:
		os.Exit(m.Run())
	}
}

func application(release, mode string) strategies.Version {
	return strategies.Version{
		Release: release, Slot: strategies.Green, Name: "v2", Health: "/healthz", Command: []string{os.Args[0]},
		Env: map[string]string{"APPLICATION": mode, "LISTEN": "{{address}}", "GORACE": "atexit_sleep_ms=0"},
	}
}

func await(t *testing.T, s *Service, id string, want strategies.State) strategies.Instance {
	t.Helper()
	var got strategies.Instance
	require.Eventually(t, func() bool {
		var err error
		got, err = s.Observe(t.Context(), id)
		require.NoError(t, err)
		return got.State == want
	}, 20*time.Second, 10*time.Millisecond, "want %s", want)
	return got
}

func TestLife(t *testing.T) {
	dir := t.TempDir()
	s := New(dir)
	op := strategies.Operation{ID: "start", Fence: 5}
	i, err := s.Start(t.Context(), op, application("r1", "serve"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.end(t.Context(), i.ID, 0) })
	healthy := await(t, s, i.ID, strategies.StateHealthy)

	again, err := New(dir).Start(t.Context(), op, application("r1", "serve"))
	require.NoError(t, err)
	require.Equal(t, healthy.Address, again.Address, "the same operation has one effect")

	_, err = s.Start(t.Context(), strategies.Operation{ID: "late", Fence: 4}, application("r2", "serve"))
	require.ErrorIs(t, err, strategies.ErrStaleFence)
	require.Error(t, s.Remove(t.Context(), op, i.ID), "it runs")

	list, err := New(dir).List(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 1)

	require.NoError(t, s.Stop(t.Context(), op, i.ID, 5*time.Second))
	require.NoError(t, s.Stop(t.Context(), op, i.ID, time.Second))
	require.Equal(t, "stopped on request", await(t, s, i.ID, strategies.StateStopped).Detail)
	require.NoError(t, s.Remove(t.Context(), op, i.ID))
	require.NoError(t, s.Remove(t.Context(), op, i.ID))
	await(t, s, i.ID, strategies.StateAbsent)
}

func TestStubbornIsKilled(t *testing.T) {
	s := New(t.TempDir())
	v := application("r1", "serve")
	v.Env["STUBBORN"] = "1"
	i, err := s.Start(t.Context(), strategies.Operation{ID: "a", Fence: 1}, v)
	require.NoError(t, err)
	await(t, s, i.ID, strategies.StateHealthy)
	require.NoError(t, s.Stop(t.Context(), strategies.Operation{ID: "b", Fence: 1}, i.ID, 50*time.Millisecond))
	await(t, s, i.ID, strategies.StateStopped)
}

func TestEndsByItself(t *testing.T) {
	s := New(t.TempDir())
	i, err := s.Start(t.Context(), strategies.Operation{ID: "a", Fence: 1}, application("r1", "fail"))
	require.NoError(t, err)
	require.Contains(t, await(t, s, i.ID, strategies.StateStopped).Detail, "ended by itself")
}

func TestNames(t *testing.T) {
	s := New(t.TempDir())
	_, err := s.Start(t.Context(), strategies.Operation{}, application("../r1", "serve"))
	require.Error(t, err)
	i, err := s.Observe(t.Context(), "../../etc/passwd")
	require.NoError(t, err)
	require.Equal(t, strategies.StateAbsent, i.State)
}
