package gate

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"io"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/binary"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// recording is a run of record.
type recording struct {
	*exec.Cmd
	out  binary.Output
	file string
	url  string // of the target, by way of the proxy
}

var recordsOn = regexp.MustCompile(`recording what is asked on (\S+)`)

// record starts a recording of a database.
func record(t *testing.T, target string) *recording {
	t.Helper()
	program, err := program.Path()
	require.NoError(t, err)
	r := &recording{file: filepath.Join(t.TempDir(), "recorded.sql")}
	r.Cmd = exec.Command(program, "record", "--target", target, "--out", r.file, "--every", "50ms")
	r.Stdout, r.Stderr = &r.out, &r.out
	require.NoError(t, r.Start())
	t.Cleanup(func() { _ = r.Process.Kill() })
	require.Eventually(t, func() bool { return recordsOn.MatchString(r.out.String()) }, 20*time.Second, 10*time.Millisecond, "%s", &r.out)
	u, err := url.Parse(target)
	require.NoError(t, err)
	u.Host = recordsOn.FindStringSubmatch(r.out.String())[1]
	r.url = u.String()
	return r
}

// end ends a recording and returns its file.
func (r *recording) end(t *testing.T) string {
	t.Helper()
	require.NoError(t, r.Process.Signal(syscall.SIGTERM))
	require.NoError(t, r.Wait(), "%s", &r.out)
	text, err := os.ReadFile(r.file)
	require.NoError(t, err)
	require.NotContains(t, string(text)+r.out.String(), "confidential")
	return string(text)
}

// customers makes the base schema in a fresh database.
func customers(t *testing.T, k servers.Kind) (target string) {
	target = servers.URL(t, k)
	db := servers.Open(t, target)
	defer db.Close()
	for _, s := range strings.Split(base(migrate.Engine(k.Engine)), ";\n") {
		if strings.TrimSpace(s) != "" {
			_, err := db.ExecContext(t.Context(), s)
			require.NoError(t, err, s)
		}
	}
	return target
}

// TestRecord records what drivers and the servers' own clients ask, over every part of the protocol that they use, and
// has the gate ask it again: what a change breaks is found.
func TestRecord(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			engine := migrate.Engine(k.Engine)
			r := record(t, customers(t, k))
			want := map[string]string{}
			if engine == migrate.Postgres {
				askPostgres(t, k, r.url, want)
			} else {
				askMySQL(t, k, r.url, want)
			}
			require.Eventually(t, func() bool { // it is written meanwhile
				text, err := os.ReadFile(r.file)
				return err == nil && strings.Contains(string(text), "FROM customers")
			}, 20*time.Second, 10*time.Millisecond)
			text := r.end(t)
			for statement, asked := range want {
				require.Contains(t, text, "-- asked "+asked+"\n"+statement+";\n")
			}
			require.NotContains(t, text, "ROLE")
			require.NotContains(t, text, "USER")

			program, err := program.Path()
			require.NoError(t, err)
			server, err := servers.Server(k)
			require.NoError(t, err)
			out, err := exec.CommandContext(t.Context(), program, "check", "--dir", dropsNote(t, engine), "--only", "workload", "--scratch", server,
				"--from", baseFile(t, engine), "--workload", "blue="+r.file).CombinedOutput()
			require.Error(t, err)
			require.Equal(t, 2, strings.Count(string(out), "does not work after expand"), "%s", out)
			require.NotContains(t, string(out), "cannot be asked again")
		})
	}
}

func baseFile(t *testing.T, engine migrate.Engine) string {
	file := filepath.Join(t.TempDir(), "schema.sql")
	require.NoError(t, os.WriteFile(file, []byte(base(engine)), 0o600))
	return file
}

