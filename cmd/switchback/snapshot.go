package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/database/sqlite"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

func snapshotCommand() *cli.Command {
	store := &cli.StringFlag{Name: "store", Usage: "the `FOLDER` of snapshots", DefaultText: ".switchback/snapshots"}
	return &cli.Command{
		Name:  "snapshot",
		Usage: "copies of a database, proven to be restorable",
		Subcommands: []*cli.Command{
			{
				Name: "create", Usage: "take a snapshot, and read it back",
				Flags: targetFlags(store,
					&cli.StringFlag{Name: "note", Usage: "why it is taken, for people"},
					&cli.StringFlag{Name: "verify", Usage: "and verify it up to `LEVEL` at once"}),
				Action: snapshotCreate,
			},
			{Name: "list", Usage: "the snapshots of a store", Flags: append(outputFlags(), store), Action: snapshotList},
			{Name: "show", Usage: "what is in a snapshot", ArgsUsage: "ID", Flags: append(outputFlags(), store), Action: snapshotShow},
			{
				Name: "verify", Usage: "prove that a snapshot can be restored (exit 2 when it can not)", ArgsUsage: "ID",
				Flags: append(outputFlags(), store, &cli.StringFlag{
					Name: "level", Value: string(snapshot.LevelRestored),
					Usage: "how thoroughly: present, stored, decoded, or restored in a scratch database",
				}),
				Action: snapshotVerify,
			},
			{
				Name: "restore", Usage: "put a snapshot in the place of the database it came from; the displaced one is kept", ArgsUsage: "ID",
				Flags: runFlags(store,
					&cli.StringFlag{Name: "into", Usage: "restore into a new database at `URL` instead"},
					&cli.BoolFlag{Name: "dry-run", Usage: "say what would be lost, and change nothing"}),
				Action: snapshotRestore,
			},
		},
	}
}

func (p *project) store(c *cli.Context) *snapshot.Store {
	if dir := c.String("store"); dir != "" {
		return snapshot.NewStore(dir)
	}
	return snapshot.NewStore(p.config.Snapshots.Store)
}

// snapshotID is the one argument of a command.
func snapshotID(c *cli.Context) (string, error) {
	if c.NArg() != 1 {
		return "", fmt.Errorf("want one ID, as in: switchback snapshot %s 20261124T101530Z-3f9a1c\n  next: switchback snapshot list", c.Command.Name)
	}
	return c.Args().First(), nil
}

func snapshotCreate(c *cli.Context) error {
	return withTarget(c, func(t *target) error {
		m, err := t.snapshot(c.Context, t.store(c), c.String("note"))
		if err != nil {
			return err
		}
		t.out.printf("snapshot %s: %s rows in %d tables, %s, %s", m.ID, count(m.Rows()), len(m.Content.Tables), bytesText(m.Stored()), m.Took)
		for _, b := range m.Content.Broken {
			t.out.printf("  warning: in the source already: %s", b)
		}
		if level := c.String("verify"); level != "" {
			return t.verify(c, m.ID, level)
		}
		t.out.printf("  next: switchback snapshot verify %s", m.ID)
		return t.out.document(m)
	})
}

// snapshot takes one of the target.
func (t *target) snapshot(ctx context.Context, store *snapshot.Store, note string) (*snapshot.Manifest, error) {
	engine, err := t.live()
	if err != nil {
		return nil, err
	}
	about := snapshot.About{
		Engine: string(t.db.Dialect().Engine), Version: t.db.Version(), Source: t.source(),
		Tool: "switchback " + version, Actor: migrate.Actor(), Note: note,
	}
	return store.Create(ctx, engine, about, t.out.copied())
}

// live is the target as something that can be restored over.
func (t *target) live() (snapshot.Live, error) {
	live, ok := t.db.(snapshot.Live)
	if !ok {
		return nil, fmt.Errorf("%s: %w by this version\n  state: nothing was changed\n  next: take a backup with the engine's own tool", t.db.Dialect().Engine, snapshot.ErrUnsupported)
	}
	return live, nil
}

