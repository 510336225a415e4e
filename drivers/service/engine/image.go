package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/strategies"
)

// Image is what an engine knows of an image.
type Image struct {
	Name    string
	ID      string   // of the bits: no tag moves it
	Digests []string // in the registries that it was pulled from: NAME@sha256:…
	exposed map[string]struct{}
	probe   *container.HealthConfig
}

// Inspect looks an image up. Nothing is pulled: one that the engine does not have is an error that says how it gets
// there.
func Inspect(ctx context.Context, engine *client.Client, name string) (*Image, error) {
	found, err := engine.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return nil, fmt.Errorf("the engine has no image %s\n  next: docker pull %s, or: docker load -i FILE, or build it with: docker build . -t %s", name, name, name)
	}
	if err != nil {
		return nil, Explain(err)
	}
	image := &Image{Name: name, ID: found.ID, Digests: found.RepoDigests}
	if found.Config != nil {
		image.exposed, image.probe = found.Config.ExposedPorts, found.Config.Healthcheck
	}
	return image, nil
}

// OnlyPort is the number of the one port of TCP among those that are exposed, such as 80 and 53/udp; n is how many there
// are.
func OnlyPort(exposed []string) (number string, n int) {
	for _, p := range exposed {
		if port, protocol, _ := strings.Cut(p, "/"); protocol == "" || protocol == "tcp" {
			number = port
			n++
		}
	}
	return number, n
}

// Port is the port that the application listens on inside: the one that is configured, else the only one that the
// image exposes.
func (i *Image) Port(configured int) (network.Port, error) {
	wanted := strconv.Itoa(configured)
	if configured == 0 {
		var exposed []string
		for p := range i.exposed {
			exposed = append(exposed, p)
		}
		only, n := OnlyPort(exposed)
		if n != 1 {
			return network.Port{}, fmt.Errorf("the image %s exposes %d ports: which one is the application's?\n  next: set release.service.port", i.Name, n)
		}
		wanted = only
	}
	port, err := network.ParsePort(wanted + "/tcp")
	if err != nil || port.Num() == 0 {
		return network.Port{}, fmt.Errorf("port %s is none\n  next: set release.service.port to where the application listens inside its container", wanted)
	}
	return port, nil
}

// Probed tells whether the image has a healthcheck, or what is configured beside it is one.
func (i *Image) Probed(configured *container.HealthConfig) bool {
	return probes(i.probe) || probes(configured)
}

// probes tells whether a healthcheck runs anything.
func probes(h *container.HealthConfig) bool {
	return h != nil && len(h.Test) > 0 && h.Test[0] != "NONE"
}

// Healthcheck is what differs from the image's; the engine takes what is zero from there.
func Healthcheck(h *strategies.Healthcheck) *container.HealthConfig {
	if h == nil {
		return nil
	}
	c := &container.HealthConfig{Interval: h.Interval, Timeout: h.Timeout, StartPeriod: h.StartPeriod, Retries: h.Retries}
	if len(h.Command) > 0 {
		c.Test = append([]string{"CMD"}, h.Command...)
	}
	return c
}

// Filled is the command and the environment of a version that listens on the port, the latter sorted.
func Filled(v strategies.Version, port network.Port) (command, env []string) {
	fill := v.Filler(fmt.Sprintf("0.0.0.0:%d", port.Num()))
	for _, arg := range v.Command {
		command = append(command, fill(arg))
	}
	for key, value := range v.Env {
		env = append(env, key+"="+fill(value))
	}
	slices.Sort(env)
	return command, env
}
