package traces

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/switchbackdb/switchback/strategies"
)

// receive starts a receiver of traces, to which the environment leads. spans are those that have arrived, in their order.
func receive(t *testing.T) (spans func() []*pb.Span) {
	t.Helper()
	var mu sync.Mutex
	var list []*pb.Span
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var export collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &export) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range export.ResourceSpans {
			for _, scope := range resource.ScopeSpans {
				list = append(list, scope.Spans...)
			}
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", s.URL)
	return func() []*pb.Span {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}
}

// event is the nth second's.
func event(n int, what strategies.EventType, step string) strategies.Event {
	return strategies.Event{
		ID: fmt.Sprintf("%016x", n+1), Type: what, At: time.Date(2026, 11, 24, 9, 0, n, 0, time.UTC).Format(time.RFC3339Nano),
		Release: "v2", Application: "shop", Step: step, Number: len(step),
	}
}

// told sends events; those before the nth are earlier ones.
func told(t *testing.T, n int, events ...strategies.Event) {
	t.Helper()
	traces, err := New(t.Context())
	require.NoError(t, err)
	for i, e := range events {
		e.Earlier = i < n
		traces.ReleaseEvent(e)
	}
	require.NoError(t, traces.Close())
}

// TestOneTrace: the runs of a release add to one trace. What a killed run had begun ends where the next begins it again;
// what an earlier run has sent is not sent again.
func TestOneTrace(t *testing.T) {
	spans := receive(t)
	require.True(t, Wanted())
	failed := event(5, strategies.StepFailed, "bake")
	failed.Error = "it broke\n  next: mend it"
	events := []strategies.Event{
		event(0, strategies.ReleaseBegun, ""),
		event(1, strategies.StepBegun, "start"), // and killed
		event(2, strategies.StepBegun, "start"),
		event(3, strategies.StepDone, "start"),
		event(4, strategies.StepBegun, "bake"),
		event(4, strategies.GatePassed, "bake"),
		failed,
		event(6, strategies.ReleaseTurnedBack, ""),
		event(7, strategies.StepUndoing, "start"),
		event(8, strategies.StepUndone, "start"),
		event(8, strategies.ReleaseRolledBack, ""),
	}
	told(t, 0, events[:2]...)
	require.Empty(t, spans(), "nothing has ended")
	told(t, 2, events[:4]...)
	told(t, 4, events...)
	var got []string
	for _, s := range spans() {
		got = append(got, fmt.Sprintf("%s %d s %s", s.Name, (s.EndTimeUnixNano-s.StartTimeUnixNano)/1e9, s.Status.GetMessage()))
		require.Equal(t, spans()[0].TraceId, s.TraceId)
		if s.Name != "release v2" {
			require.Equal(t, "\x00\x00\x00\x00\x00\x00\x00\x01", string(s.ParentSpanId), "the release's")
		}
	}
	require.Equal(t, []string{
		"start 1 s it was cut off", "start 1 s ", "bake 1 s it broke", "undo start 1 s ", "release v2 8 s it was rolled back",
	}, got)
	require.Equal(t, "gate.passed", spans()[2].Events[0].Name)
}

// TestLater: a way back from having been stable is a span within that of the release.
func TestLater(t *testing.T) {
	spans := receive(t)
	told(t, 2,
		event(0, strategies.ReleaseBegun, ""), event(1, strategies.ReleaseStable, ""),
		event(2, strategies.ReleaseTurnedBack, ""), event(3, strategies.StepUndoing, "start"), event(4, strategies.StepUndone, "start"),
		event(4, strategies.ReleaseRolledBack, ""),
	)
	require.Len(t, spans(), 2)
	require.Equal(t, "undo start", spans()[0].Name)
	require.Equal(t, "release v2 rollback", spans()[1].Name)
	require.Equal(t, spans()[1].SpanId, spans()[0].ParentSpanId)
	require.Equal(t, "\x00\x00\x00\x00\x00\x00\x00\x01", string(spans()[1].ParentSpanId))
}

// TestUndelivered says what did not arrive, and nothing of where it was to go.
func TestUndelivered(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer s.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", s.URL+"/t0ken")
	traces, err := New(t.Context())
	require.NoError(t, err)
	traces.ReleaseEvent(event(0, strategies.ReleaseBegun, ""))
	traces.ReleaseEvent(event(1, strategies.ReleaseStable, ""))
	err = traces.Close()
	require.ErrorContains(t, err, "1 spans were not delivered")
	require.ErrorContains(t, err, "403 Forbidden")
	require.NotContains(t, err.Error(), "t0ken")
}
