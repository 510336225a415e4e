package nginx

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/internal/freeport"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

// stage is a real NGINX whose configuration includes what a Router writes; it has not loaded that yet.
type stage struct {
	*servers.NGINX
	options Options
	ops     int
}

func start(t *testing.T) *stage {
	t.Helper()
	if testing.Short() {
		t.Skip("needs NGINX")
	}
	dir, err := os.MkdirTemp("", "sbn") // a socket's path has to be short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	n, err := servers.StartNGINX(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Stop()) })
	address, err := freeport.Address(t.Context())
	require.NoError(t, err)
	s := &stage{NGINX: n, options: Options{Include: filepath.Join(dir, "switchback.conf"), Beacon: address, Test: n.Test, Reload: n.Reload}}
	require.NoError(t, n.Include(s.options.Include))
	return s
}

// router is a Router with changes to its options.
func (s *stage) router(t *testing.T, changes ...func(*Options)) *Router {
	t.Helper()
	o := s.options
	for _, change := range changes {
		change(&o)
	}
	r, err := New(o)
	require.NoError(t, err)
	return r
}

func all(address string) []strategies.Backend {
	return []strategies.Backend{{Slot: strategies.Green, Version: "v1", Address: address, Weight: 100}}
}

// op is an operation of its own.
func (s *stage) op() strategies.Operation {
	s.ops++
	return strategies.Operation{ID: fmt.Sprint("op", s.ops), Fence: 1}
}

func (s *stage) shift(t *testing.T, address string) strategies.Routing {
	t.Helper()
	routing, err := s.router(t).Shift(t.Context(), s.op(), all(address))
	require.NoError(t, err)
	return routing
}

