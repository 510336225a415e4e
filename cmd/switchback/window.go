package main

import (
	"context"
	"errors"
	"time"
	_ "time/tzdata" // the zones of --window, where the machine has none

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/migrate"
)

// windowFlags are the flags of a command that may be kept to a time of day.
func windowFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "window", Usage: "begin no step outside this `TIME` of day: 22:00-06:00, or \"22:00-06:00 Europe/Berlin\""},
		&cli.BoolFlag{Name: "wait", Usage: "wait until the window opens"},
	}
}

// window is what --window says, or nil.
func window(c *cli.Context) (*migrate.Window, error) {
	text := c.String("window")
	if text == "" {
		if c.Bool("wait") {
			return nil, errors.New("--wait waits for a window: say which, as in --window 22:00-06:00")
		}
		return nil, nil
	}
	return migrate.ParseWindow(text)
}

// inWindow makes a plan and runs it. With --wait it does so when the window opens, and goes on in the next
// one when that closes between two steps; nothing is locked meanwhile.
func (t *target) inWindow(c *cli.Context, command string, plan migrate.Planner) ([]migrate.Step, error) {
	var done []migrate.Step
	for {
		steps, err := t.runner.Run(c.Context, command, plan)
		done = append(done, steps...)
		var closed *migrate.ClosedError
		if !c.Bool("wait") || !errors.As(err, &closed) {
			return done, err
		}
		t.out.line("  … outside the window %s: waits until %s, for %s", closed.Window, closed.Opens.Format("2006-01-02 15:04 MST"), round(closed.In))
		if err := waitFor(c.Context, closed.In); err != nil {
			return done, err
		}
	}
}

// waitFor waits by the wall clock: the timers of a machine that was suspended are late.
func waitFor(ctx context.Context, d time.Duration) error {
	until := time.Now().Round(0).Add(d)
	for {
		left := time.Until(until)
		if left <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(min(left, time.Minute)):
		}
	}
}
