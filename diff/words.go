package diff

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/switchbackdb/switchback/internal/noun"
	"github.com/switchbackdb/switchback/schema"
)

// What stands in a catalogue is untrusted: a comment may hold the escape sequences of a terminal, or
// turn the direction of writing so that one name looks like another. visible shows such characters as
// \x1b or \u202e. Line breaks and tabs stay.
func visible(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case r == '\n' || r == '\t' || strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
		i += size
	}
	return b.String()
}

// oneLine is visible for what has to stay on one line, such as a name.
func oneLine(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(visible(text))
}

// few writes the first names of a list that has count of them in all.
func few(names []string, count int) string {
	const shown = 10
	shorter := names[:min(len(names), shown)]
	text := oneLine(strings.Join(shorter, ", "))
	if rest := count - len(shorter); rest > 0 && len(shorter) > 0 {
		text += fmt.Sprintf(" and %d more", rest)
	}
	return text
}

// uncovered says of each kind that was not compared how many there are, which, on which side and why.
func (r Report) uncovered() []string {
	var out []string
	for _, c := range r.From.Uncovered {
		where := "in " + r.From.Name
		if onSide(r.To.Uncovered, c) {
			where = "on both sides"
		}
		out = append(out, census(c, where))
	}
	for _, c := range r.To.Uncovered {
		if !onSide(r.From.Uncovered, c) {
			out = append(out, census(c, "in "+r.To.Name))
		}
	}
	return out
}

// onSide tells whether a list has exactly that census.
func onSide(list []schema.Census, c schema.Census) bool {
	for _, d := range list {
		if d.Kind == c.Kind && d.Count == c.Count && d.Why == c.Why && few(d.Names, d.Count) == few(c.Names, c.Count) {
			return true
		}
	}
	return false
}

func census(c schema.Census, where string) string {
	text := oneLine(noun.Counted(c.Count, string(c.Kind)) + " " + where)
	if names := few(c.Names, c.Count); names != "" {
		text += " (" + names + ")"
	}
	if c.Why != "" {
		text += ": " + oneLine(c.Why)
	}
	return text
}

// uncoveredCount is how many objects are not compared; those that both sides have count once.
func (r Report) uncoveredCount() int {
	n := 0
	for _, c := range r.From.Uncovered {
		n += c.Count
	}
	for _, c := range r.To.Uncovered {
		if !onSide(r.From.Uncovered, c) {
			n += c.Count
		}
	}
	return n
}

// summary is the report in one line: "3 tables changed, 1 added; 2 views changed; 1 object not compared".
func (r Report) summary() string {
	var parts []string
	for _, c := range r.Summary {
		parts = append(parts, c.String())
	}
	if n := len(r.Renames); n > 0 {
		parts = append(parts, noun.Counted(n, "rename"))
	}
	if n := r.tablesWithOtherRows(); n > 0 {
		parts = append(parts, noun.Counted(n, "table")+" with other rows")
	}
	if len(parts) == 0 {
		parts = append(parts, "no difference")
	}
	if n := len(r.Ignored); n > 0 {
		parts = append(parts, noun.Counted(n, "difference")+" ignored")
	}
	if n := r.uncoveredCount(); n > 0 {
		parts = append(parts, noun.Counted(n, "object")+" not compared")
	}
	return strings.Join(parts, "; ")
}

func (r Report) tablesWithOtherRows() int {
	n := 0
	for _, t := range r.Data {
		if !t.Same() {
			n++
		}
	}
	return n
}

// String writes a count as in "3 tables changed, 1 added".
func (c Count) String() string {
	var parts []string
	for _, x := range []struct {
		n    int
		verb string
	}{{c.Modified, "changed"}, {c.Added, "added"}, {c.Dropped, "dropped"}} {
		switch {
		case x.n == 0:
		case len(parts) == 0:
			parts = append(parts, oneLine(noun.Counted(x.n, string(c.Kind)))+" "+x.verb)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", x.n, x.verb))
		}
	}
	return strings.Join(parts, ", ")
}

// remark is what is known about a change apart from what it is: since when, and which pending change
// explains it.
func (r Report) remark(path string) string {
	var parts []string
	if t, ok := r.Since[path]; ok {
		parts = append(parts, "since "+t.Format("2006-01-02"))
	}
	if by := r.Explained[path]; by != "" {
		parts = append(parts, "explained by pending change "+oneLine(by))
	}
	return strings.Join(parts, ", ")
}

// text says what is renamed, as in "column public.users.name → full_name".
func (r Rename) text() string {
	where := ""
	if r.Schema != "" {
		where = r.Schema + "."
	}
	if r.Parent != "" {
		where += r.Parent + "."
	}
	return oneLine(fmt.Sprintf("%s %s%s → %s", r.Kind, where, r.From, r.To))
}

// text says what a rule ignores and why.
func (i Ignored) text() string {
	text := map[Action]string{Add: "+ ", Drop: "- ", Modify: "~ "}[i.Action] + oneLine(i.Path) + ": " + oneLine(i.Reason)
	if !i.Until.IsZero() {
		text += " (until " + i.Until.Format("2006-01-02") + ")"
	}
	return text
}

// text says how the rows of a table differ.
func (t TableData) text(from, to string) string {
	text := oneLine(t.Table) + ": "
	if t.Same() {
		text += "no row differs"
	} else {
		text += oneLine(fmt.Sprintf("%s only in %s, %d only in %s, %d different", noun.Counted(t.OnlyFrom, "row"), from, t.OnlyTo, to, t.Different))
	}
	text += fmt.Sprintf(" (of %d and %d)", t.RowsFrom, t.RowsTo)
	if t.Note != "" {
		text += "; " + oneLine(t.Note)
	}
	return text
}

// keyText writes the key of a row, as in "id 7".
func (t TableData) keyText(row RowDifference) string {
	var parts []string
	for i, v := range row.Key {
		if i < len(t.Key) {
			v = t.Key[i] + " " + v
		}
		parts = append(parts, oneLine(v))
	}
	return strings.Join(parts, ", ")
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}

// applied says how far a change folder is applied.
func applied(phase string) string {
	if phase == "" {
		return "not applied"
	}
	return oneLine(phase)
}
