package lint

import (
	"fmt"
	"io"
	"strings"
)

// WriteDocs writes the documentation of all rules, as Markdown.
func WriteDocs(w io.Writer) error {
	if _, err := io.WriteString(w, "# Rules of lint\n\nGenerated from the rules; the examples are their tests.\n"); err != nil {
		return err
	}
	for _, r := range Rules() {
		if _, err := io.WriteString(w, "\n"); err != nil {
			return err
		}
		if err := r.WriteDoc(w); err != nil {
			return err
		}
	}
	return nil
}

// WriteDoc writes the documentation of a rule, as Markdown. Engines with the same examples share them.
func (r Rule) WriteDoc(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s: %s. %s.\n", r.Name, strings.ToUpper(string(r.Severity[:1]))+string(r.Severity[1:]), r.Summary, r.Why)
	if r.Observed() {
		b.WriteString("\nThis is seen in a scratch database: it needs `--scratch`.\n")
	}
	if r.Fixable() {
		b.WriteString("\n`lint --fix` rewrites it where the statement alone decides.\n")
	}
	for i, e := range r.Examples {
		if i > 0 && r.Examples[i-1].Bad == e.Bad && r.Examples[i-1].Good == e.Good {
			continue
		}
		engines := []string{string(e.Engine)}
		for _, next := range r.Examples[i+1:] {
			if next.Bad != e.Bad || next.Good != e.Good {
				break
			}
			engines = append(engines, string(next.Engine))
		}
		fmt.Fprintf(&b, "\nOn %s, bad:\n\n```sql\n%s\n```\n\ngood:\n\n```sql\n%s\n```\n", strings.Join(engines, ", "), e.Bad, e.Good)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
