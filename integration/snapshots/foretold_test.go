package snapshots

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// TestRestoreForetold says in a dry run what a restore would do: which rows go, with tables that the snapshot does not
// have, and how long it takes. What is in the way is refused there, and before anything is built.
func TestRestoreForetold(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			u := servers.URL(t, k)
			s := newShelter(t, k, u, 0)
			t.Cleanup(s.forget)
			execute(t, u, "CREATE TABLE younger (n int)", "INSERT INTO younger VALUES (1), (2), (3)")
			dry := append(s.restore(u), "--dry-run")
			said := run(t, s.dir, dry...)
			require.Regexp(t, `rows_ +2 +1\n`, said)
			require.Regexp(t, `younger +3 +missing`, said)
			require.Contains(t, said, "is known once it was verified")
			server, err := servers.Server(k)
			require.NoError(t, err)
			run(t, s.dir, "snapshot", "verify", "--scratch", server, s.id)
			require.Contains(t, run(t, s.dir, dry...), "when it was verified")

			way, mend, named := "CREATE SUBSCRIPTION away CONNECTION 'dbname=none' PUBLICATION p WITH (connect = false, slot_name = NONE)", "DROP SUBSCRIPTION away", "subscription away"
			if k.Engine != "postgres" {
				outside := nameOf(t, servers.URL(t, k)) + ".outside"
				way, mend, named = "CREATE TABLE "+outside+" (n int, FOREIGN KEY (n) REFERENCES "+nameOf(t, u)+".rows_ (n))", "DROP TABLE "+outside, outside
			}
			execute(t, u, way)
			for _, command := range [][]string{dry, s.restore(u)} {
				c := start(t, s.dir, nil, command...)
				require.Equal(t, 1, c.End(t), c.Out.String())
				require.Contains(t, c.Out.String(), named)
				require.Contains(t, c.Out.String(), "state: nothing was changed")
			}
			execute(t, u, mend)

			// A database that somebody uses is not to be dropped for us.
			c := start(t, s.dir, nil, "snapshot", "restore", s.id, "--into", u)
			require.Equal(t, 1, c.End(t), c.Out.String())
			require.Contains(t, c.Out.String(), "is not empty")
			require.Contains(t, c.Out.String(), "state: nothing was changed")
			require.NotContains(t, c.Out.String(), "drop")
			require.Equal(t, "2", s.answer())
		})
	}
}
