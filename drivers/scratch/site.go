package scratch

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/database/sqlite"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

// Place is an empty database in which a snapshot is built. Closing it drops it.
type Place struct {
	Site snapshot.Site
	open func(ctx context.Context) (database.Database, error)
	drop func() error
}

// Close drops the database.
func (p *Place) Close() error { return p.drop() }

// Database opens what was built. The caller closes it, before the place.
func (p *Place) Database(ctx context.Context) (database.Database, error) { return p.open(ctx) }

// NewPlace makes a place for a snapshot of that engine, on the server that a --scratch names, in a temporary
// folder for SQLite.
func NewPlace(ctx context.Context, name string, engine migrate.Engine, o Options) (*Place, error) {
	if engine == migrate.SQLite {
		return inFolder()
	}
	if name == "" {
		return nil, fmt.Errorf("a snapshot of %s is restored on a server\n  state: nothing was changed\n  next: the same with --scratch URL of a server where databases may be created, or with --scratch docker:IMAGE", engine)
	}
	server, err := Open(ctx, name, o)
	if err != nil {
		return nil, err
	}
	if server.Engine() != engine {
		err := fmt.Errorf("the scratch server is of %s, the snapshot of %s\n  state: nothing was changed\n  next: the same with --scratch of a server of %s", server.Engine(), engine, engine)
		return nil, errors.Join(err, server.Close())
	}
	db, err := server.Create(ctx)
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	p := &Place{
		open: func(ctx context.Context) (database.Database, error) {
			return database.Open(ctx, db.URL, database.Options{})
		},
		drop: func() error { return errors.Join(db.Close(), server.Close()) },
	}
	if p.Site, err = database.Site(db.Database); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func inFolder() (*Place, error) {
	dir, err := os.MkdirTemp("", "switchback-scratch-")
	if err != nil {
		return nil, err
	}
	copied := sqlite.NewCopy(dir)
	return &Place{
		Site: copied,
		open: func(ctx context.Context) (database.Database, error) {
			return database.Open(ctx, "sqlite:"+copied.File(), database.Options{})
		},
		drop: func() error { return os.RemoveAll(dir) },
	}, nil
}
