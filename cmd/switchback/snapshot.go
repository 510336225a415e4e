package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/scratch"
	"github.com/switchbackdb/switchback/drivers/store/s3"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

func snapshotCommand() *cli.Command {
	all := &cli.Command{
		Name:  "snapshot",
		Usage: "copies of a database, proven to be restorable",
		Subcommands: append([]*cli.Command{
			{
				Name: "create", Usage: "take a snapshot, and read it back",
				Flags:  targetFlags(append(createFlags(), storeFlags()...)...),
				Action: snapshotCreate,
			},
			{Name: "list", Usage: "the snapshots of a store", Flags: append(outputFlags(), append(listFlags(), storeFlag())...), Action: snapshotList},
			{Name: "show", Usage: "what is in a snapshot", ArgsUsage: "ID", Flags: append(outputFlags(), storeFlag()), Action: snapshotShow},
			{
				Name: "verify", Usage: "prove that a snapshot can be restored (exit 2 when it can not)", ArgsUsage: "ID",
				Flags: append(append(outputFlags(), storeFlags()...),
					&cli.StringFlag{
						Name: "level", Value: string(snapshot.LevelRestored),
						Usage: "how thoroughly: present, stored, decoded, or restored in a scratch database",
					},
					&cli.StringSliceFlag{Name: "assert", Usage: "a `QUERY` for the restored database that has to return no row; more than once for several"}),
				Action: snapshotVerify,
			},
			{
				Name: "restore", Usage: "put a snapshot in the place of the database it came from, which is kept; or one table of it beside the live one", ArgsUsage: "ID",
				Flags: runFlags(append(append(storeFlags(), tableFlags()...),
					&cli.StringFlag{Name: "into", Usage: "restore into the empty database at `URL` instead, or env:NAME; an SQLite file must not exist"},
					&cli.BoolFlag{Name: "replace", Usage: "with --into: put it in the place of what is there, which is kept; with --table: the live rows become the snapshot's"},
					maskFlag(),
					&cli.StringFlag{Name: "undo", Usage: "put back the database that a restore has displaced, by the `NAME` under which it is kept"},
					&cli.BoolFlag{Name: "dry-run", Usage: "say what would be lost, and change nothing"})...),
				Action: snapshotRestore,
			},
			snapshotDiffCommand(),
			pruneCommand(),
		}, pinCommands()...),
	}
	for _, c := range all.Subcommands {
		c.Action = pointToList(c.Action)
		if strings.HasPrefix(c.ArgsUsage, "ID") {
			c.Description = latestHelp
		}
	}
	return all
}

const latestHelp = `The ID ` + latest + ` is the newest snapshot of the store that is not known to be damaged; restore takes the newest of the
database that it restores over.`

// pointToList has a command that is given the ID of a snapshot say where the IDs are, when the store has none of it.
func pointToList(run cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		err := run(c)
		if !errors.Is(err, snapshot.ErrNotFound) || strings.Contains(err.Error(), "\n  next: ") {
			return err
		}
		next := "switchback snapshot list"
		if c.IsSet("store") {
			next += " --store " + c.String("store")
		}
		return fmt.Errorf("%w\n  next: %s", err, next)
	}
}

// listFlags leave out of a list what is of another database. The environment does not name it: a list is wanted most
// when there is no database to ask.
func listFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "url", Usage: "only those of the database at `URL`"},
		&cli.StringFlag{Name: "env", Usage: "only those of the database of that `NAME` in " + config.FileName},
	}
}

func storeFlag() cli.Flag {
	return &cli.StringFlag{Name: "store", Usage: "where snapshots are: a `FOLDER`, or s3://BUCKET/PREFIX", DefaultText: ".switchback/snapshots"}
}