// askPostgres asks by pgx in its ways of asking and by psql; want is what is to be recorded, and how often.
func askPostgres(t *testing.T, k servers.Kind, target string, want map[string]string) {
	ctx := t.Context()
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		c, err := pgx.ParseConfig(target)
		require.NoError(t, err)
		c.DefaultQueryExecMode = mode
		conn, err := pgx.ConnectConfig(ctx, c)
		require.NoError(t, err)
		for i := range 3 {
			_, err := conn.Exec(ctx, "UPDATE customers SET note = 'confidential' WHERE id = $1", i)
			require.NoError(t, err)
		}
		require.NoError(t, conn.Close(ctx))
	}
	want["UPDATE customers SET note = $1 WHERE id = $2"] = "9 times"

	conn, err := pgx.Connect(ctx, target)
	require.NoError(t, err)
	defer conn.Close(ctx)
	n, err := conn.CopyFrom(ctx, pgx.Identifier{"customers"}, []string{"id", "name"}, pgx.CopyFromSlice(2000, func(i int) ([]any, error) {
		return []any{i, "Q\x00\x00\x00\x20SELECT confidential"[5:]}, nil
	}))
	require.NoError(t, err)
	require.EqualValues(t, 2000, n)
	_, err = conn.PgConn().Prepare(ctx, "", "DELETE FROM customers WHERE id = $2 OR name = $1", []uint32{pgtype.TextOID, pgtype.Int8OID})
	require.NoError(t, err)
	want["DELETE FROM customers WHERE id = $1 OR name = $2"] = "never, but prepared; $1 int8, $2 text"
	batch := &pgx.Batch{}
	for i := range 50 {
		batch.Queue("SELECT name FROM customers WHERE id = $1", i)
	}
	require.NoError(t, conn.SendBatch(ctx, batch).Close())
	want["SELECT name FROM customers WHERE id = $1"] = "50 times"

	// A statement of more than a buffer, and one that is not noted; the connection goes on.
	long := strings.Repeat("confidential", 20_000)
	require.NoError(t, conn.QueryRow(ctx, "SELECT length('"+long+"') FROM customers WHERE id = 1").Scan(new(int)))
	require.NoError(t, conn.QueryRow(ctx, "SELECT length('"+strings.Repeat(long, 80)+"')").Scan(new(int)))
	want["SELECT length($1) FROM customers WHERE id = $2::int"] = "once"

	// A query that is cancelled.
	cancelled, cancel := context.WithCancel(ctx)
	go func() {
		waitsThere(t, target)
		cancel()
	}()
	slow, err := pgx.Connect(ctx, target)
	require.NoError(t, err)
	_, err = slow.Exec(cancelled, "SELECT pg_sleep(600)")
	require.Error(t, err)
	waitsNowhere(t, target)

	_, err = conn.Exec(ctx, "SET standard_conforming_strings = off")
	require.NoError(t, err)
	_, err = conn.Exec(ctx, `SELECT born FROM customers WHERE name = 'it\'s confidential'`, pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	want["SELECT born FROM customers WHERE name = $1"] = "once"

	client(t, k, target, `ALTER ROLE CURRENT_USER SET search_path = public;
SELECT id FROM customers WHERE note = 'confidential' AND born > date '2026-01-01';
\copy orders (id, customer_id) from stdin
7	confidential
\.
`, "psql", "-q")
	want["SELECT id FROM customers WHERE note = $1 AND born > $2::date"] = "once"
}

// waitsThere waits until a server is at the query that is to be cancelled, waitsNowhere until it no longer is.
func waitsThere(t *testing.T, target string)   { untilSleeping(t, target, true) }
func waitsNowhere(t *testing.T, target string) { untilSleeping(t, target, false) }

func untilSleeping(t *testing.T, target string, want bool) {
	db := servers.Open(t, target)
	defer db.Close()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var is bool
		if err := db.QueryRowContext(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query = 'SELECT pg_sleep(600)')").Scan(&is); err == nil && is == want {
			return
		}
	}
	t.Errorf("waited for a query to be asked (%t)", want)
}

