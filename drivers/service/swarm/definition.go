package swarm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	api "github.com/moby/moby/api/types/swarm"
	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/drivers/service/engine"
	"github.com/switchbackdb/switchback/strategies"
)

// definition is what of a service is ours: what a release says about it. The rest of it is left as it is.
type definition struct {
	parts       parts
	application string
	release     string
	version     string
	operation   strategies.Operation
	replicas    int // 0 for as many as there are
	update      *api.UpdateConfig
}

// parts are the parts of a specification by which a change of somebody else is noticed.
type parts struct {
	image    string
	command  []string
	env      []string
	volumes  []mount.Mount
	health   *container.HealthConfig
	grace    time.Duration
	networks []string // their IDs
	endpoint api.ResolutionMode
	ports    []api.PortConfig
	labels   map[string]string // ours, of the containers
}

// define is the definition of a replacement.
func (o *Orchestrator) define(ctx context.Context, op strategies.Operation, r strategies.Replacement) (definition, error) {
	v := r.Version
	if v.Container == nil || v.Container.Port == 0 {
		return definition{}, fmt.Errorf("release %s does not say how it runs in a container: %w", v.Release, strategies.ErrForeignChange)
	}
	port, err := network.ParsePort(strconv.Itoa(v.Container.Port) + "/tcp")
	if err != nil {
		return definition{}, err
	}
	p := parts{
		image: v.Container.Image, health: engine.Healthcheck(v.Container.Healthcheck), grace: r.Grace, endpoint: api.ResolutionModeVIP,
		labels: map[string]string{labelService: o.application, labelRelease: v.Release, labelVersion: v.Name},
	}
	p.command, p.env = engine.Filled(v, port)
	for _, volume := range v.Container.Volumes {
		p.volumes = append(p.volumes, mounted(volume))
	}
	if v.Container.Endpoint != "" {
		p.endpoint = api.ResolutionMode(v.Container.Endpoint)
	}
	if out := v.Container.Publish; out != nil {
		p.ports = []api.PortConfig{{
			Protocol: network.TCP, TargetPort: uint32(port.Num()), PublishedPort: uint32(out.Port), PublishMode: api.PortConfigPublishMode(out.Mode), //nolint:gosec // checked when it was prepared
		}}
	}
	if v.Container.Network != "" {
		id, err := o.network(ctx, v.Container.Network)
		if err != nil {
			return definition{}, err
		}
		p.networks = []string{id}
	}
	return definition{
		parts: p, application: o.application, release: v.Release, version: v.Name, operation: op,
		replicas: r.Pace.Replicas, update: updateConfig(r.Pace),
	}, nil
}

// network is the ID of a network that spans the swarm.
func (o *Orchestrator) network(ctx context.Context, name string) (string, error) {
	found, err := o.engine.NetworkInspect(ctx, name, client.NetworkInspectOptions{Scope: "swarm"})
	if errdefs.IsNotFound(err) {
		return "", fmt.Errorf("the swarm has no network %s\n  next: docker network create -d overlay %s", name, name)
	}
	return found.Network.ID, explain(err)
}

// mounted is a volume, SOURCE:TARGET[:ro].
func mounted(volume string) mount.Mount {
	source, target, _ := strings.Cut(volume, ":")
	target, mode, _ := strings.Cut(target, ":")
	m := mount.Mount{Type: mount.TypeVolume, Source: source, Target: target, ReadOnly: mode == "ro"}
	if strings.HasPrefix(source, "/") {
		m.Type = mount.TypeBind
	}
	return m
}

// updateConfig has a swarm replace tasks in a pace, and pause at the first one that fails.
func updateConfig(p strategies.Pace) *api.UpdateConfig {
	return &api.UpdateConfig{
		Parallelism: uint64(p.Parallelism), Delay: p.Delay, Order: api.UpdateOrder(p.Order), Monitor: p.Monitor, //nolint:gosec // not negative
		FailureAction: api.UpdateFailureActionPause,
	}
}

