package swarm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	api "github.com/moby/moby/api/types/swarm"

	"github.com/switchbackdb/switchback/drivers/service/engine"
	"github.com/switchbackdb/switchback/strategies"
)

// Prepare implements strategies.Roller. The image becomes the one that the engine has under its name now: by its digest in
// a registry when there is one, else by its ID.
func (o *Orchestrator) Prepare(ctx context.Context, r strategies.Replacement) (strategies.Replacement, error) {
	if r.Version.Container == nil || r.Version.Container.Image == "" {
		return r, errors.New("no image is configured\n  next: set release.service.image, see docs/releases.md")
	}
	c := *r.Version.Container
	r.Version.Container = &c
	var err error
	if r.Pace, err = paced(r.Pace, c); err != nil {
		return r, err
	}
	fail := func(err error) (strategies.Replacement, error) {
		return r, fmt.Errorf("prepare service %s for %s: %w", o.application, r.Version.Name, err)
	}
	if _, err := o.find(ctx); err != nil { // is it a swarm at all?
		return fail(err)
	}
	if err := o.check(ctx, r.Version); err != nil {
		return fail(err)
	}
	found, err := engine.Inspect(ctx, o.engine, r.Version.Filler("")(c.Image))
	if err != nil {
		return fail(err)
	}
	port, err := found.Port(c.Port)
	if err != nil {
		return fail(err)
	}
	if !r.Version.NoHealth && !found.Probed(engine.Healthcheck(c.Healthcheck)) {
		return fail(fmt.Errorf("nothing says when %s is healthy: its image has no HEALTHCHECK, and a swarm takes what has none for healthy at once\n  next: set release.service.healthcheck.command; or --no-health, which leaves it at that", found.Name))
	}
	c.Image, c.Port = pinned(found), int(port.Num())
	return r, nil
}

// check refuses what a task of a swarm cannot have.
func (o *Orchestrator) check(ctx context.Context, v strategies.Version) error {
	c := v.Container
	switch {
	case v.Health != "":
		return errors.New("tasks of a swarm cannot be reached from here to ask for their health\n  next: leave out release.service.health, and set release.service.healthcheck.command")
	case c.Ports != "":
		return errors.New("tasks of a swarm are not published on a port each\n  next: leave out release.service.ports; release.service.publish is the port of all of them")
	case c.Endpoint != "" && c.Endpoint != string(api.ResolutionModeVIP) && c.Endpoint != string(api.ResolutionModeDNSRR):
		return fmt.Errorf("the endpoint mode %q is none\n  next: set release.service.endpoint to vip or dnsrr", c.Endpoint)
	}
	if out := c.Publish; out != nil {
		ingress := out.Mode == string(api.PortConfigPublishModeIngress)
		switch {
		case out.Port < 1 || out.Port > 65535:
			return fmt.Errorf("port %d is none\n  next: set release.service.publish to a port of the swarm's machines", out.Port)
		case !ingress && out.Mode != string(api.PortConfigPublishModeHost):
			return fmt.Errorf("the publish mode %q is none\n  next: set release.service.publish_mode to ingress or host", out.Mode)
		case ingress && c.Endpoint == string(api.ResolutionModeDNSRR):
			return errors.New("a swarm has no routing mesh to what is found by its name alone (dnsrr)\n  next: set release.service.publish_mode to host, or leave out release.service.endpoint")
		}
	}
	for _, volume := range c.Volumes {
		if source, target, _ := strings.Cut(volume, ":"); source == "" || !strings.HasPrefix(target, "/") {
			return fmt.Errorf("the volume %q is not SOURCE:TARGET or SOURCE:TARGET:ro\n  next: set release.service.volumes", volume)
		}
	}
	if c.Network == "" {
		return nil
	}
	_, err := o.network(ctx, c.Network)
	return err
}

// pinned is the name of an image that no tag can move.
func pinned(i *engine.Image) string {
	name, _, _ := strings.Cut(i.Name, "@")
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name = name[:colon]
	}
	for _, digest := range i.Digests {
		if strings.HasPrefix(digest, name+"@") {
			return digest
		}
	}
	return i.ID
}

// What a pace is where nothing else is said.
const (
	parallelism = 1
	monitor     = 30 * time.Second // a swarm's own 5 s end before most of what fails late
)

// paced is a pace with what was left out.
func paced(p strategies.Pace, c strategies.Container) (strategies.Pace, error) {
	if err := strategies.CheckPace(p); err != nil {
		return p, err
	}
	for _, word := range []struct{ name, value string }{{"surge", p.Surge}, {"unavailable", p.Unavailable}} {
		if word.value != "" {
			return p, &strategies.PaceError{Word: word.name, Reason: fmt.Sprintf("is %q: a swarm does not know it; it knows parallelism and order", word.value)}
		}
	}
	if p.Parallelism == 0 {
		p.Parallelism = parallelism
	}
	if p.Order == "" {
		p.Order = strategies.StartFirst
		if c.Publish != nil && c.Publish.Mode == string(api.PortConfigPublishModeHost) {
			p.Order = strategies.StopFirst // the old task has the port
		}
	}
	if p.Monitor == 0 {
		p.Monitor = monitor
	}
	return p, nil
}
