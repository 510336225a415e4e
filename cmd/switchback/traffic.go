package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/strategies"
)

func trafficCommand() *cli.Command {
	return &cli.Command{
		Name:  "traffic",
		Usage: "look at what the router does, or change it by hand",
		Subcommands: []*cli.Command{
			{Name: "status", Usage: "who gets how much", Flags: outputFlags(), Action: trafficStatus},
			{
				Name: "set", Usage: "give the backends their shares; adds up to 100",
				ArgsUsage: "SLOT=SHARE… or SLOT=ADDRESS=SHARE…",
				Flags:     runFlags(), Action: trafficSet,
			},
		},
	}
}

func trafficStatus(c *cli.Context) error {
	p, err := openProject(c)
	if err != nil {
		return err
	}
	router, err := p.router()
	if err != nil {
		return err
	}
	routing, err := p.observe(c.Context, router)
	if err != nil {
		return err
	}
	p.printRouting(routing)
	return p.out.document(routing)
}

func (p *project) printRouting(routing strategies.Routing) {
	if len(routing.Backends) == 0 {
		p.out.printf("no backends\n  next: switchback release start --version NAME, or: switchback traffic set blue=HOST:PORT=100")
		return
	}
	rows := [][]string{{"SLOT", "SHARE", "ADDRESS", "VERSION", "RELEASE"}}
	for _, b := range routing.Backends {
		rows = append(rows, []string{string(b.Slot), fmt.Sprintf("%d %%", b.Weight), b.Address, b.Version, b.Release})
	}
	p.out.table(rows)
}

// trafficSet changes the routing under the target's lock, so that it never works against a release.
func trafficSet(c *cli.Context) error {
	if c.NArg() == 0 {
		return fmt.Errorf("want shares, as in: switchback traffic set blue=90 green=10")
	}
	t, err := openTarget(c, false)
	if err != nil {
		return err
	}
	defer t.close()
	router, err := t.router()
	if err != nil {
		return err
	}
	routing, err := t.observe(c.Context, router)
	if err != nil {
		return err
	}
	backends, err := shares(routing.Backends, c.Args().Slice())
	if err != nil {
		return err
	}
	command := "traffic set " + strings.Join(c.Args().Slice(), " ")
	err = t.runner.Hold(c.Context, command, func(ctx context.Context, s *migrate.Session) error {
		seq, err := s.Append(ctx, migrate.Entry{Kind: migrate.RunEntry, Action: command, Status: migrate.Started})
		if err != nil {
			return err
		}
		routing, err = router.Shift(ctx, strategies.Operation{ID: fmt.Sprintf("traffic-%d", seq), Fence: s.Fence()}, backends)
		e := migrate.Entry{Seq: seq, Status: migrate.Done}
		if err != nil {
			e.Status, e.Error = migrate.Failed, err.Error()
			err = fmt.Errorf("%w\n  next: switchback traffic status says who gets how much", err)
		}
		if ferr := s.Finish(ctx, e); err == nil {
			err = ferr
		}
		return err
	})
	if err != nil {
		return err
	}
	t.printRouting(routing)
	return t.out.document(routing)
}

// shares changes backends as the arguments say.
func shares(backends []strategies.Backend, args []string) ([]strategies.Backend, error) {
	for _, arg := range args {
		parts := strings.Split(arg, "=")
		slot := strategies.Slot(parts[0])
		weight, err := strconv.Atoi(parts[len(parts)-1])
		if err != nil || len(parts) < 2 || len(parts) > 3 {
			return nil, fmt.Errorf("%q is not SLOT=SHARE or SLOT=ADDRESS=SHARE", arg)
		}
		known := false
		for i := range backends {
			if b := &backends[i]; b.Slot == slot {
				known, b.Weight = true, weight
				if len(parts) == 3 && parts[1] != b.Address {
					*b = strategies.Backend{Slot: slot, Address: parts[1], Weight: weight}
				}
			}
		}
		switch {
		case !known && len(parts) == 3:
			backends = append(backends, strategies.Backend{Slot: slot, Address: parts[1], Weight: weight})
		case !known:
			return nil, fmt.Errorf("there is no %s behind the router: say where it is, %s=HOST:PORT=%d", slot, slot, weight)
		}
	}
	return backends, nil
}
