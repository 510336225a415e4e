package main

import (
	"fmt"

	"filippo.io/age"
	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/backup"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

// createFlags are the flags of snapshot create alone.
func createFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "note", Usage: "why it is taken, for people"},
		&cli.StringSliceFlag{Name: "tag", Usage: "a `WORD` by which snapshots are kept, for prune"},
		&cli.StringSliceFlag{Name: "recipient", Usage: "encrypt it for the age public `KEY`; more than once for several"},
		&cli.DurationFlag{Name: "lock-timeout", Usage: "how long a lock may be waited for, and so keep writers waiting", Value: migrate.DefaultLockTimeout},
		maskFlag(),
		&cli.BoolFlag{Name: "roles", Usage: "also copy what the roles or accounts are that have rights in the database, without passwords"},
		&cli.StringFlag{Name: "tool", Usage: "have a backup taken by the tool of that `NAME` in " + config.FileName + " instead; none for ours"},
		&cli.StringFlag{Name: "verify", Usage: "and verify it up to `LEVEL` at once"},
	}
}

func snapshotCreate(c *cli.Context) error {
	if c.Args().Present() {
		return fmt.Errorf("%s takes no argument %q", c.Command.Name, c.Args().First())
	}
	return withExisting(c, func(t *target) error {
		if level := c.String("verify"); level != "" {
			if _, err := snapshot.ParseLevel(level); err != nil {
				return err
			}
		}
		store, err := t.store(c)
		if err != nil {
			return err
		}
		m, err := t.snapshot(c, store, c.String("note"))
		if err != nil {
			return err
		}
		if m.Backup != nil {
			t.out.printf("snapshot %s: backup %s of %s, %s", m.ID, m.Backup.ID, m.Backup.Tool, m.Took)
			return t.out.document(m)
		}
		t.out.printf("snapshot %s: %s rows in %d tables, %s, %s", m.ID, count(m.Rows()), len(m.Content.Tables), bytesText(m.Stored()), m.Took)
		if len(m.Content.Tables) == 0 {
			t.out.printf("  warning: the database has no table: is it the one you mean?")
		}
		for _, o := range m.Content.Omitted {
			t.out.printf("  left out: %s: %s", o.What, o.Reason)
		}
		for _, b := range m.Content.Broken {
			t.out.printf("  warning: in the source already: %s", b)
		}
		if level := c.String("verify"); level != "" {
			return t.createdAndVerified(c, store, m, level)
		}
		t.out.printf("  next: switchback snapshot verify %s", m.ID)
		return t.out.document(m)
	})
}

// createdAndVerified verifies a snapshot that was just taken, and prints both in one document.
func (t *target) createdAndVerified(c *cli.Context, store *snapshot.Store, m *snapshot.Manifest, level string) error {
	v, err := t.verify(c, store, m.ID, level, t.url)
	if err != nil {
		return err
	}
	document := struct {
		*snapshot.Manifest
		Verified *snapshot.Verification `json:"verified"`
	}{m, v}
	return t.outcome(document, v)
}

// snapshot takes one of the target.
func (t *target) snapshot(c *cli.Context, store *snapshot.Store, note string) (*snapshot.Manifest, error) {
	live, err := t.live()
	if err != nil {
		return nil, err
	}
	to, err := t.recipients(c)
	if err != nil {
		return nil, err
	}
	rules, err := mask(c)
	if err != nil {
		return nil, err
	}
	about := snapshot.About{
		Engine: string(t.db.Dialect().Engine), Version: t.db.Version(), Tool: "switchback " + version, Actor: migrate.Actor(), Note: note,
		Tags: c.StringSlice("tag"),
	}
	if about.Source, about.Identity, err = live.Identity(c.Context); err != nil {
		return nil, err
	}
	options := snapshot.CreateOptions{Workers: jobs(c), LockTimeout: c.Duration("lock-timeout"), Recipients: to, Mask: rules, Roles: c.Bool("roles"), Progress: t.out.copied()}
	if name := t.toolName(c); name != "" {
		tool, err := t.tool(name)
		if err != nil {
			return nil, err
		}
		if options.Roles {
			return nil, fmt.Errorf("a backup of %s has the roles that it has\n  state: no snapshot was made\n  next: the same without --roles, or with --tool none", name)
		}
		if rules != nil {
			return nil, fmt.Errorf("a backup of %s cannot be masked\n  state: no snapshot was made\n  next: the same with --tool none", name)
		}
		return store.Record(c.Context, live, tool, name, about, options)
	}
	return store.Create(c.Context, live, about, options)
}

// recipients are those of the flags, or of the configuration.
func (p *project) recipients(c *cli.Context) ([]snapshot.Recipient, error) {
	names := c.StringSlice("recipient")
	if len(names) == 0 {
		names = p.config.Snapshots.Recipients
	}
	var all []snapshot.Recipient
	for _, name := range names {
		r, err := age.ParseX25519Recipient(name)
		if err != nil {
			return nil, fmt.Errorf("recipient %q is no public key of age: %w\n  state: no snapshot was made\n  next: age-keygen makes a pair; the public key begins with age1", name, err)
		}
		all = append(all, snapshot.Recipient{Name: r.String(), Recipient: r})
	}
	return all, nil
}

// toolName is the backup tool that takes snapshots; empty for us.
func (p *project) toolName(c *cli.Context) string {
	name := p.config.Snapshots.Use
	if c.IsSet("tool") {
		name = c.String("tool")
	}
	if name == "none" {
		return ""
	}
	return name
}

// tool is the backup tool of that name.
func (p *project) tool(name string) (*backup.Tool, error) {
	t, ok := p.config.Snapshots.Tools[name]
	if !ok {
		return nil, fmt.Errorf("there is no tool %q in section snapshots of %s\n  state: nothing was changed\n  next: give its commands there, under tools: {%s: {create: […], verify: […]}}", name, config.FileName, name)
	}
	return &backup.Tool{Name: name, Create: t.Create, Verify: t.Verify, Restore: t.Restore}, nil
}
