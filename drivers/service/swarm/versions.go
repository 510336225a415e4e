package swarm

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	api "github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/drivers/service/engine"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/internal/secret"
	"github.com/switchbackdb/switchback/strategies"
)

// Versions runs versions of the application side by side, behind a router: each is a service of the swarm. It implements
// strategies.Service. A stopped one has no tasks and stays until it is removed, so the way back starts that same one.
type Versions struct {
	swarm *Orchestrator
	grace time.Duration // that its tasks have to stop; a swarm knows it from their start
}

var (
	_ strategies.Service = (*Versions)(nil)
	_ strategies.Checker = (*Versions)(nil)
)

// The labels of a version's service, beside those of every service that is ours.
const (
	labelInstance = "switchback.instance"
	labelSlot     = "switchback.slot"
	labelPort     = "switchback.port"  // where the application listens inside
	labelTasks    = "switchback.tasks" // how many it has when it is not stopped
)

var validInstance = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// longestName is the longest name of a service.
const longestName = 63

// restartDelay is how long a swarm waits before it starts a task again that has ended.
const restartDelay = 2 * time.Second

// ends is how often tasks may have failed, with none that runs, until a version is taken for ended.
const ends = 3

// NewVersions returns the service for an application, whose tasks have grace to stop.
func NewVersions(application string, grace time.Duration) (*Versions, error) {
	o, err := New(application)
	if err != nil {
		return nil, err
	}
	return &Versions{swarm: o, grace: grace}, nil
}

// Close closes the connections to the engine.
func (s *Versions) Close() error { return s.swarm.Close() }

// Check implements strategies.Checker: it is a swarm, the image is there and says enough, and a router can reach it.
func (s *Versions) Check(ctx context.Context, v strategies.Version) error {
	if _, err := s.plan(ctx, v); err != nil {
		return fmt.Errorf("start %s: %w", strategies.InstanceID(v.Release, v.Slot), err)
	}
	return nil
}

// plan returns a version with its image pinned and its port known. It changes nothing.
func (s *Versions) plan(ctx context.Context, v strategies.Version) (strategies.Version, error) {
	id := strategies.InstanceID(v.Release, v.Slot)
	switch name := s.name(id); {
	case !validInstance.MatchString(id) || len(name) > longestName:
		return v, fmt.Errorf("the service %q: the name of a release is letters, digits, dots, dashes and underscores, and with the application's at most %d\n  next: --name NAME", name, longestName)
	case v.Container == nil || v.Container.Image == "":
		return v, errors.New("no image is configured\n  next: set release.service.image, see docs/releases.md")
	}
	c := *v.Container
	switch {
	case c.Publish != nil && c.Publish.Port != 0:
		return v, errors.New("two versions cannot be published on one port\n  next: set release.service.ports to a range, FIRST-LAST, in place of publish; or --strategy rolling")
	case c.Ports == "" && c.Network == "":
		return v, errors.New("nothing says where a router reaches the versions\n  next: set release.service.ports to ports of the swarm's machines, FIRST-LAST; or release.service.network, for a router that is on it")
	}
	plain := v
	plain.Container = &c
	asked := c
	asked.Ports, asked.Publish = "", nil // which port is taken is found out when it is started
	if first, _, err := portRange(c.Ports); c.Ports != "" {
		if err != nil {
			return v, err
		}
		asked.Publish = &strategies.Publish{Port: first, Mode: published(c)}
	}
	r, err := s.swarm.Prepare(ctx, strategies.Replacement{Version: strategies.Version{
		Release: v.Release, Slot: v.Slot, Name: v.Name, Health: v.Health, Command: v.Command, Env: v.Env, Container: &asked,
	}})
	if err != nil {
		return v, err
	}
	c.Image, c.Port = r.Version.Container.Image, r.Version.Container.Port
	return plain, nil
}

// published is how a version's port is published.
func published(c strategies.Container) string {
	if c.Publish == nil || c.Publish.Mode == "" {
		return string(api.PortConfigPublishModeIngress)
	}
	return c.Publish.Mode
}

