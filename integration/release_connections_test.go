package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/internal/freeport"
)

// crowd is clients of every kind, each of which does the same over and over until it is told to end.
type crowd struct {
	t        *testing.T
	url      string
	orders   *http.Client
	others   *http.Client
	stop     chan struct{}
	all      sync.WaitGroup
	done     map[string]*atomic.Int64
	ordered  atomic.Int64
	failures chan error
	versions sync.Map // that have answered
}

// connections builds the application that the clients ask.
func connections(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "connections")
	build := exec.Command("go", "build", "-o", path, "./testdata/connections")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // for an image with nothing else in it
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// connectionsImage is an image of that. Its files belong to whoever runs the tests.
func connectionsImage(t *testing.T, engine *client.Client) string {
	t.Helper()
	return servers.Image(t, engine, connections(t), fmt.Sprintf("USER %d:%d\nEXPOSE 8080\nENTRYPOINT [\"/program\"]\n", os.Getuid(), os.Getgid()))
}

// onNGINX puts an NGINX before the stage, and returns what the configuration says of it.
func (s *stage) onNGINX() (config string) {
	t := s.t
	n, err := servers.StartNGINX(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Stop()) })
	beacon, err := freeport.Address(t.Context())
	require.NoError(t, err)
	include := filepath.Join(n.Dir, "switchback.conf")
	require.NoError(t, n.Configure("map $http_upgrade $connection_upgrade { default upgrade; '' ''; }\n    include "+include+";",
		`proxy_pass http://$switchback; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; proxy_request_buffering off;`))
	s.url = n.URL
	return fmt.Sprintf("  router:\n    driver: nginx\n    include: %s\n    beacon: %s\n    test: [%s]\n    reload: [%s]\n",
		include, beacon, strings.Join(n.Test, ", "), strings.Join(n.Reload, ", "))
}

// TestReleaseConnections takes releases out and back beside clients with orders that must not be repeated, slow uploads,
// WebSockets and connections that are kept: in processes behind the proxy, and in containers that are registered in etcd,
// behind NGINX. That on a swarm is part of TestReleaseSwarm.
func TestReleaseConnections(t *testing.T) {
	slow(t)
	t.Run("proxy", func(t *testing.T) {
		t.Parallel()
		s := emptyStage(t)
		s.set(fmt.Sprintf(`  application: shop
  drain: 30s
  service:
    command: [%q, --version, "{{version}}", --listen, "{{address}}", --orders, orders.txt]
    health: /healthz
`, connections(t)))
		t.Cleanup(s.stopShops)
		s.proxied()
		s.outAndBackBesideAll(&http.Client{Timeout: time.Minute})
	})
	t.Run("docker with etcd and nginx", func(t *testing.T) {
		t.Parallel()
		url, stop, err := servers.StartEtcd(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, stop()) })
		engine := servers.Docker(t)
		s := emptyStage(t)
		s.set(fmt.Sprintf(`  application: %s
  drain: 30s
  discovery: {driver: etcd, endpoints: [%q], prefix: shop}
  service:
    driver: docker
    image: %s
    command: [--version, "{{version}}", --listen, "{{address}}", --orders, /data/orders.txt]
    volumes: [".:/data"]
    health: /healthz
`, servers.Application(t, engine, "switchback.application"), url, connectionsImage(t, engine)) + s.onNGINX())
		// At a reload NGINX closes connections that are idle, maybe while a request is on its way: one that must not be repeated
		// then has no answer. Orders come over connections of their own.
		s.outAndBackBesideAll(&http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}})
	})
}

// testSwarmConnections does so with two services of a swarm behind the proxy.
func testSwarmConnections(t *testing.T) {
	s := newSwarmStage(t)
	s.set(fmt.Sprintf(`  application: %s
  strategy: bluegreen
  healthy: 2m
  drain: 30s
  grace: 5s
  service:
    driver: swarm
    image: %s
    command: [--version, "{{version}}", --listen, "{{address}}", --orders, /data/orders.txt]
    volumes: [".:/data"]
    ports: 28300-28399
    publish_mode: host
    healthcheck: {command: [/program, --probe, "http://127.0.0.1:8080/healthz"], interval: 2s, timeout: 30s, retries: 3}
`, s.application, connectionsImage(t, s.engine)))
	s.proxied()
	s.outAndBackBesideAll(&http.Client{Timeout: time.Minute})
}

