package demo

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/service/engine"
	"github.com/switchbackdb/switchback/internal/secret"
)

// stand is what the demo puts on a Docker engine: a network, a database, an image of the shop, and an NGINX where one is
// wanted. Everything has the label of its name, by which it is removed.
type stand struct {
	name   string // unique: of the application, the network and the image
	engine *client.Client
	say    func(format string, args ...any)
	swarm  bool // the shop is services of the engine's swarm
}

// labelDemo marks what the demo has made; labelApplication is that of the driver for Docker.
const (
	labelDemo        = "switchback.demo"
	labelApplication = "switchback.application"
)

// newStand opens the engine. Nothing is made yet.
func newStand(ctx context.Context, say func(format string, args ...any)) (*stand, error) {
	c, err := client.New(client.FromEnv)
	if err != nil {
		return nil, fmt.Errorf("open Docker: %w\n  next: check DOCKER_HOST, DOCKER_CERT_PATH and DOCKER_TLS_VERIFY", err)
	}
	s := &stand{name: "demo-" + random(3), engine: c, say: say}
	if !engine.OnThisMachine(c.DaemonHost()) {
		_ = c.Close()
		return nil, errors.New("the Docker engine is on another machine, where the demo reaches nothing\n  next: run it where the engine is, or unset DOCKER_HOST")
	}
	if _, err := c.Ping(ctx, client.PingOptions{}); err != nil {
		_ = c.Close()
		return nil, engine.Explain(err)
	}
	return s, nil
}

// random is so many bytes nobody can guess, as text.
func random(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails, see crypto/rand
	return hex.EncodeToString(b)
}

// connect makes the network that the database and the shop share: of a bridge, or an overlay where the shop is a service
// of a swarm.
func (s *stand) connect(ctx context.Context, driver string) error {
	_, err := s.engine.NetworkCreate(ctx, s.name, client.NetworkCreateOptions{Driver: driver, Attachable: driver == overlay, Labels: s.labels()})
	if err != nil {
		return fmt.Errorf("make the network %s: %w", s.name, engine.Explain(err))
	}
	return nil
}

func (s *stand) labels() map[string]string { return map[string]string{labelDemo: s.name} }

// server is a database as the demo runs it.
type server struct {
	image string
	port  string
	env   []string
	url   string // with %s for where it is
}

// serverOf is the server of an engine, with a password of its own.
func serverOf(name, image string) (server, error) {
	password := random(12)
	switch name {
	case "postgres":
		return server{image, "5432/tcp", []string{"POSTGRES_PASSWORD=" + password, "POSTGRES_DB=shop"}, "postgres://postgres:" + password + "@%s/shop?sslmode=disable"}, nil
	case "mysql":
		return server{image, "3306/tcp", []string{"MYSQL_ROOT_PASSWORD=" + password, "MYSQL_DATABASE=shop"}, "mysql://root:" + password + "@%s/shop"}, nil
	}
	return server{}, fmt.Errorf("--database %s: want postgres or mysql", name)
}

// database starts the database and waits until it answers. It returns its URL for this machine, and that for the
// containers of the network.
func (s *stand) database(ctx context.Context, d server) (here, inside string, err error) {
	if err := s.image(ctx, d.image, "--database-image"); err != nil {
		return "", "", err
	}
	port := network.MustParsePort(d.port)
	id, err := s.run(ctx, "database", client.ContainerCreateOptions{
		Config: &container.Config{Image: d.image, Env: d.env, ExposedPorts: network.PortSet{port: {}}, Labels: s.labels()},
		HostConfig: &container.HostConfig{
			NetworkMode:  container.NetworkMode(s.name),
			PortBindings: network.PortMap{port: {{HostIP: netip.MustParseAddr("127.0.0.1")}}},
		},
	})
	if err != nil {
		return "", "", err
	}
	found, err := s.engine.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return "", "", engine.Explain(err)
	}
	bound := found.Container.NetworkSettings.Ports[port]
	if len(bound) == 0 {
		return "", "", fmt.Errorf("the database's port is not published\n  next: docker logs %s", s.name+"-database")
	}
	here = fmt.Sprintf(d.url, "127.0.0.1:"+bound[0].HostPort)
	inside = fmt.Sprintf(d.url, fmt.Sprintf("%s-database:%d", s.name, port.Num()))
	return here, inside, s.until(ctx, "the database", "database", func() error {
		db, err := database.Open(ctx, here, database.Options{})
		if err != nil {
			return err
		}
		return db.Close()
	})
}

