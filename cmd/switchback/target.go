package main

import (
	"context"
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/migrate"
)

// outputFlags are the flags of every command.
func outputFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "json", Usage: "print JSON instead of text"},
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print errors only"},
		&cli.StringFlag{Name: "dir", Value: ".", Usage: "the project's `FOLDER`", EnvVars: []string{"SWITCHBACK_DIR"}},
	}
}

// targetFlags are the flags of a command that works on a database.
func targetFlags(more ...cli.Flag) []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "url", Usage: "the target database: sqlite:FILE, postgres://…, mysql://… or mariadb://…", EnvVars: []string{"SWITCHBACK_URL"}},
		&cli.StringFlag{Name: "env", Usage: "the target database by its `NAME` in " + config.FileName},
	}
	return append(append(flags, outputFlags()...), more...)
}

// runFlags are the flags of a command that changes a database.
func runFlags(more ...cli.Flag) []cli.Flag {
	return targetFlags(append([]cli.Flag{
		&cli.DurationFlag{Name: "lock-timeout", Usage: "how long a statement may wait for a lock", DefaultText: "2s"},
		&cli.IntFlag{Name: "retries", Usage: "how often it is tried again after that", DefaultText: "20"},
		&cli.DurationFlag{Name: "lock-ttl", Usage: "how long this run's own lock lives when it is not renewed", DefaultText: "15s"},
	}, more...)...)
}

// project is what most commands work with: the configuration and how to print.
type project struct {
	config *config.Config
	out    *output
}

func openProject(c *cli.Context) (*project, error) {
	cfg, err := config.Load(c.String("dir"))
	if err != nil {
		return nil, err
	}
	return &project{config: cfg, out: newOutput(c)}, nil
}

// target is an open database with a runner for it.
type target struct {
	*project
	db     database.Database
	runner *migrate.Runner
}

// openTarget opens the database that the flags name.
func openTarget(c *cli.Context, create bool) (*target, error) {
	p, err := openProject(c)
	if err != nil {
		return nil, err
	}
	env, err := p.environment(c)
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(c.Context, env.URL, create)
	if err != nil {
		return nil, err
	}
	opts := migrate.Options{LockTimeout: env.LockTimeout, Retries: env.Retries, TTL: c.Duration("lock-ttl"), Observer: p.out}
	if c.IsSet("lock-timeout") {
		opts.LockTimeout = c.Duration("lock-timeout")
	}
	if c.IsSet("retries") {
		opts.Retries = c.Int("retries")
	}
	return &target{project: p, db: db, runner: migrate.NewRunner(db, opts)}, nil
}

func (p *project) environment(c *cli.Context) (config.Environment, error) {
	if url := c.String("url"); url != "" {
		url, err := config.Substitute(url)
		return config.Environment{URL: url}, err
	}
	return p.config.Environment(c.String("env"))
}

// connectTimeout is how long a database may take to answer at first.
const connectTimeout = 10 * time.Second

func openDatabase(ctx context.Context, url string, create bool) (database.Database, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	db, err := database.Open(ctx, url, database.Options{Create: create})
	if err != nil {
		return nil, fmt.Errorf("%w\n  state: nothing was changed\n  next: check the URL, and that the server is up and lets you in", err)
	}
	return db, nil
}

func (t *target) close() { _ = t.db.Close() }

// folder reads the changes for the target's engine.
func (t *target) folder() (*migrate.Folder, error) {
	return migrate.LoadFolder(t.config.Changes, t.db.Dialect().Engine)
}

// now is the server's clock.
func (t *target) now(ctx context.Context) (string, error) {
	var now string
	if err := t.db.DB().QueryRowContext(ctx, "SELECT "+t.db.Dialect().Now).Scan(&now); err != nil {
		return "", fmt.Errorf("read the server's clock: %w", err)
	}
	return now, nil
}
