package diff

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// JSON writes the report as one JSON document.
func (r Report) JSON(w io.Writer) error {
	if r.Changes == nil {
		r.Changes = []Change{}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Text writes the report for people: a tree by object, + for added, - for dropped, ~ for modified, old
// and new value of each property.
func (r Report) Text(w io.Writer, color bool) error {
	p := &printer{w: w, color: color}
	if len(r.Changes) == 0 {
		p.line(0, "", "no difference between %s and %s", r.From.Name, r.To.Name)
	} else {
		p.line(0, "", "from %s to %s", r.From.Name, r.To.Name)
		p.changes(0, r.Changes)
	}
	for _, c := range append(append([]schema.Census(nil), r.From.Uncovered...), r.To.Uncovered...) {
		p.line(0, "!", "not compared: %d of kind %s (%s)", c.Count, c.Kind, strings.Join(c.Names, ", "))
	}
	return p.err
}

type printer struct {
	w     io.Writer
	color bool
	err   error
}

func (p *printer) line(depth int, sign, format string, args ...any) {
	if p.err != nil {
		return
	}
	text := fmt.Sprintf(format, args...)
	if sign != "" {
		text = sign + " " + text
	}
	if codes := map[string]string{"+": "32", "-": "31", "~": "33", "!": "35"}; p.color && codes[sign] != "" {
		text = "\x1b[" + codes[sign] + "m" + text + "\x1b[0m"
	}
	_, p.err = fmt.Fprintln(p.w, strings.Repeat("  ", depth)+text)
}

func (p *printer) changes(depth int, changes []Change) {
	for _, c := range changes {
		sign := map[Action]string{Add: "+", Drop: "-", Modify: "~"}[c.Action]
		if c.Action != Modify {
			p.line(depth, sign, "%s %s%s", c.Kind, c.Name, summary(c))
			if c.Kind == schema.KindTable || c.Kind == schema.KindSchema {
				p.changes(depth+1, c.Children)
			}
			continue
		}
		p.line(depth, sign, "%s %s", c.Kind, c.Name)
		for _, q := range c.Properties {
			p.property(depth+1, q)
		}
		p.changes(depth+1, c.Children)
	}
}

// property prints old and new value, on a line each when they are long.
func (p *printer) property(depth int, q PropertyChange) {
	from, to := orNone(q.From), orNone(q.To)
	if len(from)+len(to) < 100 && !strings.Contains(from+to, "\n") {
		p.line(depth, "", "%s: %s → %s", q.Name, from, to)
		return
	}
	p.line(depth, "", "%s:", q.Name)
	for _, l := range strings.Split(from, "\n") {
		p.line(depth+1, "-", "%s", l)
	}
	for _, l := range strings.Split(to, "\n") {
		p.line(depth+1, "+", "%s", l)
	}
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
		case q.Name == "type" || q.Name == "definition":
			parts = append(parts, value)
		default:
			parts = append(parts, q.Name+" "+value)
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}
