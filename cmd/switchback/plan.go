package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/source"
	"github.com/switchbackdb/switchback/internal/atomicfile"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
	"github.com/switchbackdb/switchback/schema"
)

func planCommand() *cli.Command {
	return &cli.Command{
		Name:      "plan",
		Usage:     "write a change that runs beside both versions of the application, and comes back",
		ArgsUsage: "NAME --to SOURCE | NAME --op OPERATION… | NAME",
		Description: `Each operation becomes the scripts of its phases: expand adds the new shape, with triggers that keep
old and new in step both ways; backfill fills it in batches; contract puts the old shape into the
attic, still in step; purge empties that. All but purge have a script that takes them back.

--to plans the difference between two schemas; what an --op says of the same object, such as the
expressions of a conversion, goes before what the difference says. Renames are ones when --rename says so.

  switchback plan customers --to schema.sql --rename public.users.name=public.users.full_name

Without --to and --op, NAME is a change that is there: what its change.yaml has under operations is
planned, and the scripts are written beside it.

  switchback new full_name
  echo 'operations: ["rename column users.name full_name"]' > changes/*_full_name/change.yaml
  switchback plan full_name

Operations:
` + recipe.Usage() + `
  switchback plan full_name --op 'rename column users.name full_name' --env production

The schema the change is planned on is --from, or else that of the target.
` + sourceHelp,
		Flags: sourceFlags(
			&cli.StringFlag{Name: "to", Usage: "the `SOURCE` of the schema that is wanted"},
			&cli.StringSliceFlag{Name: "rename", Usage: "`OLD=NEW`: a table, column, index or enum value has another name in --to"},
			&cli.StringSliceFlag{Name: "allow", Usage: "`drop`: --to may drop tables, or more than a third of the columns"},
			&cli.StringSliceFlag{Name: "op", Usage: "`OPERATION` to plan; can be repeated"},
			&cli.StringFlag{Name: "from", Usage: "the `SOURCE` of the schema that the change is planned on"},
			&cli.BoolFlag{Name: "no-check", Usage: "do not try conversions on the target's rows"},
			&cli.BoolFlag{Name: "overwrite", Usage: "write the scripts of NAME anew, although it has some"},
			&cli.BoolFlag{Name: "explain", Usage: "show the scripts, write nothing"},
			&cli.StringFlag{Name: "url", Usage: "the target database: sqlite:FILE, postgres://…, mysql://… or mariadb://…", EnvVars: []string{"SWITCHBACK_URL"}},
			&cli.StringFlag{Name: "env", Usage: "the target database by its `NAME` in switchback.yaml"},
		),
		Action: runPlan,
	}
}

func runPlan(c *cli.Context) error {
	if c.NArg() != 1 {
		return errors.New("want one name, as in: switchback plan full_name --op 'rename column users.name full_name'")
	}
	p, err := openProject(c)
	if err != nil {
		return err
	}
	if c.String("to") == "" && len(c.StringSlice("op")) == 0 {
		return p.planWritten(c)
	}
	if c.Bool("overwrite") {
		return errors.New("--overwrite is for a change that is there: it goes without --to and --op")
	}
	w, err := p.wish(c)
	if err != nil {
		return err
	}
	path, err := changePath(p.config.Changes, c.Args().First(), time.Now())
	if err != nil {
		return err
	}
	return p.planTo(c, w, path, func(files []recipe.File) error { return writeChange(p.config.Changes, path, files) })
}

