// Package describe writes a schema for people: an overview of what there is, or everything about one object.
//
//	schema.Database ──Find──▶ []Found ──Full──▶ text
//	        └──────────────────────────Overview──▶ text
//
// Names and definitions come from databases and files that others wrote, so what could steer a terminal is
// shown as text.
package describe

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/switchbackdb/switchback/diff"
	"github.com/switchbackdb/switchback/internal/noun"
	"github.com/switchbackdb/switchback/schema"
)

// Found is an object that was looked for, with what it is in.
type Found struct {
	Schema string        `json:"schema,omitempty"`
	Parent string        `json:"parent,omitempty"` // the table or view that it belongs to
	Kind   schema.Kind   `json:"kind"`
	Object schema.Object `json:"object"`
}

// Find returns the objects that a pattern of package diff means: orders, public.orders, view:adults, *_log. What
// belongs to a table, such as an index, is found by its own name where no other object has it.
func Find(d *schema.Database, pattern string) []Found {
	o := diff.Options{Include: []string{pattern}}
	var found []Found
	for _, s := range o.Filter(d).Schemas {
		for _, x := range s.Children() {
			if x.Kind() != schema.KindGrant {
				found = append(found, Found{Schema: s.Name, Kind: x.Kind(), Object: x})
			}
		}
	}
	for _, x := range o.Filter(d).Objects() {
		if x.Kind() != schema.KindSchema {
			found = append(found, Found{Kind: x.Kind(), Object: x})
		}
	}
	if len(found) > 0 {
		return found
	}
	for _, s := range d.Schemas {
		for _, x := range s.Children() {
			for _, child := range x.Children() {
				if child.ObjectName() == pattern {
					found = append(found, Found{Schema: s.Name, Parent: x.ObjectName(), Kind: child.Kind(), Object: child})
				}
			}
		}
	}
	return found
}

// Overview writes a tree of schemas and the objects in them, a line each.
func Overview(w io.Writer, d *schema.Database) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.TrimSpace(orNothing(d.Engine)+" "+printable(d.Version)))
	for _, x := range d.Objects() {
		if x.Kind() != schema.KindSchema {
			fmt.Fprintf(t, "%s\n", line(x))
		}
	}
	for _, s := range d.Schemas {
		fmt.Fprintf(t, "%s\n", line(s))
		for _, x := range s.Children() {
			fmt.Fprintf(t, "  %s\n", line(x))
		}
	}
	for _, c := range d.Uncovered {
		fmt.Fprintf(t, "! not in the model: %d of kind %s (%s)\n", c.Count, c.Kind, printable(strings.Join(c.Names, ", ")))
	}
	return t.Flush()
}

func orNothing(engine string) string {
	if engine == "" {
		return "nothing"
	}
	return engine
}

// line is an object on one line, with how many it has of what belongs to it.
func line(x schema.Object) string {
	text := fmt.Sprintf("%s %s", x.Kind(), printable(x.ObjectName()))
	if x.Kind() == schema.KindSchema {
		return text
	}
	var parts []string
	for _, group := range groups(x.Children()) {
		kind := string(group[0].Kind())
		if len(group) > 1 {
			kind = noun.Many(kind)
		}
		parts = append(parts, fmt.Sprintf("%d %s", len(group), kind))
	}
	if len(parts) > 0 {
		text += "\t" + strings.Join(parts, ", ")
	}
	return text
}

// groups are objects by their kind, in the order in which they stand.
func groups(list []schema.Object) [][]schema.Object {
	at := map[schema.Kind]int{}
	var out [][]schema.Object
	for _, x := range list {
		i, ok := at[x.Kind()]
		if !ok {
			i = len(out)
			at[x.Kind()] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], x)
	}
	return out
}

// Full writes everything that the model knows of an object.
func Full(w io.Writer, f Found) error {
	name := f.Object.ObjectName()
	if f.Parent != "" {
		name += " of " + f.Parent
	}
	if f.Schema != "" {
		name += " in " + f.Schema
	}
	p := &printer{w: w}
	p.line(0, "%s %s", f.Kind, printable(name))
	p.properties(1, f.Object)
	for _, group := range groups(f.Object.Children()) {
		p.line(1, "%s", noun.Many(string(group[0].Kind())))
		for _, x := range group {
			p.object(2, x)
		}
	}
	return p.err
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(depth int, format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, strings.Repeat("  ", depth)+format+"\n", args...)
	}
}

// object writes an object below another: on one line where that is readable.
func (p *printer) object(depth int, x schema.Object) {
	var short []string
	whole := true
	for _, q := range x.Properties() {
		switch {
		case q.Value == "" || q.Value == x.ObjectName():
		case strings.Contains(q.Value, "\n"):
			whole = false
		case q.Value == "yes":
			short = append(short, q.Name)
		case q.Name == "type" || q.Name == "definition":
			short = append(short, printable(q.Value))
		default:
			short = append(short, q.Name+" "+printable(q.Value))
		}
	}
	name := printable(x.ObjectName())
	if text := strings.Join(short, ", "); whole && len(name)+len(text) < lineLength {
		if text != "" {
			name += ": " + text
		}
		p.line(depth, "%s", name)
	} else {
		p.line(depth, "%s", name)
		p.properties(depth+1, x)
	}
	for _, child := range x.Children() {
		p.object(depth+1, child)
	}
}

// lineLength is how long a line may get, about.
const lineLength = 120

func (p *printer) properties(depth int, x schema.Object) {
	for _, q := range x.Properties() {
		if q.Value == "" {
			continue
		}
		if !strings.Contains(q.Value, "\n") {
			p.line(depth, "%s: %s", q.Name, printable(q.Value))
			continue
		}
		p.line(depth, "%s:", q.Name)
		for _, l := range strings.Split(q.Value, "\n") {
			p.line(depth+1, "%s", printable(l))
		}
	}
}

// printable shows control characters as text.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
