package report

import (
	"io"

	"github.com/switchbackdb/switchback/check"
)

type gitlabIssue struct {
	Description string `json:"description"`
	Check       string `json:"check_name"`
	Fingerprint string `json:"fingerprint"`
	Severity    string `json:"severity"`
	Location    struct {
		Path  string `json:"path"`
		Lines struct {
			Begin int `json:"begin"`
		} `json:"lines"`
	} `json:"location"`
}

// writeGitLab writes GitLab's code quality report.
func writeGitLab(w io.Writer, r *check.Report) error {
	levels := map[check.Severity]string{check.Error: "critical", check.Warning: "minor", check.Note: "info"}
	issues := []gitlabIssue{}
	for _, f := range r.Findings() {
		i := gitlabIssue{Description: printable(f.Message), Check: f.Rule, Fingerprint: f.Fingerprint(), Severity: levels[f.Severity]}
		i.Location.Path, i.Location.Lines.Begin = file(f.Place), line(f.Place)
		issues = append(issues, i)
	}
	return indented(w, issues)
}
