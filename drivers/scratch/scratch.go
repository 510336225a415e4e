// Package scratch makes throwaway databases: for what files say of a schema, and for trying things out
// where nothing can be harmed.
//
//	"", postgres://…, docker:postgres:17 ──Open──▶ Server ──Create──▶ Database ──Close──▶ nothing left
//
// A scratch database never outlives its owner. What was made is removed by Close, with a context of its
// own, so also after the caller's was cancelled. When the owner is killed, a scratch in memory goes with it,
// a container notices that nobody holds its standard input, and a database on a server is removed by the
// next Create there: its owner's session, which says that it is in use, is gone.
package scratch

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/check/lint"
	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// Server is a place where scratch databases are made.
type Server interface {
	// Engine is the engine of the databases.
	Engine() migrate.Engine
	// Create makes an empty database. The caller closes it.
	Create(ctx context.Context) (*Database, error)
	// Close ends what was started for the server. Its databases are closed before.
	Close() error
}

// Database is an open scratch database. Closing it drops it.
type Database struct {
	database.Database
	URL string // for commands that open it once more while it is there
	// Alone is set when the whole server was started for scratch databases, so that what belongs to the
	// server, such as roles, may be made there too.
	Alone bool
	tidy  func(db *sql.DB) // before it is closed; may be nil
	drop  func() error
}

// Inspect reads the catalogue.
func (d *Database) Inspect(ctx context.Context) (*schema.Database, error) {
	in, ok := d.Database.(interface {
		Inspect(ctx context.Context) (*schema.Database, error)
	})
	if !ok {
		return nil, fmt.Errorf("the catalogue of %s cannot be read", d.Version())
	}
	return in.Inspect(ctx)
}

// Accesses says how a query that takes so many parameters reaches the rows of its tables.
func (d *Database) Accesses(ctx context.Context, conn *sql.Conn, query string, parameters int) ([]workload.Access, error) {
	by, ok := d.Database.(interface {
		Accesses(ctx context.Context, conn *sql.Conn, query string, parameters int) ([]workload.Access, error)
	})
	if !ok {
		return nil, fmt.Errorf("the plans of %s cannot be read", d.Version())
	}
	return by.Accesses(ctx, conn, query, parameters)
}

// LintObserver runs statements in the database and says what they lock, scan and write anew; nil where that cannot be
// seen.
func (d *Database) LintObserver() lint.Observer {
	by, ok := d.Database.(interface{ LintObserver() lint.Observer })
	if !ok {
		return nil
	}
	return by.LintObserver()
}

// Name is the name of the database on its server; empty for one in memory.
func (d *Database) Name() string {
	u, err := url.Parse(d.URL)
	if err != nil || u.Opaque != "" {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}

// Close closes the connections and drops the database.
func (d *Database) Close() error {
	if d.tidy != nil {
		d.tidy(d.DB())
	}
	return errors.Join(d.Database.Close(), d.drop())
}

// Options say how to open a server.
type Options struct {
	// Progress is told what takes long, such as pulling an image. It may be nil.
	Progress func(text string)
}

func (o Options) progress(text string) {
	if o.Progress != nil {
		o.Progress(text)
	}
}

// Open returns the server that a --scratch names: nothing for SQLite in memory, the URL of a server that
// the databases are created on, or docker:IMAGE for one that is started for it and removed by Close.
func Open(ctx context.Context, name string, o Options) (Server, error) {
	switch image, docker := strings.CutPrefix(name, "docker:"); {
	case name == "" || name == "sqlite" || name == "sqlite:":
		return memory{}, nil
	case docker:
		return startContainer(ctx, image, o)
	}
	return openServer(name)
}

// Engine is the engine of the scratch databases that a --scratch names, without opening anything. It is
// SQLite for nothing.
func Engine(name string) (migrate.Engine, error) {
	switch image, docker := strings.CutPrefix(name, "docker:"); {
	case name == "" || name == "sqlite" || name == "sqlite:":
		return migrate.SQLite, nil
	case docker:
		r, err := recipeFor(image)
		return r.engine, err
	}
	s, err := openServer(name)
	if err != nil {
		return "", err
	}
	return s.engine, nil
}

// cleanup is how long removing a scratch may take.
const cleanup = 30 * time.Second

// detached is a context that outlives ctx, for cleaning up.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanup)
}
