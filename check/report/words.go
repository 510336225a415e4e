package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/internal/noun"
	"github.com/switchbackdb/switchback/internal/webpage"
)

// printable returns a text without what would steer a terminal or turn the direction of writing.
func printable(text string) string { return webpage.Plain(text) }

// oneLine is a printable text on one line.
func oneLine(text string) string { return strings.Join(strings.Fields(printable(text)), " ") }

// where is the place of a finding as editors read it: FILE:LINE:COLUMN.
func where(p check.Place) string {
	var b strings.Builder
	if b.WriteString(oneLine(p.File)); p.File == "" {
		b.WriteString(oneLine(strings.TrimSpace(p.Change + " " + string(p.Phase))))
	}
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	return b.String()
}

// touches says what a statement would touch, in words.
func touches(t *check.Touch) string {
	var parts []string
	if t.Table != "" {
		parts = append(parts, "table "+t.Table)
	}
	if t.Lock != "" {
		parts = append(parts, "lock "+t.Lock)
	}
	if t.Rows > 0 {
		parts = append(parts, fmt.Sprintf("about %d rows", t.Rows))
	}
	if t.Bytes > 0 {
		parts = append(parts, byteSize(t.Bytes))
	}
	if t.Time > 0 {
		parts = append(parts, "about "+t.Time.Round(time.Millisecond).String())
	}
	return strings.Join(parts, ", ")
}

// byteSize is a size in the unit that fits.
func byteSize(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	size, i := float64(n), 0
	for size >= 1024 && i < len(units)-1 {
		size, i = size/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", size, units[i])
}

// summary counts the findings in one line.
func summary(r *check.Report) string {
	text := strings.Join([]string{
		noun.Counted(r.Count(check.Error), "error"), noun.Counted(r.Count(check.Warning), "warning"), noun.Counted(r.Count(check.Note), "note"),
	}, ", ")
	text += " in " + noun.Counted(len(r.Changes), "change")
	if r.Hidden > 0 {
		text += fmt.Sprintf("; %d known from the baseline", r.Hidden)
	}
	if n := len(r.Silenced); n > 0 {
		text += fmt.Sprintf("; %d silenced with a reason", n)
	}
	return text
}
