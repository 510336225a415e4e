package custom

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

// Router implements strategies.Router with the other side of a transport.
type Router struct{ caller }

var (
	_ strategies.Router = (*Router)(nil)
	_ strategies.Caller = (*Router)(nil)
)

// NewRouter returns the router at the other side. It does not call it yet.
func NewRouter(o Options) *Router { return &Router{caller{o, portRouter}} }

// Calls implements strategies.Caller.
func (r *Router) Calls(context.Context) ([]string, error) {
	return []string{fmt.Sprintf("%s: router shift, and router observe to see that it follows", r.Transport)}, nil
}

// Observe implements strategies.Router.
func (r *Router) Observe(ctx context.Context) (strategies.Routing, error) {
	a, err := r.call(ctx, "observe", request{}, 0)
	if err != nil {
		return strategies.Routing{}, fmt.Errorf("observe traffic: %w", err)
	}
	routing, err := r.read(a.Routing)
	if err != nil {
		return strategies.Routing{}, fmt.Errorf("observe traffic: %w", err)
	}
	return routing, nil
}

// read checks the routing of an answer.
func (r *Router) read(routing *strategies.Routing) (strategies.Routing, error) {
	if routing == nil {
		return strategies.Routing{}, fmt.Errorf("the answer of %s has no \"routing\"", r.Transport)
	}
	if len(routing.Backends) > 0 {
		if err := strategies.CheckBackends(routing.Backends); err != nil {
			return strategies.Routing{}, fmt.Errorf("the answer of %s is of no use: %w", r.Transport, err)
		}
	}
	return *routing, nil
}

// Shift implements strategies.Router. The other side is told which generation it may replace, so that it can refuse what
// somebody else has changed in between, and what it answers has to be what was asked for.
func (r *Router) Shift(ctx context.Context, op strategies.Operation, backends []strategies.Backend) (strategies.Routing, error) {
	fail := func(err error) (strategies.Routing, error) {
		return strategies.Routing{}, fmt.Errorf("shift traffic: %w", err)
	}
	if err := strategies.CheckBackends(backends); err != nil {
		return fail(err)
	}
	before, err := r.Observe(ctx)
	if err != nil {
		return fail(err)
	}
	switch same := slices.Equal(before.Backends, backends); {
	case op.Fence < before.Fence:
		return fail(fmt.Errorf("fence %d, seen %d: %w", op.Fence, before.Fence, strategies.ErrStaleFence))
	case op.ID == before.Operation && !same:
		return fail(fmt.Errorf("operation %s was already carried out with other backends", op.ID))
	case op.ID == before.Operation && op.Fence == before.Fence:
		return before, nil
	}
	if _, err := r.call(ctx, "shift", request{Operation: carried(op), Backends: backends, Over: &before.Generation}, 0); err != nil {
		return fail(err)
	}
	seen, err := r.Observe(ctx)
	if err != nil {
		return fail(err)
	}
	switch {
	case seen.Fence > op.Fence:
		return fail(fmt.Errorf("%s follows fence %d, ours is %d: %w", r.Transport, seen.Fence, op.Fence, strategies.ErrStaleFence))
	case seen.Operation != op.ID || !slices.Equal(seen.Backends, backends):
		return fail(fmt.Errorf("%s has said that it was done, and follows operation %q, ours is %q: %w",
			r.Transport, start(seen.Operation), op.ID, strategies.ErrForeignChange))
	}
	return seen, nil
}

// drainPoll is how often it is asked how many requests are left.
const drainPoll = 200 * time.Millisecond

// Drain implements strategies.Router.
func (r *Router) Drain(ctx context.Context, address string) (left int, err error) {
	fail := func(err error) (int, error) { return left, fmt.Errorf("drain %s: %w", address, err) }
	// The end of its time is no error, so the first look is taken whatever the time; only a cancelled one ends it.
	look, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			cancel(context.Cause(ctx))
		}
	})
	defer stop()
	routing, err := r.Observe(look)
	if err != nil {
		return fail(err)
	}
	for _, b := range routing.Backends {
		if b.Address == address && b.Weight > 0 {
			return fail(fmt.Errorf("it still has weight %d; shift its traffic away first", b.Weight))
		}
	}
	return strategies.Drained(ctx, address, drainPoll, func() (int, error) {
		a, err := r.call(look, "drain", request{Address: address}, 0)
		switch {
		case err != nil:
			return 0, err
		case a.Left == nil || *a.Left < 0:
			return 0, fmt.Errorf("the answer of %s has no \"left\"", r.Transport)
		}
		return *a.Left, nil
	})
}
