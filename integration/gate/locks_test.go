package gate

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/check/lint"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
)

// lockBase is the schema that the statements of the tables of locks are for. Text is quoted by $ where it has to be, so
// that it is cut at its semicolons.
const lockBase = `CREATE TABLE t (id bigint PRIMARY KEY, name varchar(100), age int, note text, loud text GENERATED ALWAYS AS (upper(note)) STORED);
CREATE INDEX t_age ON t (age);
CREATE TABLE other (id bigint PRIMARY KEY, t_id bigint);
CREATE MATERIALIZED VIEW m AS SELECT id FROM t;
CREATE UNIQUE INDEX m_id ON m (id);
CREATE TABLE whole (id bigint, day date) PARTITION BY RANGE (day);
CREATE TABLE part PARTITION OF whole FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE loose (id bigint, day date);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE SCHEMA elsewhere`

// Short names of the modes.
const (
	accessShare    = "ACCESS SHARE"
	rowShare       = "ROW SHARE"
	rowExclusive   = "ROW EXCLUSIVE"
	shareUpdate    = "SHARE UPDATE EXCLUSIVE"
	share          = "SHARE"
	shareRow       = "SHARE ROW EXCLUSIVE"
	exclusive      = "EXCLUSIVE"
	accessBlocking = "ACCESS EXCLUSIVE"
)

// postgresLock is a statement with what PostgreSQL's manual says of it: "Explicit Locking" (13.3) of the lock, and the
// page of ALTER TABLE of the lock, and of whether all rows are written anew or read.
type postgresLock struct {
	before, sql string
	table       string // t where it is empty
	mode        string
	rewrites    bool
	scans       bool
	since       int // the first version that has it
}