// planTo plans what is wanted as the change at a path, and has it written.
func (p *project) planTo(c *cli.Context, w *wish, path string, write func([]recipe.File) error) error {
	engine := migrate.Engine(w.from.Engine)
	writer, err := database.Writer(w.from.Engine)
	if err != nil {
		return fmt.Errorf("%w\n  next: say what the change is planned on, as in: --from env:production", err)
	}
	draft, err := p.draft(c, w.from, w.operations, recipe.Options{Engine: engine, Writer: writer, ID: filepath.Base(path)})
	if err != nil {
		for _, n := range w.notes { // one of them may say why
			p.out.line("note: %s", n)
		}
		return err
	}
	draft.Notes = append(w.notes, draft.Notes...)
	files, err := draftFiles(draft, engine)
	if err != nil {
		return err
	}
	if c.Bool("explain") {
		for _, f := range files {
			p.out.printf("=== %s\n%s", f.Name, f.Text)
		}
		return p.out.document(map[string]any{"files": files})
	}
	if err := write(files); err != nil {
		return err
	}
	p.out.printf("planned %s", path)
	for _, f := range files {
		p.out.printf("  %s", f.Name)
	}
	for _, n := range draft.Notes {
		p.out.printf("note: %s", n)
	}
	p.out.printf("  next: read the scripts, then: switchback expand")
	return p.out.document(map[string]any{"change": filepath.Base(path), "path": path, "notes": draft.Notes})
}

// wish is what a change is planned from.
type wish struct {
	from       *schema.Database
	operations []recipe.Operation
	notes      []string
}

// wish reads what is to be planned: operations, or the difference to a schema.
func (p *project) wish(c *cli.Context) (*wish, error) {
	if c.String("to") == "" && (len(c.StringSlice("rename")) > 0 || len(c.StringSlice("allow")) > 0) {
		return nil, errors.New("--rename and --allow go with --to")
	}
	given, err := readOperations(c.StringSlice("op"))
	if err != nil {
		return nil, err
	}
	if c.String("to") == "" {
		return p.operations(c, given)
	}
	name, err := p.plannedOn(c)
	if err != nil {
		return nil, err
	}
	return p.difference(c, name, given)
}

// operations is the wish for operations alone, on the schema that the change is planned on.
func (p *project) operations(c *cli.Context, given []recipe.Operation) (*wish, error) {
	name, err := p.plannedOn(c)
	if err != nil {
		return nil, err
	}
	s, err := p.source(c, name)
	if err != nil {
		return nil, err
	}
	return &wish{from: s.Database, operations: given}, nil
}

// plannedOn is the source of the schema that the change is planned on: --from, or the target.
func (p *project) plannedOn(c *cli.Context) (string, error) {
	if name := c.String("from"); name != "" {
		return name, nil
	}
	env, err := p.environment(c)
	return env.URL, err
}

// difference reads both schemas, and refuses one that drops much unless --allow says that it may.
func (p *project) difference(c *cli.Context, name string, given []recipe.Operation) (*wish, error) {
	for _, what := range c.StringSlice("allow") {
		if what != "drop" {
			return nil, fmt.Errorf("--allow %s: want drop", what)
		}
	}
	from, to, err := p.sources(c, name, c.String("to"))
	if err != nil {
		return nil, err
	}
	renames, err := confirmedRenames(c, from.Database, to.Database)
	if err != nil {
		return nil, err
	}
	wanted, err := recipe.Borrow(from.Database, to.Database, renames, source.Options(diff.Options{}, from, to))
	if err != nil {
		return nil, err
	}
	d, err := recipe.FromDiff(from.Database, wanted, renames, given, migrate.Engine(from.Database.Engine))
	if err != nil {
		return nil, err
	}
	for _, s := range []*source.Source{from, to} {
		for _, u := range s.Database.Uncovered {
			d.Notes = append(d.Notes, fmt.Sprintf("not planned, in %s: %d of kind %s (%s)", s.Name, u.Count, u.Kind, strings.Join(u.Names, ", ")))
		}
	}
	switch {
	case len(d.Operations) == 0:
		return nil, fmt.Errorf("nothing to plan: %s has the schema of %s already", from.Name, to.Name)
	case d.Loss.Much() && !slices.Contains(c.StringSlice("allow"), "drop"):
		return nil, fmt.Errorf("the schema of %s is without %s of %s\n  state: nothing was written\n  next: if they are to go, say --allow drop; they wait in the attic until purge", to.Name, d.Loss, from.Name)
	}
	return &wish{from: from.Database, operations: d.Operations, notes: d.Notes}, nil
}

