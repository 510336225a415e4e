package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/drivers/service/engine"
	"github.com/switchbackdb/switchback/strategies"
)

// plan returns how the container of a version is to be made. It changes nothing.
func (s *Service) plan(ctx context.Context, v strategies.Version) (*client.ContainerCreateOptions, error) {
	if v.Container == nil || v.Container.Image == "" {
		return nil, errors.New("no image is configured\n  next: set release.service.image, see docs/releases.md")
	}
	image := v.Filler("")(v.Container.Image)
	found, err := engine.Inspect(ctx, s.engine, image)
	if err != nil {
		return nil, err
	}
	port, err := found.Port(v.Container.Port)
	if err != nil {
		return nil, err
	}
	if err := s.checkNetwork(ctx, v.Container.Network); err != nil {
		return nil, err
	}
	health := engine.Healthcheck(v.Container.Healthcheck)
	if v.Health == "" && !v.NoHealth && !found.Probed(health) {
		return nil, fmt.Errorf("nothing says when %s is healthy: its image has no HEALTHCHECK\n  next: set release.service.health to the path of a health probe, or release.service.healthcheck.command; or --no-health, which takes it for healthy once its port takes connections", image)
	}
	config := &container.Config{Image: image, Healthcheck: health, ExposedPorts: network.PortSet{port: {}}}
	config.Cmd, config.Env = engine.Filled(v, port)
	return &client.ContainerCreateOptions{Config: config, HostConfig: &container.HostConfig{
		NetworkMode:  container.NetworkMode(v.Container.Network),
		Binds:        v.Container.Volumes,
		PortBindings: network.PortMap{port: {{HostIP: netip.MustParseAddr(loopback), HostPort: v.Container.Ports}}},
	}}, nil
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
	return engine.Explain(err)
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
			return container.InspectResponse{}, engine.Explain(err)
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
