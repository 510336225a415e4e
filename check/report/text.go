package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/switchbackdb/switchback/check"
)

// writeText writes a report for a terminal.
func writeText(w io.Writer, r *check.Report) error {
	var b strings.Builder
	for _, f := range r.Findings() {
		fmt.Fprintf(&b, "%s: %s: %s [%s]\n", where(f.Place), f.Severity, oneLine(f.Message), f.Rule)
		detail(&b, "statement", oneLine(f.Place.Text))
		detail(&b, "why", oneLine(f.Why))
		if f.Touches != nil {
			detail(&b, "touches", oneLine(touches(f.Touches)))
		}
		detail(&b, "instead", printable(f.Rewrite))
		detail(&b, "evidence", printable(f.Evidence))
		b.WriteString("\n")
	}
	for _, s := range r.Silenced {
		fmt.Fprintf(&b, "silenced: %s: %s: %s\n", where(s.Finding.Place), s.Finding.Rule, oneLine(s.Reason))
	}
	for _, p := range r.Parts {
		switch {
		case p.Skipped != "":
			fmt.Fprintf(&b, "%s: not run: %s\n", p.Name, oneLine(p.Skipped))
		case p.Looked != "":
			fmt.Fprintf(&b, "%s: looked at %s\n", p.Name, oneLine(p.Looked))
		}
	}
	b.WriteString(summary(r) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// detail writes a part of a finding, its further lines below the first.
func detail(b *strings.Builder, name, text string) {
	text = strings.TrimSpace(text)
	if text == "" {
		return
	}
	const width = 11
	fmt.Fprintf(b, "  %-*s%s\n", width, name, strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", width+2)))
}
