package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/router/nginx"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/internal/freeport"
	"github.com/switchbackdb/switchback/strategies"
)

// newNGINXStage is the shop behind an NGINX, nothing released.
func newNGINXStage(t *testing.T) (*stage, *servers.NGINX) {
	t.Helper()
	slow(t)
	n, err := servers.StartNGINX(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Stop()) })
	beacon, err := freeport.Address(t.Context())
	require.NoError(t, err)
	o := nginx.Options{Include: filepath.Join(n.Dir, "switchback.conf"), Beacon: beacon, Test: n.Test, Reload: n.Reload}
	require.NoError(t, n.Include(o.Include))
	router, err := nginx.New(o)
	require.NoError(t, err)
	text := fmt.Sprintf("  router:\n    driver: nginx\n    include: %s\n    beacon: %s\n    test: [%s]\n    reload: [%s]\n",
		o.Include, beacon, strings.Join(n.Test, ", "), strings.Join(n.Reload, ", "))
	s := newShop(t, text)
	s.url, s.router = n.URL, router
	return s, n
}

// TestReleaseNGINX takes a canary out behind NGINX and back, beside requests; a candidate for which NGINX cannot be
// reloaded comes back by itself.
func TestReleaseNGINX(t *testing.T) {
	s, n := newNGINXStage(t)
	s.first()
	s.is("v1", "at first")
	s.load()
	run(t, s.dir, "release", "start", "--version", "v2", "--strategy", "canary", "--pause")
	require.Regexp(t, `green +100 %`, run(t, s.dir, "traffic", "status"))
	run(t, s.dir, "release", "promote")
	s.is("v2", "promoted")
	run(t, s.dir, "release", "rollback")
	s.is("v1", "rolled back")

	require.NoError(t, n.Configure("include "+s.include()+"; no_such_directive on;", "return 503;"))
	c := start(t, s.dir, nil, "release", "start", "--version", "v2")
	require.Equal(t, 3, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "no_such_directive")
	s.is("v1", "without NGINX's consent")
}

// include is the path that the stage's nginx.conf includes.
func (s *stage) include() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "switchback.yaml"))
	require.NoError(s.t, err)
	_, rest, found := strings.Cut(string(text), "include: ")
	require.True(s.t, found)
	path, _, _ := strings.Cut(rest, "\n")
	return path
}

// TestCrashNGINX kills the command at every mark of a shift. What it says then is what NGINX serves, and the next
// shift ends where it was told to.
func TestCrashNGINX(t *testing.T) {
	s, _ := newNGINXStage(t)
	blue, green := answering(t, "blue"), answering(t, "green")
	there := []string{"traffic", "set", "blue=" + blue + "=0", "green=" + green + "=100"}
	back := []string{"traffic", "set", "blue=" + blue + "=100", "green=" + green + "=0"}
	run(t, s.dir, back...)
	names := marks(t, s.dir, there...)
	run(t, s.dir, back...)
	killed := 0
	for i, name := range names {
		if !strings.HasPrefix(name, "nginx:") {
			continue
		}
		killed++
		when := s.killed(i+1, names, there...)
		// NGINX goes on with a reload that it was asked for: for a moment its old workers say what its new ones do no more.
		require.Eventually(t, func() bool {
			var routing strategies.Routing
			require.NoError(t, json.Unmarshal([]byte(run(t, s.dir, "traffic", "status", "--json")), &routing), when)
			served := "green"
			if routing.Backends[0].Weight == 100 {
				served = "blue"
			}
			return served == s.answer()
		}, 10*time.Second, 100*time.Millisecond, when)
		run(t, s.dir, there...)
		require.Equal(t, "green", s.answer(), when)
		run(t, s.dir, back...)
		require.Equal(t, "blue", s.answer(), when)
	}
	require.Equal(t, 7, killed, "%v", names)
}

func (s *stage) answer() string {
	s.t.Helper()
	resp, err := http.Get(s.url)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return string(body)
}

// answering is an application that answers with its name.
func answering(t *testing.T, name string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// TestGateNGINX has a gate judge a candidate by what NGINX has written of the requests to it.
func TestGateNGINX(t *testing.T) {
	s, n := newNGINXStage(t)
	s.first()
	log := filepath.Join(n.Dir, "requests.log")
	require.NoError(t, n.Configure("include "+s.include()+";",
		"proxy_pass http://$switchback; proxy_http_version 1.1; proxy_set_header Connection \"\"; access_log "+log+" switchback_requests;"))
	file := filepath.Join(s.dir, "switchback.yaml")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	gate := "  analysis:\n    - {name: as good, router: {errors: 1%, samples: 5}, every: 50ms, within: 2m}\n"
	require.NoError(t, os.WriteFile(file, append(text, gate...), 0o600))
	c := start(t, s.dir, nil, "release", "plan", "--version", "v2")
	require.Equal(t, 1, c.End(t))
	require.Contains(t, c.Out.String(), "an NGINX does with release.router.log")

	withLog := strings.Replace(string(text), "driver: nginx\n", "driver: nginx\n    log: "+log+"\n", 1)
	require.NoError(t, os.WriteFile(file, []byte(withLog+gate), 0o600))
	s.load()
	said := run(t, s.dir, "release", "start", "--version", "v2")
	require.Regexp(t, `as good: candidate: 0 of \d+ requests failed`, said)
	s.is("v2", "out")
}
