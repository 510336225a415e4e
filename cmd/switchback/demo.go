package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/cmd/switchback/demo"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "all of it in half a minute: releases that go out and come back under load, on SQLite or on containers",
		Description: `Without --on it needs nothing: SQLite, processes, and the built-in proxy. With --on it is made of containers: a
network, PostgreSQL or MySQL, and the shop's two versions, whose image is built from this binary, so that only the
database's is pulled. Everything is removed at the end, also after Ctrl-C, unless --keep says where to leave it.
On Kubernetes it makes a namespace of its own in the cluster of your kubectl, and a database of its own on a server of yours;
the nodes pull the image that you name, and no load is sent, for pods are reached inside a cluster alone.

  switchback demo
  switchback demo --on docker
  switchback demo --on swarm
  switchback demo --on nginx --database mysql
  switchback demo --on kubernetes --image registry.example.com/switchback:1 --database-url postgres://…`,
		Flags: append(outputFlags(),
			&cli.StringFlag{Name: "on", Usage: "`docker`: containers behind the built-in proxy; nginx: behind an NGINX in a container; swarm: two services of this machine's swarm behind the proxy; kubernetes: Deployments behind a Service"},
			&cli.StringFlag{Name: "database", Value: "postgres", Usage: "with --on: `postgres` or mysql"},
			&cli.StringFlag{Name: "database-image", Usage: "with --on: its `IMAGE`", DefaultText: "postgres:17, mysql:9"},
			&cli.StringFlag{Name: "nginx-image", Value: "nginx:1", Usage: "with --on nginx: the `IMAGE` of NGINX"},
			&cli.StringFlag{Name: "image", Usage: "with --on: an `IMAGE` of switchback that the engine has, instead of one made of this binary"},
			&cli.StringFlag{Name: "context", Usage: "with --on kubernetes: the `CONTEXT` of the kubeconfig", DefaultText: "the current one"},
			&cli.StringFlag{Name: "database-url", EnvVars: []string{"SWITCHBACK_DEMO_DATABASE_URL"}, Usage: "with --on kubernetes: the `URL` of a server that this machine and the pods reach, whose user may make databases"},
			&cli.StringFlag{Name: "keep", Usage: "leave the database, changes, snapshots and journal in this `FOLDER`, and with --on the containers"},
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
	result, err := runStory(c, o)
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

// runStory runs the demo on what the flags say.
func runStory(c *cli.Context, o demo.Options) (*demo.Result, error) {
	on := c.String("on")
	if on == "" {
		return demo.Run(c.Context, o)
	}
	if !slices.Contains(demo.Platforms(), on) {
		return nil, fmt.Errorf("--on %s: this version knows %s", on, strings.Join(demo.Platforms(), " and "))
	}
	t := demo.Tour{
		Options: o, On: on, Database: c.String("database"), DatabaseImage: c.String("database-image"),
		NGINXImage: c.String("nginx-image"), Image: c.String("image"), Keep: c.String("keep") != "", Context: c.String("context"), DatabaseURL: c.String("database-url"),
	}
	if t.DatabaseImage == "" {
		t.DatabaseImage = map[string]string{"postgres": "postgres:17", "mysql": "mysql:9"}[t.Database]
	}
	if t.Keep {
		if err := os.MkdirAll(o.Dir, 0o755); err != nil {
			return nil, err
		}
	}
	return t.Run(c.Context)
}

// shopCommand is the demo's application, which the demo starts.
func shopCommand() *cli.Command {
	return &cli.Command{
		Name: "shop", Usage: "the demo's application", Hidden: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "version"}, &cli.StringFlag{Name: "listen"},
			&cli.StringFlag{Name: "db", EnvVars: []string{"SHOP_DB"}},
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
