package snapshots

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/binary"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/snapshot"
)

// bankMySQL is a bank whose money never changes in sum. A trigger writes a line for each transfer.
const bankMySQL = `
CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL, owner varchar(40) NOT NULL, KEY by_owner (owner)) ENGINE=InnoDB;
CREATE TABLE transfers (id bigint AUTO_INCREMENT PRIMARY KEY, source int NOT NULL, target int NOT NULL, amount int NOT NULL,
  CONSTRAINT from_account FOREIGN KEY (source) REFERENCES accounts (id), CONSTRAINT to_account FOREIGN KEY (target) REFERENCES accounts (id)) ENGINE=InnoDB;
CREATE TABLE lines_ (id bigint AUTO_INCREMENT PRIMARY KEY, transfer bigint NOT NULL, KEY by_transfer (transfer)) ENGINE=InnoDB;
CREATE TABLE marks (id int PRIMARY KEY) ENGINE=InnoDB;
INSERT INTO accounts SELECT a.n * 10 + b.n, 1000, concat('owner ', b.n) FROM
  (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) a,
  (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) b;
CREATE TRIGGER line AFTER INSERT ON transfers FOR EACH ROW INSERT INTO lines_ (transfer) VALUES (NEW.id);
CREATE VIEW totals AS SELECT sum(balance) AS total FROM accounts;
CREATE PROCEDURE version_ () SELECT 'first';
`

const bankSum = 100 * 1000

// mysqlBank is a bank that is being used.
type mysqlBank struct {
	db      *sql.DB
	stop    context.CancelFunc
	done    sync.WaitGroup
	writes  atomic.Int64
	reads   atomic.Int64
	longest atomic.Int64 // that a transfer took, in nanoseconds
	mu      sync.Mutex
	excused map[uint16]int // errors that a lock wait explains
	wrong   []string       // everything else
}

func openBank(t *testing.T, url string) *mysqlBank {
	b := &mysqlBank{db: servers.Open(t, url+"?"), excused: map[uint16]int{}}
	b.db.SetMaxIdleConns(10)
	t.Cleanup(func() { _ = b.db.Close() })
	return b
}

// use begins transfers and readings side by side until end is called.
func (b *mysqlBank) use(writers int) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	b.stop = cancel
	for n := range writers {
		b.done.Go(func() {
			for i := n; ctx.Err() == nil; i += 7 {
				begun := time.Now()
				if err := b.transfer(i%100, (i*3+1)%100, 1+i%9); err != nil {
					b.failed("transfer", err)
					continue
				}
				b.writes.Add(1)
				if took := int64(time.Since(begun)); took > b.longest.Load() {
					b.longest.Store(took)
				}
			}
		})
	}
	b.done.Go(func() {
		for ctx.Err() == nil {
			var total int64
			if err := b.db.QueryRow("SELECT total FROM totals").Scan(&total); err != nil {
				b.failed("read", err)
			} else if b.reads.Add(1); total != bankSum {
				b.failed("read", fmt.Errorf("the sum is %d", total))
			}
		}
	})
	return func() { cancel(); b.done.Wait() }
}

