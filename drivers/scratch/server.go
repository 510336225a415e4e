package scratch

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/migrate"
)

// server makes databases on a server that is there.
type server struct {
	url    *url.URL
	engine migrate.Engine
	house  housekeeping
}

// housekeeping is how an engine makes databases and knows which are still in use.
type housekeeping interface {
	// claim marks the name as in use, for as long as the connection lives.
	claim(ctx context.Context, conn *sql.Conn, name string) error
	// sweep drops scratch databases that no living session has claimed. What it may not drop, it leaves.
	sweep(ctx context.Context, conn *sql.Conn) error
	// create makes the database.
	create(ctx context.Context, conn *sql.Conn, name string) error
	// tidy removes what would keep the open database from being dropped.
	tidy(ctx context.Context, db *sql.DB)
	// drop drops the database, whoever is connected to it.
	drop(ctx context.Context, db *sql.DB, name string) error
	// refused says what to grant, when err means that the role may not create databases; else "".
	refused(err error, user string) string
}

func openServer(name string) (*server, error) {
	u, err := url.Parse(name)
	if err != nil {
		return nil, errors.New("the URL of --scratch cannot be read: want postgres://user:password@host:5432, with special characters of the password percent-encoded")
	}
	s := &server{url: u}
	def := "/information_schema" // every user of these servers may connect to it
	switch u.Scheme {
	case "postgres", "postgresql":
		s.engine, s.house, def = migrate.Postgres, postgresServer{}, "/postgres"
	case "mysql":
		s.engine, s.house = migrate.MySQL, mysqlServer{}
	case "mariadb":
		s.engine, s.house = migrate.MariaDB, mysqlServer{}
	default:
		return nil, fmt.Errorf("--scratch %s: want the URL of a server (postgres://…, mysql://…, mariadb://…) or docker:IMAGE such as docker:postgres:17", u.Redacted())
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = def
	}
	return s, nil
}

// Engine implements Server.
func (s *server) Engine() migrate.Engine { return s.engine }

// Close implements Server. Nothing was started.
func (s *server) Close() error { return nil }

// Create implements Server. The connection that claims the name is kept until the database is dropped.
func (s *server) Create(ctx context.Context) (*Database, error) {
	home, err := database.Open(ctx, s.url.String(), database.Options{})
	if err != nil {
		return nil, fmt.Errorf("make a scratch database: %w\n  state: nothing was changed\n  next: check the URL of --scratch, and that the server is up and lets you in", err)
	}
	name := newName()
	d, err := s.createFrom(ctx, home, name)
	if err != nil {
		_ = home.Close()
		return nil, s.explain(err)
	}
	return d, nil
}

func (s *server) createFrom(ctx context.Context, home database.Database, name string) (*Database, error) {
	conn, err := home.DB().Conn(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.house.claim(ctx, conn, name); err != nil {
		return nil, fmt.Errorf("claim the name %s: %w", name, err)
	}
	if err := s.house.sweep(ctx, conn); err != nil {
		return nil, fmt.Errorf("look for what killed runs have left: %w", err)
	}
	// Not to be cancelled: a statement cut off on the way could still take effect on the server.
	bounded, cancel := detached(ctx)
	defer cancel()
	if err := s.house.create(bounded, conn, name); err != nil {
		return nil, err
	}
	drop := func() error {
		ctx, cancel := detached(ctx)
		defer cancel()
		err := s.house.drop(ctx, home.DB(), name)
		if err != nil {
			err = fmt.Errorf("drop the scratch database %s: %w\n  next: drop it by hand", name, err)
		}
		_ = conn.Close()
		return errors.Join(err, home.Close())
	}
	own := *s.url
	own.Path = "/" + name
	db, err := database.Open(ctx, own.String(), database.Options{})
	if err != nil {
		return nil, errors.Join(err, drop())
	}
	if own, ok := db.(interface{ Scratch() }); ok {
		own.Scratch()
	}
	tidy := func(db *sql.DB) {
		ctx, cancel := detached(ctx)
		defer cancel()
		s.house.tidy(ctx, db)
	}
	return &Database{Database: db, URL: own.String(), tidy: tidy, drop: drop}, nil
}

// explain says what to grant where that is what is missing.
func (s *server) explain(err error) error {
	if grant := s.house.refused(err, s.url.User.Username()); grant != "" {
		return fmt.Errorf("make a scratch database on %s: %w\n  state: nothing was changed\n  next: as an administrator: %s; or --scratch docker:IMAGE", s.url.Host, err, grant)
	}
	return fmt.Errorf("make a scratch database on %s: %w", s.url.Host, err)
}

// queryNames returns the one column of a query.
func queryNames(ctx context.Context, conn *sql.Conn, query string) ([]string, error) {
	rows, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}
