package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/strategies"
)

// The annotations of a Service that an HTTPRoute names, beside noteSelector and noteOriginal.
const (
	noteBackend = "switchback/backend" // the address that it stands for, as JSON
	noteFence   = "switchback/fence"   // of the operation that wrote it, as JSON
)

// side is one of the two Services that share the traffic of a route.
type side struct {
	name     string
	object   *cluster.Object
	service  service
	noted    bool   // it has our notes
	backend  string // the address that it stands for; empty for none
	fence    int64
	original map[string]string // what it selected before it was first written to
}

// side reads a Service of the route. One whose selector is not the one that was written is strategies.ErrForeignChange.
func (r *Route) side(ctx context.Context, name string) (s side, err error) {
	s.name = name
	s.object, err = r.cluster.Get(ctx, cluster.Services, name)
	if errors.Is(err, strategies.ErrNotFound) {
		return s, fmt.Errorf("%w\n  next: make it, with the application's port and no selector, see docs/kubernetes.md", err)
	}
	if err != nil {
		return s, err
	}
	if err := cluster.Decode(s.object, &s.service); err != nil {
		return s, err
	}
	if s.service.Spec.Type == "ExternalName" {
		return s, errors.New("it is of the type ExternalName and selects no pods\n  next: name a Service that does")
	}
	notes := s.object.GetAnnotations()
	if s.noted = notes[noteBackend] != ""; !s.noted {
		s.original = s.service.Spec.Selector
		return s, nil
	}
	var selector map[string]string
	for key, into := range map[string]any{noteSelector: &selector, noteOriginal: &s.original, noteBackend: &s.backend, noteFence: &s.fence} {
		if err := json.Unmarshal([]byte(notes[key]), into); err != nil {
			return s, fmt.Errorf("its annotation %s cannot be read (%w): %w", key, err, strategies.ErrForeignChange)
		}
	}
	if !maps.Equal(selector, s.service.Spec.Selector) {
		return s, fmt.Errorf("it selects %s, switchback wrote %s: %w\n  next: find out who did; put it back with: %s",
			words(s.service.Spec.Selector), words(selector), strategies.ErrForeignChange, putBack(r.cluster, name, notes[noteSelector]))
	}
	return s, nil
}

// point is what one of the Services is to stand for.
type point struct {
	on       *side
	address  string
	selector map[string]string
}

// points are those of the Services that get traffic.
func (r *Route) points(ctx context.Context, s routeState, next strategies.Routing, places map[string]string) ([]point, error) {
	var list []point
	for n := range s.sides {
		on := &s.sides[n]
		address := places[on.name]
		if weightOf(next, address) == 0 {
			continue
		}
		selector, err := r.selector(ctx, on, address)
		if err != nil {
			return nil, err
		}
		list = append(list, point{on, address, selector})
	}
	return list, nil
}

// point has a Service select the pods of an address, and returns once its EndpointSlices have them and no others. Only
// where it has no weight does that change anything but the fence.
func (r *Route) point(ctx context.Context, s routeState, p point, fence int64) error {
	on := p.on
	if on.fence > fence {
		return fmt.Errorf("fence %d, seen %d: %w", fence, on.fence, strategies.ErrStaleFence)
	}
	same := maps.Equal(p.selector, on.service.Spec.Selector)
	if !same && s.weight(on.name) > 0 {
		return fmt.Errorf("it has weight and selects %s, while %s is %s: %w", words(on.service.Spec.Selector), p.address, words(p.selector), strategies.ErrForeignChange)
	}
	if !same || !on.noted || on.backend != p.address || on.fence != fence {
		_, err := rewrite(ctx, r.cluster, on.object, p.selector, map[string]any{noteSelector: p.selector, noteOriginal: on.original, noteBackend: p.address, noteFence: fence})
		if err != nil {
			return err
		}
		failpoint.Hit("kubernetes: side selected")
	}
	return r.endpoints.followed(ctx, on.name, p.selector)
}

// selector is what a Service has to select to stand for an address.
func (r *Route) selector(ctx context.Context, on *side, address string) (map[string]string, error) {
	name, err := serviceOf(r.cluster, address)
	if err != nil {
		return nil, err
	}
	if name != on.name {
		return selectorOf(ctx, r.cluster, name)
	}
	if len(on.original) == 0 {
		return nil, fmt.Errorf("%w: address %s is its own, and it selected nothing at first", strategies.ErrInvalidRouting, address)
	}
	return on.original, nil
}
