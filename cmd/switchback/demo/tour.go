package demo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/router/proxy"
	"github.com/switchbackdb/switchback/internal/freeport"
)

// Tour is how the demo runs on containers: what it does is what a person would type, in a project that it makes, with load
// on the shop all the time.
type Tour struct {
	Options
	On            string // docker or swarm, with the built-in proxy as the router, nginx, or kubernetes
	Database      string // postgres or mysql
	DatabaseImage string
	NGINXImage    string
	Image         string // of the shop, with switchback as its entry point; empty for one that is built from Executable
	Keep          bool   // leave everything there
	Context       string // of the kubeconfig, where On is kubernetes; empty for the current one
	DatabaseURL   string // of a server that this machine and the pods reach, where On is kubernetes
}

// Platforms are what Tour.On may be.
func Platforms() []string { return []string{"docker", "nginx", "swarm", Kubernetes} }

// tourConfig is the project's configuration.
const tourConfig = `environments:
  shop:
    url: %[1]q
release:
  application: %[2]s
  strategy: bluegreen
  steps: [10, 50, 100]
  pause: 1s
  bake: 1s
  service:
    image: %[3]s
    network: %[2]s
    command: [shop, --version, "{{version}}", --listen, "{{address}}"]
    env: {SHOP_DB: %[4]q}
    port: 8080
`

// What the configuration has of the service, in a container and in a task of a swarm. That is asked for its health inside, by
// the program of the image, and published on the machine's own port: not every kernel has what a swarm's mesh needs.
const (
	inContainers = `    driver: docker
    health: /healthz
`
	inSwarm = `    driver: swarm
    healthcheck: {command: [%q, shop, --probe, "http://127.0.0.1:8080/healthz"], interval: 500ms, timeout: 5s, retries: 3}
    ports: 18000-18099
    publish_mode: host
`
)

// nginxRouter is what the configuration has where an NGINX is the router.
const nginxRouter = `  router:
    driver: nginx
    include: %[1]s/switchback.conf
    beacon: %[2]s
    test: [docker, exec, %[3]s-nginx, nginx, -c, %[1]s/nginx.conf, -t]
    reload: [docker, exec, %[3]s-nginx, nginx, -c, %[1]s/nginx.conf, -s, reload]
`

// merges is the operation that v2 needs, on each database.
func merges(database string) string {
	if database == "mysql" {
		return "merge columns customers (first_name, last_name) into full_name varchar(400) = (concat(first_name, ' ', last_name)) down (substring_index(full_name, ' ', 1)), (substring(full_name, locate(' ', concat(full_name, ' ')) + 1))"
	}
	return "merge columns customers (first_name, last_name) into full_name text = (first_name || ' ' || last_name) down (split_part(full_name, ' ', 1)), (substr(full_name, strpos(full_name || ' ', ' ') + 1))"
}

// tour is one under way.
type tour struct {
	Tour
	timeline
	stand *stand
	db    database.Database
	mu    sync.Mutex // held while a line is written
}

// Run sets everything up, tells the story, and takes everything down again, also when the context ends in its midst.
func (o Tour) Run(ctx context.Context) (result *Result, err error) {
	t := &tour{Tour: o, timeline: timeline{out: o.Out, begun: time.Now()}}
	if t.On == Kubernetes {
		return t.onCluster(ctx)
	}
	if t.stand, err = newStand(ctx, func(format string, args ...any) { t.print("  " + fmt.Sprintf(format, args...)) }); err != nil {
		return nil, err
	}
	defer func() { _ = t.stand.engine.Close() }()
	if !o.Keep {
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			if cerr := t.stand.clear(ctx); cerr != nil {
				err = errors.Join(err, fmt.Errorf("something of the demo is still there: %w\n  next: %s", cerr, t.stand.removal()))
			}
		}()
	}
	base, stop, err := t.prepare(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	result, err = t.tell(ctx, base)
	if err == nil && o.Keep {
		t.print(fmt.Sprintf("\n  it all stays; to remove it:\n  %s", t.stand.removal()))
	}
	return result, err
}

