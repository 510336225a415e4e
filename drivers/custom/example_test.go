package custom_test

import (
	"bufio"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/custom"
	"github.com/switchbackdb/switchback/drivers/custom/exec"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

// example is the path of a program that docs/custom.md shows.
func example(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs servers and Python")
	}
	// The system's Python before that of a version manager, which may take a second to begin.
	t.Setenv("PATH", "/usr/bin:"+os.Getenv("PATH"))
	path, err := filepath.Abs(filepath.Join("../../docs/custom", name))
	require.NoError(t, err)
	return path
}

// TestHAProxy has the example for a router move the traffic of a real HAProxy.
func TestHAProxy(t *testing.T) {
	program := example(t, "haproxy.py")
	dir, err := os.MkdirTemp(built, "")
	require.NoError(t, err)
	h, err := servers.StartHAProxy(t.Context(), dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Stop()) })
	o := custom.Options{
		Transport: exec.Transport{Command: []string{program}}, Application: "shop",
		Settings: map[string]string{"socket": h.Socket, "backend": "shop", "state": filepath.Join(dir, "routing.json")},
	}
	conformance.Router(t, h.URL, func(*testing.T) strategies.Router { return custom.NewRouter(o) })

	// What somebody changes by hand is not overwritten.
	hand := osexec.CommandContext(t.Context(), "python3", "-c", `import socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(b"set server shop/s1 weight 7; set server shop/s2 weight 7; set server shop/s3 weight 7; set server shop/s4 weight 7\n"); s.recv(999)`, h.Socket)
	out, err := hand.CombinedOutput()
	require.NoError(t, err, string(out))
	_, err = custom.NewRouter(o).Shift(t.Context(), operation("after", 99), all("127.0.0.1:8001"))
	require.ErrorIs(t, err, strategies.ErrForeignChange)
}

// TestContainers has the example for a service run containers of the real engine, behind the example for a webhook.
func TestContainers(t *testing.T) {
	program, gateway := example(t, "containers.py"), example(t, "gateway.py")
	const label = "custom.application"
	docker := servers.Docker(t)
	image := servers.Image(t, docker, conformance.Application(t), "EXPOSE 8080\nENTRYPOINT [\"/program\"]\n")
	application := servers.Application(t, docker, label)
	cmd := osexec.Command(gateway, "--listen", "127.0.0.1:0", "--service", program)
	cmd.Env = append(os.Environ(), "GATEWAY_SECRET="+secret)
	cmd.Stderr = os.Stderr
	said, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(said).ReadString('\n')
	require.NoError(t, err)
	o := custom.Options{
		Transport: hook(t, "http://"+strings.TrimSpace(strings.TrimPrefix(line, "listening on "))), Application: application,
		Settings: map[string]string{"engine": "docker", "state": t.TempDir()},
	}
	version := strategies.Version{Health: "/healthz", Container: &strategies.Container{Image: image, Port: 8080}}
	conformance.Service(t, version, func(*testing.T) strategies.Service { return custom.NewService(o) })
}