// startWithin is how long a container's program may take to start.
const startWithin = 3 * time.Minute

// until waits until something that was started in a container answers.
func (s *stand) until(ctx context.Context, what, name string, ask func() error) error {
	for deadline := time.Now().Add(startWithin); ; {
		err := ask()
		if err == nil {
			return nil
		}
		if ended := s.ended(ctx, name); ended != nil {
			return fmt.Errorf("%s: %w", what, ended)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not answer after %s: %w\n  next: the same with --keep DIR, then: docker logs %s-%s", what, startWithin, err, s.name, name)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// ended is why a container does not run any more; nil while it does.
func (s *stand) ended(ctx context.Context, name string) error {
	found, err := s.engine.ContainerInspect(ctx, s.name+"-"+name, client.ContainerInspectOptions{})
	if err != nil || found.Container.State.Running {
		return nil //nolint:nilerr // the engine may be asked again
	}
	says, err := engine.LastLines(ctx, s.engine, found.Container, secret.Hide(nil))
	return errors.Join(fmt.Errorf("its container exited with code %d: %s", found.Container.State.ExitCode, says), err)
}

// run makes and starts a container of the demo.
func (s *stand) run(ctx context.Context, what string, o client.ContainerCreateOptions) (id string, err error) {
	o.Name = s.name + "-" + what
	made, err := s.engine.ContainerCreate(ctx, o)
	if err != nil {
		return "", fmt.Errorf("make the container %s: %w", o.Name, engine.Explain(err))
	}
	if _, err := s.engine.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		return "", fmt.Errorf("start the container %s: %w", o.Name, engine.Explain(err))
	}
	return made.ID, nil
}

// image pulls an image that the engine does not have; flag is the one that names another.
func (s *stand) image(ctx context.Context, name, flag string) error {
	_, err := s.engine.ImageInspect(ctx, name)
	if err == nil || !errdefs.IsNotFound(err) {
		return engine.Explain(err)
	}
	s.say("pulling %s …", name)
	pulled, err := s.engine.ImagePull(ctx, name, client.ImagePullOptions{})
	if err == nil {
		err = pulled.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("pull %s: %w\n  next: docker load -i FILE, or %s NAME, one that the engine has", name, err, flag)
	}
	return nil
}

// shop builds the image of the shop: this binary, and nothing else.
func (s *stand) shop(ctx context.Context, executable string) error {
	if err := standsAlone(executable); err != nil {
		return err
	}
	binary, err := os.ReadFile(executable)
	if err != nil {
		return err
	}
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for _, f := range []struct {
		name    string
		content []byte
	}{
		{"Dockerfile", []byte("FROM scratch\nCOPY switchback /switchback\nEXPOSE 8080\nENTRYPOINT [\"/switchback\"]\n")},
		{"switchback", binary},
	} {
		err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o755, Size: int64(len(f.content))})
		if err == nil {
			_, err = w.Write(f.content)
		}
		if err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	built, err := s.engine.ImageBuild(ctx, &files, client.ImageBuildOptions{Tags: []string{s.name}, Labels: s.labels(), Remove: true, ForceRemove: true})
	if err != nil {
		return fmt.Errorf("build the shop's image: %w", engine.Explain(err))
	}
	defer built.Body.Close()
	return buildSaid(built.Body)
}

// program is where switchback is in an image of the shop.
func (s *stand) program(ctx context.Context, image string) (string, error) {
	found, err := s.engine.ImageInspect(ctx, image)
	if err != nil {
		return "", engine.Explain(err)
	}
	if found.Config == nil || len(found.Config.Entrypoint) == 0 {
		return "", fmt.Errorf("the image %s has no entry point\n  next: name one whose entry point is switchback: --image NAME", image)
	}
	return found.Config.Entrypoint[0], nil
}

// buildSaid reads what the engine says of a build, which is where its errors are.
func buildSaid(r io.Reader) error {
	for d := json.NewDecoder(r); ; {
		var line struct{ Error string }
		if err := d.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("build the shop's image: %w", err)
		}
		if line.Error != "" {
			return fmt.Errorf("build the shop's image: %s", line.Error)
		}
	}
}