// source names the target in a manifest.
func (t *target) source() string {
	if d, ok := t.db.(*sqlite.Database); ok {
		if path, err := filepath.Abs(d.Path()); err == nil {
			return "sqlite:" + path
		}
	}
	return string(t.db.Dialect().Engine)
}

func snapshotList(c *cli.Context) error {
	p, err := openProject(c)
	if err != nil {
		return err
	}
	list, err := p.store(c).List()
	if err != nil {
		return err
	}
	rows := [][]string{{"ID", "SOURCE", "ROWS", "STORED", "VERIFIED", "NOTE"}}
	for _, l := range list {
		if l.Manifest == nil {
			rows = append(rows, []string{l.ID, l.Problem})
			continue
		}
		m := l.Manifest
		rows = append(rows, []string{l.ID, m.Source, count(m.Rows()), bytesText(m.Stored()), verifiedText(l.Verified), m.Note})
	}
	if len(list) == 0 {
		p.out.printf("no snapshots in %s\n  next: switchback snapshot create", p.store(c).Dir())
	} else {
		p.out.table(rows)
	}
	if list == nil {
		list = []snapshot.Listed{}
	}
	return p.out.document(map[string]any{"snapshots": list})
}

func verifiedText(v *snapshot.Verification) string {
	switch {
	case v == nil:
		return "never"
	case !v.OK:
		return "DAMAGED, found " + v.At.Format(time.RFC3339)
	}
	return fmt.Sprintf("%s, %s", v.Level, v.At.Format(time.RFC3339))
}

func snapshotShow(c *cli.Context) error {
	id, err := snapshotID(c)
	if err != nil {
		return err
	}
	p, err := openProject(c)
	if err != nil {
		return err
	}
	m, err := p.store(c).Manifest(id)
	if err != nil {
		return err
	}
	history, err := p.store(c).Verifications(id)
	if err != nil {
		return err
	}
	p.out.printf("%s of %s (%s)\n  taken %s by %s in %s with %s\n  schema %s", m.ID, m.Source, m.Version, m.Created.Format(time.RFC3339), m.Actor, m.Took, m.Tool, m.Content.Fingerprint)
	if m.Note != "" {
		p.out.printf("  note: %s", m.Note)
	}
	for _, a := range m.Content.Applied {
		p.out.printf("  applied: %s of %s", a.Phase, a.Change)
	}
	for _, b := range m.Content.Broken {
		p.out.printf("  broken in the source already: %s", b)
	}
	for _, v := range history {
		p.out.printf("  verified: %s in %s %s", verifiedText(&v), v.Took, strings.Join(v.Found, "; "))
	}
	rows := [][]string{{"TABLE", "ROWS", "HASH"}}
	for _, t := range m.Content.Tables {
		rows = append(rows, []string{t.Name, count(t.Rows), t.Hash[:16]})
	}
	p.out.table(rows)
	return p.out.document(map[string]any{"manifest": m, "verifications": history})
}

func snapshotVerify(c *cli.Context) error {
	id, err := snapshotID(c)
	if err != nil {
		return err
	}
	p, err := openProject(c)
	if err != nil {
		return err
	}
	return p.verify(c, id, c.String("level"))
}

func (p *project) verify(c *cli.Context, id, levelName string) error {
	level, err := snapshot.ParseLevel(levelName)
	if err != nil {
		return err
	}
	v, err := p.verified(c.Context, p.store(c), id, level)
	if err != nil {
		return err
	}
	if v.OK {
		p.out.printf("snapshot %s is whole: %s, in %s", id, level, v.Took)
	} else {
		p.out.printf("snapshot %s is DAMAGED:\n  %s\n  next: take another one, and keep this for what can be saved of it", id, strings.Join(v.Found, "\n  "))
	}
	if err := p.out.document(v); err != nil || v.OK {
		return err
	}
	return findings
}

