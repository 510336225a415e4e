package seeds

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/switchbackdb/switchback/strategies"
)

// orchestrator is a strategies.Roller whose instances are goroutines of this process. Time passes for it when it is
// looked at: with each look it starts or ends one instance, so that a seed means the same on every machine. It passes the
// suite of the orchestrators that users have (TestOrchestrator).
type orchestrator struct {
	app func(strategies.Version) http.Handler

	mu    sync.Mutex
	fence int64
	now   *definition // nil when there is none
	all   []*thread
}

// definition is what is in force.
type definition struct {
	strategies.Replacement
	op     strategies.Operation
	wanted int
	halted string // why it goes no further
}

// Prepare implements strategies.Roller.
func (o *orchestrator) Prepare(_ context.Context, r strategies.Replacement) (strategies.Replacement, error) {
	if err := strategies.CheckPace(r.Pace); err != nil {
		return r, err
	}
	c := *r.Version.Container
	c.Image = r.Version.Filler("")(c.Image)
	r.Version.Container = &c
	if r.Pace.Parallelism == 0 {
		r.Pace.Parallelism = 1
	}
	return r, nil
}

// Roll implements strategies.Roller.
func (o *orchestrator) Roll(_ context.Context, op strategies.Operation, r strategies.Replacement) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := enter(&o.fence, op); err != nil {
		return fmt.Errorf("roll %s: %w", r.Version.Release, err)
	}
	wanted := max(r.Pace.Replicas, 1)
	if o.now != nil {
		if o.now.op.ID == op.ID {
			o.now.halted = ""
			return nil
		}
		if release := o.now.Version.Release; release != r.Over && release != r.Version.Release {
			return fmt.Errorf("release %s is in force: %w", release, strategies.ErrForeignChange)
		}
		if r.Pace.Replicas == 0 {
			wanted = o.now.wanted
		}
	}
	o.now = &definition{Replacement: r, op: op, wanted: wanted}
	return nil
}

// Rollout implements strategies.Roller.
func (o *orchestrator) Rollout(ctx context.Context) (strategies.Rollout, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.now == nil {
		return strategies.Rollout{State: strategies.RollAbsent, Look: "look"}, nil
	}
	if o.now.halted == "" {
		if err := o.pass(ctx); err != nil {
			return strategies.Rollout{}, err
		}
	}
	healthy, updated := o.count(ctx)
	r := strategies.Rollout{
		State: strategies.RollGoing, Release: o.now.Version.Release, Version: o.now.Version.Name, Operation: o.now.op.ID, Fence: o.now.op.Fence,
		Wanted: o.now.wanted, Updated: updated, Healthy: healthy, Old: len(o.all) - updated, Detail: o.now.halted, Look: "look",
	}
	switch {
	case o.now.halted != "":
		r.State = strategies.RollHalted
	case healthy == o.now.wanted && r.Old == 0 && updated == healthy:
		r.State = strategies.RollDone
	}
	return r, nil
}

// pass lets one thing happen: an instance more of the definition in force, while there is room for it, or one less of
// another. One that is not healthy halts it.
func (o *orchestrator) pass(ctx context.Context) error {
	healthy, updated := o.count(ctx)
	old := slices.IndexFunc(o.all, func(t *thread) bool { return !o.updated(t) })
	switch {
	case updated > healthy:
		o.now.halted = "an instance is not healthy"
	case updated > o.now.wanted:
		o.endOne(slices.IndexFunc(o.all, o.updated))
	case old >= 0 && len(o.all) > o.now.wanted:
		o.endOne(old)
	case updated < o.now.wanted:
		t, err := newThread(ctx, o.now.Version, o.app)
		if err != nil {
			return err
		}
		o.all = append(o.all, t)
	case old >= 0:
		o.endOne(old)
	}
	return nil
}

func (o *orchestrator) updated(t *thread) bool { return t.Release == o.now.Version.Release }

func (o *orchestrator) count(ctx context.Context) (healthy, updated int) {
	for _, t := range o.all {
		if o.updated(t) {
			updated++
			if t.now(ctx).State == strategies.StateHealthy {
				healthy++
			}
		}
	}
	return healthy, updated
}

func (o *orchestrator) endOne(i int) {
	o.all[i].end()
	o.all = slices.Delete(o.all, i, i+1)
}

// inForce checks an operation on the definition of a release.
func (o *orchestrator) inForce(op strategies.Operation, release string) error {
	if err := enter(&o.fence, op); err != nil {
		return err
	}
	if o.now != nil && o.now.Version.Release != release {
		return fmt.Errorf("release %s is in force, not %s: %w", o.now.Version.Release, release, strategies.ErrForeignChange)
	}
	return nil
}

// Halt implements strategies.Roller.
func (o *orchestrator) Halt(_ context.Context, op strategies.Operation, release string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.inForce(op, release); err != nil {
		return err
	}
	if o.now == nil {
		return fmt.Errorf("nothing is in force: %w", strategies.ErrForeignChange)
	}
	o.now.halted = "on request"
	return nil
}

// Withdraw implements strategies.Roller.
func (o *orchestrator) Withdraw(_ context.Context, op strategies.Operation, release string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.inForce(op, release); err != nil {
		return err
	}
	o.close()
	o.now = nil
	return nil
}

// close ends all instances. The caller holds mu, or is alone.
func (o *orchestrator) close() {
	for _, t := range o.all {
		t.end()
	}
	o.all = nil
}

// versions are those of the instances that run, sorted.
func (o *orchestrator) versions() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []string
	for _, t := range o.all {
		list = append(list, t.Version)
	}
	slices.SortFunc(list, strings.Compare)
	return list
}
