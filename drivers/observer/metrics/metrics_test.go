package metrics

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/strategies"
)

func event(what strategies.EventType, status strategies.Status, more func(*strategies.Event)) strategies.Event {
	e := strategies.Event{Type: what, Status: status, Release: "v2", Application: "shop", Version: "v2", Stable: "v1", Strategy: "canary"}
	if more != nil {
		more(&e)
	}
	return e
}

func step(what strategies.EventType, seconds float64) strategies.Event {
	return event(what, strategies.Running, func(e *strategies.Event) { e.Step, e.Number, e.Seconds = "shift 25 %", 3, seconds })
}

// TestMetrics: what is told is what is read, the file has it at the end, and one state of many is 1.
func TestMetrics(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "switchback.prom")
	m, err := New(Options{Textfile: file})
	require.NoError(t, err)
	share := 25
	m.ReleaseEvent(event(strategies.ReleaseBegun, strategies.Running, nil))
	m.ReleaseEvent(step(strategies.StepBegun, 0))
	m.ReleaseEvent(step(strategies.StepDone, 1.5))
	m.ReleaseEvent(event(strategies.TrafficMoved, strategies.Running, func(e *strategies.Event) { e.Share = &share }))
	m.ReleaseEvent(event(strategies.GateUndecided, strategies.Running, func(e *strategies.Event) { e.Gate = "errors" }))
	m.ReleaseEvent(event(strategies.ReleaseHeld, strategies.Paused, nil))
	m.GateAsked("errors", strategies.Verdict{Outcome: strategies.NoData, Figures: map[string]float64{"candidate_requests": 7}})
	m.Waiting(migrate.Step{}, 1, 2*time.Second, nil)
	m.Waiting(migrate.Step{}, 2, 500*time.Millisecond, nil)
	backfill := migrate.Step{Change: "20261124093000_full_name", Phase: migrate.Backfill, Direction: migrate.Forward}
	m.Progress(backfill, migrate.Progress{Rows: 400, Total: 1000, Rate: 123.5})
	m.StepFinished(backfill, 3*time.Second)
	require.NoError(t, m.Close())
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, line := range []string{
		`switchback_release_info{application="shop",release="v2",stable="v1",strategy="canary",version="v2"} 1`,
		`switchback_release_status{application="shop",release="v2",status="paused"} 1`,
		`switchback_release_step_state{application="shop",number="3",release="v2",state="done",step="shift 25 %"} 1`,
		`switchback_release_step_seconds{application="shop",direction="forward",number="3",release="v2",step="shift 25 %"} 1.5`,
		`switchback_release_share_ratio{application="shop",release="v2"} 0.25`,
		`switchback_release_gate_judgements_total{application="shop",gate="errors",release="v2",ruling="undecided"} 1`,
		`switchback_gate_asked_total{gate="errors",outcome="no data"} 1`,
		`switchback_gate_figure{figure="candidate_requests",gate="errors"} 7`,
		`switchback_lock_waits_total 2`,
		`switchback_lock_wait_seconds_total 2.5`,
		`switchback_backfill_rows{change="20261124093000_full_name"} 400`,
		`switchback_backfill_expected_rows{change="20261124093000_full_name"} 1000`,
		`switchback_backfill_rows_per_second{change="20261124093000_full_name"} 123.5`,
		`switchback_phase_seconds{change="20261124093000_full_name",direction="forward",phase="backfill"} 3`,
	} {
		require.Contains(t, string(text), line+"\n")
	}
	require.NotContains(t, string(text), `status="running"`)
	require.NotContains(t, string(text), `state="begun"`)
	problems, err := testutil.GatherAndLint(m.registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// TestRefused: what cannot be written is said before anything begins, what cannot be listened on at the end. What tells
// nothing leaves the file as it is.
func TestRefused(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Textfile: "switchback.txt"})
	require.ErrorContains(t, err, "has to end with .prom")
	_, err = New(Options{Textfile: filepath.Join(t.TempDir(), "nowhere", "switchback.prom")})
	require.ErrorContains(t, err, "the folder of the file of metrics")
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	file := filepath.Join(t.TempDir(), "switchback.prom")
	m, err := New(Options{Listen: strings.TrimPrefix(taken.URL, "http://"), Textfile: file})
	require.NoError(t, err)
	require.NoError(t, m.Close())
	require.NoFileExists(t, file)
	m, err = New(Options{Listen: strings.TrimPrefix(taken.URL, "http://"), Textfile: file})
	require.NoError(t, err)
	m.ReleaseEvent(event(strategies.ReleaseBegun, strategies.Running, nil))
	require.ErrorContains(t, m.Close(), "address already in use")
	require.FileExists(t, file)
}