var postgresLocks = []postgresLock{
	{sql: "SELECT count(*) FROM t", mode: accessShare, scans: true},
	{sql: "SELECT * FROM t FOR UPDATE", mode: rowShare, scans: true},
	{sql: "SELECT * FROM t FOR KEY SHARE", mode: rowShare, scans: true},
	{sql: "INSERT INTO t (id) VALUES (1)", mode: rowExclusive},
	{sql: "UPDATE t SET age = 1", mode: rowExclusive, scans: true},
	{sql: "DELETE FROM t", mode: rowExclusive, scans: true},
	{before: "DROP INDEX t_age", sql: "MERGE INTO t USING (VALUES (1)) AS v (x) ON t.age = v.x WHEN MATCHED THEN DELETE", mode: rowExclusive, scans: true},
	{sql: "CREATE STATISTICS together ON age, name FROM t", mode: shareUpdate},
	{sql: "COMMENT ON TABLE t IS 'x'", mode: shareUpdate},
	{sql: "COMMENT ON COLUMN t.age IS 'x'", mode: shareUpdate},
	{sql: "CREATE INDEX i ON t (name)", mode: share, scans: true},
	{sql: "CREATE UNIQUE INDEX i ON t (name)", mode: share, scans: true},
	{sql: "REINDEX TABLE t", mode: share, scans: true},
	{sql: "REINDEX INDEX t_age", mode: share, scans: true},
	{sql: "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", mode: shareRow},
	{sql: "REFRESH MATERIALIZED VIEW CONCURRENTLY m", table: "m", mode: exclusive, scans: true},
	{sql: "REFRESH MATERIALIZED VIEW m", table: "m", mode: accessBlocking, rewrites: true},
	{sql: "DROP INDEX t_age", mode: accessBlocking},
	{sql: "DROP TABLE t CASCADE", mode: accessBlocking},
	{sql: "TRUNCATE t", mode: accessBlocking, rewrites: true},
	{sql: "CLUSTER t USING t_age", mode: accessBlocking, rewrites: true},
	{sql: "LOCK TABLE t IN SHARE MODE", mode: share},
	{sql: "ANALYZE t", mode: shareUpdate},
	// What no transaction may hold.
	{sql: "VACUUM t", mode: shareUpdate},
	{sql: "VACUUM FULL t", mode: accessBlocking, rewrites: true},
	{sql: "CREATE INDEX CONCURRENTLY i ON t (name)", mode: shareUpdate},
	{sql: "DROP INDEX CONCURRENTLY t_age", mode: shareUpdate},
	{sql: "REINDEX TABLE CONCURRENTLY t", mode: shareUpdate},
	{sql: "REINDEX INDEX CONCURRENTLY t_age", mode: shareUpdate},
	{sql: "ALTER TABLE whole DETACH PARTITION part CONCURRENTLY", table: "whole", mode: shareUpdate},
	// ALTER TABLE.
	{sql: "ALTER TABLE t ADD COLUMN c int", mode: accessBlocking},
	{sql: "ALTER TABLE t ADD COLUMN c int DEFAULT 1", mode: accessBlocking},
	{sql: "ALTER TABLE t ADD COLUMN c int NOT NULL DEFAULT 1", mode: accessBlocking},
	{sql: "ALTER TABLE t ADD COLUMN c timestamptz DEFAULT clock_timestamp()", mode: accessBlocking, rewrites: true},
	{sql: "ALTER TABLE t ADD COLUMN c text GENERATED ALWAYS AS (lower(note)) STORED", mode: accessBlocking, rewrites: true},
	{sql: "ALTER TABLE t ADD COLUMN c text GENERATED ALWAYS AS (lower(note)) VIRTUAL", mode: accessBlocking, since: 18},
	{sql: "ALTER TABLE t ADD COLUMN c bigint GENERATED ALWAYS AS IDENTITY", mode: accessBlocking, rewrites: true},
	{sql: "ALTER TABLE t DROP COLUMN name", mode: accessBlocking},
	{sql: "ALTER TABLE t ALTER COLUMN age TYPE bigint", mode: accessBlocking, rewrites: true},
	{sql: "ALTER TABLE t ALTER COLUMN name TYPE varchar(200)", mode: accessBlocking},
	{sql: "ALTER TABLE t ALTER COLUMN name TYPE text", mode: accessBlocking},
	{sql: "ALTER TABLE t ALTER COLUMN name TYPE varchar(50)", mode: accessBlocking, rewrites: true},
	{sql: "ALTER TABLE t ALTER COLUMN age SET DEFAULT 1", mode: accessBlocking},
	{sql: "ALTER TABLE t ALTER COLUMN age DROP DEFAULT", mode: accessBlocking},
	{sql: "ALTER TABLE t ALTER COLUMN loud DROP EXPRESSION", mode: accessBlocking},
	{sql: "ALTER TABLE t ALTER COLUMN age SET NOT NULL", mode: accessBlocking, scans: true},
	{
		before: "ALTER TABLE t ADD CONSTRAINT there CHECK (age IS NOT NULL)",
		sql:    "ALTER TABLE t ALTER COLUMN age SET NOT NULL", mode: accessBlocking,
	},
	{sql: "ALTER TABLE t ALTER COLUMN age DROP NOT NULL", mode: accessBlocking},
	{sql: "ALTER TABLE t ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY", mode: accessBlocking},
	{sql: "ALTER TABLE t ALTER COLUMN age SET STATISTICS 100", mode: shareUpdate},
	{sql: "ALTER TABLE t ALTER COLUMN age SET (n_distinct = 5)", mode: shareUpdate},
	{sql: "ALTER TABLE t ALTER COLUMN age RESET (n_distinct)", mode: shareUpdate},
	{sql: "ALTER TABLE t ALTER COLUMN note SET STORAGE EXTERNAL", mode: accessBlocking},
	{sql: "ALTER TABLE t ALTER COLUMN note SET COMPRESSION pglz", mode: accessBlocking},
	{sql: "ALTER TABLE t ADD CONSTRAINT c CHECK (age > 0)", mode: accessBlocking, scans: true},
	{sql: "ALTER TABLE t ADD CONSTRAINT c CHECK (age > 0) NOT VALID", mode: accessBlocking},
	{sql: "ALTER TABLE t ADD CONSTRAINT c CHECK (age > 0) NOT ENFORCED", mode: accessBlocking, since: 18},
	{sql: "ALTER TABLE t ADD CONSTRAINT c NOT NULL age NOT VALID", mode: accessBlocking, since: 18},
	{before: "ALTER TABLE t ADD CONSTRAINT c NOT NULL age NOT VALID", sql: "ALTER TABLE t VALIDATE CONSTRAINT c", mode: shareUpdate, scans: true, since: 18},
	{before: "ALTER TABLE t ADD CONSTRAINT c CHECK (age > 0) NOT VALID", sql: "ALTER TABLE t VALIDATE CONSTRAINT c", mode: shareUpdate, scans: true},
	{sql: "ALTER TABLE other ADD CONSTRAINT c FOREIGN KEY (t_id) REFERENCES t (id) NOT VALID", mode: shareRow},
	{sql: "ALTER TABLE other ADD CONSTRAINT c FOREIGN KEY (t_id) REFERENCES t (id) NOT VALID", table: "other", mode: shareRow},
	{sql: "ALTER TABLE other ADD CONSTRAINT c FOREIGN KEY (t_id) REFERENCES t (id)", table: "other", mode: shareRow, scans: true},
	{
		before: "ALTER TABLE other ADD CONSTRAINT c FOREIGN KEY (t_id) REFERENCES t (id) NOT VALID",
		sql:    "ALTER TABLE other VALIDATE CONSTRAINT c", table: "other", mode: shareUpdate, scans: true,
	},
	{
		before: "ALTER TABLE other ADD CONSTRAINT c FOREIGN KEY (t_id) REFERENCES t (id) NOT VALID",
		sql:    "ALTER TABLE other VALIDATE CONSTRAINT c", mode: rowShare,
	},
	{sql: "ALTER TABLE t ADD CONSTRAINT c UNIQUE (name)", mode: accessBlocking, scans: true},
	{before: "CREATE UNIQUE INDEX i ON t (name)", sql: "ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX i", mode: accessBlocking},
	{sql: "ALTER TABLE t ADD CONSTRAINT c EXCLUDE (name WITH =)", mode: accessBlocking, scans: true},
	{before: "ALTER TABLE t ADD CONSTRAINT c CHECK (age > 0)", sql: "ALTER TABLE t DROP CONSTRAINT c", mode: accessBlocking},
	{before: "ALTER TABLE t ADD CONSTRAINT c CHECK (age > 0)", sql: "ALTER TABLE t RENAME CONSTRAINT c TO d", mode: accessBlocking},
	{sql: "ALTER TABLE t RENAME COLUMN age TO years", mode: accessBlocking},
	{sql: "ALTER TABLE t RENAME TO u", mode: accessBlocking},
	{sql: "ALTER TABLE t SET SCHEMA elsewhere", mode: accessBlocking},
	{sql: "ALTER TABLE t OWNER TO CURRENT_USER", mode: accessBlocking},
	{sql: "ALTER TABLE t CLUSTER ON t_age", mode: shareUpdate},
	{sql: "ALTER TABLE t SET WITHOUT CLUSTER", mode: shareUpdate},
	{sql: "ALTER TABLE t SET (fillfactor = 70)", mode: shareUpdate},
	{sql: "ALTER TABLE t RESET (fillfactor)", mode: shareUpdate},
	{sql: "ALTER TABLE t SET (autovacuum_enabled = false)", mode: shareUpdate},
	{sql: "ALTER TABLE t SET UNLOGGED", mode: accessBlocking, rewrites: true},
	{sql: "ALTER TABLE t ENABLE ROW LEVEL SECURITY", mode: accessBlocking},
	{sql: "ALTER TABLE t REPLICA IDENTITY FULL", mode: accessBlocking},
	{before: "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", sql: "ALTER TABLE t DISABLE TRIGGER g", mode: shareRow},
	{sql: "ALTER TABLE whole ATTACH PARTITION loose FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')", table: "whole", mode: shareUpdate},
	{sql: "ALTER TABLE whole ATTACH PARTITION loose FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')", table: "loose", mode: accessBlocking, scans: true},
	{sql: "ALTER TABLE whole DETACH PARTITION part", table: "whole", mode: accessBlocking},
}

