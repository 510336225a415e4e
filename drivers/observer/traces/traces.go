// Package traces sends what a release did as an OpenTelemetry trace: a span for the release, and one for each step, out or
// back.
//
// Spans are made from events, and so from the journal: they begin and end by the database's clock, and their IDs are those
// of the events that begin them. So all runs of a release, also on other machines, add to one trace. A span is sent once it
// has ended, that of the release when it is stable or rolled back.
package traces

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/switchbackdb/switchback/strategies"
)

// patience is how long Close waits for the receiver.
const patience = 10 * time.Second

// Wanted tells whether the environment says where traces go, as
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/ has it.
func Wanted() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// Traces implements strategies.Observer.
type Traces struct {
	sent     *remembering
	provider *sdk.TracerProvider
	tracer   trace.Tracer

	release strategies.Event   // that began it
	back    *strategies.Event  // that turned it back after it was stable
	stable  bool               // it was, at least for a time
	open    *strategies.Event  // that began the step under way
	inside  []strategies.Event // what has happened in that
	beside  []strategies.Event // and what has happened to the release
}

// New returns what sends traces to where the environment says.
func New(ctx context.Context) (*Traces, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
		Enabled: true, InitialInterval: 250 * time.Millisecond, MaxInterval: 4 * time.Second, MaxElapsedTime: 6 * time.Second,
	}))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", unlocated(err))
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "switchback")), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("traces: OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	t := &Traces{sent: &remembering{SpanExporter: exporter}}
	t.provider = sdk.NewTracerProvider(
		sdk.WithResource(about), sdk.WithIDGenerator(given{}), sdk.WithBatcher(t.sent, sdk.WithBatchTimeout(time.Second)),
	)
	t.tracer = t.provider.Tracer("github.com/switchbackdb/switchback")
	return t, nil
}

// Close sends what is left, and says what did not arrive.
func (t *Traces) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := t.provider.Shutdown(ctx)
	if failed := t.sent.problem(); failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("traces: %w", unlocated(err))
	}
	return nil
}

// ReleaseEvent implements strategies.Observer.
func (t *Traces) ReleaseEvent(e strategies.Event) {
	switch e.Type {
	case strategies.ReleaseBegun:
		*t = Traces{sent: t.sent, provider: t.provider, tracer: t.tracer, release: e}
	case strategies.StepBegun, strategies.StepUndoing:
		if t.open != nil && !e.Earlier { // by a run that was killed
			t.step(e, "it was cut off")
		}
		begun := e
		t.open, t.inside = &begun, nil
	case strategies.StepDone, strategies.StepFailed, strategies.StepUndone, strategies.StepStuck:
		if t.open != nil && !e.Earlier {
			t.step(e, e.Error)
		}
		t.open, t.inside = nil, nil
	case strategies.ReleaseTurnedBack:
		if t.stable {
			turned := e
			t.back, t.beside = &turned, nil
		}
		t.beside = append(t.beside, e)
	case strategies.ReleaseStable, strategies.ReleaseRolledBack:
		if !e.Earlier {
			t.whole(e)
		}
		t.stable = true
	default:
		if e.Step != "" {
			t.inside = append(t.inside, e)
		} else {
			t.beside = append(t.beside, e)
		}
	}
}

// step sends the span of the step under way, which ends with e.
func (t *Traces) step(e strategies.Event, problem string) {
	begun := *t.open
	name := begun.Step
	if begun.Type == strategies.StepUndoing {
		name = "undo " + name
	}
	parent := t.release
	if t.back != nil {
		parent = *t.back
	}
	attributes := append(describe(begun),
		attribute.Int("switchback.step.number", begun.Number), attribute.Int("switchback.step.attempt", begun.Attempt))
	if e.Note != "" && problem == e.Error {
		attributes = append(attributes, attribute.String("switchback.note", e.Note))
	}
	t.span(span{name: name, begun: begun, ended: e, parent: parent.ID, problem: problem, inside: t.inside, attributes: attributes})
}

