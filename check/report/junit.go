package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/switchbackdb/switchback/check"
)

type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Stamp    string      `xml:"timestamp,attr,omitempty"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Time    string        `xml:"time,attr"`
		Skipped *junitSkipped `xml:"skipped,omitempty"`
		Failure *junitFailure `xml:"failure,omitempty"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes a suite for each part of the gate: a finding is a test that failed, or, where it does not
// close the gate, one that passed and says something. A part without findings is one test that passed.
func writeJUnit(w io.Writer, r *check.Report) error {
	var all junitSuites
	for _, p := range r.Parts {
		s := junitSuite{Name: "switchback " + p.Name, Time: seconds(p)}
		if !r.Started.IsZero() {
			s.Stamp = r.Started.UTC().Format("2006-01-02T15:04:05")
		}
		for _, f := range p.Findings {
			s.add(f)
		}
		if len(p.Findings) == 0 {
			c := junitCase{Name: p.Name, Class: "switchback", Time: seconds(p)}
			if p.Skipped != "" {
				c.Skipped, s.Skipped = &junitSkipped{Message: printable(p.Skipped)}, 1
			}
			s.Cases = append(s.Cases, c)
		}
		s.Tests = len(s.Cases)
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(f check.Finding) {
	c := junitCase{Name: f.Rule + " " + where(f.Place), Class: printable(file(f.Place)), Time: "0"}
	text := strings.TrimSpace(strings.Join([]string{printable(f.Place.Text), printable(f.Why), printable(f.Rewrite), printable(f.Evidence)}, "\n"))
	if f.Severity == check.Error {
		c.Failure = &junitFailure{Message: printable(f.Message), Type: f.Rule, Text: text}
		s.Failures++
	} else {
		c.Out = string(f.Severity) + ": " + printable(f.Message) + "\n" + text
	}
	s.Cases = append(s.Cases, c)
}

func seconds(p check.Part) string { return fmt.Sprintf("%.3f", p.Took.Seconds()) }
