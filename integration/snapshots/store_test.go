package snapshots

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/snapshot"
)

// newStore is a store in a folder of the test.
func newStore(t testing.TB) *snapshot.Store {
	return snapshot.NewStore(snapshot.Folder(t.TempDir()))
}

// openDatabase opens a database as the command does.
func openDatabase(t testing.TB, url string) database.Database {
	t.Helper()
	db, err := database.Open(t.Context(), url, database.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// create takes a snapshot of the database of a URL.
func create(t testing.TB, store *snapshot.Store, url string) *snapshot.Manifest {
	t.Helper()
	db := openDatabase(t, url)
	live, ok := db.(snapshot.Live)
	require.True(t, ok)
	about := snapshot.About{Engine: string(db.Dialect().Engine), Version: db.Version()}
	var err error
	about.Source, about.Identity, err = live.Identity(t.Context())
	require.NoError(t, err)
	m, err := store.Create(t.Context(), live, about, snapshot.CreateOptions{Workers: 3})
	require.NoError(t, err)
	return m
}

// restore makes an empty database the one that was copied, and proves it.
func restore(t testing.TB, store *snapshot.Store, m *snapshot.Manifest, url string) {
	t.Helper()
	site, err := database.Site(openDatabase(t, url))
	require.NoError(t, err)
	require.NoError(t, store.Fill(t.Context(), m, site, snapshot.BuildOptions{Workers: 3}))
}
