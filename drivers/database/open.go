// Package database opens a database of any engine by its URL. It is the one place that knows which
// engines there are; a new one is a folder beside those below and a case here.
package database

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	ddlmysql "github.com/switchbackdb/switchback/ddl/mysql"
	ddlpostgres "github.com/switchbackdb/switchback/ddl/postgres"
	ddlsqlite "github.com/switchbackdb/switchback/ddl/sqlite"
	"github.com/switchbackdb/switchback/drivers/database/mysql"
	"github.com/switchbackdb/switchback/drivers/database/postgres"
	"github.com/switchbackdb/switchback/drivers/database/sqlite"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

// Database is an open database that has to be closed.
type Database interface {
	migrate.Database
	io.Closer
}

// Options say how to open a database.
type Options struct {
	Create bool // create an SQLite file that is missing
}

// Open opens the database that the URL names. Errors never hold the URL's password.
func Open(ctx context.Context, url string, o Options) (Database, error) {
	scheme, _, ok := strings.Cut(url, ":")
	if !ok {
		return nil, fmt.Errorf("%q is no database URL: want sqlite:FILE, postgres://…, mysql://… or mariadb://…", url)
	}
	switch scheme {
	case "sqlite":
		return sqlite.Open(ctx, url, sqlite.Options(o))
	case "postgres", "postgresql":
		return postgres.Open(ctx, url)
	case "mysql", "mariadb":
		return mysql.Open(ctx, url)
	}
	return nil, fmt.Errorf("unknown engine %q: want sqlite, postgres, mysql or mariadb", scheme)
}

// Site returns an empty database as a place where a snapshot is built. The error is
// snapshot.ErrUnsupported for an engine that has none.
func Site(db Database) (snapshot.Site, error) {
	d, ok := db.(interface{ Site() snapshot.Site })
	if !ok {
		return nil, fmt.Errorf("%s: %w by this version", db.Dialect().Engine, snapshot.ErrUnsupported)
	}
	return d.Site(), nil
}

// Writer returns what writes scripts for an engine.
func Writer(engine string) (ddl.Writer, error) {
	switch migrate.Engine(engine) {
	case migrate.SQLite:
		return ddlsqlite.Writer{}, nil
	case migrate.Postgres:
		return ddlpostgres.Writer{}, nil
	case migrate.MySQL, migrate.MariaDB:
		return ddlmysql.Writer{}, nil
	}
	return nil, fmt.Errorf("unknown engine %q: want sqlite, postgres, mysql or mariadb", engine)
}
