package agent

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	membership "github.com/switchbackdb/switchback/agent"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/internal/freeport"
	"github.com/switchbackdb/switchback/strategies"
)

// behind is an NGINX that sends its requests to the application shop, as an agent renders it.
type behind struct {
	*servers.NGINX
	include string
	render  string // of the agent's configuration
}

func newNGINX(t *testing.T) *behind {
	t.Helper()
	n, err := servers.StartNGINX(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Stop()) })
	beacon, err := freeport.Address(t.Context())
	require.NoError(t, err)
	b := &behind{NGINX: n, include: filepath.Join(n.Dir, "agent.conf")}
	b.render = fmt.Sprintf("  render:\n    include: %s\n    beacon: %s\n    test: [%s]\n    reload: [%s]\n    applications: [shop]\n",
		b.include, beacon, strings.Join(n.Test, ", "), strings.Join(n.Reload, ", "))
	b.configure(t, "")
	return b
}

// configure writes nginx.conf with more in its http block.
func (b *behind) configure(t *testing.T, more string) {
	t.Helper()
	require.NoError(t, b.Configure("include "+b.include+"; "+more, `proxy_pass http://shop; proxy_http_version 1.1; proxy_set_header Connection "";`))
}

const unavailable = "503 Service Temporarily Unavailable"

// names are those that answer some requests.
func (b *behind) names(t *testing.T) string {
	t.Helper()
	seen := map[string]bool{}
	for range 20 {
		resp, err := http.Get(b.URL)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		if resp.StatusCode != http.StatusOK {
			body = []byte(resp.Status)
		}
		seen[string(body)] = true
	}
	var list []string
	for _, name := range []string{"a", "b", "c", "d", "e", unavailable} {
		if seen[name] {
			list = append(list, name)
			delete(seen, name)
		}
	}
	for name := range seen {
		list = append(list, "?"+name)
	}
	return strings.Join(list, " ")
}

// follows waits until these answer and no others.
func (b *behind) follows(t *testing.T, want string) {
	t.Helper()
	var got string
	require.True(t, await(func() bool { got = b.names(t); return got == want }), "want %q, got %q", want, got)
}

// load sends requests at a steady pace, whether or not earlier ones were answered, until it is ended.
type load struct {
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	mu     sync.Mutex
	sent   int
	failed []string
}

func (b *behind) load(t *testing.T) *load {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	l := &load{cancel: cancel}
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	l.tasks.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				l.tasks.Go(func() { l.one(client, b.URL) })
			}
		}
	})
	t.Cleanup(func() { cancel(); l.tasks.Wait() })
	return l
}

func (l *load) one(client *http.Client, url string) {
	resp, err := client.Get(url)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", resp.Status)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent++
	if err != nil {
		l.failed = append(l.failed, err.Error())
	}
}

// end wants every request to have been answered.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.cancel()
	l.tasks.Wait()
	require.Empty(t, l.failed, "of %d", l.sent)
	require.NotZero(t, l.sent)
	t.Logf("%d requests, none failed", l.sent)
}

// TestFromContainerToNGINX has containers come, change and go, and their agent killed, under load.
func TestFromContainerToNGINX(t *testing.T) {
	s := newStage(t)
	n := newNGINX(t)
	dir := project(t, s.config(s.etcd, n.render))
	one := agent(t, dir, "one")
	n.follows(t, unavailable)
	one.says(t, "has no instance")
	run := func(name string) string { return s.start(box{name: name, application: "shop", linger: "2s"}) }
	a, b := run("a"), run("b")
	n.follows(t, "a b")
	l := n.load(t)
	gone := s.stop(a)
	n.follows(t, "b")
	require.NoError(t, <-gone)
	one.says(t, "drained")

	c := run("c")
	n.follows(t, "b c")
	require.Equal(t, -1, one.end(t, syscall.SIGKILL))
	gone = s.stop(b) // nobody sees it, until the next agent begins
	one = agent(t, dir, "one")
	n.follows(t, "c")
	require.NoError(t, <-gone)
	run("d")
	n.follows(t, "c d")
	ask(t, "http://"+s.address("shop/one.c")+"/ill")
	n.follows(t, "d")
	ask(t, "http://"+s.containerAddress(c)+"/well")
	n.follows(t, "c d")
	l.end(t)

	// The last ones gone stay in the file: what answers then is NGINX, with 502.
	s.remove(c)
	n.follows(t, "d")
	require.NoError(t, <-s.stop(s.id("d")))
	s.shows()
	one.says(t, "empty")
	text, err := os.ReadFile(n.include)
	require.NoError(t, err)
	require.Contains(t, string(text), "upstream shop {\n    server 127.0.0.1:")
	run("e")
	n.follows(t, "e")
	require.Equal(t, 0, one.end(t, syscall.SIGTERM))
	require.Equal(t, "e", n.names(t))
}

