// Package source resolves what a user calls a source into a schema: a live database, or something that says
// what a database should look like.
//
//	name ──what──▶ kind ┬ live URL, env:NAME, snapshot:ID ──────────────▶ Inspect ──┐
//	                    ├ saved schema.json, empty ─────────────────────────────────┼─▶ Source
//	                    └ SQL files, Atlas HCL, changes, other tools' migrations    │
//	                         └──run──▶ scratch database ────────────────▶ Inspect ──┘
//
// Files are never interpreted here: the engine itself runs them, in a scratch database (package scratch),
// and its catalogue is read as that of any other. What is needed to run them is what the engine's client
// program does with a dump: cut it into statements (split.go), follow its commands (client.go), and leave
// out what belongs to a server and not to a schema (rewrite.go).
package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
	"github.com/switchbackdb/switchback/snapshot"
)

// Kind is what a source turned out to be.
type Kind string

// The kinds of source.
const (
	Empty      Kind = "empty"
	Live       Kind = "live"       // a URL or env:NAME
	SQL        Kind = "sql"        // a file, or a folder of files
	HCL        Kind = "hcl"        // Atlas's schema files
	Changes    Kind = "changes"    // our own folder
	Migrations Kind = "migrations" // another tool's folder
	Snapshot   Kind = "snapshot"
	Saved      Kind = "saved" // a schema.json
)

// Source is a schema with what is known of where it came from.
type Source struct {
	Name     string // as the user named it, without a password
	Kind     Kind
	Database *schema.Database
	// Scripted is set when the schema was made by running files in a scratch database. Such a schema has
	// the scratch's owner and no grants, and the scratch's own settings, so those say nothing; Options
	// leaves them out of a comparison.
	Scripted bool
	Notes    []string // what was left out, for people
}

// Reader reads sources. Close it: it may have started a server for scratch databases.
type Reader struct {
	Scratch      string                            // --scratch: what scratch.Open takes; empty for SQLite
	Environment  func(name string) (string, error) // the URL of an environment of the configuration
	Changes      string                            // the folder that "changes" stands for
	Snapshots    *snapshot.Store
	Keys         []age.Identity    // of snapshots that are encrypted
	Placeholders map[string]string // for ${NAME} in other tools' migrations
	Progress     func(text string) // is told what takes long; may be nil

	server scratch.Server // once a source needed one
}

// Close ends the scratch server, if one was started.
func (r *Reader) Close() error {
	if r.server == nil {
		return nil
	}
	err := r.server.Close()
	r.server = nil
	return err
}

// Read reads one source.
func (r *Reader) Read(ctx context.Context, name string) (*Source, error) {
	what, err := r.what(name)
	if err != nil {
		return nil, err
	}
	return r.read(ctx, what, "")
}

// ReadPair reads two sources that are to be compared. Files are run on an engine like that of the other
// side, so a file beside a PostgreSQL database without --scratch is an error and not a list of false
// differences.
func (r *Reader) ReadPair(ctx context.Context, from, to string) (*Source, *Source, error) {
	a, err := r.what(from)
	if err != nil {
		return nil, nil, err
	}
	b, err := r.what(to)
	if err != nil {
		return nil, nil, err
	}
	if a.scripted() && !b.scripted() {
		y, x, err := r.readInOrder(ctx, b, a)
		return x, y, err
	}
	if !b.scripted() {
		return r.readAtOnce(ctx, a, b)
	}
	return r.readInOrder(ctx, a, b)
}

// readAtOnce reads two sources that need no scratch database, side by side: two servers, or two sessions of
// one, take no longer than the slower.
func (r *Reader) readAtOnce(ctx context.Context, a, b named) (x, y *Source, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { x, err = r.read(ctx, a, ""); return err })
	group.Go(func() (err error) { y, err = r.read(ctx, b, ""); return err })
	return x, y, group.Wait()
}

// readInOrder reads two sources, the second for the engine of the first.
func (r *Reader) readInOrder(ctx context.Context, first, second named) (*Source, *Source, error) {
	x, err := r.read(ctx, first, "")
	if err != nil {
		return nil, nil, err
	}
	y, err := r.read(ctx, second, migrate.Engine(x.Database.Engine))
	return x, y, err
}

// read reads a source. beside is the engine of what it is compared with, if that is known.
func (r *Reader) read(ctx context.Context, n named, beside migrate.Engine) (*Source, error) {
	s := &Source{Name: Redact(n.name), Kind: n.kind, Scripted: n.scripted()}
	var err error
	switch n.kind {
	case Empty:
		s.Database = &schema.Database{}
	case Live:
		s.Database, err = r.live(ctx, n.path)
	case Saved:
		s.Database, err = load(n.path)
	case Snapshot:
		s.Database, err = r.snapshot(ctx, n.path)
	default:
		err = r.script(ctx, s, n, beside)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (r *Reader) live(ctx context.Context, rawURL string) (*schema.Database, error) {
	db, err := database.Open(ctx, rawURL, database.Options{})
	if err != nil {
		return nil, fmt.Errorf("%w\n  state: nothing was changed\n  next: check the URL, and that the server is up and lets you in", err)
	}
	defer db.Close()
	return inspect(ctx, db)
}

// inspect reads the catalogue of an open database.
func inspect(ctx context.Context, db database.Database) (*schema.Database, error) {
	return (&scratch.Database{Database: db}).Inspect(ctx)
}

// script runs what a source is made of in a scratch database and reads what came of it.
func (r *Reader) script(ctx context.Context, s *Source, n named, beside migrate.Engine) (err error) {
	if err := r.suits(n, beside); err != nil {
		return err
	}
	if r.server == nil {
		if r.server, err = scratch.Open(ctx, r.Scratch, scratch.Options{Progress: r.Progress}); err != nil {
			r.server = nil
			return err
		}
	}
	db, err := r.server.Create(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	switch n.kind {
	case HCL:
		err = runHCL(ctx, db, n)
	case Changes:
		err = runChanges(ctx, db, n)
	case Migrations:
		s.Notes, err = r.runMigrations(ctx, db, n)
	default:
		s.Notes, err = runFiles(ctx, db, n)
	}
	if err != nil {
		return err
	}
	s.Database, err = db.Inspect(ctx)
	return err
}

// suits refuses to run a file on an engine other than that of what it is compared with, where nobody has
// said which.
func (r *Reader) suits(n named, beside migrate.Engine) error {
	engine, err := scratch.Engine(r.Scratch)
	if err != nil || r.Scratch != "" || beside == "" || beside == engine {
		return err
	}
	return fmt.Errorf("%s has to be run on %s to be compared with it, and there is no scratch server\n  next: %s", n.name, engineName(beside), scratchAdvice(beside))
}

// Options returns the options of a comparison of two sources: what one of them cannot know is left out.
func Options(o diff.Options, a, b *Source) diff.Options {
	if a.Scripted || b.Scripted {
		o.NoOwners, o.NoGrants, o.NoSettings = true, true, true
	}
	return o
}

// Redact takes the password out of a source's name.
func Redact(name string) string {
	u, err := url.Parse(name)
	if err != nil || u.User == nil {
		if strings.Contains(name, "@") && strings.Contains(name, "://") {
			scheme, _, _ := strings.Cut(name, ":")
			return scheme + ":…"
		}
		return name
	}
	return u.Redacted()
}
