package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/check/lint"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/foreign"
)

func lintCommand() *cli.Command {
	return &cli.Command{
		Name:      "lint",
		Usage:     "what in the changes would hurt; exit code 2 when there is an error",
		ArgsUsage: "[DIR|CHANGE…]",
		Description: `Looks at the project's changes, at those that are named, or at another tool's folder of migrations.
Most rules need no server. Those about locks run the statements in a scratch database, where --scratch
says one is: the changes before the ones that are named are run there first. The target is never touched;
with --target, findings say how much of it a statement would touch, and about how long that takes.

A statement may break a rule when a comment above it says why:
  -- switchback:allow char-n: country codes of the standard have two letters`,
		Flags: sourceFlags(append(reportFlags(),
			&cli.StringFlag{Name: "engine", Usage: "postgres, mysql, mariadb or sqlite (default: that of --scratch, or of the environments)"},
			&cli.StringFlag{Name: "explain", Usage: "say what `RULE` is about, with examples; all for all of them"},
			&cli.StringSliceFlag{Name: "only", Usage: "only this `RULE`; can be repeated"},
			&cli.StringFlag{Name: "since", Usage: "only changes, or another tool's files, that the git commit `REF` does not have"},
			&cli.BoolFlag{Name: "fix", Usage: "rewrite the scripts where that is mechanical, and say what is left; for what no database has run yet"},
			&cli.BoolFlag{Name: "dry-run", Usage: "with --fix: show the rewrites as a diff, write nothing; exit code 2 when there is one"},
			sizesFlag(),
		)...),
		Action: runLint,
	}
}

func runLint(c *cli.Context) (err error) {
	if name := c.String("explain"); name != "" {
		return explain(c.App.Writer, name)
	}
	p, err := openProject(c)
	if err != nil {
		return err
	}
	if c.Bool("dry-run") && !c.Bool("fix") {
		return errors.New("--dry-run goes with --fix")
	}
	outputs, err := reportOutputs(c)
	if err != nil {
		return err
	}
	options, err := p.lintOptions(c)
	if err != nil {
		return err
	}
	before, scripts, err := p.lintScripts(c, options.Engine)
	if err != nil {
		return err
	}
	if c.Bool("fix") {
		if err := p.fix(c, scripts, options); err != nil || c.Bool("dry-run") {
			return err
		}
		if before, scripts, err = p.lintScripts(c, options.Engine); err != nil {
			return err
		}
	}
	r := &check.Report{Engine: string(options.Engine), Started: time.Now()}
	for _, s := range scripts {
		if !slices.Contains(r.Changes, s.Change) {
			r.Changes = append(r.Changes, s.Change)
		}
	}
	if c.String("scratch") != "" && options.Engine != migrate.SQLite {
		var done func() error
		if options.Observer, done, err = p.observer(c, before); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, done()) }()
	}
	part, silenced, err := lint.Run(c.Context, scripts, options)
	if err != nil {
		return err
	}
	r.Parts, r.Silenced = []check.Part{part}, silenced
	return p.finishReport(c, outputs, r)
}

// lintOptions read the flags and the configuration.
func (p *project) lintOptions(c *cli.Context) (lint.Options, error) {
	o, err := p.lintLevels()
	if err != nil {
		return o, err
	}
	o.Only = c.StringSlice("only")
	if err := lint.CheckNames(o.Only...); err != nil {
		return o, err
	}
	if o.Engine, err = p.lintEngine(c); err != nil {
		return o, err
	}
	o.Sizes, err = p.sizes(c, o.Engine)
	return o, err
}

// lintLevels read the configuration.
func (p *project) lintLevels() (lint.Options, error) {
	o := lint.Options{Levels: map[string]lint.Level{}}
	for name, level := range p.config.Lint.Rules {
		if err := lint.CheckNames(name); err != nil {
			return o, fmt.Errorf("switchback.yaml: lint: %w", err)
		}
		if !slices.Contains([]string{"error", "warning", "note", "off"}, level.Severity) {
			return o, fmt.Errorf("switchback.yaml: lint: rule %s: severity %q is none of error, warning, note and off", name, level.Severity)
		}
		if level.Severity == "off" && strings.TrimSpace(level.Reason) == "" {
			return o, fmt.Errorf("switchback.yaml: lint: rule %s is off without a reason", name)
		}
		o.Levels[name] = lint.Level(level)
	}
	return o, nil
}

