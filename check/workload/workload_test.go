package workload

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
)

func TestShape(t *testing.T) {
	for _, c := range []struct {
		engine     migrate.Engine
		text, want string
	}{
		{migrate.MySQL, `select  *
			from t -- of alice
			where a="alice" and b in (1, 2,3) /* trace=1 */ and c = -4`, "select * from t where a=? and b in (?, ...) and c = -?"},
		{migrate.MySQL, "insert into t (a, b) values (1,'x'), (2, 'y'),(3,'z')", "insert into t (a, b) values (?, ...), ..."},
		{migrate.MariaDB, "select `a1`, x'00', concat(a, 'it''s') from t2 limit 5", "select `a1`, ?, concat(a, ?) from t2 limit ?"},
		{migrate.Postgres, `SELECT "a" FROM t WHERE b = $1 AND c = 'x'::text`, `SELECT "a" FROM t WHERE b = $1 AND c = ?::text`},
		{migrate.Postgres, "SELECT $$secret$$", "SELECT ?"},
	} {
		require.Equal(t, c.want, Shape(c.engine, c.text))
	}
}

func TestAsks(t *testing.T) {
	for _, text := range []string{"select 1", "(SELECT 1) UNION (SELECT 2)", "/* a */ WITH x AS (SELECT 1) SELECT * FROM x", "REPLACE INTO t VALUES (1)"} {
		require.True(t, Asks(text), text)
	}
	for _, text := range []string{"", "SET a = 1", "CREATE TABLE t (a int)", "show tables", "COMMIT"} {
		require.False(t, Asks(text), text)
	}
}

func TestDistinct(t *testing.T) {
	list := Distinct([]Query{
		{Text: "SELECT  1"},
		{Text: "SELECT\n1", Line: 2},
		{Text: "SELECT 2"},
		{Text: "SELECT 5", Shown: "SELECT ?"},
		{Text: "SELECT 6", Shown: "SELECT ?"},
	})
	require.Equal(t, []Query{{Text: "SELECT  1"}, {Text: "SELECT 2"}, {Text: "SELECT 5", Shown: "SELECT ?"}}, list)
}

// TestMemoryAdd keeps what an application asks, and not what is asked about the server, by us for instance.
func TestMemoryAdd(t *testing.T) {
	m := Memory{From: "digests"}
	for _, text := range []string{"SELECT 1", "SET x = 1", "SELECT oid FROM pg_class", "SELECT 1 FROM information_schema.tables", "SELECT * FROM `switchback_journal`", `UPDATE "switchback"."lock" SET a = 1`} {
		m.Add(migrate.Postgres, text, "shown")
	}
	m.Add(migrate.MySQL, "SELECT * FROM `switchback_journal`", "")
	m.Add(migrate.Postgres, "SELECT pg_sleep(1)", "shown too")
	require.Equal(t, []Query{
		{Text: "SELECT 1", Shown: "shown", File: "digests", Recalled: true},
		{Text: "SELECT pg_sleep(1)", Shown: "shown too", File: "digests", Recalled: true},
	}, m.Queries)
}

// slow is what MariaDB and MySQL write, with what they write when they start, what clients ask that is no query, and
// a restart in the middle.
const slow = `/usr/sbin/mysqld, Version: 9.7.0 ((Debian)). started with:
Tcp port: 3306  Unix socket: /var/run/mysqld/mysqld.sock
Time                 Id Command    Argument
# Time: 2026-11-28T18:40:09.437368Z
# User@Host: root[root] @ localhost []  Id:    13
# Query_time: 0.000162  Lock_time: 0.000000 Rows_sent: 1  Rows_examined: 1
use shop;
SET timestamp=1795891209;
select name
# by key
from customers where id = 17;
# User@Host: root[root] @ localhost []
# Thread_id: 7  Schema: shop  QC_hit: No
SET timestamp=1795891209;
select name from customers where id = 18;
# Time: 261128 18:40:09
# User@Host: root[root] @ localhost []
SET timestamp=1795891209;
show tables;
mariadbd, Version: 11.8.2-MariaDB. started with:
Tcp port: 3306  Unix socket: /var/run/mysqld/mysqld.sock
Time		    Id Command	Argument
# User@Host: root[root] @ localhost []
SET timestamp=1795891209;
# administrator command: Quit;
# User@Host: root[root] @ localhost []
SET last_insert_id=3,timestamp=1795891209;
insert into customers (name) values ('alice');`

func TestReadSlowLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "slow.log")
	for _, ending := range []string{"\n", "\r\n"} {
		require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(slow, "\n", ending)), 0o600))
		queries, err := Read(migrate.MySQL, file)
		require.NoError(t, err)
		require.Equal(t, []Query{
			{Text: "select name\n# by key\nfrom customers where id = 17", Shown: "select name from customers where id = ?", File: filepath.ToSlash(file), Line: 9, Recalled: true},
			{Text: "insert into customers (name) values ('alice')", Shown: "insert into customers (name) values (?)", File: filepath.ToSlash(file), Line: 28, Recalled: true},
		}, queries)
	}
	_, err := Read(migrate.Postgres, file)
	require.ErrorContains(t, err, "it is a slow query log of MySQL or MariaDB, and the changes are for postgres")
}

func TestReadScript(t *testing.T) {
	file := filepath.Join(t.TempDir(), "q.sql")
	require.NoError(t, os.WriteFile(file, []byte("-- name: One :one\nSELECT 1;\nSELECT ';' FROM t;\n"), 0o600))
	queries, err := Read(migrate.SQLite, file)
	require.NoError(t, err)
	require.Len(t, queries, 2)
	require.Equal(t, "One", queries[0].Name)
	require.Equal(t, Query{Text: "SELECT ';' FROM t", File: filepath.ToSlash(file), Line: 3}, queries[1])
	_, err = Read(migrate.SQLite, file+".gone")
	require.ErrorContains(t, err, "read the workload: open")
}

// TestPrepared: what SQL prepares is asked itself, as the server does not look at it before it is executed.
func TestPrepared(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		engine migrate.Engine
		text   string
		want   string
	}{
		{migrate.Postgres, "PREPARE one (int, text) AS SELECT * FROM t WHERE id = $1", "SELECT * FROM t WHERE id = $1"},
		{migrate.Postgres, "prepare one as select 1 as as_is", "select 1 as as_is"},
		{migrate.Postgres, "EXECUTE one (1)", ""},
		{migrate.Postgres, "DEALLOCATE ALL", ""},
		{migrate.Postgres, "PREPARE TRANSACTION 'x'", "PREPARE TRANSACTION 'x'"},
		{migrate.MySQL, "PREPARE one FROM 'SELECT * FROM t WHERE name = ''a'' AND id = ?'", "SELECT * FROM t WHERE name = 'a' AND id = ?"},
		{migrate.MariaDB, "PREPARE one FROM @text", ""},
		{migrate.MariaDB, "DEALLOCATE PREPARE one", ""},
		{migrate.MySQL, "SELECT 1", "SELECT 1"},
		{migrate.SQLite, "SELECT 1", "SELECT 1"},
	} {
		require.Equal(t, c.want, prepared(c.engine, c.text), c.text)
	}
}
