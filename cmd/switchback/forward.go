package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/internal/noun"
	"github.com/switchbackdb/switchback/migrate"
)

func forwardFlags(more ...cli.Flag) []cli.Flag {
	return runFlags(append([]cli.Flag{
		&cli.StringFlag{Name: "to", Usage: "the last `CHANGE` to take along"},
		&cli.BoolFlag{Name: "allow-out-of-order", Usage: "run a change although a later one is applied"},
		&cli.BoolFlag{Name: "dry-run", Usage: "say what would run, and run nothing"},
	}, more...)...)
}

func expandCommand() *cli.Command {
	return &cli.Command{
		Name: "expand", Usage: "add what the pending changes add; nothing that runs breaks",
		Flags:  forwardFlags(),
		Action: func(c *cli.Context) error { return forward(c, migrate.Expand) },
	}
}

func backfillCommand() *cli.Command {
	return &cli.Command{
		Name: "backfill", Usage: "fill what was expanded, in batches that can be interrupted",
		Flags:  forwardFlags(),
		Action: func(c *cli.Context) error { return forward(c, migrate.Backfill) },
	}
}

func contractCommand() *cli.Command {
	return &cli.Command{
		Name: "contract", Usage: "take the old away, into the attic",
		Flags:  forwardFlags(windowFlags()...),
		Action: func(c *cli.Context) error { return forward(c, migrate.Contract) },
	}
}

func upCommand() *cli.Command {
	return &cli.Command{
		Name: "up", Usage: "expand, backfill and contract the pending changes, change by change",
		Flags:  forwardFlags(windowFlags()...),
		Action: func(c *cli.Context) error { return forward(c, migrate.Expand, migrate.Backfill, migrate.Contract) },
	}
}

func purgeCommand() *cli.Command {
	return &cli.Command{
		Name:  "purge",
		Usage: "empty the attic of contracted changes; only a snapshot brings that back",
		Flags: forwardFlags(append(windowFlags(),
			&cli.BoolFlag{Name: "now", Usage: "do not wait for the end of the retention"},
			&cli.StringFlag{Name: "snapshot", Usage: "the `ID` of a snapshot that stands behind the purge; it is verified first"},
			&cli.StringFlag{Name: "no-snapshot", Usage: "purge without one, for a `REASON` that is written to the journal"},
		)...),
		Action: pointToList(purge),
	}
}

// ranStep is a step in a command's JSON.
type ranStep struct {
	Change    string            `json:"change"`
	Phase     migrate.Phase     `json:"phase"`
	Direction migrate.Direction `json:"direction"`
}

func forward(c *cli.Context, phases ...migrate.Phase) error {
	return withTarget(c, true, func(t *target) error {
		return t.forward(c, commandLine(c), migrate.ForwardOptions{Phases: phases})
	})
}

func (t *target) forward(c *cli.Context, command string, o migrate.ForwardOptions) error {
	folder, err := t.folder()
	if err != nil {
		return err
	}
	o.To, o.AllowOutOfOrder = c.String("to"), c.Bool("allow-out-of-order")
	plan := func(_ context.Context, s *migrate.State) ([]migrate.Step, error) {
		return migrate.PlanForward(folder, s, o)
	}
	if slices.Contains(o.Phases, migrate.Backfill) && !c.Bool("dry-run") {
		if err := t.follow(c.Context); err != nil {
			return err
		}
	}
	return t.run(c, command, plan)
}

// run makes a plan and runs it, or with --dry-run only shows it.
func (t *target) run(c *cli.Context, command string, plan migrate.Planner) error {
	if c.Bool("dry-run") {
		return t.dryRun(c.Context, plan)
	}
	begun := time.Now()
	steps, err := t.inWindow(c, command, plan)
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		t.out.printf("nothing to do")
	} else {
		t.out.printf("done: %s in %s", noun.Counted(len(steps), "step"), round(time.Since(begun)))
	}
	return t.out.document(map[string]any{"steps": ranSteps(steps)})
}

func (t *target) dryRun(ctx context.Context, plan migrate.Planner) error {
	state, err := t.runner.State(ctx)
	if err != nil {
		return err
	}
	if e := state.Interrupted(); e != nil {
		t.out.printf("-- first goes on with what was interrupted: %s", e.Action)
	}
	steps, err := plan(ctx, state)
	if err != nil {
		return err
	}
	for _, s := range steps {
		t.out.printf("-- %s\n%s", s, strings.TrimRight(s.Script.SQL, "\n"))
	}
	return t.out.document(map[string]any{"steps": ranSteps(steps)})
}

func ranSteps(steps []migrate.Step) []ranStep {
	out := make([]ranStep, 0, len(steps))
	for _, s := range steps {
		out = append(out, ranStep{s.Change, s.Phase, s.Direction})
	}
	return out
}

// withTarget opens the target of a command, and closes it in the end. create makes the file of an SQLite database where there
// is none, which only a command that goes forward does: the others would find nothing to do in one whose name is mistyped.
func withTarget(c *cli.Context, create bool, f func(*target) error) error {
	if c.Args().Present() {
		return fmt.Errorf("%s takes no argument %q\n  state: nothing was changed\n  next: switchback %s --help", c.Command.Name, c.Args().First(), c.Command.Name)
	}
	t, err := openTarget(c, create)
	if err != nil {
		return err
	}
	defer t.close()
	return f(t)
}

// commandLine is the command as the journal and others see it. It leaves the flags of the target out,
// which may hold a password.
func commandLine(c *cli.Context) string {
	words := []string{c.Command.Name}
	for _, name := range []string{"to", "phase", "allow-out-of-order", "now", "snapshot", "no-snapshot", "window"} {
		if c.IsSet(name) {
			words = append(words, fmt.Sprintf("--%s %v", name, c.Value(name)))
		}
	}
	return strings.Join(words, " ")
}
