package snapshot_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/drivers/database/sqlite"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

// small is a database of two rows.
func small(t *testing.T) *sqlite.Database {
	t.Helper()
	db, err := sqlite.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "small.db"), sqlite.Options{Create: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.DB().ExecContext(t.Context(), "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL); INSERT INTO customers VALUES (1, 'Ada'), (2, 'Grace')")
	require.NoError(t, err)
	return db
}

// errFull is what a store says that has no room.
var errFull = errors.New("no space left on device")

// failing is a folder with no room for a manifest.
type failing struct{ snapshot.Folder }

func (f failing) Put(ctx context.Context, name string, data []byte) error {
	if strings.HasSuffix(name, "manifest.json") {
		return errFull
	}
	return f.Folder.Put(ctx, name, data)
}

func (u untouched) Prepare(context.Context, *snapshot.Manifest, *schema.Database) error {
	return errTouched
}

func (u untouched) Load(context.Context, int, snapshot.Part, snapshot.Chunk, io.Reader) error {
	return errTouched
}

func (u untouched) Finish(context.Context, *snapshot.Manifest, *schema.Database, int) error {
	return errTouched
}