// storeFlags are the flags of a command that reads or writes the data of snapshots.
func storeFlags() []cli.Flag {
	return []cli.Flag{
		storeFlag(),
		&cli.StringSliceFlag{Name: "identity", Usage: "`FILE` with the age identity that opens an encrypted snapshot", EnvVars: []string{"SWITCHBACK_IDENTITY"}},
		&cli.IntFlag{Name: "jobs", Usage: "how many tables, or pieces of a table, are read or written side by side", DefaultText: "as many as there are cores, 4 at most", Action: func(_ *cli.Context, n int) error {
			if n < 1 {
				return fmt.Errorf("--jobs %d: want at least 1\n  state: nothing was done", n)
			}
			return nil
		}},
		&cli.StringFlag{Name: "scratch", Usage: "where a snapshot is restored to prove it: the `URL` of a server where databases may be created, or docker:IMAGE", EnvVars: []string{"SWITCHBACK_SCRATCH"}},
	}
}

func (p *project) store(c *cli.Context) (*snapshot.Store, error) {
	name := c.String("store")
	if name == "" {
		name = p.config.Snapshots.Store
	}
	return openStore(name)
}

// openStore opens the store that a --store names.
func openStore(name string) (*snapshot.Store, error) {
	if !strings.HasPrefix(name, "s3:") {
		if scheme, _, is := strings.Cut(name, "://"); is {
			return nil, fmt.Errorf("the store of snapshots: there is none of the kind %q\n  next: name a folder, or s3://BUCKET/PREFIX", scheme)
		}
		return snapshot.NewStore(snapshot.Folder(name)), nil
	}
	bucket, err := s3.Open(name)
	if err != nil {
		return nil, fmt.Errorf("the store of snapshots: %w", err)
	}
	return snapshot.NewStore(bucket), nil
}

// jobs is how many workers a snapshot has.
func jobs(c *cli.Context) int {
	if n := c.Int("jobs"); n > 0 {
		return n
	}
	return min(runtime.NumCPU(), 4)
}

// identities reads the files that --identity names.
func identities(c *cli.Context) ([]age.Identity, error) {
	var all []age.Identity
	for _, name := range c.StringSlice("identity") {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("--identity %s: there is no such file\n  next: age-keygen makes one; what it prints as the public key is the recipient", name)
		}
		if err != nil {
			return nil, fmt.Errorf("--identity: %w", err)
		}
		list, err := age.ParseIdentities(f)
		_ = f.Close()
		if err != nil {
			return nil, fmt.Errorf("--identity %s holds no age identity: %w", name, err)
		}
		all = append(all, list...)
	}
	return all, nil
}

// snapshotID is the one argument of a command.
func snapshotID(c *cli.Context) (string, error) {
	if c.NArg() != 1 {
		return "", fmt.Errorf("want one ID, as in: switchback snapshot %s 20261124T101530Z-3f9a1c\n  next: switchback snapshot list", c.Command.Name)
	}
	return c.Args().First(), nil
}

// namedSnapshot is the snapshot that a command's one argument names, with the project and the store that has it.
func namedSnapshot(c *cli.Context) (p *project, store *snapshot.Store, id string, err error) {
	if id, err = snapshotID(c); err != nil {
		return nil, nil, "", err
	}
	if p, err = openProject(c); err != nil {
		return nil, nil, "", err
	}
	if store, err = p.store(c); err != nil {
		return nil, nil, "", err
	}
	id, err = p.snapshotNamed(c, store, id)
	return p, store, id, err
}

// latest names the newest snapshot that is not known to be damaged.
const latest = "latest"

// snapshotNamed is the ID of what a user calls a snapshot. The latest is that of the database that the flags name, or that
// would be restored over; else of all that the store has.
func (p *project) snapshotNamed(c *cli.Context, store *snapshot.Store, name string) (string, error) {
	if name != latest {
		return name, nil
	}
	list, err := store.List(c.Context)
	if err != nil {
		return "", err
	}
	if over := c.Command.Name == "restore" && c.String("into") == ""; over || namesDatabase(c) {
		if list, err = p.ofDatabase(c, list); err != nil {
			return "", err
		}
	}
	for _, l := range slices.Backward(list) {
		if l.Manifest != nil && (l.Verified == nil || l.Verified.OK || l.Verified.OnlyAsserted()) {
			return l.ID, nil
		}
	}
	return "", fmt.Errorf("there is no %s snapshot in %s: none was finished that is not known to be damaged\n  next: switchback snapshot list", latest, store)
}

// namesDatabase tells whether the flags of a command name one.
func namesDatabase(c *cli.Context) bool { return c.String("url") != "" || c.String("env") != "" }

