package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/drivers/cluster"
	"github.com/switchbackdb/switchback/strategies"
)

// slice is what is read of an EndpointSlice.
type slice struct {
	Endpoints []struct {
		Conditions struct {
			Ready *bool `json:"ready"`
		} `json:"conditions"`
		TargetRef *struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		} `json:"targetRef"`
	} `json:"endpoints"`
}

// endpoints looks at which pods the Services of a namespace send requests to.
type endpoints struct {
	cluster *cluster.Cluster
	timeout time.Duration // how long they may take to follow
}

// serving are the pods that requests to a Service go to, as the cluster's proxies are told.
func (e endpoints) serving(ctx context.Context, service string) ([]string, error) {
	found, err := e.cluster.List(ctx, cluster.EndpointSlices, map[string]string{"kubernetes.io/service-name": service})
	if err != nil {
		return nil, err
	}
	var pods []string
	for n := range found {
		var s slice
		if err := cluster.Decode(&found[n], &s); err != nil {
			return nil, err
		}
		for _, e := range s.Endpoints {
			ready := e.Conditions.Ready == nil || *e.Conditions.Ready
			// With two families of addresses a pod is in two of them.
			if ready && e.TargetRef != nil && e.TargetRef.Kind == "Pod" && !slices.Contains(pods, e.TargetRef.Name) {
				pods = append(pods, e.TargetRef.Name)
			}
		}
	}
	return pods, nil
}

// split tells which pods serve without being selected, and whether one that is selected and ready does not serve.
func (e endpoints) split(ctx context.Context, service string, selector map[string]string) (others []string, missing bool, err error) {
	others, err = e.serving(ctx, service)
	if err != nil {
		return nil, false, err
	}
	selected, err := e.cluster.List(ctx, cluster.Pods, selector)
	if err != nil {
		return nil, false, err
	}
	for n := range selected {
		i := slices.Index(others, selected[n].GetName())
		if i >= 0 {
			others = slices.Delete(others, i, i+1)
		}
		missing = missing || i < 0 && ready(&selected[n])
	}
	return others, missing, nil
}

// ready tells whether a pod can serve.
func ready(o *cluster.Object) bool {
	var p struct {
		Status struct {
			Conditions []struct {
				Type   string `json:"type"`
				Status string `json:"status"`
			} `json:"conditions"`
		} `json:"status"`
	}
	if err := cluster.Decode(o, &p); err != nil || o.GetDeletionTimestamp() != nil {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

// followed waits until requests to a Service go to all pods that are selected and ready, and to no others.
func (e endpoints) followed(ctx context.Context, service string, selector map[string]string) error {
	if len(selector) == 0 {
		return nil // whoever keeps the EndpointSlices of such a Service, it is not the cluster
	}
	deadline := time.Now().Add(e.timeout)
	for {
		others, missing, err := e.split(ctx, service, selector)
		if err != nil || len(others) == 0 && !missing {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it selects %s, but %s later its EndpointSlices do not: requests go to the pods [%s]; is the cluster's controller manager running?\n  next: %s",
				words(selector), e.timeout, strings.Join(others, " "), e.cluster.Kubectl("get endpointslices -l kubernetes.io/service-name="+service))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(look):
		}
	}
}

// Drain waits until the EndpointSlices of the Service have no pod of the address, and then as long as it takes the
// proxies of all nodes to hear of it. How many requests are under way nobody tells: it returns 0. They end within
// the pods' terminationGracePeriodSeconds, or are cut off by it.
func (r *Router) Drain(ctx context.Context, address string) (left int, err error) {
	return drain(ctx, address, r.options.Settle, func() (strategies.Routing, func() error, error) {
		s, err := r.read(ctx)
		return s.routing, func() error { return r.endpoints.followed(ctx, r.options.Service, s.service.Spec.Selector) }, err
	})
}

// drain waits until what was read of a routing, in which the address has no weight, is followed, and then for it to settle.
// The end of ctx's time ends it without an error: nobody tells how many requests are left.
func drain(ctx context.Context, address string, wait time.Duration, read func() (strategies.Routing, func() error, error)) (left int, err error) {
	fail := func(err error) (int, error) { return 0, fmt.Errorf("drain %s: %w", address, err) }
	if err := strategies.CheckAddress(address); err != nil {
		return fail(err)
	}
	routing, followed, err := read()
	if err != nil {
		return fail(err)
	}
	if err := weightless(routing, address); err != nil {
		return fail(err)
	}
	if err := followed(); err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return 0, nil
		}
		return fail(err)
	}
	if err := settle(ctx, wait); err != nil {
		return fail(err)
	}
	return 0, nil
}

// weightless refuses to drain an address that still gets requests.
func weightless(routing strategies.Routing, address string) error {
	for _, b := range routing.Backends {
		if b.Address == address && b.Weight > 0 {
			return fmt.Errorf("it still has weight %d; shift its traffic away first", b.Weight)
		}
	}
	return nil
}

// settle waits until the proxies will have heard of a shift, or a drain's time is over.
func settle(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
	case <-ctx.Done():
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return ctx.Err()
		}
	}
	return nil
}
