package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/router/proxy"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

// running is a proxy under test with the client that moves its traffic.
type running struct {
	*proxy.Router
	url    string
	addr   string
	config proxy.Config
	stop   func() // ends the proxy and waits for it
}

// start runs a proxy on a free port until the test ends. The changes are made to its configuration.
func start(t testing.TB, changes ...func(*proxy.Config)) *running {
	t.Helper()
	dir := shortDir(t)
	cfg := proxy.Config{
		Listen:      "127.0.0.1:0",
		StateFile:   filepath.Join(dir, "state.json"),
		AdminSocket: filepath.Join(dir, "admin.sock"),
		Timeouts:    proxy.Timeouts{Drain: 5 * time.Second},
	}
	for _, change := range changes {
		change(&cfg)
	}
	server, err := proxy.Listen(t.Context(), cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	stopped := false
	r := &running{
		Router: proxy.NewRouter(cfg.AdminSocket),
		url:    "http://" + server.Addr().String(),
		addr:   server.Addr().String(),
		config: cfg,
	}
	r.stop = func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-done)
		}
	}
	t.Cleanup(r.stop)
	return r
}

// shortDir is a temporary directory whose name leaves room for a Unix socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sbp")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// app starts an application that answers with its name.
func app(t testing.TB, name string) string {
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, name)
	}))
}

// serve starts an application and returns its address.
func serve(t testing.TB, h http.Handler) string {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// deadAddress is an address where nobody listens.
func deadAddress(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// split are the two sides with green's share of the traffic.
func split(blue, green string, weight int) []strategies.Backend {
	return []strategies.Backend{
		{Slot: strategies.Blue, Version: "v1", Address: blue, Weight: 100 - weight},
		{Slot: strategies.Green, Version: "v2", Address: green, Weight: weight},
	}
}

// shift moves the traffic under an operation of its own.
func (r *running) shift(t testing.TB, id string, fence int64, backends []strategies.Backend) strategies.Routing {
	t.Helper()
	routing, err := r.Shift(t.Context(), strategies.Operation{ID: id, Fence: fence}, backends)
	require.NoError(t, err)
	return routing
}

// get returns the status and body of a GET.
func get(t testing.TB, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body)
}

// eventually polls until ok, for ten seconds at most.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 10*time.Second, 5*time.Millisecond, what)
}

func TestNoRoutingYet(t *testing.T) {
	p := start(t)
	routing, err := p.Observe(t.Context())
	require.NoError(t, err)
	require.Empty(t, routing.Backends)
	status, body := get(t, p.url)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Contains(t, body, "no backend is configured")
}

func TestShiftIsFollowedAtOnce(t *testing.T) {
	p := start(t)
	blue, green := app(t, "blue"), app(t, "green")
	for i := range 50 {
		weight, want := 0, "blue"
		if i%2 == 1 {
			weight, want = 100, "green"
		}
		routing := p.shift(t, fmt.Sprint("op", i), 1, split(blue, green, weight))
		require.Equal(t, int64(i+1), routing.Generation)
		_, body := get(t, p.url)
		require.Equal(t, want, body, "the first request after shift %d", i)
	}
}

func TestRouter(t *testing.T) {
	p := start(t)
	conformance.Router(t, p.url, func(*testing.T) strategies.Router { return proxy.NewRouter(p.config.AdminSocket) })
}