// askMySQL is askPostgres for MySQL and MariaDB.
func askMySQL(t *testing.T, k servers.Kind, target string, want map[string]string) {
	ctx := t.Context()
	for _, interpolated := range []bool{false, true} {
		db := mysqlPool(t, target, func(c *mysql.Config) { c.InterpolateParams, c.MultiStatements = interpolated, true })
		for i := range 3 {
			_, err := db.ExecContext(ctx, "UPDATE customers SET note = 'confi\\'dential' WHERE id = ?", i)
			require.NoError(t, err)
		}
		var none sql.NullString
		err := db.QueryRowContext(ctx, "SELECT born FROM customers WHERE name = \"confidential\"; SELECT born FROM customers WHERE id IN (1, 2, 3)").Scan(&none)
		require.ErrorIs(t, err, sql.ErrNoRows)
	}
	want["UPDATE customers SET note = ? WHERE id = ?"] = "6 times"
	want["SELECT born FROM customers WHERE name = ?"] = "2 times"
	want["SELECT born FROM customers WHERE id IN (?)"] = "2 times"

	db := mysqlPool(t, target, func(c *mysql.Config) { c.MaxAllowedPacket = 0 })
	prepared, err := db.PrepareContext(ctx, "SELECT name FROM customers WHERE id = ?")
	require.NoError(t, err)
	defer prepared.Close()
	for i := range 50 {
		var name string
		require.ErrorIs(t, prepared.QueryRowContext(ctx, i).Scan(&name), sql.ErrNoRows)
	}
	want["SELECT name FROM customers WHERE id = ?"] = "50 times"

	// A statement of more than a buffer, and one of more than a packet, which is not noted; the connection goes on.
	long := strings.Repeat("confidential", 20_000)
	require.NoError(t, db.QueryRowContext(ctx, "SELECT count(*) FROM customers WHERE name = '"+long+"'").Scan(new(int)))
	want["SELECT count(*) FROM customers WHERE name = ?"] = "once"
	var size int
	require.NoError(t, db.QueryRowContext(ctx, "SELECT @@max_allowed_packet").Scan(&size))
	if size > 17<<20 {
		require.NoError(t, db.QueryRowContext(ctx, "SELECT length('"+strings.Repeat(long, 17<<20/len(long)+1)+"')").Scan(new(int)))
	}

	// A file of so many packets that their numbers begin again, each like a query.
	admin := mysqlPool(t, target, func(c *mysql.Config) { c.DBName = "mysql" })
	_, err = admin.ExecContext(ctx, "SET GLOBAL local_infile = ON")
	require.NoError(t, err)
	mysql.RegisterReaderHandler("many", func() io.Reader {
		return &packets{text: strings.Repeat("\x03SELECT name FROM confidential_file WHERE id = 1;\n", 40), left: 600}
	})
	_, err = db.ExecContext(ctx, "LOAD DATA LOCAL INFILE 'Reader::many' INTO TABLE parts FIELDS TERMINATED BY '\\t' (@a, @b, label) SET order_id = 1, n = 1")
	if err != nil { // rows of the file are the same, or none
		require.NotContains(t, err.Error(), "invalid connection")
	}
	require.NoError(t, db.QueryRowContext(ctx, "SELECT count(*) FROM orders WHERE amount > 1.5").Scan(new(int)))
	want["SELECT count(*) FROM orders WHERE amount > ?"] = "once"

	tool, options := "mysql", []string{"--get-server-public-key", "--compress"}
	if k.Engine == "mariadb" {
		tool, options = "mariadb", []string{"--skip-ssl", "--compress"}
	}
	client(t, k, target, "ALTER USER CURRENT_USER() COMMENT 'confidential';\nSELECT id FROM customers WHERE note = 'confidential' AND born > date '2026-01-01';\n", tool, append(options, "--force")...)
	want["SELECT id FROM customers WHERE note = ? AND born > ?"] = "once"
}

// packets reads as a text over and over, a packet each time.
type packets struct {
	text string
	left int
}

func (p *packets) Read(b []byte) (int, error) {
	if p.left--; p.left < 0 {
		return 0, io.EOF
	}
	return copy(b, p.text), nil
}

