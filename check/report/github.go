package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/switchbackdb/switchback/check"
)

// github writes workflow commands that GitHub Actions shows beside the lines of a pull request
// (https://docs.github.com/actions/reference/workflow-commands-for-github-actions).
func github(w io.Writer, r *check.Report) error {
	out := bufio.NewWriter(w)
	commands := map[check.Severity]string{check.Error: "error", check.Warning: "warning", check.Note: "notice"}
	for _, f := range r.Findings() {
		message := visible(f.Message)
		for _, d := range details(f) {
			message += "\n" + d[0] + ": " + visible(d[1])
		}
		fmt.Fprintf(out, "::%s file=%s,line=%d,title=%s::%s\n", commands[f.Severity], property(fileOf(f.Place)), max(1, f.Place.Line), property("switchback: "+f.Rule), data(message))
	}
	fmt.Fprintf(out, "::notice title=switchback::%s\n", data(summary(r)))
	return out.Flush()
}

// data escapes the text of a command, property the value of one of its properties.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string { return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(data(s)) }
