package diff

import (
	"fmt"
	"io"
	"strings"

	"github.com/switchbackdb/switchback/internal/noun"
	"github.com/switchbackdb/switchback/schema"
)

// Text writes the report for people: a tree by object, + for added, - for dropped, ~ for modified, old
// and new value of each property, long definitions as a difference by lines, and a summary at the end.
// What comes from the databases cannot move the cursor or colour anything.
func (r Report) Text(w io.Writer, color bool) error {
	p := &printer{w: w, color: color, report: r}
	p.head()
	for _, x := range r.Renames {
		p.line(0, "~", "renamed: "+x.text())
	}
	p.changes(0, "", "", r.Changes)
	for _, x := range r.Proposed {
		p.line(0, "?", "looks like a rename: "+x.text()+because(x.Evidence))
		p.line(1, "", "confirm it with "+oneLine(x.Confirm))
	}
	p.data()
	p.tables()
	p.outside()
	p.scripts()
	if !r.Same() || len(r.Ignored) > 0 || r.uncoveredCount() > 0 {
		p.line(0, "bold", r.summary())
	}
	return p.err
}

// printer writes lines, and keeps the first error.
type printer struct {
	w      io.Writer
	color  bool
	report Report
	err    error

	signFirst bool // the sign stands before the indentation, as in a patch; ! for what is modified
}

// line writes text that is already safe for a terminal.
func (p *printer) line(depth int, sign, text string) {
	if p.err != nil {
		return
	}
	if p.signFirst {
		text = patchSign(sign) + " " + strings.Repeat("  ", depth) + text
		_, p.err = fmt.Fprintln(p.w, strings.TrimRight(text, " "))
		return
	}
	if len(sign) == 1 {
		text = sign + " " + text
	}
	codes := map[string]string{"+": "32", "-": "31", "~": "33", "!": "35", "?": "36", "dim": "2", "bold": "1"}
	if p.color && codes[sign] != "" {
		text = "\x1b[" + codes[sign] + "m" + text + "\x1b[0m"
	}
	_, p.err = fmt.Fprintln(p.w, strings.TrimRight(strings.Repeat("  ", depth)+text, " "))
}

// patchSign is what stands in the first column of a patch.
func patchSign(sign string) string {
	switch sign {
	case "+", "-":
		return sign
	case "~":
		return "!"
	}
	return " "
}

func (p *printer) head() {
	r := p.report
	if r.Same() {
		p.line(0, "", "no difference between "+oneLine(r.From.Name)+" and "+oneLine(r.To.Name))
	} else {
		p.line(0, "", "from "+oneLine(r.From.Name)+" to "+oneLine(r.To.Name))
	}
	if a, b := r.From.server(), r.To.server(); a != b && a != "" && b != "" {
		p.line(0, "dim", "that is, from "+a+" to "+b)
	}
	for _, n := range r.Notes {
		p.line(0, "!", visible(n))
	}
}

// server names engine and version.
func (s Side) server() string { return oneLine(strings.TrimSpace(s.Engine + " " + s.Version)) }

func (p *printer) changes(depth int, above, namespace string, changes []Change) {
	for _, c := range changes {
		path := c.path(above, namespace)
		remark := p.report.remark(path)
		if remark != "" {
			remark = " [" + remark + "]"
		}
		below, inside := path, namespace
		if c.Kind == schema.KindSchema {
			below, inside = "", c.Name
		}
		switch c.Action {
		case Modify:
			p.line(depth, "~", oneLine(string(c.Kind)+" "+c.Name)+remark)
			for _, q := range c.Properties {
				p.property(depth+1, q)
			}
			p.changes(depth+1, below, inside, c.Children)
		default:
			p.whole(depth, c, remark)
		}
	}
}

// sign stands before what is added or dropped.
func (a Action) sign() string { return map[Action]string{Add: "+", Drop: "-", Modify: "~"}[a] }

// The longest list of children and the longest definition that an added or dropped object is shown with.
const (
	childrenShown = 12
	linesShown    = 20
)

// whole prints what is added or dropped: on one line if it can be, with what is in a table or schema.
func (p *printer) whole(depth int, c Change, remark string) {
	sign := c.Action.sign()
	p.line(depth, sign, oneLine(string(c.Kind)+" "+c.Name)+summary(c)+remark)
	for _, q := range c.Properties {
		if strings.Contains(q.From+q.To, "\n") {
			p.body(depth+1, sign, q)
		}
	}
	if len(c.Children) <= childrenShown || c.Kind == schema.KindSchema {
		for _, child := range c.Children {
			p.whole(depth+1, child, "")
		}
		return
	}
	p.byKind(depth+1, sign, c.Children)
}

// body prints a definition of many lines that is only on one side.
func (p *printer) body(depth int, sign string, q PropertyChange) {
	lines := signed(sign[0], q.From+q.To)
	p.line(depth, "", oneLine(q.Name)+":")
	for _, l := range lines[:min(len(lines), linesShown)] {
		p.line(depth+1, sign, l.Text)
	}
	if rest := len(lines) - linesShown; rest > 0 {
		p.line(depth+1, "dim", "… "+noun.Counted(rest, "more line"))
	}
}

