package diff

import (
	_ "embed"
	"fmt"
	"hash/fnv"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/internal/webpage"
	"github.com/switchbackdb/switchback/schema"
)

var (
	//go:embed page/report.html
	pageTemplate string
	//go:embed page/report.css
	pageStyle string
	//go:embed page/report.js
	pageScript string
)

// openUpTo is how many changed objects are shown unfolded at first.
const openUpTo = 40

// HTML writes the report as one page that needs nothing else: style and script are in it, and its content
// security policy lets nothing else be loaded or run. Without its script all of it can be read; the
// script adds the search. What comes from the databases is shown as text.
func (r Report) HTML(w io.Writer) error {
	t, err := template.New("report").Parse(pageTemplate)
	if err != nil {
		return fmt.Errorf("read the template of the page: %w", err)
	}
	if err := t.Execute(w, newPage(r)); err != nil {
		return fmt.Errorf("write the report as HTML: %w", err)
	}
	return nil
}

// page is what the template shows.
type page struct {
	Title, From, To      string
	FromServer, ToServer string
	Made                 string
	Policy               string
	Style                template.CSS
	Script               template.JS
	Same                 bool
	Summary              string
	Added, Dropped       int // objects
	Modified, Uncovered  int
	Counts               []Count
	Notes, LeftOut       []string
	NotCompared          []string
	Renames              []string
	Proposed             []pageProposal
	Kinds                []pageKind
	Groups               []pageGroup
	Objects              int
	Many                 bool // more than are shown unfolded at first
	Data                 []pageData
	Sections             []Section
	Ignored              []pageIgnored
	Scripts              []Script
}

type pageProposal struct{ Text, Evidence, Confirm string }

type pageKind struct {
	Kind string
	N    int
}

// pageGroup are the objects of a schema.
type pageGroup struct {
	Name    string // empty: those of the database
	Objects []pageObject
}

// pageObject is a changed object, or one that belongs to one.
type pageObject struct {
	ID, Kind, Name string
	Action         Action
	Word           string // added, dropped, changed
	Short          string // what an added or dropped one is like
	Since, By      string
	Open           bool
	Properties     []pageProperty
	Children       []pageObject
}

// pageProperty is a property with both values, or with the difference of its lines.
type pageProperty struct {
	Name, From, To string
	Lines          []pageLine
}

// pageLine is a line of a difference. Mark is the part that differs from the line it is paired with.
type pageLine struct {
	Class, Sign          string
	Before, Mark, Behind string
}

type pageData struct {
	Name, Text string
	Same       bool
	Rows       []pageObject
	More       int64
}

type pageIgnored struct {
	Sign, Path, Reason, Until string
}

func newPage(r Report) page {
	p := page{
		Title: oneLine(r.Title), From: oneLine(r.From.Name), To: oneLine(r.To.Name), FromServer: r.From.server(), ToServer: r.To.server(),
		Policy: webpage.Policy(pageStyle, pageScript),
		Style:  template.CSS(pageStyle),
		Script: template.JS(pageScript),
		Same:   r.Same(), Summary: r.summary(), Uncovered: r.uncoveredCount(), Counts: r.Summary,
		LeftOut: r.LeftOut, NotCompared: r.uncovered(),
	}
	if !r.Made.IsZero() {
		p.Made = r.Made.UTC().Format("2 January 2006, 15:04 MST")
	}
	for _, n := range r.Notes {
		p.Notes = append(p.Notes, visible(n))
	}
	for _, c := range r.Summary {
		p.Added, p.Dropped, p.Modified = p.Added+c.Added, p.Dropped+c.Dropped, p.Modified+c.Modified
		p.Kinds = append(p.Kinds, pageKind{oneLine(string(c.Kind)), c.Added + c.Dropped + c.Modified})
	}
	for _, x := range r.Renames {
		p.Renames = append(p.Renames, x.text())
	}
	for _, x := range r.Proposed {
		p.Proposed = append(p.Proposed, pageProposal{x.text(), oneLine(x.Evidence), oneLine(x.Confirm)})
	}
	p.addObjects(r)
	p.addRest(r)
	return p
}

func (p *page) addObjects(r Report) {
	list := entries(r.Changes)
	p.Objects, p.Many = len(list), len(list) > openUpTo
	seen := map[string]bool{}
	for _, e := range list {
		o := r.object(e.Change, e.Path)
		o.Name, o.ID, o.Open = e.FullName(), anchor(e.Path, seen), !p.Many
		group := e.Namespace
		if e.Kind == schema.KindSchema {
			group = e.Name
		}
		if n := len(p.Groups); n == 0 || p.Groups[n-1].Name != oneLine(group) {
			p.Groups = append(p.Groups, pageGroup{Name: oneLine(group)})
		}
		last := &p.Groups[len(p.Groups)-1]
		last.Objects = append(last.Objects, o)
	}
}

