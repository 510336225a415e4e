package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/describe"
	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/source"
	"github.com/switchbackdb/switchback/graph"
	"github.com/switchbackdb/switchback/schema"
)

func schemaCommand() *cli.Command {
	filters := []cli.Flag{
		&cli.StringSliceFlag{Name: "include", Usage: "only objects like `PATTERN`, such as public.*, table:orders_*; can be repeated"},
		&cli.StringSliceFlag{Name: "exclude", Usage: "no objects like `PATTERN`; can be repeated"},
	}
	out := &cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "write to `FILE` instead of standard output"}
	return &cli.Command{
		Name:  "schema",
		Usage: "what is in a schema: to read, to keep, as a picture",
		Subcommands: []*cli.Command{
			{
				Name: "save", Usage: "write the schema of a source as schema.json, which is a source itself", ArgsUsage: "SOURCE",
				Description: sourceHelp, Flags: sourceFlags(append(filters, out)...), Action: schemaSave,
			},
			{
				Name: "show", Usage: "an overview of a source, or everything about the objects of a name", ArgsUsage: "SOURCE [OBJECT]",
				Description: sourceHelp, Flags: sourceFlags(filters...), Action: schemaShow,
			},
			{
				Name: "graph", Usage: "the tables of a source and their foreign keys, as a picture", ArgsUsage: "SOURCE",
				Description: sourceHelp, Action: schemaGraph,
				Flags: sourceFlags(append(filters, out, &cli.StringFlag{Name: "format", Value: "mermaid", Usage: "mermaid or svg"})...),
			},
		},
	}
}

// readSchema reads the source that is the first argument, without what the filters leave out.
func readSchema(c *cli.Context, most int) (*project, *source.Source, error) {
	if c.NArg() < 1 || c.NArg() > most {
		return nil, nil, fmt.Errorf("want a source, as in: switchback schema %s env:production", c.Command.Name)
	}
	p, err := openProject(c)
	if err != nil {
		return nil, nil, err
	}
	o := diff.Options{Include: c.StringSlice("include"), Exclude: c.StringSlice("exclude")}
	for _, pattern := range append(append([]string(nil), o.Include...), o.Exclude...) {
		if err := diff.CheckPattern(pattern); err != nil {
			return nil, nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
	}
	s, err := p.source(c, c.Args().First())
	if err != nil {
		return nil, nil, err
	}
	s.Database = o.Filter(s.Database)
	return p, s, nil
}

func schemaSave(c *cli.Context) error {
	p, s, err := readSchema(c, 1)
	if err != nil {
		return err
	}
	return p.write(c.String("out"), func(o *output) error { return s.Database.Save(o.w) })
}

func schemaShow(c *cli.Context) error {
	p, s, err := readSchema(c, 2)
	if err != nil {
		return err
	}
	if c.NArg() == 1 {
		if p.out.json {
			return s.Database.Save(p.out.w)
		}
		return describe.Overview(p.out.w, s.Database)
	}
	name := c.Args().Get(1)
	if err := diff.CheckPattern(name); err != nil {
		return fmt.Errorf("pattern %q: %w", name, err)
	}
	found := describe.Find(s.Database, name)
	if len(found) == 0 {
		return fmt.Errorf("%s has no object %q\n  next: switchback schema show %s", s.Name, name, s.Name)
	}
	if p.out.json {
		return p.out.document(found)
	}
	for i, f := range found {
		if i > 0 {
			p.out.printf("")
		}
		if err := describe.Full(p.out.w, f); err != nil {
			return err
		}
	}
	return nil
}

func schemaGraph(c *cli.Context) error {
	format := c.String("format")
	if format != "mermaid" && format != "svg" {
		return fmt.Errorf("unknown format %q: want mermaid or svg", format)
	}
	p, s, err := readSchema(c, 1)
	if err != nil {
		return err
	}
	if !hasTables(s.Database) {
		return errors.New(s.Name + " has no table to draw")
	}
	g := graph.New(s.Database)
	return p.write(c.String("out"), func(o *output) error {
		if format == "svg" {
			return g.SVG(o.w, s.Name)
		}
		return g.Mermaid(o.w)
	})
}

func hasTables(d *schema.Database) bool {
	for _, s := range d.Schemas {
		if len(s.Tables) > 0 {
			return true
		}
	}
	return false
}