func (s *stage) get(t *testing.T) string {
	t.Helper()
	resp, err := http.Get(s.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

// serves wants the backend to be in force for NGINX, its clients and the files.
func (s *stage) serves(t *testing.T, name, address string, generation int64) {
	t.Helper()
	require.Equal(t, name, s.get(t))
	routing, err := s.router(t).Observe(t.Context())
	require.NoError(t, err)
	require.Equal(t, generation, routing.Generation)
	require.Equal(t, address, routing.Backends[0].Address)
	target, err := os.Readlink(s.options.Include)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("switchback.conf.d/gen-%d.conf", generation), target)
}

// app is an application that answers with its name.
func app(t *testing.T, name string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestRouter(t *testing.T) {
	s := start(t)
	conformance.Router(t, s.URL, func(t *testing.T) strategies.Router { return s.router(t) })
	list, err := s.router(t).files.numbers()
	require.NoError(t, err)
	require.LessOrEqual(t, len(list), kept+1, "old generations are removed")
}

func TestBeaconOnASocket(t *testing.T) {
	s := start(t)
	s.options.Beacon = "unix:" + filepath.Join(s.Dir, "beacon.sock")
	blue := app(t, "blue")
	s.shift(t, blue)
	s.shift(t, blue)
	s.serves(t, "blue", blue, 2)
}

// TestBadConfigurationIsHeldBack has NGINX refuse what nginx.conf says elsewhere.
func TestBadConfigurationIsHeldBack(t *testing.T) {
	s := start(t)
	blue, green := app(t, "blue"), app(t, "green")
	s.shift(t, blue)
	require.NoError(t, s.Configure("include "+s.options.Include+"; no_such_directive on;", "proxy_pass http://$switchback;"))
	_, err := s.router(t).Shift(t.Context(), s.op(), all(green))
	require.ErrorContains(t, err, `unknown directive "no_such_directive"`, "NGINX's own words")
	require.ErrorContains(t, err, "NGINX serves generation 1 as before")
	s.serves(t, "blue", blue, 1)

	require.NoError(t, s.Include(s.options.Include))
	s.shift(t, green)
	s.serves(t, "green", green, 3)
}

// TestFirstConfigurationIsHeldBack leaves no link behind that would keep NGINX from starting.
func TestFirstConfigurationIsHeldBack(t *testing.T) {
	s := start(t)
	require.NoError(t, s.Configure("include "+s.options.Include+"; no_such_directive on;", "return 503;"))
	_, err := s.router(t).Shift(t.Context(), s.op(), all(app(t, "blue")))
	require.ErrorContains(t, err, "no_such_directive")
	_, err = os.Lstat(s.options.Include)
	require.ErrorIs(t, err, os.ErrNotExist)
	routing, err := s.router(t).Observe(t.Context())
	require.NoError(t, err)
	require.Empty(t, routing.Backends)
}

// TestReloadThatDoesNotTakeIsFlippedBack has a reload that reports success and loads nothing.
func TestReloadThatDoesNotTakeIsFlippedBack(t *testing.T) {
	s := start(t)
	blue, green := app(t, "blue"), app(t, "green")
	s.shift(t, blue)
	_, err := s.router(t, func(o *Options) { o.Reload, o.Timeout = []string{"true"}, 3*time.Second }).Shift(t.Context(), s.op(), all(green))
	require.ErrorContains(t, err, "3s after the reload NGINX still serves generation 1")
	require.ErrorContains(t, err, "NGINX serves generation 1 as before")
	s.serves(t, "blue", blue, 1)

	_, err = s.router(t, func(o *Options) { o.Test = []string{"sleep", "10"}; o.Timeout = time.Second }).Shift(t.Context(), s.op(), all(green))
	require.ErrorContains(t, err, "sleep 10: context deadline exceeded")
	s.serves(t, "blue", blue, 1)
}

func TestIncludeIsForgotten(t *testing.T) {
	s := start(t)
	require.NoError(t, s.Configure("", "return 503;"))
	_, err := s.router(t, func(o *Options) { o.Timeout = time.Second }).Shift(t.Context(), s.op(), all(app(t, "blue")))
	require.ErrorContains(t, err, "is there an include "+s.options.Include+"; in its http block?")
}

// TestForeignEdits refuses what somebody else has changed, and says what to run.
func TestForeignEdits(t *testing.T) {
	s := start(t)
	blue, green := app(t, "blue"), app(t, "green")
	s.shift(t, blue)
	conf := s.options.Include + ".d/gen-1.conf"
	written, err := os.ReadFile(conf)
	require.NoError(t, err)
	for what, c := range map[string]struct {
		do   func() error
		want string
	}{
		"edited": {func() error {
			return os.WriteFile(conf, []byte(strings.Replace(string(written), blue, green, 1)), 0o600)
		}, `line 3 is "server ` + green + `;", switchback wrote "server ` + blue + `;"`},
		"replaced": {func() error {
			return exec.Command("sh", "-c", "rm "+s.options.Include+" && cp "+conf+" "+s.options.Include).Run()
		}, "is no link of switchback's"},
		"gone":      {func() error { return os.Remove(s.options.Include) }, "is gone"},
		"elsewhere": {func() error { return exec.Command("ln", "-sfn", "other.conf", s.options.Include).Run() }, "points to other.conf"},
	} {
		require.NoError(t, c.do(), what)
		_, err := s.router(t).Shift(t.Context(), s.op(), all(green))
		require.ErrorIs(t, err, strategies.ErrForeignChange, what)
		require.ErrorContains(t, err, c.want, what)
		_, err = s.router(t).Observe(t.Context())
		require.ErrorIs(t, err, strategies.ErrForeignChange, what)
		require.Equal(t, "blue", s.get(t), what)

		_, command, found := strings.Cut(err.Error(), ": cp ")
		command = "cp " + command
		if !found {
			_, command, found = strings.Cut(err.Error(), ": ln ")
			command = "ln " + command
		}
		require.True(t, found, "%s: %v", what, err)
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = s.Dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s: %s", what, command, out)
		s.serves(t, "blue", blue, 1)
	}
	s.shift(t, green)
	s.serves(t, "green", green, 2)

	// Something else is at the path from the beginning.
	o := s.options
	o.Include = filepath.Join(s.Dir, "theirs.conf")
	require.NoError(t, os.WriteFile(o.Include, []byte("# theirs"), 0o600))
	r, err := New(o)
	require.NoError(t, err)
	_, err = r.Shift(t.Context(), s.op(), all(green))
	require.ErrorIs(t, err, strategies.ErrForeignChange)
	require.ErrorContains(t, err, "mv "+o.Include)
}

// TestAnotherGenerationIsServed is an NGINX that loaded something else meanwhile.
func TestAnotherGenerationIsServed(t *testing.T) {
	s := start(t)
	s.shift(t, app(t, "blue"))
	o := s.options
	o.Include = filepath.Join(s.Dir, "other.conf")
	r, err := New(o)
	require.NoError(t, err)
	_, err = r.Observe(t.Context())
	require.ErrorIs(t, err, strategies.ErrForeignChange)
}

func TestNotRunning(t *testing.T) {
	s := start(t)
	blue := app(t, "blue")
	s.shift(t, blue)
	require.NoError(t, s.Stop())
	_, err := s.router(t).Observe(t.Context())
	require.ErrorIs(t, err, ErrNotRunning)
	_, err = s.router(t).Shift(t.Context(), s.op(), all(blue))
	require.ErrorIs(t, err, ErrNotRunning)
	require.NoError(t, s.Start(t.Context(), nil))
	s.serves(t, "blue", blue, 1)

	// Before the first shift nobody knows whether it should.
	s = start(t)
	require.NoError(t, s.Stop())
	_, err = s.router(t).Shift(t.Context(), s.op(), all(blue))
	require.ErrorContains(t, err, "start it first, with its configuration as it is without include "+s.options.Include+"; NGINX does not run, or its pid file is another")
}

// TestHostileBackends never become directives.
func TestHostileBackends(t *testing.T) {
	s := start(t)
	blue := app(t, "blue")
	s.shift(t, blue)
	for _, address := range []string{
		"127.0.0.1;:80", "a b:80", "$host:80", "a{}:80", "x\n:80", "unix:/tmp/x", "'a':80", `a\:80`, "[fe80::1%25eth0]:80", "-a:80", "a#:80", "", ":80", "a:0", "a:99999",
	} {
		_, err := s.router(t).Shift(t.Context(), s.op(), all(address))
		require.ErrorIs(t, err, strategies.ErrInvalidRouting, "%q", address)
	}
	hostile := all(blue)
	hostile[0].Version, hostile[0].Release = "v1\";}\nevil on;", "\nevil $x;"
	routing, err := s.router(t).Shift(t.Context(), s.op(), hostile)
	require.NoError(t, err)
	require.Equal(t, hostile, routing.Backends)
	text, err := os.ReadFile(s.options.Include)
	require.NoError(t, err)
	require.NotContains(t, string(text), "evil")
	s.serves(t, "blue", blue, 2)
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		option string
		with   Options
	}{
		{"include", Options{}},
		{"name", Options{Include: "x", Name: "a b"}},
		{"name", Options{Include: "x", Name: "a;}"}},
		{"beacon", Options{Include: "x", Beacon: "0.0.0.0:80"}},
		{"beacon", Options{Include: "x", Beacon: "127.0.0.1:80;"}},
		{"beacon", Options{Include: "x", Beacon: "localhost:80"}},
		{"beacon", Options{Include: "x", Beacon: "unix:/tmp/a b"}},
		{"beacon", Options{Include: "x", Beacon: "unix:relative"}},
		{"timeout", Options{Include: "x", Timeout: time.Millisecond}},
	} {
		_, err := New(c.with)
		var wrong *OptionError
		require.ErrorAs(t, err, &wrong, "%+v", c.with)
		require.Equal(t, c.option, wrong.Option)
	}
}

// TestPostIsNotRepeated has an application hang up on a request.
func TestPostIsNotRepeated(t *testing.T) {
	s := start(t)
	var arrived, hangUp atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if hangUp.Load() == 0 {
			return
		}
		arrived.Add(1)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}))
	t.Cleanup(server.Close)
	s.shift(t, server.Listener.Addr().String())
	for range 4 { // connections for NGINX to keep, and to try again from
		require.Empty(t, s.get(t))
	}
	hangUp.Store(1)
	resp, err := http.Post(s.URL, "text/plain", strings.NewReader("order"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusBadGateway, resp.StatusCode)
	require.Equal(t, int64(1), arrived.Load())
}

