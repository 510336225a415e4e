package report

import (
	"encoding/json"
	"io"

	"github.com/switchbackdb/switchback/check"
)

// writeJSON is the report itself, with the verdict, see docs/check.md.
func writeJSON(w io.Writer, r *check.Report) error {
	return indented(w, struct {
		*check.Report
		Passed bool `json:"passed"`
	}{r, r.Passed()})
}

func indented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// gitlab is GitLab's code quality report
// (https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format).
func gitlab(w io.Writer, r *check.Report) error {
	type lines struct {
		Begin int `json:"begin"`
	}
	type location struct {
		Path  string `json:"path"`
		Lines lines  `json:"lines"`
	}
	type issue struct {
		Description string   `json:"description"`
		Check       string   `json:"check_name"`
		Fingerprint string   `json:"fingerprint"`
		Severity    string   `json:"severity"`
		Location    location `json:"location"`
	}
	severities := map[check.Severity]string{check.Error: "critical", check.Warning: "minor", check.Note: "info"}
	list := []issue{}
	for _, f := range r.Findings() {
		list = append(list, issue{
			Description: oneLine(f.Message), Check: f.Rule, Fingerprint: f.Fingerprint(), Severity: severities[f.Severity],
			Location: location{Path: fileOf(f.Place), Lines: lines{max(1, f.Place.Line)}},
		})
	}
	return indented(w, list)
}

// fileOf is a file for services that want one for each finding.
func fileOf(p check.Place) string {
	if p.File != "" {
		return p.File
	}
	return "switchback.yaml"
}
