package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/switchbackdb/switchback/drivers/observer/events"
	"github.com/switchbackdb/switchback/internal/atomicfile"
	"github.com/switchbackdb/switchback/internal/webpage"
	"github.com/switchbackdb/switchback/strategies"
	"github.com/switchbackdb/switchback/strategies/board"
)

func releaseStatusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Usage: "where the newest release stands, or goes on to (--watch)",
		Flags: targetFlags(
			&cli.BoolFlag{Name: "all", Usage: "every release"},
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "follow it until it is stable or rolled back"},
			&cli.StringFlag{Name: "out", Usage: "write it to `FILE` as one HTML page; with --watch anew with each change"},
		),
		Action: releaseStatus,
	}
}

func releaseStatus(c *cli.Context) error {
	return withTarget(c, false, func(t *target) error {
		all, err := strategies.Releases(c.Context, t.runner)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			t.out.printf("no releases\n  next: switchback release start --version NAME")
			return t.out.document(map[string]any{"releases": []any{}})
		}
		newest := all[len(all)-1]
		switch file := c.String("out"); {
		case c.Bool("watch") && c.Bool("all"):
			return errors.New("--watch follows the newest release, --all shows every one\n  next: leave one of them out")
		case c.Bool("watch"):
			return t.watch(c.Context, newest, file)
		case file != "":
			if err := writeBoard(file, newest); err != nil {
				return err
			}
			t.out.line("wrote %s", file)
		}
		if !c.Bool("all") {
			all = all[len(all)-1:]
		}
		type status struct {
			*strategies.Release
			Status strategies.Status `json:"status"`
		}
		var list []status
		for _, r := range all {
			list = append(list, status{r, r.Status()})
			t.out.printRelease(r)
		}
		return t.out.document(map[string]any{"releases": list})
	})
}

func (o *output) printRelease(r *strategies.Release) {
	o.printf("release %s of %s version %s, begun %s: %s", r.Plan.Release, r.Plan.Application, r.Plan.Candidate.Name, r.Began, r.Status())
	if r.Reason != "" {
		o.printf("  turned back: %s", r.Reason)
	}
	if r.HeldFor != "" {
		o.printf("  held: %s", r.HeldFor)
	}
	if r.Plan.NoSnapshot != "" {
		o.printf("  no snapshot: %s", r.Plan.NoSnapshot)
	}
	rows := [][]string{}
	for i, s := range r.Steps {
		note := s.Note
		if note == "" && s.State == strategies.Pending {
			note = s.Kind.Does()
		}
		if first, _, cut := strings.Cut(note, "\n"); cut {
			note = first
		}
		rows = append(rows, []string{fmt.Sprintf("  %2d", i+1), s.String(), string(s.State), s.At, note})
	}
	o.table(rows)
}

// writeBoard replaces a file by a page that shows the release.
func writeBoard(file string, r *strategies.Release) error {
	var b bytes.Buffer
	if err := board.HTML(&b, r, time.Now()); err != nil {
		return err
	}
	return atomicfile.Write(file, b.Bytes(), 0o644)
}

// watchInterval is how often the journal is looked at.
const watchInterval = 250 * time.Millisecond

// watch shows a release with each change, until it is final.
func (t *target) watch(ctx context.Context, r *strategies.Release, file string) error {
	show := t.lines()
	if isTerminal(t.out.w) && !t.out.json {
		show = (&screen{w: t.out.w}).show
	}
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for known := -1; ; {
		if n := len(r.Events()); n != known {
			known = n
			if err := show(r); err != nil {
				return err
			}
			if file != "" {
				if err := writeBoard(file, r); err != nil {
					return err
				}
			}
		}
		if r.Status().Final() {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		all, err := strategies.Releases(ctx, t.runner)
		if err != nil {
			return err
		}
		for _, now := range all {
			if now.Plan.Release == r.Plan.Release {
				r = now
			}
		}
	}
}

// lines returns what prints a line for each event that has not been printed: as JSON, or for people, who see first where
// the release stands.
func (t *target) lines() func(*strategies.Release) error {
	seen := map[string]bool{}
	first := !t.out.json
	return func(r *strategies.Release) error {
		if first {
			t.out.printRelease(r)
		}
		for _, e := range r.Events() {
			if seen[e.ID] {
				continue
			}
			seen[e.ID] = true
			switch {
			case first:
			case t.out.json:
				if err := json.NewEncoder(t.out.w).Encode(e); err != nil {
					return err
				}
			default:
				t.out.printf("%s  %s", e.At, webpage.Plain(events.Text(e)))
			}
		}
		first = false
		return nil
	}
}

// screen is a terminal on which a release is drawn over what was drawn of it before.
type screen struct {
	w     io.Writer
	drawn int // lines
}

func (s *screen) show(r *strategies.Release) error {
	var b bytes.Buffer
	(&output{w: &b}).printRelease(r)
	lines := strings.Split(strings.TrimRight(webpage.Plain(b.String()), "\n"), "\n")
	if f, ok := s.w.(*os.File); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil {
			lines = fit(lines, width, height)
		}
	}
	up := ""
	if s.drawn > 0 {
		up = fmt.Sprintf("\x1b[%dA", s.drawn)
	}
	s.drawn = len(lines)
	_, err := fmt.Fprintf(s.w, "%s\r\x1b[J%s\n", up, strings.Join(lines, "\n"))
	return err
}

// fit cuts lines to a terminal's size: one that wraps, or is out of sight, cannot be drawn over. Of too many lines the
// first stays, and the last.
func fit(lines []string, width, height int) []string {
	if width < 1 || height < 3 {
		return lines
	}
	if n := len(lines); n > height-1 {
		lines = append([]string{lines[0]}, lines[n-height+2:]...)
	}
	for i, l := range lines {
		if runes := []rune(l); len(runes) >= width {
			lines[i] = string(runes[:width-1])
		}
	}
	return lines
}
