package integration

import (
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
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/switchbackdb/switchback/internal/freeport"
)

// traceEnd is where traces arrive.
type traceEnd struct {
	*httptest.Server
	mu     sync.Mutex
	traces map[string]bool
	spans  []string
	text   strings.Builder // all that came, to look for secrets in
}

func newTraceEnd(t *testing.T) *traceEnd {
	t.Helper()
	e := &traceEnd{traces: map[string]bool{}}
	e.Server = httptest.NewServer(e)
	t.Cleanup(e.Close)
	return e
}

// ServeHTTP implements http.Handler.
func (e *traceEnd) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var export collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &export) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text.WriteString(export.String())
	for _, resource := range export.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				e.traces[string(s.TraceId)] = true
				e.spans = append(e.spans, s.Name)
			}
		}
	}
}

// taken returns the names of the spans that have arrived since the last call, all of one trace.
func (e *traceEnd) taken(t *testing.T) []string {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	require.Len(t, e.traces, 1)
	spans := e.spans
	e.spans, e.traces = nil, map[string]bool{}
	return spans
}

// TestReleaseMetricsAndTraces reads the metrics of a release while it runs, those it left in a file, and its traces: out,
// back, and killed in its midst. It sets the environment that the commands get, so it is not parallel.
func TestReleaseMetricsAndTraces(t *testing.T) {
	address, err := freeport.Address(t.Context())
	require.NoError(t, err)
	s := newStage(t, fmt.Sprintf("  metrics: {listen: %q, textfile: switchback.prom}\n", address))
	end := newTraceEnd(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", end.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20t0psecret")

	c := start(t, s.dir, nil, "release", "start", "--version", "v2", "--bake", "2s")
	require.Eventually(t, func() bool {
		text := scrape("http://" + address + "/metrics")
		return strings.Contains(text, `release="v2",state="begun",step="bake"} 1`) &&
			strings.Contains(text, `switchback_release_share_ratio{application="shop",release="v2"} 1`) &&
			strings.Contains(text, `switchback_release_status{application="shop",release="v2",status="running"} 1`) &&
			strings.Contains(text, `switchback_phase_seconds{change="20261124093000_full_name",direction="forward",phase="backfill"}`)
	}, 20*time.Second, 10*time.Millisecond, "%s", &c.Out)
	require.Zero(t, c.End(t), c.Out.String())
	text, err := os.ReadFile(filepath.Join(s.dir, "switchback.prom"))
	require.NoError(t, err)
	require.Contains(t, string(text), `switchback_release_status{application="shop",release="v2",status="stable"} 1`)
	require.Equal(t, []string{
		"preflight", "snapshot", "expand", "backfill", "start", "healthy", "register", "shift 50 %", "shift 100 %", "bake",
		"drain", "stop", "contract", "retire", "release v2",
	}, end.taken(t))

	run(t, s.dir, "release", "rollback")
	require.Equal(t, []string{
		"undo contract", "undo stop", "undo drain", "undo shift 100 %", "undo shift 50 %", "undo register", "undo start",
		"undo backfill", "undo expand", "release v2 rollback",
	}, end.taken(t))

	out := marks(t, s.dir, "release", "start", "--version", "v2")
	whole := end.taken(t)
	run(t, s.dir, "release", "rollback")
	end.taken(t)
	s.killed(len(out)/2, out, "release", "start", "--version", "v2")
	run(t, s.dir, "release", "resume")
	resumed := end.taken(t)
	require.Subset(t, whole, resumed[:len(resumed)-1])
	require.Contains(t, resumed, "release v2-3")
	require.NotContains(t, end.text.String(), "t0psecret")
	s.is("v2", "seen")
}

// scrape is what a page says; nothing when it does not answer.
func scrape(url string) string {
	resp, err := http.Get(url) //nolint:noctx // a test's
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}