// portRange reads FIRST-LAST.
func portRange(text string) (first, last int, err error) {
	a, b, several := strings.Cut(text, "-")
	if !several {
		b = a
	}
	first, err = strconv.Atoi(a)
	if err == nil {
		last, err = strconv.Atoi(b)
	}
	if err != nil || first < 1 || last < first || last > 65535 {
		return 0, 0, fmt.Errorf("the ports %q are none\n  next: set release.service.ports to FIRST-LAST, such as 18000-18099", text)
	}
	return first, last, nil
}

// name is that of an instance's service. A swarm takes no dots, which versions have: what tells such names apart then is a
// short hash.
func (s *Versions) name(id string) string {
	plain := strings.ReplaceAll(id, ".", "-")
	if plain != id {
		sum := sha256.Sum256([]byte(id))
		plain += "-" + hex.EncodeToString(sum[:3])
	}
	return s.swarm.application + "-" + plain
}

// Start implements strategies.Service. A service of the instance that is there already, made by an earlier attempt or
// stopped since, gets its tasks; one that runs is left as it is.
func (s *Versions) Start(ctx context.Context, op strategies.Operation, v strategies.Version) (i strategies.Instance, err error) {
	id := strategies.InstanceID(v.Release, v.Slot)
	fail := func(err error) (strategies.Instance, error) {
		return strategies.Instance{}, fmt.Errorf("start %s: %w", id, secret.Hide(v.Env).In(err))
	}
	if !validInstance.MatchString(id) {
		return fail(errors.New("the name of a release is letters, digits, dots, dashes and underscores"))
	}
	if err := s.swarm.enter(ctx, op); err != nil {
		return fail(err)
	}
	err = s.swarm.alone(func() error {
		found, err := s.find(ctx, id)
		switch {
		case errors.Is(err, strategies.ErrNotFound):
			if err := s.create(ctx, op, v); err != nil {
				return err
			}
		case err != nil:
			return err
		case tasksOf(found) == 0:
			if err := s.scale(ctx, found, planned(found)); err != nil {
				return err
			}
		}
		i, err = s.Observe(ctx, id)
		return err
	})
	if err != nil {
		return fail(err)
	}
	return i, nil
}

// create makes the service of a version.
func (s *Versions) create(ctx context.Context, op strategies.Operation, v strategies.Version) error {
	v, err := s.plan(ctx, v)
	if err != nil {
		return err
	}
	if v.Container.Ports != "" {
		port, err := s.freePort(ctx, v)
		if err != nil {
			return err
		}
		v.Container.Publish = &strategies.Publish{Port: port, Mode: published(*v.Container)}
	}
	replicas := max(1, v.Container.Replicas)
	d, err := s.swarm.define(ctx, op, strategies.Replacement{Version: v, Grace: s.grace, Pace: strategies.Pace{Replicas: replicas}})
	if err != nil {
		return err
	}
	d.update = nil // nothing of it is ever replaced
	id := strategies.InstanceID(v.Release, v.Slot)
	spec := d.onto(api.ServiceSpec{})
	spec.Name = s.name(id)
	spec.Labels[labelInstance], spec.Labels[labelSlot], spec.Labels[labelTasks] = id, string(v.Slot), strconv.Itoa(replicas)
	spec.Labels[labelPort] = strconv.Itoa(v.Container.Port)
	delay := restartDelay
	spec.TaskTemplate.RestartPolicy = &api.RestartPolicy{Condition: api.RestartPolicyConditionAny, Delay: &delay}
	failpoint.Hit("swarm: decided")
	_, err = s.swarm.engine.ServiceCreate(ctx, client.ServiceCreateOptions{Spec: spec})
	failpoint.Hit("swarm: created")
	return explain(err)
}

