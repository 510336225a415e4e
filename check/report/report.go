// Package report writes what the gate found for whoever reads it: people at a terminal or in a pull request, and the
// services that show findings beside the code.
//
// Every format takes the same check.Report and holds the same findings. What comes from files and databases (names,
// statements, messages) is never taken for markup, a workflow command or a control sequence.
package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/switchbackdb/switchback/check"
)

// Formats are the names of the formats.
func Formats() []string {
	return []string{"text", "json", "sarif", "junit", "github", "gitlab", "markdown"}
}

// Write writes a report in a format. version is that of the program, for formats that want it.
func Write(w io.Writer, format, version string, r *check.Report) error {
	switch format {
	case "text":
		return text(w, r)
	case "json":
		return writeJSON(w, r)
	case "sarif":
		return sarif(w, version, r)
	case "junit":
		return junit(w, r)
	case "github":
		return github(w, r)
	case "gitlab":
		return gitlab(w, r)
	case "markdown":
		return markdown(w, r)
	}
	return fmt.Errorf("there is no format %q; there are %s", format, strings.Join(Formats(), ", "))
}

// summary is a sentence on all of it.
func summary(r *check.Report) string {
	if len(r.Findings()) == 0 {
		return "nothing found"
	}
	var parts []string
	for _, s := range []struct {
		severity  check.Severity
		one, many string
	}{{check.Error, "error", "errors"}, {check.Warning, "warning", "warnings"}, {check.Note, "note", "notes"}} {
		switch n := r.Count(s.severity); n {
		case 0:
		case 1:
			parts = append(parts, "1 "+s.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, s.many))
		}
	}
	return strings.Join(parts, ", ")
}

// placed is the file with the line, where they are known.
func placed(p check.Place) string {
	switch {
	case p.File == "":
		return p.Change
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// details are the paragraphs behind the message, with what each is.
func details(f check.Finding) [][2]string {
	all := [][2]string{{"object", f.Object}, {"why", f.Why}, {"touches", touches(f.Touches)}, {"evidence", f.Evidence}, {"instead", f.Rewrite}}
	return slices.DeleteFunc(all, func(d [2]string) bool { return d[1] == "" })
}

func touches(t *check.Touch) string {
	if t == nil {
		return ""
	}
	text := fmt.Sprintf("%d rows, %d bytes of %s", t.Rows, t.Bytes, t.Table)
	if t.Lock != "" {
		text += ", under " + t.Lock
	}
	if t.Time > 0 {
		text += ", for about " + t.Time.String()
	}
	return text
}

// visible shows control characters instead of sending them on; line breaks and tabs stay.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// oneLine is a text without line breaks.
func oneLine(s string) string { return strings.Join(strings.Fields(visible(s)), " ") }
