package seeds

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// event is something that happens to a command in its midst.
type event string

// The events. The first two end the run: what it was about to do, or did last, is in no journal.
const (
	killedBefore event = "killed before its effect"
	killedAfter  event = "killed after its effect, before anybody was told"
	stopped      event = "stopped for longer than its lock lives, another run takes over, then it goes on"
	failed       event = "fails, without an effect"
	lost         event = "takes effect, its answer is lost"
	down         event = "nothing answers from there to the end of the command"
	aborted      event = "somebody asks to abort"
	paused       event = "somebody asks to pause"
	resumed      event = "somebody asks to resume"
	promoted     event = "somebody asks to promote"
	greenDies    event = "the candidate dies"
	blueDies     event = "the stable version dies"
)

// A call to the outside is where a run can be hit: all events, or those that need no effect.
var (
	everywhere = []event{killedBefore, stopped, aborted, paused, resumed, promoted}
	atEffects  = append([]event{killedAfter, failed, lost, down, greenDies, blueDies}, everywhere...)
)

// fate is what happens to one command, and where: at its nth point, counted from 1. A point is a call that changes
// something outside, or a journal entry that was just written.
type fate struct {
	at    map[int]event
	met   int     // points so far
	due   []event // that wait for an effect
	fired []event
	ended bool // what follows meets nothing any more
	down  bool
	back  bool // the release was turned back
	// asleep is what there was when a run that had been stopped went on.
	asleep string
	// faults are how many of them failed a step on the way forward and on the way back.
	faults [2]int
}

// fateOf draws what happens to a command.
func fateOf(r *rand.Rand) *fate {
	f := &fate{at: map[int]event{}}
	for range []int{0, 1, 1, 1, 2, 3}[r.IntN(6)] {
		f.at[1+r.IntN(60)] = atEffects[r.IntN(len(atEffects))]
	}
	return f
}

var (
	errFault = errors.New("the other side failed")
	errDown  = errors.New("nothing answers")
)

// killed is what a run that was killed panics with.
type killed struct{}

// call is a call that changes something outside: the fate decides whether, and what the caller learns of it.
func (w *world) call(name string, effect func() error) error {
	f := w.fate
	if f.ended {
		return w.did(name, effect())
	}
	if f.down {
		f.fault()
		return errDown
	}
	for _, e := range f.meet(true) {
		w.saw("%s: %s", name, e)
		switch e {
		case killedAfter:
			_ = w.did(name, effect())
			w.kill()
		case failed:
			f.fault()
			return errFault
		case lost:
			f.fault()
			_ = w.did(name, effect())
			return errFault
		case down:
			f.fault()
			f.down = true
			return errDown
		default:
			w.happens(e)
		}
	}
	return w.did(name, effect())
}

// read is a call that changes nothing.
func (w *world) read() error {
	if w.fate.down && !w.fate.ended {
		w.fate.fault()
		return errDown
	}
	return nil
}

func (f *fate) fault() {
	if f.back {
		f.faults[1]++
	} else {
		f.faults[0]++
	}
}

// meet is what happens at the next point. What needs an effect waits for one.
func (f *fate) meet(effect bool) (now []event) {
	f.met++
	if e, ok := f.at[f.met]; ok {
		f.due = append(f.due, e)
	}
	var later []event
	for _, e := range f.due {
		if !effect && (e == killedAfter || e == failed || e == lost || e == down || e == greenDies || e == blueDies) {
			later = append(later, e)
			continue
		}
		now = append(now, e)
	}
	f.due, f.fired = later, append(f.fired, now...)
	return now
}

// happens lets an event happen that leaves the call as it is.
func (w *world) happens(e event) {
	switch e {
	case killedBefore:
		w.kill()
	case stopped:
		w.sleeps()
	case aborted:
		w.request(strategies.RequestAbort)
	case paused:
		w.request(strategies.RequestPause)
	case resumed:
		w.request(strategies.RequestResume)
	case promoted:
		w.request(strategies.RequestPromote)
	case greenDies:
		w.greenDies()
	case blueDies:
		w.blueDies()
	}
}

// ReleaseEvent implements strategies.Observer.
func (w *world) ReleaseEvent(e strategies.Event) {
	if e.Earlier {
		return
	}
	switch e.Type {
	case strategies.StepBegun, strategies.StepDone, strategies.StepFailed, strategies.StepUndoing, strategies.StepUndone, strategies.StepStuck:
	case strategies.ReleaseTurnedBack:
		w.fate.back = true
	default:
		return
	}
	w.saw("%s %s %s%s", e.Type, e.Step, e.Note, e.Error)
	w.written()
}

