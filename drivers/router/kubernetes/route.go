package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/strategies"
)

var (
	_ strategies.Router = (*Route)(nil)
	_ strategies.Caller = (*Route)(nil)
)

// noteBackends is the annotation of an HTTPRoute that has the address that each of the two Services stands for, as JSON.
const noteBackends = "switchback/backends"

// tries is how often a shift looks again because somebody else has written meanwhile.
const tries = 100

// Route moves traffic by the weights of an HTTPRoute of the Gateway API. It implements strategies.Router.
type Route struct {
	options   Options
	cluster   *cluster.Cluster
	endpoints endpoints
}

// NewRoute returns a Route. It asks the cluster nothing yet.
func NewRoute(c *cluster.Cluster, o Options) (*Route, error) {
	if o.Route == "" || len(o.Services) != 2 || o.Services[0] == o.Services[1] || slices.Contains(o.Services, "") {
		return nil, errors.New("an HTTPRoute shares traffic between two Services\n  next: set release.router.route to it, and release.router.services to the two that its rules name, see docs/kubernetes.md")
	}
	o.defaults()
	return &Route{options: o, cluster: c, endpoints: endpoints{c, o.Timeout}}, nil
}

// Observe returns the routing in force, by the weights that the route has, once its controllers have accepted it and
// the EndpointSlices of the Services with traffic agree. Before the first shift it is the Service with a weight that
// selects something by itself.
func (r *Route) Observe(ctx context.Context) (strategies.Routing, error) {
	s, err := r.read(ctx)
	if err == nil {
		err = r.accepted(ctx, s.object.GetGeneration())
	}
	for n := range s.sides {
		if err == nil && s.weight(s.sides[n].name) > 0 {
			err = r.endpoints.followed(ctx, s.sides[n].name, s.sides[n].service.Spec.Selector)
		}
	}
	if err != nil {
		return strategies.Routing{}, r.failed("look at", err)
	}
	return s.routing, nil
}

func (r *Route) failed(what string, err error) error {
	return fmt.Errorf("%s the HTTPRoute %s: %w", what, r.options.Route, err)
}

// Shift gives the backends their weights, in one write, and returns once the route's controllers have accepted it. A
// backend that neither Service stands for yet takes the one without weight first. A route or a Service that somebody else
// has changed is strategies.ErrForeignChange, and left as it is.
func (r *Route) Shift(ctx context.Context, op strategies.Operation, backends []strategies.Backend) (strategies.Routing, error) {
	routing, err := r.shift(ctx, op, backends)
	if err != nil {
		return routing, r.failed("shift the traffic of", err)
	}
	return routing, nil
}

func (r *Route) shift(ctx context.Context, op strategies.Operation, backends []strategies.Backend) (none strategies.Routing, err error) {
	if op.ID == "" {
		return none, fmt.Errorf("%w: no operation given", strategies.ErrInvalidRouting)
	}
	if err := strategies.CheckBackends(backends); err != nil {
		return none, err
	}
	if err := r.cluster.Enter(ctx, r.options.Application, op); err != nil {
		return none, err
	}
	for try := 1; ; try++ {
		s, err := r.read(ctx)
		if err != nil {
			return none, err
		}
		next, err := succeed(s.routing, op, backends)
		if err != nil {
			return none, err
		}
		generation, err := r.follow(ctx, s, next)
		if errors.Is(err, cluster.ErrConflict) && try < tries { // somebody wrote meanwhile: look at what
			continue
		}
		if err != nil {
			return none, err
		}
		return next, r.accepted(ctx, generation)
	}
}

