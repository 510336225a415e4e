// Package docker runs versions of the application as containers of a Docker engine on this machine.
//
// The engine keeps everything: an instance is the one container that carries its labels, so any later run,
// also after a kill between two calls, finds what an earlier one made. A container without the
// labels of the application is never looked at, stopped or removed.
//
//	Start ──▶ container made (labels) ──▶ container started ──▶ 127.0.0.1:PORT, the port chosen by the engine
//
// A stopped container is kept until it is removed: the way back starts that same one, with the image it
// had, whatever its tag means by then.
package docker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/drivers/service/engine"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/internal/secret"
	"github.com/switchbackdb/switchback/strategies"
)

// Service implements strategies.Service with containers.
type Service struct {
	application string
	engine      *client.Client
	probe       *http.Client
}

var (
	_ strategies.Service = (*Service)(nil)
	_ strategies.Checker = (*Service)(nil)
)

// The labels of a container that is ours.
const (
	labelApplication = "switchback.application"
	labelInstance    = "switchback.instance"
	labelRelease     = "switchback.release"
	labelVersion     = "switchback.version"
	labelSlot        = "switchback.slot"
	labelOperation   = "switchback.operation"
	labelFence       = "switchback.fence"
)

// probeTimeout limits one health probe.
const probeTimeout = 2 * time.Second

