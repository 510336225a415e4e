package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/drivers/database"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

func atticCommand() *cli.Command {
	return &cli.Command{
		Name:  "attic",
		Usage: "what was taken away and is kept for a way back",
		Subcommands: []*cli.Command{{
			Name:   "list",
			Usage:  "the columns and tables in the attic, by which change, and when purge may remove them",
			Flags:  targetFlags(),
			Action: atticList,
		}},
	}
}

// kept is a column or table in the attic, in the JSON of attic list.
type kept struct {
	Schema  string `json:"schema"`
	Table   string `json:"table"`
	Column  string `json:"column,omitempty"`  // empty for a whole table
	Rows    int64  `json:"rows"`              // about as many as the table has
	Bytes   int64  `json:"bytes,omitempty"`   // about; of a column, where the server knows
	Change  string `json:"change,omitempty"`  // that put it there; empty when the journal knows of none
	Since   string `json:"since,omitempty"`   // when it did
	From    string `json:"purge_from"`        // when purge may remove it; empty when no purge will
	Due     bool   `json:"due"`               // whether that is now
	Problem string `json:"problem,omitempty"` // why no purge will
}

func atticList(c *cli.Context) error {
	t, err := openTarget(c, false)
	if err != nil {
		return err
	}
	defer t.close()
	list, err := t.attic(c.Context)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		t.out.printf("the attic is empty")
	}
	rows := [][]string{{"TABLE", "COLUMN", "ROWS", "SIZE", "CHANGE", "SINCE", "PURGE"}}
	for _, k := range list {
		table, size, purge := k.Table, "", "from "+k.From
		if k.Schema != "main" && k.Schema != "public" {
			table = k.Schema + "." + table
		}
		if k.Bytes > 0 {
			size = bytesText(k.Bytes)
		}
		if k.Due {
			purge = "now"
		}
		rows = append(rows, []string{table, k.Column, count(k.Rows), size, orElse(k.Change, "?"), k.Since, orElse(k.Problem, purge)})
	}
	if len(list) > 0 {
		t.out.table(rows)
	}
	return t.out.document(map[string]any{"attic": list})
}

// attic puts together what the catalogue, the journal and the folder of changes know of the attic. It can
// be looked at without the folder, or with one that is being edited.
func (t *target) attic(ctx context.Context) ([]kept, error) {
	old, err := database.Attic(ctx, t.db)
	if err != nil {
		return nil, err
	}
	sizes, err := database.Sizes(ctx, t.db)
	if err != nil {
		return nil, err
	}
	state, err := t.runner.State(ctx)
	if err != nil {
		return nil, err
	}
	clock, err := t.now(ctx)
	if err != nil {
		return nil, err
	}
	now, err := time.Parse(time.RFC3339Nano, clock)
	if err != nil {
		return nil, fmt.Errorf("read the server's clock: %w", err)
	}
	folder, err := t.folder()
	var fe *migrate.FolderError
	if err != nil && !errors.As(err, &fe) {
		return nil, err
	}
	list := []kept{}
	for _, o := range old {
		size := sizes[recipe.Table{Schema: o.Table.Schema, Name: o.Table.Name}]
		k := kept{Schema: o.Table.Schema, Table: o.Table.Name, Column: o.Column, Rows: size.Rows, Bytes: o.Bytes}
		if o.Column == "" {
			k.Bytes = size.Bytes
		}
		k.Problem = "never: the journal does not know who put it there"
		if a := t.putAway(state, o); a != nil {
			k.Change, k.Since = a.Change, a.At
			var from time.Time
			if from, k.Problem, err = purgeFrom(folder, a); err != nil {
				return nil, err
			}
			if k.Problem == "" {
				k.From, k.Due = from.UTC().Format("2006-01-02T15:04:05Z"), !from.After(now)
			}
		}
		list = append(list, k)
	}
	return list, nil
}

// purgeFrom says when purge may remove what an applied contract has put away, or why it never will.
func purgeFrom(folder *migrate.Folder, a *migrate.Applied) (from time.Time, problem string, err error) {
	retention := migrate.DefaultRetention
	if folder != nil {
		if c := folder.Change(a.Change); c != nil {
			if _, ok := c.Pair(migrate.Purge); !ok {
				return from, "never: the change has no purge.sql", nil
			}
			retention = c.Retention()
		}
	}
	at, err := time.Parse(time.RFC3339Nano, a.At)
	if err != nil {
		return from, "", fmt.Errorf("read when %s was contracted: %w", a.Change, err)
	}
	return at.Add(retention), "", nil
}

// putAway finds the phase that has put a column or table into the attic: the newest whose script renames
// something to its name, or else mentions it.
func (t *target) putAway(state *migrate.State, o database.Old) *migrate.Applied {
	name := o.Column
	if name == "" {
		name = o.Table.Name
	}
	renames := regexp.MustCompile(`(?is)\bRENAME\b.*\bTO\s+["` + "`" + `]?(?:\w+\.)?` + word(name))
	mentions, table := regexp.MustCompile(word(name)), regexp.MustCompile(word(o.Table.Name))
	for _, says := range []*regexp.Regexp{renames, mentions} {
		for _, a := range slices.Backward(state.Applied()) {
			if a.Script == nil {
				continue
			}
			statements, err := t.db.Scan(*a.Script)
			if err != nil {
				continue
			}
			if slices.ContainsFunc(statements, func(s migrate.Statement) bool {
				return says.MatchString(s.Text) && (o.Column == "" || table.MatchString(s.Text))
			}) {
				return &a
			}
		}
	}
	return nil
}

// word is a pattern for a name that is not part of a longer one.
func word(name string) string {
	return `(?:^|\b|[^\w$])` + regexp.QuoteMeta(name) + `(?:$|\b|[^\w$])`
}
