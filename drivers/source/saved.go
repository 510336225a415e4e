package source

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/database/sqlite"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// load reads a saved schema.
func load(path string) (*schema.Database, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the saved schema: %w", err)
	}
	defer f.Close()
	d, err := schema.Load(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w\n  next: switchback schema save SOURCE --out %s writes one", path, err, path)
	}
	return d, nil
}

// snapshot restores a snapshot into a temporary folder, where it is proven to be what was copied, and reads
// its catalogue.
func (r *Reader) snapshot(ctx context.Context, id string) (_ *schema.Database, err error) {
	if r.Snapshots == nil {
		return nil, errors.New("there is no store of snapshots")
	}
	m, err := r.Snapshots.Manifest(id)
	if err != nil {
		return nil, fmt.Errorf("%w\n  next: switchback snapshot list", err)
	}
	engine, err := database.SnapshotEngine(migrate.Engine(m.Engine))
	if err != nil {
		return nil, fmt.Errorf("read the schema of snapshot %s: %w", id, err)
	}
	dir, err := os.MkdirTemp("", "switchback-snapshot-")
	if err != nil {
		return nil, fmt.Errorf("read the schema of snapshot %s: %w", id, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := r.Snapshots.Extract(ctx, m, dir, engine); err != nil {
		return nil, err
	}
	db, err := database.Open(ctx, "sqlite:"+sqlite.SnapshotFile(dir), database.Options{})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return inspect(ctx, db)
}
