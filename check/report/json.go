package report

import (
	"encoding/json"
	"io"
	"path"

	"github.com/switchbackdb/switchback/check"
)

// writeJSON writes a report as it is, with its totals.
func writeJSON(w io.Writer, r *check.Report) error {
	return indented(w, struct {
		*check.Report
		Passed   bool `json:"passed"`
		Errors   int  `json:"errors"`
		Warnings int  `json:"warnings"`
		Notes    int  `json:"notes"`
	}{r, r.Passed(), r.Count(check.Error), r.Count(check.Warning), r.Count(check.Note)})
}

func indented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// file is the file that a finding is shown at: the change's folder where it is about no script.
func file(p check.Place) string {
	switch {
	case p.File != "":
		return p.File
	case p.Change != "":
		return path.Join("changes", p.Change)
	}
	return "changes"
}

// line is the line that a finding is shown at, for forms that want one.
func line(p check.Place) int { return max(p.Line, 1) }
