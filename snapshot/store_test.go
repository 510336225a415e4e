package snapshot_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database/sqlite"
	"github.com/switchbackdb/switchback/snapshot"
)

// shop is a database that is large enough for several chunks.
func shop(t *testing.T) *sqlite.Database {
	t.Helper()
	db, err := sqlite.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "shop.db"), sqlite.Options{Create: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	for _, s := range []string{
		"CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL)", "INSERT INTO customers VALUES (1, 'Ada'), (2, 'Grace')",
		"CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers, picture BLOB)",
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) INSERT INTO orders SELECT i, 1 + i % 2, randomblob(100) || zeroblob(100000) FROM n",
	} {
		_, err := db.DB().ExecContext(t.Context(), s)
		require.NoError(t, err)
	}
	return db
}

// inTemp makes sites in temporary folders.
func inTemp(t *testing.T) func(context.Context, *snapshot.Manifest) (snapshot.Site, func() error, error) {
	return func(context.Context, *snapshot.Manifest) (snapshot.Site, func() error, error) {
		return sqlite.NewCopy(t.TempDir()), func() error { return nil }, nil
	}
}

func take(t *testing.T, store *snapshot.Store, db *sqlite.Database, o snapshot.CreateOptions) *snapshot.Manifest {
	t.Helper()
	o.Workers = 2
	m, err := store.Create(t.Context(), db, snapshot.About{Engine: "sqlite", Source: "sqlite:shop.db"}, o)
	require.NoError(t, err)
	return m
}

// TestDamage damages each file of a snapshot in each way: it is found at the level that is said to find it,
// and a build refuses before it writes anything.
func TestDamage(t *testing.T) {
	db, folder := shop(t), t.TempDir()
	store := snapshot.NewStore(snapshot.Folder(folder))
	m := take(t, store, db, snapshot.CreateOptions{})
	require.Greater(t, len(m.Parts[0].Chunks), 1, "the case needs several chunks")
	other := take(t, store, db, snapshot.CreateOptions{})

	var files []string
	root := filepath.Join(folder, m.ID)
	require.NoError(t, filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	}))
	require.Len(t, files, len(m.Parts[0].Chunks)+len(m.Parts[1].Chunks)+2)
	ways := map[string]func(t *testing.T, path string, data []byte){
		"a bit": func(t *testing.T, path string, data []byte) {
			data[len(data)/2] ^= 1
			require.NoError(t, os.WriteFile(path, data, 0o600))
		},
		"cut": func(t *testing.T, path string, data []byte) {
			require.NoError(t, os.WriteFile(path, data[:len(data)-1], 0o600))
		},
		"longer": func(t *testing.T, path string, data []byte) {
			require.NoError(t, os.WriteFile(path, append(data, '0'), 0o600))
		},
		"removed": func(t *testing.T, path string, _ []byte) { require.NoError(t, os.Remove(path)) },
		"another's": func(t *testing.T, path string, _ []byte) {
			data, err := os.ReadFile(strings.Replace(path, m.ID, other.ID, 1))
			require.NoError(t, err)
			if strings.HasSuffix(path, ".zst") { // the same pages were read: take another chunk's
				i := 0
				if filepath.Base(path) == "000000.zst" {
					i = 1
				}
				data, err = os.ReadFile(filepath.Join(root, "chunks", []string{"000000.zst", "000001.zst"}[i]))
				require.NoError(t, err)
			}
			require.NoError(t, os.WriteFile(path, data, 0o600))
		},
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		for way, damage := range ways {
			name := filepath.Base(path) + " " + way
			damage(t, path, append([]byte(nil), data...))
			level := snapshot.LevelStored
			if way == "removed" || way == "cut" || way == "longer" {
				level = snapshot.LevelPresent
			}
			v, err := store.Verify(t.Context(), m.ID, level, snapshot.VerifyOptions{Scratch: inTemp(t)})
			if filepath.Base(path) == "COMMITTED" && way == "removed" {
				require.ErrorIs(t, err, snapshot.ErrUnfinished, name)
			} else {
				require.NoError(t, err, name)
				require.False(t, v.OK, name)
				require.NotEmpty(t, v.Found, name)
			}
			if err := store.Build(t.Context(), m, untouched{t}, snapshot.BuildOptions{Workers: 2}); strings.HasSuffix(path, ".zst") {
				var damaged *snapshot.DamagedError
				require.ErrorAs(t, err, &damaged, name)
			}
			require.NoError(t, os.WriteFile(path, data, 0o600))
		}
	}
	v, err := store.Verify(t.Context(), m.ID, snapshot.LevelRestored, snapshot.VerifyOptions{Scratch: inTemp(t)})
	require.NoError(t, err)
	require.True(t, v.OK, v.Found)
}

// errTouched is what a build of a whole snapshot gets from a site that must not be touched.
var errTouched = errors.New("the site was written to")

// untouched is a site that a build of a damaged snapshot must not write to.
type untouched struct{ t *testing.T }

func (untouched) Loaded(context.Context) (map[string]bool, error) { return nil, nil }

func (untouched) OpenPoint(context.Context, snapshot.PointOptions) (snapshot.Point, error) {
	return nil, errTouched
}

