package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/strategies"
)

// httpRoute is what is read of an HTTPRoute.
type httpRoute struct {
	Spec struct {
		ParentRefs []parentRef `json:"parentRefs"`
		Rules      []struct {
			BackendRefs []backendRef `json:"backendRefs"`
		} `json:"rules"`
	} `json:"spec"`
	Status struct {
		Parents []parentStatus `json:"parents"`
	} `json:"status"`
}

type backendRef struct {
	Group     string `json:"group"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Weight    *int   `json:"weight"`
}

// ref is one of our Services in a rule of the route.
type ref struct {
	rule, place int
	name        string
	weight      int
	explicit    bool // the weight is there, and not left out
}

func (f ref) path(field string) string {
	return fmt.Sprintf("/spec/rules/%d/backendRefs/%d/%s", f.rule, f.place, field)
}

// routeState is the route with its Services as they stand.
type routeState struct {
	object  *cluster.Object
	route   httpRoute
	refs    []ref
	sides   []side
	adopted bool // it has our notes
	routing strategies.Routing
	places  map[string]string // the address that a Service stands for
}

// weight is the highest that a Service has in any rule: before the first shift they may differ.
func (s routeState) weight(name string) int {
	most := 0
	for _, f := range s.refs {
		if f.name == name {
			most = max(most, f.weight)
		}
	}
	return most
}

// serves tells whether requests go to pods of a Service. One that was never written to and selects nothing has none,
// whatever its weight.
func (s routeState) serves(side *side) bool {
	return s.weight(side.name) > 0 && len(side.service.Spec.Selector) > 0
}

// weightOf is the weight of an address in a routing.
func weightOf(routing strategies.Routing, address string) int {
	for _, b := range routing.Backends {
		if b.Address == address {
			return b.Weight
		}
	}
	return 0
}

// read reads the route, its Services and what is kept there. What is not as it was written is
// strategies.ErrForeignChange.
func (r *Route) read(ctx context.Context) (s routeState, err error) {
	s.object, err = r.cluster.Get(ctx, cluster.HTTPRoutes, r.options.Route)
	if errors.Is(err, strategies.ErrNotFound) {
		return s, fmt.Errorf("%w\n  next: make the HTTPRoute, see docs/kubernetes.md; whether the cluster has the Gateway API at all says: kubectl get crd httproutes.gateway.networking.k8s.io", err)
	}
	if err != nil {
		return s, err
	}
	if err := cluster.Decode(s.object, &s.route); err != nil {
		return s, err
	}
	if s.refs, err = r.find(s.route); err != nil {
		return s, err
	}
	for _, name := range r.options.Services {
		side, err := r.side(ctx, name)
		if err != nil {
			return s, fmt.Errorf("its Service %s: %w", name, err)
		}
		s.sides = append(s.sides, side)
	}
	notes := s.object.GetAnnotations()
	if s.adopted = notes[noteRouting] != ""; !s.adopted {
		return s, r.unmoved(&s)
	}
	for key, into := range map[string]any{noteRouting: &s.routing, noteBackends: &s.places} {
		if err := json.Unmarshal([]byte(notes[key]), into); err != nil {
			return s, fmt.Errorf("its annotation %s cannot be read (%w): %w", key, err, strategies.ErrForeignChange)
		}
	}
	for n := range s.sides {
		if side := &s.sides[n]; !side.noted { // of the time between the first note at the route and that at the Service
			side.backend = s.places[side.name]
		}
	}
	return s, r.untouched(s)
}

// find finds the two Services in the rules of a route. A rule that has one of them has to have both.
func (r *Route) find(route httpRoute) ([]ref, error) {
	var list []ref
	for n, rule := range route.Spec.Rules {
		var names []string
		for place, b := range rule.BackendRefs {
			other := b.Group != "" || b.Kind != "" && b.Kind != "Service" || b.Namespace != "" && b.Namespace != r.cluster.Namespace
			if other || !slices.Contains(r.options.Services, b.Name) {
				continue
			}
			f := ref{rule: n, place: place, name: b.Name, weight: 1, explicit: b.Weight != nil} // 1 is what is left out
			if f.explicit {
				f.weight = *b.Weight
			}
			list, names = append(list, f), append(names, b.Name)
		}
		if len(names) != 0 && (len(names) != 2 || names[0] == names[1]) {
			return nil, fmt.Errorf("its rule %d names %s, and of %s it has to name each once: where one has all traffic the other has none\n  next: kubectl edit, or the file it is applied from, see docs/kubernetes.md",
				n+1, strings.Join(names, " and "), strings.Join(r.options.Services, " and "))
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no rule of it names the Services %s\n  next: name both in the backendRefs of the rules that the application answers, or set release.router.services, see docs/kubernetes.md", strings.Join(r.options.Services, " and "))
	}
	return list, nil
}

// unmoved reads a route that was never moved: what gets requests was put there by hand.
func (r *Route) unmoved(s *routeState) error {
	s.places = map[string]string{}
	for n := range s.sides {
		side := &s.sides[n]
		if side.noted {
			return fmt.Errorf("its annotation %s is gone, by which switchback knows its weights, and the Service %s still has what belongs to it: %w\n  next: find out who took it away, and have them leave it; %s takes the other away as well, and what gets requests then is taken for the stable version",
				noteRouting, side.name, strategies.ErrForeignChange, r.cluster.Kubectl("annotate service "+strings.Join(r.options.Services, " ")+" "+noteSelector+"- "+noteOriginal+"- "+noteBackend+"- "+noteFence+"-"))
		}
		if len(side.original) == 0 || s.weight(side.name) == 0 || len(side.service.Spec.Ports) == 0 {
			continue
		}
		side.backend = address(r.cluster, side.name, side.service.Spec.Ports[0].Port)
		s.places[side.name] = side.backend
		s.routing.Backends = append(s.routing.Backends, strategies.Backend{Slot: strategies.Blue, Address: side.backend, Weight: 100})
	}
	if len(s.routing.Backends) > 1 {
		return fmt.Errorf("both its Services %s get requests: which is the stable version?\n  next: give the other the weight 0", strings.Join(r.options.Services, " and "))
	}
	return nil
}

// untouched finds out what somebody else has changed.
func (r *Route) untouched(s routeState) error {
	var back []cluster.Step
	var seen []string
	for _, f := range s.refs {
		if want := weightOf(s.routing, s.places[f.name]); f.weight != want {
			seen = append(seen, fmt.Sprintf("its rule %d gives %s the weight %d, switchback wrote %d", f.rule+1, f.name, f.weight, want))
			back = append(back, cluster.Step{Op: "add", Path: f.path("weight"), Value: want})
		}
	}
	if len(seen) > 0 {
		text, err := json.Marshal(back)
		if err != nil {
			return err
		}
		return fmt.Errorf("%s: %w\n  next: find out who did; put it back with: %s", strings.Join(seen, ", "), strategies.ErrForeignChange,
			r.cluster.Kubectl(fmt.Sprintf("patch httproute %s --type json -p '%s'", r.options.Route, text)))
	}
	for _, side := range s.sides {
		if s.weight(side.name) > 0 && side.backend != s.places[side.name] {
			return fmt.Errorf("its Service %s stands for %s, and the route for %s: %w", side.name, side.backend, s.places[side.name], strategies.ErrForeignChange)
		}
	}
	return nil
}

// again reads the route anew, as it may have been long in the meantime: labels, status and other rules are anybody's. Where
// what is ours has changed, it is cluster.ErrConflict.
func (r *Route) again(ctx context.Context, s routeState) (routeState, error) {
	o, err := r.cluster.Get(ctx, cluster.HTTPRoutes, r.options.Route)
	if err != nil {
		return s, err
	}
	was := s.object.GetAnnotations()
	s.object, s.route = o, httpRoute{}
	if err := cluster.Decode(o, &s.route); err != nil {
		return s, err
	}
	refs, err := r.find(s.route)
	if err != nil {
		return s, err
	}
	same := slices.Equal(refs, s.refs)
	for _, key := range []string{noteRouting, noteBackends} {
		same = same && was[key] == o.GetAnnotations()[key]
	}
	if !same {
		return s, cluster.ErrConflict
	}
	return s, nil
}

// write puts weights and notes in force, if nobody wrote since s was read. It tests the name of what it writes to, and
// the weight that was there: no other rule, backend, filter or label is in the patch.
func (r *Route) write(ctx context.Context, s routeState, next strategies.Routing, places map[string]string) (routeState, error) {
	s, err := r.again(ctx, s)
	if err != nil {
		return s, err
	}
	steps := []cluster.Step{{Op: "test", Path: "/metadata/resourceVersion", Value: s.object.GetResourceVersion()}}
	for _, f := range s.refs {
		steps = append(steps, cluster.Step{Op: "test", Path: f.path("name"), Value: f.name})
		if f.explicit {
			steps = append(steps, cluster.Step{Op: "test", Path: f.path("weight"), Value: f.weight})
		}
		steps = append(steps, cluster.Step{Op: "add", Path: f.path("weight"), Value: weightOf(next, places[f.name])})
	}
	if len(s.object.GetAnnotations()) == 0 {
		steps = append(steps, cluster.Step{Op: "add", Path: "/metadata/annotations", Value: map[string]string{}})
	}
	for key, value := range map[string]any{noteRouting: next, noteBackends: places} {
		text, err := json.Marshal(value)
		if err != nil {
			return s, err
		}
		steps = append(steps, cluster.Step{Op: "add", Path: "/metadata/annotations/" + strings.ReplaceAll(key, "/", "~1"), Value: string(text)})
	}
	o, err := r.cluster.Patch(ctx, cluster.HTTPRoutes, r.options.Route, steps)
	if err != nil {
		return s, err
	}
	s.object, s.adopted, s.routing, s.places = o, true, next, places
	if err := cluster.Decode(o, &s.route); err != nil {
		return s, err
	}
	s.refs, err = r.find(s.route)
	return s, err
}
