package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

// TestSwapByPages restores a snapshot over a database that has become larger, smaller, wholly other or had its pages made
// larger, with and without somebody who writes while it is prepared. Connections that were open before see what was
// restored and can write to it, the displaced file has what was there last, and goes back.
func TestSwapByPages(t *testing.T) {
	changes := map[string][]string{
		"hardly":  {"UPDATE filler SET b = 'x' WHERE n = 7"},
		"larger":  {"CREATE TABLE more AS SELECT n, randomblob(900) AS b FROM filler", "DROP TABLE other"},
		"smaller": {"DELETE FROM filler WHERE n > 20", "VACUUM"},
		"wholly":  {"UPDATE filler SET b = randomblob(1900)", "DROP TABLE other", "CREATE TABLE later (n)", "VACUUM"},
		"pages":   {"PRAGMA journal_mode = delete", "PRAGMA page_size = 8192", "VACUUM"},
	}
	for _, mode := range []string{"delete", "wal"} {
		for change, statements := range changes {
			for _, vacuum := range []string{"none", "full"} {
				if vacuum == "full" && change != "smaller" && change != "larger" {
					continue
				}
				for _, disturbed := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s %s vacuum %s disturbed %v", mode, change, vacuum, disturbed), func(t *testing.T) {
						swapped(t, mode, vacuum, disturbed, statements)
					})
				}
			}
		}
	}
}

func swapped(t *testing.T, mode, vacuum string, disturbed bool, statements []string) {
	ctx := t.Context()
	d, err := Open(ctx, "sqlite:"+filepath.Join(t.TempDir(), "live.db")+"?_pragma=busy_timeout(10000)", Options{Create: true})
	require.NoError(t, err)
	defer d.Close()
	must := func(conn *sql.DB, statements ...string) {
		t.Helper()
		for _, s := range statements {
			_, err := conn.ExecContext(ctx, s)
			require.NoError(t, err, s)
		}
	}
	must(d.db, "PRAGMA auto_vacuum = "+vacuum, "PRAGMA journal_mode = "+mode, "CREATE TABLE filler (n INTEGER PRIMARY KEY, b)", "CREATE INDEX by_b ON filler (b)",
		"INSERT INTO filler SELECT value, randomblob(1900) FROM json_each('["+strings.TrimSuffix(numbers(150), ",")+"]')", "CREATE TABLE other (x)", "INSERT INTO other VALUES ('then')")
	then := dump(t, d.db)
	store := snapshot.NewStore(snapshot.Folder(t.TempDir()))
	m, err := store.Create(ctx, d, snapshot.About{Engine: "sqlite"}, snapshot.CreateOptions{})
	require.NoError(t, err)
	must(d.db, statements...)
	was := dump(t, d.db)

	application, err := sql.Open("sqlite", "file:"+d.path+"?_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	defer application.Close()
	application.SetMaxOpenConns(1)
	sum, err := application.PrepareContext(ctx, "SELECT count(*) || ' ' || sum(length(b)) || ' ' || (SELECT group_concat(hex(b)) FROM (SELECT b FROM filler ORDER BY b)) FROM filler")
	require.NoError(t, err)
	defer sum.Close()
	var before, after string
	require.NoError(t, sum.QueryRowContext(ctx).Scan(&before))

	var displaced string
	run := func(f func(context.Context, *migrate.Session) error) {
		t.Helper()
		require.NoError(t, migrate.NewRunner(d, migrate.Options{}).Hold(ctx, "test", f))
	}
	run(func(ctx context.Context, s *migrate.Session) error {
		c := NewCopy(t.TempDir())
		if err := store.Build(ctx, m, c, snapshot.BuildOptions{}); err != nil {
			return err
		}
		displaced = filepath.Join(t.TempDir(), "displaced.db")
		calls := 0
		return d.Swap(ctx, s, c, displaced, func(ctx context.Context, db snapshot.Execer) error {
			if calls++; calls == 1 && disturbed && !inTransaction(t, application) {
				_, err := application.ExecContext(ctx, "INSERT INTO filler VALUES (100000, randomblob(5000))")
				return err
			}
			return nil
		})
	})
	require.Equal(t, then, dump(t, d.db))
	require.Equal(t, []string{"ok"}, rowsOf(t, d.db, "PRAGMA integrity_check"))
	require.NoError(t, sum.QueryRowContext(ctx).Scan(&after))
	require.Contains(t, after, "150 285000 ")
	must(application, "INSERT INTO filler VALUES (200000, 'new')", "INSERT INTO other SELECT zeroblob(900) FROM filler", "DELETE FROM filler WHERE n = 200000", "DELETE FROM other WHERE x <> 'then'")
	require.Equal(t, then, dump(t, d.db))
	require.Equal(t, []string{"ok"}, rowsOf(t, d.db, "PRAGMA integrity_check"))

	kept, err := Open(ctx, "sqlite:"+displaced, Options{})
	require.NoError(t, err)
	defer kept.Close()
	require.Equal(t, []string{"ok"}, rowsOf(t, kept.db, "PRAGMA integrity_check"))
	there := rowsOf(t, kept.db, "SELECT count(*) FROM filler WHERE n = 100000")
	if there[0] == "1" {
		require.True(t, disturbed)
		must(kept.db, "DELETE FROM filler WHERE n = 100000")
	}
	require.Equal(t, was, dump(t, kept.db))
	require.NoError(t, kept.Close())

	run(func(ctx context.Context, s *migrate.Session) error {
		return d.Return(ctx, s, displaced, filepath.Join(t.TempDir(), "again.db"), nil)
	})
	require.Equal(t, was, dump(t, d.db))
	require.Equal(t, []string{"ok"}, rowsOf(t, application, "PRAGMA integrity_check"))
}

// inTransaction tells whether nobody but us can write now.
func inTransaction(t *testing.T, db *sql.DB) bool {
	t.Helper()
	_, err := db.ExecContext(t.Context(), "PRAGMA busy_timeout = 0")
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	if err == nil {
		_, err = db.ExecContext(t.Context(), "ROLLBACK")
		require.NoError(t, err)
		return false
	}
	_, err = db.ExecContext(t.Context(), "PRAGMA busy_timeout = 10000")
	require.NoError(t, err)
	return true
}

// dump is the schema and the rows of a database, but for our own tables.
func dump(t *testing.T, db *sql.DB) []string {
	t.Helper()
	const others = "name NOT LIKE 'switchback%' AND name NOT LIKE 'sqlite%'"
	list := rowsOf(t, db, "SELECT type || name || coalesce(sql, '') FROM sqlite_schema WHERE "+others+" AND tbl_name NOT LIKE 'switchback%' ORDER BY name")
	for _, table := range rowsOf(t, db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND "+others+" ORDER BY name") {
		for _, column := range rowsOf(t, db, "SELECT name FROM pragma_table_info('"+table+"')") {
			list = append(list, rowsOf(t, db, "SELECT quote("+column+") FROM "+table+" ORDER BY rowid")...)
		}
	}
	return list
}

func rowsOf(t *testing.T, db *sql.DB, query string) []string {
	t.Helper()
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	list, err := texts(t.Context(), conn, query)
	require.NoError(t, err, query)
	return list
}

func numbers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d,", i+1)
	}
	return b.String()
}

