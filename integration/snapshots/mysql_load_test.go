package snapshots

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/snapshot"
)

// ddlStorm alters tables of a database, over and over, until it is ended. DDL that waits is not an error.
func ddlStorm(t *testing.T, db *sql.DB) (end func() int64) {
	ctx, cancel := context.WithCancel(context.Background())
	done, n := make(chan error, 1), atomic.Int64{}
	go func() {
		for i := 0; ctx.Err() == nil; i++ {
			for _, s := range []string{
				"CREATE TABLE IF NOT EXISTS storm (id int PRIMARY KEY, n int)", "INSERT IGNORE INTO storm VALUES (1, 2)",
				fmt.Sprintf("ALTER TABLE marks ADD COLUMN c%d int", i), fmt.Sprintf("ALTER TABLE marks DROP COLUMN c%d", i), "DROP TABLE storm",
			} {
				if _, err := db.Exec(s); err != nil {
					done <- fmt.Errorf("%s: %w", s, err)
					return
				}
			}
			n.Add(1)
		}
		done <- nil
	}()
	end = func() int64 { cancel(); require.NoError(t, <-done); return n.Load() }
	return end
}

// TestCreateUnderLoadMySQL takes snapshots of a bank beside transfers, and on MySQL beside DDL. Each has the right sum, and a
// line for each transfer; no transfer waits for as long as the lock timeout. On MariaDB, where nothing keeps DDL out, a
// snapshot beside DDL that never ends is refused.
func TestCreateUnderLoadMySQL(t *testing.T) {
	const lockTimeout = 5 * time.Second
	for _, k := range mysqlKinds() {
		t.Run(k.Name, func(t *testing.T) {
			from := servers.URL(t, k)
			bank := openBank(t, from)
			_, err := bank.db.Exec(bankMySQL)
			require.NoError(t, err)
			end, calm := bank.use(4), ddlStorm(t, bank.db)
			store := newMySQLStore(t)
			db := openMySQL(t, from)
			if k.Engine == "mariadb" {
				_, err := store.Create(t.Context(), db, snapshot.About{Engine: k.Engine, Source: "test"}, snapshot.CreateOptions{Workers: 2, LockTimeout: lockTimeout})
				if err != nil { // beside DDL every few milliseconds it is a matter of luck whether there is a moment without
					require.ErrorContains(t, err, "when nothing alters the database")
				}
				require.Positive(t, calm())
			}
			for range 2 {
				at := bank.writes.Load()
				require.Eventually(t, func() bool { return bank.writes.Load() > at+20 }, time.Minute, time.Millisecond)
				bank.longest.Store(0)
				m, err := store.Create(t.Context(), db, snapshot.About{Engine: k.Engine, Source: "test"}, snapshot.CreateOptions{Workers: 2, LockTimeout: lockTimeout})
				require.NoError(t, err)
				longest := time.Duration(bank.longest.Load())
				to := servers.URL(t, k)
				copied := openMySQL(t, to)
				require.NoError(t, store.Proven(t.Context(), m, copied.Site(), snapshot.BuildOptions{Workers: 2}))
				var sum, transfers, without int64
				require.NoError(t, copied.DB().QueryRow("SELECT (SELECT total FROM totals), (SELECT count(*) FROM transfers), (SELECT count(*) FROM transfers LEFT JOIN lines_ ON lines_.transfer = transfers.id WHERE lines_.id IS NULL)").Scan(&sum, &transfers, &without))
				require.EqualValues(t, bankSum, sum)
				require.Positive(t, transfers)
				require.Zero(t, without)
				require.Less(t, longest, 2*lockTimeout) // what it waits for the lock, and what it does itself
				locked, err := time.ParseDuration(m.Content.Locked)
				require.NoError(t, err)
				require.Less(t, locked, lockTimeout)
				t.Logf("%d transfers in the copy; locked for %s (%s); the longest transfer %v", transfers, m.Content.Locked, m.Content.Method, longest)
			}
			if k.Engine == "mysql" {
				require.Positive(t, calm())
			}
			end()
			require.Empty(t, bank.wrong)
		})
	}
}

func newMySQLStore(t testing.TB) *snapshot.Store {
	return snapshot.NewStore(snapshot.Folder(t.TempDir()))
}