// live is the target as something that can be restored over.
func (t *target) live() (snapshot.Live, error) {
	live, ok := t.db.(snapshot.Live)
	if !ok {
		return nil, fmt.Errorf("%s: %w by this version\n  state: nothing was changed\n  next: take a backup with the engine's own tool", t.db.Dialect().Engine, snapshot.ErrUnsupported)
	}
	return live, nil
}

func snapshotList(c *cli.Context) error {
	p, err := openProject(c)
	if err != nil {
		return err
	}
	store, err := p.store(c)
	if err != nil {
		return err
	}
	list, err := store.List(c.Context)
	if err != nil {
		return err
	}
	if namesDatabase(c) {
		if list, err = p.ofDatabase(c, list); err != nil {
			return err
		}
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
		p.out.printf("no snapshots in %s\n  next: switchback snapshot create", store)
	} else {
		p.out.table(rows)
	}
	documents := make([]listedDocument, 0, len(list))
	for _, l := range list {
		documents = append(documents, documentOf(l))
	}
	return p.out.document(map[string]any{"snapshots": documents})
}

// listedDocument is the JSON of a snapshot in a list: what a script chooses one by.
type listedDocument struct {
	snapshot.Listed
	Created *time.Time `json:"created,omitempty"` // this and what follows it: of a snapshot that was finished
	Source  string     `json:"source,omitempty"`
	Engine  string     `json:"engine,omitempty"`
	Rows    int64      `json:"rows"`
	Stored  int64      `json:"stored_bytes"`
	Note    string     `json:"note,omitempty"`
	Tags    []string   `json:"tags,omitempty"`
}

func documentOf(l snapshot.Listed) listedDocument {
	m := l.Manifest
	if m == nil {
		return listedDocument{Listed: l}
	}
	return listedDocument{
		Listed: l, Created: &m.Created, Source: m.Source, Engine: m.Engine, Rows: m.Rows(), Stored: m.Stored(), Note: m.Note, Tags: m.Tags,
	}
}

// ofDatabase are the snapshots of the target. One that was never finished does not say what it is of.
func (p *project) ofDatabase(c *cli.Context, list []snapshot.Listed) ([]snapshot.Listed, error) {
	env, err := p.environment(c)
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(c.Context, env.URL, false)
	if err != nil {
		return nil, err
	}
	t := &target{project: p, url: env.URL, db: db}
	defer t.close()
	live, err := t.live()
	if err != nil {
		return nil, err
	}
	name, identity, err := live.Identity(c.Context)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(l snapshot.Listed) bool { return l.Manifest != nil && !l.Manifest.Of(name, identity) }), nil
}

func verifiedText(v *snapshot.Verification) string {
	switch {
	case v == nil:
		return "never"
	case !v.OK && v.OnlyAsserted():
		return "an assertion does not hold, found " + v.At.Format(time.RFC3339)
	case !v.OK:
		return "DAMAGED, found " + v.At.Format(time.RFC3339)
	}
	return fmt.Sprintf("%s, %s", v.Level, v.At.Format(time.RFC3339))
}

func snapshotShow(c *cli.Context) error {
	p, store, id, err := namedSnapshot(c)
	if err != nil {
		return err
	}
	m, err := store.Manifest(c.Context, id)
	if err != nil {
		return err
	}
	history, err := store.Verifications(c.Context, id)
	if err != nil {
		return err
	}
	p.out.printf("%s of %s (%s)\n  taken %s by %s in %s with %s\n  schema %s", m.ID, m.Source, m.Version, m.Created.Format(time.RFC3339), m.Actor, m.Took, m.Tool, m.Content.Fingerprint)
	p.showContent(m)
	for _, v := range history {
		p.out.printf("  verified: %s in %s %s", verifiedText(&v), v.Took, strings.Join(v.Found, "; "))
	}
	rows := [][]string{{"TABLE", "ROWS", "HASH"}}
	for _, t := range m.Content.Tables {
		rows = append(rows, []string{t.Name, count(t.Rows), t.Hash[:min(16, len(t.Hash))]})
	}
	p.out.table(rows)
	return p.out.document(map[string]any{"manifest": m, "verifications": history})
}