// TestOtherPages finds the pages that differ, also behind the end of the shorter file.
func TestOtherPages(t *testing.T) {
	a, b := make([]byte, 1000*512), make([]byte, 700*512)
	a[300*512+5], b[512*256] = 1, 1
	list, err := otherPages(bytes.NewReader(a), bytes.NewReader(b), 512)
	require.NoError(t, err)
	require.Equal(t, []int64{257, 301, 701}, list[:3])
	require.Len(t, list, 302)
	list, err = otherPages(bytes.NewReader(b), bytes.NewReader(a), 512)
	require.NoError(t, err)
	require.Equal(t, []int64{257, 301}, list)
}

// TestSwapCutOff is killed while pages have been written that do not fit into memory, of a database that becomes smaller: who
// opens it next finds what was there.
func TestSwapCutOff(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		t.Run(mode, func(t *testing.T) {
			ctx := t.Context()
			file := filepath.Join(t.TempDir(), "live.db")
			d, err := Open(ctx, "sqlite:"+file+"?_pragma=busy_timeout(10000)", Options{Create: true})
			require.NoError(t, err)
			defer d.Close()
			for _, s := range append([]string{
				"PRAGMA journal_mode = " + mode, "CREATE TABLE filler (n INTEGER PRIMARY KEY, b)", "CREATE INDEX by_b ON filler (b)",
				"INSERT INTO filler SELECT value, randomblob(700) FROM json_each('[" + strings.TrimSuffix(numbers(600), ",") + "]')",
			}, d.Dialect().Install...) {
				_, err := d.db.ExecContext(ctx, s)
				require.NoError(t, err, s)
			}
			was := dump(t, d.db)
			copied := NewCopy(t.TempDir())
			conn, err := d.db.Conn(ctx)
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, backup(ctx, conn, copied.File(), nil))
			require.NoError(t, single(ctx, copied.File()))
			other, err := sql.Open("sqlite", "file:"+copied.File())
			require.NoError(t, err)
			for _, s := range []string{"DELETE FROM filler WHERE n > 300", "UPDATE filler SET b = randomblob(650)", "VACUUM"} {
				_, err := other.ExecContext(ctx, s)
				require.NoError(t, err, s)
			}
			require.NoError(t, other.Close())

			s := &swapping{restoration: restoration{database: d, conn: conn, file: copied.File(), displaced: file + ".displaced"}, conn: conn, began: -1}
			require.NoError(t, s.settings(ctx))
			require.NoError(t, s.keep(ctx))
			for _, statement := range []string{"PRAGMA cache_size = 10", "BEGIN EXCLUSIVE"} {
				_, err := conn.ExecContext(ctx, statement)
				require.NoError(t, err)
			}
			before, err := os.ReadFile(file + map[string]string{"wal": "-wal"}[mode])
			require.NoError(t, err)
			require.NoError(t, s.write(ctx))
			dead := filepath.Join(t.TempDir(), "dead.db")
			for _, suffix := range []string{"", "-journal", "-wal"} {
				data, err := os.ReadFile(file + suffix)
				if os.IsNotExist(err) {
					continue
				}
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(dead+suffix, data, 0o600))
			}
			after, err := os.ReadFile(dead + map[string]string{"wal": "-wal"}[mode])
			require.NoError(t, err)
			require.NotEqual(t, before, after, "pages have been written")
			_, err = conn.ExecContext(ctx, "ROLLBACK")
			require.NoError(t, err)

			for _, path := range []string{dead, file} {
				db, err := sql.Open("sqlite", "file:"+path)
				require.NoError(t, err)
				require.Equal(t, []string{"ok"}, rowsOf(t, db, "PRAGMA integrity_check"))
				require.Equal(t, was, dump(t, db))
				require.NoError(t, db.Close())
			}
		})
	}
}