// TestKilledBetweenTwoSteps kills the process that shifts with SIGKILL from within the commands it runs.
func TestKilledBetweenTwoSteps(t *testing.T) {
	if o := os.Getenv("SHIFT_TO"); o != "" {
		shiftAsChild(t, o)
		return
	}
	s := start(t)
	blue, green := app(t, "blue"), app(t, "green")
	s.shift(t, blue)
	generation := int64(1)
	reload := strings.Join(s.Reload, " ")
	for what, c := range map[string]struct{ test, reload, then string }{
		"before the test":   {"kill -9 $PPID", "true", "blue"},
		"before the reload": {"true", "kill -9 $PPID", "blue"},
		"after the reload":  {"true", reload + " && kill -9 $PPID", "green"},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledBetweenTwoSteps$")
		cmd.Env = append(os.Environ(), "SHIFT_TO="+green, "INCLUDE="+s.options.Include, "BEACON="+s.options.Beacon, "TEST="+c.test, "RELOAD="+c.reload)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "%s", out)
		require.Equal(t, -1, exit.ExitCode(), "%s: %s", what, out)
		generation++

		// What is said is what is served, whatever the link points to.
		require.Eventually(t, func() bool { return s.get(t) == c.then }, 5*time.Second, 10*time.Millisecond, what)
		require.Eventually(t, func() bool {
			routing, err := s.router(t).Observe(t.Context())
			return err == nil && routing.Backends[0].Address == map[string]string{"blue": blue, "green": green}[c.then]
		}, 5*time.Second, 10*time.Millisecond, what)

		// The same operation again ends where it was going, another one where that goes.
		_, err = s.router(t).Shift(t.Context(), strategies.Operation{ID: "child", Fence: 1}, all(green))
		require.NoError(t, err, what)
		generation++
		s.serves(t, "green", green, generation)
		s.shift(t, blue)
		generation++
		s.serves(t, "blue", blue, generation)
	}
}

// shiftAsChild is what the child of TestKilledBetweenTwoSteps does until it is killed.
func shiftAsChild(t *testing.T, address string) {
	r, err := New(Options{
		Include: os.Getenv("INCLUDE"), Beacon: os.Getenv("BEACON"),
		Test: []string{"sh", "-c", os.Getenv("TEST")}, Reload: []string{"sh", "-c", os.Getenv("RELOAD")},
	})
	require.NoError(t, err)
	_, err = r.Shift(t.Context(), strategies.Operation{ID: "child", Fence: 1}, all(address))
	t.Fatalf("was not killed: %v", err)
}

// TestCancelledIsFlippedBack ends a run, as Ctrl-C does, while it waits for the proof.
func TestCancelledIsFlippedBack(t *testing.T) {
	s := start(t)
	blue := app(t, "blue")
	s.shift(t, blue)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, err := s.router(t, func(o *Options) {
		o.Reload = []string{"sh", "-c", "test -e " + s.Dir + "/once && exec " + strings.Join(s.Reload, " ") + "; touch " + s.Dir + "/once"}
	}).Shift(ctx, s.op(), all(app(t, "green")))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	s.serves(t, "blue", blue, 1)
}
