package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/switchbackdb/switchback/check"
)

// Marker is the first line of a report as Markdown. It is not shown; who posts the report as a comment finds by
// it the comment of the run before, and replaces it.
const Marker = "<!-- switchback:report -->"

// writeMarkdown writes a comment for a pull request.
func writeMarkdown(w io.Writer, r *check.Report) error {
	var b strings.Builder
	verdict := "passed"
	if !r.Passed() {
		verdict = "did not pass"
	}
	fmt.Fprintf(&b, "%s\n### Switchback %s\n\n%s.\n", Marker, verdict, summary(r))
	for _, p := range r.Parts {
		if p.Skipped != "" {
			fmt.Fprintf(&b, "\n%s did not run: %s\n", inline(p.Name), inline(p.Skipped))
		}
	}
	for _, f := range r.Findings() {
		markdownFinding(&b, f)
	}
	if len(r.Silenced) > 0 {
		b.WriteString("\n<details><summary>Silenced</summary>\n\n")
		for _, s := range r.Silenced {
			fmt.Fprintf(&b, "- %s at %s: %s\n", inline(s.Finding.Rule), inline(where(s.Finding.Place)), inline(s.Reason))
		}
		b.WriteString("\n</details>\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func markdownFinding(b *strings.Builder, f check.Finding) {
	fmt.Fprintf(b, "\n#### %s: %s\n\n%s, %s\n", f.Severity, inline(f.Message), inline(f.Rule), inline(where(f.Place)))
	block(b, f.Place.Text)
	if f.Why != "" {
		fmt.Fprintf(b, "\n%s.\n", inline(strings.TrimSuffix(f.Why, ".")))
	}
	if f.Touches != nil {
		fmt.Fprintf(b, "\nTouches %s.\n", inline(touches(f.Touches)))
	}
	if f.Rewrite != "" {
		b.WriteString("\nInstead:\n")
		block(b, f.Rewrite)
	}
	if f.Evidence != "" {
		b.WriteString("\n<details><summary>Evidence</summary>\n")
		block(b, f.Evidence)
		b.WriteString("\n</details>\n")
	}
}

// inline is a text that Markdown shows as it is. A mention is broken up, because services look for mentions in
// what is shown.
func inline(text string) string {
	pairs := []string{"&", "&amp;", "<", "&lt;", ">", "&gt;", "@", "@&#8203;"}
	for _, sign := range "`*_[]|\\~#!:" {
		pairs = append(pairs, string(sign), fmt.Sprintf("&#%d;", sign))
	}
	return strings.NewReplacer(pairs...).Replace(oneLine(text))
}

// block is a text in a fence that is longer than any in it.
func block(b *strings.Builder, text string) {
	if text = strings.TrimSpace(printable(text)); text == "" {
		return
	}
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	fmt.Fprintf(b, "\n%ssql\n%s\n%s\n", fence, text, fence)
}