// loopback is where ports are published: the router reaches them there, and nobody from outside.
const loopback = "127.0.0.1"

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,120}$`)

// New returns the service for an application, on the engine that the environment names (DOCKER_HOST), else
// the one of this machine. The engine need not run yet.
func New(application string) (*Service, error) {
	if !validName.MatchString(application) {
		return nil, fmt.Errorf("application %q: on Docker its name is part of its containers' names\n  next: set release.application to letters, digits, dots, dashes and underscores", application)
	}
	c, err := client.New(client.FromEnv)
	if err != nil {
		return nil, fmt.Errorf("open Docker: %w\n  next: check DOCKER_HOST, DOCKER_CERT_PATH and DOCKER_TLS_VERIFY", err)
	}
	if host := c.DaemonHost(); !engine.OnThisMachine(host) {
		_ = c.Close()
		return nil, fmt.Errorf("the Docker engine of %s is on another machine: a router here would not reach what it publishes on its loopback\n  next: run switchback where the engine is, or unset DOCKER_HOST", redacted(host))
	}
	return &Service{application: application, engine: c, probe: &http.Client{
		Timeout: probeTimeout,
		// A probe over a kept connection would prove only that the connection lives.
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func redacted(host string) string {
	if u, err := url.Parse(host); err == nil {
		return u.Redacted()
	}
	return "DOCKER_HOST"
}

// Close closes the connections to the engine.
func (s *Service) Close() error { return s.engine.Close() }

// Check implements strategies.Checker: the engine answers, the image is there and says enough.
func (s *Service) Check(ctx context.Context, v strategies.Version) error {
	if _, err := s.plan(ctx, v); err != nil {
		return fmt.Errorf("start %s: %w", strategies.InstanceID(v.Release, v.Slot), err)
	}
	return nil
}

// Start implements strategies.Service. A container of the instance that is there already, made by an earlier
// attempt or stopped since, is started; one that runs is left as it is.
func (s *Service) Start(ctx context.Context, op strategies.Operation, v strategies.Version) (strategies.Instance, error) {
	id := strategies.InstanceID(v.Release, v.Slot)
	secrets := secret.Hide(v.Env)
	fail := func(err error) (strategies.Instance, error) {
		return strategies.Instance{}, fmt.Errorf("start %s: %w", id, secrets.In(err))
	}
	if !validName.MatchString(id) {
		return fail(errors.New("the name of a release is letters, digits, dots, dashes and underscores"))
	}
	c, err := s.held(ctx, op, id)
	if errors.Is(err, strategies.ErrNotFound) {
		c, err = s.create(ctx, op, v)
	}
	if err != nil {
		return fail(err)
	}
	failpoint.Hit("docker: created")
	if v.Container != nil && c.Config.Image != v.Filler("")(v.Container.Image) {
		return fail(fmt.Errorf("its container %s is of the image %s: %w\n  next: docker rm -f %s, then: switchback release resume", name(c), c.Config.Image, strategies.ErrForeignChange, name(c)))
	}
	detail := "is running already"
	if !c.State.Running {
		// A newer run may have come while the container was made.
		if err := s.enter(ctx, op); err != nil {
			return fail(err)
		}
		if err := s.run(ctx, c.ID); err != nil {
			return fail(explainStart(name(c), err))
		}
		failpoint.Hit("docker: started")
		if c, err = s.inspect(ctx, c.ID); err != nil {
			return fail(err)
		}
		detail = ""
	}
	return instance(c, strategies.StateStarting, detail), nil
}

// portTries is how often a container is started for which the engine finds no port: it goes on behind the ones it tried, which
// may be those of connections on a busy machine.
const portTries = 5

func (s *Service) run(ctx context.Context, container string) error {
	for try := 1; ; try++ {
		_, err := s.engine.ContainerStart(ctx, container, client.ContainerStartOptions{})
		if err == nil || try == portTries || !strings.Contains(err.Error(), "address already in use") {
			return err
		}
		select {
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Observe implements strategies.Service.
func (s *Service) Observe(ctx context.Context, id string) (strategies.Instance, error) {
	c, err := s.find(ctx, id)
	if errors.Is(err, strategies.ErrNotFound) {
		return strategies.Instance{ID: id, State: strategies.StateAbsent}, nil
	}
	if err != nil {
		return strategies.Instance{}, fmt.Errorf("observe %s: %w", id, err)
	}
	return s.state(ctx, c), nil
}

// List implements strategies.Service.
func (s *Service) List(ctx context.Context) ([]strategies.Instance, error) {
	found, err := s.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: s.ours()})
	if err != nil {
		return nil, fmt.Errorf("list the containers of %s: %w", s.application, engine.Explain(err))
	}
	var list []strategies.Instance
	for _, f := range found.Items {
		c, err := s.inspect(ctx, f.ID)
		if errors.Is(err, strategies.ErrNotFound) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the containers of %s: %w", s.application, err)
		}
		list = append(list, s.state(ctx, c))
	}
	sort.Slice(list, func(i, j int) bool { return list[i].ID < list[j].ID })
	return list, nil
}

// Stop implements strategies.Service: the image's stop signal first, SIGKILL after grace.
func (s *Service) Stop(ctx context.Context, op strategies.Operation, id string, grace time.Duration) error {
	fail := func(err error) error { return fmt.Errorf("stop %s: %w", id, err) }
	c, err := s.held(ctx, op, id)
	if errors.Is(err, strategies.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fail(err)
	}
	seconds := int(math.Ceil(grace.Seconds()))
	if _, err := s.engine.ContainerStop(ctx, c.ID, client.ContainerStopOptions{Timeout: &seconds}); err != nil && !errdefs.IsNotFound(err) {
		return fail(engine.Explain(err))
	}
	return nil
}

// Remove implements strategies.Service. An instance that still runs is not removed.
func (s *Service) Remove(ctx context.Context, op strategies.Operation, id string) error {
	fail := func(err error) error { return fmt.Errorf("remove %s: %w", id, err) }
	c, err := s.held(ctx, op, id)
	if errors.Is(err, strategies.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fail(err)
	}
	if c.State.Running {
		return fail(fmt.Errorf("its container %s is running: stop it first", name(c)))
	}
	if _, err := s.engine.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{RemoveVolumes: true}); err != nil && !errdefs.IsNotFound(err) {
		return fail(engine.Explain(err))
	}
	return nil
}

// ours are the filters that find what belongs to the application.
func (s *Service) ours() client.Filters {
	return make(client.Filters).Add("label", labelApplication+"="+s.application)
}

// find returns the container of an instance, or ErrNotFound.
func (s *Service) find(ctx context.Context, id string) (container.InspectResponse, error) {
	found, err := s.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: s.ours().Add("label", labelInstance+"="+id)})
	if err != nil {
		return container.InspectResponse{}, engine.Explain(err)
	}
	if len(found.Items) == 0 {
		return container.InspectResponse{}, strategies.ErrNotFound
	}
	return s.inspect(ctx, found.Items[0].ID)
}

// held returns the container of an operation's instance, or ErrNotFound. The engine takes no condition along with a request, so
// the last thing before one is to look for a newer run.
func (s *Service) held(ctx context.Context, op strategies.Operation, id string) (container.InspectResponse, error) {
	c, missing := s.find(ctx, id)
	if missing != nil && !errors.Is(missing, strategies.ErrNotFound) {
		return c, missing
	}
	if missing == nil && c.State.Running {
		failpoint.Hit("docker: runs")
	}
	if err := s.enter(ctx, op); err != nil {
		return c, err
	}
	return c, missing
}

func (s *Service) inspect(ctx context.Context, containerID string) (container.InspectResponse, error) {
	found, err := s.engine.ContainerInspect(ctx, containerID, client.ContainerInspectOptions{})
	if errdefs.IsNotFound(err) {
		return container.InspectResponse{}, strategies.ErrNotFound
	}
	if err != nil {
		return container.InspectResponse{}, engine.Explain(err)
	}
	return found.Container, nil
}
