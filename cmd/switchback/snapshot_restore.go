package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/config"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/database/sqlite"
	"github.com/switchbackdb/switchback/drivers/source"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/snapshot"
)

func snapshotRestore(c *cli.Context) error {
	if name := c.String("undo"); name != "" && !c.IsSet("table") {
		return snapshotUndo(c, name)
	}
	if err := tableFlagsFit(c); err != nil {
		return err
	}
	p, store, id, err := namedSnapshot(c)
	if err != nil {
		return err
	}
	m, err := store.Manifest(c.Context, id)
	if err != nil {
		return err
	}
	if c.Bool("roles") && migrate.Engine(m.Engine) == migrate.SQLite {
		return fmt.Errorf("--roles: %w\n  state: nothing was changed\n  next: the same without --roles", snapshot.ErrNoRoles)
	}
	if c.IsSet("table") {
		return p.restoreTable(c, store, m)
	}
	if m.Backup != nil {
		return p.bring(c, m)
	}
	o, err := p.buildOptions(c)
	if err != nil {
		return err
	}
	if into := c.String("into"); into != "" {
		if c.Bool("replace") {
			return p.restoreElsewhere(c, store, m, into, o)
		}
		if c.Bool("schema-only") {
			return p.restoreSchema(c.Context, store, m, into, o)
		}
		if c.Bool("data-only") {
			m = m.DataOnly()
		}
		if c.Bool("dry-run") {
			p.out.printf("would restore %s into %s, which has to be empty: %s rows in %d tables", m.ID, source.Redact(into), count(m.Rows()), len(m.Content.Tables))
			return p.out.document(map[string]any{"id": m.ID, "rows": m.Rows(), "dry_run": true})
		}
		return p.restoreInto(c.Context, store, m, into, o)
	}
	if c.Bool("replace") {
		return errors.New("--replace goes with --into URL: without it a snapshot goes back to where it came from\n  state: nothing was changed")
	}
	return restoreOver(c, store, m, o)
}

// bring has a backup tool restore a backup of its own. What the server has to be stopped for, and where it goes, is
// the command's affair.
func (p *project) bring(c *cli.Context, m *snapshot.Manifest) error {
	tool, err := p.tool(m.Backup.Tool)
	if err != nil {
		return err
	}
	if c.String("into") != "" || c.String("mask") != "" {
		return fmt.Errorf("a backup of %s goes where its command puts it\n  state: nothing was changed\n  next: the same without --into and --mask", tool.Name)
	}
	if c.Bool("dry-run") {
		p.out.printf("would run: %s", strings.ReplaceAll(strings.Join(tool.Restore, " "), "{id}", m.Backup.ID))
		return nil
	}
	if err := tool.Bring(c.Context, m.Backup.ID); err != nil {
		return fmt.Errorf("restore snapshot %s: %w\n  state: as %s has left it; look there first", m.ID, err, tool.Name)
	}
	p.out.printf("%s has restored %s; the journal is the one that was in it\n  next: switchback status", tool.Name, m.Backup.ID)
	return p.out.document(map[string]any{"id": m.ID, "backup": m.Backup})
}

func (p *project) buildOptions(c *cli.Context) (snapshot.BuildOptions, error) {
	keys, err := identities(c)
	if err != nil {
		return snapshot.BuildOptions{}, err
	}
	rules, err := mask(c)
	return snapshot.BuildOptions{Workers: jobs(c), Keys: keys, Mask: rules, Roles: c.Bool("roles"), Progress: p.out.copied()}, err
}

// restoreOver puts a snapshot in the place of the target.
func restoreOver(c *cli.Context, store *snapshot.Store, m *snapshot.Manifest, o snapshot.BuildOptions) error {
	if o.Mask != nil {
		return errors.New("a database is not masked in its own place\n  state: nothing was changed\n  next: the same with --into URL")
	}
	return withExisting(c, func(t *target) error {
		live, err := t.live()
		if err != nil {
			return err
		}
		if err := sameDatabase(c.Context, live, m); err != nil {
			return err
		}
		if err := t.foretell(c.Context, live, store, m); err != nil || c.Bool("dry-run") {
			return err
		}
		return t.takePlace(c.Context, live, store, m, o)
	})
}