func mysqlPool(t *testing.T, target string, set func(*mysql.Config)) *sql.DB {
	u, err := url.Parse(target)
	require.NoError(t, err)
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr, c.DBName = u.User.Username(), "tcp", u.Host, strings.Trim(u.Path, "/")
	c.Passwd, _ = u.User.Password()
	set(c)
	connector, err := mysql.NewConnector(c)
	require.NoError(t, err)
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// client runs a client program of the server on statements. Errors that the server has for them are no failure.
func client(t *testing.T, k servers.Kind, target, statements, tool string, args ...string) {
	t.Helper()
	cmd, err := servers.Command(t.Context(), k, target, tool, args...)
	require.NoError(t, err)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(statements), &out, &out
	if err := cmd.Run(); err != nil {
		require.Equal(t, 1, cmd.ProcessState.ExitCode(), "%s", &out)
	}
	require.NotContains(t, out.String(), "onnection")
}

// TestRecordCommand runs the tests of an application, and says what they said.
func TestRecordCommand(t *testing.T) {
	if testing.Short() {
		return
	}
	program, err := program.Path()
	require.NoError(t, err)
	target := customers(t, servers.Postgres17)
	file := filepath.Join(t.TempDir(), "green.sql")
	for script, code := range map[string]int{`test "$DATABASE_URL" != "$TARGET" && exit 7`: 7, "kill -9 $$": 137, "true": 0} {
		cmd := exec.CommandContext(t.Context(), program, "record", "--target", target, "--out", file, "--variable", "DATABASE_URL", "--", "sh", "-c", script)
		cmd.Env = append(os.Environ(), "TARGET="+target)
		out, _ := cmd.CombinedOutput()
		require.Equal(t, code, cmd.ProcessState.ExitCode(), "%s", out)
		require.Contains(t, string(out), "green.sql: 0 statements, asked 0 times")
	}
	require.NoError(t, os.WriteFile(file, []byte("SELECT 1;"), 0o600))
	for args, want := range map[string]string{
		"--out " + file + " --target postgres://postgres@127.0.0.1:1/a": "reach the target",
		"--target sqlite:a.db":                                     `record the target "sqlite:a.db"`,
		"--target postgres://postgres:secret@127.0.0.1:1/none":     "reach the target",
		"--target mysql://root:secret@127.0.0.1:1/none?tls=true":   "record does not speak TLS with mysql",
		"--target env:nowhere":                                     "nowhere",
		"--listen 127.0.0.1:notaport --target " + target:           "listen on 127.0.0.1:notaport",
		"--out " + filepath.Dir(file) + "/no/a --target " + target: "write the recording",
	} {
		out, err := exec.CommandContext(t.Context(), program, append([]string{"record"}, strings.Fields(args)...)...).CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), want)
		require.NotContains(t, string(out), "secret")
	}
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "SELECT 1;", string(kept), "an earlier recording is written over before there is another")
}

// TestRecordOverTLS records on a server that is only reached by TLS, for a client that has none.
func TestRecordOverTLS(t *testing.T) {
	if testing.Short() {
		return
	}
	server, stop, err := servers.Start(t.Context(), servers.Postgres17)
	t.Cleanup(func() { require.NoError(t, stop()) })
	require.NoError(t, err)
	db := servers.Open(t, server)
	defer db.Close()
	certificate, key := selfSigned(t)
	for file, text := range map[string]string{"/tmp/server.crt": certificate, "/tmp/server.key": key} {
		_, err := db.ExecContext(t.Context(), "COPY (SELECT unnest(string_to_array('"+text+"', E'\\n'))) TO PROGRAM 'cat > "+file+" && chmod 600 "+file+"'")
		require.NoError(t, err)
	}
	for _, s := range []string{"ssl_cert_file = '/tmp/server.crt'", "ssl_key_file = '/tmp/server.key'", "ssl = on"} {
		_, err := db.ExecContext(t.Context(), "ALTER SYSTEM SET "+s)
		require.NoError(t, err)
	}
	_, err = db.ExecContext(t.Context(), "SELECT pg_reload_conf()")
	require.NoError(t, err)
	secured := strings.Replace(server, "sslmode=disable", "sslmode=require", 1)
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), secured)
		return err == nil && conn.Close(t.Context()) == nil
	}, 20*time.Second, 20*time.Millisecond)

	r := record(t, secured)
	client(t, servers.Postgres17, r.url, "SELECT count(*) FROM pg_stat_ssl WHERE ssl; SELECT upper('confidential');\n", "psql", "-q")
	require.Contains(t, r.end(t), "-- asked once\nSELECT upper($1);\n")
}

// selfSigned is a certificate that vouches for itself, and its key.
func selfSigned(t *testing.T) (certificate, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}
