package docker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"golang.org/x/sys/unix"

	"github.com/switchbackdb/switchback/agent"
	"github.com/switchbackdb/switchback/drivers/service/engine"
	"github.com/switchbackdb/switchback/strategies"
)

// The labels by which anybody has a container registered.
const (
	labelRegister = "switchback.register" // its application
	labelPort     = "switchback.port"     // where it listens inside; the only one it exposes when missing
	labelNetwork  = "switchback.network"  // on which it is reached when it publishes nothing and is on several
)

const (
	// eventPause is how soon a stream of events that ended is opened again.
	eventPause = time.Second
	// stopWindow is how long a container that ignores its stop signal counts as stopping. Signals before the stream
	// was opened count as well.
	stopWindow = 10 * time.Minute
	// firstRealTime is SIGRTMIN, as Linux numbers it for programs.
	firstRealTime = 34
)

// ContainersOptions say which containers there are, and how they are reached.
type ContainersOptions struct {
	Address string   // of this machine, for what publishes a port on all of its addresses; default 127.0.0.1
	Labels  []string // a container has to have all of them: NAME or NAME=VALUE
}

// Containers are the containers of the engine of this machine that belong to an application: by the label
// switchback.register, or because a Service made them. It implements agent.Containers.
type Containers struct {
	options ContainersOptions
	engine  *client.Client

	mu       sync.Mutex
	stopping map[string][]signalled // by container ID
}

// signalled is a signal that a container was sent.
type signalled struct {
	number int
	at     time.Time
}

var _ agent.Containers = (*Containers)(nil)

// NewContainers returns them. The engine need not run yet.
func NewContainers(o ContainersOptions) (*Containers, error) {
	if o.Address == "" {
		o.Address = loopback
	}
	if err := strategies.CheckAddress(net.JoinHostPort(o.Address, "1")); err != nil {
		return nil, fmt.Errorf("the address of this machine: %w", err)
	}
	docker, err := client.New(client.FromEnv)
	if err != nil {
		return nil, fmt.Errorf("open Docker: %w\n  next: check DOCKER_HOST, DOCKER_CERT_PATH and DOCKER_TLS_VERIFY", err)
	}
	return &Containers{options: o, engine: docker, stopping: map[string][]signalled{}}, nil
}

// Close closes the connections to the engine.
func (c *Containers) Close() error { return c.engine.Close() }