// follow takes the route and its Services from how they were read to a routing.
func (r *Route) follow(ctx context.Context, s routeState, next strategies.Routing) (generation int64, err error) {
	places, err := r.places(s, next.Backends)
	if err != nil {
		return 0, err
	}
	points, err := r.points(ctx, s, next, places)
	if err != nil {
		return 0, err
	}
	if !s.adopted {
		// What is there is written down before anything is changed: a note that is missing later was taken away.
		if s, err = r.write(ctx, s, s.routing, s.places); err != nil {
			return 0, err
		}
		failpoint.Hit("kubernetes: route adopted")
	}
	for _, p := range points {
		if err := r.point(ctx, s, p, next.Fence); err != nil {
			return 0, fmt.Errorf("its Service %s: %w", p.on.name, err)
		}
	}
	if s, err = r.write(ctx, s, next, places); err != nil {
		return 0, err
	}
	failpoint.Hit("kubernetes: weights written")
	return s.object.GetGeneration(), nil
}

// places says which of the Services stands for which address. A backend with traffic that has none takes the one without
// weight.
func (r *Route) places(s routeState, backends []strategies.Backend) (map[string]string, error) {
	places := map[string]string{}
	for n := range s.sides {
		if side := &s.sides[n]; slices.ContainsFunc(backends, func(b strategies.Backend) bool { return b.Address == side.backend }) {
			places[side.name] = side.backend
		}
	}
	for _, b := range backends {
		if b.Weight == 0 || placeOf(places, b.Address) != "" {
			continue
		}
		name, err := r.free(s, places, backends, b.Address)
		if err != nil {
			return nil, err
		}
		places[name] = b.Address
	}
	return places, nil
}

// placeOf is the Service that stands for an address, empty when none does.
func placeOf(places map[string]string, address string) string {
	for name, a := range places {
		if a == address {
			return name
		}
	}
	return ""
}

// free is a Service without weight, that an address can take. One whose own address it is, is the only one that can.
func (r *Route) free(s routeState, places map[string]string, backends []strategies.Backend, address string) (string, error) {
	own, err := serviceOf(r.cluster, address)
	if err != nil {
		return "", err
	}
	for n := range s.sides {
		side := &s.sides[n]
		taken := places[side.name] != "" && weightOf(strategies.Routing{Backends: backends}, places[side.name]) > 0
		if slices.Contains(r.options.Services, own) && own != side.name || taken || s.serves(side) {
			continue
		}
		return side.name, nil
	}
	return "", fmt.Errorf("%w: address %s has none of the Services %s, and each has traffic of another version\n  next: give one version all of it first: switchback traffic set", strategies.ErrInvalidRouting, address, strings.Join(r.options.Services, ", "))
}

// Drain waits until the route's controllers have accepted that an address has no weight, and then as long as it takes
// their proxies to follow. How many requests are under way nobody tells: it returns 0. They end within the pods'
// terminationGracePeriodSeconds, or are cut off by it.
func (r *Route) Drain(ctx context.Context, address string) (left int, err error) {
	return drain(ctx, address, r.options.Settle, func() (strategies.Routing, func() error, error) {
		s, err := r.read(ctx)
		if err != nil {
			return strategies.Routing{}, nil, err
		}
		return s.routing, func() error { return r.accepted(ctx, s.object.GetGeneration()) }, nil
	})
}

// Calls implements strategies.Caller.
func (r *Route) Calls(ctx context.Context) ([]string, error) {
	s, err := r.read(ctx)
	if err != nil {
		return nil, r.failed("look at", err)
	}
	var rules []string
	for _, ref := range s.refs {
		if word := fmt.Sprint(ref.rule + 1); !slices.Contains(rules, word) {
			rules = append(rules, word)
		}
	}
	a, b := r.options.Services[0], r.options.Services[1]
	return []string{
		fmt.Sprintf("patch httproute %s in namespace %s: the weights of %s and %s in rule %s, and nothing else of it", r.options.Route, r.cluster.Namespace, a, b, strings.Join(rules, ", ")),
		fmt.Sprintf("update service %s or %s, whichever has no weight then: it selects the pods of the candidate", a, b),
		r.reporters(s),
	}, nil
}