// takePlace puts a snapshot in the place of the target.
func (t *target) takePlace(ctx context.Context, live snapshot.Live, store *snapshot.Store, m *snapshot.Manifest, o snapshot.BuildOptions) error {
	var r *snapshot.Restored
	err := t.runner.Hold(ctx, "snapshot restore "+m.ID, func(ctx context.Context, s *migrate.Session) (err error) {
		r, err = store.Restore(ctx, s, live, m, migrate.Actor(), o)
		return err
	})
	if err != nil && r != nil { // the connection was lost when all was done
		return fmt.Errorf("after snapshot %s was restored: %w\n  state: the snapshot is live; the displaced database is kept as %s\n  next: switchback status", m.ID, err, r.Displaced)
	}
	if err != nil {
		return err
	}
	t.out.printf("restored %s; the displaced database is kept as %s", m.ID, r.Displaced)
	return t.printRestored(r)
}

// restoreElsewhere puts a snapshot in the place of a database that it was not taken of: staging, mostly.
func (p *project) restoreElsewhere(c *cli.Context, store *snapshot.Store, m *snapshot.Manifest, into string, o snapshot.BuildOptions) error {
	t, err := p.elsewhere(c, m, into)
	if err != nil {
		return err
	}
	defer t.close()
	live, err := t.live()
	if err != nil {
		return err
	}
	name, identity, err := live.Identity(c.Context)
	if err != nil {
		return err
	}
	if m.Of(name, identity) {
		return fmt.Errorf("--into: %s is where snapshot %s was taken of\n  state: nothing was changed\n  next: the same with --url or --env, without --into", name, m.ID)
	}
	if err := t.foretell(c.Context, live, store, m); err != nil || c.Bool("dry-run") {
		return err
	}
	o.Elsewhere = true
	return t.takePlace(c.Context, live, store, m, o)
}

// elsewhere opens a database of the snapshot's engine that --into names.
func (p *project) elsewhere(c *cli.Context, m *snapshot.Manifest, into string) (_ *target, err error) {
	url, err := p.urlOf(into)
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(c.Context, url, false)
	if err != nil {
		return nil, err
	}
	t := &target{project: p, url: url, db: db, told: newObservers(p.out)}
	opts, err := t.options(c, config.Environment{URL: url})
	if engine := db.Dialect().Engine; err == nil && string(engine) != m.Engine {
		err = fmt.Errorf("--into: a snapshot of %s does not go into %s\n  state: nothing was changed", m.Engine, engine)
	}
	if err != nil {
		t.close()
		return nil, err
	}
	t.runner = migrate.NewRunner(db, opts)
	return t, nil
}

// urlOf is the URL that an argument names, which may be env:NAME.
func (p *project) urlOf(name string) (string, error) {
	env, ok := strings.CutPrefix(name, "env:")
	if !ok {
		return name, nil
	}
	e, err := p.config.Environment(env)
	return e.URL, err
}

// withExisting opens a target that is not made where it is missing.
func withExisting(c *cli.Context, f func(*target) error) error {
	t, err := openTarget(c, false)
	if err != nil {
		return err
	}
	defer t.close()
	return f(t)
}

// sameDatabase refuses a snapshot that is of another database than the target.
func sameDatabase(ctx context.Context, live snapshot.Live, m *snapshot.Manifest) error {
	name, identity, err := live.Identity(ctx)
	if err != nil {
		return err
	}
	if m.Of(name, identity) {
		return nil
	}
	return fmt.Errorf("snapshot %s is of %s, not of %s\n  state: nothing was changed\n  next: switchback snapshot restore %s --into URL", m.ID, m.Source, name, m.ID)
}

// snapshotUndo puts a displaced database back.
func snapshotUndo(c *cli.Context, name string) error {
	if c.Args().Present() {
		return fmt.Errorf("--undo puts back what was displaced, and takes no ID\n  state: nothing was changed\n  next: switchback snapshot restore --undo %s, or switchback snapshot restore %s", name, c.Args().First())
	}
	for _, other := range []string{"dry-run", "into", "replace", "mask", "roles", "schema-only", "data-only", "merge", "as"} {
		if c.IsSet(other) {
			return fmt.Errorf("--undo puts back what was displaced, and does not go with --%s\n  state: nothing was changed", other)
		}
	}
	return withExisting(c, func(t *target) error {
		live, err := t.live()
		if err != nil {
			return err
		}
		var r *snapshot.Restored
		err = t.runner.Hold(c.Context, "snapshot restore --undo "+name, func(ctx context.Context, s *migrate.Session) error {
			r, err = snapshot.Undo(ctx, s, live, name, migrate.Actor())
			return err
		})
		if err != nil {
			return err
		}
		t.out.printf("%s is live again; the database it displaced is kept as %s", name, r.Displaced)
		return t.printRestored(r)
	})
}

