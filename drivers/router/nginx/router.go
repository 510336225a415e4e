package nginx

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/strategies"
)

var (
	_ strategies.Router = (*Router)(nil)
	_ strategies.Caller = (*Router)(nil)
)

// drainPoll is how often Drain counts what is left.
const drainPoll = 25 * time.Millisecond

// Router moves the traffic of an NGINX on this machine. It implements strategies.Router and may be used by several
// goroutines and processes.
type Router struct{ include }

// New returns a Router. It touches nothing yet.
func New(o Options) (*Router, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(tables()[0]); err != nil {
		return nil, fmt.Errorf("the NGINX router counts connections as Linux lists them, and works there only: %w", err)
	}
	return &Router{newInclude(o, "")}, nil
}

// Calls implements strategies.Caller.
func (r *Router) Calls(context.Context) ([]string, error) {
	return []string{
		"write the next generation, and have " + r.files.link + " lead to it",
		"run " + strings.Join(r.options.Test, " "),
		"run " + r.load(),
		"ask the beacon at " + r.options.Beacon + " until new connections meet nothing else",
	}, nil
}

// Observe returns the routing that NGINX serves by, as its beacon says. Before the first shift it has no backends.
func (r *Router) Observe(ctx context.Context) (strategies.Routing, error) {
	for {
		before, err := r.state()
		if err != nil {
			return strategies.Routing{}, r.failed("look at", err)
		}
		g, err := r.look(ctx, before)
		after, again := r.state()
		if again != nil {
			return strategies.Routing{}, r.failed("look at", again)
		}
		if before == after { // else a shift came in between: what was seen does not belong together
			if err != nil {
				return strategies.Routing{}, r.failed("look at", err)
			}
			return g.Routing, nil
		}
	}
}

// Shift puts backends in force (see strategies.CheckBackends) and returns once new connections meet nothing else.
// The same operation with the same backends changes nothing. A fence smaller than one seen gives
// strategies.ErrStaleFence; files or an NGINX that are not as they were left give strategies.ErrForeignChange. On any
// other error NGINX serves what it served before, or the error says that it does not.
func (r *Router) Shift(ctx context.Context, op strategies.Operation, backends []strategies.Backend) (strategies.Routing, error) {
	routing, err := r.shift(ctx, op, backends)
	if err != nil {
		return routing, r.failed("shift traffic of", err)
	}
	return routing, nil
}

func (r *Router) shift(ctx context.Context, op strategies.Operation, backends []strategies.Backend) (now strategies.Routing, err error) {
	if op.ID == "" {
		return now, fmt.Errorf("%w: no operation given", strategies.ErrInvalidRouting)
	}
	if err := checkBackends(backends); err != nil {
		return now, err
	}
	lock, err := r.lock(ctx)
	if err != nil {
		return now, err
	}
	defer lock.Close()
	s, err := r.state()
	if err != nil {
		return now, err
	}
	if op.Fence < s.Fence {
		return now, fmt.Errorf("fence %d, seen %d: %w", op.Fence, s.Fence, strategies.ErrStaleFence)
	}
	g, err := r.look(ctx, s)
	if err != nil {
		return now, err
	}
	s.Fence = op.Fence
	if s.Next == 0 && s.Current != 0 && g.Routing.Operation == op.ID {
		return r.repeated(s, op, backends)
	}
	return r.next(ctx, s, g.Number, op, backends)
}

// repeated is an operation that was carried out before: traffic stays, an earlier holder of the lock is shut out.
func (r *Router) repeated(s state, op strategies.Operation, backends []strategies.Backend) (strategies.Routing, error) {
	g, err := r.files.generation(s.Current)
	if err != nil {
		return g.Routing, err
	}
	if !slices.Equal(g.Routing.Backends, backends) {
		return g.Routing, fmt.Errorf("operation %s was already carried out with other backends", op.ID)
	}
	if err := r.files.setState(s); err != nil {
		return g.Routing, err
	}
	g.Routing.Fence = op.Fence
	return g.Routing, r.files.setGeneration(s.Current, g)
}

// next puts another generation in force.
func (r *Router) next(ctx context.Context, s state, served int64, op strategies.Operation, backends []strategies.Backend) (none strategies.Routing, err error) {
	if s.Next, err = r.number(s); err != nil {
		return none, err
	}
	g := generation{Routing: strategies.Routing{Backends: slices.Clone(backends), Generation: s.Next, Operation: op.ID, Fence: op.Fence}}
	var text string
	text, g.Mark = render(r.options, s.Next, backends)
	if err := r.put(ctx, s, served, g, text); err != nil {
		return none, err
	}
	return g.Routing, nil
}

// Drain waits until no connection to the address is left, and returns 0. When ctx reaches its deadline first, it
// returns how many were left and no error; when ctx is cancelled, how many were left and the context's error. An
// address that still has weight is an error at once.
func (r *Router) Drain(ctx context.Context, address string) (left int, err error) {
	if err := strategies.CheckAddress(address); err != nil {
		return 0, err
	}
	routing, err := r.Observe(ctx)
	if err != nil {
		return 0, fmt.Errorf("drain %s: %w", address, err)
	}
	weight := 0
	for _, b := range routing.Backends {
		if b.Address == address {
			weight = b.Weight
		}
	}
	if weight > 0 {
		if left, err = connections(ctx, address); err != nil {
			return left, fmt.Errorf("drain %s: %w", address, err)
		}
		return left, fmt.Errorf("drain %s: it still has weight %d; shift its traffic away first", address, weight)
	}
	return emptied(ctx, address)
}

// emptied waits until no connection to the address is left, as Router.Drain does.
func emptied(ctx context.Context, address string) (left int, err error) {
	return strategies.Drained(ctx, address, drainPoll, func() (int, error) { return connections(ctx, address) })
}