func TestRoutingSurvivesRestart(t *testing.T) {
	p := start(t)
	blue, green := app(t, "blue"), app(t, "green")
	want := p.shift(t, "op", 3, split(blue, green, 100))
	p.stop()

	again := start(t, func(c *proxy.Config) { *c = p.config })
	got, err := again.Observe(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, body := get(t, again.url)
	require.Equal(t, "green", body)
	_, err = again.Shift(t.Context(), strategies.Operation{ID: "old", Fence: 2}, split(blue, green, 0))
	require.ErrorIs(t, err, strategies.ErrStaleFence, "the fence survives as well")
}

func TestCorruptStateIsAnErrorThatNamesTheFile(t *testing.T) {
	p := start(t)
	p.shift(t, "op", 3, split(app(t, "blue"), app(t, "green"), 10))
	p.stop()
	whole, err := os.ReadFile(p.config.StateFile)
	require.NoError(t, err)

	states := map[string]string{
		"empty":            "",
		"torn in half":     string(whole[:len(whole)/2]),
		"last byte lost":   strings.TrimSuffix(string(whole), "}\n"),
		"not JSON":         "routing: blue",
		"rubbish behind":   string(whole) + "}",
		"zeroes":           strings.Repeat("\x00", len(whole)),
		"unknown field":    strings.Replace(string(whole), `"fence"`, `"fense"`, 1),
		"impossible split": strings.Replace(string(whole), `"weight": 90`, `"weight": 95`, 1),
		"no backends":      `{"backends":[],"generation":1,"operation":"op","fence":1}`,
		"too large":        strings.Repeat(" ", 1<<20) + string(whole),
	}
	for name, state := range states {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(p.config.StateFile, []byte(state), 0o600))
			_, err := proxy.Listen(t.Context(), p.config)
			require.ErrorIs(t, err, proxy.ErrCorruptState)
			require.ErrorContains(t, err, p.config.StateFile)
			_, err = os.Stat(p.config.AdminSocket)
			require.ErrorIs(t, err, os.ErrNotExist, "nothing was opened")
		})
	}
}

func TestShiftThatCannotBeStoredDoesNotHappen(t *testing.T) {
	p := start(t, func(c *proxy.Config) {
		c.StateFile = filepath.Join(shortDir(t), "state", "state.json")
		require.NoError(t, os.Mkdir(filepath.Dir(c.StateFile), 0o700))
	})
	blue, green := app(t, "blue"), app(t, "green")
	before := p.shift(t, "op1", 1, split(blue, green, 0))
	require.NoError(t, os.RemoveAll(filepath.Dir(p.config.StateFile)))
	_, err := p.Shift(t.Context(), strategies.Operation{ID: "op2", Fence: 1}, split(blue, green, 100))
	require.ErrorContains(t, err, p.config.StateFile)
	after, err := p.Observe(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, after)
	_, body := get(t, p.url)
	require.Equal(t, "blue", body)
}

func TestRouterWithoutProxy(t *testing.T) {
	socket := filepath.Join(shortDir(t), "admin.sock")
	r := proxy.NewRouter(socket)
	_, err := r.Observe(t.Context())
	require.ErrorIs(t, err, proxy.ErrNotRunning)
	require.ErrorContains(t, err, socket)
	_, err = r.Shift(t.Context(), strategies.Operation{ID: "op"}, nil)
	require.ErrorIs(t, err, proxy.ErrNotRunning)
	_, err = r.Drain(t.Context(), "127.0.0.1:1")
	require.ErrorIs(t, err, proxy.ErrNotRunning)
}

func TestAdminSocket(t *testing.T) {
	t.Run("is for its owner only", func(t *testing.T) {
		info, err := os.Stat(start(t).config.AdminSocket)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	})
	t.Run("is not taken from a running proxy", func(t *testing.T) {
		p := start(t)
		_, err := proxy.Listen(t.Context(), p.config)
		require.ErrorContains(t, err, "another proxy is running there")
		_, err = p.Observe(t.Context())
		require.NoError(t, err)
	})
	t.Run("of a dead proxy is replaced", func(t *testing.T) {
		start(t, func(c *proxy.Config) {
			l, err := net.Listen("unix", c.AdminSocket)
			require.NoError(t, err)
			l.(*net.UnixListener).SetUnlinkOnClose(false)
			require.NoError(t, l.Close())
		})
	})
	t.Run("does not replace a file", func(t *testing.T) {
		dir := shortDir(t)
		path := filepath.Join(dir, "notes.txt")
		require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
		_, err := proxy.Listen(t.Context(), proxy.Config{Listen: "127.0.0.1:0", StateFile: filepath.Join(dir, "s"), AdminSocket: path})
		require.ErrorContains(t, err, "no socket is in the way")
		require.FileExists(t, path)
	})
	t.Run("has too long a path", func(t *testing.T) {
		path := filepath.Join(shortDir(t), strings.Repeat("x", 120), "admin.sock")
		_, err := proxy.Listen(t.Context(), proxy.Config{Listen: "127.0.0.1:0", StateFile: filepath.Join(t.TempDir(), "s"), AdminSocket: path})
		require.ErrorContains(t, err, "choose a shorter one")
		_, err = proxy.NewRouter(path).Observe(t.Context())
		require.ErrorContains(t, err, "choose a shorter one")
	})
	t.Run("may be long when it is near", func(t *testing.T) {
		dir := filepath.Join(shortDir(t), strings.Repeat("x", 120))
		require.NoError(t, os.Mkdir(dir, 0o700))
		t.Chdir(dir)
		p := start(t, func(c *proxy.Config) { c.AdminSocket = filepath.Join(dir, "admin.sock") })
		_, err := p.Observe(t.Context())
		require.NoError(t, err)
	})
}

