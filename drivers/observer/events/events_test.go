package events

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/internal/signed"
	"github.com/switchbackdb/switchback/strategies"
)

// receiver is a webhook's other end.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	heads  []http.Header
}

// receive starts a receiver; answer says what a request is answered with, by its number from 1.
func receive(t *testing.T, answer func(n int, r *http.Request) int) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.bodies, r.heads = append(r.bodies, string(body)), append(r.heads, req.Header)
		n := len(r.bodies)
		r.mu.Unlock()
		w.WriteHeader(answer(n, req))
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ids(t *testing.T) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, b := range r.bodies {
		var e strategies.Event
		require.NoError(t, json.Unmarshal([]byte(b), &e))
		ids = append(ids, e.ID)
	}
	return ids
}

func event(n int, what strategies.EventType) strategies.Event {
	return strategies.Event{ID: fmt.Sprint("id", n), Type: what, Entry: int64(n), Release: "v2", Application: "shop", Version: "v2"}
}

func always(code int) func(int, *http.Request) int {
	return func(int, *http.Request) int { return code }
}

// TestWebhookInOrder: events arrive in their order, signed; one that was not taken is sent again before the next.
func TestWebhookInOrder(t *testing.T) {
	t.Parallel()
	r := receive(t, func(n int, _ *http.Request) int {
		if n == 1 {
			return http.StatusBadGateway
		}
		return http.StatusOK
	})
	w, err := NewWebhook(Options{URL: r.URL, Secret: "sesame", Format: JSON})
	require.NoError(t, err)
	for n := range 3 {
		w.ReleaseEvent(event(n, strategies.StepDone))
	}
	told := event(9, strategies.StepDone)
	told.Told = true
	w.ReleaseEvent(told)
	require.NoError(t, w.Close())
	require.Equal(t, []string{"id0", "id0", "id1", "id2"}, r.ids(t))
	for i, h := range r.heads {
		require.NoError(t, signed.Check(h, "sesame", []byte(r.bodies[i])))
	}
}

// TestWebhookTrouble: nobody waits for a receiver that fails, and what it did not take is said, without what is secret.
func TestWebhookTrouble(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	t.Cleanup(func() { close(ended) })
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, c := range map[string]struct {
		url  func(t *testing.T) string
		says string
	}{
		"refuses": {func(t *testing.T) string { return receive(t, always(403)).URL }, "it answered 403 Forbidden"},
		"fails":   {func(t *testing.T) string { return receive(t, always(500)).URL }, "it answered 500 Internal Server Error"},
		"hangs": {func(t *testing.T) string {
			return receive(t, func(_ int, r *http.Request) int {
				select {
				case <-ended:
				case <-r.Context().Done():
				}
				return 200
			}).URL
		}, "it took too long"},
		"down": {func(*testing.T) string { return gone.URL }, "connection refused"},
		"elsewhere": {func(t *testing.T) string {
			there := receive(t, always(http.StatusNoContent))
			return httptest.NewServer(http.RedirectHandler(there.URL, http.StatusFound)).URL
		}, "it answered 302 Found"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secret := strings.Replace(c.url(t), "://", "://user:pa55@", 1) + "/t0ken?key=t0ken"
			w, err := NewWebhook(Options{URL: secret, Format: JSON, Patience: 300 * time.Millisecond})
			require.NoError(t, err)
			begun := time.Now()
			for n := range queued + 50 { // more than may wait
				w.ReleaseEvent(event(n, strategies.StepDone))
			}
			require.Less(t, time.Since(begun), time.Second, "nobody waits")
			err = w.Close()
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, fmt.Sprintf("%d of %d events were not delivered to 127.0.0.1", queued+50, queued+50))
			require.NotContains(t, err.Error(), "pa55")
			require.NotContains(t, err.Error(), "t0ken")
		})
	}
}

// TestSlack: a sentence, its marks escaped, and only of what people want to read.
func TestSlack(t *testing.T) {
	t.Parallel()
	r := receive(t, always(http.StatusNoContent))
	w, err := NewWebhook(Options{URL: r.URL, Format: Slack})
	require.NoError(t, err)
	w.ReleaseEvent(event(1, strategies.StepDone))
	failed := event(2, strategies.GateFailed)
	failed.Gate, failed.Note = "errors", "5 > 1 & <!channel>\nmore"
	w.ReleaseEvent(failed)
	require.NoError(t, w.Close())
	require.Equal(t, []string{`{"text":"release v2 of shop: gate errors failed: 5 &gt; 1 &amp; &lt;!channel&gt;"}`}, unescaped(r.bodies))
}

// unescaped has the characters that JSON writers escape for the sake of HTML.
func unescaped(bodies []string) (list []string) {
	for _, b := range bodies {
		list = append(list, strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(b))
	}
	return list
}

// TestText says every type in words of its own.
func TestText(t *testing.T) {
	t.Parallel()
	share := 25
	seen := map[string]strategies.EventType{}
	for _, what := range []strategies.EventType{
		strategies.ReleaseBegun, strategies.ReleasePaused, strategies.ReleaseHeld, strategies.ReleaseResumed, strategies.ReleaseWaiting,
		strategies.ReleasePromoted, strategies.ReleaseAborted, strategies.ReleaseTurnedBack, strategies.ReleaseStable,
		strategies.ReleaseRolledBack, strategies.StepBegun, strategies.StepProgressed, strategies.StepDone, strategies.StepFailed,
		strategies.StepUndoing, strategies.StepUndone, strategies.StepStuck, strategies.GatePassed, strategies.GateFailed,
		strategies.GateUndecided, strategies.TrafficMoved,
	} {
		e := event(1, what)
		e.Share, e.Step, e.Number, e.Of = &share, "bake", 3, 4
		text := Text(e)
		require.Contains(t, text, "release v2 of shop")
		require.Empty(t, seen[text], "%s says what %s says: %s", what, seen[text], text)
		seen[text] = what
	}
}

// TestLines: a line for each event, added to what is there.
func TestLines(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "events.jsonl")
	for n := range 2 {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		l := NewLines(f, file)
		l.ReleaseEvent(event(n, strategies.StepDone))
		require.NoError(t, l.Close())
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Regexp(t, `^\{"id":"id0",.*\}\n\{"id":"id1",.*\}\n$`, string(text))

	f, err := os.Open(file) // which cannot be written
	require.NoError(t, err)
	l := NewLines(f, "events.jsonl")
	l.ReleaseEvent(event(1, strategies.StepDone))
	require.ErrorContains(t, l.Close(), "1 events could not be written to events.jsonl")
}