// draft plans the operations, with the sizes of the target's tables, and tries their conversions on its rows,
// where the flags name a target.
func (p *project) draft(c *cli.Context, from *schema.Database, operations []recipe.Operation, o recipe.Options) (*recipe.Draft, error) {
	if c.String("url") == "" && c.String("env") == "" && c.String("from") != "" {
		return recipe.Plan(from, operations, o)
	}
	env, err := p.environment(c)
	if err != nil {
		return nil, err
	}
	db, err := openDatabase(c.Context, env.URL, false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	if o.Sizes, err = database.Sizes(c.Context, db); err != nil {
		return nil, err
	}
	if o.Unfinished, err = p.unfinished(c.Context, db, o.ID); err != nil {
		return nil, err
	}
	draft, err := recipe.Plan(from, operations, o)
	if err != nil || c.Bool("no-check") {
		return draft, err
	}
	notes, err := ask(c.Context, db, draft.Checks)
	for _, n := range notes {
		p.out.printf("note: %s", n)
	}
	return draft, err
}

// unfinished are the changes other than one that are not contracted on a target, with the operations that can be read.
func (p *project) unfinished(ctx context.Context, db migrate.Database, except string) ([]recipe.Unfinished, error) {
	entries, err := os.ReadDir(p.config.Changes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the changes: %w", err)
	}
	state, err := migrate.NewRunner(db, migrate.Options{}).State(ctx)
	if err != nil {
		return nil, err
	}
	var list []recipe.Unfinished
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") || e.Name() == except || state.Of(e.Name(), migrate.Contract) != nil {
			continue
		}
		meta, err := migrate.ReadMeta(filepath.Join(p.config.Changes, e.Name()))
		if err != nil {
			return nil, err
		}
		u := recipe.Unfinished{Change: e.Name()}
		for _, text := range meta.Operations {
			if op, err := recipe.Parse(text); err == nil { // what comes from a schema has no spelling
				u.Operations = append(u.Operations, op)
			}
		}
		list = append(list, u)
	}
	return list, nil
}

func readOperations(texts []string) ([]recipe.Operation, error) {
	var operations []recipe.Operation
	for _, text := range texts {
		op, err := recipe.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%w\n  state: nothing was written\n  next: switchback plan --help, for the operations there are", err)
		}
		operations = append(operations, op)
	}
	return operations, nil
}

// draftFiles are the files of a planned change, change.yaml among them.
func draftFiles(draft *recipe.Draft, engine migrate.Engine) ([]recipe.File, error) {
	meta := struct {
		Operations []string `yaml:"operations"`
	}{}
	for _, op := range draft.Operations {
		meta.Operations = append(meta.Operations, op.String())
	}
	var text bytes.Buffer
	if err := yaml.NewEncoder(&text).Encode(meta); err != nil {
		return nil, fmt.Errorf("write change.yaml: %w", err)
	}
	return append([]recipe.File{{Name: "change.yaml", Text: text.String()}}, draft.Files(engine)...), nil
}

// writeChange writes a change beside its place, and moves it there when it is whole.
func writeChange(changes, path string, files []recipe.File) error {
	if err := os.MkdirAll(changes, 0o755); err != nil {
		return fmt.Errorf("make the folder of changes: %w", err)
	}
	if err := migrate.CheckSum(changes); err != nil {
		return err
	}
	if err := writeFiles(changes, path, files); err != nil {
		return fmt.Errorf("make the change: %w\n  state: nothing was changed", err)
	}
	return migrate.WriteSum(changes)
}

func writeFiles(changes, path string, files []recipe.File) error {
	staging, err := os.MkdirTemp(changes, ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(staging) }()
	for _, f := range files {
		if err := atomicfile.Write(filepath.Join(staging, f.Name), []byte(f.Text), 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(staging, 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("%s is there already", path)
	}
	return os.Rename(staging, path)
}
