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

// Site makes an empty database for a snapshot of that engine, on the server that a --scratch names, in a
// temporary folder for SQLite. remove drops it.
func Site(ctx context.Context, name string, engine migrate.Engine, o Options) (site snapshot.Site, remove func() error, err error) {
	if engine == migrate.SQLite {
		dir, err := os.MkdirTemp("", "switchback-scratch-")
		return sqlite.NewCopy(dir), func() error { return os.RemoveAll(dir) }, err
	}
	if name == "" {
		return nil, nil, fmt.Errorf("a snapshot of %s is restored on a server\n  state: nothing was changed\n  next: the same with --scratch URL of a server where databases may be created, or with --scratch docker:IMAGE", engine)
	}
	server, err := Open(ctx, name, o)
	if err != nil {
		return nil, nil, err
	}
	if server.Engine() != engine {
		err := fmt.Errorf("the scratch server is of %s, the snapshot of %s", server.Engine(), engine)
		return nil, nil, errors.Join(err, server.Close())
	}
	db, err := server.Create(ctx)
	if err != nil {
		return nil, nil, errors.Join(err, server.Close())
	}
	remove = func() error { return errors.Join(db.Close(), server.Close()) }
	if site, err = database.Site(db.Database); err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	return site, remove, nil
}
