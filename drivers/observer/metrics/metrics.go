// Package metrics keeps what a release does as Prometheus metrics: read over HTTP while it runs, or left in a file for
// node_exporter's textfile collector, where it stays.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/strategies"
)

// Options say where metrics are to be found.
type Options struct {
	Listen   string // HOST:PORT of which /metrics is read; empty for none
	Textfile string // a file that ends with .prom; empty for none
}

// Metrics implements strategies.Observer and migrate.Observer.
type Metrics struct {
	registry *prometheus.Registry

	info, status, stepState, stepSeconds, share, gateFigure *prometheus.GaugeVec
	gates, asked                                            *prometheus.CounterVec
	waits, waited                                           prometheus.Counter
	rows, expected, rate, phaseSeconds                      *prometheus.GaugeVec

	listen  string
	begin   sync.Once // with the first event: a command that only asks the run under way for something tells nothing
	server  *http.Server
	served  chan struct{} // closed when the server has ended
	problem error         // why it could not begin
	file    *textfile
}

// New returns what serves, and writes, what is asked for, from the first event on.
func New(o Options) (*Metrics, error) {
	m := &Metrics{registry: prometheus.NewRegistry(), listen: o.Listen}
	release := []string{"application", "release"}
	m.info = m.gauge("release_info", "A release, with what it is about.", append(release, "version", "stable", "strategy")...)
	m.status = m.gauge("release_status", "1 for the status that the release has.", append(release, "status")...)
	step := append(slices.Clone(release), "number", "step")
	m.stepState = m.gauge("release_step_state", "1 for the state that the step has.", append(step, "state")...)
	m.stepSeconds = m.gauge("release_step_seconds", "How long the step took last, out or back.", append(slices.Clone(step), "direction")...)
	m.share = m.gauge("release_share_ratio", "The candidate's share of new requests.", release...)
	m.gates = m.counter("release_gate_judgements_total", "What gates came to at the end of their windows.", append(release, "gate", "ruling")...)
	m.asked = m.counter("gate_asked_total", "How often a gate was asked, by what it said.", "gate", "outcome")
	m.gateFigure = m.gauge("gate_figure", "A figure on which the last answer of a gate rests.", "gate", "figure")
	m.waits = m.single("lock_waits_total", "Statements that did not get their lock in time, and were put off.")
	m.waited = m.single("lock_wait_seconds_total", "How long they were put off.")
	m.rows = m.gauge("backfill_rows", "Rows that a backfill has walked over.", "change")
	m.expected = m.gauge("backfill_expected_rows", "About how many there are.", "change")
	m.rate = m.gauge("backfill_rows_per_second", "How fast it walks.", "change")
	m.phaseSeconds = m.gauge("phase_seconds", "How long a phase of a change took.", "change", "phase", "direction")
	if o.Textfile != "" {
		var err error
		if m.file, err = newTextfile(o.Textfile, m.registry); err != nil {
			return nil, err
		}
	}
	return m, nil
}