func (t *target) printRestored(r *snapshot.Restored) error {
	for _, a := range r.TakenBack {
		t.out.printf("  no longer applied: %s", a)
	}
	for _, a := range r.Brought {
		t.out.printf("  applied again: %s", a)
	}
	t.out.printf("  swapped in %s\n  next: switchback status; switchback snapshot restore --undo %s takes this back", r.Swapped, r.Displaced)
	return t.out.document(r)
}

// printLoss says, by table, how many rows the live database has and how many the snapshot.
func (t *target) printLoss(ctx context.Context, m *snapshot.Manifest) error {
	rows := [][]string{{"TABLE", "ROWS NOW", "IN THE SNAPSHOT"}}
	paths := t.paths(m)
	for _, table := range m.Content.Tables {
		path, ok := paths[table.Name]
		if isOurs(table.Name) || ok && path == "" {
			continue
		}
		if !ok {
			path = t.quotePath(table.Name)
		}
		now := "missing"
		var n int64
		if err := t.db.DB().QueryRowContext(ctx, "SELECT count(*) FROM "+path).Scan(&n); err == nil {
			now = count(n)
		} else if !t.db.IsMissing(err) {
			return fmt.Errorf("count the rows of %s: %w", table.Name, err)
		}
		rows = append(rows, []string{table.Name, now, count(table.Rows)})
	}
	names, more, err := t.unknownTables(ctx, m)
	if err != nil {
		return err
	}
	for i, path := range more {
		var n int64
		if err := t.db.DB().QueryRowContext(ctx, "SELECT count(*) FROM "+path).Scan(&n); err != nil {
			return fmt.Errorf("count the rows of %s: %w", names[i], err)
		}
		rows = append(rows, []string{names[i], count(n), "missing"})
	}
	t.out.table(rows)
	return nil
}

// paths are the tables whose rows are parts of their own, as SQL names them; empty for rows that are of no
// table, such as large objects.
func (t *target) paths(m *snapshot.Manifest) map[string]string {
	paths, quote := map[string]string{}, t.db.Dialect().Quote
	for _, p := range m.Parts {
		switch {
		case p.Kind != snapshot.RowsPart:
		case p.Table == "":
			paths[p.Name] = ""
		case p.Schema != "":
			paths[p.Name] = quote(p.Schema) + "." + quote(p.Table)
		}
	}
	return paths
}

// isOurs tells whether a table of a manifest is one of ours.
func isOurs(name string) bool {
	_, last, found := strings.Cut(name, ".")
	return strings.HasPrefix(name, "switchback_") || found && (strings.HasPrefix(name, "switchback.") || strings.HasPrefix(last, "switchback_"))
}

// quotePath quotes the name of a table of a manifest.
func (t *target) quotePath(name string) string {
	d, schema, table := t.db.Dialect(), "", name
	if d.Engine == migrate.Postgres {
		schema, table, _ = strings.Cut(name, ".")
	}
	return d.QuoteTable(schema, table)
}

// restoreInto makes a new database of a snapshot.
func (p *project) restoreInto(ctx context.Context, store *snapshot.Store, m *snapshot.Manifest, url string, o snapshot.BuildOptions) error {
	url, err := p.urlOf(url)
	if err != nil {
		return err
	}
	into := p.restoreIntoServer
	if migrate.Engine(m.Engine) == migrate.SQLite {
		into = p.restoreIntoFile
		if m.Only == snapshot.OnlyData {
			into = p.restoreRowsIntoFile
		}
	}
	if err := into(ctx, store, m, url, o); err != nil {
		return err
	}
	p.out.printf("restored %s: %s rows", m.ID, count(m.Rows()))
	return p.out.document(map[string]any{"id": m.ID, "rows": m.Rows()})
}

// restoreSchema makes a new database with the schema of a snapshot, and no rows.
func (p *project) restoreSchema(ctx context.Context, store *snapshot.Store, m *snapshot.Manifest, into string, o snapshot.BuildOptions) error {
	if _, err := store.Model(ctx, m, o.Keys); errors.Is(err, snapshot.ErrNoModel) {
		return fmt.Errorf("restore the schema of snapshot %s: %w\n  state: nothing was changed\n  next: the same without --schema-only", m.ID, err)
	}
	return p.restoreInto(ctx, store, m.SchemaOnly(), into, o)
}