// anchor is the name of an object's place on the page, the same in each report in which it changes.
func anchor(path string, seen map[string]bool) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.' {
			return r
		}
		return '-'
	}, path)
	if plain != strings.ReplaceAll(path, " ", "-") || seen[plain] {
		h := fnv.New64a()
		_, _ = h.Write([]byte(path))
		plain = fmt.Sprintf("%s-%x", plain[:min(len(plain), 80)], h.Sum64())
	}
	for i := 2; seen[plain]; i++ {
		plain = fmt.Sprintf("%s-%d", plain, i)
	}
	seen[plain] = true
	return plain
}

func (r Report) object(c Change, path string) pageObject {
	o := pageObject{Kind: oneLine(string(c.Kind)), Name: oneLine(c.Name), Action: c.Action, By: oneLine(r.Explained[path])}
	o.Word = map[Action]string{Add: "added", Drop: "dropped", Modify: "changed"}[c.Action]
	if t, ok := r.Since[path]; ok {
		o.Since = t.UTC().Format(time.DateOnly)
	}
	if c.Action != Modify {
		o.Short = strings.TrimPrefix(summary(c), ": ")
	}
	for _, q := range c.Properties {
		switch {
		case strings.Contains(q.From+q.To, "\n") || c.Action == Modify && len(q.From)+len(q.To) >= 100:
			o.Properties = append(o.Properties, pageProperty{Name: oneLine(q.Name), Lines: pageLines(diffLines(q.From, q.To))})
		case c.Action == Modify:
			o.Properties = append(o.Properties, pageProperty{Name: oneLine(q.Name), From: oneLine(q.From), To: oneLine(q.To)})
		}
	}
	for _, child := range c.Children {
		o.Children = append(o.Children, r.object(child, child.path(path, "")))
	}
	return o
}

// pageLines marks in lines that replace each other one by one what differs in them.
func pageLines(lines []line) []pageLine {
	out := make([]pageLine, len(lines))
	for i, l := range lines {
		out[i] = pageLine{Sign: string(l.Sign), Before: l.Text, Class: map[byte]string{'+': "add", '-': "drop", ' ': "", '@': "gap"}[l.Sign]}
		if l.Sign == '@' {
			out[i].Sign, out[i].Before = "", "⋯"
		}
	}
	for i := 0; i < len(lines); {
		drops := run(lines[i:], '-')
		adds := run(lines[i+drops:], '+')
		if drops == adds {
			for j := i; j < i+drops; j++ {
				mark(&out[j], &out[j+drops])
			}
		}
		i += max(drops+adds, 1)
	}
	return out
}

// run is how many lines with that sign come first.
func run(lines []line, sign byte) int {
	n := 0
	for n < len(lines) && lines[n].Sign == sign {
		n++
	}
	return n
}

// mark splits two lines into what they begin with alike, what differs and what they end with alike.
func mark(a, b *pageLine) {
	x, y := []rune(a.Before), []rune(b.Before)
	begin := 0
	for begin < min(len(x), len(y)) && x[begin] == y[begin] {
		begin++
	}
	end := 0
	for end < min(len(x), len(y))-begin && x[len(x)-1-end] == y[len(y)-1-end] {
		end++
	}
	if 2*(begin+end) < min(len(x), len(y)) {
		return // they have too little in common for marks to help
	}
	a.Before, a.Mark, a.Behind = string(x[:begin]), string(x[begin:len(x)-end]), string(x[len(x)-end:])
	b.Before, b.Mark, b.Behind = string(y[:begin]), string(y[begin:len(y)-end]), string(y[len(y)-end:])
}

func (p *page) addRest(r Report) {
	for _, t := range r.Data {
		d := pageData{Name: oneLine(t.Table), Text: strings.TrimPrefix(t.text(r.From.Name, r.To.Name), oneLine(t.Table)+": "), Same: t.Same()}
		for _, row := range t.Sample {
			o := r.object(Change{Action: row.Action, Kind: "row", Name: t.keyText(row), Properties: row.Values}, "")
			d.Rows = append(d.Rows, o)
		}
		d.More = t.OnlyFrom + t.OnlyTo + t.Different - int64(len(t.Sample))
		p.Data = append(p.Data, d)
	}
	for _, s := range r.sections() {
		clean := Section{Title: oneLine(s.Title), Intro: visible(s.Intro)}
		for _, h := range s.Head {
			clean.Head = append(clean.Head, oneLine(h))
		}
		for _, cells := range s.Rows {
			var row []string
			for _, cell := range cells {
				row = append(row, visible(cell))
			}
			clean.Rows = append(clean.Rows, row)
		}
		p.Sections = append(p.Sections, clean)
	}
	for _, i := range r.Ignored {
		x := pageIgnored{Sign: i.Action.sign(), Path: oneLine(i.Path), Reason: oneLine(i.Reason), Until: "no end"}
		if !i.Until.IsZero() {
			x.Until = i.Until.UTC().Format(time.DateOnly)
		}
		p.Ignored = append(p.Ignored, x)
	}
	for _, s := range r.Scripts {
		p.Scripts = append(p.Scripts, Script{oneLine(s.Title), visible(s.SQL)})
	}
}