// lintEngine is the engine that the scripts are for.
func (p *project) lintEngine(c *cli.Context) (migrate.Engine, error) {
	if name := c.String("engine"); name != "" {
		if e := migrate.Engine(name); slices.Contains(migrate.Engines(), e) {
			return e, nil
		}
		return "", fmt.Errorf("unknown engine %q: want postgres, mysql, mariadb or sqlite", name)
	}
	if name := c.String("scratch"); name != "" {
		return scratch.Engine(name)
	}
	found := map[migrate.Engine]bool{}
	for _, env := range p.config.Environments {
		scheme, _, _ := strings.Cut(env.URL, ":")
		if scheme == "postgresql" {
			scheme = "postgres"
		}
		if e := migrate.Engine(scheme); slices.Contains(migrate.Engines(), e) {
			found[e] = true
		}
	}
	if len(found) == 1 {
		for e := range found {
			return e, nil
		}
	}
	return "", errors.New("which engine are the scripts for?\n  next: --engine postgres, or --scratch with a server of it")
}

// lintScripts are the scripts that the arguments name, and those that run before them.
func (p *project) lintScripts(c *cli.Context, engine migrate.Engine) (before, scripts []lint.Script, err error) {
	dir, ids := p.config.Changes, c.Args().Slice()
	if len(ids) > 0 {
		if info, err := os.Stat(ids[0]); err == nil && info.IsDir() {
			dir, ids = ids[0], ids[1:]
			if tool, err := foreign.Detect(dir); err != nil || tool != "" {
				return lintForeign(c, dir, ids, engine)
			}
		}
	}
	folder, err := migrate.LoadFolder(dir, engine)
	if err != nil {
		return nil, nil, err
	}
	for i := range ids {
		ids[i] = filepath.Base(ids[i])
	}
	all, err := lint.FromFolder(folder)
	if err != nil {
		return nil, nil, err
	}
	if c.String("since") != "" {
		if len(ids) > 0 {
			return nil, nil, errors.New("--since says which changes: name none beside it")
		}
		return lintSince(c, dir, all, func(s lint.Script) string { return s.Change })
	}
	if len(ids) == 0 {
		return nil, all, nil
	}
	scripts, err = lint.FromFolder(folder, ids...)
	for _, s := range all {
		if s.Change < slices.Min(ids) && runsBefore(s) {
			before = append(before, s)
		}
	}
	return before, scripts, err
}

// lintSince takes those scripts out that a commit has, by the name of what they are in. They are run before.
func lintSince(c *cli.Context, dir string, all []lint.Script, in func(lint.Script) string) (before, scripts []lint.Script, err error) {
	known, err := inCommit(c.Context, c.String("since"), dir)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range all {
		switch {
		case !known[in(s)]:
			scripts = append(scripts, s)
		case runsBefore(s):
			before = append(before, s)
		}
	}
	return before, scripts, nil
}

// runsBefore tells whether a script makes what later changes find.
func runsBefore(s lint.Script) bool { return !s.Back && s.Phase != migrate.Purge }

func lintForeign(c *cli.Context, dir string, rest []string, engine migrate.Engine) (before, scripts []lint.Script, err error) {
	if len(rest) > 0 {
		return nil, nil, fmt.Errorf("%s is another tool's folder: want nothing behind it", dir)
	}
	placeholders, err := pairs(c, "placeholder")
	if err != nil {
		return nil, nil, err
	}
	folder, err := foreign.Read(dir, foreign.Options{Placeholders: placeholders})
	if err != nil {
		return nil, nil, err
	}
	all, err := lint.FromForeign(folder, engine)
	if err != nil {
		return nil, nil, err
	}
	return lintSince(c, dir, all, func(s lint.Script) string { return path.Base(s.File) })
}

// observer opens a scratch database for the statements, after the scripts before them.
func (p *project) observer(c *cli.Context, before []lint.Script) (lint.Observer, func() error, error) {
	server, err := scratch.Open(c.Context, c.String("scratch"), scratch.Options{Progress: func(text string) { p.out.line("  … %s", text) }})
	if err != nil {
		return nil, nil, err
	}
	db, err := server.Create(c.Context)
	if err != nil {
		return nil, nil, errors.Join(err, server.Close())
	}
	done := func() error { return errors.Join(db.Close(), server.Close()) }
	observer := db.LintObserver()
	if observer == nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: locks cannot be observed by this version\n  next: leave --scratch out, and say --engine", server.Engine()), done())
	}
	if len(before) > 0 {
		if _, _, err := lint.Run(c.Context, before, lint.Options{Engine: server.Engine(), Observer: observer}); err != nil {
			return nil, nil, errors.Join(err, done())
		}
	}
	return observer, done, nil
}

func explain(w io.Writer, name string) error {
	if name == "all" {
		return lint.WriteDocs(w)
	}
	r, ok := lint.Find(name)
	if !ok {
		return lint.CheckNames(name)
	}
	return r.WriteDoc(w)
}