func (p *project) restoreIntoFile(ctx context.Context, store *snapshot.Store, m *snapshot.Manifest, url string, o snapshot.BuildOptions) (err error) {
	file, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		return fmt.Errorf("--into %q: a snapshot of %s goes into an SQLite file, sqlite:FILE\n  state: nothing was changed", source.Redact(url), m.Engine)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("--into %s: there is a file already\n  state: nothing was changed\n  next: name a file that does not exist", url)
	}
	dir, err := os.MkdirTemp(filepath.Dir(file), ".switchback-restore-")
	if err != nil {
		return fmt.Errorf("restore snapshot %s: %w", m.ID, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	copied := sqlite.NewCopy(dir)
	var site snapshot.Site = copied
	if m.Only == snapshot.OnlySchema {
		site = sqlite.SchemaCopy{Copy: copied}
	}
	if err := store.Proven(ctx, m, site, o); err != nil {
		return err
	}
	// A link, unlike a rename, fails when somebody made the file meanwhile.
	if err := os.Link(copied.File(), file); err != nil {
		return fmt.Errorf("restore snapshot %s: %w", m.ID, err)
	}
	return nil
}

// restoreRowsIntoFile puts the rows of a snapshot into an SQLite database that has the tables.
func (p *project) restoreRowsIntoFile(ctx context.Context, store *snapshot.Store, m *snapshot.Manifest, url string, o snapshot.BuildOptions) (err error) {
	file, ok := strings.CutPrefix(url, "sqlite:")
	if !ok {
		return fmt.Errorf("--into %q: a snapshot of %s goes into an SQLite file, sqlite:FILE\n  state: nothing was changed", source.Redact(url), m.Engine)
	}
	db, err := sqlite.Open(ctx, url, sqlite.Options{})
	if err != nil {
		return fmt.Errorf("%w\n  state: nothing was changed\n  next: name a file that has the tables", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	dir, err := os.MkdirTemp(filepath.Dir(file), ".switchback-restore-")
	if err != nil {
		return fmt.Errorf("restore snapshot %s: %w", m.ID, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := store.Fill(ctx, m, sqlite.NewDataCopy(dir, db), o); err != nil {
		return fmt.Errorf("restore the rows of snapshot %s into %s: %w\n  state: nothing was changed%s", m.ID, url, err, nextForRows(err))
	}
	return nil
}

// nextForRows says what to do about a database that takes no rows.
func nextForRows(err error) string {
	var unfit *snapshot.UnfitError
	switch {
	case !errors.As(err, &unfit):
		return ""
	case len(unfit.Missing) > 0:
		return "\n  next: make the schema first, with --schema-only into an empty database or with switchback up, and run the same command again"
	}
	return "\n  next: empty these tables, or name a database whose tables are empty"
}

// restoreIntoServer builds a snapshot in an empty database of a server.
func (p *project) restoreIntoServer(ctx context.Context, store *snapshot.Store, m *snapshot.Manifest, url string, o snapshot.BuildOptions) (err error) {
	db, err := openDatabase(ctx, url, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if engine := db.Dialect().Engine; string(engine) != m.Engine {
		return fmt.Errorf("--into: a snapshot of %s does not go into %s\n  state: nothing was changed", m.Engine, engine)
	}
	site, err := database.Site(db)
	if err != nil {
		return err
	}
	err = store.Fill(ctx, m, site, o)
	switch unfit := nextForRows(err); {
	case unfit != "":
		return fmt.Errorf("restore the rows of snapshot %s into %s: %w\n  state: nothing was changed%s", m.ID, source.Redact(url), err, unfit)
	case err != nil && m.Only == snapshot.OnlyData:
		return fmt.Errorf("restore the rows of snapshot %s into %s: %w\n  state: the database may hold a part of them, and misses triggers and foreign keys until all are there\n  next: run the same command again, which goes on", m.ID, source.Redact(url), err)
	case errors.As(err, new(*snapshot.NotEmptyError)):
		return fmt.Errorf("restore snapshot %s into %s: %w\n  state: nothing was changed\n  next: name an empty database; or with --replace it takes the place of that one, which is kept", m.ID, source.Redact(url), err)
	case err != nil:
		return fmt.Errorf("restore snapshot %s into %s: %w\n  state: the database may hold a part of it\n  next: drop that database, make an empty one, and run the same command again", m.ID, source.Redact(url), err)
	}
	if w, ok := site.(interface{ Warnings() []string }); ok {
		for _, text := range w.Warnings() {
			p.out.printf("  warning: %s", text)
		}
	}
	return nil
}
