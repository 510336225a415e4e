package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/drivers/service/engine"
)

// overlay is the driver of networks that span a swarm.
const overlay = "overlay"

// labelService is that of the containers of a swarm's services, by the driver for it.
const labelService = "switchback.service"

// onSwarm refuses an engine that is no swarm of one machine: the shop's image is on that one alone, and so is the proxy.
func (s *stand) onSwarm(ctx context.Context) error {
	found, err := s.engine.Info(ctx, client.InfoOptions{})
	if err != nil {
		return engine.Explain(err)
	}
	switch swarm := found.Info.Swarm; {
	case !swarm.ControlAvailable:
		return errors.New("the Docker engine is not a swarm manager\n  state: nothing was made\n  next: docker swarm init, then the same again; docker swarm leave --force ends it")
	case swarm.Nodes > 1:
		return fmt.Errorf("the swarm has %d machines, and the shop's image is on this one alone\n  state: nothing was made\n  next: run it on a swarm of one machine, or: switchback demo --on docker", swarm.Nodes)
	}
	s.swarm = true
	return nil
}

// clearSwarm removes the services of the shop, and waits until their containers have ended.
func (s *stand) clearSwarm(ctx context.Context) error {
	if !s.swarm {
		return nil
	}
	filters := make(client.Filters).Add("label", labelApplication+"="+s.name)
	services, err := s.engine.ServiceList(ctx, client.ServiceListOptions{Filters: filters})
	if err != nil {
		return err
	}
	for _, one := range services.Items {
		if err := engine.RemoveService(ctx, s.engine, one.ID); err != nil {
			return err
		}
	}
	configs, err := s.engine.ConfigList(ctx, client.ConfigListOptions{Filters: filters})
	if err != nil {
		return err
	}
	for _, one := range configs.Items {
		if _, err := s.engine.ConfigRemove(ctx, one.ID, client.ConfigRemoveOptions{}); err != nil {
			return err
		}
	}
	tasks := make(client.Filters).Add("label", labelService+"="+s.name)
	for {
		left, err := s.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: tasks})
		if err != nil || len(left.Items) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
