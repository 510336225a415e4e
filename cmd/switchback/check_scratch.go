package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/migrate"
)

// noScratchError says that there is nowhere to try changes.
type noScratchError struct{ err error }

// Error implements error.
func (e *noScratchError) Error() string { return e.err.Error() }

// Unwrap returns why there is none.
func (e *noScratchError) Unwrap() error { return e.err }

// scratchDatabases opens the server of scratch databases, and sees that one can be made there. What is missing says
// what to do.
func (g *gate) scratchDatabases() error {
	if g.server != nil {
		return nil
	}
	if g.missing != nil {
		return g.missing
	}
	name := g.c.String("scratch")
	if name == "" && g.engine != migrate.SQLite {
		return &noScratchError{fmt.Errorf("changes for %s are tried on a server of it, and there is none to try them on\n  state: only what needs none was checked\n  next: --scratch docker:%s or --scratch URL of a server where databases may be created; or --static to leave the rest out", g.engine, g.engine)}
	}
	engine, err := scratch.Engine(name)
	if err != nil {
		return err
	}
	if engine != g.engine {
		return fmt.Errorf("--scratch is %s, the target is %s: changes are tried on an engine of the same kind", engine, g.engine)
	}
	server, err := scratch.Open(g.c.Context, name, scratch.Options{Progress: func(text string) { g.out.line("  … %s", text) }})
	if err != nil {
		return g.noScratch(err)
	}
	db, err := server.Create(g.c.Context)
	if err == nil {
		err = errors.Join(g.confined(db), db.Close())
	}
	if err != nil {
		return g.noScratch(errors.Join(err, server.Close()))
	}
	g.server = server
	return nil
}

// hasScratch tells whether a scratch database can be made at all.
func (g *gate) hasScratch() bool {
	server, err := scratch.Open(g.c.Context, g.c.String("scratch"), scratch.Options{})
	if err != nil {
		return false
	}
	defer func() { _ = server.Close() }()
	db, err := server.Create(g.c.Context)
	return err == nil && db.Close() == nil
}

// confined sees that no script reaches beyond a scratch database.
func (g *gate) confined(db *scratch.Database) error {
	for _, c := range slices.Concat(g.earlier, g.pending) {
		for _, p := range c.Phases() {
			pair, _ := c.Pair(p)
			for _, script := range []*migrate.Script{&pair.Forward, pair.Rollback} {
				if script == nil {
					continue
				}
				if err := g.confinedScript(db, script); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (g *gate) confinedScript(db *scratch.Database, script *migrate.Script) error {
	found, err := migrate.Scan(g.engine, script.SQL)
	if err != nil {
		return nil //nolint:nilerr // lint says so, with its place
	}
	var texts []string
	for _, s := range found {
		texts = append(texts, s.Text)
	}
	at, what, err := db.Reach(g.c.Context, texts)
	if err != nil || at < 0 {
		return err
	}
	next := "--scratch docker:" + string(g.engine) + ", which is a server for nothing else"
	if g.engine == migrate.SQLite {
		next = "take the statement out of the change"
	}
	return fmt.Errorf("%s:%d reaches %s, which is more than a scratch database\n  state: nothing was run\n  next: %s; or --static", script.Path, found[at].Line, what, next)
}

// noScratch is the error of a scratch server that is not to be had, unless the command was stopped.
func (g *gate) noScratch(err error) error {
	if g.c.Err() != nil {
		return err
	}
	g.missing = &noScratchError{err}
	return g.missing
}
