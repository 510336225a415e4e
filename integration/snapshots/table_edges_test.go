package snapshots

import (
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/integration/servers"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

// TestTableReplaceCascade replaces the rows of a table whose children go with them: what would take a child along is
// refused, and children of rows that stay are not touched.
func TestTableReplaceCascade(t *testing.T) {
	servers.Each(t, servers.Main(), func(t *testing.T, url string) {
		s := &table{t: t, url: url, db: openDatabase(t, url), store: newStore(t)}
		s.exec("CREATE TABLE parents (id int PRIMARY KEY, name varchar(20))",
			"CREATE TABLE kids (id int PRIMARY KEY, parent int NOT NULL, FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE CASCADE ON UPDATE CASCADE)",
			"CREATE TABLE orphans (id int PRIMARY KEY, parent int, FOREIGN KEY (parent) REFERENCES parents (id) ON DELETE SET NULL)",
			"INSERT INTO parents VALUES (1, 'a'), (2, 'b'), (3, 'c')", "INSERT INTO kids VALUES (1, 1), (2, 2)", "INSERT INTO orphans VALUES (1, 1)")
		s.m = create(t, s.store, url)
		s.exec("UPDATE parents SET name = 'changed'", "DELETE FROM parents WHERE id = 3", "INSERT INTO parents VALUES (100, 'later'), (101, 'later')")
		for _, child := range []string{"kids", "orphans"} {
			s.exec("INSERT INTO " + child + " VALUES (100, 100)")
			_, err := s.into(s.store.ReplaceRows, "parents")
			require.ErrorContains(t, err, "1 rows of "+child+" point to rows that the snapshot does not have")
			require.Equal(t, 4, s.number("SELECT count(*) FROM parents"))
			require.Equal(t, 1, s.number("SELECT count(*) FROM "+child+" WHERE parent = 100"))
			s.exec("DELETE FROM " + child + " WHERE id = 100")
		}
		r, err := s.into(s.store.ReplaceRows, "parents")
		require.NoError(t, err)
		require.Equal(t, []int64{1, 2, 2}, []int64{r.Missing, r.Changed, r.Removed})
		require.Equal(t, 3, s.number("SELECT count(*) FROM parents WHERE name IN ('a', 'b', 'c')"))
		require.Equal(t, 2, s.number("SELECT count(*) FROM kids"), "children of rows that stay")
		require.Equal(t, 1, s.number("SELECT count(*) FROM orphans WHERE parent = 1"))
	})
}

// TestTableEncrypted takes one table from a snapshot that is encrypted.
func TestTableEncrypted(t *testing.T) {
	servers.Each(t, servers.Main(), func(t *testing.T, url string) {
		s := newShop(t, url)
		key, err := age.GenerateX25519Identity()
		require.NoError(t, err)
		other, err := age.GenerateX25519Identity()
		require.NoError(t, err)
		live, ok := s.db.(snapshot.Live)
		require.True(t, ok)
		about := snapshot.About{Engine: string(s.db.Dialect().Engine)}
		about.Source, about.Identity, err = live.Identity(t.Context())
		require.NoError(t, err)
		s.m, err = s.store.Create(t.Context(), live, about, snapshot.CreateOptions{
			Workers: 2, LockTimeout: 2 * time.Second,
			Recipients: []snapshot.Recipient{{Name: key.Recipient().String(), Recipient: key.Recipient()}},
		})
		require.NoError(t, err)
		before := s.model()
		for _, keys := range [][]age.Identity{nil, {other}} {
			_, err = s.lay(snapshot.TableOptions{Table: "customers", As: "back", BuildOptions: snapshot.BuildOptions{Keys: keys}})
			require.ErrorIs(t, err, snapshot.ErrNoKey)
			require.Equal(t, before, s.model())
		}
		r, err := s.lay(snapshot.TableOptions{Table: "customers", As: "back", BuildOptions: snapshot.BuildOptions{Keys: []age.Identity{key}}})
		require.NoError(t, err)
		require.EqualValues(t, 7, r.Rows)
		s.sameRows("customers", "back", "id, name, email, score")
	})
}

// TestTableMergeSequence moves a sequence of MariaDB, from which a default takes its numbers, behind the rows that are
// back.
func TestTableMergeSequence(t *testing.T) {
	if testing.Short() {
		return
	}
	url := servers.URL(t, servers.MariaDB118)
	s := &table{t: t, url: url, db: openDatabase(t, url), store: newStore(t)}
	s.exec("CREATE SEQUENCE up_ START WITH 10 INCREMENT BY 1", "CREATE SEQUENCE down_ START WITH -1 INCREMENT BY -1 MINVALUE -1000 MAXVALUE -1",
		"CREATE TABLE tickets (id bigint DEFAULT (NEXTVAL(up_)) PRIMARY KEY, debt bigint DEFAULT (NEXTVAL(down_)), what varchar(20))",
		"INSERT INTO tickets (what) VALUES ('a'), ('b'), ('c')")
	s.m = create(t, s.store, url)
	s.exec("DELETE FROM tickets", "ALTER SEQUENCE up_ RESTART WITH 10", "ALTER SEQUENCE down_ RESTART WITH -1")
	r, err := s.into(s.store.Merge, "tickets")
	require.NoError(t, err)
	require.EqualValues(t, 3, r.Missing)
	s.exec("INSERT INTO tickets (what) VALUES ('d')")
	require.Equal(t, 1, s.number("SELECT count(*) FROM tickets WHERE what = 'd' AND id = 13 AND debt = -4"))
	s.exec("DELETE FROM tickets WHERE what IN ('a', 'd')", "DO SETVAL(up_, 500)")
	_, err = s.into(s.store.Merge, "tickets")
	require.NoError(t, err)
	s.exec("INSERT INTO tickets (what) VALUES ('e')")
	require.Equal(t, 501, s.number("SELECT max(id) FROM tickets"), "it never goes back")
	require.Equal(t, migrate.MariaDB, s.db.Dialect().Engine)
}

// TestRowsWithAndWithoutLocal loads rows in the way that is not a server's own: MySQL refuses LOAD DATA LOCAL unless it
// is told otherwise, MariaDB takes it.
func TestRowsWithAndWithoutLocal(t *testing.T) {
	if testing.Short() {
		return
	}
	for k, option := range map[servers.Kind]string{servers.MySQL9: "--local-infile=1", servers.MariaDB118: "--local-infile=0"} {
		t.Run(k.Name+option, func(t *testing.T) {
			t.Parallel()
			server, stop, err := servers.Start(t.Context(), k, option)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, stop()) })
			execute(t, server, "CREATE DATABASE test_000000000001", "CREATE DATABASE test_000000000002")
			from, to := inDatabase(t, server, "test_000000000001"), inDatabase(t, server, "test_000000000002")
			loadMySQL(t, k, from, nastyMySQL(k)...)
			store, m := takenMySQL(t, openMySQL(t, from), k.Engine)
			site, err := database.Site(openDatabase(t, to))
			require.NoError(t, err)
			require.NoError(t, store.Fill(t.Context(), m, site, snapshot.BuildOptions{Workers: 2}))
			require.Empty(t, otherLines(dumpMySQL(t, k, from), dumpMySQL(t, k, to)))
		})
	}
}
