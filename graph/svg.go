package graph

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Measures of the drawing, in pixels. The font's characters are all as wide.
const (
	charWidth = 7.2
	rowHeight = 18.0
	headRow   = 26.0
	padding   = 10.0
	maxText   = 40 // characters of a name or type that are shown; the whole of it is in the tooltip
)

// SVG writes the graph as a drawing that needs nothing else: light or dark as the reader's system is.
func (g *Graph) SVG(w io.Writer, title string) error {
	l := newLayout(g, size)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img">`+"\n", l.width, l.height, l.width, l.height)
	fmt.Fprintf(&b, "<title>%s</title>\n%s", escape(title), style)
	for i, k := range g.Keys {
		l.key(&b, i, k)
	}
	for i, t := range g.Tables {
		l.table(&b, l.boxes[i], t)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

const style = `<style>
svg { background: #fff; font: 12px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328 }
.box { fill: #fff; stroke: #8c959f }
.head { fill: #ddf4ff; stroke: #8c959f }
.name { font-weight: bold }
.type { fill: #59636e }
.key { fill: none; stroke: #0969da; stroke-width: 1.3; opacity: .75 }
.dot { fill: #0969da }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; fill: #e6edf3 }
  .box { fill: #0d1117; stroke: #6e7681 }
  .head { fill: #0c2d4d; stroke: #6e7681 }
  .type { fill: #9198a1 }
  .key { stroke: #58a6ff }
  .dot { fill: #58a6ff }
}
</style>
`

func size(t *Table) (width, height float64) {
	longest := utf8.RuneCountInString(clip(t.Name))
	for _, c := range t.Columns {
		longest = max(longest, utf8.RuneCountInString(clip(c.Name))+utf8.RuneCountInString(clip(c.Type))+4)
	}
	return float64(longest)*charWidth + 2*padding, headRow + rowHeight*float64(len(t.Columns)) + padding/2
}

func clip(text string) string {
	if r := []rune(text); len(r) > maxText {
		return string(r[:maxText-1]) + "…"
	}
	return text
}

func (l *layout) table(b *strings.Builder, at *box, t *Table) {
	fmt.Fprintf(b, `<g><title>%s</title><rect class="box" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="4"/>`, escape(t.Name), at.x, at.y, at.width, at.height)
	fmt.Fprintf(b, `<rect class="head" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="4"/>`, at.x, at.y, at.width, headRow-4)
	fmt.Fprintf(b, `<text class="name" x="%.1f" y="%.1f">%s</text>`, at.x+padding, at.y+15, escape(clip(t.Name)))
	for i, c := range t.Columns {
		y := at.y + headRow + rowHeight*float64(i) + 12
		class := ""
		if c.Primary {
			class = ` class="name"`
		}
		fmt.Fprintf(b, `<text%s x="%.1f" y="%.1f">%s</text>`, class, at.x+padding, y, escape(clip(c.Name)))
		typ := clip(c.Type)
		if !c.NotNull && !c.Primary {
			typ += " ?"
		}
		fmt.Fprintf(b, `<text class="type" x="%.1f" y="%.1f" text-anchor="end">%s</text>`, at.x+at.width-padding, y, escape(typ))
	}
	b.WriteString("</g>\n")
}

// key draws a key from its column to the table that it refers to, with a dot at that end.
func (l *layout) key(b *strings.Builder, i int, k Key) {
	from, to := l.boxes[k.From], l.boxes[k.To]
	y := from.y + headRow/2
	if len(k.Columns) > 0 {
		y = from.y + headRow + rowHeight*float64(k.Columns[0]) + 8
	}
	var path strings.Builder
	var endX, endY float64
	if from.layer == to.layer { // to itself, or within a layer: a loop to the right of both
		x := max(from.x+from.width, to.x+to.width)
		endX, endY = to.x+to.width, to.y+headRow/2
		fmt.Fprintf(&path, "M%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f", from.x+from.width, y, x+layerGap/2, y, x+layerGap/2, endY, endX, endY)
	} else {
		endX, endY = l.through(&path, i, y)
	}
	fmt.Fprintf(b, `<g><title>%s</title><path class="key" d="%s"/><circle class="dot" cx="%.1f" cy="%.1f" r="3.5"/></g>`+"\n",
		escape(l.graph.Tables[k.From].Name+" → "+l.graph.Tables[k.To].Name+" "+k.Name), path.String(), endX, endY)
}

// through draws a key along its route.
func (l *layout) through(path *strings.Builder, key int, y float64) (endX, endY float64) {
	route := l.routes[key]
	left := l.boxes[route[len(route)-1]].layer < l.boxes[route[0]].layer
	edge := func(b *box, out bool) float64 {
		if out == left {
			return b.x
		}
		return b.x + b.width
	}
	x := edge(l.boxes[route[0]], true)
	fmt.Fprintf(path, "M%.1f %.1f", x, y)
	for _, n := range route[1:] {
		b := l.boxes[n]
		endX, endY = edge(b, false), b.y+b.height/2
		if b.table >= 0 {
			endY = b.y + headRow/2 - 2
		}
		middle := (x + endX) / 2
		fmt.Fprintf(path, " C%.1f %.1f %.1f %.1f %.1f %.1f", middle, y, middle, endY, endX, endY)
		x, y = endX, endY
		if b.table < 0 {
			x = edge(b, true)
			fmt.Fprintf(path, " L%.1f %.1f", x, y)
		}
	}
	return endX, endY
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a strings.Builder takes everything
	return b.String()
}
