package integration

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const customConfig = `  application: shop
  service:
    driver: exec
    program: [%[1]s]
    command: [%[2]q, shop, --version, "{{version}}", --listen, "{{address}}", --db, shop.db]
    health: /healthz
  router:
    driver: webhook
    url: http://%[3]s
    secret: "${SECRET}"
`

// TestReleaseCustom takes a version out and back under load where the service is a program of the user's, and the
// router a webhook of theirs; killed on the way it goes on.
func TestReleaseCustom(t *testing.T) {
	s := newShop(t)
	reference := filepath.Join(s.dir, "reference")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", reference, "../drivers/custom/testdata/reference").CombinedOutput()
	require.NoError(t, err, string(out))
	t.Setenv("STATE", filepath.Join(s.dir, ".switchback", "process"))
	t.Setenv("PROXY", filepath.Join(s.dir, ".switchback", "proxy.sock"))
	t.Setenv("SECRET", "what-requests-are-signed-with")
	server := exec.Command(reference, "serve", "127.0.0.1:0")
	said, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	address, err := bufio.NewReader(said).ReadString('\n')
	require.NoError(t, err)
	path, err := program.Path()
	require.NoError(t, err)
	s.set(fmt.Sprintf(customConfig, reference, path, strings.TrimSpace(address)))
	s.proxied()
	s.first()
	s.is("v1", "at first")
	s.load()
	run(t, s.dir, "release", "start", "--version", "v2")
	s.is("v2", "out")
	run(t, s.dir, "release", "rollback")
	s.is("v1", "back")
	for _, mark := range []int{23, 31} {
		c := start(t, s.dir, []string{fmt.Sprint("KILL=", mark)}, "release", "start", "--version", "v2")
		require.Equal(t, -1, c.End(t), c.Out.String())
		run(t, s.dir, "release", "resume")
		s.is("v2", "killed and resumed")
		run(t, s.dir, "release", "rollback")
	}
	s.is("v1", "back again")
}
