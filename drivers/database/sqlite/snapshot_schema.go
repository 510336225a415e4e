package sqlite

import (
	"context"
	"errors"
	"fmt"

	ddlsqlite "github.com/switchbackdb/switchback/ddl/sqlite"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// SchemaCopy is the site of a snapshot without its rows: the schema is made of its model.
type SchemaCopy struct{ Copy }

var _ snapshot.Site = SchemaCopy{}

// Prepare implements snapshot.Site.
func (c SchemaCopy) Prepare(ctx context.Context, m *snapshot.Manifest, model *schema.Database) (err error) {
	if model == nil {
		return snapshot.ErrNoModel
	}
	if err := c.Copy.Prepare(ctx, m, model); err != nil {
		return err
	}
	db, err := Open(ctx, "sqlite:"+c.File(), Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	is, err := db.Inspect(ctx)
	if err != nil {
		return err
	}
	r, err := diff.Compare(is, model, diff.Options{})
	if err != nil {
		return err
	}
	script, err := ddlsqlite.Writer{}.Script(r)
	if err != nil {
		return err
	}
	db.db.SetMaxOpenConns(1) // settings are the connection's
	for _, s := range script.Statements {
		if _, err := db.db.ExecContext(ctx, s.SQL); err != nil {
			return fmt.Errorf("%w\n  in: %s", err, s.SQL)
		}
	}
	return nil
}
