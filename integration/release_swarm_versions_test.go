package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/service/swarm"
)

// swarmVersionsConfig has two services of the swarm behind the proxy. The machine's ports stand for the swarm's mesh, which
// not every kernel has. A swarm ends a task whose checks fail, whoever asks it: they fail late here, since on a busy machine a
// check takes seconds to start.
const swarmVersionsConfig = `  application: %[1]s
  strategy: canary
  healthy: 1m
  grace: 5s
  service:
    driver: swarm
    image: %[2]s
    command: [shop, --version, "{{version}}", --listen, "{{address}}", --db, /data/shop.db]
    env: {SECRET: "${SHOP_SECRET}"}
    volumes: [".:/data"]
    ports: 28200-28299
    publish_mode: host
    healthcheck: {command: [/program, shop, --probe, "http://127.0.0.1:8080/healthz"], interval: 2s, timeout: 30s, retries: 3}
`

// newVersionsStage has v1 released, behind the proxy.
func newVersionsStage(t *testing.T) *swarmStage {
	t.Helper()
	s := newSwarmStage(t)
	versions, err := swarm.NewVersions(s.application, 5*time.Second)
	require.NoError(t, err)
	t.Cleanup(func() { _ = versions.Close() })
	s.service, s.roller = versions, nil
	s.set(fmt.Sprintf(swarmVersionsConfig, s.application, s.image))
	s.proxied()
	s.first()
	return s
}

// testSwarmVersions takes the database change and a second service of the swarm out and back, share by share, under load.
func testSwarmVersions(t *testing.T) {
	s := newVersionsStage(t)
	s.is("v1", "at first")
	s.load()
	said := run(t, s.dir, "release", "start", "--version", "v2", "--pause")
	said += run(t, s.dir, "release", "promote")
	s.is("v2", "out")
	said += run(t, s.dir, "release", "rollback")
	s.is("v1", "back")

	// The shop does not know this version, and ends, however often it is started.
	c := start(t, s.dir, nil, "release", "start", "--version", "v3", "--no-contract")
	require.Equal(t, 3, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), `there is no version "v3" of the shop`)
	s.is("v1", "a version that ends")

	c2 := start(t, s.dir, nil, "release", "start", "--version", "v2", "--strategy", "rolling")
	require.Equal(t, 1, c2.End(t), c2.Out.String())
	require.Contains(t, c2.Out.String(), "next: go on with --strategy canary")
	said += c.Out.String() + run(t, s.dir, "release", "status", "--all", "--json") + run(t, s.dir, "history", "--json")
	require.NotContains(t, said, shopSecret)
}

// testSwarmVersionsKilled kills the command at marks between two calls of the swarm.
func testSwarmVersionsKilled(t *testing.T) {
	s := newVersionsStage(t)
	s.killedAt(someOf(t, marksOf("swarm: ")))
}
