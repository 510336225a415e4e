package snapshots

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
)

// shelter is a database with a snapshot of it that is restored while something goes wrong. The snapshot has one row
// in the table rows, the live database two.
type shelter struct {
	t   *testing.T
	k   servers.Kind
	url string
	dir string
	id  string
}

// newShelter fills a database, with so many bytes besides, and takes a snapshot.
func newShelter(t *testing.T, k servers.Kind, url string, bytes int) *shelter {
	t.Helper()
	s := &shelter{t: t, k: k, url: url, dir: t.TempDir()}
	text := map[bool]string{true: "text", false: "longtext"}[k.Engine == "postgres"]
	execute(t, url, "CREATE TABLE rows_ (n integer PRIMARY KEY, v varchar(20) UNIQUE)", "CREATE TABLE bulk (filler "+text+")", "CREATE TABLE more (n integer REFERENCES rows_ (n))",
		"INSERT INTO rows_ VALUES (1, 'a')", "CREATE VIEW totals AS SELECT count(*) AS n FROM rows_")
	const row, rows = 4 << 10, 25
	for range bytes / (row * rows) { // text that a server does not make smaller
		some := make([]string, rows)
		for i := range some {
			some[i] = "('" + noise(row) + "')"
		}
		execute(t, url, "INSERT INTO bulk VALUES "+strings.Join(some, ", "))
	}
	run(t, s.dir, "snapshot", "create", "--url", url)
	s.id = snapshots(t, s.dir)[0]
	s.addRow()
	return s
}

// noise is text of many different letters.
func noise(bytes int) string {
	var b strings.Builder
	state := uint64(88172645463325252)
	for b.Len() < bytes {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		fmt.Fprintf(&b, "%016x", state)
	}
	return b.String()
}

// addRow gives the live database what the snapshot does not have.
func (s *shelter) addRow() {
	s.t.Helper()
	execute(s.t, s.url, "DELETE FROM rows_ WHERE n = 2", "INSERT INTO rows_ VALUES (2, 'b')")
}

func (s *shelter) restore(url string) []string {
	return []string{"snapshot", "restore", s.id, "--url", url, "--jobs", "1"}
}

// answer is how many rows the database's name answers with. It has to be those of one of the two.
func (s *shelter) answer() string {
	s.t.Helper()
	n := text(s.t, s.url, "SELECT n FROM totals")
	require.Contains(s.t, []string{"1", "2"}, n)
	require.Equal(s.t, n, text(s.t, s.url, "SELECT count(*) FROM rows_ WHERE v = 'a' AND n = 1 OR v = 'b' AND n = 2"))
	require.Equal(s.t, "0", text(s.t, s.url, "SELECT count(*) FROM more"))
	return n
}

// forget drops the databases that restores have left beside.
func (s *shelter) forget() {
	s.t.Helper()
	list, force := "SELECT datname FROM pg_database WHERE datname LIKE ", " WITH (FORCE)"
	if s.k.Engine != "postgres" {
		list, force = "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE ", ""
	}
	db := servers.Open(s.t, s.url)
	defer db.Close()
	rows, err := db.Query(list + "'" + strings.ReplaceAll(nameOf(s.t, s.url), "_", `\_`) + `\_\_%'`)
	require.NoError(s.t, err)
	defer rows.Close()
	var names []string
	for rows.Next() {
		var n string
		require.NoError(s.t, rows.Scan(&n))
		names = append(names, n)
	}
	require.NoError(s.t, rows.Err())
	for _, n := range names {
		execute(s.t, s.url, "DROP DATABASE "+n+force)
	}
}

// through is the URL by way of a link.
func through(t *testing.T, rawURL string, l *servers.Link) string {
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	u.Host = l.Address
	return u.String()
}

// inDatabase is the URL of another database of a server.
func inDatabase(t *testing.T, server, name string) string {
	u, err := url.Parse(server)
	require.NoError(t, err)
	u.Path = "/" + name
	return u.String()
}

func hostOf(t *testing.T, rawURL string) string {
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	return u.Host
}

