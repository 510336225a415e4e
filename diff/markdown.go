package diff

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/switchbackdb/switchback/internal/noun"
)

// markdownLimit is the longest report in bytes; GitHub takes a comment of 65,536 characters.
const markdownLimit = 65000

// Markdown writes the report for a comment on a pull request. It begins with a hidden marker by which the
// comment can be found and replaced, and is cut, with a note, before it gets too long for GitHub.
// What comes from the databases is shown as text: it forms no HTML, link or mention.
func (r Report) Markdown(w io.Writer) error {
	m := &markdown{report: r}
	m.head()
	m.renames()
	m.outside()
	for _, e := range entries(r.Changes) {
		m.entry(e)
	}
	m.data()
	m.sections()
	m.scripts()
	if m.cut > 0 {
		m.b.WriteString("\n**This report is cut: " + noun.Counted(m.cut, "part") + " would not fit in a comment.** The formats text, json and html have all of it.\n")
	}
	if _, err := io.WriteString(w, m.b.String()); err != nil {
		return fmt.Errorf("write the report as Markdown: %w", err)
	}
	return nil
}

type markdown struct {
	report Report
	b      strings.Builder
	cut    int // parts that did not fit
}

// add writes a part, if it fits.
func (m *markdown) add(part string) {
	const note = 200 // what the note of the cut takes
	if m.b.Len()+len(part)+note > markdownLimit {
		m.cut++
		return
	}
	m.b.WriteString(part)
}

func (m *markdown) head() {
	r := m.report
	m.add("<!-- " + strings.Map(markerRune, r.Format) + " -->\n")
	m.add("## " + prose(r.Title) + "\n\n")
	m.add("From " + code(r.From.Name) + server(r.From) + " to " + code(r.To.Name) + server(r.To) + "\n\n")
	m.add("**" + prose(r.summary()) + "**\n\n")
	if len(r.Summary) > 0 {
		m.add("| kind | added | dropped | changed |\n| --- | ---: | ---: | ---: |\n")
		for _, c := range r.Summary {
			m.add(fmt.Sprintf("| %s | %s | %s | %s |\n", prose(string(c.Kind)), orDash(c.Added), orDash(c.Dropped), orDash(c.Modified)))
		}
		m.add("\n")
	}
	for _, n := range r.Notes {
		m.add("> " + prose(n) + "\n\n")
	}
}

// markerRune keeps of a format's name what cannot end the marker.
func markerRune(r rune) rune {
	if r >= 'a' && r <= 'z' || r == '.' {
		return r
	}
	return -1
}

func server(s Side) string {
	if s.Engine == "" {
		return ""
	}
	return " (" + prose(s.server()) + ")"
}

func orDash(n int) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprint(n)
}

func (m *markdown) renames() {
	for _, x := range m.report.Renames {
		m.add("- renamed: " + code(x.text()) + "\n")
	}
	for _, x := range m.report.Proposed {
		why := ""
		if x.Evidence != "" {
			why = " (" + prose(x.Evidence) + ")"
		}
		m.add("- looks like a rename: " + code(x.text()) + why + "; confirm it with " + code(x.Confirm) + "\n")
	}
	m.add("\n")
}

// outside writes what is not compared and what is left out. It stands before the changes, which may be cut.
func (m *markdown) outside() {
	if len(m.report.LeftOut) > 0 {
		m.add("- left out as asked: " + prose(strings.Join(m.report.LeftOut, ", ")) + "\n")
	}
	for _, text := range m.report.uncovered() {
		m.add("- ⚠️ not compared: " + code(text) + "\n")
	}
	m.add("\n")
}

func (m *markdown) entry(e entry) {
	title := e.Action.sign() + " " + string(e.Kind) + " <code>" + escaped(e.FullName()) + "</code>"
	if remark := m.report.remark(e.Path); remark != "" {
		title += " (" + html.EscapeString(remark) + ")"
	}
	m.details(title, "diff", m.lines(func(p *printer) { p.changes(0, "", e.Namespace, []Change{e.Change}) }))
}

// lines are what a printer prints with the sign in the first column, where Markdown's diff blocks want it.
func (m *markdown) lines(print func(*printer)) string {
	var b bytes.Buffer
	print(&printer{w: &b, report: m.report, signFirst: true})
	return b.String()
}

// details writes a folded block. The title is HTML.
func (m *markdown) details(title, language, text string) {
	const longest = 16000
	if len(text) > longest {
		cut := strings.LastIndexByte(text[:longest], '\n') + 1
		if cut == 0 {
			cut = longest
			for !utf8.RuneStart(text[cut]) {
				cut--
			}
		}
		text = text[:cut] + "\n… cut: see the other formats\n"
	}
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	m.add("<details><summary>" + title + "</summary>\n\n" + fence + language + "\n" + strings.TrimSuffix(text, "\n") + "\n" + fence + "\n\n</details>\n")
}

func (m *markdown) data() {
	for _, t := range m.report.Data {
		one := m.report
		one.Data = []TableData{t}
		text := m.lines(func(p *printer) {
			p.report = one
			p.data()
		})
		m.details("rows of <code>"+escaped(oneLine(t.Table))+"</code>", "diff", text)
	}
}

func (m *markdown) sections() {
	for _, s := range m.report.sections() {
		var b strings.Builder
		fmt.Fprintf(&b, "\n### %s\n\n", prose(s.Title))
		if s.Intro != "" {
			b.WriteString(prose(s.Intro) + "\n\n")
		}
		if len(s.Rows) > 0 {
			b.WriteString(row(width(s), s.Head) + "|" + strings.Repeat(" --- |", width(s)) + "\n")
		}
		for _, cells := range s.Rows {
			b.WriteString(row(width(s), cells))
		}
		m.add(b.String() + "\n")
	}
	if len(m.report.Ignored) > 0 {
		var b strings.Builder
		for _, i := range m.report.Ignored {
			b.WriteString(i.text() + "\n")
		}
		m.details(noun.Counted(len(m.report.Ignored), "ignored difference"), "", b.String())
	}
}

// width is the number of columns of a section.
func width(s Section) int {
	n := len(s.Head)
	for _, cells := range s.Rows {
		n = max(n, len(cells))
	}
	return n
}

func row(width int, cells []string) string {
	var b strings.Builder
	b.WriteString("|")
	for i := range width {
		cell := ""
		if i < len(cells) {
			cell = prose(cells[i])
		}
		b.WriteString(" " + cell + " |")
	}
	return b.String() + "\n"
}

func (m *markdown) scripts() {
	for _, s := range m.report.Scripts {
		m.details(escaped(oneLine(s.Title)), "sql", visible(s.SQL))
	}
}

// code shows untrusted text as code.
func code(text string) string { return "<code>" + escaped(oneLine(text)) + "</code>" }

// prose shows untrusted text in a sentence: nothing in it is Markdown, HTML, a link or a mention.
func prose(text string) string {
	text = escaped(strings.ReplaceAll(oneLine(text), `\n`, " "))
	return strings.NewReplacer("&#64;", "&#64;\u200b", "&#35;", "&#35;\u200b").Replace(text)
}

// escaped writes ASCII punctuation as entities, which neither HTML nor Markdown acts on.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r > ' ' && r < 0x7f && strings.ContainsRune("!\"#$%&'*+-./:;<=>?@[\\]^_`{|}~", r) {
			if strings.ContainsRune("-.:;=", r) && !strings.Contains(text, "//") && !strings.Contains(text, "www.") {
				b.WriteRune(r)
				continue
			}
			fmt.Fprintf(&b, "&#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