// byKind prints many children in a few lines: how many of a kind, and what each is in short.
func (p *printer) byKind(depth int, sign string, children []Change) {
	for len(children) > 0 {
		kind, n := children[0].Kind, 0
		var words []string
		for n < len(children) && children[n].Kind == kind {
			words = append(words, short(children[n]))
			n++
		}
		p.line(depth, sign, oneLine(noun.Counted(n, string(kind)))+":")
		p.wrapped(depth+1, sign, words)
		children = children[n:]
	}
}

// short is the shortest that says what a child is: a column with its type, the name of anything else.
func short(c Change) string {
	if q, ok := c.Property("type"); ok && c.Kind == schema.KindColumn {
		return oneLine(c.Name + " " + q.From + q.To)
	}
	return oneLine(c.Name)
}

// wrapped prints words with commas, as many to a line as fit.
func (p *printer) wrapped(depth int, sign string, words []string) {
	const width = 90
	line := ""
	for i, word := range words {
		if i < len(words)-1 {
			word += ","
		}
		if line != "" && len(line)+1+len(word) > width {
			p.line(depth, sign, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	p.line(depth, sign, line)
}

// property prints old and new value: on one line if they are short, else by lines.
func (p *printer) property(depth int, q PropertyChange) {
	name := oneLine(q.Name)
	if len(q.From)+len(q.To) < 100 && !strings.Contains(q.From+q.To, "\n") {
		p.line(depth, "", name+": "+p.colored("31", oneLine(orNone(q.From)))+" → "+p.colored("32", oneLine(orNone(q.To))))
		return
	}
	p.line(depth, "", name+":")
	for _, l := range diffLines(q.From, q.To) {
		switch l.Sign {
		case ' ':
			p.line(depth+1, "", "  "+l.Text)
		case '@':
			p.line(depth+1, "dim", "…")
		default:
			p.line(depth+1, string(l.Sign), l.Text)
		}
	}
}

func (p *printer) colored(code, text string) string {
	if !p.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// summary says on one line what an added or dropped object is like.
func summary(c Change) string {
	var parts []string
	for _, q := range c.Properties {
		value := q.From + q.To
		switch {
		case strings.Contains(value, "\n"), value == c.Name:
			continue
		case value == "yes":
			parts = append(parts, q.Name)
		case q.Name == "type" || q.Name == "definition" || q.Name == "form":
			parts = append(parts, value)
		default:
			parts = append(parts, q.Name+" "+value)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + oneLine(strings.Join(parts, ", "))
}

func because(evidence string) string {
	if evidence == "" {
		return ""
	}
	return " (" + oneLine(evidence) + ")"
}

// data prints the tables whose rows were compared.
func (p *printer) data() {
	r := p.report
	for _, t := range r.Data {
		if t.Same() {
			p.line(0, "", "rows of "+t.text(r.From.Name, r.To.Name))
			continue
		}
		p.line(0, "~", "rows of "+t.text(r.From.Name, r.To.Name))
		for _, row := range t.Sample {
			p.line(1, row.Action.sign(), t.keyText(row))
			for _, v := range row.Values {
				p.property(2, v)
			}
		}
		if rest := t.OnlyFrom + t.OnlyTo + t.Different - int64(len(t.Sample)); rest > 0 && len(t.Sample) > 0 {
			p.line(1, "dim", fmt.Sprintf("… and %d more", rest))
		}
	}
}

// tables prints the pending changes and the other sections.
func (p *printer) tables() {
	for _, s := range p.report.sections() {
		p.line(0, "bold", oneLine(s.Title))
		if s.Intro != "" {
			p.line(1, "", visible(s.Intro))
		}
		for _, row := range s.Rows {
			var cells []string
			for i, cell := range row {
				if i > 0 && i < len(s.Head) && s.Head[i] != "" && cell != "" {
					cell = s.Head[i] + ": " + cell
				}
				if cell != "" {
					cells = append(cells, oneLine(cell))
				}
			}
			p.line(1, "", strings.Join(cells, "; "))
		}
	}
}

// sections are the pending changes, as a section, and the others.
func (r Report) sections() []Section {
	if len(r.Pending) == 0 {
		return r.Sections
	}
	s := Section{
		Title: "Changes that do not stand alike", Intro: "What is applied on one side and not on the other.",
		Head: []string{"change", r.From.Name, r.To.Name, "explains"},
	}
	for _, p := range r.Pending {
		explains := ""
		if p.Explains > 0 {
			explains = noun.Counted(p.Explains, "difference")
		}
		s.Rows = append(s.Rows, []string{p.Change, applied(p.From), applied(p.To), explains})
	}
	return append([]Section{s}, r.Sections...)
}

// outside prints what is no finding: ignored, left out, not compared.
func (p *printer) outside() {
	for _, i := range p.report.Ignored {
		p.line(0, "dim", "ignored: "+i.text())
	}
	if len(p.report.LeftOut) > 0 {
		p.line(0, "!", "left out as asked: "+oneLine(strings.Join(p.report.LeftOut, ", ")))
	}
	for _, text := range p.report.uncovered() {
		p.line(0, "!", "not compared: "+text)
	}
}

func (p *printer) scripts() {
	for _, s := range p.report.Scripts {
		p.line(0, "bold", "-- "+oneLine(s.Title))
		for l := range strings.SplitSeq(strings.TrimSuffix(s.SQL, "\n"), "\n") {
			p.line(0, "", visible(l))
		}
	}
}
