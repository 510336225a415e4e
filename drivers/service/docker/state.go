package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/switchbackdb/switchback/drivers/service/engine"
	"github.com/switchbackdb/switchback/internal/secret"
	"github.com/switchbackdb/switchback/strategies"
)

// labelHealth keeps the path of the health probe with the container, for runs that know only its ID.
const labelHealth = "switchback.health"

// instance describes a container.
func instance(c container.InspectResponse, state strategies.State, detail string) strategies.Instance {
	l := c.Config.Labels
	i := strategies.Instance{
		ID: l[labelInstance], Release: l[labelRelease], Version: l[labelVersion], Slot: strategies.Slot(l[labelSlot]),
		Address: address(c), State: state, Detail: detail,
	}
	if begun, err := time.Parse(time.RFC3339Nano, c.State.StartedAt); err == nil && begun.Year() > 1 {
		i.Started = begun
	}
	return i
}

// name is the container's name without the slash that the engine puts before it.
func name(c container.InspectResponse) string { return strings.TrimPrefix(c.Name, "/") }

// address is where the container's port is published; empty while it does not run.
func address(c container.InspectResponse) string {
	if c.NetworkSettings == nil || c.HostConfig == nil {
		return ""
	}
	for port := range c.HostConfig.PortBindings { // we bind one
		for _, b := range c.NetworkSettings.Ports[port] {
			return net.JoinHostPort(loopback, b.HostPort)
		}
	}
	return ""
}

// state looks at a container once.
func (s *Service) state(ctx context.Context, c container.InspectResponse) strategies.Instance {
	secrets := secret.HideList(c.Config.Env)
	switch c.State.Status {
	case container.StateCreated:
		return instance(c, strategies.StateStopped, strings.TrimSuffix("was made, but never ran: "+secrets.Text(c.State.Error), ": "))
	case container.StateRunning:
		state, detail := s.health(ctx, c)
		return instance(c, state, secrets.Text(detail))
	case container.StatePaused:
		return instance(c, strategies.StateFailing, "is paused; next: docker unpause "+name(c))
	case container.StateRestarting:
		return instance(c, strategies.StateFailing, fmt.Sprintf("exited with code %d and is being restarted", c.State.ExitCode))
	}
	return instance(c, strategies.StateStopped, s.ending(ctx, c, secrets))
}

// health is what the container's own healthcheck says and, where a path is configured, whether that answers
// from here. With neither it is whether something listens.
func (s *Service) health(ctx context.Context, c container.InspectResponse) (strategies.State, string) {
	if h := c.State.Health; h != nil {
		switch h.Status {
		case container.Starting:
			return strategies.StateStarting, "its healthcheck has not succeeded yet" + engine.LastProbe(h)
		case container.Unhealthy:
			return strategies.StateFailing, fmt.Sprintf("its healthcheck failed %d times in a row%s", h.FailingStreak, engine.LastProbe(h))
		}
	}
	var err error
	switch path := c.Config.Labels[labelHealth]; {
	case path != "":
		err = s.ask(ctx, address(c), path)
	case c.State.Health == nil: // a release that was to do without
		err = listens(ctx, address(c))
	}
	if err != nil {
		return strategies.StateStarting, err.Error()
	}
	return strategies.StateHealthy, ""
}

// listens tells whether something inside takes connections. The engine takes them itself, and hangs up where nobody does.
func listens(ctx context.Context, address string) error {
	if address == "" {
		return errors.New("it publishes no port")
	}
	conn, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetReadDeadline(time.Now().Add(hangUp)); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return errors.New("nothing listens inside, or not on 0.0.0.0")
	}
	return nil
}

// hangUp is how soon the engine hangs up where nothing listens inside.
const hangUp = 300 * time.Millisecond

func (s *Service) ask(ctx context.Context, address, path string) error {
	if address == "" {
		return errors.New("it publishes no port")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+path, nil)
	if err != nil {
		return err
	}
	resp, err := s.probe.Do(req)
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: nothing listens inside, or not on 0.0.0.0", err)
	}
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("GET %s answers %s", path, resp.Status)
	}
	return nil
}

// ending says how a container ended and what it said last.
func (s *Service) ending(ctx context.Context, c container.InspectResponse, secrets secret.Values) string {
	says := "exited with code " + strconv.Itoa(c.State.ExitCode)
	if c.State.OOMKilled {
		says += ", killed by the kernel: out of memory"
	}
	if c.State.Error != "" {
		says += ": " + secrets.Text(c.State.Error)
	}
	lines, err := engine.LastLines(ctx, s.engine, c, secrets)
	switch {
	case err != nil:
		return says + "; next: docker logs " + name(c)
	case lines == "":
		return says + "; it printed nothing"
	}
	return says + "; its last lines:\n" + lines
}