// TestCreateWithFewRightsMySQL takes a snapshot with an account that has rights on its database alone: the moment is fixed by
// LOCK TABLES. With no right to that either, the error says which one is missing.
func TestCreateWithFewRightsMySQL(t *testing.T) {
	for _, k := range []servers.Kind{servers.MySQL9, servers.MariaDB118} {
		t.Run(k.Name, func(t *testing.T) {
			from := servers.URL(t, k)
			bank := openBank(t, from)
			_, err := bank.db.Exec(bankMySQL)
			require.NoError(t, err)
			u, err := url.Parse(from)
			require.NoError(t, err)
			name := strings.Trim(u.Path, "/")
			account := "few_" + name[len(name)-8:]
			t.Cleanup(func() {
				_, err := servers.Open(t, from).Exec("DROP USER " + account)
				require.NoError(t, err)
			})
			_, err = bank.db.Exec("CREATE USER " + account + " IDENTIFIED BY 'switchback'; GRANT SELECT, SHOW VIEW, TRIGGER, EXECUTE, EVENT ON " + name + ".* TO " + account)
			require.NoError(t, err)
			u.User = url.UserPassword(account, "switchback")
			store := newMySQLStore(t)
			o := snapshot.CreateOptions{Workers: 2, LockTimeout: 5 * time.Second}
			about := snapshot.About{Engine: k.Engine, Source: "test"}
			_, err = store.Create(t.Context(), openMySQL(t, u.String()), about, o)
			require.ErrorContains(t, err, "GRANT LOCK TABLES")

			_, err = bank.db.Exec("GRANT LOCK TABLES ON " + name + ".* TO " + account)
			require.NoError(t, err)
			end := bank.use(2)
			m, err := store.Create(t.Context(), openMySQL(t, u.String()), about, o)
			end()
			require.NoError(t, err)
			require.Contains(t, m.Content.Method, "LOCK TABLES")
			require.Empty(t, bank.wrong)
			model, err := store.Model(t.Context(), m, nil)
			require.NoError(t, err)
			require.Len(t, model.Schemas[0].Tables, 4)
			require.NotEmpty(t, m.Content.Omitted, "what the account cannot see")
		})
	}
}

// TestRefusedEngineMySQL refuses a table that no transaction sees at one moment, by its name.
func TestRefusedEngineMySQL(t *testing.T) {
	from := servers.URL(t, servers.MariaDB118)
	bank := openBank(t, from)
	_, err := bank.db.Exec("CREATE TABLE old_engine (id int) ENGINE=MyISAM")
	require.NoError(t, err)
	_, err = newMySQLStore(t).Create(t.Context(), openMySQL(t, from), snapshot.About{Engine: "mariadb"}, snapshot.CreateOptions{LockTimeout: time.Second})
	require.ErrorContains(t, err, "old_engine (MyISAM)")
}

// TestNewerServerMySQL restores a snapshot of MariaDB 10.11 on 11.8. Each server's own dump program finds the same rows.
func TestNewerServerMySQL(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	k, newer := servers.MariaDB1011, servers.MariaDB118
	from, to := servers.URL(t, k), servers.URL(t, newer)
	loadMySQL(t, k, from, nastyMySQL(k)...)
	store, m := takenMySQL(t, openMySQL(t, from), k.Engine)
	require.NoError(t, store.Fill(t.Context(), m, openMySQL(t, to).Site(), snapshot.BuildOptions{Workers: 2}))
	rows := func(k servers.Kind, url string) string {
		text := servers.DumpMySQL(t, k, url, "--hex-blob", "--skip-extended-insert", "--order-by-primary", "--complete-insert", "--no-create-info", "--skip-triggers")
		var inserts strings.Builder
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "INSERT ") {
				inserts.WriteString(line)
			}
		}
		return inserts.String()
	}
	require.NotEmpty(t, rows(k, from))
	require.Empty(t, otherLines(rows(k, from), rows(newer, to)))
}