func (b *mysqlBank) transfer(from, to, amount int) error {
	tx, err := b.db.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, s := range []string{
		fmt.Sprintf("UPDATE accounts SET balance = balance + IF(id = %d, -%d, 0) + IF(id = %d, %d, 0) WHERE id IN (%d, %d)", from, amount, to, amount, from, to),
		fmt.Sprintf("INSERT INTO transfers (source, target, amount) VALUES (%d, %d, %d)", from, to, amount),
	} {
		if _, err := tx.Exec(s); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (b *mysqlBank) failed(what string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var e *driver.MySQLError
	if errors.As(err, &e) && (e.Number == 1205 || e.Number == 1213) {
		b.excused[e.Number]++
		return
	}
	b.wrong = append(b.wrong, what+": "+err.Error())
}

func (b *mysqlBank) number(t *testing.T, query string) int64 {
	t.Helper()
	var n int64
	require.NoError(t, b.db.QueryRow(query).Scan(&n), query)
	return n
}

// mysqlProject is a folder of changes and a store, for the real command.
type mysqlProject struct {
	t        *testing.T
	url, dir string
}

func newMySQLProject(t *testing.T, url string) mysqlProject {
	return mysqlProject{t, url, t.TempDir()}
}

func (p mysqlProject) args(command ...string) []string {
	return append(command, "--url", p.url, "--dir", p.dir)
}

func (p mysqlProject) run(command ...string) string { return run(p.t, p.dir, p.args(command...)...) }

// snapshot takes one and returns its ID.
func (p mysqlProject) snapshot() string {
	p.t.Helper()
	out := p.run("snapshot", "create", "--json")
	var m snapshot.Manifest
	require.NoError(p.t, json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &m), out)
	return m.ID
}

var displacedName = regexp.MustCompile(`--undo (\S+) takes`)

func displacedIn(t *testing.T, out string) string {
	t.Helper()
	m := displacedName.FindStringSubmatch(out)
	require.NotNil(t, m, out)
	return m[1]
}

// dropBeside removes the databases that restores have left.
func dropBeside(t *testing.T, db *sql.DB, url string) {
	t.Cleanup(func() {
		name := url[strings.LastIndex(url, "/")+1:]
		rows, err := db.Query("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE ?", strings.ReplaceAll(name, "_", `\_`)+`\_\_%`)
		require.NoError(t, err)
		defer rows.Close()
		var names []string
		for rows.Next() {
			var n string
			require.NoError(t, rows.Scan(&n))
			names = append(names, n)
		}
		require.NoError(t, rows.Err())
		for _, n := range names {
			_, err := db.Exec("DROP DATABASE `" + n + "`")
			require.NoError(t, err)
		}
	})
}

// TestRestoreLiveMySQL puts a snapshot in the place of a bank that goes on being used, and the displaced bank back. The
// application sees no error but those that a lock wait explains, and never a sum that is not right; triggers fire for
// each transfer.
func TestRestoreLiveMySQL(t *testing.T) {
	for _, k := range mysqlKinds() {
		t.Run(k.Name, func(t *testing.T) {
			url := servers.URL(t, k)
			bank := openBank(t, url)
			_, err := bank.db.Exec(bankMySQL)
			require.NoError(t, err)
			dropBeside(t, bank.db, url)
			p := newMySQLProject(t, url)
			id := p.snapshot()
			_, err = bank.db.Exec("INSERT INTO marks VALUES (1); DROP PROCEDURE version_; CREATE PROCEDURE version_ () SELECT 'second'; CREATE VIEW later AS SELECT 1 AS one; CREATE TABLE added (id int PRIMARY KEY)")
			require.NoError(t, err)

			end := bank.use(4)
			require.Eventually(t, func() bool { return bank.writes.Load() > 50 }, time.Minute, time.Millisecond)
			displaced := displacedIn(t, p.run("snapshot", "restore", id))
			at := bank.writes.Load()
			require.Eventually(t, func() bool { return bank.writes.Load() > at+50 }, time.Minute, time.Millisecond)
			end()
			require.Empty(t, bank.wrong)
			require.EqualValues(t, 0, bank.number(t, "SELECT count(*) FROM marks"))
			require.EqualValues(t, 0, bank.number(t, "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN ('later', 'added')"))
			require.EqualValues(t, bankSum, bank.number(t, "SELECT total FROM totals"))
			var version string
			require.NoError(t, bank.db.QueryRow("CALL version_()").Scan(&version))
			require.Equal(t, "first", version)
			without := bank.number(t, "SELECT count(*) FROM transfers LEFT JOIN lines_ ON lines_.transfer = transfers.id WHERE lines_.id IS NULL")
			if k.Engine == "mysql" {
				require.Zero(t, without, "transfers whose trigger did not fire")
			}
			t.Logf("%d transfers, the longest %v; excused errors %v; transfers without their trigger %d", bank.writes.Load(), time.Duration(bank.longest.Load()), bank.excused, without)
			require.EqualValues(t, 1, bank.number(t, "SELECT count(*) FROM switchback_journal WHERE action LIKE 'restore snapshot %'"))

			end = bank.use(4)
			at = bank.writes.Load()
			require.Eventually(t, func() bool { return bank.writes.Load() > at+50 }, time.Minute, time.Millisecond)
			p.run("snapshot", "restore", "--undo", displaced)
			at = bank.writes.Load()
			require.Eventually(t, func() bool { return bank.writes.Load() > at+50 }, time.Minute, time.Millisecond)
			end()
			require.Empty(t, bank.wrong)
			require.EqualValues(t, 1, bank.number(t, "SELECT count(*) FROM marks"))
			require.EqualValues(t, 2, bank.number(t, "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN ('later', 'added')"))
			require.NoError(t, bank.db.QueryRow("CALL version_()").Scan(&version))
			require.Equal(t, "second", version)
			require.EqualValues(t, bankSum, bank.number(t, "SELECT total FROM totals"))
			require.EqualValues(t, 2, bank.number(t, "SELECT count(*) FROM switchback_journal WHERE action LIKE 'restore snapshot %' OR action LIKE 'put back %'"))
			require.Contains(t, p.run("history"), "put back")
			require.EqualValues(t, 0, bank.number(t, "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'switchback_swap'"))
		})
	}
}

// TestCrashRestoreMySQL kills the real command at marks of a restore. The database's name answers with the old or the
// new contents, whole, and the same command run again ends well.
func TestCrashRestoreMySQL(t *testing.T) {
	for _, k := range []servers.Kind{servers.MySQL9, servers.MariaDB118} {
		t.Run(k.Name, func(t *testing.T) {
			url := servers.URL(t, k)
			bank := openBank(t, url)
			_, err := bank.db.Exec(bankMySQL)
			require.NoError(t, err)
			dropBeside(t, bank.db, url)
			p := newMySQLProject(t, url)
			require.NoError(t, bank.transfer(1, 2, 3))
			id := p.snapshot()
			restore := p.args("snapshot", "restore", id)
			// What the snapshot does not have: a row, another trigger and another view.
			other := func() {
				for _, s := range []string{
					"REPLACE INTO marks VALUES (1)", "DROP TRIGGER line", "CREATE TRIGGER line AFTER INSERT ON transfers FOR EACH ROW INSERT INTO lines_ (transfer) VALUES (-NEW.id)",
					"CREATE OR REPLACE VIEW totals AS SELECT -sum(balance) AS total FROM accounts",
				} {
					_, err := bank.db.Exec(s)
					require.NoError(t, err, s)
				}
			}
			other()
			names := marks(t, p.dir, restore...)
			require.Contains(t, names, "restore: renamed")
			for _, n := range binary.KillPoints(t.Name(), len(names)) {
				name := names[n-1]
				other()
				c := start(t, p.dir, []string{fmt.Sprint("KILL=", n)}, restore...)
				require.Equal(t, -1, c.End(t), "%s: %s", name, c.Out.String())
				// The tables are there, whole, before anybody mends anything.
				require.Contains(t, []int64{0, 1}, bank.number(t, "SELECT count(*) FROM marks"), "killed at %s", name)
				require.EqualValues(t, bankSum, bank.number(t, "SELECT sum(balance) FROM accounts"), "killed at %s", name)
				run(t, p.dir, restore...)
				require.EqualValues(t, 0, bank.number(t, "SELECT count(*) FROM marks"), "killed at %s", name)
				require.EqualValues(t, bankSum, bank.number(t, "SELECT total FROM totals"), "killed at %s", name)
				require.NoError(t, bank.transfer(1, 2, 3))
				require.EqualValues(t, 0, bank.number(t, "SELECT count(*) FROM transfers LEFT JOIN lines_ ON lines_.transfer = transfers.id WHERE lines_.id IS NULL"), "killed at %s", name)
				require.EqualValues(t, 0, bank.number(t, "SELECT count(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN ('switchback_swap', 'switchback_restore_ledger')"), "killed at %s", name)
				require.EqualValues(t, 0, bank.number(t, "SELECT count(*) FROM information_schema.schemata WHERE schema_name = concat(DATABASE(), '__restore')"), "killed at %s", name)
			}
		})
	}
}
