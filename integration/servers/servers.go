// Package servers gives tests the database servers they run on.
//
// A test asks for a fresh database on a kind of server and gets its URL. The server is the one that the
// environment names (SWITCHBACK_TEST_POSTGRES17_URL and so on), or a container that is started for the
// process through testcontainers-go. A server that does not start fails the test: nothing is skipped.
//
// `make test` starts all servers once with the command in the folder start, so that the packages' test
// processes share them.
package servers

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
	"github.com/moby/moby/api/types/network"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
	"github.com/testcontainers/testcontainers-go/wait"
)

// Kind is a server of one engine in one version.
type Kind struct {
	Name   string // as in postgres17
	Engine string // the scheme of its URLs: postgres, mysql, mariadb
	Image  string
}

// The kinds of server.
var (
	Postgres15  = Kind{"postgres15", "postgres", "postgres:15"}
	Postgres17  = Kind{"postgres17", "postgres", "postgres:17"}
	Postgres18  = Kind{"postgres18", "postgres", "postgres:18"}
	MySQL9      = Kind{"mysql9", "mysql", "mysql:9"}
	MariaDB1011 = Kind{"mariadb1011", "mariadb", "mariadb:10.11"}
	MariaDB118  = Kind{"mariadb118", "mariadb", "mariadb:11.8"}
)

// All returns every kind.
func All() []Kind {
	return []Kind{Postgres15, Postgres17, Postgres18, MySQL9, MariaDB1011, MariaDB118}
}

// Main returns one kind of each engine: enough where versions do not differ.
func Main() []Kind { return []Kind{Postgres17, MySQL9, MariaDB118} }

// Variable is the environment variable that names a running server of the kind.
func (k Kind) Variable() string { return "SWITCHBACK_TEST_" + strings.ToUpper(k.Name) + "_URL" }

// password is that of the servers, which live for as long as the tests run.
const password = "switchback"

// Each runs a test on SQLite and on one server of each kind given, as subtests. In short mode only
// SQLite is left.
func Each(t *testing.T, kinds []Kind, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, SQLite(t)) })
	if testing.Short() {
		return
	}
	for _, k := range kinds {
		t.Run(k.Name, func(t *testing.T) { test(t, URL(t, k)) })
	}
}

// SQLite returns the URL of an empty SQLite database in a folder of the test.
func SQLite(t testing.TB) string {
	file := filepath.Join(t.TempDir(), "test.db")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	return "sqlite:" + file
}

// URL returns the URL of a fresh database on a server of the kind. It is dropped when the test ends.
func URL(t testing.TB, k Kind) string {
	t.Helper()
	server, err := Server(k)
	require.NoError(t, err, "start %s; a missing server is a failure, see `make images`", k.Image)
	name := "test_" + unique()
	execute(t, server, "CREATE DATABASE "+name)
	t.Cleanup(func() {
		drop := "DROP DATABASE IF EXISTS " + name
		if k.Engine == "postgres" {
			drop += " WITH (FORCE)"
		}
		execute(t, server, drop)
	})
	u, err := url.Parse(server)
	require.NoError(t, err)
	u.Path = "/" + name
	return u.String()
}

// unique is the part of a name that no other test has.
func unique() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

func execute(t testing.TB, server, statement string) {
	t.Helper()
	db := Open(t, server)
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := db.ExecContext(ctx, statement)
	require.NoError(t, err, statement)
}

// Open opens the database of a URL, by the engine's plain driver and nothing of ours. The test closes
// it.
func Open(t testing.TB, rawURL string) *sql.DB {
	t.Helper()
	db, err := Connect(rawURL)
	require.NoError(t, err)
	return db
}

// Connect is Open outside tests.
func Connect(rawURL string) (*sql.DB, error) {
	driver, dsn, err := dataSource(rawURL)
	if err != nil {
		return nil, err
	}
	return sql.Open(driver, dsn)
}

func dataSource(rawURL string) (driver, dsn string, err error) {
	if file, ok := strings.CutPrefix(rawURL, "sqlite:"); ok {
		return "sqlite", "file:" + file + "?_pragma=busy_timeout(10000)", nil
	}
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "postgres" {
		return "pgx", rawURL, err
	}
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr, c.DBName = u.User.Username(), "tcp", u.Host, strings.Trim(u.Path, "/")
	c.Passwd, _ = u.User.Password()
	c.MultiStatements = true
	return "mysql", c.FormatDSN(), nil
}

// running are the servers this process has started. State of the whole process is what it is about:
// the tests of a package share a server, and it ends with the process.
var running sync.Map

type started struct {
	once sync.Once
	url  string
	stop func() error
	err  error
}

// Server returns the URL of the server that the environment names for the kind, or starts one for this
// process.
func Server(k Kind) (string, error) {
	if u := os.Getenv(k.Variable()); u != "" {
		return u, nil
	}
	s, _ := running.LoadOrStore(k.Name, &started{})
	one := s.(*started)
	one.once.Do(func() { one.url, one.stop, one.err = Start(context.Background(), k) })
	return one.url, one.err
}