// freePort is one of the version's ports that no service of the swarm has, and nothing else on this machine. Where it begins to
// look is by the version's name: two applications that share a range rarely come to the same one at the same time.
func (s *Versions) freePort(ctx context.Context, v strategies.Version) (int, error) {
	first, last, err := portRange(v.Container.Ports)
	if err != nil {
		return 0, err
	}
	services, err := s.swarm.engine.ServiceList(ctx, client.ServiceListOptions{})
	if err != nil {
		return 0, explain(err)
	}
	taken := map[int]bool{}
	for _, one := range services.Items {
		if e := one.Spec.EndpointSpec; e != nil {
			for _, p := range e.Ports {
				taken[int(p.PublishedPort)] = true
			}
		}
	}
	sum := sha256.Sum256([]byte(s.name(strategies.InstanceID(v.Release, v.Slot))))
	width := last - first + 1
	for n := range width {
		port := first + (int(binary.BigEndian.Uint16(sum[:]))+n)%width
		if !taken[port] && s.listens(ctx, port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no port of %s is free\n  next: make release.service.ports wider", v.Container.Ports)
}

// listens tells whether a port of this machine can be listened on. Of an engine elsewhere nobody knows.
func (s *Versions) listens(ctx context.Context, port int) bool {
	if !engine.OnThisMachine(s.swarm.engine.DaemonHost()) {
		return true
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// find returns the service of an instance, or ErrNotFound. One of its name that is not ours, or that somebody has changed,
// is strategies.ErrForeignChange.
func (s *Versions) find(ctx context.Context, id string) (*api.Service, error) {
	if !validInstance.MatchString(id) {
		return nil, strategies.ErrNotFound
	}
	found, err := s.swarm.named(ctx, s.name(id))
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, strategies.ErrNotFound
	}
	name, l := found.Spec.Name, found.Spec.Labels
	if l[labelApplication] != s.swarm.application || l[labelInstance] != id || found.Spec.Mode.Replicated == nil {
		return nil, fmt.Errorf("there is a service %s that is not of this application: %w\n  next: docker service inspect --pretty %s; remove it, or give release.application another name", name, strategies.ErrForeignChange, name)
	}
	if names := changed(l[labelDefinition], partsOf(found.Spec).hash()); len(names) > 0 {
		return nil, fmt.Errorf("somebody has changed the %s of the service %s: %w\n  next: docker service rollback %s takes the last change back", strings.Join(names, ", "), name, strategies.ErrForeignChange, name)
	}
	return found, nil
}

// tasksOf is how many tasks a service is to have.
func tasksOf(found *api.Service) uint64 {
	if r := found.Spec.Mode.Replicated; r != nil && r.Replicas != nil {
		return *r.Replicas
	}
	return 1
}

// planned is how many it has when it is not stopped.
func planned(found *api.Service) uint64 {
	n, err := strconv.ParseUint(found.Spec.Labels[labelTasks], 10, 64)
	if err != nil || n == 0 {
		return 1
	}
	return n
}

// scale gives a service so many tasks.
func (s *Versions) scale(ctx context.Context, found *api.Service, tasks uint64) error {
	spec := found.Spec
	spec.Mode = api.ServiceMode{Replicated: &api.ReplicatedService{Replicas: &tasks}}
	if tasks == 0 { // who has scaled it since is remembered
		spec.Labels[labelTasks] = strconv.FormatUint(tasksOf(found), 10)
	}
	return s.swarm.update(ctx, found, spec)
}

// Observe implements strategies.Service: healthy is as many tasks as there are to be, whose healthchecks succeed.
func (s *Versions) Observe(ctx context.Context, id string) (strategies.Instance, error) {
	found, err := s.find(ctx, id)
	if errors.Is(err, strategies.ErrNotFound) {
		return strategies.Instance{ID: id, State: strategies.StateAbsent}, nil
	}
	if err == nil {
		var i strategies.Instance
		if i, err = s.instance(ctx, found); err == nil {
			return i, nil
		}
	}
	return strategies.Instance{}, fmt.Errorf("observe %s: %w", id, err)
}

// instance looks at a service and its tasks once.
func (s *Versions) instance(ctx context.Context, found *api.Service) (strategies.Instance, error) {
	l := found.Spec.Labels
	i := strategies.Instance{
		ID: l[labelInstance], Release: l[labelRelease], Version: l[labelVersion], Slot: strategies.Slot(l[labelSlot]),
		Address: addressOf(found), State: strategies.StateStarting, Started: found.CreatedAt,
	}
	tasks, err := s.swarm.tasks(ctx, found)
	if err != nil {
		return i, err
	}
	wanted := tasksOf(found)
	var living, running uint64
	failed := 0
	for _, t := range tasks {
		switch {
		case lives(t):
			living++
			if t.Status.State == api.TaskStateRunning && t.DesiredState == api.TaskStateRunning {
				running++
			}
		case t.Status.State == api.TaskStateFailed || t.Status.State == api.TaskStateRejected || t.Status.State == api.TaskStateComplete:
			failed++
		}
	}
	why := s.swarm.failures(ctx, i.Release, tasks, secret.HideList(found.Spec.TaskTemplate.ContainerSpec.Env))
	i.Detail = strings.TrimSuffix(fmt.Sprintf("%d of %d tasks are healthy: %s", running, wanted, why), ": ")
	switch {
	case wanted == 0 && living == 0:
		i.State, i.Detail = strategies.StateStopped, "has no tasks"
	case wanted == 0:
		i.State, i.Detail = strategies.StateFailing, fmt.Sprintf("%d tasks are still stopping", living)
	case running >= wanted:
		i.State, i.Detail = strategies.StateHealthy, ""
	case running == 0 && failed >= ends:
		i.State = strategies.StateStopped
	}
	return i, nil
}

// addressOf is where a router reaches a version: at its published port on this machine, else by its name on its network.
func addressOf(found *api.Service) string {
	if e := found.Spec.EndpointSpec; e != nil {
		for _, p := range e.Ports {
			return net.JoinHostPort("127.0.0.1", strconv.FormatUint(uint64(p.PublishedPort), 10))
		}
	}
	return net.JoinHostPort(found.Spec.Name, found.Spec.Labels[labelPort])
}

// List implements strategies.Service.
func (s *Versions) List(ctx context.Context) ([]strategies.Instance, error) {
	filters := make(client.Filters).Add("label", labelApplication+"="+s.swarm.application).Add("label", labelInstance)
	found, err := s.swarm.engine.ServiceList(ctx, client.ServiceListOptions{Filters: filters})
	if err != nil {
		return nil, fmt.Errorf("list the services of %s: %w", s.swarm.application, explain(err))
	}
	var list []strategies.Instance
	for n := range found.Items {
		i, err := s.instance(ctx, &found.Items[n])
		if err != nil {
			return nil, fmt.Errorf("list the services of %s: %w", s.swarm.application, err)
		}
		list = append(list, i)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].ID < list[j].ID })
	return list, nil
}

// Stop implements strategies.Service: its tasks get the image's stop signal, and SIGKILL after the grace that they were
// started with.
func (s *Versions) Stop(ctx context.Context, op strategies.Operation, id string, _ time.Duration) error {
	fail := func(err error) error { return tried("stop "+id, err) }
	if err := s.swarm.enter(ctx, op); err != nil {
		return fail(err)
	}
	var found *api.Service
	err := s.swarm.alone(func() (err error) {
		if found, err = s.find(ctx, id); err != nil || tasksOf(found) == 0 {
			return err
		}
		return s.scale(ctx, found, 0)
	})
	if errors.Is(err, strategies.ErrNotFound) {
		return nil
	}
	if err == nil {
		failpoint.Hit("swarm: stopping")
		err = s.swarm.emptied(ctx, found)
	}
	return fail(err)
}

// Remove implements strategies.Service. One whose tasks run is not removed.
func (s *Versions) Remove(ctx context.Context, op strategies.Operation, id string) error {
	fail := func(err error) error { return tried("remove "+id, err) }
	if err := s.swarm.enter(ctx, op); err != nil {
		return fail(err)
	}
	found, err := s.find(ctx, id)
	if errors.Is(err, strategies.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fail(err)
	}
	i, err := s.instance(ctx, found)
	if err != nil {
		return fail(err)
	}
	if i.State != strategies.StateStopped {
		return fail(fmt.Errorf("its service %s has tasks: stop it first", found.Spec.Name))
	}
	if err := engine.RemoveService(ctx, s.swarm.engine, found.ID); err != nil {
		return fail(explain(err))
	}
	failpoint.Hit("swarm: removed")
	return nil
}