func TestMalformedAdminInput(t *testing.T) {
	p := start(t)
	before := p.shift(t, "op", 1, split(app(t, "blue"), app(t, "green"), 10))
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", p.config.AdminSocket)
	}}}
	defer client.CloseIdleConnections()
	one := func(fields string) string {
		return `{"operation":"x","fence":2,"backends":[{"slot":"blue","weight":100,` + fields + `}]}`
	}
	bad := map[string]string{
		"nothing":         ``,
		"no JSON":         `weights, please`,
		"an array":        `[]`,
		"two values":      one(`"address":"127.0.0.1:1"`) + `{}`,
		"unknown field":   `{"operation":"x","fence":2,"force":true,"backends":[]}`,
		"no operation":    `{"fence":2,"backends":[{"slot":"blue","address":"127.0.0.1:1","weight":100}]}`,
		"no backends":     `{"operation":"x","fence":2,"backends":[]}`,
		"no port":         one(`"address":"127.0.0.1"`),
		"port 0":          one(`"address":"127.0.0.1:0"`),
		"port too large":  one(`"address":"127.0.0.1:65536"`),
		"no host":         one(`"address":":80"`),
		"a URL":           one(`"address":"http://127.0.0.1:80"`),
		"line break":      one(`"address":"a\r\nb:80"`),
		"weight as text":  `{"operation":"x","fence":2,"backends":[{"slot":"blue","address":"a:1","weight":"100"}]}`,
		"weight too low":  `{"operation":"x","fence":2,"backends":[{"slot":"blue","address":"a:1","weight":99}]}`,
		"weight negative": `{"operation":"x","fence":2,"backends":[{"slot":"blue","address":"a:1","weight":110},{"slot":"green","address":"a:2","weight":-10}]}`,
		"slot twice":      `{"operation":"x","fence":2,"backends":[{"slot":"blue","address":"a:1","weight":50},{"slot":"blue","address":"a:2","weight":50}]}`,
		"address twice":   `{"operation":"x","fence":2,"backends":[{"slot":"blue","address":"a:1","weight":50},{"slot":"green","address":"a:1","weight":50}]}`,
		"slot red":        `{"operation":"x","fence":2,"backends":[{"slot":"red","address":"a:1","weight":100}]}`,
		"too large":       strings.Repeat(" ", 2<<20),
	}
	for name, body := range bad {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://proxy/routing", strings.NewReader(body))
			require.NoError(t, err)
			resp, err := client.Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, resp.StatusCode, "%s", text)
			require.Contains(t, string(text), `"code":"invalid"`)
			after, err := p.Observe(t.Context())
			require.NoError(t, err)
			require.Equal(t, before, after)
		})
	}
	_, err := p.Shift(t.Context(), strategies.Operation{ID: "x", Fence: 2}, split("nowhere", "127.0.0.1:1", 5))
	require.ErrorIs(t, err, strategies.ErrInvalidRouting)
}
