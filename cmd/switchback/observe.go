package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/observer/events"
	"github.com/switchbackdb/switchback/drivers/observer/metrics"
	"github.com/switchbackdb/switchback/drivers/observer/traces"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/strategies"
)

// observers are all who are told what a run does: to the database by its runner, and to a release by its machine. It
// implements migrate.Observer and strategies.Observer.
type observers struct {
	runs     []migrate.Observer
	releases []strategies.Observer
	gates    []gateObserver
	ends     []io.Closer // metrics and traces
	events   []io.Closer // where the journal is to know whether events have arrived
	last     strategies.Event
}

func newObservers(o *output) *observers {
	return &observers{runs: []migrate.Observer{o}, releases: []strategies.Observer{o}}
}

// StepStarted implements migrate.Observer.
func (o *observers) StepStarted(s migrate.Step) {
	for _, r := range o.runs {
		r.StepStarted(s)
	}
}

// StepFinished implements migrate.Observer.
func (o *observers) StepFinished(s migrate.Step, took time.Duration) {
	for _, r := range o.runs {
		r.StepFinished(s, took)
	}
}

// Waiting implements migrate.Observer.
func (o *observers) Waiting(s migrate.Step, attempt int, pause time.Duration, blockers []migrate.Blocker) {
	for _, r := range o.runs {
		r.Waiting(s, attempt, pause, blockers)
	}
}

// Progress implements migrate.Observer.
func (o *observers) Progress(s migrate.Step, p migrate.Progress) {
	for _, r := range o.runs {
		r.Progress(s, p)
	}
}

// Resumed implements migrate.Observer.
func (o *observers) Resumed(s migrate.Step) {
	for _, r := range o.runs {
		r.Resumed(s)
	}
}

// ReleaseEvent implements strategies.Observer.
func (o *observers) ReleaseEvent(e strategies.Event) {
	if e.Entry > o.last.Entry {
		o.last = e
	}
	for _, r := range o.releases {
		r.ReleaseEvent(e)
	}
}

// gateObserver is told each time that a gate was asked.
type gateObserver interface {
	GateAsked(gate string, v strategies.Verdict)
}

// heardJudge is a judge whose answers others hear, too. It implements strategies.Judge.
type heardJudge struct {
	judge strategies.Judge
	gate  string
	told  *observers
}

// Judge implements strategies.Judge.
func (j *heardJudge) Judge(ctx context.Context, w strategies.Window) (strategies.Verdict, error) {
	v, err := j.judge.Judge(ctx, w)
	heard := v
	if err != nil {
		heard = strategies.Verdict{Outcome: strategies.NoData}
	}
	for _, g := range j.told.gates {
		g.GateAsked(j.gate, heard)
	}
	return v, err
}

// observedFlags are the flags of a command that takes a release on.
func observedFlags(more ...cli.Flag) []cli.Flag {
	return runFlags(append([]cli.Flag{
		&cli.StringFlag{Name: "events", Usage: "add what happens to `FILE`, as lines of JSON; - is standard output", DefaultText: "release.events.file"},
	}, more...)...)
}

// observed opens the target and the parts of a release, and tells who is configured to know of it what f does. Nobody who
// cannot be told stops a release that is under way, or its way back; one that has not begun is refused.
func observed(c *cli.Context, f func(*target, *strategies.Machine) error) error {
	return withMachine(c, func(t *target, m *strategies.Machine) error {
		if err := t.openObservers(c); err != nil {
			if c.Command.Name == "start" {
				return fmt.Errorf("%w\n  state: nothing was changed", errors.Join(err, end(t.told.events), end(t.told.ends)))
			}
			t.warn(err)
		}
		err := f(t, m)
		t.farewell(c.Context)
		return err
	})
}

// warn says what is no reason to stop.
func (p *project) warn(err error) { fmt.Fprintf(p.out.progress, "warning: %v\n", err) }

// openObservers opens what is told of a release.
func (t *target) openObservers(c *cli.Context) error {
	return errors.Join(t.toFile(c), t.toWebhook(t.config.Release.Events.Webhook), t.toMetrics(), t.toTraces(c.Context))
}

