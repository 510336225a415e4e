package snapshots

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

// into runs something on a live table as the command does.
func (s *table) into(do func(context.Context, *migrate.Session, snapshot.Shelf, *snapshot.Manifest, string, snapshot.TableOptions) (*snapshot.TableRestored, error), name string) (r *snapshot.TableRestored, err error) {
	o := snapshot.TableOptions{Table: name, LockTimeout: 2 * time.Second}
	err = migrate.NewRunner(s.db, migrate.Options{}).Hold(s.t.Context(), "test", func(ctx context.Context, session *migrate.Session) (err error) {
		r, err = do(ctx, session, s.shelf(), s.m, "test", o)
		return err
	})
	return r, err
}

// TestTableMerge puts deleted rows back, and leaves all others as they are now.
func TestTableMerge(t *testing.T) {
	servers.Each(t, tableKinds(), func(t *testing.T, url string) {
		s := newShop(t, url)
		before := s.model()
		s.exec("CREATE TABLE kept AS SELECT id, name, email, score, boss FROM customers")
		s.exec("UPDATE customers SET boss = NULL", "DELETE FROM orders WHERE customer IN (2, 6)", "DELETE FROM customers WHERE id IN (1, 2, 6, 7)",
			"UPDATE customers SET name = 'new name' WHERE id = 3", "INSERT INTO customers (id, name) VALUES (100, 'later')")
		r, err := s.store.Merge(t.Context(), nil, s.shelf(), s.m, "test", snapshot.TableOptions{Table: "customers", LockTimeout: time.Second})
		require.NoError(t, err)
		require.Equal(t, []int64{4, 7, 4}, []int64{r.Missing, r.Rows, *r.RowsNow})
		require.Equal(t, 4, s.number("SELECT count(*) FROM customers"), "a dry run changes nothing")
		r, err = s.into(s.store.Merge, "customers")
		require.NoError(t, err)
		require.EqualValues(t, 4, r.Missing)
		require.Equal(t, before, s.model("kept"))
		require.Equal(t, 8, s.number("SELECT count(*) FROM customers"))
		require.Equal(t, 1, s.number("SELECT count(*) FROM customers WHERE id = 3 AND name = 'new name'"), "what was changed since stays")
		require.Equal(t, 2, s.number("SELECT count(*) FROM customers WHERE boss = 7"), "rows that point to each other are back")
		require.Equal(t, 6, s.number("SELECT count(*) FROM customers c JOIN kept k ON k.id = c.id AND k.name = c.name AND (k.email = c.email OR k.email IS NULL AND c.email IS NULL)"))
		s.exec("INSERT INTO customers (name) VALUES ('the next')")
		require.Empty(t, s.leftBehind())
		r, err = s.into(s.store.Merge, "customers")
		require.NoError(t, err)
		require.Zero(t, r.Missing, "a second time there is nothing to do")

		// A sequence is moved behind the largest key that is back.
		s.exec("DELETE FROM orders")
		if s.db.Dialect().Engine == migrate.Postgres {
			s.exec("SELECT setval('orders_id_seq', 1)")
		}
		_, err = s.into(s.store.Merge, "orders")
		require.NoError(t, err)
		s.exec("INSERT INTO orders (customer, total) VALUES (1, 1)")
		require.Equal(t, 6, s.number("SELECT max(id) FROM orders"))
	})
}

// TestTableMergeRefused refuses, and changes nothing.
func TestTableMergeRefused(t *testing.T) {
	servers.Each(t, servers.Main(), func(t *testing.T, url string) {
		s := newShop(t, url)
		_, err := s.into(s.store.Merge, "notes")
		require.ErrorContains(t, err, "no primary key")
		_, err = s.into(s.store.Merge, "nothing")
		require.ErrorContains(t, err, "has no table nothing")

		// Another row has the unique value now.
		s.exec("DELETE FROM orders WHERE customer IN (4, 5)", "DELETE FROM customers WHERE id IN (4, 5)", "INSERT INTO customers (id, name) VALUES (100, 'thief')", "UPDATE customers SET email = 'd@example.org' WHERE id = 100")
		_, err = s.into(s.store.Merge, "customers")
		require.ErrorContains(t, err, "state: nothing was changed")
		require.Equal(t, 6, s.number("SELECT count(*) FROM customers"))
		s.exec("DELETE FROM customers WHERE id = 100")

		// The rows that they point to are not there.
		_, err = s.into(s.store.Merge, "orders")
		require.ErrorContains(t, err, "restore the table first that they point to")
		require.Equal(t, 3, s.number("SELECT count(*) FROM orders"))
		_, err = s.into(s.store.Merge, "customers")
		require.NoError(t, err)
		_, err = s.into(s.store.Merge, "orders")
		require.NoError(t, err)
		require.Equal(t, 5, s.number("SELECT count(*) FROM orders"))

		// Columns that are new take their defaults; those that are gone are named.
		s.exec("DELETE FROM orders", "ALTER TABLE orders ADD COLUMN state varchar(10) NOT NULL DEFAULT 'new'")
		_, err = s.into(s.store.Merge, "orders")
		require.NoError(t, err)
		require.Equal(t, 5, s.number("SELECT count(*) FROM orders WHERE state = 'new'"))
		s.exec("ALTER TABLE orders RENAME COLUMN customer TO client")
		_, err = s.into(s.store.Merge, "orders")
		require.ErrorContains(t, err, "no columns customer any more")
		s.exec("ALTER TABLE audit RENAME TO audits")
		_, err = s.into(s.store.Merge, "audit")
		require.ErrorContains(t, err, "there is no live table")
	})
}