// TestEncrypted takes a snapshot for a recipient. Nothing of the rows is in the store; the stored checksums need
// no key; another's key opens nothing; what was tampered with is refused.
func TestEncrypted(t *testing.T) {
	ours, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	others, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	db, folder := shop(t), t.TempDir()
	store := snapshot.NewStore(snapshot.Folder(folder))
	m := take(t, store, db, snapshot.CreateOptions{Recipients: []snapshot.Recipient{{Name: ours.Recipient().String(), Recipient: ours.Recipient()}}})
	require.NoError(t, filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		require.NotContains(t, string(data), "Grace", path)
		require.NotContains(t, string(data), "SQLite format", path)
		return err
	}))
	look := func(level snapshot.Level, keys ...age.Identity) (*snapshot.Verification, error) {
		return store.Verify(t.Context(), m.ID, level, snapshot.VerifyOptions{Keys: keys, Scratch: inTemp(t)})
	}
	v, err := look(snapshot.LevelStored)
	require.NoError(t, err)
	require.True(t, v.OK)
	for _, level := range []snapshot.Level{snapshot.LevelDecoded, snapshot.LevelRestored} {
		_, err = look(level)
		require.ErrorIs(t, err, snapshot.ErrNoKey)
		_, err = look(level, others)
		require.ErrorIs(t, err, snapshot.ErrNoKey)
		v, err = look(level, others, ours)
		require.NoError(t, err)
		require.True(t, v.OK, v.Found)
	}

	// Somebody who can write to the store, but has no key, changes a chunk and all checksums.
	chunk := m.Parts[0].Chunks[0]
	path := filepath.Join(folder, m.ID, "chunks", chunk.File)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[len(data)-100] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o600))
	forge(t, filepath.Join(folder, m.ID), func(f *snapshot.Manifest) { f.Parts[0].Chunks[0].SHA256 = sum(data) })
	v, err = look(snapshot.LevelStored)
	require.NoError(t, err)
	require.True(t, v.OK, "checksums were forged: without a key it cannot be told")
	v, err = look(snapshot.LevelDecoded, ours)
	require.NoError(t, err)
	require.False(t, v.OK)
}

// forge changes a committed manifest as somebody would who can write to the store.
func forge(t *testing.T, dir string, change func(*snapshot.Manifest)) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	require.NoError(t, err)
	var m snapshot.Manifest
	require.NoError(t, json.Unmarshal(data, &m))
	change(&m)
	data, err = json.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "manifest.json"), data, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "COMMITTED"), []byte(sum(data)+"\n"), 0o600))
}

// TestHostile opens snapshots that somebody has made to do harm.
func TestHostile(t *testing.T) {
	for name, change := range map[string]func(*snapshot.Manifest){
		"a part outside":            func(m *snapshot.Manifest) { m.Parts[0].Name = "../../etc/passwd" },
		"a part that is the folder": func(m *snapshot.Manifest) { m.Parts[0].Name = ".." },
		"a chunk outside":           func(m *snapshot.Manifest) { m.Parts[0].Chunks[0].File = "../../../etc/passwd" },
		"a chunk that is huge":      func(m *snapshot.Manifest) { m.Parts[0].Chunks[0].PlainBytes = 1 << 50 },
		"a size below zero":         func(m *snapshot.Manifest) { m.Parts[0].Chunks[0].Bytes = -1 },
		"an offset below zero":      func(m *snapshot.Manifest) { m.Parts[0].Chunks[0].Offset = -4096 },
		"rows below zero":           func(m *snapshot.Manifest) { m.Parts[0].Chunks[0].Rows = -1 },
		"an unknown kind of part":   func(m *snapshot.Manifest) { m.Parts[0].Kind = "program" },
		"another's ID":              func(m *snapshot.Manifest) { m.ID = "20200101T000000Z-aaaaaa" },
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			store := snapshot.NewStore(snapshot.Folder(folder))
			m := take(t, store, small(t), snapshot.CreateOptions{})
			forge(t, filepath.Join(folder, m.ID), change)
			_, err := store.Manifest(t.Context(), m.ID)
			var damaged *snapshot.DamagedError
			require.ErrorAs(t, err, &damaged)
		})
	}
	t.Run("more than is claimed", func(t *testing.T) {
		folder := t.TempDir()
		store := snapshot.NewStore(snapshot.Folder(folder))
		m := take(t, store, small(t), snapshot.CreateOptions{})
		forge(t, filepath.Join(folder, m.ID), func(f *snapshot.Manifest) { f.Parts[0].Chunks[0].PlainBytes = 100 })
		v, err := store.Verify(t.Context(), m.ID, snapshot.LevelRestored, snapshot.VerifyOptions{Scratch: inTemp(t)})
		require.NoError(t, err)
		require.False(t, v.OK)
		require.Contains(t, v.Found[0], "it is larger")
	})
}

// TestFailedIsNone fails while a snapshot is taken: nothing is left that could be taken for one.
func TestFailedIsNone(t *testing.T) {
	folder := t.TempDir()
	store := snapshot.NewStore(failing{snapshot.Folder(folder)})
	_, err := store.Create(t.Context(), small(t), snapshot.About{Engine: "sqlite"}, snapshot.CreateOptions{})
	require.ErrorIs(t, err, errFull)
	require.ErrorContains(t, err, "no snapshot was made")
	list, err := store.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
}
