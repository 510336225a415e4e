package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/strategies"
)

// plan returns how the container of a version is to be made. It changes nothing.
func (s *Service) plan(ctx context.Context, v strategies.Version) (*client.ContainerCreateOptions, error) {
	if v.Container == nil || v.Container.Image == "" {
		return nil, errors.New("no image is configured\n  next: set release.service.image, see docs/releases.md")
	}
	image := v.Filler("")(v.Container.Image)
	found, err := s.engine.ImageInspect(ctx, image)
	if errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("the engine has no image %s\n  next: docker pull %s, or: docker load -i FILE, or build it with: docker build . -t %s", image, image, image)
	}
	if err != nil {
		return nil, explain(err)
	}
	var exposed map[string]struct{}
	var probe *container.HealthConfig
	if found.Config != nil {
		exposed, probe = found.Config.ExposedPorts, found.Config.Healthcheck
	}
	port, err := portOf(v.Container.Port, exposed, image)
	if err != nil {
		return nil, err
	}
	if err := s.checkNetwork(ctx, v.Container.Network); err != nil {
		return nil, err
	}
	health := healthcheck(v.Container.Healthcheck)
	if v.Health == "" && !probes(probe) && !probes(health) {
		return nil, fmt.Errorf("nothing says when %s is healthy: its image has no HEALTHCHECK\n  next: set release.service.health to the path of a health probe, or release.service.healthcheck.command", image)
	}
	fill := v.Filler(fmt.Sprintf("0.0.0.0:%d", port.Num()))
	config := &container.Config{Image: image, Healthcheck: health, ExposedPorts: network.PortSet{port: {}}}
	for _, arg := range v.Command {
		config.Cmd = append(config.Cmd, fill(arg))
	}
	for key, value := range v.Env {
		config.Env = append(config.Env, key+"="+fill(value))
	}
	return &client.ContainerCreateOptions{Config: config, HostConfig: &container.HostConfig{
		NetworkMode:  container.NetworkMode(v.Container.Network),
		Binds:        v.Container.Volumes,
		PortBindings: network.PortMap{port: {{HostIP: netip.MustParseAddr(loopback), HostPort: v.Container.Ports}}},
	}}, nil
}

// portOf is the port that the application listens on inside.
func portOf(configured int, exposed map[string]struct{}, image string) (network.Port, error) {
	wanted := strconv.Itoa(configured)
	if configured == 0 {
		var tcp []string
		for p := range exposed {
			if number, protocol, _ := strings.Cut(p, "/"); protocol == "" || protocol == "tcp" {
				tcp = append(tcp, number)
			}
		}
		if len(tcp) != 1 {
			return network.Port{}, fmt.Errorf("the image %s exposes %d ports: which one is the application's?\n  next: set release.service.port", image, len(tcp))
		}
		wanted = tcp[0]
	}
	port, err := network.ParsePort(wanted + "/tcp")
	if err != nil || port.Num() == 0 {
		return network.Port{}, fmt.Errorf("port %s is none\n  next: set release.service.port to where the application listens inside its container", wanted)
	}
	return port, nil
}

// checkNetwork refuses a network on which no port can be published, and one that is not there.
func (s *Service) checkNetwork(ctx context.Context, name string) error {
	mode := container.NetworkMode(name)
	if mode.IsHost() || mode.IsNone() || mode.IsContainer() {
		return fmt.Errorf("on the network %q no port is published, and the router reaches nothing\n  next: set release.service.network to a bridge network, or leave it out", name)
	}
	if name == "" {
		return nil
	}
	_, err := s.engine.NetworkInspect(ctx, name, client.NetworkInspectOptions{})
	if errdefs.IsNotFound(err) {
		return fmt.Errorf("there is no network %s\n  next: docker network create %s", name, name)
	}
	return explain(err)
}

// healthcheck is what differs from the image's; the engine takes what is zero from there.
func healthcheck(h *strategies.Healthcheck) *container.HealthConfig {
	if h == nil {
		return nil
	}
	c := &container.HealthConfig{Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
	if len(h.Command) > 0 {
		c.Test = append([]string{"CMD"}, h.Command...)
	}
	return c
}

// probes tells whether a healthcheck runs anything.
func probes(h *container.HealthConfig) bool {
	return h != nil && len(h.Test) > 0 && h.Test[0] != "NONE"
}

// create makes the container of a version. Where another attempt has made it meanwhile, that one is taken.
func (s *Service) create(ctx context.Context, op strategies.Operation, v strategies.Version) (container.InspectResponse, error) {
	o, err := s.plan(ctx, v)
	if err != nil {
		return container.InspectResponse{}, err
	}
	id := strategies.InstanceID(v.Release, v.Slot)
	o.Name = s.application + "-" + id
	o.Config.Labels = map[string]string{
		labelApplication: s.application, labelInstance: id, labelRelease: v.Release, labelVersion: v.Name,
		labelSlot: string(v.Slot), labelOperation: op.ID, labelFence: strconv.FormatInt(op.Fence, 10), labelHealth: v.Health,
	}
	for deadline := time.Now().Add(makeWait); ; {
		made, err := s.engine.ContainerCreate(ctx, *o)
		if err == nil {
			return s.inspect(ctx, made.ID)
		}
		if !errdefs.IsConflict(err) {
			return container.InspectResponse{}, explain(err)
		}
		c, err := s.inspect(ctx, o.Name)
		switch {
		case err == nil && c.Config.Labels[labelApplication] == s.application && c.Config.Labels[labelInstance] == id:
			return c, nil
		case err == nil:
			return c, fmt.Errorf("a container that is not of this application has the name %s: %w\n  next: docker rename %s OTHER, or docker rm %s, then the same again", o.Name, strategies.ErrForeignChange, o.Name, o.Name)
		case !errors.Is(err, strategies.ErrNotFound):
			return c, err
		case time.Now().After(deadline):
			return c, fmt.Errorf("the name %s is taken, but no container has it\n  next: restart the Docker engine, then the same again", o.Name)
		}
		select {
		case <-ctx.Done():
			return c, context.Cause(ctx)
		case <-time.After(makePause):
		}
	}
}

// A name is taken for a moment before its container can be seen: how long that may last, and how often to look.
const (
	makeWait  = 10 * time.Second
	makePause = 50 * time.Millisecond
)
