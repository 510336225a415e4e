package strategies

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Gate is one thing that has to hold before the candidate gets more of the traffic, or is promoted. It is plain
// data of the plan; what judges it is made by Machine.Judge.
type Gate struct {
	Name string `json:"name"` // what people call it
	Kind string `json:"kind"` // who judges: router, http, sql, exec, prometheus
	// Spec is what the kind wants to know, as configured: variables are not yet put in.
	Spec map[string]string `json:"spec,omitempty"`
	// Command is the argv of the kind exec.
	Command []string `json:"command,omitempty"`
	// Every is how often it is judged.
	Every time.Duration `json:"every"`
	// Within is how long, once the time of the step is over, an answer is waited for while there is no data.
	Within time.Duration `json:"within"`
	// Otherwise is what happens when there is still none.
	Otherwise Fallback `json:"otherwise"`
}

// Fallback is what a gate without data comes to.
type Fallback string

// The fallbacks of a gate.
const (
	Hold Fallback = "hold" // the release is paused, and a person decides
	Fail Fallback = "fail" // the release is turned back
	Pass Fallback = "pass"
)

// Outcome is what a judge says.
type Outcome string

// The outcomes of a judgement.
const (
	Good   Outcome = "good"
	Bad    Outcome = "bad"
	NoData Outcome = "no data" // not enough to say either
)

// Verdict is a judgement, with the figures it rests on.
type Verdict struct {
	Outcome Outcome
	Says    string // "3 of 420 requests failed, 1 of 3,780 on the stable version"
	Figures map[string]float64
}

// Ruling is what a gate comes to at the end of its window.
type Ruling string

// The rulings.
const (
	Passed    Ruling = "passed"
	Refused   Ruling = "failed"
	Undecided Ruling = "undecided" // a person decides
)

// Judgement is what a gate came to in a step.
type Judgement struct {
	Gate   string `json:"gate"`
	Ruling Ruling `json:"ruling"`
	Says   string `json:"says"`
}

// Window is what is judged: both versions, from a moment on.
type Window struct {
	Began time.Time
	Green Backend
	Blue  *Backend // nil when there is none
}

// Judge judges one gate. A judge is used for one window, from one goroutine.
type Judge interface {
	// Judge says how the window looks by now. An error is one of judging, such as a server that does not answer;
	// it counts as no data.
	Judge(ctx context.Context, w Window) (Verdict, error)
}

// Measure is what a router counted for one address since the router started.
type Measure struct {
	Address  string
	Requests uint64
	Failed   uint64 // 5xx answers, and connections that were lost before an answer
	// Latency counts answers by how long they took: the largest latency of a bucket, and how many fell into it.
	Latency map[time.Duration]uint64
}

// Measurer is a Router that counts requests.
type Measurer interface {
	Measure(ctx context.Context) ([]Measure, error)
}

// errHeld ends a step that cannot be judged: the release is paused.
var errHeld = errors.New("held")

// judged is a gate under way in a window.
type judged struct {
	Gate
	judge Judge
	next  time.Time
	last  Verdict
}

// judges makes the judges of a release's gates.
func (m *Machine) judges(r *Release) ([]*judged, error) {
	var list []*judged
	for _, g := range r.Plan.Gates {
		if m.Judge == nil {
			return nil, fmt.Errorf("gate %s: this release was planned with gates, and nothing here judges them", g.Name)
		}
		judge, err := m.Judge(g)
		if err != nil {
			return nil, fmt.Errorf("gate %s: %w", g.Name, err)
		}
		list = append(list, &judged{Gate: g, judge: judge, last: Verdict{Outcome: NoData, Says: "not asked yet"}})
	}
	return list, nil
}

// watch sees for a while that green stays healthy, that blue lives while it has a share of the traffic, and that the gates
// hold. One failed probe is forgiven, a second in a row not. A gate that is bad ends it at once; one without data at
// the end is waited for, and then comes to its fallback.
func (m *Machine) watch(ctx context.Context, s *migrate.Session, r *Release, i int, d time.Duration) (note string, err error) {
	gates, err := m.judges(r)
	if err != nil {
		return "", err
	}
	w, err := m.window(ctx, r)
	if err != nil {
		return "", err
	}
	most := d
	for _, g := range gates {
		most = max(most, d+g.Within)
	}
	look, err := m.health(ctx, r)
	if err != nil {
		return "", err
	}
	_, err = m.wait(ctx, s, r, most, func() (bool, error) {
		if err := look(ctx); err != nil {
			return false, err
		}
		if r.Plan.Steps[i].Kind == Shift {
			if err := m.askAlone(ctx, s, r); err != nil {
				return false, err
			}
		}
		over := time.Since(w.Began) - d
		bad, open := askAll(ctx, gates, w, over)
		if bad != nil {
			return false, errors.Join(m.rule(ctx, s, r, i, bad, Refused, bad.last.Says), fmt.Errorf("gate %s: %s", bad.Name, bad.last.Says))
		}
		return over >= 0 && !open, ctx.Err()
	})
	if err != nil {
		return "", err
	}
	return m.close(ctx, s, r, i, gates)
}

