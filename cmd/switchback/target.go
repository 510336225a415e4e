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
		&cli.DurationFlag{Name: "lock-deadline", Usage: "how long a step is tried for when it gets no lock", DefaultText: "10m"},
		&cli.DurationFlag{Name: "batch-time", Usage: "how long a batch of a backfill may take", DefaultText: "50ms"},
		&cli.DurationFlag{Name: "max-lag", Usage: "how far a replica may be behind during a backfill; 0 for any", DefaultText: "10s"},
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
		return nil, &unchangedError{err: err}
	}
	return &project{config: cfg, out: newOutput(c)}, nil
}

// target is an open database with a runner for it.
type target struct {
	*project
	url      string
	db       database.Database
	runner   *migrate.Runner
	replicas []*replica
	closers  []func() error // of what a release works with
	told     *observers     // who is told what a run does
}

// openTarget opens the database that the flags name.
func openTarget(c *cli.Context, create bool) (*target, error) {
	p, err := openProject(c)
	if err != nil {
		return nil, err
	}
	env, err := p.environment(c)
	if err != nil {
		return nil, &unchangedError{err: err}
	}
	db, err := openDatabase(c.Context, env.URL, create)
	if err != nil {
		return nil, err
	}
	t := &target{project: p, url: env.URL, db: db, told: newObservers(p.out)}
	opts, err := t.options(c, env)
	if err != nil {
		t.close()
		return nil, &unchangedError{err: err}
	}
	t.runner = migrate.NewRunner(db, opts)
	return t, nil
}

// options are how the runner goes about its work, by the flags or, where those do not say, by the
// environment.
func (t *target) options(c *cli.Context, env config.Environment) (opts migrate.Options, err error) {
	opts = migrate.Options{Retries: env.Retries, TTL: c.Duration("lock-ttl"), Observer: t.told}
	if c.IsSet("retries") {
		opts.Retries = c.Int("retries")
	}
	for name, d := range map[string]struct {
		option *time.Duration
		env    time.Duration
	}{
		"lock-timeout":  {&opts.LockTimeout, env.LockTimeout},
		"lock-deadline": {&opts.LockDeadline, env.LockDeadline},
		"batch-time":    {&opts.BatchTime, env.BatchTime},
		"max-lag":       {&opts.MaxLag, env.MaxLag},
	} {
		*d.option = d.env
		if c.IsSet(name) {
			*d.option = c.Duration(name)
		}
		if *d.option < 0 {
			return opts, fmt.Errorf("--%s %s is negative", name, *d.option)
		}
	}
	if c.IsSet("max-lag") && opts.MaxLag == 0 {
		opts.MaxLag = -1
	}
	if opts.Window, err = window(c); err != nil {
		return opts, err
	}
	if opts.MaxLag < 0 {
		return opts, nil
	}
	t.replicas, err = replicas(env.Replicas)
	for _, r := range t.replicas {
		opts.Replicas = append(opts.Replicas, r)
	}
	return opts, err
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

func (t *target) close() {
	_ = t.db.Close()
	for _, r := range t.replicas {
		r.close()
	}
	for _, end := range t.closers {
		_ = end()
	}
}

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