// prepare makes the network, the database, the image, the project and the router. It returns the router's URL, and what
// ends the router.
func (t *tour) prepare(ctx context.Context) (base string, stop func() error, err error) {
	d, err := serverOf(t.Database, t.DatabaseImage)
	if err != nil {
		return "", nil, err
	}
	network := "bridge"
	if t.On == "swarm" {
		network = overlay
		if err := t.stand.onSwarm(ctx); err != nil {
			return "", nil, err
		}
	}
	t.chapter("A network, %s in a container, and an image of the shop, which is this binary.", t.DatabaseImage)
	if err := t.stand.connect(ctx, network); err != nil {
		return "", nil, err
	}
	image := t.Image
	if image == "" {
		image = t.stand.name
		if err := t.stand.shop(ctx, t.Executable); err != nil {
			return "", nil, err
		}
	}
	here, inside, err := t.stand.database(ctx, d)
	if err != nil {
		return "", nil, err
	}
	if t.db, err = database.Open(ctx, here, database.Options{}); err != nil {
		return "", nil, err
	}
	stop = t.db.Close
	if err := t.fill(ctx); err != nil {
		return "", nil, errors.Join(err, stop())
	}
	service, err := t.service(ctx, image)
	if err != nil {
		return "", nil, errors.Join(err, stop())
	}
	config := fmt.Sprintf(tourConfig, here, t.stand.name, image, inside) + service
	base, more, end, err := t.router(ctx)
	if err != nil {
		return "", nil, errors.Join(err, stop())
	}
	stop = func() error { return errors.Join(end(), t.db.Close()) }
	// It has the database's password.
	if err := os.WriteFile(filepath.Join(t.Dir, "switchback.yaml"), []byte(config+more), 0o600); err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return base, stop, nil
}

// service is what the configuration has of the service.
func (t *tour) service(ctx context.Context, image string) (string, error) {
	if t.On != "swarm" {
		return inContainers, nil
	}
	program, err := t.stand.program(ctx, image)
	return fmt.Sprintf(inSwarm, program), err
}

// fill makes the shop's table and its first customers.
func (t *tour) fill(ctx context.Context) error {
	id := "bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"
	if t.Database == "mysql" {
		id = "bigint AUTO_INCREMENT PRIMARY KEY"
	}
	create := "CREATE TABLE customers (id " + id + ", first_name varchar(200) NOT NULL DEFAULT '', last_name varchar(200) NOT NULL DEFAULT '')"
	if _, err := t.db.DB().ExecContext(ctx, create); err != nil {
		return fmt.Errorf("make the shop's table: %w", err)
	}
	for first := 1; first <= t.Customers; first += 1000 {
		var rows []string
		for i := first; i < first+1000 && i <= t.Customers; i++ {
			rows = append(rows, fmt.Sprintf("('Ada%d', 'Lovelace%d')", i, i))
		}
		if _, err := t.db.DB().ExecContext(ctx, "INSERT INTO customers (first_name, last_name) VALUES "+strings.Join(rows, ", ")); err != nil {
			return fmt.Errorf("fill the shop's table: %w", err)
		}
	}
	return nil
}

// router starts what takes the shop's requests: the built-in proxy in this process, or an NGINX in a container. It returns
// its URL, what the configuration says of it, and what ends it.
func (t *tour) router(ctx context.Context) (base, config string, end func() error, err error) {
	if t.On == "nginx" {
		return t.behindNGINX(ctx)
	}
	if err := os.MkdirAll(filepath.Join(t.Dir, ".switchback"), 0o700); err != nil {
		return "", "", nil, err
	}
	path := func(name string) string { return filepath.Join(t.Dir, ".switchback", name) }
	server, err := proxy.Listen(ctx, proxy.Config{
		Listen: "127.0.0.1:0", StateFile: path("proxy.json"), AdminSocket: path("proxy.sock"), Health: proxy.Health{Path: "/healthz"},
	})
	if err != nil {
		return "", "", nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(running) }()
	return "http://" + server.Addr().String(), "", func() error { stop(); return <-ended }, nil
}

