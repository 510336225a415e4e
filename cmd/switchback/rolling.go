package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/service/kubernetes"
	"github.com/switchbackdb/switchback/drivers/service/swarm"
	"github.com/switchbackdb/switchback/strategies"
)

// The drivers of services that replace instances by themselves, and also run two versions side by side.
const (
	swarmDriver      = "swarm"
	kubernetesDriver = "kubernetes"
)

// roller is the orchestrator that the configuration names; nil when the service replaces nothing by itself.
func (t *target) roller(r config.Release) (strategies.Roller, error) {
	switch r.Service.Driver {
	case swarmDriver:
		o, err := swarm.New(r.Application)
		if err != nil {
			return nil, err
		}
		t.closers = append(t.closers, o.Close)
		return o, nil
	case kubernetesDriver:
		if err := t.serviceWords(r.Service); err != nil {
			return nil, err
		}
		c, err := openCluster(r.Service.Cluster)
		if err != nil {
			return nil, err
		}
		return kubernetes.NewRoller(c, r.Application)
	}
	return nil, nil
}

// rollsOnly tells whether releases of the configuration can only be rolling ones: what replaces instances by itself
// needs neither a router nor a registry.
func rollsOnly(r config.Release) bool {
	return (r.Service.Driver == swarmDriver || r.Service.Driver == kubernetesDriver) && r.Router.Driver == noRouter
}

// rolling puts into a plan what is in force, and by what it is replaced in which pace.
func (t *target) rolling(ctx context.Context, m *strategies.Machine, p *strategies.Plan, releases []*strategies.Release) error {
	now, err := m.Roller.Rollout(ctx)
	if err != nil {
		return fmt.Errorf("%w\n  state: nothing was changed", err)
	}
	if p.Blue, err = inForce(now, releases); err != nil {
		return err
	}
	c := t.config.Release.Rolling
	to := strategies.Replacement{Version: p.Candidate, Grace: p.Timing.Grace, Pace: strategies.Pace{
		Replicas: c.Replicas, Parallelism: c.Parallelism, Delay: c.Delay, Order: strategies.Order(c.Order),
		Surge: c.Surge, Unavailable: c.Unavailable, Monitor: c.Monitor,
	}}
	to, err = m.Roller.Prepare(ctx, to)
	var wrong *strategies.PaceError
	if errors.As(err, &wrong) {
		return t.config.Fault("release.rolling."+wrong.Word, wrong.Reason)
	}
	if err != nil {
		return fmt.Errorf("%w\n  state: nothing was changed", err)
	}
	p.Candidate, p.Pace = to.Version, &to.Pace
	return nil
}

// inForce is the stable version, whose definition the orchestrator has to have; nil when there is none yet.
func inForce(now strategies.Rollout, releases []*strategies.Release) (*strategies.Stable, error) {
	blue := strategies.StableOf(releases)
	if err := sameKind(blue, releases, true); err != nil {
		return nil, err
	}
	reason := now.Foreign
	switch {
	case reason != "":
	case now.State == strategies.RollAbsent && blue != nil:
		return nil, fmt.Errorf("release %s is the stable one, but nothing of it is there any more: %w\n  state: nothing was changed\n  next: switchback release rollback puts the one before it there, then the same again", blue.Release, strategies.ErrForeignChange)
	case now.State != strategies.RollAbsent && (blue == nil || blue.Release != now.Release):
		reason = fmt.Sprintf("release %s is in force, which is not the stable one here", now.Release)
	}
	if reason != "" {
		return nil, fmt.Errorf("%s: %w\n  state: nothing was changed\n  next: %s", reason, strategies.ErrForeignChange, now.Look)
	}
	if blue != nil {
		blue.Replicas = now.Wanted
	}
	return blue, nil
}

// sameKind refuses a release whose stable version is of the other kind: instances that an orchestrator replaces in place,
// and versions that run side by side behind a router, know nothing of each other.
func sameKind(blue *strategies.Stable, releases []*strategies.Release, rolling bool) error {
	if blue == nil {
		return nil
	}
	i := slices.IndexFunc(releases, func(r *strategies.Release) bool { return r.Plan.Release == blue.Release })
	stable := releases[i].Plan.Strategy
	if (stable == strategies.Rolling) == rolling {
		return nil
	}
	why := "its instances are replaced in place, and no router shares traffic between them and a candidate"
	if rolling {
		why = "it serves behind a router, from which a rolling release would take nothing"
	}
	return fmt.Errorf("release %s is the stable one, and it is %s: %s\n  state: nothing was changed\n  next: go on with --strategy %s; or change over by hand: start the other kind under another release.application, move the clients there, and end this one",
		blue.Release, stable, why, stable)
}

// reachable refuses gates that ask an application whose instances only their orchestrator reaches.
func (t *target) reachable(p *strategies.Plan) error {
	c := p.Candidate.Container
	word := "publish"
	published := p.Strategy != strategies.Rolling || c != nil && c.Publish != nil
	if t.config.Release.Service.Driver == swarmDriver && p.Strategy != strategies.Rolling {
		word, published = "ports", c != nil && c.Ports != ""
	}
	for _, g := range p.Gates {
		if g.Kind == "http" && !published {
			return fmt.Errorf("gate %s asks the application, which is published on no port\n  next: set release.service.%s on a swarm, or make it a gate of the kind sql, exec or prometheus", g.Name, word)
		}
	}
	return nil
}

// printPace says how a rolling release replaces instances.
func (t *target) printPace(plan *strategies.Plan) {
	p := plan.Pace
	if p == nil {
		return
	}
	words := []string{"as many instances as there are"}
	if p.Replicas > 0 {
		words[0] = fmt.Sprintf("%d instances", p.Replicas)
	}
	if p.Parallelism > 0 {
		words = append(words, fmt.Sprintf("%d at a time", p.Parallelism))
	}
	if p.Order != "" {
		words = append(words, string(p.Order))
	}
	if p.Delay > 0 {
		words = append(words, fmt.Sprintf("%s between", p.Delay))
	}
	if p.Surge != "" {
		words = append(words, p.Surge+" more meanwhile")
	}
	if p.Unavailable != "" {
		words = append(words, p.Unavailable+" fewer meanwhile")
	}
	words = append(words, fmt.Sprintf("each watched for %s", p.Monitor))
	t.out.printf("  roll: %s", strings.Join(words, ", "))
	if c := plan.Candidate.Container; c != nil {
		t.out.printf("  image: %s", c.Image)
	}
}
