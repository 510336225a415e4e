package scratch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/migrate"
)

// label marks the containers of scratch servers.
const label = "switchback.scratch"

// recipe is how an engine's official image is used.
type recipe struct {
	engine   migrate.Engine
	port     string
	password string   // the variable that sets it
	user     string   // who has it
	data     string   // the folder of its data, which is kept in memory
	env      []string // more variables
	args     []string // what makes the server quick: nothing it writes has to outlive it
}

// recipeFor finds the recipe by the image's own name: docker.io/library/postgres:17 is a postgres.
func recipeFor(image string) (recipe, error) {
	name, _, _ := strings.Cut(path.Base(image), ":")
	name, _, _ = strings.Cut(name, "@")
	switch {
	case strings.Contains(name, "postg") || strings.Contains(name, "pgvector") || strings.Contains(name, "timescale"):
		return recipe{
			engine: migrate.Postgres, port: "5432/tcp", password: "POSTGRES_PASSWORD", user: "postgres", data: "/var/lib/postgresql",
			env: []string{"PGDATA=/var/lib/postgresql/data"}, args: []string{"-c", "fsync=off"},
		}, nil
	case strings.Contains(name, "mysql") || strings.Contains(name, "percona"):
		return recipe{
			engine: migrate.MySQL, port: "3306/tcp", password: "MYSQL_ROOT_PASSWORD", user: "root", data: "/var/lib/mysql",
			args: []string{"--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"},
		}, nil
	case strings.Contains(name, "mariadb"):
		return recipe{
			engine: migrate.MariaDB, port: "3306/tcp", password: "MARIADB_ROOT_PASSWORD", user: "root", data: "/var/lib/mysql",
			args: []string{"--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"},
		}, nil
	}
	return recipe{}, fmt.Errorf("--scratch docker:%s: want an image of postgres, mysql or mariadb, such as docker:postgres:17, docker:mysql:9, docker:mariadb:11.8", image)
}

// watch runs a server until the container's standard input is closed. That is held by whoever started the
// container, so the server ends with that process, however that ends; and the container with its server. It is
// killed, not asked: MariaDB loses a SIGTERM that reaches it while it starts, and nothing it holds is to be kept.
const watch = `exec 3<&0; "$@" & server=$!; { cat <&3 >/dev/null; kill -KILL $server; } & wait $server`

// containerServer is a server in a container that was started for it.
type containerServer struct {
	*server
	docker *client.Client
	id     string
	stdin  client.HijackedResponse
	ctx    context.Context // of Open, for its values
}

func startContainer(ctx context.Context, image string, o Options) (_ *containerServer, err error) {
	r, err := recipeFor(image)
	if err != nil {
		return nil, err
	}
	docker, err := client.New(client.FromEnv)
	if err != nil {
		return nil, fmt.Errorf("--scratch docker:%s: %w", image, err)
	}
	c := &containerServer{docker: docker, ctx: context.WithoutCancel(ctx)}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start a scratch server from the image %s: %w", image, err), c.remove(ctx))
		}
	}()
	if err := c.sweep(ctx); err != nil {
		return nil, err
	}
	if err := c.pull(ctx, image, o); err != nil {
		return nil, err
	}
	var secret [16]byte
	_, _ = rand.Read(secret[:]) // never fails, see crypto/rand
	password := hex.EncodeToString(secret[:])
	if err := c.run(ctx, image, r, password); err != nil {
		return nil, err
	}
	address, err := c.address(ctx, r)
	if err != nil {
		return nil, err
	}
	u := &url.URL{Scheme: string(r.engine), User: url.UserPassword(r.user, password), Host: address}
	if r.engine == migrate.Postgres {
		u.RawQuery = "sslmode=disable" // it listens on this machine only
	}
	if c.server, err = openServer(u.String()); err != nil {
		return nil, err
	}
	o.progress("waiting for the scratch server from " + image)
	return c, c.ready(ctx)
}

// sweep removes containers that were made but never started, which a run killed in between leaves. Those
// that were started remove themselves.
func (c *containerServer) sweep(ctx context.Context) error {
	found, err := c.docker.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: make(client.Filters).Add("label", label).Add("status", string(container.StateCreated)),
	})
	if err != nil {
		return fmt.Errorf("ask Docker: %w\n  next: start Docker, or set DOCKER_HOST; or --scratch URL for a server of yours", err)
	}
	for _, x := range found.Items {
		if time.Since(time.Unix(x.Created, 0)) > abandoned {
			_, _ = c.docker.ContainerRemove(ctx, x.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		}
	}
	return nil
}

// abandoned is how long a container may take from being made to being started.
const abandoned = 10 * time.Minute

