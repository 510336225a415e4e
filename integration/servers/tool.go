package servers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Tool runs one of the server's own client programs, such as pg_dump, psql, mysqldump or mariadb-dump, on
// a database of a server of the kind, and returns what it prints. input, which may be nil, is its standard
// input.
func Tool(t testing.TB, k Kind, rawURL string, input io.Reader, tool string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd, err := Command(ctx, k, rawURL, tool, args...)
	require.NoError(t, err)
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &out, &problems
	require.NoError(t, cmd.Run(), "%s: %s", tool, problems.String())
	return out.String()
}

// Command is the command that runs a client program on a database. The program is that of the server's
// image, so it is of the server's version: in the server's container where there is one on this machine,
// else in a new one.
func Command(ctx context.Context, k Kind, rawURL, tool string, args ...string) (*exec.Cmd, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	password, _ := u.User.Password()
	command, host, port := []string{"run", "--rm", "-i", "--network", "host", "--entrypoint", tool}, u.Hostname(), u.Port()
	container, err := containerOf(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("ask Docker for the container of %s: %w", k.Image, err)
	}
	place := []string{k.Image}
	if container != "" {
		command, place, host = []string{"exec", "-i"}, []string{container, tool}, "127.0.0.1"
		port = map[bool]string{true: "5432", false: "3306"}[k.Engine == "postgres"]
	}
	name := strings.Trim(u.Path, "/")
	if k.Engine == "postgres" {
		for _, v := range []string{"PGHOST=" + host, "PGPORT=" + port, "PGUSER=" + u.User.Username(), "PGPASSWORD=" + password, "PGDATABASE=" + name} {
			command = append(command, "--env", v)
		}
		command = append(command, place...)
	} else {
		command = append(append(command, "--env", "MYSQL_PWD="+password), place...)
		command = append(command, "--host="+host, "--port="+port, "--user="+u.User.Username())
	}
	command = append(command, args...)
	if k.Engine != "postgres" {
		command = append(command, name)
	}
	return exec.CommandContext(ctx, "docker", command...), nil
}

// Shell runs a script in the container of a server that runs on this machine, and returns what it prints.
func Shell(t testing.TB, rawURL, script string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	container, err := containerOf(t.Context(), u)
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), "docker", "exec", container, "sh", "-ec", script).CombinedOutput()
	require.NoError(t, err, "%s: %s", script, out)
	return string(out)
}

// containerOf finds the container that a URL leads to, which is its own address or that of a port it publishes, or "".
func containerOf(ctx context.Context, u *url.URL) (string, error) {
	if ip := net.ParseIP(u.Hostname()); ip != nil && !ip.IsLoopback() {
		return containerAt(ctx, u.Hostname())
	}
	return containerPublishing(ctx, u.Port())
}

// containerAt finds the container with an address on Docker's default network.
func containerAt(ctx context.Context, ip string) (string, error) {
	const each = `{{range $id, $c := .Containers}}{{$id}} {{$c.IPv4Address}}{{"\n"}}{{end}}`
	out, err := exec.CommandContext(ctx, "docker", "network", "inspect", "bridge", "--format", each).Output()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		id, address, _ := strings.Cut(line, " ")
		if strings.HasPrefix(address, ip+"/") {
			return id, nil
		}
	}
	return "", nil
}

// containerPublishing finds the container that publishes a port for IPv4. For IPv6 another container may have the same one.
func containerPublishing(ctx context.Context, port string) (string, error) {
	out, err := exec.CommandContext(ctx, "docker", "ps", "--filter", "publish="+port, "--format", "{{.ID}} {{.Ports}}").Output()
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(out)) {
		id, ports, _ := strings.Cut(line, " ")
		if strings.Contains(ports, "0.0.0.0:"+port+"->") || strings.Contains(ports, "127.0.0.1:"+port+"->") {
			return id, nil
		}
	}
	return "", nil
}
