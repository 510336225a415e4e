package scratch

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/migrate"
)

// prefix begins the name of every scratch database.
const prefix = "switchback_scratch_"

// newName is the name of a new scratch database.
func newName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return prefix + hex.EncodeToString(b[:])
}

// memory makes SQLite databases in memory. All connections of the process see the same one by its name
// (https://www.sqlite.org/src/doc/tip/src/memdb.c); it is gone with the last of them.
type memory struct{}

// Engine implements Server.
func (memory) Engine() migrate.Engine { return migrate.SQLite }

// Create implements Server.
func (memory) Create(ctx context.Context) (*Database, error) {
	url := "sqlite:/" + newName() + "?vfs=memdb"
	db, err := database.Open(ctx, url, database.Options{Create: true})
	if err != nil {
		return nil, fmt.Errorf("make a scratch database in memory: %w", err)
	}
	keeper, err := db.DB().Conn(ctx)
	if err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("make a scratch database in memory: %w", err)
	}
	return &Database{Database: db, URL: url, drop: keeper.Close}, nil
}

// Close implements Server.
func (memory) Close() error { return nil }
