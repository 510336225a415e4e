package main

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/source"
)

func diffCommand() *cli.Command {
	return &cli.Command{
		Name:        "diff",
		Usage:       "what differs between two schemas; exit code 2 when something does",
		ArgsUsage:   "FROM TO",
		Description: sourceHelp,
		Flags:       sourceFlags(&cli.StringFlag{Name: "format", Value: "text", Usage: "text or json"}),
		Action: func(c *cli.Context) error {
			if c.NArg() != 2 {
				return errors.New("want two sources, as in: switchback diff env:staging env:production")
			}
			p, err := openProject(c)
			if err != nil {
				return err
			}
			format := c.String("format")
			if p.out.json {
				format = "json"
			}
			if format != "text" && format != "json" {
				return fmt.Errorf("unknown format %q: want text or json", format)
			}
			from, to, err := p.sources(c, c.Args().Get(0), c.Args().Get(1))
			if err != nil {
				return err
			}
			options := source.Options(diff.Options{}, from, to)
			result, err := diff.Compare(from.Database, to.Database, options)
			if err != nil {
				return err
			}
			report := diff.NewReport(from.Name, to.Name, result, options)
			if format == "json" {
				err = report.JSON(p.out.w)
			} else if !p.out.quiet {
				err = report.Text(p.out.w, p.out.color)
			}
			if err == nil && !report.Same() {
				return findings
			}
			return err
		},
	}
}
