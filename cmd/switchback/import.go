package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/internal/noun"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/foreign"
)

func importCommand() *cli.Command {
	return &cli.Command{
		Name:      "import",
		Usage:     "adopt another tool's migrations, and with a target its version table",
		ArgsUsage: "DIR",
		Description: `Reads the folder of golang-migrate, goose, dbmate, Flyway or pop and writes a change for each
migration. With --url or --env the versions that the tool's table says are applied are recorded as
applied in the journal; no migration is run, and the tool's own table is left as it is. It can be
repeated: what was imported before is left alone.`,
		Flags: targetFlags(
			&cli.StringFlag{Name: "format", Usage: "whose migrations they are: golang-migrate, goose, dbmate, flyway or pop (default: found out)"},
			&cli.StringFlag{Name: "table", Usage: "the tool's version `TABLE` (default: the tool's default)"},
			placeholderFlag(),
			&cli.BoolFlag{Name: "dry-run", Usage: "say what would be done, and do nothing"},
		),
		Action: importAction,
	}
}

// importResult is the JSON of import.
type importResult struct {
	Tool    foreign.Tool       `json:"tool"`
	Changes []foreign.Imported `json:"changes"`
	Adopted []string           `json:"adopted,omitempty"`
	Notes   []string           `json:"notes,omitempty"`
	DryRun  bool               `json:"dry_run,omitempty"`
}

func importAction(c *cli.Context) error {
	if c.NArg() != 1 {
		return fmt.Errorf("want the folder of another tool's migrations, as in: switchback import db/migrations")
	}
	p, err := openProject(c)
	if err != nil {
		return err
	}
	folder, err := readForeign(c)
	if err != nil {
		return err
	}
	plan, err := foreign.Plan(folder, p.config.Changes)
	if err != nil {
		return err
	}
	result := importResult{Tool: folder.Tool, Changes: plan, Notes: folder.Notes, DryRun: c.Bool("dry-run")}
	if c.String("url") != "" || c.String("env") != "" {
		err = importInto(c, folder, &result)
	} else if !result.DryRun {
		err = foreign.Write(folder, plan, p.config.Changes)
	}
	if err != nil {
		return err
	}
	printImport(p.out, &result, p.config.Changes, c.String("url") != "" || c.String("env") != "")
	return p.out.document(result)
}

func readForeign(c *cli.Context) (*foreign.Folder, error) {
	o := foreign.Options{}
	if name := c.String("format"); name != "" {
		var err error
		if o.Tool, err = foreign.ParseTool(name); err != nil {
			return nil, err
		}
	}
	var err error
	if o.Placeholders, err = pairs(c, "placeholder"); err != nil {
		return nil, err
	}
	return foreign.Read(c.Args().First(), o)
}

// pairs reads a flag that is given as NAME=VALUE, once or more.
func pairs(c *cli.Context, flag string) (map[string]string, error) {
	values := map[string]string{}
	for _, pair := range c.StringSlice(flag) {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, fmt.Errorf("--%s %s: want NAME=VALUE", flag, pair)
		}
		values[name] = value
	}
	return values, nil
}

// importInto reads the version table before anything is written, so that a target that cannot be
// adopted leaves the folder of changes as it was.
func importInto(c *cli.Context, folder *foreign.Folder, result *importResult) error {
	t, err := openTarget(c, false)
	if err != nil {
		return err
	}
	defer t.close()
	table := c.String("table")
	if table == "" {
		table = foreign.DefaultTable(folder.Tool)
	}
	applied, err := foreign.Applied(c.Context, t.db.DB(), t.db.Dialect(), folder, result.Changes, table)
	if err != nil {
		return err
	}
	if result.DryRun {
		for _, a := range applied {
			result.Adopted = append(result.Adopted, a.Change)
		}
		return nil
	}
	if err := foreign.Write(folder, result.Changes, t.config.Changes); err != nil {
		return err
	}
	written, err := t.folder()
	if err != nil {
		return err
	}
	var changes []*migrate.Change
	for _, a := range applied {
		changes = append(changes, written.Change(a.Change))
	}
	result.Adopted, err = t.runner.Adopt(c.Context, commandLine(c), changes)
	return err
}

func printImport(out *output, r *importResult, changes string, target bool) {
	fresh, oneWay := 0, 0
	for _, i := range r.Changes {
		if !i.There {
			fresh++
			out.printf("  %-40s ◂ %s", i.Change, i.File)
		}
		if i.OneWay {
			oneWay++
		}
	}
	verb := "wrote"
	if r.DryRun {
		verb = "would write"
	}
	out.printf("%s %s to %s from %s of %s", verb, noun.Counted(fresh, "change"), changes, noun.Counted(len(r.Changes), "migration"), r.Tool)
	if oneWay > 0 {
		out.printf("%d without a script that takes it back: release wants a snapshot behind such a change", oneWay)
	}
	for _, n := range r.Notes {
		out.printf("note: %s", n)
	}
	switch {
	case target && r.DryRun:
		out.printf("would record %d of them as applied", len(r.Adopted))
	case target:
		out.printf("recorded %d of them as applied\n  next: switchback status; from now on run switchback alone on this database, not %s", len(r.Adopted), r.Tool)
	case !r.DryRun:
		out.printf("  next: where they ran already: switchback import DIR --url URL; on a new database: switchback up --url URL")
	}
}
