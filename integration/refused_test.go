package integration

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// TestWrongPassword is refused by every server, and the password is not shown.
func TestWrongPassword(t *testing.T) {
	servers.Each(t, servers.Main(), func(t *testing.T, target string) {
		u, err := url.Parse(target)
		require.NoError(t, err)
		if u.Scheme == "sqlite" {
			return // it has no passwords
		}
		u.User = url.UserPassword(u.User.Username(), "not-the-password")
		for _, args := range [][]string{{"up"}, {"status"}, {"rollback"}, {"diff", u.String(), "empty"}, {"snapshot", "create"}} {
			if args[0] != "diff" {
				args = append(args, "--url", u.String())
			}
			c := start(t, t.TempDir(), nil, args...)
			require.Equal(t, 1, c.End(t), c.Out.String())
			require.NotContains(t, c.Out.String(), "not-the-password")
			require.Regexp(t, "(?i)password", c.Out.String())
			require.Contains(t, c.Out.String(), "next: ")
		}
	})
}

// TestBusyFile finds an SQLite file that another process does not let go of.
func TestBusyFile(t *testing.T) {
	g := project(t, servers.SQLite(t))
	conn, err := g.plain.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
	require.NoError(t, err)
	c := start(t, "", nil, g.args("status")...)
	require.Equal(t, 4, c.End(t), c.Out.String())
	require.Contains(t, c.Out.String(), "another process keeps the database file locked")
	require.Contains(t, c.Out.String(), "state: nothing was changed")
}