// written is the point behind an entry of the journal.
func (w *world) written() {
	if w.fate.ended {
		return
	}
	for _, e := range w.fate.meet(false) {
		w.saw("%s", e)
		w.happens(e)
	}
}

// ports are the world as a machine sees it.
type ports struct{ *world }

func (p ports) Start(ctx context.Context, op strategies.Operation, v strategies.Version) (i strategies.Instance, err error) {
	err = p.call("start "+v.Release, func() error {
		before, _ := p.threads.Observe(ctx, strategies.InstanceID(v.Release, v.Slot))
		i, err = p.threads.Start(ctx, op, v)
		p.effect(op, err == nil && before.Address != i.Address)
		return err
	})
	return i, err
}

func (p ports) Observe(ctx context.Context, id string) (strategies.Instance, error) {
	if err := p.read(); err != nil {
		return strategies.Instance{}, err
	}
	return p.threads.Observe(ctx, id)
}

func (p ports) List(ctx context.Context) ([]strategies.Instance, error) {
	if err := p.read(); err != nil {
		return nil, err
	}
	return p.threads.List(ctx)
}

func (p ports) Stop(ctx context.Context, op strategies.Operation, id string, grace time.Duration) error {
	return p.call("stop "+id, func() error { return p.threads.Stop(ctx, op, id, grace) })
}

func (p ports) Remove(ctx context.Context, op strategies.Operation, id string) error {
	return p.call("remove "+id, func() error { return p.threads.Remove(ctx, op, id) })
}

// routed are the ports of the router, whose Observe is another than the service's.
type routed struct{ *world }

func (p routed) Observe(ctx context.Context) (strategies.Routing, error) {
	if err := p.read(); err != nil {
		return strategies.Routing{}, err
	}
	return p.router.Observe(ctx)
}

func (p routed) Shift(ctx context.Context, op strategies.Operation, backends []strategies.Backend) (r strategies.Routing, err error) {
	err = p.call(fmt.Sprintf("shift to %v", backends), func() error {
		before, _ := p.router.Observe(ctx)
		r, err = p.router.Shift(ctx, op, backends)
		p.effect(op, err == nil && before.Generation != r.Generation)
		return err
	})
	return r, err
}

func (p routed) Drain(ctx context.Context, address string) (left int, err error) {
	err = p.call("drain "+address, func() error {
		left, err = p.router.Drain(ctx, address)
		return err
	})
	return left, err
}

// registered are the ports of the registry.
type registered struct{ *world }

func (p registered) Register(ctx context.Context, op strategies.Operation, r strategies.Registration) error {
	return p.call("register "+r.Key+" "+r.State, func() error { return p.registry.Register(ctx, op, r) })
}

func (p registered) Deregister(ctx context.Context, op strategies.Operation, key string) error {
	return p.call("deregister "+key, func() error { return p.registry.Deregister(ctx, op, key) })
}

func (p registered) List(ctx context.Context) ([]strategies.Registration, error) {
	if err := p.read(); err != nil {
		return nil, err
	}
	return p.registry.List(ctx)
}

// rolled are the ports of the orchestrator.
type rolled struct{ *world }

func (p rolled) Prepare(ctx context.Context, r strategies.Replacement) (strategies.Replacement, error) {
	if err := p.read(); err != nil {
		return r, err
	}
	return p.orchestrator.Prepare(ctx, r)
}

func (p rolled) Roll(ctx context.Context, op strategies.Operation, r strategies.Replacement) error {
	return p.call("roll to "+r.Version.Release, func() error {
		before := p.orchestrator.now
		err := p.orchestrator.Roll(ctx, op, r)
		p.effect(op, err == nil && before != p.orchestrator.now)
		return err
	})
}

func (p rolled) Rollout(ctx context.Context) (strategies.Rollout, error) {
	if err := p.read(); err != nil {
		return strategies.Rollout{}, err
	}
	return p.orchestrator.Rollout(ctx)
}

func (p rolled) Halt(ctx context.Context, op strategies.Operation, release string) error {
	return p.call("halt "+release, func() error { return p.orchestrator.Halt(ctx, op, release) })
}

func (p rolled) Withdraw(ctx context.Context, op strategies.Operation, release string) error {
	return p.call("withdraw "+release, func() error { return p.orchestrator.Withdraw(ctx, op, release) })
}