// strength orders the modes by what they keep out, as table 13.2 of the manual has them.
var strength = []string{accessShare, rowShare, rowExclusive, shareUpdate, share, shareRow, exclusive, accessBlocking}

// TestLocksOfPostgres: what is observed is what the manual says.
func TestLocksOfPostgres(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers")
	}
	for version, kind := range map[int]servers.Kind{15: servers.Postgres15, 17: servers.Postgres17, 18: servers.Postgres18} {
		t.Run(kind.Name, func(t *testing.T) {
			db := emptyOn(t, kind)
			for _, c := range postgresLocks {
				if c.since > version {
					continue
				}
				fresh := "DROP SCHEMA IF EXISTS public, elsewhere CASCADE; CREATE SCHEMA public; " + lockBase + "; " + c.before
				_, err := db.DB().ExecContext(t.Context(), fresh)
				require.NoError(t, err, c.sql)
				seen, err := db.LintObserver().Observe(t.Context(), []string{c.sql}, false)
				require.NoError(t, err, c.sql)
				if c.table == "" {
					c.table = "t"
				}
				var modes []string
				for _, l := range seen[0].Locks {
					if l.Table == c.table {
						modes = append(modes, l.Mode)
					}
				}
				slices.SortFunc(modes, func(a, b string) int { return slices.Index(strength, b) - slices.Index(strength, a) })
				if len(modes) == 0 || modes[0] != c.mode {
					t.Errorf("%s: locks %s %v, not %s", c.sql, c.table, modes, c.mode)
				}
				if slices.Contains(seen[0].Rewritten, c.table) != c.rewrites {
					t.Errorf("%s: writes %v anew", c.sql, seen[0].Rewritten)
				}
				if !c.rewrites && slices.Contains(seen[0].Scanned, c.table) != c.scans {
					t.Errorf("%s: reads all of %v", c.sql, seen[0].Scanned)
				}
			}
		})
	}
}