// served are instances without containers, which a test announces itself.
type served struct {
	t       *testing.T
	member  membership.Membership
	address map[string]string
}

func (s *stage) serve(names ...string) *served {
	s.t.Helper()
	m, err := s.registry.Agent("one", lease)
	require.NoError(s.t, err)
	return s.serveIn(m, names...)
}

// serveIn is serve with another registry.
func (s *stage) serveIn(m membership.Membership, names ...string) *served {
	s.t.Helper()
	v := &served{t: s.t, member: m, address: map[string]string{}}
	for _, name := range names {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
		s.t.Cleanup(server.Close)
		v.address[name] = server.Listener.Addr().String()
	}
	return v
}

// up makes these the instances of the shop.
func (v *served) up(names ...string) {
	v.t.Helper()
	var want []strategies.Registration
	for _, name := range names {
		want = append(want, strategies.Registration{Key: "shop/" + name, Address: v.address[name], Version: "v1", State: "up"})
	}
	_, err := v.member.Announce(v.t.Context(), want)
	require.NoError(v.t, err)
}

// TestRenderFaults takes away and breaks what NGINX's configuration is made from. It keeps the last good one, and
// follows when it can.
func TestRenderFaults(t *testing.T) {
	s := newStage(t)
	n := newNGINX(t)
	link := servers.NewLink(t, "tcp", strings.TrimPrefix(s.etcd, "http://"))
	template := filepath.Join(n.Dir, "mine.tmpl")
	good := "{{range .Pools}}upstream {{.Application}} { {{range .Instances}}server {{.Address}};{{else}}server {{$.Unavailable}};{{end}} }\n{{end}}"
	require.NoError(t, os.WriteFile(template, []byte(good), 0o600))
	dir := project(t, s.config("http://"+link.Address, n.render+"    template: "+template+"\n"))
	v := s.serve("a", "b", "c")
	v.up("a")
	one := agent(t, dir, "one", "--no-register")
	n.follows(t, "a")
	renders := func() int { return strings.Count(one.out.String(), "rendered") }

	t.Run("the registry is emptied by hand", func(t *testing.T) {
		require.NoError(t, s.empty(t.Context()))
		one.says(t, "has no instance")
		require.Equal(t, "a", n.names(t))
		v.up("a", "b")
		n.follows(t, "a b")
	})
	t.Run("etcd is away, and compacts what was not told", func(t *testing.T) {
		link.Cut()
		v.up("b")
		v.up("b", "c")
		answer, err := s.keys.Get(t.Context(), "/test/")
		require.NoError(t, err)
		_, err = s.keys.Compact(t.Context(), answer.Header.Revision)
		require.NoError(t, err)
		require.Equal(t, "a b", n.names(t))
		link.Mend()
		n.follows(t, "b c")
	})
	t.Run("etcd is away when the agent begins", func(t *testing.T) {
		link.Cut()
		require.NoError(t, one.Process.Signal(syscall.SIGHUP))
		one.says(t, "gives no answer")
		require.Equal(t, "b c", n.names(t))
		v.up("a", "c")
		link.Mend()
		n.follows(t, "a c")
		one.says(t, "service discovery for the proxy works again")
		v.up("b", "c")
		n.follows(t, "b c")
	})
	t.Run("a template that is broken, or makes what NGINX refuses", func(t *testing.T) {
		for text, want := range map[string]string{"{{range .Pools}}": "unexpected EOF", "upstream shop {}": "no servers are inside upstream"} {
			require.NoError(t, os.WriteFile(template, []byte(text), 0o600))
			require.NoError(t, one.Process.Signal(syscall.SIGHUP))
			one.says(t, want)
			require.Equal(t, "b c", n.names(t))
		}
		v.up("a")
		require.NoError(t, os.WriteFile(template, []byte(good), 0o600))
		n.follows(t, "a")
		one.says(t, "the proxy works again")
	})
	t.Run("nginx -t fails", func(t *testing.T) {
		n.configure(t, "no_such_directive on;")
		v.up("b")
		one.says(t, "no_such_directive")
		require.Equal(t, "a", n.names(t))
		n.configure(t, "")
		n.follows(t, "b")
	})
	t.Run("what releases registered is theirs to route", func(t *testing.T) {
		op := strategies.Operation{ID: "register", Fence: 1}
		require.NoError(t, s.registry.Register(t.Context(), op, strategies.Registration{Key: "shop/v2-green", Address: v.address["c"], State: "up"}))
		before := renders()
		v.up("a", "b")
		n.follows(t, "a b")
		require.True(t, await(func() bool { return renders() > before }), "it says so once NGINX follows")
		configure(t, dir, s.config("http://"+link.Address, n.render+"    releases: true\n"))
		require.NoError(t, one.Process.Signal(syscall.SIGHUP))
		n.follows(t, "a b c")
		require.NoError(t, s.registry.Deregister(t.Context(), op, "shop/v2-green"))
		n.follows(t, "a b")
	})
	t.Run("another machine's loopback is not this one's", func(t *testing.T) {
		m, err := s.registry.Agent("two", lease)
		require.NoError(t, err)
		_, err = m.Announce(t.Context(), []strategies.Registration{{Key: "shop/two.c", Address: v.address["c"], State: "up"}})
		require.NoError(t, err)
		one.says(t, "set agent.address there")
		require.Equal(t, "a b", n.names(t))
	})
	require.Equal(t, 0, one.end(t, syscall.SIGTERM), "and NGINX goes on")
	require.Equal(t, "a b", n.names(t))
}

