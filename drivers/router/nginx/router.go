package nginx

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/internal/filelock"
	"github.com/switchbackdb/switchback/strategies"
)

var _ strategies.Router = (*Router)(nil)

// ErrNotRunning is wrapped by the errors of a Router whose NGINX does not serve what it was given.
var ErrNotRunning = errors.New("NGINX is not running, or no longer includes what switchback wrote")

// drainPoll is how often Drain counts what is left.
const drainPoll = 25 * time.Millisecond

// Router moves the traffic of an NGINX on this machine. It implements strategies.Router and may be used by several
// goroutines and processes.
type Router struct {
	options Options
	files   files
	beacon  *beacon
}

// New returns a Router. It touches nothing yet.
func New(o Options) (*Router, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(tables()[0]); err != nil {
		return nil, fmt.Errorf("the NGINX router counts connections as Linux lists them, and works there only: %w", err)
	}
	return &Router{options: o, files: files{link: o.Include, dir: o.Include + ".d"}, beacon: newBeacon(o.Beacon)}, nil
}

// Observe returns the routing that NGINX serves by, as its beacon says. Before the first shift it has no backends.
func (r *Router) Observe(ctx context.Context) (strategies.Routing, error) {
	for {
		before, err := r.files.state()
		if err != nil {
			return strategies.Routing{}, r.failed("look at", err)
		}
		routing, err := r.look(ctx, before)
		after, again := r.files.state()
		if again != nil {
			return strategies.Routing{}, r.failed("look at", again)
		}
		if before == after { // else a shift came in between: what was seen does not belong together
			if err != nil {
				return strategies.Routing{}, r.failed("look at", err)
			}
			return routing, nil
		}
	}
}

func (r *Router) failed(what string, err error) error {
	return fmt.Errorf("%s NGINX with %s: %w", what, r.files.link, err)
}

// look is the routing in force, in a state.
func (r *Router) look(ctx context.Context, s state) (none strategies.Routing, err error) {
	if err := r.files.untouched(s, r.load()); err != nil {
		return none, err
	}
	got, err := r.beacon.ask(ctx)
	if errors.Is(err, errSilent) {
		if s.Current == 0 {
			return none, nil
		}
		return none, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	if err != nil {
		return none, err
	}
	if got.generation == s.Current || got.generation == s.Next {
		g, err := r.files.generation(got.generation)
		if err == nil && g.Mark == got.mark {
			return g.Routing, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return none, err
		}
	}
	return none, fmt.Errorf("NGINX serves a generation %d that is not the one of %s, which is %d: %w; load that with: %s",
		got.generation, r.files.dir, s.Current, strategies.ErrForeignChange, r.load())
}

// load is the command that has NGINX load its configuration, for people.
func (r *Router) load() string { return strings.Join(r.options.Reload, " ") }

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
	if err := os.MkdirAll(r.files.dir, 0o755); err != nil {
		return now, err
	}
	lock, err := filelock.Take(ctx, filepath.Join(r.files.dir, "lock"))
	if err != nil {
		return now, err
	}
	defer lock.Close()
	s, err := r.files.state()
	if err != nil {
		return now, err
	}
	if op.Fence < s.Fence {
		return now, fmt.Errorf("fence %d, seen %d: %w", op.Fence, s.Fence, strategies.ErrStaleFence)
	}
	if now, err = r.look(ctx, s); err != nil {
		return now, err
	}
	s.Fence = op.Fence
	if s.Next == 0 && s.Current != 0 && now.Operation == op.ID {
		return r.repeated(s, op, backends)
	}
	return r.next(ctx, s, op, backends)
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
	return g.Routing, r.files.setGeneration(g)
}

// next puts another generation in force.
func (r *Router) next(ctx context.Context, s state, op strategies.Operation, backends []strategies.Backend) (none strategies.Routing, err error) {
	used, err := r.files.numbers()
	if err != nil {
		return none, err
	}
	s.Next = max(s.Current, s.Next) + 1
	if n := len(used); n > 0 {
		s.Next = max(s.Next, used[n-1]+1)
	}
	g := generation{Routing: strategies.Routing{Backends: slices.Clone(backends), Generation: s.Next, Operation: op.ID, Fence: op.Fence}}
	var text string
	text, g.Mark = render(r.options, s.Next, backends)
	if err := r.files.write(g, text); err != nil {
		return none, err
	}
	failpoint.Hit("nginx: generation written")
	if err := r.files.setState(s); err != nil {
		return none, err
	}
	failpoint.Hit("nginx: generation announced")
	if err := r.enforce(ctx, s, g); err != nil {
		return none, err
	}
	s.Current, s.Next = s.Next, 0
	if err := r.files.setState(s); err != nil {
		return none, err
	}
	failpoint.Hit("nginx: generation kept")
	return g.Routing, r.files.prune(s.Current)
}

