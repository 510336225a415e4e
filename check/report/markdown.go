package report

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"regexp"
	"strings"

	"github.com/switchbackdb/switchback/check"
)

// marker is by what a comment is found that is to be replaced by a newer one.
const marker = "<!-- switchback check -->"

// mostShown is how many findings a comment holds: services cut longer ones.
const mostShown = 50

// markdown is a comment for a pull request. It begins with a marker, so that the next can take its place.
func markdown(w io.Writer, r *check.Report) error {
	out := bufio.NewWriter(w)
	verdict := "✅ The gate is open"
	if !r.Passed() {
		verdict = "❌ The gate is closed"
	}
	fmt.Fprintf(out, "%s\n## %s: %s\n\n", marker, verdict, summary(r))
	fmt.Fprint(out, "| part | looked at | found |\n| --- | --- | --- |\n")
	for _, p := range r.Parts {
		looked, found := p.Looked, fmt.Sprint(len(p.Findings))
		if p.Skipped != "" {
			looked, found = "not run: "+p.Skipped, "–"
		}
		fmt.Fprintf(out, "| %s | %s | %s |\n", p.Name, inline(looked), found)
	}
	for i, f := range r.Findings() {
		if i == mostShown {
			fmt.Fprintf(out, "\n… and %d more.\n", len(r.Findings())-mostShown)
			break
		}
		marks := map[check.Severity]string{check.Error: "❌", check.Warning: "⚠️", check.Note: "ℹ️"}
		fmt.Fprintf(out, "\n<details><summary>%s <code>%s</code> %s<br><code>%s</code></summary>\n", marks[f.Severity], html.EscapeString(f.Rule), html.EscapeString(oneLine(f.Message)), html.EscapeString(oneLine(placed(f.Place))))
		for _, d := range details(f) {
			if strings.Contains(d[1], "\n") || d[0] == "evidence" || d[0] == "instead" {
				fmt.Fprintf(out, "\n%s:\n\n%s\n", d[0], fenced(visible(d[1])))
				continue
			}
			fmt.Fprintf(out, "\n%s: %s\n", d[0], inline(d[1]))
		}
		fmt.Fprint(out, "\n</details>\n")
	}
	return out.Flush()
}

var backticks = regexp.MustCompile("`+")

// fenced is a block of code that its content cannot end.
func fenced(text string) string {
	fence := "```"
	for _, run := range backticks.FindAllString(text, -1) {
		if len(run) >= len(fence) {
			fence = strings.Repeat("`", len(run)+1)
		}
	}
	return fence + "\n" + text + "\n" + fence
}

// inline is text that is no markup, on one line and in a cell of a table.
func inline(s string) string {
	s = html.EscapeString(oneLine(s))
	return regexp.MustCompile("([\\\\`*_{}\\[\\]()#+!|~@])").ReplaceAllString(s, `\$1`)
}
