package mysql

import (
	"context"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// Fingerprint implements migrate.Database.
func (d *Database) Fingerprint(ctx context.Context, q schema.Queryer) (string, error) {
	model, err := Inspect(ctx, q)
	if err != nil {
		return "", err
	}
	return model.Fingerprint(), nil
}

// Catalogue implements migrate.Database. Everything is read each time.
func (d *Database) Catalogue() migrate.Catalogue { return whole{d} }

type whole struct{ db *Database }

// Read implements migrate.Catalogue.
func (w whole) Read(ctx context.Context, q schema.Queryer) (string, error) {
	return w.db.Fingerprint(ctx, q)
}

// Follow implements migrate.Catalogue.
func (w whole) Follow(ctx context.Context, q schema.Queryer, _ [][]string) ([]string, bool, error) {
	f, err := w.db.Fingerprint(ctx, q)
	return []string{f}, true, err
}

// Together implements migrate.Catalogue: each statement commits by itself.
func (w whole) Together([]string) bool { return false }
