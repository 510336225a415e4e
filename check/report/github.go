package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/switchbackdb/switchback/check"
)

// writeGitHub writes workflow commands, which GitHub shows beside the lines of a pull request.
func writeGitHub(w io.Writer, r *check.Report) error {
	// % first, or the escapes would be escaped.
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	levels := map[check.Severity]string{check.Error: "error", check.Warning: "warning", check.Note: "notice"}
	for _, f := range r.Findings() {
		text := f.Message
		if f.Rewrite != "" {
			text += "\nInstead:\n" + f.Rewrite
		}
		_, err := fmt.Fprintf(w, "::%s file=%s,line=%d,title=%s::%s\n", levels[f.Severity],
			property.Replace(printable(file(f.Place))), line(f.Place), property.Replace(f.Rule), data.Replace(printable(text)))
		if err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, summary(r))
	return err
}
