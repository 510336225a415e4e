package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/switchbackdb/switchback/check"
)

// The elements of a JUnit report as CI services read it
// (https://github.com/jenkinsci/xunit-plugin/blob/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd).
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
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Skipped *junitSkipped `xml:"skipped,omitempty"`
		Failure *junitFailure `xml:"failure,omitempty"`
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

// junit has a suite for each part. A case is a change and, where something was found, a finding: only errors fail.
func junit(w io.Writer, r *check.Report) error {
	var suites junitSuites
	for _, p := range r.Parts {
		s := junitSuite{Name: "switchback " + p.Name, Time: fmt.Sprintf("%.3f", p.Took.Seconds())}
		for _, f := range p.Findings {
			c := junitCase{Name: oneLine(f.Rule + ": " + placed(f.Place)), Class: "switchback." + p.Name}
			if f.Severity == check.Error {
				s.Failures++
				body := visible(f.Message)
				for _, d := range details(f) {
					body += "\n" + d[0] + ": " + visible(d[1])
				}
				c.Failure = &junitFailure{Message: oneLine(f.Message), Type: f.Rule, Text: body}
			}
			s.Cases = append(s.Cases, c)
		}
		for _, id := range clean(r, p) {
			c := junitCase{Name: id, Class: "switchback." + p.Name}
			if p.Skipped != "" {
				s.Skipped++
				c.Skipped = &junitSkipped{oneLine(p.Skipped)}
			}
			s.Cases = append(s.Cases, c)
		}
		s.Tests = len(s.Cases)
		suites.Suites = append(suites.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(suites); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// clean are the changes in which the part has found nothing.
func clean(r *check.Report, p check.Part) []string {
	found := map[string]bool{}
	for _, f := range p.Findings {
		found[f.Place.Change] = true
	}
	var list []string
	for _, id := range r.Changes {
		if !found[id] {
			list = append(list, oneLine(id))
		}
	}
	if len(list) == 0 && len(p.Findings) == 0 {
		list = append(list, strings.TrimSpace("everything"))
	}
	return list
}