// TestRestoreConnectionLost cuts all connections of a restore at every mark of its swap, and at some before, under an application that reconnects
// about a hundred times a second. Whether the command can mend it by itself, or new connections fail for it too
// and the next command does: the name answers with the old contents or the new, whole, and the application is served.
func TestRestoreConnectionLost(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			u := servers.URL(t, k)
			s := newShelter(t, k, u, 0)
			t.Cleanup(s.forget)
			link := servers.NewLink(t, "tcp", hostOf(t, u))
			command := s.restore(through(t, u, link))
			names := marks(t, s.dir, command...)
			app := startApplication(t, u, "SELECT n FROM totals", 2)
			for n, name := range names {
				if slices.Index(names, name) != n {
					continue
				}
				hows := []string{"for a moment", "until it has ended"}
				if n < slices.Index(names, "restore: finished") { // nothing of the live database has changed yet
					if n%3 != 0 {
						continue
					}
					hows = hows[n%2 : n%2+1]
				}
				for _, how := range hows {
					s.forget()
					s.addRow()
					c := start(t, s.dir, []string{fmt.Sprint("STOP=", n+1)}, append(command, "--lock-ttl", "1s")...)
					c.Stopped(t)
					if how == "for a moment" {
						link.Drop()
					} else {
						link.Cut()
					}
					require.NoError(t, c.Process.Signal(syscall.SIGCONT))
					code := c.End(t)
					link.Mend()
					at := fmt.Sprintf("cut %s at %d, %s: %s", how, n+1, name, c.Out.String())
					require.Contains(t, []int{0, 1, 4}, code, at)
					if how != "for a moment" {
						run(t, s.dir, "status", "--url", u) // whatever command comes next mends it
					}
					app.wantServed(t, at)
					if answer := s.answer(); code == 0 {
						require.Equal(t, "1", answer, at)
					}
					run(t, s.dir, append(command, "--lock-deadline", "30s")...)
					require.Equal(t, "1", s.answer(), at)
				}
			}
			require.Empty(t, app.wrong(), "the application")
			t.Logf("of %d marks: %s", len(names), strings.Join(names, ", "))
		})
	}
}

// TestRestoreDiskFull has no room for what is built beside. The live database goes on being served as it was, and the
// same command ends well once there is room. MariaDB itself does not go on while the disk of its own log is full, so
// that is on another one; and it ends when it takes back a row of several pages for which there is no room (11.8: "Out of
// disk space in rollback"), so the rows are smaller.
func TestRestoreDiskFull(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			disk, size, more := "/var/lib/mysql", 600, []string{"--skip-log-bin"} // which would stop a server without room
			switch k.Engine {
			case "postgres":
				disk, size, more = "/dev/shm", 0, nil // 64 MiB, for this database alone: without room for its log it stops
			case "mariadb":
				more = append(more, "--innodb-log-group-home-dir=/tmp", "--innodb-undo-directory=/tmp", "--innodb-data-home-dir=/tmp")
			}
			server, stop, err := servers.StartSmall(t.Context(), k, size, more...)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, stop()) })
			if k.Engine == "postgres" {
				servers.Shell(t, server, "mkdir /dev/shm/small && chown postgres /dev/shm/small")
				execute(t, server, "CREATE TABLESPACE small LOCATION '/dev/shm/small'", "CREATE DATABASE shop TABLESPACE small")
			} else {
				execute(t, server, "CREATE DATABASE shop")
			}
			s := newShelter(t, k, inDatabase(t, server, "shop"), 12<<20)
			app := startApplication(t, s.url, "SELECT n FROM totals", 2)
			app.wantServed(t, "at first")
			servers.Shell(t, server, fmt.Sprintf("free=$(df -k --output=avail %s | tail -n 1); dd if=/dev/zero of=%s/fill bs=1k count=$((free - 12000)) 2>/dev/null", disk, disk))
			c := start(t, s.dir, nil, s.restore(s.url)...)
			require.Equal(t, 1, c.End(t), c.Out.String())
			require.Regexp(t, `No space left on device|is full|a disk that is full`, c.Out.String())
			require.Contains(t, c.Out.String(), "state: the live database is as it was")
			app.wantServed(t, "with the disk full")
			require.Equal(t, "2", s.answer())
			servers.Shell(t, server, "rm "+disk+"/fill")
			run(t, s.dir, s.restore(s.url)...)
			require.Equal(t, "1", s.answer())
			app.wantServed(t, "restored")
			require.Empty(t, app.wrong())
		})
	}
}