// showContent prints what a manifest says besides its tables.
func (p *project) showContent(m *snapshot.Manifest) {
	line := func(name, text string) {
		if text != "" {
			p.out.printf("  %s: %s", name, text)
		}
	}
	line("note", m.Note)
	line("tags", strings.Join(m.Tags, ", "))
	line("encrypted for", strings.Join(m.Recipients, ", "))
	line("masked", m.Masked)
	if m.Backup != nil {
		line("backup of "+m.Backup.Tool, m.Backup.ID)
	}
	line("read", m.Content.Method)
	line("locked", m.Content.Locked)
	for _, name := range slices.Sorted(maps.Keys(m.Content.Position)) {
		line(name, m.Content.Position[name])
	}
	for _, a := range m.Content.Applied {
		line("applied", fmt.Sprintf("%s of %s", a.Phase, a.Change))
	}
	for _, o := range m.Content.Omitted {
		line("left out", o.What+": "+o.Reason)
	}
	for _, b := range m.Content.Broken {
		line("broken in the source already", b)
	}
}

func snapshotVerify(c *cli.Context) error {
	p, store, id, err := namedSnapshot(c)
	if err != nil {
		return err
	}
	if level := c.String("level"); c.IsSet("assert") && level != string(snapshot.LevelRestored) {
		return fmt.Errorf("--assert asks the restored database, and --level %s restores none\n  state: nothing was done\n  next: the same with --level restored", level)
	}
	v, err := p.verify(c, store, id, c.String("level"), "")
	if err != nil {
		return err
	}
	return p.outcome(v, v)
}

// verify verifies a snapshot and says the outcome. The scratch is where databases can be made when the
// flags name no place.
func (p *project) verify(c *cli.Context, store *snapshot.Store, id, levelName, scratch string) (*snapshot.Verification, error) {
	level, err := snapshot.ParseLevel(levelName)
	if err != nil {
		return nil, err
	}
	v, err := p.verified(c, store, id, level, scratch)
	if errors.Is(err, snapshot.ErrNoKey) {
		return nil, fmt.Errorf("%w\n  state: nothing was changed\n  next: the same with --identity FILE, or with --level stored, which needs no key", err)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case v.OK:
		p.out.printf("snapshot %s is whole: %s, in %s", id, level, v.Took)
	case v.OnlyAsserted():
		p.out.printf("snapshot %s is whole, but not as it was said to be:\n  %s\n  next: look at the database it was taken of, or at the query", id, strings.Join(v.Found, "\n  "))
	default:
		p.out.printf("snapshot %s is DAMAGED:\n  %s\n  next: take another one, and keep this for what can be saved of it", id, strings.Join(v.Found, "\n  "))
	}
	return v, nil
}

// outcome prints the JSON of a command that has verified a snapshot, and ends it with what was found.
func (p *project) outcome(document any, v *snapshot.Verification) error {
	if err := p.out.document(document); err != nil || v.OK {
		return err
	}
	return findings
}

// verified verifies a snapshot of whatever engine.
func (p *project) verified(c *cli.Context, store *snapshot.Store, id string, level snapshot.Level, place string) (*snapshot.Verification, error) {
	keys, err := identities(c)
	if err != nil {
		return nil, err
	}
	if named := c.String("scratch"); named != "" {
		place = named
	}
	var backups snapshot.BackupTool
	if m, err := store.Manifest(c.Context, id); err == nil && m.Backup != nil {
		if backups, err = p.tool(m.Backup.Tool); err != nil {
			return nil, err
		}
	}
	return store.Verify(c.Context, id, level, snapshot.VerifyOptions{
		Backups: backups,
		Workers: jobs(c), Keys: keys, Asserts: append(slices.Clone(p.config.Snapshots.Asserts), c.StringSlice("assert")...),
		Scratch: func(ctx context.Context, m *snapshot.Manifest) (snapshot.Site, func() error, error) {
			made, err := scratch.NewPlace(ctx, place, migrate.Engine(m.Engine), scratch.Options{Progress: func(text string) { p.out.line("  … %s", text) }})
			if err != nil {
				return nil, nil, err
			}
			return made.Site, made.Close, nil
		},
	})
}
