package source

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
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

// snapshot reads the model that a snapshot holds of its schema.
func (r *Reader) snapshot(ctx context.Context, id string) (*schema.Database, error) {
	if r.Snapshots == nil {
		return nil, errors.New("there is no store of snapshots")
	}
	m, err := r.Snapshots.Manifest(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("%w\n  next: switchback snapshot list", err)
	}
	model, err := r.Snapshots.Model(ctx, m, r.Keys)
	if errors.Is(err, snapshot.ErrNoModel) {
		return nil, fmt.Errorf("%w\n  next: switchback snapshot restore %s --into URL, and name that", err, id)
	}
	return model, err
}
