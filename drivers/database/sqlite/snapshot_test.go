package sqlite

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

// writer inserts numbers, each in its own transaction that writes two tables, until it is stopped; it
// keeps those that were acknowledged.
type writer struct {
	acknowledged []int64
	stop         context.CancelFunc
	done         sync.WaitGroup
}

func startWriter(t *testing.T, db *sql.DB) *writer {
	ctx, cancel := context.WithCancel(t.Context())
	w := &writer{stop: cancel}
	w.done.Go(func() {
		for n := int64(1); ctx.Err() == nil; n++ {
			tx, err := db.BeginTx(context.WithoutCancel(ctx), nil)
			if err != nil {
				t.Error(err)
				return
			}
			_, err = tx.Exec("INSERT INTO numbers VALUES (?)", n)
			if err == nil {
				_, err = tx.Exec("UPDATE total SET n = n + 1")
			}
			if err == nil {
				err = tx.Commit()
			}
			if err != nil {
				t.Error(err)
				return
			}
			w.acknowledged = append(w.acknowledged, n)
			// SQLite's lock is not fair: a writer that never pauses keeps everybody else out.
			time.Sleep(2 * time.Millisecond)
		}
	})
	return w
}

func (w *writer) end() { w.stop(); w.done.Wait() }

// TestSnapshotUnderLoad takes a snapshot and restores it while a writer goes on, with a rollback
// journal and with a write-ahead log. The copy is of one moment; whatever was acknowledged is in the
// displaced file or was written after the restore.
func TestSnapshotUnderLoad(t *testing.T) {
	for _, mode := range []string{"delete", "wal"} {
		t.Run(mode, func(t *testing.T) {
			ctx := t.Context()
			file := filepath.Join(t.TempDir(), "live.db")
			d, err := Open(ctx, "sqlite:"+file+"?_pragma=busy_timeout(10000)&_txlock=immediate", Options{Create: true})
			require.NoError(t, err)
			defer d.Close()
			for _, s := range []string{
				"PRAGMA journal_mode = " + mode, "CREATE TABLE numbers (n INTEGER PRIMARY KEY)", "CREATE TABLE total (n INTEGER)", "INSERT INTO total VALUES (0)",
				"CREATE TABLE filler (b BLOB)", "INSERT INTO filler SELECT randomblob(2000) FROM json_each('[" + commas(2_000) + "0]')",
			} {
				_, err := d.db.ExecContext(ctx, s)
				require.NoError(t, err)
			}
			w := startWriter(t, d.db)
			defer w.end()
			require.Eventually(t, func() bool { return number(t, d.db, "SELECT n FROM total") > 5 }, 10*time.Second, 5*time.Millisecond)

			store := snapshot.NewStore(snapshot.Folder(t.TempDir()))
			m, err := store.Create(ctx, d, snapshot.About{Engine: "sqlite"}, snapshot.CreateOptions{})
			require.NoError(t, err)
			require.Empty(t, m.Content.Broken)
			v, err := store.Verify(ctx, m.ID, snapshot.LevelRestored, snapshot.VerifyOptions{Scratch: inTemp(t)})
			require.NoError(t, err)
			require.True(t, v.OK, v.Found)

			var r *snapshot.Restored
			runner := migrate.NewRunner(d, migrate.Options{LockTimeout: 10 * time.Second})
			require.NoError(t, runner.Hold(ctx, "test", func(ctx context.Context, s *migrate.Session) error {
				var err error
				r, err = store.Restore(ctx, s, d, m, "test", snapshot.BuildOptions{})
				return err
			}))
			w.end()

			kept, err := Open(ctx, "sqlite:"+r.Displaced, Options{})
			require.NoError(t, err)
			defer kept.Close()
			for _, db := range []*sql.DB{d.db, kept.db} {
				require.Equal(t, number(t, db, "SELECT count(*) FROM numbers"), number(t, db, "SELECT n FROM total"), "a copy is of one moment")
			}
			require.Greater(t, number(t, kept.db, "SELECT count(*) FROM numbers"), int64(5))
			last := number(t, kept.db, "SELECT max(n) FROM numbers")
			for _, n := range w.acknowledged {
				db := d.db
				if n <= last {
					db = kept.db
				}
				require.EqualValues(t, 1, number(t, db, "SELECT count(*) FROM numbers WHERE n = ?", n), "%d was acknowledged", n)
			}
		})
	}
}

// inTemp makes sites in temporary folders.
func inTemp(t *testing.T) func(context.Context, *snapshot.Manifest) (snapshot.Site, func() error, error) {
	return func(context.Context, *snapshot.Manifest) (snapshot.Site, func() error, error) {
		return NewCopy(t.TempDir()), func() error { return nil }, nil
	}
}

func commas(n int) string {
	out := make([]byte, 0, 2*n)
	for range n {
		out = append(out, '1', ',')
	}
	return string(out)
}

func number(t *testing.T, db *sql.DB, query string, args ...any) int64 {
	t.Helper()
	var n int64
	require.NoError(t, db.QueryRowContext(t.Context(), query, args...).Scan(&n))
	return n
}
