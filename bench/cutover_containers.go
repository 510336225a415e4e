package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	moby "github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/drivers/discovery/etcd"
	"github.com/switchbackdb/switchback/drivers/service/docker"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/strategies"
)

// contained is two versions in containers, started by our driver of Docker, and the etcd in which those are that take
// traffic.
type contained struct {
	addresses [2]string // on the host, of the ports that they publish
	registry  *etcd.Discovery
	stops     []func() error // the last first
}

func startContained(ctx context.Context) (c *contained, err error) {
	c = &contained{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	url, stop, err := servers.StartEtcd(ctx)
	if err != nil {
		return c, err
	}
	c.stops = append(c.stops, stop)
	if c.registry, err = etcd.New(etcd.Options{Endpoints: []string{url}, Prefix: "bench"}); err != nil {
		return c, err
	}
	c.stops = append(c.stops, c.registry.Close)
	image, err := c.image(ctx)
	if err != nil {
		return c, err
	}
	service, err := docker.New(fmt.Sprint("bench-", os.Getpid()))
	if err != nil {
		return c, err
	}
	c.stops = append(c.stops, service.Close)
	for n, slot := range []strategies.Slot{strategies.Blue, strategies.Green} {
		if c.addresses[n], err = c.run(ctx, service, image, slot); err != nil {
			return c, err
		}
	}
	return c, nil
}

// image is an image of this program.
func (c *contained) image(ctx context.Context) (string, error) {
	dir, err := os.MkdirTemp("", "sb")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program := filepath.Join(dir, "bench")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./bench")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // for an image with nothing else in it
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	engine, err := moby.New(moby.FromEnv)
	if err != nil {
		return "", err
	}
	c.stops = append(c.stops, engine.Close)
	tag, remove, err := servers.BuildImage(ctx, engine, program, "EXPOSE 8080\nENTRYPOINT [\"/program\"]\n")
	if err != nil {
		return "", err
	}
	c.stops = append(c.stops, remove)
	return tag, nil
}

// run starts a container and waits until it is healthy.
func (c *contained) run(ctx context.Context, service *docker.Service, image string, slot strategies.Slot) (address string, err error) {
	op := strategies.Operation{ID: "bench " + string(slot), Fence: 1}
	i, err := service.Start(ctx, op, strategies.Version{
		Release: "bench", Slot: slot, Name: string(slot), Health: "/healthz", Command: []string{"serve", "{{address}}"},
		Container: &strategies.Container{Image: image},
	})
	if err != nil {
		return "", err
	}
	c.stops = append(c.stops, func() error {
		ctx := context.WithoutCancel(ctx)
		return errors.Join(service.Stop(ctx, op, i.ID, 0), service.Remove(ctx, op, i.ID))
	})
	for deadline := time.Now().Add(time.Minute); i.State != strategies.StateHealthy; {
		if time.Now().After(deadline) {
			return "", fmt.Errorf("container %s is not healthy: %s", i.ID, i.Detail)
		}
		if err := wait(ctx, 20*time.Millisecond); err != nil {
			return "", err
		}
		if i, err = service.Observe(ctx, i.ID); err != nil {
			return "", err
		}
	}
	return i.Address, nil
}

// registered has etcd know who takes traffic, as a release does: the new version before the shift, the old one until it is
// drained.
func (c *contained) registered(open func(context.Context) (*cutover, error)) func(context.Context) (*cutover, error) {
	return func(ctx context.Context) (*cutover, error) {
		x, err := open(ctx)
		if err != nil {
			return nil, err
		}
		x.name += ", etcd"
		shift, n := x.shift, 0
		x.shift = func(ctx context.Context, from, to string) error {
			n++
			op := strategies.Operation{ID: fmt.Sprint(x.name, n), Fence: 1}
			if err := c.registry.Register(ctx, op, strategies.Registration{Key: "shop/" + to, Address: to, State: "up"}); err != nil {
				return err
			}
			if err := shift(ctx, from, to); err != nil || from == "" {
				return err
			}
			return c.registry.Deregister(ctx, op, "shop/"+from)
		}
		return x, nil
	}
}

func (c *contained) stop() (err error) {
	for n := len(c.stops) - 1; n >= 0; n-- {
		err = errors.Join(err, c.stops[n]())
	}
	return err
}

// serveVersion is what runs in the containers.
func serveVersion(address string) error {
	server := &http.Server{Addr: address, ReadHeaderTimeout: time.Minute, Handler: &version{address: address}}
	return server.ListenAndServe()
}