func (t *tour) behindNGINX(ctx context.Context) (base, config string, end func() error, err error) {
	if _, err := exec.LookPath("docker"); err != nil {
		return "", "", nil, fmt.Errorf("NGINX is reloaded by the docker command: %w\n  next: install it, or: switchback demo --on docker", err)
	}
	public, err := freeport.Address(ctx)
	if err != nil {
		return "", "", nil, err
	}
	beacon, err := freeport.Address(ctx)
	if err != nil {
		return "", "", nil, err
	}
	dir := filepath.Join(t.Dir, "nginx")
	if err := t.stand.nginx(ctx, t.NGINXImage, dir, public); err != nil {
		return "", "", nil, err
	}
	return "http://" + public, fmt.Sprintf(nginxRouter, dir, beacon, t.stand.name), func() error { return nil }, nil
}

// tell is the story.
func (t *tour) tell(ctx context.Context, base string) (*Result, error) {
	t.chapter("Version v1 of the shop knows its %d customers by first_name and last_name.", t.Customers)
	if err := t.command(ctx, "release", "start", "--version", V1); err != nil {
		return nil, err
	}
	t.chapter("Load at %s: %d requests a second from here to the end, three in four of them writes.", base, t.PerSecond)
	t.load = NewLoad(base)
	loaded, stop := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	tasks.Go(func() { t.load.Run(loaded, t.PerSecond) })
	tasks.Go(func() { t.watch(loaded) })
	err := t.chapters(ctx)
	stop()
	tasks.Wait()
	if err != nil {
		return nil, err
	}
	return t.sums(ctx, t.db.DB(), t.Customers)
}

func (t *tour) chapters(ctx context.Context) error {
	out := ", a share at a time"
	if t.On == Kubernetes { // a Service gives none
		out = ""
	}
	for _, chapter := range []struct {
		says     string
		commands [][]string
	}{
		{
			"Version v2 wants one full_name. The change is planned: expand, backfill, contract, each with its way back.",
			[][]string{{"plan", "full_name", "--op", merges(t.Database)}, {"release", "plan", "--version", V2}},
		},
		{
			"It goes out" + out + ", and waits to be promoted. Each version writes what the other reads.",
			[][]string{{"release", "start", "--version", V2, "--pause"}, {"traffic", "status"}},
		},
		{
			"Promoted: v1 is drained and stopped, its columns go to the attic.",
			[][]string{{"release", "promote"}},
		},
		{
			"And back from even that: the columns leave the attic, v1 is started again. What v2 wrote stays.",
			[][]string{{"release", "rollback"}, {"release", "status"}},
		},
	} {
		t.chapter("%s", chapter.says)
		for _, c := range chapter.commands {
			if err := t.command(ctx, c...); err != nil {
				return err
			}
		}
	}
	return nil
}

// watch says now and then what the load sees.
func (t *tour) watch(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			t.mu.Lock()
			t.line("·", "", "")
			t.mu.Unlock()
		}
	}
}

// command runs a command of switchback in the project, and shows it with what it says.
func (t *tour) command(ctx context.Context, args ...string) error {
	t.print("  $ switchback " + quoted(args))
	c := exec.CommandContext(ctx, t.Executable, args...)
	c.Dir = t.Dir
	c.Env = append(os.Environ(), "NO_COLOR=1")
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 30 * time.Second
	said, writer := io.Pipe()
	var last bytes.Buffer
	c.Stdout, c.Stderr = writer, io.MultiWriter(writer, &last)
	var lines sync.WaitGroup
	lines.Go(func() {
		for s := bufio.NewScanner(said); s.Scan(); {
			t.print("    " + s.Text())
		}
		_, _ = io.Copy(io.Discard, said) // of a line too long to be shown
	})
	err := c.Run()
	_ = writer.Close()
	lines.Wait()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("switchback %s: %w: %s", quoted(args), err, strings.TrimSpace(last.String()))
	}
	return nil
}

// quoted is a command as it is typed.
func quoted(args []string) string {
	var words []string
	for _, a := range args {
		if strings.ContainsAny(a, " '|()") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}

// print writes a line.
func (t *tour) print(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintln(t.out, line)
}
