package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/check"
)

// hostile is a name that tries to break out of every form.
const hostile = "x\x1b[2J</script><img src=x onerror=alert(1)>\"'&\n::error file=a::b\r\n```\n@octocat <!-- --> ]]> %0A | `tick` [a](javascript:b)\u202e"

func hostileReport() *check.Report {
	f := check.Finding{
		Rule: "rewrites-table", Severity: check.Error, Message: hostile, Object: hostile, Why: hostile, Rewrite: hostile, Evidence: hostile,
		Place:   check.Place{Change: hostile, File: hostile, Line: 3, Column: 2, Text: hostile},
		Touches: &check.Touch{Table: hostile, Lock: hostile, Rows: 10, Bytes: 2048, Time: time.Second},
	}
	warning := f
	warning.Severity = check.Warning
	return &check.Report{
		Engine: "postgres", Changes: []string{hostile}, Started: time.Unix(0, 0),
		Parts:    []check.Part{{Name: "lint", Looked: hostile, Findings: []check.Finding{f, warning}}, {Name: "rollback", Skipped: hostile}},
		Silenced: []check.Silence{{Finding: f, Reason: hostile}},
	}
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	out := map[string]string{}
	for _, format := range Formats() {
		var b bytes.Buffer
		require.NoError(t, Write(&b, format, hostileReport()), format)
		out[format] = b.String()
		require.NotContains(t, out[format], "\x1b", "%s: an escape sequence reached the output", format)
	}
	for _, format := range []string{"text", "github", "markdown", "html", "junit"} {
		require.NotContains(t, out[format], "\u202e", "%s: writing is turned around", format)
	}
	var issues []gitlabIssue
	require.NoError(t, json.Unmarshal([]byte(out["gitlab"]), &issues))
	for _, i := range issues {
		require.NotContains(t, i.Description, "\u202e")
	}
	for _, format := range []string{"html", "markdown"} {
		outside := out[format]
		if format == "markdown" {
			outside = withoutBlocks(outside)
		}
		require.NotContains(t, outside, "<img", format)
		require.NotContains(t, outside, "</script", format)
		require.NotContains(t, outside, "@octocat <", format)
	}
	require.NotContains(t, withoutBlocks(out["markdown"]), "@octocat")
	require.NotContains(t, withoutBlocks(out["markdown"]), "[a](")

	lines := strings.Split(strings.TrimSpace(out["github"]), "\n")
	require.Len(t, lines, 3, "one command for each finding, and the summary")
	for _, l := range lines[:2] {
		require.Equal(t, 2, strings.Count(strings.SplitAfterN(l, "title=rewrites-table::", 2)[0], "::"))
	}

	for _, format := range []string{"json", "sarif", "gitlab"} {
		require.True(t, json.Valid([]byte(out[format])), format)
	}
	d := xml.NewDecoder(strings.NewReader(out["junit"]))
	failures := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "failure" {
			failures++
		}
		if start, ok := token.(xml.StartElement); ok {
			require.NotEqual(t, "img", start.Name.Local)
		}
	}
	require.Equal(t, 1, failures)
}

// withoutBlocks leaves out the fenced blocks of Markdown as a reader of it does.
func withoutBlocks(text string) string {
	var kept []string
	fence := ""
	for _, l := range strings.Split(text, "\n") {
		marks := l[:len(l)-len(strings.TrimLeft(l, "`"))]
		switch {
		case fence == "" && len(marks) >= 3:
			fence = marks
		case fence != "" && l == marks && len(marks) >= len(fence):
			fence = ""
		case fence == "":
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "\n")
}

func TestWriteUnknownFormat(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, Write(io.Discard, "xml", &check.Report{}), "unknown format")
}

func TestParseOutputs(t *testing.T) {
	t.Parallel()
	got, err := ParseOutputs([]string{"text", "sarif=a=b.sarif"})
	require.NoError(t, err)
	require.Equal(t, []Output{{Format: "text"}, {Format: "sarif", File: "a=b.sarif"}}, got)
	for _, bad := range [][]string{{"pdf"}, {"sarif="}, {"text", "json"}} {
		_, err := ParseOutputs(bad)
		require.Error(t, err, bad)
	}
}
