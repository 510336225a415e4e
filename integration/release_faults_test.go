package integration

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/binary"
	"github.com/switchbackdb/switchback/integration/servers"
)

// mishap is something that goes wrong once with a call of a component.
type mishap struct {
	name  string
	call  string // METHOD PATH
	fault servers.Fault
	code  int    // what the command ends with
	says  string // that it tried what, on which object: an expression
}

// The ways in which a command ends.
const (
	done       = 0
	held       = 1
	rolledBack = 3
)

// out has each mishap come over a release of v2. Where it is not done it is brought back by itself.
func (s *stage) out(faults *servers.Faults, mishaps []mishap) {
	s.t.Helper()
	for _, m := range mishaps {
		met := faults.On(m.call, 1, m.fault)
		c := start(s.t, s.dir, nil, "release", "start", "--version", "v2")
		s.ends(c, m, met)
		faults.Mend()
		if m.code == rolledBack {
			s.is("v1", m.name)
			continue
		}
		s.is("v2", m.name)
		run(s.t, s.dir, "release", "rollback")
		s.is("v1", m.name+", and back")
	}
}

// back has each mishap come over the way back of a release of v2. Where it cannot go on it holds, and `release resume` ends it
// once there is no fault any more.
func (s *stage) back(faults *servers.Faults, mishaps []mishap) {
	s.t.Helper()
	for _, m := range mishaps {
		run(s.t, s.dir, "release", "start", "--version", "v2")
		met := faults.On(m.call, 1, m.fault)
		c := start(s.t, s.dir, nil, "release", "rollback")
		s.ends(c, m, met)
		faults.Mend()
		if m.code == held {
			require.Contains(s.t, c.Out.String(), "next: mend the cause, then: switchback release resume", m.name)
			c = start(s.t, s.dir, nil, "release", "resume")
			require.Equal(s.t, rolledBack, c.End(s.t), "%s\n%s", m.name, c.Out.String())
		}
		s.is("v1", m.name)
	}
}

// ends wants a command to end as a mishap says, which it has met.
func (s *stage) ends(c *binary.Command, m mishap, met func() int) {
	s.t.Helper()
	require.Equal(s.t, m.code, c.End(s.t), "%s\n%s", m.name, c.Out.String())
	require.Equal(s.t, 1, met(), "%s: it was not met\n%s", m.name, c.Out.String())
	require.Regexp(s.t, m.says, c.Out.String(), m.name)
	if m.code != done {
		require.Contains(s.t, c.Out.String(), "\n  state: ", m.name)
		require.Contains(s.t, c.Out.String(), "\n  next: ", m.name)
	}
}

// TestFaultsDocker has calls of the engine go wrong, before and after they had their effect, out and back, beside requests.
func TestFaultsDocker(t *testing.T) {
	s, _, _ := dockerStage(t)
	faults := servers.NewFaults(t, "http://docker", servers.Unix("/var/run/docker.sock"))
	t.Setenv("DOCKER_HOST", "tcp://"+faults.URL[len("http://"):])
	s.load()
	const create, begin, stop = "POST .*/containers/create", "POST .*/containers/[^/]+/start", "POST .*/containers/[^/]+/stop"
	s.out(faults, []mishap{
		{"made, but 500", create, servers.FailedAfter, rolledBack, "start failed: start v2[-0-9]*-green: the Docker engine: "},
		{"made, but no answer", create, servers.LostAfter, rolledBack, "start failed: start v2[-0-9]*-green: the Docker engine"},
		{"not made", create, servers.FailedBefore, rolledBack, "start failed: start v2[-0-9]*-green: the Docker engine: "},
		{"started, but 500", begin, servers.FailedAfter, rolledBack, "start failed: start v2[-0-9]*-green: the Docker engine: "},
		{"the old one stopped, but 500", stop, servers.FailedAfter, rolledBack, "stop failed: stop v1-green: the Docker engine: "},
		{"late to start", begin, servers.Late(2 * time.Second), done, "v2 is the stable version"},
	})
	s.back(faults, []mishap{
		{"the old one started, but 500", begin, servers.FailedAfter, held, "start blue again: start v1-green: the Docker engine: "},
		{"the new one stopped, but no answer", stop, servers.LostAfter, held, "stop v2[-0-9]*-green: the Docker engine"},
		{"late to stop", stop, servers.Late(2 * time.Second), done, "was rolled back"},
	})
}

// conflict is what the API answers whose object somebody else has written meanwhile.
const conflict = `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Conflict", "code": 409, "message": "the object has been modified"}`

// TestFaultsKubernetes has calls of the API go wrong, before and after they had their effect, out and back.
func TestFaultsKubernetes(t *testing.T) {
	s := newClusterStage(t)
	s.allowed(t)
	s.first()
	faults := s.Faults(t)
	file := filepath.Join(s.dir, "switchback.yaml")
	config, err := os.ReadFile(file)
	require.NoError(t, err)
	line := regexp.MustCompile(`kubeconfig: .*`)
	config = line.ReplaceAll(config, []byte("kubeconfig: "+s.KubeconfigOf(t, servers.Through(faults))))
	require.NoError(t, os.WriteFile(file, config, 0o600))
	const define, scale, shift, lease = "PATCH .*/deployments/.*fieldManager=switchback&", "PATCH .*/deployments/.*fieldManager=switchback-scale", "PUT .*/services/shop", "PUT .*/leases/"
	s.out(faults, []mishap{
		{"made, but 500", define, servers.FailedAfter, rolledBack, "start failed: start v2[-0-9]*-green: patch deployments.apps shop-v2[-0-9]*-green in namespace "},
		{"scaled, but no answer", scale, servers.LostAfter, rolledBack, "start failed: start v2[-0-9]*-green: patch deployments.apps shop-v2[-0-9]*-green: the Kubernetes API cannot be reached"},
		{"shifted, but 500", shift, servers.FailedAfter, rolledBack, "shift 100 % failed: shift the traffic of the Service shop: update services shop in namespace "},
		{"somebody wrote the Service meanwhile", shift, servers.Answer(http.StatusConflict, conflict), done, ": v2 is the stable version"},
		{"somebody wrote the fence meanwhile", lease, servers.Answer(http.StatusConflict, conflict), done, ": v2 is the stable version"},
	})
	s.back(faults, []mishap{
		{"shifted back, but 500", shift, servers.FailedAfter, held, "undo drain of release v2[-0-9]*: shift the traffic of the Service shop: update services shop in namespace "},
		{"late to scale", scale, servers.Late(2 * time.Second), done, "was rolled back"},
	})
}
