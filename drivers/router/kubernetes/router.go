package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/strategies"
)

var (
	_ strategies.Router       = (*Router)(nil)
	_ strategies.ShareChecker = (*Router)(nil)
	_ strategies.Caller       = (*Router)(nil)
)

// The annotations that the router keeps at the Service.
const (
	noteRouting  = "switchback/routing"  // strategies.Routing as JSON
	noteSelector = "switchback/selector" // that stands for it, as JSON
	noteOriginal = "switchback/original" // what was selected before the first shift, as JSON
)

// look is how often a wait looks.
const look = 100 * time.Millisecond

// Options say what a Router or a Route moves.
type Options struct {
	Application string        // whose fence it shares with the service driver
	Service     string        // the name of the Service; of a Router alone
	Route       string        // the name of the HTTPRoute; of a Route alone
	Services    []string      // the two Services that its rules name; of a Route alone
	Settle      time.Duration // how long a drain waits once the API says that no request goes there; default 10s
	Timeout     time.Duration // how long the cluster may take to follow a shift; default 30s
}

func (o *Options) defaults() {
	if o.Settle == 0 {
		o.Settle = 10 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
}

// Router moves the traffic of a Service. It implements strategies.Router.
type Router struct {
	options   Options
	cluster   *cluster.Cluster
	endpoints endpoints
}

// New returns a Router. It asks the cluster nothing yet.
func New(c *cluster.Cluster, o Options) (*Router, error) {
	if o.Service == "" {
		return nil, errors.New("no Service is configured\n  next: set release.router.service to the Service that the application is reached by, see docs/kubernetes.md")
	}
	o.defaults()
	return &Router{options: o, cluster: c, endpoints: endpoints{c, o.Timeout}}, nil
}

// CheckShares implements strategies.ShareChecker: all or nothing.
func (r *Router) CheckShares(shares []int) error {
	if len(shares) == 1 && shares[0] == 100 {
		return nil
	}
	return fmt.Errorf("the Service %s sends all its traffic to one version, it cannot give shares of %v percent: %w\n  next: --strategy bluegreen with no --step and no release.steps, or a router that gives shares: an HTTPRoute (release.router.route), proxy or nginx, see docs/kubernetes.md",
		r.options.Service, shares, strategies.ErrInvalidRouting)
}

// Calls implements strategies.Caller.
func (r *Router) Calls(context.Context) ([]string, error) {
	return []string{
		fmt.Sprintf("update the Service %s in namespace %s: what it selects, and our annotations", r.options.Service, r.cluster.Namespace),
		"wait until its EndpointSlices have the candidate's pods and no others",
	}, nil
}

// state is the Service as it stands.
type state struct {
	object   *cluster.Object
	service  service
	routing  strategies.Routing
	original map[string]string
}

// Observe returns the routing in force, once the cluster's EndpointSlices agree with it. Before the first shift it
// is the version that the Service selects by itself, when it selects any.
func (r *Router) Observe(ctx context.Context) (strategies.Routing, error) {
	s, err := r.read(ctx)
	if err == nil {
		err = r.endpoints.followed(ctx, r.options.Service, s.service.Spec.Selector)
	}
	if err != nil {
		return strategies.Routing{}, r.failed("look at", err)
	}
	return s.routing, nil
}

func (r *Router) failed(what string, err error) error {
	return fmt.Errorf("%s the Service %s: %w", what, r.options.Service, err)
}

// read reads the Service and what is kept there. One whose selector is not the one that was written is
// strategies.ErrForeignChange.
func (r *Router) read(ctx context.Context) (s state, err error) {
	s.object, err = r.cluster.Get(ctx, cluster.Services, r.options.Service)
	if errors.Is(err, strategies.ErrNotFound) {
		return s, fmt.Errorf("%w\n  next: make the Service that clients use, with the application's port and no selector, or set release.router.service", err)
	}
	if err != nil {
		return s, err
	}
	if err := cluster.Decode(s.object, &s.service); err != nil {
		return s, err
	}
	if s.service.Spec.Type == "ExternalName" {
		return s, errors.New("it is of the type ExternalName and selects no pods\n  next: set release.router.service to a Service that does")
	}
	notes := s.object.GetAnnotations()
	if notes[noteRouting] == "" {
		s.original = s.service.Spec.Selector
		s.routing = r.unmoved(s)
		return s, nil
	}
	var selector map[string]string
	for key, into := range map[string]any{noteRouting: &s.routing, noteSelector: &selector, noteOriginal: &s.original} {
		if err := json.Unmarshal([]byte(notes[key]), into); err != nil {
			return s, fmt.Errorf("its annotation %s cannot be read (%w): %w", key, err, strategies.ErrForeignChange)
		}
	}
	if !maps.Equal(selector, s.service.Spec.Selector) {
		return s, fmt.Errorf("it selects %s, switchback wrote %s: %w\n  next: find out who did; put it back with: %s", words(s.service.Spec.Selector), words(selector), strategies.ErrForeignChange,
			putBack(r.cluster, r.options.Service, notes[noteSelector]))
	}
	return s, nil
}

// unmoved is the routing of a Service that was never moved.
func (r *Router) unmoved(s state) strategies.Routing {
	if len(s.original) == 0 || len(s.service.Spec.Ports) == 0 {
		return strategies.Routing{}
	}
	return strategies.Routing{Backends: []strategies.Backend{{
		Slot: strategies.Blue, Address: address(r.cluster, r.options.Service, s.service.Spec.Ports[0].Port), Weight: 100,
	}}}
}

// selector is what the Service has to select for an address.
func (r *Router) selector(ctx context.Context, s state, address string) (map[string]string, error) {
	name, err := serviceOf(r.cluster, address)
	if err != nil {
		return nil, err
	}
	if name == r.options.Service {
		if len(s.original) == 0 {
			return nil, fmt.Errorf("%w: address %s is its own, and it selected nothing at first", strategies.ErrInvalidRouting, address)
		}
		return s.original, nil
	}
	return selectorOf(ctx, r.cluster, name)
}

// Shift makes the Service select the pods of the backend with all the weight, and returns once the cluster's
// EndpointSlices have no others. Weights between 0 and 100 are strategies.ErrInvalidRouting, a Service that somebody
// else has changed is strategies.ErrForeignChange; either is left as it was.
func (r *Router) Shift(ctx context.Context, op strategies.Operation, backends []strategies.Backend) (strategies.Routing, error) {
	routing, err := r.shift(ctx, op, backends)
	if err != nil {
		return routing, r.failed("shift the traffic of", err)
	}
	return routing, nil
}

func (r *Router) shift(ctx context.Context, op strategies.Operation, backends []strategies.Backend) (none strategies.Routing, err error) {
	if op.ID == "" {
		return none, fmt.Errorf("%w: no operation given", strategies.ErrInvalidRouting)
	}
	if err := strategies.CheckBackends(backends); err != nil {
		return none, err
	}
	n := slices.IndexFunc(backends, func(b strategies.Backend) bool { return b.Weight == 100 })
	if n < 0 {
		return none, r.CheckShares([]int{backends[0].Weight, 100})
	}
	if err := r.cluster.Enter(ctx, r.options.Application, op); err != nil {
		return none, err
	}
	for {
		s, err := r.read(ctx)
		if err != nil {
			return none, err
		}
		selector, err := r.selector(ctx, s, backends[n].Address)
		if err != nil {
			return none, err
		}
		next, err := succeed(s.routing, op, backends)
		if err != nil {
			return none, err
		}
		err = r.write(ctx, s, next, selector)
		if errors.Is(err, cluster.ErrConflict) { // somebody wrote meanwhile: look at what
			continue
		}
		if err != nil {
			return none, err
		}
		failpoint.Hit("kubernetes: selector written")
		return next, r.endpoints.followed(ctx, r.options.Service, selector)
	}
}

// succeed is the routing after an operation. One that was carried out before changes nothing but the fence.
func succeed(now strategies.Routing, op strategies.Operation, backends []strategies.Backend) (strategies.Routing, error) {
	if op.Fence < now.Fence {
		return now, fmt.Errorf("fence %d, seen %d: %w", op.Fence, now.Fence, strategies.ErrStaleFence)
	}
	if now.Operation != op.ID {
		return strategies.Routing{Backends: slices.Clone(backends), Generation: now.Generation + 1, Operation: op.ID, Fence: op.Fence}, nil
	}
	if !slices.Equal(now.Backends, backends) {
		return now, fmt.Errorf("operation %s was already carried out with other backends", op.ID)
	}
	now.Fence = op.Fence
	return now, nil
}

// write puts selector and routing in force, if nobody wrote since s was read.
func (r *Router) write(ctx context.Context, s state, next strategies.Routing, selector map[string]string) error {
	_, err := rewrite(ctx, r.cluster, s.object, selector, map[string]any{noteRouting: next, noteSelector: selector, noteOriginal: s.original})
	return err
}
