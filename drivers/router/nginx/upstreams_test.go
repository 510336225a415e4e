package nginx

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/agent"
	"github.com/switchbackdb/switchback/internal/freeport"
	"github.com/switchbackdb/switchback/strategies"
)

// upstreams are Upstreams of the stage's NGINX, which sends its requests to the application shop.
func (s *stage) upstreams(t *testing.T, changes ...func(*UpstreamsOptions)) *Upstreams {
	t.Helper()
	o := UpstreamsOptions{Options: s.options}
	for _, change := range changes {
		change(&o)
	}
	require.NoError(t, s.Configure("include "+o.Include+";", `proxy_pass http://shop; proxy_http_version 1.1; proxy_set_header Connection "";`))
	u, err := NewUpstreams(o)
	require.NoError(t, err)
	return u
}

// shop is the application with instances at addresses.
func shop(addresses ...string) []agent.Application {
	a := agent.Application{Name: "shop"}
	for i, address := range addresses {
		a.Instances = append(a.Instances, strategies.Registration{Key: fmt.Sprint("shop/", i), Address: address, Version: "v1", State: "up"})
	}
	return []agent.Application{a}
}

func apply(t *testing.T, u *Upstreams, applications []agent.Application) agent.Applied {
	t.Helper()
	did, err := u.Apply(t.Context(), applications)
	require.NoError(t, err)
	return did
}

