package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/internal/signed"
	"github.com/switchbackdb/switchback/strategies"
)

// hookEnd is where a webhook's events arrive. It refuses what is not signed.
type hookEnd struct {
	*httptest.Server
	fails  atomic.Bool
	mu     sync.Mutex
	events []strategies.Event
	wrong  []string
}

const hookSecret = "0pen-sesame"

func newHookEnd(t *testing.T) *hookEnd {
	t.Helper()
	h := &hookEnd{}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

// ServeHTTP implements http.Handler.
func (h *hookEnd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.fails.Load() {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	body, err := io.ReadAll(r.Body)
	var e strategies.Event
	if err == nil {
		err = json.Unmarshal(body, &e)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil || signed.Check(r.Header, hookSecret, body) != nil || e.ID != r.Header.Get("Webhook-Id") {
		h.wrong = append(h.wrong, string(body))
		w.WriteHeader(http.StatusForbidden)
		return
	}
	h.events = append(h.events, e)
}

// ids are those that have arrived, each once.
func (h *hookEnd) ids() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := map[string]bool{}
	for _, e := range h.events {
		ids[e.ID] = true
	}
	return ids
}

// observedStage is one whose events go to a file and to a webhook.
func observedStage(t *testing.T) (*stage, *hookEnd) {
	t.Helper()
	h := newHookEnd(t)
	return newStage(t, fmt.Sprintf("  events:\n    file: events.jsonl\n    webhook: {url: \"%s/t0ken\", secret: %s}\n", h.URL, hookSecret)), h
}

// eventsOf reads lines of events.
func eventsOf(t *testing.T, text string) (list []strategies.Event) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		var e strategies.Event
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e), lines.Text())
		list = append(list, e)
	}
	return list
}

// told wants every event that the journal has of all releases to have arrived, and nothing else, both in the file and at
// the webhook.
func (s *stage) told(h *hookEnd, when string) {
	s.t.Helper()
	want := map[string]bool{}
	for _, e := range eventsOf(s.t, run(s.t, s.dir, "release", "events", "--all")) {
		want[e.ID] = true
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "events.jsonl"))
	require.NoError(s.t, err)
	file := map[string]bool{}
	for _, e := range eventsOf(s.t, string(text)) {
		file[e.ID] = true
	}
	require.Equal(s.t, want, file, "the file, %s", when)
	require.Equal(s.t, want, h.ids(), "the webhook, %s", when)
	require.Empty(s.t, h.wrong, when)
}

// TestEventsOutliveCrash kills a release at some of its marks, on its way out and on its way back, and has it ended. No
// event is lost then, and those that came twice have the IDs they had.
func TestEventsOutliveCrash(t *testing.T) {
	t.Parallel()
	s, h := observedStage(t)
	s.told(h, "after the first release")
	out := marks(t, s.dir, "release", "start", "--version", "v2")
	s.told(h, "undisturbed")
	back := marks(t, s.dir, "release", "rollback")
	s.told(h, "undisturbed, back")

	planned, turned := slices.Index(out, "release: planned")+1, slices.Index(back, "release: turned")+1
	for _, n := range [][2]int{{planned, turned}, {len(out) / 2, len(back) / 2}, {len(out), len(back)}} {
		when := s.killed(n[0], out, "release", "start", "--version", "v2")
		if _, status := s.newest(); status != string(strategies.Stabilised) {
			run(t, s.dir, "release", "resume")
			s.told(h, when)
		}
		when = s.killed(n[1], back, "release", "rollback")
		if _, status := s.newest(); status != string(strategies.RolledBack) {
			require.Equal(t, 3, start(t, s.dir, nil, "release", "resume").End(t), when)
			s.told(h, when)
		}
	}
	run(t, s.dir, "release", "start", "--version", "v2") // tells what the killed end of the last way back has not
	s.told(h, "at last")
	types := map[strategies.EventType]bool{}
	for _, e := range h.events {
		types[e.Type] = true
	}
	for _, what := range []strategies.EventType{
		strategies.ReleaseBegun, strategies.StepBegun, strategies.StepDone, strategies.TrafficMoved, strategies.ReleaseStable,
		strategies.ReleaseTurnedBack, strategies.StepUndoing, strategies.StepUndone, strategies.ReleaseRolledBack,
	} {
		require.True(t, types[what], what)
	}
}

// TestEventsUndelivered: a receiver that fails is said at the end, stops nothing, and gets all of it later.
func TestEventsUndelivered(t *testing.T) {
	t.Parallel()
	s, h := observedStage(t)
	h.fails.Store(true)
	out := run(t, s.dir, "release", "start", "--version", "v2")
	require.Contains(t, out, "v2 is the stable version")
	require.Regexp(t, `warning: (\d+) of (\d+) events were not delivered to 127\.0\.0\.1:\d+: it answered 500`, out)
	require.Contains(t, out, "next: switchback release events")
	require.NotContains(t, out, "t0ken")
	require.NotContains(t, out, hookSecret)
	s.is("v2", "told or not")

	h.fails.Store(false)
	require.NotContains(t, run(t, s.dir, "release", "rollback"), "warning")
	s.told(h, "later")
}
