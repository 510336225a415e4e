package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/migrate"
)

func rollbackCommand() *cli.Command {
	return &cli.Command{
		Name:  "rollback",
		Usage: "undo the newest change, with the scripts recorded when it was applied",
		Flags: runFlags(
			&cli.BoolFlag{Name: "phase", Usage: "only its last phase"},
			&cli.StringFlag{Name: "to", Usage: "go back to `CHANGE[:PHASE]`; 0 undoes everything"},
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would run, and run nothing"},
		),
		Action: func(c *cli.Context) error {
			return withTarget(c, false, func(t *target) error {
				return t.run(c, commandLine(c), func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
					return migrate.PlanBack(s, migrate.BackOptions{LastPhase: c.Bool("phase"), To: c.String("to")})
				})
			})
		},
	}
}

func rollforwardCommand() *cli.Command {
	return &cli.Command{
		Name:  "rollforward",
		Usage: "run again what was rolled back, with the recorded scripts",
		Flags: runFlags(&cli.BoolFlag{Name: "dry-run", Usage: "say what would run, and run nothing"}),
		Action: func(c *cli.Context) error {
			return withTarget(c, false, func(t *target) error {
				return t.run(c, commandLine(c), func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
					return migrate.PlanAgain(s)
				})
			})
		},
	}
}

func resolveCommand() *cli.Command {
	return &cli.Command{
		Name:      "resolve",
		Usage:     "say what became of a step that failed half way and was mended by hand",
		ArgsUsage: "CHANGE:PHASE",
		Flags:     runFlags(&cli.StringFlag{Name: "as", Usage: "`applied` or pending"}),
		Action: func(c *cli.Context) error {
			change, phase, ok := strings.Cut(c.Args().First(), ":")
			if !ok || c.NArg() != 1 {
				return fmt.Errorf("want one CHANGE:PHASE, as in: switchback resolve 20261124093000_add_email:expand --as pending")
			}
			p, err := migrate.ParsePhase(phase)
			if err != nil {
				return err
			}
			if err := given(c, "as"); err != nil {
				return err
			}
			as := c.String("as")
			if as != "applied" && as != "pending" {
				return fmt.Errorf("--as is applied or pending, not %q", as)
			}
			t, err := openTarget(c, false)
			if err != nil {
				return err
			}
			defer t.close()
			if err := t.runner.Resolve(c.Context, change, p, as == "applied"); err != nil {
				return err
			}
			t.out.printf("%s of %s counts as %s", p, change, as)
			return t.out.document(map[string]string{"change": change, "phase": phase, "as": as})
		},
	}
}
