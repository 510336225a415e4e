package servers

import (
	"bytes"
	"context"
	"io"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Tool runs one of the server's own client programs, such as pg_dump, psql, mysqldump or mariadb-dump, on
// a database of a server of the kind, and returns what it prints. The program is that of the server's
// image, so it is of the server's version. input, which may be nil, is its standard input.
func Tool(t testing.TB, k Kind, rawURL string, input io.Reader, tool string, args ...string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	password, _ := u.User.Password()
	name := strings.Trim(u.Path, "/")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()

	// In the server's container where there is one on this machine, else in one of its image.
	command, host, port := []string{"run", "--rm", "-i", "--network", "host"}, u.Hostname(), u.Port()
	id, err := exec.CommandContext(ctx, "docker", "ps", "--quiet", "--filter", "publish="+u.Port()).Output()
	require.NoError(t, err, "ask Docker for the container of %s", k.Image)
	place := k.Image
	if container := strings.TrimSpace(string(id)); container != "" {
		command, place, host = []string{"exec", "-i"}, container, "127.0.0.1"
		port = map[bool]string{true: "5432", false: "3306"}[k.Engine == "postgres"]
	}
	if k.Engine == "postgres" {
		for _, v := range []string{"PGHOST=" + host, "PGPORT=" + port, "PGUSER=" + u.User.Username(), "PGPASSWORD=" + password, "PGDATABASE=" + name} {
			command = append(command, "--env", v)
		}
		command = append(command, place, tool)
	} else {
		command = append(command, "--env", "MYSQL_PWD="+password, place, tool, "--host="+host, "--port="+port, "--user="+u.User.Username())
	}
	command = append(command, args...)
	if k.Engine != "postgres" {
		command = append(command, name)
	}
	cmd := exec.CommandContext(ctx, "docker", command...)
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &out, &problems
	require.NoError(t, cmd.Run(), "%s: %s", tool, problems.String())
	return out.String()
}