// standsAlone tells whether this binary runs in an image that has nothing else.
func standsAlone(executable string) error {
	const next = "next: use a release of switchback for Linux, build it with CGO_ENABLED=0, or name an image that has one as its entry point: --image NAME"
	f, err := elf.Open(executable)
	if err != nil {
		return fmt.Errorf("this binary does not run in a Linux container: %w\n  %s", err, next)
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("this binary needs libraries that an empty image does not have\n  %s", next)
		}
	}
	return nil
}

// What an NGINX is configured with at first, and then: the address, and the folder of the include. A server with the
// include cannot be started before the first release has written that.
const (
	idleConfig  = "daemon off;\nevents {}\nhttp { access_log off; server { listen %[1]s; return 503; } }\n"
	nginxConfig = `daemon off;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_timeout 0;  # of clients: a worker that ends closes kept connections, perhaps as a request comes; see keepalive_min_timeout
    include %[2]s/switchback.conf;
    server {
        listen %[1]s;
        location / {
            proxy_pass http://$switchback;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
}
`
)

// nginx starts an NGINX that takes requests at the address, with its configuration in the folder dir, which it has at the
// same path. It is on the network of this machine, where its beacon is asked.
func (s *stand) nginx(ctx context.Context, image, dir, address string) error {
	if err := s.image(ctx, image, "--nginx-image"); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, idleConfig, address), 0o644); err != nil {
		return err
	}
	_, err := s.run(ctx, "nginx", client.ContainerCreateOptions{
		Config:     &container.Config{Image: image, Entrypoint: []string{"nginx"}, Cmd: []string{"-c", file}, Labels: s.labels()},
		HostConfig: &container.HostConfig{NetworkMode: "host", Binds: []string{dir + ":" + dir}},
	})
	if err != nil {
		return err
	}
	if err := s.until(ctx, "NGINX", "nginx", func() error { return reached(ctx, "http://"+address) }); err != nil {
		return err
	}
	return os.WriteFile(file, fmt.Appendf(nil, nginxConfig, address, dir), 0o644)
}

// reached tells whether anything answers at a URL.
func reached(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Timeout: time.Second}).Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// clear removes everything, whether or not it was made.
func (s *stand) clear(ctx context.Context) error {
	var failed error
	keep := func(err error) {
		if err != nil && !errdefs.IsNotFound(err) {
			failed = errors.Join(failed, engine.Explain(err))
		}
	}
	keep(s.clearSwarm(ctx))
	for _, label := range []string{labelDemo, labelApplication} {
		filters := make(client.Filters).Add("label", label+"="+s.name)
		containers, err := s.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
		keep(err)
		for _, c := range containers.Items {
			_, err := s.engine.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
			keep(err)
		}
		volumes, err := s.engine.VolumeList(ctx, client.VolumeListOptions{Filters: filters})
		keep(err)
		for _, v := range volumes.Items {
			_, err := s.engine.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{})
			keep(err)
		}
	}
	keep(s.disconnect(ctx))
	_, err := s.engine.ImageRemove(ctx, s.name, client.ImageRemoveOptions{Force: true, PruneChildren: true})
	keep(err)
	return failed
}

// disconnect removes the network, until it is gone: a swarm lets go of it a moment after the last task that was on it, and
// the engine a moment after it has said that it is removed.
func (s *stand) disconnect(ctx context.Context) error {
	for deadline := time.Now().Add(20 * time.Second); ; {
		_, err := s.engine.NetworkRemove(ctx, s.name, client.NetworkRemoveOptions{})
		if errdefs.IsNotFound(err) {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// removal is the command that removes by hand what was kept.
func (s *stand) removal() string {
	text := `docker rm -fv $(docker ps -aq --filter label=switchback.demo=NAME) $(docker ps -aq --filter label=switchback.application=NAME)
  docker volume rm $(docker volume ls -q --filter label=switchback.application=NAME); docker network rm NAME; docker rmi NAME`
	if s.swarm {
		text = `docker service rm $(docker service ls -q --filter label=switchback.application=NAME)
  docker config rm $(docker config ls -q --filter label=switchback.application=NAME)
  docker rm -fv NAME-database; docker network rm NAME; docker rmi NAME`
	}
	return strings.ReplaceAll(text, "NAME", s.name)
}
