package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/check/stats"
	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

func statsCommand() *cli.Command {
	return &cli.Command{
		Name:  "stats",
		Usage: "how large a target's tables are, for lint and check where they cannot reach it",
		Subcommands: []*cli.Command{{
			Name: "save", Usage: "write the sizes of the target's tables to a file, by its statistics", ArgsUsage: "FILE",
			Description: `The file has names of tables with about how many rows and bytes each has, and no data. Take it where
the target can be reached, and give it to lint and check where it cannot:

   switchback stats save production.stats.json --env production
   switchback lint --engine postgres --target production.stats.json`,
			Flags:  targetFlags(),
			Action: saveStats,
		}},
	}
}

func saveStats(c *cli.Context) error {
	if c.NArg() != 1 {
		return errors.New("want one file, as in: switchback stats save production.stats.json --env production")
	}
	p, err := openProject(c)
	if err != nil {
		return err
	}
	env, err := p.environment(c)
	if err != nil {
		return err
	}
	s, err := readStats(c.Context, env.URL)
	if err != nil {
		return err
	}
	if err := p.write(c.Args().First(), func(o *output) error { return s.Save(o.w) }); err != nil {
		return err
	}
	return p.out.document(map[string]any{"file": c.Args().First(), "tables": len(s.Sizes)})
}

// readStats reads the statistics of a database.
func readStats(ctx context.Context, url string) (s stats.Stats, err error) {
	db, err := openDatabase(ctx, url, false)
	if err != nil {
		return s, err
	}
	defer func() { _ = db.Close() }()
	s = stats.Stats{Engine: db.Dialect().Engine, Taken: time.Now()}
	s.Sizes, err = database.Sizes(ctx, db)
	return s, err
}

// sizesFlag is the flag of a command that tells what statements would touch.
func sizesFlag() cli.Flag {
	return &cli.StringFlag{Name: "target", Usage: "where statements would run, to say what they would touch: a `FILE` of stats save, a URL, or env:NAME; its statistics are read, and that is all"}
}

// sizes reads the sizes of the tables that --target names; none without it.
func (p *project) sizes(c *cli.Context, engine migrate.Engine) (map[recipe.Table]recipe.Size, error) {
	name := c.String("target")
	if name == "" {
		return nil, nil
	}
	s, err := p.readSizes(c.Context, name)
	if err != nil {
		return nil, fmt.Errorf("--target: %w", err)
	}
	if s.Engine != engine {
		return nil, fmt.Errorf("--target: it is %s, and the changes are for %s", s.Engine, engine)
	}
	return s.Sizes, nil
}

func (p *project) readSizes(ctx context.Context, name string) (stats.Stats, error) {
	env, isEnv := strings.CutPrefix(name, "env:")
	switch {
	case isEnv:
		e, err := p.config.Environment(env)
		if err != nil {
			return stats.Stats{}, err
		}
		return readStats(ctx, e.URL)
	case strings.Contains(name, "://"), strings.HasPrefix(name, "sqlite:"):
		url, err := config.Substitute(name)
		if err != nil {
			return stats.Stats{}, err
		}
		return readStats(ctx, url)
	}
	return stats.Read(name)
}