// rule journals what a gate came to in a step.
func (m *Machine) rule(ctx context.Context, s *migrate.Session, r *Release, i int, g *judged, ruling Ruling, says string) error {
	j := Judgement{Gate: g.Name, Ruling: ruling, Says: says}
	return m.note(ctx, s, r, fmt.Sprintf("gate %s %s: %s", j.Gate, j.Ruling, j.Says), detail{Release: r.Plan.Release, Step: i + 1, Gate: &j})
}

// window is the two versions as they are now.
func (m *Machine) window(ctx context.Context, r *Release) (Window, error) {
	w := Window{Began: time.Now()}
	if len(r.Plan.Gates) == 0 {
		return w, nil
	}
	if r.Plan.Strategy == Rolling {
		now, err := m.Roller.Rollout(ctx)
		w.Green = Backend{Slot: Green, Release: r.Plan.Release, Version: r.Plan.Candidate.Name, Address: now.Address, Weight: totalWeight}
		return w, err
	}
	backends, err := m.backends(ctx, r, 100)
	for _, b := range backends {
		if b.Slot == Green {
			w.Green = b
		} else {
			w.Blue = &b
		}
	}
	return w, err
}

// askAll judges the gates whose turn it is, until one is bad. over is for how long the window's own time has been over;
// open tells that a gate has no data yet and is still waited for.
func askAll(ctx context.Context, gates []*judged, w Window, over time.Duration) (bad *judged, open bool) {
	for _, g := range gates {
		if !time.Now().Before(g.next) {
			g.next = time.Now().Add(g.Every)
			g.last = g.ask(ctx, w)
		}
		if g.last.Outcome == Bad {
			return g, false
		}
		open = open || g.last.Outcome == NoData && over < g.Within
	}
	return nil, open
}

// judgeTimeout is how long a judge may take for one answer.
const judgeTimeout = 30 * time.Second

func (g *judged) ask(ctx context.Context, w Window) Verdict {
	ctx, cancel := context.WithTimeout(ctx, judgeTimeout)
	defer cancel()
	v, err := g.judge.Judge(ctx, w)
	if err != nil {
		return Verdict{Outcome: NoData, Says: err.Error()}
	}
	return v
}

// close says what the gates come to at the end of their window.
func (m *Machine) close(ctx context.Context, s *migrate.Session, r *Release, i int, gates []*judged) (note string, err error) {
	for _, g := range gates {
		ruling, says := g.ruling()
		if err := m.rule(ctx, s, r, i, g, ruling, says); err != nil {
			return "", err
		}
		reason := fmt.Sprintf("gate %s has %s", g.Name, says)
		switch {
		case ruling == Refused:
			return "", errors.New(reason)
		case ruling == Undecided:
			err := m.note(ctx, s, r, "held: "+reason, detail{Release: r.Plan.Release, Request: pause, Note: reason})
			return "", errors.Join(err, fmt.Errorf("%w: %s", errHeld, reason))
		case g.last.Outcome == Good:
			note += "; " + g.Name + ": " + says
		default:
			note += "; " + reason
		}
	}
	if len(note) > 0 {
		note = note[len("; "):]
	}
	return note, nil
}

// ruling is what a gate that was never bad comes to.
func (g *judged) ruling() (r Ruling, says string) {
	if g.last.Outcome == Good {
		return Passed, g.last.Says
	}
	says = "no data: " + g.last.Says
	switch g.Otherwise {
	case Pass:
		return Passed, says + ", passed as configured"
	case Fail:
		return Refused, says
	}
	return Undecided, says
}

// health returns what looks once whether the candidate is still healthy.
func (m *Machine) health(ctx context.Context, r *Release) (look func(context.Context) error, err error) {
	if r.Plan.Strategy == Rolling {
		now, err := m.Roller.Rollout(ctx)
		return (&manned{m: m, release: r.Plan.Release, want: now.Wanted}).look, err
	}
	return (&probed{m: m, id: r.Plan.Green()}).look, nil
}

// probed watches the health of an instance.
type probed struct {
	m      *Machine
	id     string
	failed int
}

// look probes once. It fails at the second failed probe in a row, and at once when the instance has ended.
func (p *probed) look(ctx context.Context) error {
	i, err := p.m.Service.Observe(ctx, p.id)
	if err != nil {
		return err
	}
	if i.State == StateHealthy {
		p.failed = 0
		return nil
	}
	if p.failed++; p.failed > 1 || i.State == StateStopped || i.State == StateAbsent {
		return fmt.Errorf("%s is %s: %s", i.ID, i.State, i.Detail)
	}
	return nil
}

// CheckGates tells whether gates can be judged at all: known words, names that tell them apart.
func CheckGates(gates []Gate) error {
	seen := map[string]bool{}
	for _, g := range gates {
		switch {
		case g.Name == "":
			return fmt.Errorf("a gate of kind %s has no name", g.Kind)
		case seen[g.Name]:
			return fmt.Errorf("there are two gates %s", g.Name)
		case !slices.Contains([]Fallback{Hold, Fail, Pass}, g.Otherwise):
			return fmt.Errorf("gate %s: otherwise is %q; want hold, fail or pass", g.Name, g.Otherwise)
		case g.Every <= 0 || g.Within < 0:
			return fmt.Errorf("gate %s: every %s, within %s: want times", g.Name, g.Every, g.Within)
		}
		seen[g.Name] = true
	}
	return nil
}
