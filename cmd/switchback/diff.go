package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/drivers/source"
	"github.com/switchbackdb/switchback/internal/atomicfile"
	"github.com/switchbackdb/switchback/schema"
)

// diffFormats are the forms that a comparison can be printed in.
var diffFormats = []string{"text", "json", "sql", "markdown", "html"}

func diffCommand() *cli.Command {
	return &cli.Command{
		Name:      "diff",
		Usage:     "what differs between two schemas; exit code 2 when something does",
		ArgsUsage: "FROM TO",
		Description: sourceHelp + `

--format sql prints the script that turns FROM into TO; with --reverse, TO into FROM. It is written to
be read: each statement says why it is safe, or what is lost by it. Nothing is run.

What looks like a rename is proposed, and is one only when --rename says so:
  switchback diff --format sql --rename public.users.name=public.users.full_name env:production env:staging`,
		Flags: append(sourceFlags(
			&cli.StringFlag{Name: "format", Value: "text", Usage: strings.Join(diffFormats, ", ")},
			&cli.StringFlag{Name: "out", Usage: "write to `FILE` instead of the terminal"},
			&cli.BoolFlag{Name: "reverse", Usage: "from TO to FROM"},
			&cli.StringSliceFlag{Name: "rename", Usage: "`OLD=NEW`: a table, column, index, view or enum value has another name in TO"},
		), compareFlags()...),
		Action: runDiff,
	}
}

// compareFlags say what is compared.
func compareFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "include", Usage: "only objects that match `PATTERN`: public.orders, audit.*, table:*.tmp_*"},
		&cli.StringSliceFlag{Name: "exclude", Usage: "no objects that match `PATTERN`"},
		&cli.StringSliceFlag{Name: "kind", Usage: "only objects of `KIND`: table, view, routine, …"},
		&cli.BoolFlag{Name: "no-owners", Usage: "owners are no difference"},
		&cli.BoolFlag{Name: "no-grants", Usage: "privileges are no difference"},
		&cli.BoolFlag{Name: "no-comments", Usage: "comments are no difference"},
		&cli.BoolFlag{Name: "no-settings", Usage: "settings of the database are no difference"},
		&cli.BoolFlag{Name: "column-order", Usage: "columns in another order are a difference"},
	}
}

// compareOptions reads compareFlags.
func compareOptions(c *cli.Context) (diff.Options, error) {
	o := diff.Options{
		Include: c.StringSlice("include"), Exclude: c.StringSlice("exclude"),
		NoOwners: c.Bool("no-owners"), NoGrants: c.Bool("no-grants"), NoComments: c.Bool("no-comments"), NoSettings: c.Bool("no-settings"),
		ColumnOrder: c.Bool("column-order"),
	}
	for _, p := range append(o.Include, o.Exclude...) {
		if err := diff.CheckPattern(p); err != nil {
			return o, fmt.Errorf("pattern %q: %w", p, err)
		}
	}
	for _, k := range c.StringSlice("kind") {
		o.Kinds = append(o.Kinds, schema.Kind(k))
	}
	return o, nil
}

func runDiff(c *cli.Context) error {
	if c.NArg() != 2 {
		return errors.New("want two sources, as in: switchback diff env:staging env:production")
	}
	p, err := openProject(c)
	if err != nil {
		return err
	}
	format := c.String("format")
	if p.out.json {
		format = "json"
	}
	if !slices.Contains(diffFormats, format) {
		return fmt.Errorf("unknown format %q: want %s", format, strings.Join(diffFormats, ", "))
	}
	options, err := compareOptions(c)
	if err != nil {
		return err
	}
	names := []string{c.Args().Get(0), c.Args().Get(1)}
	if c.Bool("reverse") {
		slices.Reverse(names)
	}
	from, to, err := p.sources(c, names[0], names[1])
	if err != nil {
		return err
	}
	options = source.Options(options, from, to)
	if options.Renames, err = confirmedRenames(c, from.Database, to.Database); err != nil {
		return err
	}
	result, err := diff.Compare(from.Database, to.Database, options)
	if err != nil {
		return err
	}
	if more := askRenames(c, format, result.Proposed); len(more) > 0 {
		options.Renames = append(options.Renames, more...)
		if result, err = diff.Compare(from.Database, to.Database, options); err != nil {
			return err
		}
	}
	report := diff.NewReport(from.Name, to.Name, result, options)
	if err := p.write(c.String("out"), func(o *output) error { return printDiff(o, format, report, result) }); err != nil {
		return err
	}
	if !report.Same() {
		return findings
	}
	return nil
}