func (s *stage) outAndBackBesideAll(orders *http.Client) {
	t := s.t
	run(t, s.dir, "release", "start", "--version", "v1")
	c := &crowd{t: t, url: s.url, orders: orders, others: &http.Client{Timeout: time.Minute}, stop: make(chan struct{}), failures: make(chan error, 1000)}
	c.gather()
	run(t, s.dir, "release", "start", "--version", "v2")
	run(t, s.dir, "release", "rollback")
	run(t, s.dir, "release", "start", "--version", "v3", "--strategy", "canary", "--step", "20", "--step", "60", "--step", "100")
	run(t, s.dir, "release", "rollback")
	c.disperse(filepath.Join(s.dir, "orders.txt"))
	for _, version := range []string{"v1", "v2", "v3"} {
		_, answered := c.versions.Load(version)
		require.True(t, answered, "%s never answered", version)
	}
}

// gather has the clients begin.
func (c *crowd) gather() {
	c.done = map[string]*atomic.Int64{}
	for _, kind := range []struct {
		name    string
		clients int
		pause   time.Duration
		do      func(context.Context) error
	}{
		{"pages", 4, 4 * time.Millisecond, c.page},
		{"orders", 4, 4 * time.Millisecond, c.order},
		{"uploads", 3, time.Millisecond, c.upload},
		{"sockets", 3, time.Millisecond, c.socket},
	} {
		n := &atomic.Int64{}
		c.done[kind.name] = n
		for range kind.clients {
			c.all.Go(func() {
				for {
					select {
					case <-c.stop:
						return
					case <-time.After(kind.pause):
					}
					if err := kind.do(context.WithoutCancel(c.t.Context())); err != nil {
						c.failures <- fmt.Errorf("%s: %w", kind.name, err)
						return
					}
					n.Add(1)
				}
			})
		}
	}
}

// disperse has them end, and wants nothing to have failed and no order to be there twice.
func (c *crowd) disperse(orders string) {
	close(c.stop)
	c.all.Wait()
	close(c.failures)
	for err := range c.failures {
		require.NoError(c.t, err)
	}
	text, err := os.ReadFile(orders)
	require.NoError(c.t, err)
	taken := map[string]int{}
	for _, id := range strings.Fields(string(text)) {
		taken[id]++
	}
	require.Len(c.t, taken, int(c.done["orders"].Load()), "orders that were answered and are there")
	for id, n := range taken {
		require.Equal(c.t, 1, n, "order %s", id)
	}
	for name, n := range c.done {
		require.NotZero(c.t, n.Load(), name)
		c.t.Logf("%d %s", n.Load(), name)
	}
}

func (c *crowd) page(ctx context.Context) error {
	version, err := c.send(ctx, c.others, http.MethodGet, "/version", nil)
	c.versions.Store(version, true)
	return err
}

func (c *crowd) order(ctx context.Context) error {
	_, err := c.send(ctx, c.orders, http.MethodPost, "/orders/"+strconv.FormatInt(c.ordered.Add(1), 10), nil)
	return err
}

// upload takes about a second, and longer than a step of the release.
func (c *crowd) upload(ctx context.Context) error {
	r, w := io.Pipe()
	piece := bytes.Repeat([]byte("x"), 1024)
	go func() {
		for range 50 {
			if _, err := w.Write(piece); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		_ = w.Close()
	}()
	got, err := c.send(ctx, c.others, http.MethodPut, "/upload", r)
	if err == nil && got != "51200" {
		err = fmt.Errorf("51200 bytes were sent, %s arrived", got)
	}
	return err
}

// socket is a conversation of about a second.
func (c *crowd) socket(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	conn, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(c.url, "http")+"/echo", nil)
	if err != nil {
		return err
	}
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
	defer conn.CloseNow()
	for n := range 25 {
		said := fmt.Sprint("message ", n)
		if err := conn.Write(ctx, websocket.MessageText, []byte(said)); err != nil {
			return fmt.Errorf("message %d: %w", n, err)
		}
		_, heard, err := conn.Read(ctx)
		if err != nil {
			return fmt.Errorf("message %d: %w", n, err)
		}
		if string(heard) != said {
			return fmt.Errorf("%q came back as %q", said, heard)
		}
		time.Sleep(40 * time.Millisecond)
	}
	return conn.Close(websocket.StatusNormalClosure, "")
}

func (c *crowd) send(ctx context.Context, client *http.Client, method, path string, body io.Reader) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%s: %s", resp.Status, text))
	}
	return string(text), err
}
