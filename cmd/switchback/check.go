package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/check/proof"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
	"github.com/switchbackdb/switchback/schema"
)

// The parts of the gate.
const (
	partRelease  = "release"
	partLint     = "lint"
	partRollback = "rollback"
	partWorkload = "workload"
)

func checkCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "the gate before a deploy: does every pending change come back? Exit code 2 when one does not",
		Description: `Runs the pending changes forward and back in scratch databases filled with made-up rows, and says with
evidence what would not come back, what would be lost, and which queries would break. With a target
(--url, --env) the changes that are not applied there are pending, and its schema is what they begin
with; nothing is ever run on it. Without one, all changes of the folder are, on an empty schema or on
that of --from; --since leaves out those that a git commit has.

` + sourceHelp,
		Flags: targetFlags(append(reportFlags(),
			&cli.StringFlag{Name: "from", Usage: "the schema that the changes begin with, a `SOURCE`"},
			&cli.StringFlag{Name: "scratch", Usage: "where changes are tried: the `URL` of a server where databases may be created, or docker:IMAGE such as docker:postgres:17", EnvVars: []string{"SWITCHBACK_SCRATCH"}},
			&cli.StringFlag{Name: "since", Usage: "only changes that the git commit `REF` does not have; the others are run before"},
			&cli.StringSliceFlag{Name: "workload", Usage: "`VERSION=FROM`: the queries of blue, which runs now, or of green, which is to come, from a file, a slow query log, or what a server remembers: target, env:NAME; can be repeated"},
			&cli.StringSliceFlag{Name: "only", Usage: "only this `PART`: release, lint, rollback, workload; can be repeated"},
			&cli.DurationFlag{Name: "snapshot-age", Usage: "the target has a snapshot that was proven by restoring it and is no older than `TIME`"},
			&cli.BoolFlag{Name: "static", Usage: "only what needs no scratch database"},
			sizesFlag(), placeholderFlag(),
		)...),
		Action: runCheck,
	}
}

// gate is a run of check.
type gate struct {
	*project
	c       *cli.Context
	server  scratch.Server
	engine  migrate.Engine
	target  *target        // nil where there is none
	state   *migrate.State // the target's journal; nil where there is no target
	folder  *migrate.Folder
	edited  *migrate.FolderError // what of the folder its integrity file does not fit, which is a finding; nil
	earlier []*migrate.Change    // that are no matter of this run, and run before
	pending []*migrate.Change
	phases  map[string][]migrate.Phase
	model   *schema.Database             // that the changes begin with; nil for an empty one
	proved  *proof.Proof                 // what proof made; nil until then
	missing *noScratchError              // why there is no scratch server; nil where that was not found
	read    map[recipe.Table]recipe.Size // what --target says
	report  check.Report
}

func runCheck(c *cli.Context) (err error) {
	outputs, err := reportOutputs(c)
	if err != nil {
		return err
	}
	if err := only(c); err != nil {
		return err
	}
	p, err := openProject(c)
	if err != nil {
		return err
	}
	g := &gate{project: p, c: c, report: check.Report{Started: time.Now().UTC(), Changes: []string{}}}
	defer func() { err = errors.Join(err, g.close()) }()
	if err := g.open(); err != nil {
		return err
	}
	var missing *noScratchError
	for _, part := range []struct {
		name string
		run  func(context.Context) (check.Part, error)
	}{{partRelease, g.release}, {partLint, g.lint}, {partRollback, g.rollback}, {partWorkload, g.workload}} {
		if only := c.StringSlice("only"); len(only) > 0 && !slices.Contains(only, part.name) {
			continue
		}
		result, err := part.run(c.Context)
		if errors.As(err, &missing) { // the other parts may not need one
			err = nil
			if result.Looked == "" {
				result = check.Part{Skipped: "there is no scratch database"}
			}
		}
		if err != nil {
			return err
		}
		result.Name = part.name
		if result.Findings == nil {
			result.Findings = []check.Finding{}
		}
		g.report.Parts = append(g.report.Parts, result)
	}
	if err := p.finishReport(c, outputs, &g.report); err != nil && (missing == nil || !errors.Is(err, findings)) {
		return err
	}
	if missing != nil {
		return missing
	}
	return nil
}

// only checks the names of parts.
func only(c *cli.Context) error {
	for _, name := range c.StringSlice("only") {
		if !slices.Contains([]string{partRelease, partLint, partRollback, partWorkload}, name) {
			return fmt.Errorf("--only %s: the parts are release, lint, rollback and workload", name)
		}
	}
	return nil
}

func (g *gate) close() error {
	var err error
	if g.server != nil {
		err = g.server.Close()
	}
	if g.target != nil {
		g.target.close()
	}
	return err
}