// status is how a request is answered.
func (s *stage) status(t *testing.T) int {
	t.Helper()
	resp, err := http.Get(s.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// answers are the names that answer, of some requests.
func (s *stage) answers(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for range 20 {
		names[s.get(t)] = true
	}
	return names
}

func TestUpstreams(t *testing.T) {
	s := start(t)
	u := s.upstreams(t, func(o *UpstreamsOptions) { o.Applications = []string{"shop"} })
	a, b := app(t, "a"), app(t, "b")
	did := apply(t, u, nil)
	require.True(t, did.Changed)
	require.Equal(t, []string{"shop"}, did.Empty)
	require.Equal(t, http.StatusServiceUnavailable, s.status(t), "before its first instance")

	did = apply(t, u, append(shop(a, b, a), agent.Application{Name: "other"}))
	require.Equal(t, agent.Applied{Generation: 2, Changed: true, Added: []string{a, b}}, did)
	require.Equal(t, map[string]bool{"a": true, "b": true}, s.answers(t))
	require.Equal(t, agent.Applied{Generation: 2}, apply(t, u, shop(a, b)))

	did = apply(t, u, shop(b))
	require.Equal(t, []string{a}, did.Removed)
	require.Equal(t, map[string]bool{"b": true}, s.answers(t))
	left, err := u.Drain(t.Context(), a)
	require.NoError(t, err)
	require.Zero(t, left)

	t.Run("the last one gone is kept, also by an agent that is new", func(t *testing.T) {
		u := s.upstreams(t, func(o *UpstreamsOptions) { o.Applications = []string{"shop"} })
		for range 2 {
			require.Equal(t, agent.Applied{Generation: 3, Empty: []string{"shop"}}, apply(t, u, nil))
		}
		require.Equal(t, "b", s.get(t))
	})
	t.Run("or answered 503, where that is wanted", func(t *testing.T) {
		u := s.upstreams(t, func(o *UpstreamsOptions) { o.Unavailable = true })
		require.True(t, apply(t, u, nil).Changed)
		require.Equal(t, http.StatusServiceUnavailable, s.status(t))
		require.True(t, apply(t, u, shop(a)).Changed)
		require.Equal(t, "a", s.get(t))
	})
}

// TestTemplate has a template of the user's own be of use, broken, refused by NGINX, and mended.
func TestTemplate(t *testing.T) {
	s := start(t)
	file := filepath.Join(s.Dir, "my.tmpl")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	u := s.upstreams(t, func(o *UpstreamsOptions) { o.Template = file })
	a, b := app(t, "a"), app(t, "b")
	good := "# {{(index .Pools 0).Application}}\n{{range .Pools}}upstream {{.Application}} { {{range .Instances}}server {{.Host}}:{{.Port}}; # {{.Version}} {{.Key}}\n{{end}} }\n{{end}}"
	write(good)
	apply(t, u, shop(a))
	text, err := os.ReadFile(s.options.Include)
	require.NoError(t, err)
	require.Contains(t, string(text), "# v1 shop/0")
	for bad, want := range map[string]string{
		"{{range .Pools}}": "unexpected EOF",
		"{{.Nothing}}":     "can't evaluate field Nothing",
		"upstream shop {}": "no servers are inside upstream",
		"no_such_directive on; upstream shop { server " + b + "; }": `unknown directive "no_such_directive"`,
		"": `host not found in upstream "shop"`,
		"{{range .Pools}}{{template \"x\" .}}{{end}}{{define \"x\"}}0123456789{{template \"x\" .}}{{end}}": "the template",
	} {
		write(bad)
		for range 3 {
			_, err := u.Apply(t.Context(), shop(b))
			require.ErrorContains(t, err, want)
		}
		require.Equal(t, "a", s.get(t), bad)
		_, err := os.Stat(s.options.Include)
		require.NoError(t, err)
	}
	list, err := u.files.numbers()
	require.NoError(t, err)
	require.LessOrEqual(t, len(list), kept+2, "those that were refused are removed too")
	require.NoError(t, os.Remove(file))
	_, err = u.Apply(t.Context(), shop(b))
	require.ErrorContains(t, err, "read the template")
	write(good)
	require.True(t, apply(t, u, shop(b)).Changed)
	require.Equal(t, "b", s.get(t))

	// And the one that is shown to people.
	page, err := os.ReadFile("../../../docs/agent.md")
	require.NoError(t, err)
	_, shown, found := strings.Cut(string(page), "    # upstreams.tmpl")
	require.True(t, found)
	shown, _, found = strings.Cut(shown, "\n\n")
	require.True(t, found)
	write("#" + shown + "\n")
	require.True(t, apply(t, u, shop(a, b)).Changed)
	require.Equal(t, map[string]bool{"a": true, "b": true}, s.answers(t))
}

// TestHostileRegistrations never become directives.
func TestHostileRegistrations(t *testing.T) {
	s := start(t)
	u := s.upstreams(t, func(o *UpstreamsOptions) {
		o.Template = filepath.Join(s.Dir, "all.tmpl")
		require.NoError(t, os.WriteFile(o.Template, []byte("{{range .Pools}}upstream {{.Application}} { {{range .Instances}}server {{.Address}}; # {{.Key}} {{.Version}} {{.Release}} {{.Slot}}\n{{end}} }\n{{end}}"), 0o600))
	})
	a := app(t, "a")
	bad := shop("127.0.0.1;:80", "x\n:80", "unix:/tmp/x", "a{}:80", "$host:80", "a:0", "[fe80::1%25eth0]:80", a)
	last := &bad[0].Instances[7]
	last.Key, last.Version, last.Release, last.Slot = "shop/x\nevil on;", "v1\nevil on;", "}evil on;", "\revil"
	bad = append(bad, agent.Application{Name: "x {} evil", Instances: shop(a)[0].Instances})
	did := apply(t, u, bad)
	require.Len(t, did.LeftOut, 8)
	require.Equal(t, map[string]bool{"a": true}, s.answers(t))
	text, err := os.ReadFile(s.options.Include)
	require.NoError(t, err)
	require.NotRegexp(t, `(?m)^\s*evil|[};]\s*evil`, string(text))
}

// TestBesideARouter has both in one NGINX, and neither take the other's include.
func TestBesideARouter(t *testing.T) {
	s := start(t)
	router := s.router(t)
	blue, a := app(t, "blue"), app(t, "a")
	s.shift(t, blue)
	o := UpstreamsOptions{Options: s.options}
	taken, err := NewUpstreams(o)
	require.NoError(t, err)
	_, err = taken.Apply(t.Context(), shop(a))
	require.ErrorIs(t, err, strategies.ErrForeignChange)

	o.Include = filepath.Join(s.Dir, "agent.conf")
	o.Beacon, err = freeport.Address(t.Context())
	require.NoError(t, err)
	u, err := NewUpstreams(o)
	require.NoError(t, err)
	require.NoError(t, s.Configure("include "+s.options.Include+"; include "+o.Include+";", "if ($arg_agent) { proxy_pass http://shop; } proxy_pass http://$switchback;"))
	apply(t, u, shop(a))
	s.serves(t, "blue", blue, 1)
	resp, err := http.Get(s.URL + "/?agent=1")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	green := app(t, "green")
	s.shift(t, green)
	s.serves(t, "green", green, 2)
	require.False(t, apply(t, u, shop(a)).Changed)
	_ = router

	wrong := s.options
	wrong.Include, wrong.Beacon = o.Include, o.Beacon
	r, err := New(wrong)
	require.NoError(t, err)
	_, err = r.Shift(t.Context(), s.op(), all(blue))
	require.ErrorIs(t, err, strategies.ErrForeignChange)
}

// TestFirstIsThereForAnNGINXThatComesLater also has NGINX end, and come back with what it had.
func TestFirstIsThereForAnNGINXThatComesLater(t *testing.T) {
	s := start(t)
	require.NoError(t, s.Stop())
	u := s.upstreams(t, func(o *UpstreamsOptions) { o.Timeout = time.Second })
	a, b := app(t, "a"), app(t, "b")
	for range 3 {
		_, err := u.Apply(t.Context(), shop(a))
		require.ErrorContains(t, err, "NGINX finds "+s.options.Include+" when it is started")
	}
	require.NoError(t, s.Start(t.Context(), nil))
	require.Equal(t, "a", s.get(t))
	apply(t, u, shop(a))
	require.False(t, apply(t, u, shop(a)).Changed)

	require.NoError(t, s.Stop())
	_, err := u.Apply(t.Context(), shop(b))
	require.ErrorIs(t, err, ErrNotRunning)
	require.NoError(t, s.Start(t.Context(), nil))
	require.Equal(t, "a", s.get(t))
	apply(t, u, shop(b))
	require.Equal(t, "b", s.get(t))

	// A file that somebody has edited is not loaded, and not overwritten.
	conf, err := os.ReadFile(s.options.Include)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(s.options.Include, []byte(strings.Replace(string(conf), b, a, 1)), 0o600))
	_, err = u.Apply(t.Context(), shop(a, b))
	require.ErrorIs(t, err, strategies.ErrForeignChange)
	require.Equal(t, "b", s.get(t))
}