// toMetrics has Prometheus find what happens.
func (t *target) toMetrics() error {
	c := t.config.Release.Metrics
	if c == (config.Metrics{}) {
		return nil
	}
	m, err := metrics.New(metrics.Options{Listen: c.Listen, Textfile: c.Textfile})
	if err != nil {
		return t.config.Fault("release.metrics", "is of no use: "+err.Error())
	}
	t.told.releases, t.told.ends = append(t.told.releases, m), append(t.told.ends, m)
	t.told.runs, t.told.gates = append(t.told.runs, m), append(t.told.gates, m)
	return nil
}

// toTraces has traces sent, where the environment says so.
func (t *target) toTraces(ctx context.Context) error {
	if !traces.Wanted() {
		return nil
	}
	tr, err := traces.New(ctx)
	if err == nil {
		t.told.releases, t.told.ends = append(t.told.releases, tr), append(t.told.ends, tr)
	}
	return err
}

// toFile has events written as lines.
func (t *target) toFile(c *cli.Context) error {
	name := t.config.Release.Events.File
	if c.IsSet("events") {
		name = c.String("events")
	}
	switch {
	case name == "":
		return nil
	case name == "-" && t.out.json:
		return errors.New("--json and --events - both want standard output\n  next: leave one of them out, or: --events FILE")
	case name == "-":
		t.told.releases = append(t.told.releases, events.NewLines(notClosed{t.out.w}, "standard output"))
		t.out.w = t.out.progress // what is said to people is no line of JSON
		return nil
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // the user names it, and others read it
	if err != nil {
		return fmt.Errorf("open the file of events: %w", err)
	}
	t.told.deliver(events.NewLines(f, name))
	return nil
}

// notClosed is a stream that others go on writing to.
type notClosed struct{ io.Writer }

// Close implements io.Closer.
func (notClosed) Close() error { return nil }

// toWebhook has events sent.
func (t *target) toWebhook(w *config.Webhook) error {
	if w == nil {
		return nil
	}
	o := events.Options{Format: w.Format, Only: w.Only}
	var err error
	if o.URL, err = config.Substitute(w.URL); err != nil {
		return t.config.Fault("release.events.webhook.url", "cannot be read: "+err.Error())
	}
	if o.Secret, err = config.Substitute(w.Secret); err != nil {
		return t.config.Fault("release.events.webhook.secret", "cannot be read: "+err.Error())
	}
	hook, err := events.NewWebhook(o)
	if err != nil {
		return t.config.Fault("release.events.webhook", "is of no use: "+err.Error())
	}
	t.told.deliver(hook)
	return nil
}

// deliver has events go where the journal is to know whether they have arrived.
func (o *observers) deliver(to interface {
	strategies.Observer
	io.Closer
},
) {
	o.releases, o.events = append(o.releases, to), append(o.events, to)
}

// end closes all of a list, and says what did not arrive.
func end(list []io.Closer) error {
	var problems []error
	for _, c := range list {
		problems = append(problems, c.Close())
	}
	return errors.Join(problems...)
}

// farewell ends all who are told. When all events have arrived the journal knows, else the next run tells them again.
func (t *target) farewell(ctx context.Context) {
	if err := end(t.told.ends); err != nil {
		t.warn(err)
	}
	err := end(t.told.events)
	if last := t.told.last; err == nil && len(t.told.events) > 0 && last.Entry > 0 && !last.Told {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
		defer cancel()
		err = strategies.MarkTold(ctx, t.runner, last.Release, last.Entry)
	}
	if err != nil {
		t.warn(fmt.Errorf("%w\n  next: switchback release events has them all; the next run of this release tells them again", err))
	}
}

// releaseEvents prints what happened as the journal has it.
func releaseEvents(c *cli.Context) error {
	return withTarget(c, false, func(t *target) error {
		all, err := strategies.Releases(c.Context, t.runner)
		if err != nil {
			return err
		}
		if n := len(all); n > 1 && !c.Bool("all") {
			all = all[n-1:]
		}
		lines := events.NewLines(notClosed{t.out.w}, "standard output")
		for _, r := range all {
			for _, e := range r.Events() {
				e.Told = false
				lines.ReleaseEvent(e)
			}
		}
		return lines.Close()
	})
}