// List implements agent.Containers. It returns those that have begun and not ended.
func (c *Containers) List(ctx context.Context) ([]agent.Container, error) {
	ids := map[string]bool{}
	for _, label := range []string{labelRegister, labelInstance} {
		filters := make(client.Filters).Add("label", append([]string{label}, c.options.Labels...)...)
		found, err := c.engine.ContainerList(ctx, client.ContainerListOptions{Filters: filters})
		if err != nil {
			return nil, fmt.Errorf("list containers: %w", engine.Explain(err))
		}
		for _, f := range found.Items {
			ids[f.ID] = true
		}
	}
	var list []agent.Container
	for id := range ids {
		found, err := c.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at the container %s: %w", id, engine.Explain(err))
		}
		if state := found.Container.State; state != nil && state.Running { // a paused one counts as running
			list = append(list, c.describe(found.Container))
		}
	}
	slices.SortFunc(list, func(a, b agent.Container) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

func (c *Containers) describe(found container.InspectResponse) agent.Container {
	l := found.Config.Labels
	d := agent.Container{Name: name(found), Application: l[labelRegister], Version: l[labelVersion]}
	if l[labelInstance] != "" { // a release's, whatever its image says
		d.Application, d.Instance, d.Release, d.Slot = l[labelApplication], l[labelInstance], l[labelRelease], strategies.Slot(l[labelSlot])
	}
	if d.Version == "" {
		_, d.Version, _ = strings.Cut(found.Config.Image[strings.LastIndexByte(found.Config.Image, '/')+1:], ":")
	}
	if d.Reason = c.unready(found); d.Reason != "" {
		return d
	}
	var err error
	if d.Address, err = c.reach(found); err != nil {
		d.Reason = err.Error()
		return d
	}
	d.Ready = true
	return d
}

// unready says why a container takes no requests; empty when it does.
func (c *Containers) unready(found container.InspectResponse) string {
	switch {
	case found.State.Status != container.StateRunning:
		return "it is " + string(found.State.Status)
	case c.toldToStop(found):
		return "it was told to stop"
	}
	if h := found.State.Health; h != nil {
		switch h.Status {
		case container.Starting:
			return "its healthcheck has not succeeded yet"
		case container.Unhealthy:
			return "its healthcheck fails"
		}
	}
	return ""
}

// reach is where a container is reached: at the port it publishes, else at its own address, which is of use on this
// machine, or on a network that spans several.
func (c *Containers) reach(found container.InspectResponse) (string, error) {
	port, err := inside(found)
	if err != nil {
		return "", err
	}
	if found.HostConfig != nil && found.HostConfig.NetworkMode.IsHost() {
		return net.JoinHostPort(c.options.Address, strconv.Itoa(int(port.Num()))), nil
	}
	if found.NetworkSettings == nil {
		return "", errors.New("it is on no network")
	}
	if published := found.NetworkSettings.Ports[port]; len(published) > 0 {
		host := c.options.Address
		if ip := published[0].HostIP; ip.IsValid() && !ip.IsUnspecified() {
			host = ip.String()
		}
		return net.JoinHostPort(host, published[0].HostPort), nil
	}
	var names []string
	for n, e := range found.NetworkSettings.Networks {
		if e != nil && e.IPAddress.IsValid() && (found.Config.Labels[labelNetwork] == "" || found.Config.Labels[labelNetwork] == n) {
			names = append(names, n)
		}
	}
	if len(names) != 1 {
		return "", fmt.Errorf("it publishes no port %d and has an address on %d networks; give it the label %s=NAME, or publish the port", port.Num(), len(names), labelNetwork)
	}
	return net.JoinHostPort(found.NetworkSettings.Networks[names[0]].IPAddress.String(), strconv.Itoa(int(port.Num()))), nil
}

// inside is the port on which the application listens in its container.
func inside(found container.InspectResponse) (network.Port, error) {
	wanted := found.Config.Labels[labelPort]
	if found.Config.Labels[labelInstance] != "" && found.HostConfig != nil {
		for port := range found.HostConfig.PortBindings { // a Service binds one
			return port, nil
		}
	}
	if wanted == "" {
		var exposed []string
		for p := range found.Config.ExposedPorts {
			exposed = append(exposed, p.String())
		}
		only, n := engine.OnlyPort(exposed)
		if n != 1 {
			return network.Port{}, fmt.Errorf("it exposes %d ports; give it the label %s=PORT", n, labelPort)
		}
		wanted = only
	}
	port, err := network.ParsePort(wanted + "/tcp")
	if err != nil || port.Num() == 0 {
		return network.Port{}, fmt.Errorf("its label %s=%q is no port", labelPort, wanted)
	}
	return port, nil
}

// toldToStop tells whether a container was sent the signal that stops it. It may serve for a while after that, so
// that what routes to it can turn away.
func (c *Containers) toldToStop(found container.InspectResponse) bool {
	stop := signalNumber(found.Config.StopSignal)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.stopping[found.ID] {
		if (s.number == stop || s.number == int(syscall.SIGKILL)) && time.Since(s.at) < stopWindow {
			return true
		}
	}
	return false
}

// signalNumber reads a signal as images name it: SIGQUIT, QUIT, 3, SIGRTMIN+3.
func signalNumber(text string) int {
	if text == "" {
		return int(syscall.SIGTERM)
	}
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	signal := "SIG" + strings.TrimPrefix(strings.ToUpper(text), "SIG")
	if after, ok := strings.CutPrefix(signal, "SIGRTMIN+"); ok {
		if n, err := strconv.Atoi(after); err == nil {
			return firstRealTime + n
		}
	}
	return int(unix.SignalNum(signal))
}

// Watch implements agent.Containers, by the engine's events.
func (c *Containers) Watch(ctx context.Context, changed func()) {
	since := time.Now().Add(-stopWindow).UnixNano()
	for ctx.Err() == nil {
		since = c.follow(ctx, since, changed)
		changed() // the engine went away, and what runs on it may have
		select {
		case <-ctx.Done():
		case <-time.After(eventPause):
		}
	}
}

// follow reads the events since a moment until their stream ends, and returns the moment of the last one.
func (c *Containers) follow(ctx context.Context, since int64, changed func()) int64 {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	filters := make(client.Filters).Add("type", string(events.ContainerEventType)).Add("event",
		string(events.ActionStart), string(events.ActionKill), string(events.ActionDie), string(events.ActionStop), string(events.ActionHealthStatus),
		string(events.ActionRename), string(events.ActionDestroy), string(events.ActionUpdate), string(events.ActionPause), string(events.ActionUnPause))
	stream := c.engine.Events(ctx, client.EventsListOptions{
		Since: fmt.Sprintf("%d.%09d", since/int64(time.Second), since%int64(time.Second)), Filters: filters,
	})
	changed() // what happened while nobody listened
	for {
		select {
		case m, ok := <-stream.Messages:
			if !ok {
				return since
			}
			since = max(since, m.TimeNano)
			c.note(m)
			changed()
		case <-stream.Err: //nolint:errcheck // it ends the stream, as its channel's end does; the next one is asked for what was missed
			return since
		}
	}
}

// note keeps which containers were sent a signal, until they end or start.
func (c *Containers) note(m events.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch m.Action {
	case events.ActionKill:
		if n := signalNumber(m.Actor.Attributes["signal"]); n != 0 {
			others := slices.DeleteFunc(c.stopping[m.Actor.ID], func(s signalled) bool { return s.number == n })
			c.stopping[m.Actor.ID] = append(others, signalled{n, time.Unix(0, m.TimeNano)})
		}
	case events.ActionStart, events.ActionDie, events.ActionDestroy:
		delete(c.stopping, m.Actor.ID)
	}
	for id, list := range c.stopping {
		list = slices.DeleteFunc(list, func(s signalled) bool { return time.Since(s.at) > stopWindow })
		if c.stopping[id] = list; len(list) == 0 {
			delete(c.stopping, id)
		}
	}
}