// verified verifies a snapshot of whatever engine.
func (p *project) verified(ctx context.Context, store *snapshot.Store, id string, level snapshot.Level) (*snapshot.Verification, error) {
	engine := migrate.SQLite
	if m, err := store.Manifest(id); err == nil {
		engine = migrate.Engine(m.Engine)
	}
	e, err := database.SnapshotEngine(engine)
	if err != nil {
		return nil, err
	}
	return store.Verify(ctx, id, level, e)
}

func snapshotRestore(c *cli.Context) error {
	id, err := snapshotID(c)
	if err != nil {
		return err
	}
	p, err := openProject(c)
	if err != nil {
		return err
	}
	store := p.store(c)
	m, err := store.Manifest(id)
	if err != nil {
		return err
	}
	if into := c.String("into"); into != "" {
		return p.restoreInto(c.Context, store, m, into)
	}
	t, err := openTarget(c, false)
	if err != nil {
		return err
	}
	defer t.close()
	live, err := t.live()
	if err != nil {
		return err
	}
	if m.Source != t.source() {
		return fmt.Errorf("snapshot %s is of %s, not of %s\n  state: nothing was changed\n  next: switchback snapshot restore %s --into URL", id, m.Source, t.source(), id)
	}
	if err := t.printLoss(c.Context, m); err != nil || c.Bool("dry-run") {
		return err
	}
	var r *snapshot.Restored
	err = t.runner.Hold(c.Context, "snapshot restore "+id, func(ctx context.Context, s *migrate.Session) error {
		r, err = store.Restore(ctx, s, live, m, migrate.Actor())
		return err
	})
	if err != nil {
		return err
	}
	t.out.printf("restored %s; the displaced database is kept as %s", id, r.Displaced)
	for _, a := range r.TakenBack {
		t.out.printf("  no longer applied: %s", a)
	}
	for _, a := range r.Brought {
		t.out.printf("  applied again: %s", a)
	}
	t.out.printf("  next: switchback status")
	return t.out.document(r)
}

// printLoss says, by table, how many rows the live database has and how many the snapshot.
func (t *target) printLoss(ctx context.Context, m *snapshot.Manifest) error {
	rows := [][]string{{"TABLE", "ROWS NOW", "IN THE SNAPSHOT"}}
	for _, table := range m.Content.Tables {
		if strings.HasPrefix(table.Name, "switchback_") {
			continue
		}
		now := "missing"
		var n int64
		if err := t.db.DB().QueryRowContext(ctx, "SELECT count(*) FROM "+t.db.Dialect().Quote(table.Name)).Scan(&n); err == nil {
			now = count(n)
		} else if !t.db.IsMissing(err) {
			return fmt.Errorf("count the rows of %s: %w", table.Name, err)
		}
		rows = append(rows, []string{table.Name, now, count(table.Rows)})
	}
	t.out.table(rows)
	return nil
}

// restoreInto makes a new database of a snapshot.
func (p *project) restoreInto(ctx context.Context, store *snapshot.Store, m *snapshot.Manifest, url string) (err error) {
	file, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		return fmt.Errorf("--into %q: a snapshot of %s goes into an SQLite file, sqlite:FILE", url, m.Engine)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--into %s: there is a file already\n  state: nothing was changed\n  next: name a file that does not exist", url)
	}
	engine, err := database.SnapshotEngine(migrate.Engine(m.Engine))
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(filepath.Dir(file), ".switchback-restore-")
	if err != nil {
		return fmt.Errorf("restore snapshot %s: %w", m.ID, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := store.Extract(ctx, m, scratch, engine); err != nil {
		return err
	}
	// A link, unlike a rename, fails when somebody made the file meanwhile.
	if err := os.Link(sqlite.SnapshotFile(scratch), file); err != nil {
		return fmt.Errorf("restore snapshot %s: %w", m.ID, err)
	}
	p.out.printf("restored %s into %s: %s rows", m.ID, url, count(m.Rows()))
	return p.out.document(map[string]any{"id": m.ID, "into": url})
}
