package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/drift"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/scratch"
)

// driftFormats are the forms of a drift report.
var driftFormats = []string{"text", "json", "markdown", "html"}

func driftCommand() *cli.Command {
	return &cli.Command{
		Name:      "drift",
		Usage:     "where two environments differ that should be the same; exit code 2 when they do",
		ArgsUsage: "[FROM TO]",
		Description: `FROM and TO are environments of switchback.yaml; without them, those that its section drift names, or
staging and production. Differences that a rule of that section ignores are listed apart, with the
reason. Nothing is written to either database.

--fix NAME prints the script that makes the environment like the other. Nothing is run.`,
		Flags: append(append(outputFlags(), compareFlags()...),
			&cli.StringFlag{Name: "format", Value: "text", Usage: strings.Join(driftFormats, ", ")},
			&cli.StringFlag{Name: "out", Usage: "write to `FILE` instead of the terminal"},
			&cli.StringSliceFlag{Name: "data", Usage: "compare the rows of `TABLE` too; can be repeated"},
			&cli.IntFlag{Name: "rows", Value: 20, Usage: "how many differing rows of a table are shown"},
			&cli.StringFlag{Name: "fix", Usage: "print the script that makes the environment `NAME` like the other"},
			&cli.StringFlag{Name: "scratch", Usage: "where pending changes are tried: the `URL` of a server where databases may be created, or docker:IMAGE", EnvVars: []string{"SWITCHBACK_SCRATCH"}},
		),
		Action: runDrift,
	}
}

func runDrift(c *cli.Context) error {
	p, err := openProject(c)
	if err != nil {
		return err
	}
	format, err := driftFormat(c, p)
	if err != nil {
		return err
	}
	names := []string{p.config.Drift.From, p.config.Drift.To}
	switch c.NArg() {
	case 0:
	case 2:
		names = c.Args().Slice()
	default:
		return errors.New("want two environments or none, as in: switchback drift staging production")
	}
	if fix := c.String("fix"); fix != "" && !slices.Contains(names, fix) {
		return fmt.Errorf("--fix %s: the environments are %s and %s", fix, names[0], names[1])
	}
	found, err := p.drift(c, names)
	if err != nil {
		return err
	}
	print := func(o *output) error { return printDrift(o, format, found) }
	if fix := c.String("fix"); fix != "" {
		print = func(o *output) error { return printFix(o, found, fix) }
	} else if format == "html" || format == "json" {
		found.AddScripts()
	}
	if err := p.write(c.String("out"), print); err != nil {
		return err
	}
	if !found.Clean() {
		return findings
	}
	return nil
}

func driftFormat(c *cli.Context, p *project) (string, error) {
	format := c.String("format")
	if p.out.json {
		format = "json"
	}
	if !slices.Contains(driftFormats, format) {
		return "", fmt.Errorf("unknown format %q: want %s", format, strings.Join(driftFormats, ", "))
	}
	return format, nil
}

// drift compares two environments by their names.
func (p *project) drift(c *cli.Context, names []string) (_ *drift.Drift, err error) {
	o, err := p.driftOptions(c, names)
	if err != nil {
		return nil, err
	}
	var sides [2]drift.Side
	for i, name := range names {
		env, err := p.config.Environment(name)
		if err != nil {
			return nil, err
		}
		db, err := openDatabase(c.Context, env.URL, false)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		defer db.Close()
		d, ok := db.(drift.Database)
		if !ok {
			return nil, fmt.Errorf("%s: %s cannot be compared yet", name, db.Version())
		}
		sides[i] = drift.Side{Name: name, Database: d}
	}
	engine := string(sides[0].Database.Dialect().Engine)
	if writer, err := database.Writer(engine); err == nil {
		o.Writer = writer
	}
	end, err := p.scratchFor(c, engine, &o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	return drift.Compare(c.Context, sides[0], sides[1], o)
}

// scratchFor sets where pending changes are tried, when there is such a place. end closes it.
func (p *project) scratchFor(c *cli.Context, engine string, o *drift.Options) (end func() error, err error) {
	where := c.String("scratch")
	if where == "" && engine != "sqlite" {
		return func() error { return nil }, nil
	}
	server, err := scratch.Open(c.Context, where, scratch.Options{Progress: func(text string) { p.out.line("  … %s", text) }})
	if err != nil {
		return nil, err
	}
	o.Scratch = func(ctx context.Context) (drift.Scratch, error) { return server.Create(ctx) }
	return server.Close, nil
}

// driftOptions are those of the configuration and the flags.
func (p *project) driftOptions(c *cli.Context, names []string) (drift.Options, error) {
	section := p.config.Drift
	o := drift.Options{Tables: section.Data, Mask: section.Mask, Rows: c.Int("rows"), Now: time.Now()}
	if o.Rows < 0 {
		return o, fmt.Errorf("--rows %d: want 0 or more", o.Rows)
	}
	var err error
	if o.Diff, err = compareOptions(c); err != nil {
		return o, err
	}
	for _, t := range c.StringSlice("data") {
		if !slices.Contains(o.Tables, t) {
			o.Tables = append(o.Tables, t)
		}
	}
	for _, r := range section.Ignore {
		rule, err := drift.NewRule(r.Object, r.Property, r.Reason, r.Until)
		if err != nil {
			return o, fmt.Errorf("section drift of the configuration: %w", err)
		}
		o.Rules = append(o.Rules, rule)
	}
	d := o.Diff
	whole := len(d.Include)+len(d.Exclude)+len(d.Kinds) == 0 && !d.NoOwners && !d.NoGrants && !d.NoComments
	o.History = drift.NewHistory(section.History, names[0], names[1], whole && c.String("fix") == "")
	return o, nil
}

func printDrift(o *output, format string, d *drift.Drift) error {
	switch format {
	case "json":
		return d.Report.JSON(o.w)
	case "html":
		return d.Report.HTML(o.w)
	case "markdown":
		return d.Report.Markdown(o.w)
	}
	if o.quiet {
		return nil
	}
	return d.Report.Text(o.w, o.color)
}

// printFix prints the script that mends a side.
func printFix(o *output, d *drift.Drift, side string) error {
	script, err := d.Fix(side)
	if err != nil {
		return err
	}
	return script.Write(o.w, fmt.Sprintf("Makes %s like the other environment, written by switchback drift. Rows are not part of it.", side), d.Delimiter())
}
