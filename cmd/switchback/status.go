package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/switchbackdb/switchback/migrate"
)

// changeStatus is where one change stands, in the JSON of status.
type changeStatus struct {
	Change string                   `json:"change"`
	Phases map[migrate.Phase]string `json:"phases"` // pending, applied, interrupted
	At     string                   `json:"at,omitempty"`
	Folder bool                     `json:"in_folder"`
}

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "where each change stands on the target",
		Flags: targetFlags(),
		Action: func(c *cli.Context) error {
			t, err := openTarget(c, false)
			if err != nil {
				return err
			}
			defer t.close()
			// A database can be looked at without its folder of changes, or with one that is being edited.
			folder, ferr := t.folder()
			var fe *migrate.FolderError
			if ferr != nil && !errors.As(ferr, &fe) {
				return ferr
			}
			state, err := t.runner.State(c.Context)
			if err != nil {
				return err
			}
			statuses := statusOf(folder, state)
			t.printStatus(statuses, state)
			if ferr != nil {
				t.out.printf("\nwarning: %v", ferr)
			}
			return t.out.document(map[string]any{"engine": t.db.Dialect().Engine, "version": t.db.Version(), "changes": statuses})
		},
	}
}

func statusOf(folder *migrate.Folder, state *migrate.State) []changeStatus {
	var statuses []changeStatus
	seen := map[string]bool{}
	add := func(id string, phases []migrate.Phase, inFolder bool) {
		s := changeStatus{Change: id, Phases: map[migrate.Phase]string{}, Folder: inFolder}
		for _, p := range phases {
			s.Phases[p] = "pending"
			if a := state.Of(id, p); a != nil {
				s.Phases[p], s.At = "applied", a.At
			}
			if e := state.Interrupted(); e != nil && e.Change == id && e.Phase == p {
				s.Phases[p] = "interrupted"
			}
		}
		statuses = append(statuses, s)
		seen[id] = true
	}
	if folder != nil {
		for _, c := range folder.Changes {
			add(c.ID, c.Phases(), true)
		}
	}
	for _, id := range state.Changes() {
		if seen[id] {
			continue
		}
		var phases []migrate.Phase
		for _, a := range state.Applied() {
			if a.Change == id {
				phases = append(phases, a.Phase)
			}
		}
		add(id, phases, false)
	}
	return statuses
}

func (t *target) printStatus(statuses []changeStatus, state *migrate.State) {
	t.out.printf("%s", t.db.Version())
	if len(statuses) == 0 {
		t.out.printf("no changes\n  next: switchback new NAME")
		return
	}
	marks := map[string]string{"pending": "·", "applied": "✓", "interrupted": "!"}
	rows := [][]string{{"CHANGE", "EXPAND", "BACKFILL", "CONTRACT", "PURGE", "LAST"}}
	for _, s := range statuses {
		row := []string{s.Change}
		for _, p := range migrate.Phases() {
			row = append(row, marks[s.Phases[p]])
		}
		at := s.At
		if !s.Folder {
			at += "  (not in the folder)"
		}
		rows = append(rows, append(row, strings.TrimSpace(at)))
	}
	t.out.table(rows)
	if e := state.Interrupted(); e != nil {
		t.out.printf("\n%s was interrupted: %s\n  next: run the same command again, it goes on from there", e.Action, orElse(e.Error, "killed or cut off"))
	}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func historyCommand() *cli.Command {
	return &cli.Command{
		Name:  "history",
		Usage: "what ran on the target, when, by whom and for how long",
		Flags: targetFlags(
			&cli.StringFlag{Name: "change", Usage: "only this `CHANGE`"},
			&cli.BoolFlag{Name: "statements", Usage: "every statement too"},
		),
		Action: func(c *cli.Context) error {
			t, err := openTarget(c, false)
			if err != nil {
				return err
			}
			defer t.close()
			entries, err := t.history(c)
			if err != nil {
				return err
			}
			rows := [][]string{{"SEQ", "STARTED", "TOOK", "BY", "WHAT", "STATUS", "ROWS"}}
			for _, e := range entries {
				rows = append(rows, []string{fmt.Sprint(e.Seq), e.Started, e.Took(), e.Actor, e.Action, string(e.Status), count(e.Rows)})
			}
			t.out.table(rows)
			return t.out.document(map[string]any{"entries": entries})
		},
	}
}

func (t *target) history(c *cli.Context) ([]migrate.Entry, error) {
	journal := t.runner.Journal()
	installed, err := journal.Installed(c.Context, t.db.DB())
	if err != nil || !installed {
		return []migrate.Entry{}, err
	}
	kinds := []migrate.EntryKind{migrate.RunEntry, migrate.PhaseEntry, migrate.AdoptEntry, migrate.ReleaseEntry}
	if c.Bool("statements") {
		kinds = append(kinds, migrate.StatementEntry)
	}
	return journal.Entries(c.Context, t.db.DB(), migrate.Filter{Kinds: kinds, Change: c.String("change")})
}