// enforce flips the link to the next generation and has NGINX load it, or flips it back.
func (r *Router) enforce(ctx context.Context, s state, g generation) error {
	if err := r.files.point(s.Next); err != nil {
		return r.back(ctx, s, false, err)
	}
	failpoint.Hit("nginx: link flipped")
	if err := r.run(ctx, r.options.Test); err != nil {
		return r.back(ctx, s, false, fmt.Errorf("generation %d was not loaded: %w", s.Next, err))
	}
	failpoint.Hit("nginx: tested")
	if err := r.run(ctx, r.options.Reload); err != nil {
		return r.back(ctx, s, true, fmt.Errorf("generation %d: %w", s.Next, err))
	}
	failpoint.Hit("nginx: reloaded")
	err := r.beacon.prove(ctx, answer{s.Next, g.Mark}, r.options.Timeout)
	if errors.Is(err, errSilent) {
		err = fmt.Errorf("%w; is there an include %s; in its http block?", err, r.files.link)
	}
	if err != nil {
		return r.back(ctx, s, true, fmt.Errorf("generation %d: %w", s.Next, err))
	}
	failpoint.Hit("nginx: proven")
	return nil
}

// back puts the proven generation in force again, also when the run was told to end meanwhile, and returns the
// cause, with what state NGINX is in. Where NGINX may have loaded the next generation, it is to load this one.
func (r *Router) back(ctx context.Context, s state, reload bool, cause error) error {
	ctx = context.WithoutCancel(ctx)
	stuck := func(err error) error {
		return fmt.Errorf("%w; and the way back failed: %w; mend it, then: %s && %s", cause, err, strings.Join(r.options.Test, " "), r.load())
	}
	if err := r.files.point(s.Current); err != nil {
		return stuck(err)
	}
	failpoint.Hit("nginx: link flipped back")
	if s.Current == 0 && reload {
		// There is nothing to go back to, and NGINX may yet load what it was told to: the state keeps both.
		return fmt.Errorf("%w; %s was taken away again", cause, r.files.link)
	}
	if reload {
		g, err := r.files.generation(s.Current)
		if err != nil {
			return stuck(err)
		}
		if err := r.run(ctx, r.options.Reload); err != nil {
			return stuck(err)
		}
		failpoint.Hit("nginx: reloaded back")
		if err := r.beacon.prove(ctx, answer{s.Current, g.Mark}, r.options.Timeout); err != nil {
			return stuck(err)
		}
	}
	kept := fmt.Sprintf("NGINX serves generation %d as before", s.Current)
	if s.Current == 0 {
		kept = "NGINX runs as before"
	}
	s.Next = 0
	if err := r.files.setState(s); err != nil {
		return stuck(err)
	}
	return fmt.Errorf("%w; %s", cause, kept)
}

// run runs one of the commands that NGINX is driven by. What it said is part of the error, in one line.
func (r *Router) run(ctx context.Context, argv []string) error {
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second // a grandchild may hold on to the output
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	said := strings.Join(strings.FieldsFunc(string(out), func(c rune) bool { return c == '\n' || c == '\r' }), "; ")
	const most = 2000
	if len(said) > most {
		said = said[:most] + "…"
	}
	return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, said)
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
	tick := time.NewTicker(drainPoll)
	defer tick.Stop()
	for {
		if left, err = connections(ctx, address); err != nil {
			return left, fmt.Errorf("drain %s: %w", address, err)
		}
		if weight > 0 {
			return left, fmt.Errorf("drain %s: it still has weight %d; shift its traffic away first", address, weight)
		}
		if left == 0 {
			return 0, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return left, nil
			}
			return left, fmt.Errorf("drain %s: %d left: %w", address, left, ctx.Err())
		}
	}
}