// TestBurst has fifty changes at once give few reloads.
func TestBurst(t *testing.T) {
	s := newStage(t)
	n := newNGINX(t)
	v := s.serve("a", "b", "c")
	one := agent(t, project(t, s.config(s.etcd, n.render+"    quiet: 2s\n    most: 30s\n")), "one", "--no-register")
	n.follows(t, unavailable)
	before := strings.Count(one.out.String(), "rendered")
	for i := range 25 {
		v.up("a")
		v.up("b", "c")
		if i == 24 {
			v.up("a", "c")
		}
	}
	n.follows(t, "a c")
	require.LessOrEqual(t, strings.Count(one.out.String(), "rendered")-before, 5)
}

// TestRenderIsKilled kills the agent at every mark of a change. The next one ends where it was going.
func TestRenderIsKilled(t *testing.T) {
	s := newStage(t)
	n := newNGINX(t)
	v := s.serve("a", "b")
	dir := project(t, s.config(s.etcd, n.render))
	now := []string{"a", "b"}
	v.up(now[0])
	first := agent(t, dir, "one", "--no-register")
	n.follows(t, now[0])
	first.says(t, "rendered")
	require.Equal(t, 0, first.end(t, syscall.SIGTERM))
	kill := func(mark int) {
		c := agentWith(t, []string{fmt.Sprint("SWITCHBACK_FAILPOINT_KILL=", mark)}, dir, "one", "--no-register")
		require.Equal(t, -1, c.wait(t), "at mark %d: %s", mark, c.out.String())
		require.Regexp(t, "^(a|b|a b)$", n.names(t), "the old, the new, or on the way from one to the other")
	}
	const marks, announced = 7, 2
	for mark := 1; mark <= marks; mark++ {
		v.up(now[1])
		kill(mark)
		if mark < marks { // else it is done
			kill(announced)
			kill(mark)
		}
		c := agent(t, dir, "one", "--no-register")
		n.follows(t, now[1])
		v.up(now[0])
		n.follows(t, now[0])
		v.up(now[1])
		n.follows(t, now[1])
		require.Equal(t, 0, c.end(t, syscall.SIGTERM))
		now[0], now[1] = now[1], now[0]
	}
	text, err := os.ReadFile(filepath.Join(n.include+".d", "state.json"))
	require.NoError(t, err)
	require.NotContains(t, string(text), "next")
}