// open finds out what is to be checked: the engine, the changes, the schema that they begin with.
func (g *gate) open() (err error) {
	if err := g.readBase(); err != nil {
		return err
	}
	if g.folder, err = migrate.LoadFolder(g.config.Changes, g.engine); err != nil && (g.folder == nil || !errors.As(err, &g.edited)) {
		return err
	}
	g.report.Engine = string(g.engine)
	if err := g.choose(); err != nil {
		return err
	}
	if g.c.String("target") != "" { // also where nothing is pending that it would say something of
		if g.read, err = g.project.sizes(g.c, g.engine); err != nil {
			return err
		}
	}
	for _, c := range g.pending {
		g.report.Changes = append(g.report.Changes, c.ID)
	}
	return nil
}

// readBase reads the schema that the changes begin with, and with it the engine.
func (g *gate) readBase() error {
	c := g.c
	if c.String("url") != "" || c.String("env") != "" {
		t, err := openTarget(c, false)
		if err != nil {
			return err
		}
		g.target, g.engine = t, t.db.Dialect().Engine
	}
	from := c.String("from")
	switch {
	case from != "":
	case c.String("url") != "":
		from = c.String("url")
	case c.String("env") != "":
		from = "env:" + c.String("env")
	}
	if from != "" {
		s, err := g.source(c, from)
		switch {
		case err == nil:
			g.model = s.Database
		case g.target != nil || c.String("scratch") == "" || g.hasScratch():
			return err
		case !c.Bool("static"): // a file has to be run to be read: what needs neither is still checked
			g.missing = &noScratchError{err}
		}
	}
	if g.engine == "" && g.model != nil && g.model.Engine != "" {
		g.engine = migrate.Engine(g.model.Engine)
	}
	if g.engine == "" {
		var err error
		if g.engine, err = scratch.Engine(c.String("scratch")); err != nil {
			return err
		}
	}
	return nil
}

// choose finds out which changes are pending, and which are run before.
func (g *gate) choose() error {
	known, err := inCommit(g.c.Context, g.c.String("since"), g.config.Changes)
	if err != nil {
		return err
	}
	if g.target != nil {
		if g.state, err = g.target.runner.State(g.c.Context); err != nil {
			return err
		}
	}
	g.phases = map[string][]migrate.Phase{}
	for _, c := range g.folder.Changes {
		switch {
		case g.state != nil:
			left := slices.DeleteFunc(c.Phases(), func(p migrate.Phase) bool { return p == migrate.Purge || g.state.Of(c.ID, p) != nil })
			if len(left) == 0 {
				continue
			}
			g.phases[c.ID] = left
		case known[c.ID] && g.c.String("from") != "":
			continue // it is in that schema
		case known[c.ID]:
			g.earlier = append(g.earlier, c)
			continue
		}
		g.pending = append(g.pending, c)
	}
	return nil
}

// proof is what the proofs work with; nil, with a reason, where there is nothing to prove or nowhere to do it.
func (g *gate) proof() (*proof.Proof, string, error) {
	switch {
	case len(g.pending) == 0:
		return nil, "no change is pending", nil
	case g.c.Bool("static"):
		return nil, "--static", nil
	case g.proved != nil:
		return g.proved, "", nil
	}
	if err := g.scratchDatabases(); err != nil {
		return nil, "", err
	}
	base, err := g.base()
	if err != nil {
		return nil, "", err
	}
	g.proved = &proof.Proof{Scratch: scratch.Proofs{Server: g.server}, Base: base, Earlier: g.earlier, Changes: g.pending, Pending: g.phases, Folder: g.config.Changes}
	return g.proved, "", nil
}

// base is what makes the schema that the changes begin with in a scratch database.
func (g *gate) base() (func(context.Context, proof.Database) error, error) {
	var statements []string
	if g.model != nil {
		writer, err := database.Writer(string(g.engine))
		if err != nil {
			return nil, err
		}
		options := diff.Options{NoOwners: true, NoGrants: true, NoSettings: true}
		result, err := diff.Compare(&schema.Database{Engine: string(g.engine)}, g.model, options)
		if err != nil {
			return nil, err
		}
		script, err := writer.Script(result)
		if err != nil {
			return nil, err
		}
		for _, s := range script.Statements {
			statements = append(statements, s.SQL)
		}
	}
	return func(ctx context.Context, db proof.Database) error {
		return runAll(ctx, db, statements)
	}, nil
}

// runAll runs statements one after the other in one session, which ends with them: the script of a schema sets in it
// what those after it are not to have, such as an empty search_path.
func runAll(ctx context.Context, db proof.Database, statements []string) error {
	conn, err := db.DB().Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // so that the pool does not take it back
		_ = conn.Close()
	}()
	for _, s := range statements {
		if _, err := db.Execute(ctx, conn, s); err != nil {
			return fmt.Errorf("make the schema that the changes begin with in a scratch database: %w\n  in: %s", err, s)
		}
	}
	return nil
}

func (g *gate) rollback(ctx context.Context) (check.Part, error) {
	p, skipped, err := g.proof()
	if p == nil || err != nil {
		return check.Part{Skipped: skipped}, err
	}
	return p.Rollback(ctx)
}