// confirmedRenames reads the flag --rename, which always says how FROM's names became those of TO.
func confirmedRenames(c *cli.Context, from, to *schema.Database) ([]diff.Rename, error) {
	reverse := c.Bool("reverse")
	if reverse {
		from, to = to, from
	}
	list, err := diff.ResolveAll(from, to, c.StringSlice("rename"))
	if err != nil {
		return nil, fmt.Errorf("--rename: %w", err)
	}
	if reverse {
		list = diff.Invert(list)
	}
	return list, nil
}

// askRenames asks a person at a terminal which of the proposed renames are ones, when a script is to be
// written: without the answer it would drop what may only have another name.
func askRenames(c *cli.Context, format string, proposed []diff.Rename) []diff.Rename {
	in, ok := c.App.Reader.(*os.File)
	if format != "sql" || !ok || !term.IsTerminal(int(in.Fd())) || !isTerminal(c.App.ErrWriter) {
		return nil
	}
	var confirmed []diff.Rename
	lines := bufio.NewScanner(in)
	for _, r := range proposed {
		fmt.Fprintf(c.App.ErrWriter, "Is %s %s now %s? (%s) [y/N] ", r.Kind, r.From, r.To, r.Evidence)
		if lines.Scan() && strings.HasPrefix(strings.ToLower(strings.TrimSpace(lines.Text())), "y") {
			confirmed = append(confirmed, r)
		}
	}
	return confirmed
}

// printDiff prints a comparison in a format.
func printDiff(o *output, format string, report diff.Report, result *diff.Result) error {
	switch format {
	case "json":
		return report.JSON(o.w)
	case "sql":
		return printScript(o, report, result)
	case "markdown":
		return report.Markdown(o.w)
	case "html":
		return report.HTML(o.w)
	}
	if o.quiet {
		return nil
	}
	return report.Text(o.w, o.color)
}

// printScript prints the script that turns the first schema of a comparison into the second.
func printScript(o *output, report diff.Report, result *diff.Result) error {
	engine := result.From.Engine
	if engine == "" {
		engine = result.To.Engine
	}
	if engine == "" {
		return nil // two empty sources
	}
	writer, err := database.Writer(engine)
	if err != nil {
		return err
	}
	script, err := writer.Script(result)
	if err != nil {
		return fmt.Errorf("write the script from %s to %s: %w", report.From.Name, report.To.Name, err)
	}
	for _, side := range []diff.Side{report.From, report.To} {
		for _, u := range side.Uncovered {
			script.Notes = append(script.Notes, fmt.Sprintf("not compared in %s: %d of kind %s (%s)", side.Name, u.Count, u.Kind, strings.Join(u.Names, ", ")))
		}
	}
	delimiter := ""
	if engine == "mysql" || engine == "mariadb" {
		delimiter = "//"
	}
	return script.Write(o.w, fmt.Sprintf("From %s to %s (%s), written by switchback diff.", report.From.Name, report.To.Name, engine), delimiter)
}

// write runs print with an output that goes to a file, where one is named. The file is there whole or not
// at all.
func (p *project) write(file string, print func(*output) error) error {
	if file == "" {
		return print(p.out)
	}
	var b bytes.Buffer
	if err := print(&output{w: &b, progress: p.out.progress, json: p.out.json}); err != nil {
		return err
	}
	if err := atomicfile.Write(file, b.Bytes(), 0o644); err != nil {
		return err
	}
	p.out.line("wrote %s", file)
	return nil
}
