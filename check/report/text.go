package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/switchbackdb/switchback/check"
)

// text is for people at a terminal: each finding with its place first, so that editors find it.
func text(w io.Writer, r *check.Report) error {
	out := bufio.NewWriter(w)
	for _, f := range r.Findings() {
		fmt.Fprintf(out, "%s: %s: %s [%s]\n", oneLine(placed(f.Place)), f.Severity, oneLine(f.Message), f.Rule)
		for _, d := range details(f) {
			lines := strings.Split(visible(d[1]), "\n")
			fmt.Fprintf(out, "    %-9s %s\n", d[0], lines[0])
			for _, line := range lines[1:] {
				fmt.Fprintf(out, "              %s\n", line)
			}
		}
	}
	if len(r.Findings()) > 0 {
		fmt.Fprintln(out)
	}
	for _, p := range r.Parts {
		if p.Skipped != "" {
			fmt.Fprintf(out, "%-9s not run: %s\n", p.Name, oneLine(p.Skipped))
			continue
		}
		fmt.Fprintf(out, "%-9s %d found in %s\n", p.Name, len(p.Findings), oneLine(p.Looked))
	}
	if r.Hidden > 0 {
		fmt.Fprintf(out, "%d findings are known already (baseline)\n", r.Hidden)
	}
	for _, s := range r.Silenced {
		fmt.Fprintf(out, "%s: %s is switched off: %s\n", oneLine(placed(s.Finding.Place)), s.Finding.Rule, oneLine(s.Reason))
	}
	verdict := "the gate is open"
	if !r.Passed() {
		verdict = "the gate is closed"
	}
	fmt.Fprintf(out, "%s: %s\n", verdict, summary(r))
	return out.Flush()
}
