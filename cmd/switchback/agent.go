package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"

	"github.com/switchbackdb/switchback/agent"
	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/discovery/file"
	"github.com/switchbackdb/switchback/drivers/router/nginx"
	"github.com/switchbackdb/switchback/drivers/service/docker"
)

func agentCommand() *cli.Command {
	return &cli.Command{
		Name:  "agent",
		Usage: "keep service discovery in step with the containers of this machine, and NGINX with that",
		Description: `Registers the containers that have the label switchback.register=APPLICATION in the registry of
release.discovery, while they run and are healthy, and takes them out when they stop. Where
agent.render.include is set, it keeps an upstream of NGINX for each application there.

SIGTERM and Ctrl-C end it; SIGHUP has it read switchback.yaml again.`,
		Flags: append(outputFlags(),
			&cli.StringFlag{Name: "name", Usage: "its `NAME` in the registry, of its own", DefaultText: "agent.name, or the machine's"},
			&cli.BoolFlag{Name: "no-register", Usage: "register nothing", DefaultText: "agent.no_register"},
			&cli.BoolFlag{Name: "no-render", Usage: "leave NGINX alone"},
			&cli.BoolFlag{Name: "deregister", Usage: "take its entries out when it ends; without, they stay until it is back or agent.ttl is over"},
		),
		Action: runAgent,
	}
}

// leaveTime limits the removal of the entries at the end.
const leaveTime = 5 * time.Second

// runAgent runs the agent until it is told to end. On SIGHUP it goes on with what the configuration says by then.
func runAgent(c *cli.Context) error {
	p, err := openProject(c)
	if err != nil {
		return err
	}
	parts, err := p.agentParts(c)
	if err != nil {
		return err
	}
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	for {
		reread, err := parts.until(c.Context, again)
		if err == nil && !reread && c.Bool("deregister") {
			err = parts.leave(c.Context)
		}
		parts.close()
		if err != nil || !reread {
			return err
		}
		if p, parts, err = p.rereadAgent(c); err != nil {
			return err
		}
	}
}

// rereadAgent reads the configuration again. Where that is of no use, the agent goes on with the one it has.
func (p *project) rereadAgent(c *cli.Context) (*project, *agentParts, error) {
	next, err := openProject(c)
	if err == nil {
		var parts *agentParts
		if parts, err = next.agentParts(c); err == nil {
			parts.tell(agent.Event{Event: "reread", Detail: config.FileName + " was read again"})
			return next, parts, nil
		}
	}
	parts, old := p.agentParts(c)
	if old != nil {
		return nil, nil, errors.Join(err, old)
	}
	parts.tell(agent.Event{Event: agent.EventProblem, Detail: "goes on with the configuration it has: " + err.Error()})
	return p, parts, nil
}

// agentParts are what an agent is made of.
type agentParts struct {
	does      string // for people
	tell      func(agent.Event)
	registrar *agent.Registrar // nil when it is not to register
	renderer  *agent.Renderer  // nil when it is not to render
	closers   []func() error
}

func (a *agentParts) close() {
	for i := len(a.closers) - 1; i >= 0; i-- {
		_ = a.closers[i]()
	}
}

// until runs the agent until ctx ends or a signal comes, and tells whether it was that.
func (a *agentParts) until(ctx context.Context, again <-chan os.Signal) (reread bool, err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	a.tell(agent.Event{Event: "started", Detail: a.does})
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx) }()
	select {
	case <-again:
		stop()
		err = <-ended
		return err == nil, a.explain(err)
	case err = <-ended:
		return false, a.explain(err)
	}
}

// run runs both halves until one ends.
func (a *agentParts) run(ctx context.Context) error {
	halves, ctx := errgroup.WithContext(ctx)
	if a.registrar != nil {
		halves.Go(func() error { return a.registrar.Run(ctx) })
	}
	if a.renderer != nil {
		halves.Go(func() error { return a.renderer.Run(ctx) })
	}
	return halves.Wait()
}

func (a *agentParts) leave(ctx context.Context) error {
	if a.registrar == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	return a.registrar.Membership.Leave(ctx)
}

// explain says what to do about an agent that another one has taken over from.
func (a *agentParts) explain(err error) error {
	if errors.Is(err, agent.ErrSuperseded) {
		return &exitCode{exitLocked, fmt.Errorf("%w\n  state: the entries are the other one's now\n  next: stop one of the two, or give it a name of its own: agent.name, --name", err)}
	}
	return err
}

// agentParts puts an agent together as the configuration says.
func (p *project) agentParts(c *cli.Context) (*agentParts, error) {
	o := p.config.Agent
	if c.IsSet("name") {
		o.Name = c.String("name")
	}
	if o.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("find the machine's name: %w\n  next: set agent.name", err)
		}
		o.Name = name
	}
	if err := agent.CheckName(o.Name); err != nil {
		return nil, p.config.Fault("agent.name", err.Error())
	}
	if o.TTL < shortestTTL || o.TTL%time.Second != 0 {
		return nil, p.config.Fault("agent.ttl", fmt.Sprintf("is %s; it is in whole seconds, %s at least", o.TTL, shortestTTL))
	}
	a := &agentParts{tell: p.out.agentEvents()}
	if err := p.addHalves(c, a, o); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// shortestTTL is what etcd can be relied on to keep, and a third of it is enough for an answer.
const shortestTTL = 3 * time.Second

// shortestSession is the shortest that Consul makes sessions, unless it is configured otherwise.
const shortestSession = 10 * time.Second

