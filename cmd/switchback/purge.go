package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

// purge empties the attic. It asks for what stands behind that: a snapshot, or a reason without one.
func purge(c *cli.Context) error {
	id := c.String("snapshot")
	if id == "" && c.String("no-snapshot") == "" && !c.Bool("dry-run") {
		return errors.New("purge has no way back, so a snapshot has to stand behind it\n  state: nothing was changed\n  next: switchback snapshot create, then: switchback purge --snapshot ID; or: switchback purge --no-snapshot REASON")
	}
	return withTarget(c, false, func(t *target) error {
		if id != "" {
			if err := t.standsBehind(c, id); err != nil {
				return err
			}
		}
		o := migrate.ForwardOptions{Phases: []migrate.Phase{migrate.Purge}}
		if !c.Bool("now") {
			now, err := t.now(c.Context)
			if err != nil {
				return err
			}
			o.Now = now
		}
		return t.forward(c, commandLine(c), o)
	})
}

// standsBehind proves that the snapshot can bring back what a purge removes.
func (t *target) standsBehind(c *cli.Context, id string) error {
	store, err := t.store(c)
	if err != nil {
		return err
	}
	m, err := store.Manifest(c.Context, id)
	if err != nil {
		return err
	}
	live, err := t.live()
	if err != nil {
		return err
	}
	if err := sameDatabase(c.Context, live, m); err != nil {
		return err
	}
	v, err := t.verified(c, store, id, snapshot.LevelRestored, t.url)
	if err != nil {
		return err
	}
	if !v.OK {
		return fmt.Errorf("purge: %w\n  state: nothing was changed\n  next: switchback snapshot create", &snapshot.DamagedError{ID: id, Reason: strings.Join(v.Found, "; ")})
	}
	return nil
}
