package custom_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/custom"
	"github.com/switchbackdb/switchback/drivers/custom/exec"
	"github.com/switchbackdb/switchback/drivers/custom/webhook"
	"github.com/switchbackdb/switchback/drivers/router/proxy"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/conformance"
)

const secret = "what-requests-are-signed-with"

// built is the folder with the programs of testdata/reference and of the suites.
var built string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sbc") // a socket's path has to be short
	if err == nil {
		built = dir
		defer os.RemoveAll(dir)
		var out []byte
		out, err = osexec.Command("go", "build", "-o", filepath.Join(dir, "reference"), "./testdata/reference").CombinedOutput()
		_, _ = os.Stderr.Write(out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the reference:", err)
		return 1
	}
	return m.Run()
}

// reference is the other side: the program of testdata/reference, with a folder of its own.
type reference struct {
	program string
	state   string // of its processes
	socket  string // of the proxy whose traffic it moves
	url     string // where that takes requests
}

func newReference(t *testing.T) *reference {
	t.Helper()
	dir, err := os.MkdirTemp(built, "")
	require.NoError(t, err)
	r := &reference{program: filepath.Join(built, "reference"), state: filepath.Join(dir, "state"), socket: filepath.Join(dir, "proxy.sock")}
	t.Cleanup(func() { // what a failed test has left running
		files, _ := filepath.Glob(filepath.Join(r.state, "*.pid"))
		for _, f := range files {
			text, _ := os.ReadFile(f)
			if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && pid > 1 {
				_ = syscall.Kill(-pid, syscall.SIGKILL)
			}
		}
	})
	t.Setenv("STATE", r.state)
	t.Setenv("PROXY", r.socket)
	t.Setenv("SECRET", secret)
	return r
}

// proxied starts the proxy.
func (r *reference) proxied(t *testing.T) {
	t.Helper()
	server, err := proxy.Listen(t.Context(), proxy.Config{Listen: "127.0.0.1:0", StateFile: r.socket + ".json", AdminSocket: r.socket})
	require.NoError(t, err)
	r.url = "http://" + server.Addr().String()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
}

// serves starts the HTTP server and returns its URL.
func (r *reference) serves(t *testing.T) string {
	t.Helper()
	cmd := osexec.Command(r.program, "serve", "127.0.0.1:0")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return "http://" + strings.TrimSpace(line)
}

func hook(t *testing.T, url string) *webhook.Transport {
	t.Helper()
	transport, err := webhook.New(webhook.Options{URL: url, Secret: secret})
	require.NoError(t, err)
	return transport
}

// each runs a test with both transports.
func each(t *testing.T, test func(t *testing.T, r *reference, o custom.Options)) {
	t.Run("exec", func(t *testing.T) {
		r := newReference(t)
		test(t, r, custom.Options{Transport: exec.Transport{Command: []string{r.program}}, Application: "shop"})
	})
	t.Run("webhook", func(t *testing.T) {
		r := newReference(t)
		test(t, r, custom.Options{Transport: hook(t, r.serves(t)), Application: "shop"})
	})
}

func TestService(t *testing.T) {
	application := conformance.Application(t)
	each(t, func(t *testing.T, _ *reference, o custom.Options) {
		version := strategies.Version{Health: "/healthz", Command: []string{application}}
		conformance.Service(t, version, func(*testing.T) strategies.Service { return custom.NewService(o) })
		require.Error(t, custom.NewService(o).Check(t.Context(), strategies.Version{Release: "r1", Slot: strategies.Green}))
	})
}

func TestRouter(t *testing.T) {
	each(t, func(t *testing.T, r *reference, o custom.Options) {
		r.proxied(t)
		conformance.Router(t, r.url, func(*testing.T) strategies.Router { return custom.NewRouter(o) })
	})
}
