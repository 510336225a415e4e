package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/strategies"
)

var (
	_ strategies.Router       = (*Router)(nil)
	_ strategies.ShareChecker = (*Router)(nil)
)

// The annotations that the router keeps at the Service.
const (
	noteRouting  = "switchback/routing"  // strategies.Routing as JSON
	noteSelector = "switchback/selector" // that stands for it, as JSON
	noteOriginal = "switchback/original" // what was selected before the first shift, as JSON
)

// look is how often a wait looks.
const look = 100 * time.Millisecond

// Options say which Service a Router moves.
type Options struct {
	Application string        // whose fence it shares with the service driver
	Service     string        // the name of the Service
	Settle      time.Duration // how long a drain waits once the API says that no request goes there; default 10s
	Timeout     time.Duration // how long the cluster may take to follow a shift; default 30s
}

// Router moves the traffic of a Service. It implements strategies.Router.
type Router struct {
	options Options
	cluster *cluster.Cluster
}

// New returns a Router. It asks the cluster nothing yet.
func New(c *cluster.Cluster, o Options) (*Router, error) {
	if o.Service == "" {
		return nil, errors.New("no Service is configured\n  next: set release.router.service to the Service that the application is reached by, see docs/kubernetes.md")
	}
	if o.Settle == 0 {
		o.Settle = 10 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	return &Router{options: o, cluster: c}, nil
}

// CheckShares implements strategies.ShareChecker: all or nothing.
func (r *Router) CheckShares(shares []int) error {
	if len(shares) == 1 && shares[0] == 100 {
		return nil
	}
	return fmt.Errorf("the Service %s sends all its traffic to one version, it cannot give shares of %v percent: %w\n  next: --strategy bluegreen with no --step and no release.steps, or a router that gives shares: proxy or nginx, see docs/kubernetes.md",
		r.options.Service, shares, strategies.ErrInvalidRouting)
}

// service is what is read of a Service.
type service struct {
	Spec struct {
		Selector map[string]string `json:"selector"`
		Ports    []struct {
			Port int `json:"port"`
		} `json:"ports"`
		Type string `json:"type"`
	} `json:"spec"`
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
		err = r.followed(ctx, s.service.Spec.Selector)
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
			r.cluster.Kubectl(fmt.Sprintf(`patch service %s --type json -p '[{"op":"replace","path":"/spec/selector","value":%s}]'`, r.options.Service, notes[noteSelector])))
	}
	return s, nil
}

// unmoved is the routing of a Service that was never moved.
func (r *Router) unmoved(s state) strategies.Routing {
	if len(s.original) == 0 || len(s.service.Spec.Ports) == 0 {
		return strategies.Routing{}
	}
	return strategies.Routing{Backends: []strategies.Backend{{
		Slot: strategies.Blue, Address: r.address(r.options.Service, s.service.Spec.Ports[0].Port), Weight: 100,
	}}}
}

func (r *Router) address(name string, port int) string {
	return net.JoinHostPort(name+"."+r.cluster.Namespace+".svc", strconv.Itoa(port))
}

// words are the labels of a selector, for people.
func words(selector map[string]string) string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		list = append(list, key+"="+selector[key])
	}
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, ",")
}

// selector is what the Service has to select for an address.
func (r *Router) selector(ctx context.Context, s state, address string) (map[string]string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	name, rest, _ := strings.Cut(host, ".")
	if rest != r.cluster.Namespace && rest != r.cluster.Namespace+".svc" && rest != r.cluster.Namespace+".svc.cluster.local" {
		return nil, fmt.Errorf("%w: address %s is not that of a Service of this namespace, NAME.%s.svc:PORT", strategies.ErrInvalidRouting, address, r.cluster.Namespace)
	}
	if name == r.options.Service {
		if len(s.original) == 0 {
			return nil, fmt.Errorf("%w: address %s is its own, and it selected nothing at first", strategies.ErrInvalidRouting, address)
		}
		return s.original, nil
	}
	o, err := r.cluster.Get(ctx, cluster.Services, name)
	if err != nil {
		return nil, err
	}
	var target service
	if err := cluster.Decode(o, &target); err != nil {
		return nil, err
	}
	if len(target.Spec.Selector) == 0 {
		return nil, fmt.Errorf("%w: the Service %s selects nothing", strategies.ErrInvalidRouting, name)
	}
	return target.Spec.Selector, nil
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
		return next, r.followed(ctx, selector)
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
	o := s.object.DeepCopy()
	notes := o.GetAnnotations()
	if notes == nil {
		notes = map[string]string{}
	}
	for key, value := range map[string]any{noteRouting: next, noteSelector: selector, noteOriginal: s.original} {
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		notes[key] = string(text)
	}
	o.SetAnnotations(notes)
	plain := map[string]any{}
	for key, value := range selector {
		plain[key] = value
	}
	spec, ok := o.Object["spec"].(map[string]any)
	if !ok {
		return errors.New("it has no spec")
	}
	spec["selector"] = plain
	_, err := r.cluster.Update(ctx, cluster.Services, o)
	return err
}