// TestTableRowsKilled kills the command at every mark: the live rows are as they were or as they should be, and the
// same command goes through.
func TestTableRowsKilled(t *testing.T) {
	for _, how := range []string{"--merge", "--replace"} {
		t.Run(how, func(t *testing.T) {
			servers.Each(t, servers.Main(), func(t *testing.T, url string) {
				s := newShop(t, url)
				dir := t.TempDir()
				s.store = snapshot.NewStore(snapshot.Folder(filepath.Join(dir, "store")))
				s.m = create(t, s.store, url)
				args := []string{"snapshot", "restore", how, "--lock-ttl", "1s", "--store", "store", "--url", url, "--table", "orders", s.m.ID}
				lose := func() { s.exec("DELETE FROM orders WHERE id > 2") }
				lose()
				all := marks(t, dir, args...)
				require.Contains(t, all, "restore table: rows written")
				for n := range all {
					lose()
					c := start(t, dir, []string{"KILL=" + strconv.Itoa(n+1)}, args...)
					require.Equal(t, -1, c.End(t), c.Out.String())
					require.Contains(t, []int{2, 5}, s.number("SELECT count(*) FROM orders"), all[n])
					require.Equal(t, 1, s.number("SELECT count(*) FROM orders WHERE id = 1 AND total = 10"))
				}
				lose()
				run(t, dir, args...)
				require.Equal(t, 5, s.number("SELECT count(*) FROM orders"))
				require.Empty(t, s.leftBehind())
			})
		})
	}
}

// TestTableReplace makes the rows of a table those of the snapshot, whatever was done to them.
func TestTableReplace(t *testing.T) {
	servers.Each(t, tableKinds(), func(t *testing.T, url string) {
		s := newShop(t, url)
		before, columns := s.model(), "id, name, email, score, boss"
		s.exec("CREATE TABLE kept AS SELECT " + columns + " FROM customers")
		s.exec("CREATE TABLE noted AS SELECT * FROM notes")
		change := func() {
			s.exec("UPDATE customers SET boss = NULL", "DELETE FROM orders WHERE customer = 6", "DELETE FROM customers WHERE id IN (6, 7)",
				"UPDATE customers SET name = 'ADA', email = NULL WHERE id = 1", "INSERT INTO customers (id, name) VALUES (100, 'later')",
				"UPDATE customers SET boss = 100 WHERE id = 3", "INSERT INTO notes VALUES (9, 'new')", "UPDATE notes SET text = 'b' WHERE customer = 1")
		}
		change()
		r, err := s.store.ReplaceRows(t.Context(), nil, s.shelf(), s.m, "test", snapshot.TableOptions{Table: "customers", LockTimeout: time.Second})
		require.NoError(t, err)
		require.Equal(t, []int64{2, 3, 1}, []int64{r.Missing, r.Changed, r.Removed})
		require.Equal(t, 6, s.number("SELECT count(*) FROM customers"), "a dry run changes nothing")
		r, err = s.into(s.store.ReplaceRows, "customers")
		require.NoError(t, err)
		require.Equal(t, []int64{2, 3, 1, 0}, []int64{r.Missing, r.Changed, r.Removed, r.Differ})
		s.sameRows("customers", "kept", columns)
		require.Equal(t, 4, s.number("SELECT count(*) FROM orders"), "rows of other tables stay")
		_, err = s.into(s.store.ReplaceRows, "notes")
		require.NoError(t, err)
		s.sameRows("notes", "noted", "customer, text")
		require.Equal(t, before, s.model("kept", "noted"))

		// A row of another table points to what would go.
		s.exec("INSERT INTO customers (id, name) VALUES (100, 'later')", "INSERT INTO orders (customer, total) VALUES (100, 1)")
		_, err = s.into(s.store.ReplaceRows, "customers")
		require.ErrorContains(t, err, "1 rows of orders point to rows that the snapshot does not have")
		require.Equal(t, 8, s.number("SELECT count(*) FROM customers"))
		require.Empty(t, s.leftBehind())
	})
}
