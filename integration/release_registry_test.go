package integration

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/switchbackdb/switchback/drivers/discovery/consul"
	"github.com/switchbackdb/switchback/drivers/discovery/etcd"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/strategies"
)

// registry is a server that releases register in.
type registry struct {
	kind  string // of the driver
	url   string
	open  func(t *testing.T, url string) strategies.Discovery
	empty func(ctx context.Context) error // removes all of it, by hand
}

func newEtcd(t *testing.T) registry {
	t.Helper()
	at, stop, err := servers.StartEtcd(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	hand, err := clientv3.New(clientv3.Config{Endpoints: []string{at}, Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = hand.Close() })
	return registry{
		"etcd", at, func(t *testing.T, at string) strategies.Discovery {
			t.Helper()
			d, err := etcd.New(etcd.Options{Endpoints: []string{at}, Prefix: "shop"})
			require.NoError(t, err)
			t.Cleanup(func() { _ = d.Close() })
			return d
		},
		func(ctx context.Context) error { _, err := hand.Delete(ctx, "", clientv3.WithFromKey()); return err },
	}
}

func newConsul(t *testing.T) registry {
	t.Helper()
	at, stop, err := servers.StartConsul(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	c := api.DefaultConfig()
	c.Address = at
	hand, err := api.NewClient(c)
	require.NoError(t, err)
	return registry{
		"consul", at, func(t *testing.T, at string) strategies.Discovery {
			t.Helper()
			d, err := consul.New(consul.Options{Address: at, Prefix: "shop"})
			require.NoError(t, err)
			return d
		},
		func(ctx context.Context) error {
			_, err := hand.KV().DeleteTree("", (&api.WriteOptions{}).WithContext(ctx))
			return err
		},
	}
}

// onRegistries runs a test with releases in processes that register in etcd, and in Consul, through a link that can be cut.
func onRegistries(t *testing.T, test func(s *stage, r registry, link *servers.Link)) {
	slow(t)
	for kind, begin := range map[string]func(*testing.T) registry{"etcd": newEtcd, "consul": newConsul} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := begin(t)
			u, err := url.Parse(r.url)
			require.NoError(t, err)
			link := servers.NewLink(t, "tcp", u.Host)
			s := newShop(t, fmt.Sprintf("  discovery: {driver: %s, endpoints: [\"http://%s\"], prefix: shop}\n", kind, link.Address))
			s.registry = r.open(t, r.url)
			s.proxied()
			s.first()
			test(s, r, link)
		})
	}
}

// TestRegistryAway has the registry be away before a release, in its midst and on its way back: traffic stays where
// it is, and the release goes on when the registry is there.
func TestRegistryAway(t *testing.T) {
	onRegistries(t, func(s *stage, _ registry, link *servers.Link) {
		t := s.t
		s.load()
		link.Cut()
		c := start(t, s.dir, nil, "release", "start", "--version", "v2")
		require.Equal(t, rolledBack, c.End(t), c.Out.String())
		require.Contains(t, c.Out.String(), "preflight failed: list registrations: ")
		require.Contains(t, c.Out.String(), "gives no answer")
		link.Mend()
		s.is("v1", "it was away before")

		run(t, s.dir, "release", "start", "--version", "v2", "--pause")
		link.Cut()
		c = start(t, s.dir, nil, "release", "promote")
		require.Equal(t, held, c.End(t), c.Out.String())
		require.Contains(t, c.Out.String(), "drain failed: list registrations: ")
		require.Contains(t, c.Out.String(), "undo drain of release v2-2: register shop/v1-green: ")
		require.Contains(t, c.Out.String(), "next: mend the cause, then: switchback release resume")
		s.answered("v2", 50)
		link.Mend()
		c = start(t, s.dir, nil, "release", "resume")
		require.Equal(t, rolledBack, c.End(t), c.Out.String())
		s.is("v1", "it was away in the midst")
	})
}

// TestRegistryEmptied has somebody empty the registry in the midst of a release, out and back: in the end who serves is
// registered.
func TestRegistryEmptied(t *testing.T) {
	onRegistries(t, func(s *stage, r registry, _ *servers.Link) {
		t := s.t
		for _, end := range []string{"promote", "abort"} {
			run(t, s.dir, "release", "start", "--version", "v2", "--pause")
			require.NoError(t, r.empty(t.Context()))
			run(t, s.dir, "release", end)
			if end == "promote" {
				s.is("v2", end)
				run(t, s.dir, "release", "rollback")
			}
			s.is("v1", end)
		}
	})
}

// TestCrashRegistry kills the command between its looks at a registry, its changes there and the journal's entries, out and
// back.
func TestCrashRegistry(t *testing.T) {
	onRegistries(t, func(s *stage, r registry, _ *servers.Link) {
		s.killedAt(func(names []string) []int {
			if os.Getenv("SWITCHBACK_KILLS") == "all" {
				return marksOf(r.kind + ": ")(names)
			}
			return marksOf(r.kind + ": changed")(names)
		})
	})
}