func (p *project) addHalves(c *cli.Context, a *agentParts, o config.Agent) error {
	var does []string
	registry, err := p.agentRegistry(a)
	if err != nil {
		return err
	}
	if !o.NoRegister && !c.Bool("no-register") {
		if err := addRegistrar(a, o, registry); err != nil {
			return err
		}
		does = append(does, "registers the containers of this machine as "+o.Name)
	}
	if o.Render.Include != "" && !c.Bool("no-render") {
		if err := p.addRenderer(a, o, registry); err != nil {
			return err
		}
		does = append(does, "keeps the upstreams in "+o.Render.Include)
	}
	if len(does) == 0 {
		return errors.New("there is nothing for an agent to do: it registers nothing, and no NGINX is named\n  next: set agent.render.include, or leave out --no-register, --no-render and agent.no_register")
	}
	a.does = strings.Join(does, ", ")
	return nil
}

// agentRegistry is the registry that the configuration names, as an agent uses it.
type agentRegistry struct {
	agent.Registry
	join func(name string, ttl time.Duration) (agent.Membership, error)
}

func (p *project) agentRegistry(a *agentParts) (*agentRegistry, error) {
	switch d := p.config.Release.Discovery; d.Driver {
	case "file":
		registry := file.New(d.Path)
		return &agentRegistry{registry, func(name string, _ time.Duration) (agent.Membership, error) { return registry.Agent(name) }}, nil
	case "etcd":
		registry, err := openEtcd(d)
		if err != nil {
			return nil, err
		}
		a.closers = append(a.closers, registry.Close)
		return &agentRegistry{registry, func(name string, ttl time.Duration) (agent.Membership, error) { return registry.Agent(name, ttl) }}, nil
	case "consul":
		if ttl := p.config.Agent.TTL; ttl < shortestSession {
			return nil, p.config.Fault("agent.ttl", fmt.Sprintf("is %s; with Consul it is %s at least", ttl, shortestSession))
		}
		registry, err := p.openConsul(d)
		if err != nil {
			return nil, err
		}
		return &agentRegistry{registry, func(name string, ttl time.Duration) (agent.Membership, error) { return registry.Agent(name, ttl) }}, nil
	default:
		return nil, unknownDiscovery(d)
	}
}

func addRegistrar(a *agentParts, o config.Agent, registry *agentRegistry) error {
	member, err := registry.join(o.Name, o.TTL)
	if err != nil {
		return a.explain(err)
	}
	a.closers = append(a.closers, member.Close)
	containers, err := docker.NewContainers(docker.ContainersOptions{Address: o.Address, Labels: o.Labels})
	if err != nil {
		return err
	}
	a.closers = append(a.closers, containers.Close)
	a.registrar = &agent.Registrar{Agent: o.Name, Containers: containers, Membership: member, Beat: o.TTL / 3, Tell: a.tell}
	return nil
}

func (p *project) addRenderer(a *agentParts, o config.Agent, registry *agentRegistry) error {
	r := o.Render
	switch router := p.config.Release.Router; {
	case r.Empty != "keep" && r.Empty != "unavailable":
		return p.config.Fault("agent.render.empty", fmt.Sprintf("is %q; it is \"keep\" or \"unavailable\"", r.Empty))
	case router.Driver == "nginx" && router.Include == r.Include:
		return p.config.Fault("agent.render.include", "is the include of release.router, which writes the shares of a release there; give the agent one of its own")
	case router.Driver == "nginx" && router.Beacon != "" && router.Beacon == r.Beacon:
		return p.config.Fault("agent.render.beacon", "is the beacon of release.router; give the agent one of its own")
	}
	upstreams, err := nginx.NewUpstreams(nginx.UpstreamsOptions{
		Options:  nginx.Options{Include: r.Include, Beacon: r.Beacon, Test: r.Test, Reload: r.Reload, Timeout: r.Timeout},
		Template: r.Template, Applications: r.Applications, Unavailable: r.Empty == "unavailable",
	})
	var wrong *nginx.OptionError
	if errors.As(err, &wrong) {
		return p.config.Fault("agent.render."+wrong.Option, wrong.Reason)
	}
	if err != nil {
		return err
	}
	a.renderer = &agent.Renderer{
		Agent: o.Name, Registry: registry, Proxy: upstreams, Releases: r.Releases,
		Quiet: r.Quiet, Most: r.Most, Drain: r.Drain, Tell: a.tell,
	}
	return nil
}

// agentEvents returns what prints an agent's events: a line for each, in text or JSON. Its halves tell at the same
// time.
func (o *output) agentEvents() func(agent.Event) {
	var one sync.Mutex
	return func(e agent.Event) {
		one.Lock()
		defer one.Unlock()
		e.Time = time.Now()
		if o.json {
			_ = json.NewEncoder(o.w).Encode(e)
			return
		}
		if o.quiet && e.Event != agent.EventProblem {
			return
		}
		words := []string{e.Time.Format(time.TimeOnly), fmt.Sprintf("%-10s", e.Event)}
		for _, word := range []string{e.Key, e.Address, e.Version, e.Detail} {
			if word != "" {
				words = append(words, plainLine(word))
			}
		}
		if e.State != "" && e.State != "up" {
			words = append(words, "("+e.State+")")
		}
		fmt.Fprintln(o.w, strings.Join(words, "  "))
	}
}

// plainLine is a text as part of a line: labels of containers, and entries in a registry, are written by anybody.
func plainLine(text string) string {
	return strings.Map(func(c rune) rune {
		if c != '\n' && !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, strings.ReplaceAll(text, "\n", "\n    "))
}