const namespace = "switchback"

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v) // fails for a name that is given twice, above
	return v
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) single(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) serve() {
	if m.listen == "" {
		return
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", m.listen)
	if err != nil {
		m.problem = fmt.Errorf("metrics could not be read: %w", err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	m.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}
	m.served = make(chan struct{})
	go func() {
		defer close(m.served)
		_ = m.server.Serve(listener) // until Close
	}()
}

// Close ends the server and writes the file for the last time. It says what could not be read or written.
func (m *Metrics) Close() error {
	if m.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if m.server.Shutdown(ctx) != nil {
			_ = m.server.Close() // a reader that does not end
		}
		<-m.served
	}
	if m.file == nil {
		return m.problem
	}
	return errors.Join(m.problem, m.file.close())
}

// changed has the file written.
func (m *Metrics) changed() {
	if m.file != nil {
		m.file.changed()
	}
}

// ReleaseEvent implements strategies.Observer.
func (m *Metrics) ReleaseEvent(e strategies.Event) {
	m.begin.Do(m.serve)
	defer m.changed()
	if e.Type == strategies.ReleaseBegun {
		m.info.WithLabelValues(e.Application, e.Release, e.Version, e.Stable, e.Strategy).Set(1)
		m.share.WithLabelValues(e.Application, e.Release).Set(0)
	}
	m.only(m.status, prometheus.Labels{"application": e.Application, "release": e.Release}, "status", string(e.Status))
	if e.Share != nil {
		m.share.WithLabelValues(e.Application, e.Release).Set(float64(*e.Share) / 100)
	}
	rulings := map[strategies.EventType]strategies.Ruling{
		strategies.GatePassed: strategies.Passed, strategies.GateFailed: strategies.Refused, strategies.GateUndecided: strategies.Undecided,
	}
	if r, ok := rulings[e.Type]; ok {
		m.gates.WithLabelValues(e.Application, e.Release, e.Gate, string(r)).Inc()
	}
	m.step(e)
}

// step takes an event of a step into account.
func (m *Metrics) step(e strategies.Event) {
	type outcome struct {
		state     strategies.StepState
		direction migrate.Direction
		ended     bool
	}
	outcomes := map[strategies.EventType]outcome{
		strategies.StepBegun:   {strategies.Begun, migrate.Forward, false},
		strategies.StepDone:    {strategies.Done, migrate.Forward, true},
		strategies.StepFailed:  {strategies.Failed, migrate.Forward, true},
		strategies.StepUndoing: {strategies.Undoing, migrate.Back, false},
		strategies.StepUndone:  {strategies.Undone, migrate.Back, true},
		strategies.StepStuck:   {strategies.Stuck, migrate.Back, true},
	}
	o, ok := outcomes[e.Type]
	if !ok {
		return
	}
	number := strconv.Itoa(e.Number)
	labels := prometheus.Labels{"application": e.Application, "release": e.Release, "number": number, "step": e.Step}
	m.only(m.stepState, labels, "state", string(o.state))
	if o.ended {
		m.stepSeconds.WithLabelValues(e.Application, e.Release, number, e.Step, string(o.direction)).Set(e.Seconds)
	}
}

// only sets to 1 what has the labels and the value of one more, and forgets what has another value of that.
func (m *Metrics) only(v *prometheus.GaugeVec, labels prometheus.Labels, one, value string) {
	v.DeletePartialMatch(labels)
	labels[one] = value
	v.With(labels).Set(1)
}

// GateAsked is told each time that a gate was asked.
func (m *Metrics) GateAsked(gate string, v strategies.Verdict) {
	m.asked.WithLabelValues(gate, string(v.Outcome)).Inc()
	for name, figure := range v.Figures {
		m.gateFigure.WithLabelValues(gate, name).Set(figure)
	}
	m.changed()
}

// StepStarted implements migrate.Observer.
func (m *Metrics) StepStarted(migrate.Step) {}

// StepFinished implements migrate.Observer.
func (m *Metrics) StepFinished(s migrate.Step, took time.Duration) {
	m.phaseSeconds.WithLabelValues(s.Change, string(s.Phase), string(s.Direction)).Set(took.Seconds())
	m.changed()
}

// Waiting implements migrate.Observer.
func (m *Metrics) Waiting(_ migrate.Step, _ int, pause time.Duration, _ []migrate.Blocker) {
	m.waits.Inc()
	m.waited.Add(pause.Seconds())
	m.changed()
}

// Progress implements migrate.Observer.
func (m *Metrics) Progress(s migrate.Step, p migrate.Progress) {
	m.rows.WithLabelValues(s.Change).Set(float64(p.Rows))
	m.expected.WithLabelValues(s.Change).Set(float64(p.Total))
	m.rate.WithLabelValues(s.Change).Set(p.Rate)
	m.changed()
}

// Resumed implements migrate.Observer.
func (m *Metrics) Resumed(migrate.Step) {}
