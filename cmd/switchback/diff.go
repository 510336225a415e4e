package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/schema"
)

// inspector is a database whose catalogue can be read into the model.
type inspector interface {
	Inspect(ctx context.Context) (*schema.Database, error)
}

func diffCommand() *cli.Command {
	return &cli.Command{
		Name:        "diff",
		Usage:       "what differs between two schemas; exit code 2 when something does",
		ArgsUsage:   "FROM TO",
		Description: `A source is a database URL, env:NAME for an environment of switchback.yaml, or empty.`,
		Flags:       append(outputFlags(), &cli.StringFlag{Name: "format", Value: "text", Usage: "text or json"}),
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
			from, err := p.source(c.Context, c.Args().Get(0))
			if err != nil {
				return err
			}
			to, err := p.source(c.Context, c.Args().Get(1))
			if err != nil {
				return err
			}
			options := diff.Options{}
			result, err := diff.Compare(from, to, options)
			if err != nil {
				return err
			}
			report := diff.NewReport(redact(c.Args().Get(0)), redact(c.Args().Get(1)), result, options)
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

// source reads the schema that a source names.
func (p *project) source(ctx context.Context, source string) (*schema.Database, error) {
	if source == "empty" {
		return &schema.Database{}, nil
	}
	if name, ok := strings.CutPrefix(source, "env:"); ok {
		env, err := p.config.Environment(name)
		if err != nil {
			return nil, err
		}
		source = env.URL
	}
	db, err := openDatabase(ctx, source, false)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	in, ok := db.(inspector)
	if !ok {
		return nil, fmt.Errorf("the catalogue of %s cannot be compared yet", db.Version())
	}
	return in.Inspect(ctx)
}

// redact takes the password out of a URL.
func redact(source string) string {
	u, err := url.Parse(source)
	if err != nil || u.User == nil {
		if strings.Contains(source, "@") {
			scheme, _, _ := strings.Cut(source, ":")
			return scheme + ":…"
		}
		return source
	}
	return u.Redacted()
}
