package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/snapshot"
)

const pruneText = `A snapshot is kept when any rule keeps it. Periods are those of the calendar in UTC, the newest of a period is
kept, and only periods that have a snapshot count. Each database has rules of its own. Whatever the rules say: one
that is pinned is kept, the newest verified one is kept, and none is removed before a newer one, which is kept, was
verified by restoring it.`

func pruneCommand() *cli.Command {
	number := func(name, what string) cli.Flag {
		return &cli.IntFlag{Name: "keep-" + name, Usage: what + "; -1 for all", Action: func(_ *cli.Context, n int) error {
			if n < -1 {
				return fmt.Errorf("--keep-%s %d: want a number, or -1 for all\n  state: nothing was removed", name, n)
			}
			return nil
		}}
	}
	return &cli.Command{
		Name: "prune", Usage: "remove the snapshots that no rule keeps, and say why each stays or goes", Description: pruneText,
		Flags: append(outputFlags(), storeFlag(),
			number("last", "the newest `N`"), number("hourly", "the newest of each of the last `N` hours"), number("daily", "… days"),
			number("weekly", "… weeks"), number("monthly", "… months"), number("yearly", "… years"),
			&cli.StringFlag{Name: "keep-within", Usage: "all that are not older than a `TIME` before the newest, such as 36h or 14d"},
			&cli.StringSliceFlag{Name: "keep-tag", Usage: "all with the `TAG`"},
			&cli.BoolFlag{Name: "dry-run", Usage: "remove nothing"}),
		Action: snapshotPrune,
	}
}

func pinCommands() []*cli.Command {
	return []*cli.Command{
		{
			Name: "pin", Usage: "keep a snapshot from being pruned", ArgsUsage: "ID",
			Flags: append(outputFlags(), storeFlag(), &cli.StringFlag{Name: "reason", Usage: "why, for people"}),
			Action: func(c *cli.Context) error {
				if err := given(c, "reason"); err != nil {
					return err
				}
				if strings.TrimSpace(c.String("reason")) == "" {
					return errors.New("--reason is empty: say why the snapshot is kept\n  state: nothing was changed")
				}
				return pin(c, c.String("reason"))
			},
		},
		{
			Name: "unpin", Usage: "let a snapshot be pruned again", ArgsUsage: "ID", Flags: append(outputFlags(), storeFlag()),
			Action: func(c *cli.Context) error { return pin(c, "") },
		},
	}
}

// pin pins a snapshot for a reason, or takes its pin away.
func pin(c *cli.Context, reason string) error {
	p, store, id, err := namedSnapshot(c)
	if err != nil {
		return err
	}
	if reason == "" {
		err = store.Unpin(c.Context, id)
	} else {
		err = store.Pin(c.Context, id, reason)
	}
	if err != nil {
		return err
	}
	p.out.printf("%s snapshot %s", map[bool]string{true: "unpinned", false: "pinned"}[reason == ""], id)
	return p.out.document(map[string]any{"id": id, "pinned": reason})
}

// keepWithin reads a time such as 36h or 14d.
func keepWithin(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err == nil && n > 0 && n < 100_000 {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("--keep-within %q is no time: want hours or days, such as 36h or 14d", text)
	}
	return d, nil
}

func snapshotPrune(c *cli.Context) error {
	if c.Args().Present() {
		return fmt.Errorf("%s takes no argument %q\n  state: nothing was removed", c.Command.Name, c.Args().First())
	}
	p, err := openProject(c)
	if err != nil {
		return err
	}
	store, err := p.store(c)
	if err != nil {
		return err
	}
	within, err := keepWithin(c.String("keep-within"))
	if err != nil {
		return err
	}
	policy := snapshot.Policy{
		Last: c.Int("keep-last"), Hourly: c.Int("keep-hourly"), Daily: c.Int("keep-daily"), Weekly: c.Int("keep-weekly"),
		Monthly: c.Int("keep-monthly"), Yearly: c.Int("keep-yearly"), Within: within, Tags: c.StringSlice("keep-tag"),
	}
	decisions, err := store.Prune(c.Context, policy, time.Now(), c.Bool("dry-run"))
	if errors.Is(err, snapshot.ErrEmptyPolicy) {
		return fmt.Errorf("prune: %w\n  state: nothing was removed\n  next: switchback snapshot prune --keep-daily 7 --keep-weekly 4 --dry-run", err)
	}
	if err != nil {
		return err
	}
	p.printDecisions(decisions, c.Bool("dry-run"))
	if decisions == nil {
		decisions = []snapshot.Decision{}
	}
	return p.out.document(map[string]any{"snapshots": decisions, "dry_run": c.Bool("dry-run")})
}

func (p *project) printDecisions(decisions []snapshot.Decision, dryRun bool) {
	rows := [][]string{{"ID", "SOURCE", "", "WHY"}}
	removed := 0
	for _, d := range decisions {
		what := "keep"
		if !d.Keep {
			what = "remove"
			removed++
		}
		rows = append(rows, []string{d.ID, d.Source, what, strings.Join(d.Reasons, ", ")})
	}
	if len(decisions) > 0 {
		p.out.table(rows)
	}
	would := ""
	if dryRun {
		would = "would be "
	}
	p.out.printf("%d of %d snapshots %sremoved", removed, len(decisions), would)
}