// Run runs a package's tests and ends the servers they have started. Call it from TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(servers.Run(m)) }
func Run(m *testing.M) int {
	code := m.Run()
	running.Range(func(_, s any) bool {
		if stop := s.(*started).stop; stop != nil {
			if err := stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
		return true
	})
	return code
}

// Start starts a container of the kind and returns the URL of its server and a function that ends it. The
// options are added to the server's command line.
func Start(ctx context.Context, k Kind, more ...string) (string, func() error, error) {
	return StartSmall(ctx, k, 0, more...)
}

// StartSmall starts a server whose disk has so many MiB; 0 is as many as the machine gives.
func StartSmall(ctx context.Context, k Kind, disk int, more ...string) (string, func() error, error) {
	room := "rw,mode=1777"
	if disk > 0 {
		room += fmt.Sprintf(",size=%dm", disk)
	}
	if err := prepare(); err != nil {
		return "", nil, err
	}
	port, env := "5432/tcp", map[string]string{"POSTGRES_PASSWORD": password}
	data, user, name := "/var/lib/postgresql", "postgres", "postgres"
	switch k.Engine {
	case "mysql":
		port, env, data, user, name = "3306/tcp", map[string]string{"MYSQL_ROOT_PASSWORD": password}, "/var/lib/mysql", "root", "mysql"
	case "mariadb":
		port, env, data, user, name = "3306/tcp", map[string]string{"MARIADB_ROOT_PASSWORD": password}, "/var/lib/mysql", "root", "mysql"
	}
	if k.Engine == "postgres" {
		env["PGDATA"] = data + "/data"
	}
	address := func(host string, p network.Port) string {
		u := url.URL{Scheme: k.Engine, User: url.UserPassword(user, password), Host: host + ":" + fmt.Sprint(p.Num()), Path: "/" + name}
		if k.Engine == "postgres" {
			u.RawQuery = "sslmode=disable"
		}
		return u.String()
	}
	driver := map[string]string{"postgres": "pgx"}[k.Engine]
	if driver == "" {
		driver = "mysql"
	}
	options := []testcontainers.ContainerCustomizer{
		testcontainers.WithEnv(env), testcontainers.WithExposedPorts(port),
		testcontainers.WithLogger(log.New(io.Discard, "", 0)),
		testcontainers.WithTmpfs(map[string]string{data: room, "/tmp": "rw,mode=1777"}),
		testcontainers.WithWaitStrategyAndDeadline(2*time.Minute, wait.ForSQL(port, driver, func(host string, p network.Port) string {
			_, dsn, _ := dataSource(address(host, p))
			return dsn
		}).WithPollInterval(100*time.Millisecond)),
	}
	options = append(options, testcontainers.WithCmd(append(command(k), more...)...))
	c, err := testcontainers.Run(ctx, k.Image, options...)
	if err != nil {
		return "", nil, fmt.Errorf("start %s: %w", k.Image, err)
	}
	stop := func() error { return testcontainers.TerminateContainer(c, testcontainers.StopTimeout(0)) }
	host, p, err := reach(ctx, c, port)
	if err != nil {
		return "", stop, fmt.Errorf("find %s: %w", k.Image, err)
	}
	return address(host, p), stop, nil
}

// reach is where a container's port is reached: at the container itself where this machine has a way to it, as it has on Linux to
// Docker's own networks, else where the port is published. There Docker's proxy copies each byte, which takes a fifth of what the
// server takes of the processor.
func reach(ctx context.Context, c testcontainers.Container, port string) (string, network.Port, error) {
	if itself, err := network.ParsePort(port); err == nil {
		if ip, err := c.ContainerIP(ctx); err == nil && ip != "" {
			dialer := net.Dialer{Timeout: time.Second}
			if conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(ip, fmt.Sprint(itself.Num()))); err == nil {
				return ip, itself, conn.Close()
			}
		}
	}
	host, err := c.Host(ctx)
	if err != nil {
		return "", network.Port{}, err
	}
	published, err := c.MappedPort(ctx, port)
	return host, published, err
}

// command makes the server quick to test on: what it writes need not outlive it.
func command(k Kind) []string {
	switch k.Engine {
	case "postgres":
		return []string{"postgres", "-c", "fsync=off", "-c", "max_connections=300", "-c", "shared_buffers=128MB"}
	case "mysql":
		return []string{"mysqld", "--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0", "--innodb-doublewrite=0", "--max-connections=500"}
	default:
		return []string{"mariadbd", "--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--max-connections=500"}
	}
}

// prepare tells testcontainers where it is. Inside a container that shares the host's network, ports
// are on the loopback; and its reaper is of no use where its image cannot be had.
//
// It is done once: what it sets is the whole process's.
var prepare = sync.OnceValue(func() error {
	set := func(name, value string) {
		if os.Getenv(name) == "" {
			_ = os.Setenv(name, value)
		}
	}
	if _, err := os.Stat("/.dockerenv"); err == nil {
		set("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
	}
	set("TESTCONTAINERS_RYUK_DISABLED", "true")
	tclog.SetDefault(log.New(io.Discard, "", 0))
	// A server that is still starting cuts connections; that is no news.
	return mysql.SetLogger(log.New(io.Discard, "", 0))
})
