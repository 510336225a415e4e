// Package report writes what the gate found in the forms that people and CI services read.
//
//	check.Report ──Write──▶ text, json, sarif, junit, github, gitlab, markdown, html
//
// What stands in a report comes from files and databases that nobody vouches for. Each writer escapes it for its
// form: a comment in a migration can neither move the terminal's cursor nor begin a command of the CI service,
// an element of the page, or a mention in the pull request.
package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/switchbackdb/switchback/check"
)

// Formats are the forms a report can have.
func Formats() []string {
	return []string{"text", "json", "sarif", "junit", "github", "gitlab", "markdown", "html"}
}

// Write writes a report in a form.
func Write(w io.Writer, format string, r *check.Report) error {
	var err error
	switch format {
	case "text":
		err = writeText(w, r)
	case "json":
		err = writeJSON(w, r)
	case "sarif":
		err = writeSARIF(w, r)
	case "junit":
		err = writeJUnit(w, r)
	case "github":
		err = writeGitHub(w, r)
	case "gitlab":
		err = writeGitLab(w, r)
	case "markdown":
		err = writeMarkdown(w, r)
	case "html":
		err = writeHTML(w, r)
	default:
		return fmt.Errorf("unknown format %q: want %s", format, strings.Join(Formats(), ", "))
	}
	if err != nil {
		return fmt.Errorf("write the report as %s: %w", format, err)
	}
	return nil
}

// Output is a form of a report, and where it goes.
type Output struct {
	Format string
	File   string // empty for standard output
}

// ParseOutputs reads the values of --format: FORMAT, or FORMAT=FILE. One of them may go to standard output.
func ParseOutputs(values []string) ([]Output, error) {
	var list []Output
	toTerminal := 0
	for _, value := range values {
		format, file, named := strings.Cut(value, "=")
		o := Output{Format: format, File: file}
		if !known(format) {
			return nil, fmt.Errorf("unknown format %q: want %s", format, strings.Join(Formats(), ", "))
		}
		if named && file == "" {
			return nil, fmt.Errorf("--format %s: want a file behind =", value)
		}
		if file == "" {
			toTerminal++
		}
		list = append(list, o)
	}
	if toTerminal > 1 {
		return nil, fmt.Errorf("only one format can go to standard output: give the others a file, as in --format sarif=lint.sarif")
	}
	return list, nil
}

func known(format string) bool {
	for _, f := range Formats() {
		if f == format {
			return true
		}
	}
	return false
}