// scratchOn is a server for scratch databases.
func scratchOn(t *testing.T, kind servers.Kind) scratch.Server {
	t.Helper()
	url, err := servers.Server(kind)
	require.NoError(t, err)
	server, err := scratch.Open(t.Context(), url, scratch.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

// emptyOn is an empty scratch database.
func emptyOn(t *testing.T, kind servers.Kind) *scratch.Database {
	db, err := scratchOn(t, kind).Create(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// secondLock is a statement with what the manuals of MySQL ("Online DDL Operations", 17.12.1) and MariaDB ("InnoDB
// Online DDL Operations with the INSTANT, NOCOPY and INPLACE Alter Algorithm") say of it: the best algorithm and whether
// others may write meanwhile. Empty where the manual does not say, or the engine has no such statement.
type secondLock struct {
	sql            string
	mysql, mariadb string
}

const (
	instant    = "INSTANT"
	inplace    = "INPLACE NONE"
	readsOnly  = "INPLACE SHARED"
	copied     = "COPY SHARED"
	beside     = "COPY NONE" // from MariaDB 11.2 on ("Online Schema Change"), whatever it is that it copies for
	secondBase = `CREATE TABLE p (id bigint PRIMARY KEY);
CREATE TABLE k (id bigint NOT NULL, place geometry NOT NULL) ENGINE = InnoDB;
CREATE TABLE g (id bigint PRIMARY KEY, age int, v int AS (age + 1) VIRTUAL);
CREATE TABLE t (id bigint PRIMARY KEY, name varchar(100), age int, n int NOT NULL, note text, mood enum('a','b'), p_id bigint,
  KEY t_age (age), CONSTRAINT t_p FOREIGN KEY (p_id) REFERENCES p (id)) CHARACTER SET utf8mb4`
)

var secondLocks = []secondLock{
	{"ALTER TABLE t ADD COLUMN c int", instant, instant},
	{"ALTER TABLE t ADD COLUMN c int FIRST", instant, instant},
	{"ALTER TABLE t ADD COLUMN c int NOT NULL DEFAULT 1", instant, instant},
	{"ALTER TABLE t DROP COLUMN name", instant, instant},
	{"ALTER TABLE t RENAME COLUMN name TO label", instant, instant},
	{"ALTER TABLE t MODIFY note text AFTER id", inplace, instant},
	{"ALTER TABLE t MODIFY age bigint", copied, copied},
	{"ALTER TABLE t MODIFY name varchar(200)", inplace, instant},
	{"ALTER TABLE t ALTER COLUMN age SET DEFAULT 1", instant, instant},
	{"ALTER TABLE t ALTER COLUMN age DROP DEFAULT", instant, instant},
	{"ALTER TABLE t MODIFY p_id bigint NOT NULL", "", ""}, // depends on the foreign key's action
	{"ALTER TABLE t MODIFY mood enum('a','b') NOT NULL", inplace, inplace},
	{"ALTER TABLE t MODIFY n int NULL", inplace, inplace}, // MariaDB: INSTANT in the row format REDUNDANT only
	{"ALTER TABLE t MODIFY mood enum('a','b','c')", instant, instant},
	{"ALTER TABLE t MODIFY mood enum('b','a')", copied, copied},
	{"ALTER TABLE t ADD COLUMN c int AS (age * 2) VIRTUAL", instant, instant},
	{"ALTER TABLE t ADD COLUMN c int AS (age * 2) STORED", copied, copied},
	{"ALTER TABLE g DROP COLUMN v", instant, instant},
	{"ALTER TABLE t ADD INDEX i (name)", inplace, inplace},
	{"CREATE INDEX i ON t (name)", inplace, inplace},
	{"CREATE UNIQUE INDEX i ON t (name)", inplace, inplace},
	{"ALTER TABLE t DROP INDEX t_age", inplace, inplace},
	{"DROP INDEX t_age ON t", inplace, ""},
	{"ALTER TABLE t RENAME INDEX t_age TO t_years", inplace, instant},
	{"ALTER TABLE t ADD FULLTEXT INDEX i (note)", readsOnly, readsOnly},
	{"CREATE FULLTEXT INDEX i ON t (note)", readsOnly, readsOnly},
	{"ALTER TABLE k ADD SPATIAL INDEX i (place)", readsOnly, readsOnly},
	{"ALTER TABLE k ADD PRIMARY KEY (id)", inplace, inplace},
	{"ALTER TABLE t DROP PRIMARY KEY", copied, copied},
	{"ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (n)", inplace, inplace},
	{"ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (id) REFERENCES p (id)", copied, copied},
	{"ALTER TABLE t DROP FOREIGN KEY t_p", inplace, instant},
	{"ALTER TABLE t RENAME TO u", instant, instant},
	{"ALTER TABLE t AUTO_INCREMENT = 100", inplace, ""},
	{"ALTER TABLE t ROW_FORMAT = COMPACT", inplace, inplace},
	{"ALTER TABLE t ENGINE = InnoDB", inplace, inplace},
	{"ALTER TABLE t FORCE", inplace, inplace},
	{"ALTER TABLE t STATS_PERSISTENT = 0", inplace, ""},
	{"ALTER TABLE t CONVERT TO CHARACTER SET latin1", copied, copied},
}

// TestAlgorithms: the algorithm that is observed on MySQL and MariaDB is what their manuals say.
func TestAlgorithms(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers")
	}
	for _, kind := range []servers.Kind{servers.MySQL9, servers.MariaDB1011, servers.MariaDB118} {
		t.Run(kind.Name, func(t *testing.T) {
			db := emptyOn(t, kind)
			for _, c := range secondLocks {
				want := c.mysql
				if kind.Engine == "mariadb" {
					want = c.mariadb
				}
				if kind == servers.MariaDB118 && want == copied {
					want = beside
				}
				if want == "" {
					continue
				}
				each(t, db, "DROP TABLE IF EXISTS t, u, g, k, p; "+secondBase)
				seen, err := db.LintObserver().Observe(t.Context(), []string{c.sql}, false)
				require.NoError(t, err, c.sql)
				a := seen[0].Algorithm
				if got := strings.TrimSpace(a.Name + " " + a.Lock); got != want {
					t.Errorf("%s: %s, not %s", c.sql, got, want)
				}
			}
		})
	}
}

// TestPartitioned: what is done to a table with partitions is observed, clauses about these too; on a MariaDB that copies
// beside writers lint says that writes are lost, on one that keeps writers out it does not.
func TestPartitioned(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers")
	}
	const whole, parts = "CREATE TABLE t (id bigint PRIMARY KEY, age int)", " PARTITION BY HASH (id) PARTITIONS 3"
	for _, kind := range []servers.Kind{servers.MySQL9, servers.MariaDB1011, servers.MariaDB118} {
		t.Run(kind.Name, func(t *testing.T) {
			db := emptyOn(t, kind)
			loses := func(before, sql string) bool {
				t.Helper()
				each(t, db, "DROP TABLE IF EXISTS t; "+before)
				part, _, err := lint.Run(t.Context(), []lint.Script{{Change: "1_example", Phase: migrate.Expand, File: "expand.sql", SQL: sql + ";"}},
					lint.Options{Engine: db.Dialect().Engine, Observer: db.LintObserver()})
				require.NoError(t, err, sql)
				return slices.ContainsFunc(part.Findings, func(f check.Finding) bool { return f.Rule == "partitioned-copy-loses-writes" })
			}
			beside := kind == servers.MariaDB118
			for _, sql := range []string{
				"ALTER TABLE t REMOVE PARTITIONING", "ALTER TABLE t PARTITION BY HASH (id) PARTITIONS 5", "ALTER TABLE t MODIFY age bigint",
				"ALTER TABLE t MODIFY age bigint, LOCK=NONE", "ALTER TABLE t MODIFY age bigint PARTITION BY HASH (id) PARTITIONS 2",
			} {
				if sql != "ALTER TABLE t MODIFY age bigint, LOCK=NONE" || beside { // others refuse it
					require.Equal(t, beside, loses(whole+parts, sql), sql)
				}
			}
			for _, sql := range []string{
				"ALTER TABLE t MODIFY age bigint, LOCK=SHARED", "ALTER TABLE t LOCK=EXCLUSIVE REMOVE PARTITIONING", "ALTER TABLE t ADD COLUMN n int",
				"ALTER TABLE t ADD INDEX (age)", "ALTER TABLE t ADD PARTITION PARTITIONS 1", "ALTER TABLE t COALESCE PARTITION 1",
			} {
				require.False(t, loses(whole+parts, sql), sql)
			}
			for _, sql := range []string{"ALTER TABLE t MODIFY age bigint", "ALTER TABLE t PARTITION BY HASH (id) PARTITIONS 5"} {
				require.False(t, loses(whole, sql), sql)
			}
		})
	}
}

// each runs the statements of a text.
func each(t *testing.T, db *scratch.Database, text string) {
	t.Helper()
	statements, err := migrate.Scan(db.Dialect().Engine, text)
	require.NoError(t, err)
	for _, s := range statements {
		_, err := db.DB().ExecContext(context.WithoutCancel(t.Context()), s.Text)
		require.NoError(t, err, s.Text)
	}
}