// whole sends the span of the release, or of its way back from having been stable.
func (t *Traces) whole(e strategies.Event) {
	s := span{name: "release " + e.Release, begun: t.release, ended: e, inside: t.beside, attributes: describe(t.release)}
	if t.back != nil {
		s.name, s.begun, s.parent = "release "+e.Release+" rollback", *t.back, t.release.ID
	}
	s.attributes = append(s.attributes, attribute.String("switchback.status", string(e.Status)))
	if e.Type == strategies.ReleaseRolledBack && t.back == nil {
		s.problem = "it was rolled back"
	}
	t.span(s)
}

// span is one that is to be sent.
type span struct {
	name         string
	begun, ended strategies.Event
	parent       string // ID of the event that began what it is part of; empty for the whole
	problem      string
	inside       []strategies.Event
	attributes   []attribute.KeyValue
}

func (t *Traces) span(s span) {
	ids := identity{trace: traceID(t.release.ID), span: spanID(s.begun.ID)}
	ctx := context.WithValue(context.Background(), identity{}, ids)
	if s.parent != "" {
		ctx = trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
			TraceID: ids.trace, SpanID: spanID(s.parent), TraceFlags: trace.FlagsSampled, Remote: true,
		}))
	}
	_, sp := t.tracer.Start(ctx, s.name, trace.WithTimestamp(at(s.begun)), trace.WithAttributes(s.attributes...))
	for _, e := range s.inside {
		sp.AddEvent(string(e.Type), trace.WithTimestamp(at(e)), trace.WithAttributes(details(e)...))
	}
	if s.problem != "" {
		first, _, _ := strings.Cut(s.problem, "\n")
		sp.SetStatus(codes.Error, first)
	}
	sp.End(trace.WithTimestamp(at(s.ended)))
}

// describe says which release it is about.
func describe(e strategies.Event) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("switchback.application", e.Application), attribute.String("switchback.release", e.Release),
		attribute.String("switchback.version", e.Version), attribute.String("switchback.stable", e.Stable),
		attribute.String("switchback.strategy", e.Strategy), attribute.String("switchback.by", e.By),
	}
}

// details says what is an event's own.
func details(e strategies.Event) (list []attribute.KeyValue) {
	for name, value := range map[string]string{"switchback.gate": e.Gate, "switchback.note": e.Note, "switchback.by": e.By} {
		if value != "" {
			list = append(list, attribute.String(name, value))
		}
	}
	if e.Share != nil {
		list = append(list, attribute.Int("switchback.share", *e.Share))
	}
	return list
}

func at(e strategies.Event) time.Time {
	t, err := time.Parse(time.RFC3339Nano, e.At)
	if err != nil {
		return time.Now()
	}
	return t
}

// identity is what a span is to be known by.
type identity struct {
	trace trace.TraceID
	span  trace.SpanID
}

// given has spans known by the identity in their context. It implements sdk.IDGenerator.
type given struct{}

// NewIDs implements sdk.IDGenerator.
func (given) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	ids, _ := ctx.Value(identity{}).(identity)
	return ids.trace, ids.span
}

// NewSpanID implements sdk.IDGenerator.
func (given) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	ids, _ := ctx.Value(identity{}).(identity)
	return ids.span
}

func traceID(event string) (id trace.TraceID) {
	h := sha256.Sum256([]byte("trace of " + event))
	copy(id[:], h[:])
	return id
}

// spanID is an event's ID, which has the length of a span's.
func spanID(event string) (id trace.SpanID) {
	_, _ = hex.Decode(id[:], []byte(event))
	return id
}

// remembering keeps what could not be sent, instead of having the library print it: the text may hold a URL.
type remembering struct {
	sdk.SpanExporter
	mu     sync.Mutex
	failed int
	err    error
}

// ExportSpans implements sdk.SpanExporter.
func (r *remembering) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := r.SpanExporter.ExportSpans(ctx, spans); err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.failed, r.err = r.failed+len(spans), unlocated(err)
	}
	return nil
}

func (r *remembering) problem() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == 0 {
		return nil
	}
	return fmt.Errorf("%d spans were not delivered: %w", r.failed, r.err)
}

// path is what follows the host in a URL.
var path = regexp.MustCompile(`(https?://)(?:[^@/\s]*@)?([^/?#\s]+)[^\s":]*`)

// unlocated is an error without the path of the URL it is about, which may be a secret.
func unlocated(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return errors.New(path.ReplaceAllString(err.Error(), "$1$2"))
}
