package kubernetes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/drivers/cluster"
)

// parentRef names a Gateway, or what else a route belongs to.
type parentRef struct {
	Group       string `json:"group"`
	Kind        string `json:"kind"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	SectionName string `json:"sectionName"`
	Port        int    `json:"port"`
}

// parentStatus is what a controller says of a route.
type parentStatus struct {
	ParentRef      parentRef   `json:"parentRef"`
	ControllerName string      `json:"controllerName"`
	Conditions     []condition `json:"conditions"`
}

type condition struct {
	Type               string `json:"type"`
	Status             string `json:"status"`
	Reason             string `json:"reason"`
	Message            string `json:"message"`
	ObservedGeneration int64  `json:"observedGeneration"`
}

// reports are what controllers say of a route, for parents that it still has.
func (r *Route) reports(route httpRoute) []parentStatus {
	whole := func(p parentRef) parentRef {
		if p.Group == "" {
			p.Group = "gateway.networking.k8s.io"
		}
		if p.Kind == "" {
			p.Kind = "Gateway"
		}
		if p.Namespace == "" {
			p.Namespace = r.cluster.Namespace
		}
		return p
	}
	var list []parentStatus
	for _, status := range route.Status.Parents {
		if slices.ContainsFunc(route.Spec.ParentRefs, func(p parentRef) bool { return whole(p) == whole(status.ParentRef) }) {
			list = append(list, status)
		}
	}
	return list
}

// reporters says who is waited for after a shift.
func (r *Route) reporters(s routeState) string {
	var names []string
	for _, p := range r.reports(s.route) {
		names = append(names, fmt.Sprintf("%s (%s %s)", p.ControllerName, p.ParentRef.Kind, p.ParentRef.Name))
	}
	if len(names) == 0 {
		return "no controller reports on the route: a shift is taken for done once it is written, and nobody says whether a Gateway follows"
	}
	return "wait until it is accepted by " + strings.Join(names, ", ")
}

// accepted waits until every controller that reports on the route has accepted this generation of it, and found its
// Services. Where none reports there is nothing to wait for.
func (r *Route) accepted(ctx context.Context, generation int64) error {
	deadline := time.Now().Add(r.options.Timeout)
	for {
		o, err := r.cluster.Get(ctx, cluster.HTTPRoutes, r.options.Route)
		if err != nil {
			return err
		}
		var route httpRoute
		if err := cluster.Decode(o, &route); err != nil {
			return err
		}
		lacks := ""
		for _, p := range r.reports(route) {
			if lacks = p.lacks(generation); lacks != "" {
				break
			}
		}
		if lacks == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it was written, but %s later %s\n  next: %s", r.options.Timeout, lacks, r.cluster.Kubectl("describe httproute "+r.options.Route))
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(look):
		}
	}
}

// lacks is what a controller has not said, or has against it; empty when it has accepted the generation.
func (p parentStatus) lacks(generation int64) string {
	accepted := false
	for _, c := range p.Conditions {
		if c.Type != "Accepted" && c.Type != "ResolvedRefs" {
			continue
		}
		if c.ObservedGeneration < generation {
			return fmt.Sprintf("the controller %s has not looked at it: its %s is of generation %d, and it is %d", p.ControllerName, c.Type, c.ObservedGeneration, generation)
		}
		if c.Status != "True" {
			return fmt.Sprintf("the controller %s says %s=%s: %s %s", p.ControllerName, c.Type, c.Status, c.Reason, c.Message)
		}
		accepted = accepted || c.Type == "Accepted"
	}
	if !accepted {
		return fmt.Sprintf("the controller %s has not said whether it accepts it", p.ControllerName)
	}
	return ""
}