// TestPiecesMySQL copies tables that are large enough to be cut: by a number whose values are far apart, and by a text.
func TestPiecesMySQL(t *testing.T) {
	for _, k := range []servers.Kind{servers.MySQL9, servers.MariaDB118} {
		t.Run(k.Name, func(t *testing.T) {
			from, to := servers.URL(t, k), servers.URL(t, k)
			bank := openBank(t, from)
			for _, s := range []string{
				"CREATE TABLE ten (n int PRIMARY KEY)", "INSERT INTO ten VALUES (0),(1),(2),(3),(4),(5),(6),(7),(8),(9)",
				"CREATE TABLE numbered (id bigint unsigned PRIMARY KEY, t mediumtext) ENGINE=InnoDB",
				"INSERT INTO numbered SELECT IF(a.n < 5, a.n * 1000 + b.n * 100 + c.n * 10 + d.n, 18446744073709551615 - (a.n * 1000 + b.n * 100 + c.n * 10 + d.n)), repeat(char(65 + d.n), 15000) FROM ten a, ten b, ten c, ten d",
				"CREATE TABLE named (id varchar(40) PRIMARY KEY, t mediumtext) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
				"INSERT INTO named SELECT concat(d.n, 'ä', sha2(a.n * 1000 + b.n * 100 + c.n * 10 + d.n, 224)) COLLATE utf8mb4_bin, repeat(char(65 + d.n), 15000) FROM ten a, ten b, ten c, ten d",
				"ANALYZE TABLE numbered, named",
			} {
				s = strings.Replace(s, "sha2(a.n * 1000 + b.n * 100 + c.n * 10 + d.n, 224)", "left(sha2(a.n * 1000 + b.n * 100 + c.n * 10 + d.n, 224), 36)", 1)
				_, err := bank.db.Exec(s)
				require.NoError(t, err, s)
			}
			db := openMySQL(t, from)
			point, err := db.OpenPoint(t.Context(), snapshot.PointOptions{Workers: 1, LockTimeout: 5 * time.Second})
			require.NoError(t, err)
			pieces := map[string]int{}
			for _, p := range point.Pieces() {
				pieces[point.Parts()[p.Part].Name]++
			}
			require.NoError(t, point.Close(t.Context()))
			require.Greater(t, pieces["numbered"], 1)
			require.Greater(t, pieces["named"], 1)
			t.Log(pieces)
			store, m := takenMySQL(t, db, k.Engine)
			for _, table := range m.Content.Tables {
				if table.Name != "ten" {
					require.EqualValues(t, 10000, table.Rows, table.Name)
				}
			}
			require.NoError(t, store.Proven(t.Context(), m, openMySQL(t, to).Site(), snapshot.BuildOptions{Workers: 2}))
		})
	}
}

// TestSameRowsByAnyConnectionMySQL takes a snapshot of the same rows over a connection that is plain, where rows are taken
// from below the driver, over one that is compressed, and over one that is encrypted: they are the same, with lengths around
// those at which the server cuts a row into several packets.
func TestSameRowsByAnyConnectionMySQL(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a server")
	}
	for _, k := range mysqlKinds() {
		t.Run(k.Name, func(t *testing.T) {
			url := servers.URL(t, k)
			loadMySQL(t, k, url, nastyMySQL(k)...)
			db := servers.Open(t, url)
			defer db.Close()
			for _, s := range []string{
				"CREATE TABLE padded (id int(6) ZEROFILL PRIMARY KEY, tiny tinyint ZEROFILL, big bigint(20) ZEROFILL, none int ZEROFILL)",
				"INSERT INTO padded VALUES (0, 0, 0, NULL), (1, 7, 18446744073709551615, NULL), (1234567, 255, 1, 3)",
				"CREATE TABLE extremes (f float, d double, m decimal(30,10), t tinyint, b bigint, y year, id int PRIMARY KEY)",
				"INSERT INTO extremes VALUES (1e20, 1e300, -0.5, -128, -9223372036854775808, 0, 1), (-1.1, 123456789.123, 1e19, 127, 9223372036854775807, 2155, 2), (NULL, NULL, NULL, NULL, NULL, NULL, 3), (1e-30, 5e-324, 0, 0, 0, 1901, 4), (0, -0e0, 0, 1, 1, 2000, 5)",
				"CREATE TABLE lengths (b longblob, id int PRIMARY KEY)",
				"INSERT INTO lengths VALUES (NULL, 0), ('', 1)",
			} {
				_, err := db.ExecContext(t.Context(), s)
				require.NoError(t, err, s)
			}
			lengths := []int{7, 8, 9, 250, 251, 65_535, 65_536, 300_000}
			if k.Engine == "mysql" { // MariaDB takes no row of more than 16 MiB by default
				lengths = append(lengths, 1<<24-1-4-2, 1<<24-1-4-3, 1<<24-1, 1<<24, 20_000_000)
			}
			for _, n := range lengths {
				_, err := db.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO lengths VALUES (concat(repeat('abcdefg\\\\', %d), char(0, 9, 10), repeat('x', %d)), %d)", min(100, (n-3)/8), n-3-8*min(100, (n-3)/8), n))
				require.NoError(t, err)
			}
			_, plain := takenMySQL(t, openMySQL(t, url), k.Engine)
			ways := []string{"?compress=true&parseTime=true"}
			if k != servers.MariaDB1011 { // whose server has no certificate
				ways = append(ways, "?tls=skip-verify")
			}
			for _, way := range ways {
				_, other := takenMySQL(t, openMySQL(t, url+way), k.Engine)
				require.Equal(t, plain.Content.Tables, other.Content.Tables, way)
			}
		})
	}
}
