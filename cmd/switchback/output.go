package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"github.com/switchbackdb/switchback/migrate"
)

// output prints what a command has to say: text for people or one JSON document for programs. It is
// also the observer of a run: a line that is written over on a terminal, plain lines elsewhere.
type output struct {
	w, progress io.Writer
	json        bool
	quiet       bool
	color       bool
	terminal    bool
	last        time.Time // when progress was printed last
}

// plainInterval is how often progress is printed where lines cannot be written over.
const plainInterval = 2 * time.Second

func newOutput(c *cli.Context) *output {
	o := &output{w: c.App.Writer, progress: c.App.ErrWriter, json: c.Bool("json"), quiet: c.Bool("quiet")}
	o.terminal = isTerminal(o.progress)
	o.color = isTerminal(o.w) && os.Getenv("NO_COLOR") == ""
	return o
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// printf prints a line for people.
func (o *output) printf(format string, args ...any) {
	if !o.json && !o.quiet {
		fmt.Fprintf(o.w, format+"\n", args...)
	}
}

// document prints the JSON of a command.
func (o *output) document(v any) error {
	if !o.json {
		return nil
	}
	e := json.NewEncoder(o.w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// line prints progress.
func (o *output) line(format string, args ...any) {
	if o.quiet || o.json {
		return
	}
	fmt.Fprintf(o.progress, format+"\n", args...)
}

// StepStarted implements migrate.Observer.
func (o *output) StepStarted(migrate.Step) { o.last = time.Time{} }

// StepFinished implements migrate.Observer.
func (o *output) StepFinished(s migrate.Step, took time.Duration) {
	o.clear()
	arrow := "▸"
	if s.Direction == migrate.Back {
		arrow = "◂"
	}
	o.line("  %s %-9s %s  %s", arrow, s.Phase, s.Change, round(took))
}

// Waiting implements migrate.Observer.
func (o *output) Waiting(s migrate.Step, attempt int, pause time.Duration, blockers []migrate.Blocker) {
	o.clear()
	by := ""
	if len(blockers) > 0 {
		by = ", blocked by " + blockers[0].String()
	}
	o.line("  … %s: no lock in time%s; try %d again in %s", s, by, attempt+1, round(pause))
}

// Progress implements migrate.Observer.
func (o *output) Progress(s migrate.Step, p migrate.Progress) {
	if o.quiet || o.json {
		return
	}
	text := fmt.Sprintf("  … %s: %s of about %s rows, %s rows/s", s, count(p.Rows), count(p.Total), count(int64(p.Rate)))
	switch {
	case p.Lag != nil:
		text += ", waits for replica " + lagText(*p.Lag)
	case p.Left > 0:
		text += ", " + round(p.Left) + " left"
	}
	if p.Kept > 0 {
		text += fmt.Sprintf(", slower: %s for its locks", waitText(p.Kept))
	}
	switch {
	case o.terminal:
		fmt.Fprintf(o.progress, "\r\x1b[K%s", text)
	case time.Since(o.last) > plainInterval:
		o.last = time.Now()
		fmt.Fprintln(o.progress, text)
	}
}

// lagText says how far a replica is behind.
func lagText(l migrate.Lag) string {
	if l.Problem != "" {
		return l.Replica + ": " + l.Problem
	}
	text := fmt.Sprintf("%s, %s behind", l.Replica, round(l.Behind))
	if l.Bytes > 0 {
		text += " (" + bytesText(l.Bytes) + ")"
	}
	return text
}

func waitText(sessions int) string {
	if sessions == 1 {
		return "1 session waits"
	}
	return fmt.Sprintf("%d sessions wait", sessions)
}

// copied returns what shows how far a snapshot has come.
func (o *output) copied() func(done, total int64) {
	begun, last := time.Now(), time.Now()
	return func(done, total int64) {
		if o.quiet || o.json || !o.terminal && time.Since(last) < plainInterval || done == 0 {
			return
		}
		last = time.Now()
		left := time.Duration(float64(time.Since(begun)) / float64(done) * float64(total-done))
		end := "\n"
		if o.terminal {
			o.clear()
			end = ""
		}
		fmt.Fprintf(o.progress, "  … copied %d %%, %s left%s", 100*done/max(total, 1), round(left), end)
	}
}

// Resumed implements migrate.Observer.
func (o *output) Resumed(s migrate.Step) {
	o.line("  … %s was interrupted before: going on with it", s)
}

// clear removes a progress line from the terminal.
func (o *output) clear() {
	if o.terminal && !o.quiet && !o.json {
		fmt.Fprint(o.progress, "\r\x1b[K")
	}
}

// round shortens a duration for people.
func round(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// count writes a number with its thousands apart.
func count(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// bytesText writes a number of bytes for people.
func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}

// table prints rows with their columns aligned.
func (o *output) table(rows [][]string) {
	if o.json || o.quiet {
		return
	}
	var widths []int
	for _, r := range rows {
		for i, cell := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, r := range rows {
		var b strings.Builder
		for i, cell := range r {
			b.WriteString(cell + strings.Repeat(" ", widths[i]-len([]rune(cell))+2))
		}
		fmt.Fprintln(o.w, strings.TrimRight(b.String(), " "))
	}
}