// pull fetches the image where it is missing.
func (c *containerServer) pull(ctx context.Context, image string, o Options) error {
	_, err := c.docker.ImageInspect(ctx, image)
	if !errdefs.IsNotFound(err) {
		return err
	}
	o.progress("pulling the image " + image)
	pulling, err := c.docker.ImagePull(ctx, image, client.ImagePullOptions{})
	if err != nil {
		return fmt.Errorf("pull it: %w", err)
	}
	if err := pulling.Wait(ctx); err != nil {
		return fmt.Errorf("pull it: %w", err)
	}
	return nil
}

// run makes and starts the container, and holds its standard input.
func (c *containerServer) run(ctx context.Context, image string, r recipe, password string) error {
	port, err := network.ParsePort(r.port)
	if err != nil {
		return err
	}
	inspected, err := c.docker.ImageInspect(ctx, image)
	if err != nil {
		return err
	}
	var command []string
	if inspected.Config != nil {
		command = append(append(command, inspected.Config.Entrypoint...), inspected.Config.Cmd...)
	}
	bounded, cancel := detached(ctx) // not to be cancelled: the container could be made without our knowing its ID
	defer cancel()
	made, err := c.docker.ContainerCreate(bounded, client.ContainerCreateOptions{
		Config: &container.Config{
			Image: image, Env: append(r.env, r.password+"="+password), Labels: map[string]string{label: "true"},
			Entrypoint: []string{"/bin/sh", "-c", watch, "scratch"}, Cmd: append(command, r.args...),
			AttachStdin: true, OpenStdin: true, StdinOnce: true,
			ExposedPorts: network.PortSet{port: {}},
		},
		HostConfig: &container.HostConfig{
			AutoRemove:   true,
			Tmpfs:        map[string]string{r.data: "rw,mode=1777"},
			PortBindings: network.PortMap{port: {{HostIP: c.bind()}}},
		},
	})
	if err != nil {
		return err
	}
	c.id = made.ID
	// Attached before it starts: from then on the container lives no longer than this process.
	attached, err := c.docker.ContainerAttach(ctx, c.id, client.ContainerAttachOptions{Stream: true, Stdin: true})
	if err != nil {
		return err
	}
	c.stdin = attached.HijackedResponse
	_, err = c.docker.ContainerStart(ctx, c.id, client.ContainerStartOptions{})
	return err
}

// bind is where the container's port is published: on the loopback, but for a daemon on another machine.
func (c *containerServer) bind() netip.Addr {
	if c.host() == "127.0.0.1" {
		return netip.MustParseAddr("127.0.0.1")
	}
	return netip.IPv4Unspecified()
}

// host is the machine the daemon runs on.
func (c *containerServer) host() string {
	u, err := url.Parse(c.docker.DaemonHost())
	if err != nil || u.Hostname() == "" || u.Scheme == "unix" || u.Scheme == "npipe" || u.Hostname() == "localhost" {
		return "127.0.0.1"
	}
	return u.Hostname()
}

// address is where the server is reached.
func (c *containerServer) address(ctx context.Context, r recipe) (string, error) {
	port, err := network.ParsePort(r.port)
	if err != nil {
		return "", err
	}
	found, err := c.docker.ContainerInspect(ctx, c.id, client.ContainerInspectOptions{})
	if err != nil {
		return "", err
	}
	if found.Container.NetworkSettings != nil {
		for _, b := range found.Container.NetworkSettings.Ports[port] {
			return net.JoinHostPort(c.host(), b.HostPort), nil
		}
	}
	return "", fmt.Errorf("the container publishes no port: it is %s", found.Container.State.Status)
}

// patience is how long a server may take to come up, and pause how long it is left alone in between.
const (
	patience = 2 * time.Minute
	pause    = 100 * time.Millisecond
)

// ready waits until the server lets clients in.
func (c *containerServer) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		db, err := database.Open(ctx, c.url.String(), database.Options{})
		if err == nil {
			return db.Close()
		}
		if found, ierr := c.docker.ContainerInspect(ctx, c.id, client.ContainerInspectOptions{}); errdefs.IsNotFound(ierr) || ierr == nil && !found.Container.State.Running {
			return fmt.Errorf("its server ended at once (%w)", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("its server does not answer: %w (%w)", context.Cause(ctx), err)
		case <-time.After(pause):
		}
	}
}

// Create implements Server.
func (c *containerServer) Create(ctx context.Context) (*Database, error) {
	d, err := c.server.Create(ctx)
	if err == nil {
		d.Alone = true
	}
	return d, err
}

// Close implements Server: it removes the container.
func (c *containerServer) Close() error { return c.remove(c.ctx) }

func (c *containerServer) remove(ctx context.Context) error {
	defer func() { _ = c.docker.Close() }()
	if c.stdin.Conn != nil {
		defer c.stdin.Close()
	}
	if c.id == "" {
		return nil
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	_, err := c.docker.ContainerRemove(ctx, c.id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // a conflict: it is being removed
		return fmt.Errorf("remove the scratch server's container %.12s: %w\n  next: docker rm -f %.12s", c.id, err, c.id)
	}
	return nil
}
