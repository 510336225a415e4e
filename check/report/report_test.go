package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/check/report"
)

// hostile is in every text that comes from files and databases.
const hostile = "<script>alert(1)</script> ]]> ``` | [x](http://evil) %0A::error::\x1b[31mred\u202e\n::error file=x::injected"

func sample() *check.Report {
	finding := func(s check.Severity) check.Finding {
		return check.Finding{
			Rule: "rollback-not-inverse", Severity: s, Message: "message " + hostile, Object: "table " + hostile, Why: "why " + hostile,
			Evidence: "evidence " + hostile, Rewrite: "rewrite " + hostile, Touches: &check.Touch{Table: "t " + hostile, Rows: 3, Bytes: 4, Lock: "SHARE", Time: time.Second},
			Place: check.Place{Change: "1_a", Phase: "expand", File: "changes/1_a/a b:c,%.sql", Line: 3, Column: 2, Text: "SELECT " + hostile},
		}
	}
	return &check.Report{
		Engine: "sqlite", Changes: []string{"1_a", "2_b"}, Hidden: 1,
		Silenced: []check.Silence{{Finding: finding(check.Note), Reason: "reason " + hostile}},
		Parts: []check.Part{
			{Name: "rollback", Looked: "two changes " + hostile, Took: 1500 * time.Millisecond, Findings: []check.Finding{finding(check.Error), finding(check.Warning), finding(check.Note)}},
			{Name: "workload", Skipped: "no --workload", Findings: []check.Finding{}},
		},
	}
}

func write(t *testing.T, format string, r *check.Report) string {
	var b bytes.Buffer
	require.NoError(t, report.Write(&b, format, "v1", r))
	return b.String()
}

// TestHostile writes a report of hostile texts in every format: no control sequence gets through, and each says
// what it has to.
func TestHostile(t *testing.T) {
	for _, format := range report.Formats() {
		t.Run(format, func(t *testing.T) {
			out := write(t, format, sample())
			require.NotContains(t, out, "\x1b")
			require.Contains(t, out, "rollback-not-inverse")
			require.Contains(t, out, "message ")
			switch format {
			case "json", "sarif", "gitlab":
				require.True(t, json.Valid([]byte(out)))
			case "junit":
				d := xml.NewDecoder(strings.NewReader(out))
				for {
					if _, err := d.Token(); err != nil {
						require.ErrorIs(t, err, io.EOF)
						break
					}
				}
				require.NotContains(t, out, "<script>")
			case "markdown":
				fenced := false
				for _, line := range strings.Split(out, "\n") {
					if line == "````" { // longer than what is in it
						fenced = !fenced
					} else if !fenced {
						require.NotContains(t, line, "<script>")
						require.True(t, strings.HasPrefix(line, "<details>") || !strings.Contains(line, "[x]("), line) // HTML holds no Markdown
					}
				}
				require.False(t, fenced)
				require.Contains(t, out, "\n````\nevidence ")
			case "github":
				lines := strings.Split(strings.TrimSpace(out), "\n")
				require.Len(t, lines, 4, "one for each finding, and the summary: no text begins a command of its own")
				for _, line := range lines {
					require.Regexp(t, `^::(error|warning|notice) `, line)
				}
				require.Contains(t, out, "::error file=changes/1_a/a b%3Ac%2C%25.sql,line=3,")
			}
		})
	}
	require.ErrorContains(t, report.Write(io.Discard, "pdf", "v1", sample()), "there are text, json, sarif")
}

// TestSARIF holds a report against what GitHub's code scanning and the standard (section 3) require.
func TestSARIF(t *testing.T) {
	var log struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct{ ID string }
				}
			}
			Results []struct {
				RuleID       string `json:"ruleId"`
				RuleIndex    int    `json:"ruleIndex"`
				Level        string
				Message      struct{ Text string }
				Fingerprints map[string]string `json:"partialFingerprints"`
				Locations    []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine, StartColumn int }
					}
				}
			}
		}
	}
	require.NoError(t, json.Unmarshal([]byte(write(t, "sarif", sample())), &log))
	require.Equal(t, "2.1.0", log.Version)
	run := log.Runs[0]
	require.Equal(t, "switchback", run.Tool.Driver.Name)
	require.Len(t, run.Tool.Driver.Rules, 1)
	require.Len(t, run.Results, 3)
	for i, level := range []string{"error", "warning", "note"} {
		r := run.Results[i]
		require.Equal(t, level, r.Level)
		require.Equal(t, r.RuleID, run.Tool.Driver.Rules[r.RuleIndex].ID)
		require.Equal(t, "changes/1_a/a%20b:c,%25.sql", r.Locations[0].PhysicalLocation.ArtifactLocation.URI)
		require.Equal(t, 3, r.Locations[0].PhysicalLocation.Region.StartLine)
		require.NotEmpty(t, r.Fingerprints["switchback/v1"])
	}
}

func TestJUnit(t *testing.T) {
	var suites struct {
		Suites []struct {
			Name     string `xml:"name,attr"`
			Tests    int    `xml:"tests,attr"`
			Failures int    `xml:"failures,attr"`
			Skipped  int    `xml:"skipped,attr"`
			Time     string `xml:"time,attr"`
			Cases    []struct {
				Name    string    `xml:"name,attr"`
				Failure *struct{} `xml:"failure"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	require.NoError(t, xml.Unmarshal([]byte(write(t, "junit", sample())), &suites))
	rollback, workload := suites.Suites[0], suites.Suites[1]
	require.Equal(t, 4, rollback.Tests, "three findings, and a change without one")
	require.Equal(t, 1, rollback.Failures, "only errors fail")
	require.Equal(t, "1.500", rollback.Time)
	require.Equal(t, 2, workload.Skipped)
}

// TestFingerprint is the same when lines above come or go, and another for another statement.
func TestFingerprint(t *testing.T) {
	f := sample().Parts[0].Findings[0]
	moved, other := f, f
	moved.Place.Line += 10
	other.Place.Text = "SELECT 2"
	require.Equal(t, f.Fingerprint(), moved.Fingerprint())
	require.NotEqual(t, f.Fingerprint(), other.Fingerprint())
}