// onto puts the definition into a specification, whose other parts stay.
func (d definition) onto(spec api.ServiceSpec) api.ServiceSpec {
	c := api.ContainerSpec{}
	if old := spec.TaskTemplate.ContainerSpec; old != nil {
		c = *old
	}
	p := d.parts
	c.Image, c.Args, c.Env, c.Mounts, c.Healthcheck, c.StopGracePeriod = p.image, p.command, p.env, p.volumes, p.health, &p.grace
	c.Labels = with(c.Labels, p.labels)
	spec.TaskTemplate.ContainerSpec = &c
	spec.TaskTemplate.Networks = nil
	for _, id := range p.networks {
		spec.TaskTemplate.Networks = append(spec.TaskTemplate.Networks, api.NetworkAttachmentConfig{Target: id})
	}
	spec.EndpointSpec = &api.EndpointSpec{Mode: p.endpoint, Ports: p.ports}
	spec.UpdateConfig = d.update
	spec.Mode = api.ServiceMode{Replicated: &api.ReplicatedService{Replicas: d.wanted(spec.Mode)}}
	spec.Name = d.application
	spec.Labels = with(spec.Labels, map[string]string{
		labelApplication: d.application, labelRelease: d.release, labelVersion: d.version,
		labelOperation: d.operation.ID, labelFence: strconv.FormatInt(d.operation.Fence, 10), labelDefinition: partsOf(spec).hash(),
	})
	delete(spec.Labels, labelHalted)
	return spec
}

// wanted is how many tasks there are to be.
func (d definition) wanted(now api.ServiceMode) *uint64 {
	n := uint64(1)
	if now.Replicated != nil && now.Replicated.Replicas != nil {
		n = *now.Replicated.Replicas
	}
	if d.replicas > 0 {
		n = uint64(d.replicas)
	}
	return &n
}

// with are the labels with more of them.
func with(labels, more map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, labels)
	maps.Copy(all, more)
	return all
}

// partsOf reads the parts from a specification, as it was sent or as the swarm has it.
func partsOf(spec api.ServiceSpec) parts {
	p := parts{labels: map[string]string{}, endpoint: api.ResolutionModeVIP}
	if c := spec.TaskTemplate.ContainerSpec; c != nil {
		p.image, p.command, p.env, p.volumes, p.health = c.Image, c.Args, c.Env, c.Mounts, c.Healthcheck
		if c.StopGracePeriod != nil {
			p.grace = *c.StopGracePeriod
		}
		for _, l := range []string{labelService, labelRelease, labelVersion} {
			p.labels[l] = c.Labels[l]
		}
	}
	for _, n := range spec.TaskTemplate.Networks {
		p.networks = append(p.networks, n.Target)
	}
	if e := spec.EndpointSpec; e != nil {
		p.ports = e.Ports
		if e.Mode != "" {
			p.endpoint = e.Mode
		}
	}
	return p
}

// part is one of them, as people call it.
type part struct {
	name  string
	value any
}

// named are the parts in an order that stays.
func (p parts) named() []part {
	return []part{
		{"image", p.image},
		{"command", slices.Concat([]string{}, p.command)},
		{"environment", slices.Sorted(slices.Values(p.env))},
		{"volumes", slices.Concat([]mount.Mount{}, p.volumes)},
		{"healthcheck", p.health},
		{"stop-grace-period", p.grace},
		{"networks", slices.Concat([]string{}, p.networks)},
		{"endpoint-mode", p.endpoint},
		{"ports", slices.Concat([]api.PortConfig{}, p.ports)},
		{"container-labels", p.labels},
	}
}

// hash is a short hash of each part. It is in a label of the service that has the parts themselves, so it tells nobody
// more than they can read there.
func (p parts) hash() string {
	var list []string
	for _, one := range p.named() {
		text, _ := json.Marshal(one.value) // plain data
		sum := sha256.Sum256(text)
		list = append(list, one.name+"="+hex.EncodeToString(sum[:6]))
	}
	return strings.Join(list, " ")
}

// changed are the names of the parts that differ between two hashes.
func changed(was, is string) (names []string) {
	before := strings.Fields(was)
	for i, hashed := range strings.Fields(is) {
		if i >= len(before) || before[i] != hashed {
			name, _, _ := strings.Cut(hashed, "=")
			names = append(names, name)
		}
	}
	return names
}
