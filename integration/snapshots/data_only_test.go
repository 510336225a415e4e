package snapshots

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/snapshot"
)

// fill makes a database of a half of a snapshot.
func fill(t *testing.T, store *snapshot.Store, m *snapshot.Manifest, url string) error {
	t.Helper()
	site, err := database.Site(openDatabase(t, url))
	require.NoError(t, err)
	return store.Fill(t.Context(), m, site, snapshot.BuildOptions{Workers: 2})
}

// TestDataOnly makes a database of the two halves of a snapshot, one after the other: the server's own dump finds it
// the same as the one that was copied. What is not fit for the rows is refused, and not changed.
func TestDataOnly(t *testing.T) {
	if testing.Short() {
		return
	}
	for _, k := range servers.Main() {
		t.Run(k.Name, func(t *testing.T) {
			url, to := servers.URL(t, k), servers.URL(t, k)
			if k.Engine == "postgres" {
				psql(t, k, url, values)
			} else {
				loadMySQL(t, k, url, nastyMySQL(k)...)
			}
			store := newStore(t)
			m := create(t, store, url)
			var unfit *snapshot.UnfitError
			require.ErrorAs(t, fill(t, store, m.DataOnly(), to), &unfit)
			require.NotEmpty(t, unfit.Missing)
			require.NoError(t, fill(t, store, m.SchemaOnly(), to))
			require.NoError(t, fill(t, store, m.DataOnly(), to))
			if k.Engine == "postgres" {
				same(t, k, url, to)
			} else {
				require.Empty(t, otherLines(dumpMySQL(t, k, url), dumpMySQL(t, k, to)))
			}
			require.ErrorAs(t, fill(t, store, m.DataOnly(), to), &unfit)
			require.NotEmpty(t, unfit.Full)
		})
	}
}

// TestDataOnlyNewer puts the rows into a database that has moved on: a column and an index more, a trigger that must
// not act. Killed at every mark, the same command goes on.
func TestDataOnlyNewer(t *testing.T) {
	servers.Each(t, servers.Main(), func(t *testing.T, url string) {
		dir := t.TempDir()
		s := newShop(t, url)
		s.store = snapshot.NewStore(snapshot.Folder(filepath.Join(dir, "store")))
		s.m = create(t, s.store, url)
		to := &table{t: t, url: another(t, url)}
		to.db = openDatabase(t, to.url)
		to.exec(statementsOf(shop[to.db.Dialect().Engine])...)
		to.exec("ALTER TABLE notes ADD COLUMN state varchar(10) DEFAULT 'new'", "CREATE INDEX by_text ON orders (total)")
		before := to.model()
		empty := func() {
			to.exec("DELETE FROM orders", "UPDATE customers SET boss = NULL", "DELETE FROM customers", "DELETE FROM notes", "DELETE FROM audit")
		}
		args := []string{"snapshot", "restore", "--store", "store", "--jobs", "1", "--data-only", "--into", to.url, s.m.ID}
		check := func(at string) {
			require.Equal(t, before, to.model(), at)
			require.Equal(t, []int{7, 5, 3, 0}, []int{to.number("SELECT count(*) FROM customers"), to.number("SELECT count(*) FROM orders"), to.number("SELECT count(*) FROM notes WHERE state = 'new'"), to.number("SELECT count(*) FROM audit")}, at)
			require.Equal(t, 2, to.number("SELECT count(*) FROM customers WHERE boss = 7"), at)
		}
		all := marks(t, dir, args...)
		check("at once")
		to.exec("INSERT INTO customers (name) VALUES ('the next')")
		require.Equal(t, 8, to.number("SELECT max(id) FROM customers"), "what counts goes on")
		for n, name := range all {
			empty()
			c := start(t, dir, []string{"KILL=" + strconv.Itoa(n+1)}, args...)
			require.Equal(t, -1, c.End(t), c.Out.String())
			run(t, dir, args...)
			check("killed at " + name)
		}
		c := start(t, dir, nil, args...)
		require.Equal(t, 1, c.End(t))
		require.Contains(t, c.Out.String(), "state: nothing was changed\n  next: empty these tables")
	})
}

// another is the URL of another empty database of the same engine.
func another(t *testing.T, url string) string {
	for _, k := range servers.Main() {
		if strings.HasPrefix(url, k.Engine+":") {
			return servers.URL(t, k)
		}
	}
	return servers.SQLite(t)
}
