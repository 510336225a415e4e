package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/cmd/switchback/demo"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "all of it in half a minute: releases that go out and come back under load, on SQLite",
		Flags: append(outputFlags(),
			&cli.StringFlag{Name: "keep", Usage: "leave the database, changes, snapshots and journal in this `FOLDER`"},
			&cli.IntFlag{Name: "rate", Value: 200, Usage: "requests a second"},
			&cli.IntFlag{Name: "customers", Value: 5000, Usage: "rows to begin with"}),
		Action: runDemo,
	}
}

func runDemo(c *cli.Context) (err error) {
	out := newOutput(c)
	dir := c.String("keep")
	if dir == "" {
		if dir, err = os.MkdirTemp("", "switchback-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	} else if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("--keep %s: the folder is not empty\n  state: nothing was changed\n  next: name a new folder", dir)
	}
	if c.Int("rate") < 1 || c.Int("customers") < 1 {
		return errors.New("--rate and --customers are at least 1")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	o := demo.Options{Dir: dir, Executable: executable, Out: out.w, PerSecond: c.Int("rate"), Customers: c.Int("customers"), Tool: version}
	if out.json || out.quiet {
		o.Out = io.Discard
	}
	result, err := demo.Run(c.Context, o)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	result.Print(o)
	if err := out.document(result); err != nil {
		return err
	}
	if c.String("keep") != "" {
		out.printf(`
kept in %[1]s; look around:
  cd %[1]s
  switchback status                what is applied
  switchback history               what ran, when, by whom
  switchback release status --all  every step of every release
  switchback snapshot list         the snapshots the releases took
  switchback up                    the change again, without a release`, dir)
	}
	if result.Failed > 0 || result.Lost > 0 {
		return fmt.Errorf("demo: %d requests failed, %d rows were lost", result.Failed, result.Lost)
	}
	return nil
}

// shopCommand is the demo's application, which the demo starts.
func shopCommand() *cli.Command {
	return &cli.Command{
		Name: "shop", Usage: "the demo's application", Hidden: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "version"}, &cli.StringFlag{Name: "listen"}, &cli.StringFlag{Name: "db"},
			&cli.DurationFlag{Name: "linger", Usage: "how long it answers after it was asked to end"},
			&cli.StringFlag{Name: "probe", Usage: "ask the shop at this `URL` for its health instead"},
		},
		Action: func(c *cli.Context) error {
			if url := c.String("probe"); url != "" {
				return demo.Probe(c.Context, url)
			}
			return demo.Shop(c.Context, c.String("version"), c.String("listen"), c.String("db"), c.Duration("linger"))
		},
	}
}
