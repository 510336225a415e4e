package graph

import (
	"cmp"
	"math"
	"slices"
)

// box is a place in the drawing: a table, or a point that a long key passes on its way through a layer.
type box struct {
	table         int // -1 for a point
	layer         int
	x, y          float64
	width, height float64
	near          []int // boxes of the layers beside it that it is joined to
}

// layout places the tables of a graph in layers from left to right, in the manner of Sugiyama, Tagawa and
// Toda (1981): a table stands to the right of those it refers to; keys over several layers are led through
// points in between; in each layer the boxes are ordered so that few keys cross.
type layout struct {
	graph  *Graph
	boxes  []*box  // the tables, then the points
	layers [][]int // boxes, from top to bottom
	routes [][]int // of each key, the boxes from its table to the one that it refers to
	alone  []int   // tables without keys
	width  float64
	height float64
}

// Distances of the drawing, in pixels.
const (
	layerGap  = 90.0
	boxGap    = 22.0
	pointSize = 8.0
	margin    = 24.0
)

func newLayout(g *Graph, size func(*Table) (width, height float64)) *layout {
	l := &layout{graph: g}
	for i, t := range g.Tables {
		b := &box{table: i}
		b.width, b.height = size(t)
		l.boxes = append(l.boxes, b)
	}
	l.rank()
	l.route()
	l.order()
	l.place()
	return l
}

// rank gives each table its layer: one more than the highest of those it refers to. Keys that close a
// circle do not count.
func (l *layout) rank() {
	parents := make([][]int, len(l.boxes))
	joined := make([]bool, len(l.boxes))
	for _, k := range l.graph.Keys {
		joined[k.From], joined[k.To] = true, true
		if k.From != k.To {
			parents[k.From] = append(parents[k.From], k.To)
		}
	}
	state := make([]int, len(l.boxes)) // 0 not seen, 1 on the way, 2 done
	var visit func(i int) int
	visit = func(i int) int {
		state[i] = 1
		layer := 0
		for _, p := range parents[i] {
			switch state[p] {
			case 0:
				layer = max(layer, visit(p)+1)
			case 2:
				layer = max(layer, l.boxes[p].layer+1)
			}
		}
		state[i], l.boxes[i].layer = 2, layer
		return layer
	}
	for i := range l.boxes {
		switch {
		case !joined[i]:
			l.alone = append(l.alone, i)
			l.boxes[i].layer = -1
		case state[i] == 0:
			visit(i)
		}
	}
	l.draw()
}

// draw moves tables that others refer to closer to those, so that their keys get short.
func (l *layout) draw() {
	nearest := map[int]int{}
	for _, k := range l.graph.Keys {
		from, to := l.boxes[k.From].layer, l.boxes[k.To].layer
		if from > to {
			if n, ok := nearest[k.To]; !ok || from < n {
				nearest[k.To] = from
			}
		}
	}
	free := map[int]bool{}
	for i := range l.boxes {
		free[i] = true
	}
	for _, k := range l.graph.Keys {
		free[k.From] = free[k.From] && k.From == k.To // it refers to none: only those may be moved without harm
	}
	for i, n := range nearest {
		if free[i] {
			l.boxes[i].layer = max(l.boxes[i].layer, n-1)
		}
	}
}

// route leads each key through the layers between its ends.
func (l *layout) route() {
	for _, k := range l.graph.Keys {
		route := []int{k.From}
		from, to := l.boxes[k.From].layer, l.boxes[k.To].layer
		step := cmp.Compare(to, from)
		for layer := from + step; step != 0 && layer != to; layer += step {
			l.boxes = append(l.boxes, &box{table: -1, layer: layer, height: pointSize})
			route = append(route, len(l.boxes)-1)
		}
		route = append(route, k.To)
		l.routes = append(l.routes, route)
		for i := 1; i < len(route); i++ {
			a, b := route[i-1], route[i]
			if a != b && l.boxes[a].layer != l.boxes[b].layer {
				l.boxes[a].near = append(l.boxes[a].near, b)
				l.boxes[b].near = append(l.boxes[b].near, a)
			}
		}
	}
	for i, b := range l.boxes {
		for b.layer >= len(l.layers) {
			l.layers = append(l.layers, nil)
		}
		if b.layer >= 0 {
			l.layers[b.layer] = append(l.layers[b.layer], i)
		}
	}
}

// sweeps is how often the layers are ordered by their neighbours, there and back.
const sweeps = 12

// order orders each layer by the middle of what its boxes are joined to in the layers beside it.
func (l *layout) order() {
	at := make([]float64, len(l.boxes))
	number := func(layer []int) {
		for i, b := range layer {
			at[b] = float64(i) / float64(len(layer))
		}
	}
	for _, layer := range l.layers {
		number(layer)
	}
	for s := range 2 * sweeps {
		for n := range l.layers {
			layer, side := l.layers[n], -1
			if s%2 == 1 {
				layer, side = l.layers[len(l.layers)-1-n], 1
			}
			middle := map[int]float64{}
			for _, b := range layer {
				middle[b] = l.middle(b, side, at)
			}
			slices.SortStableFunc(layer, func(a, b int) int { return cmp.Compare(middle[a], middle[b]) })
			number(layer)
		}
	}
}

// middle is the mean place of what a box is joined to on one side; its own where there is nothing.
func (l *layout) middle(b, side int, at []float64) float64 {
	sum, n := 0.0, 0
	for _, other := range l.boxes[b].near {
		if cmp.Compare(l.boxes[other].layer, l.boxes[b].layer) == side {
			sum += at[other]
			n++
		}
	}
	if n == 0 {
		return at[b]
	}
	return sum / float64(n)
}

// place gives every box its coordinates: layers side by side, boxes moved towards what they are joined to
// as far as those above and below let them. Tables without keys stand in rows below all others.
func (l *layout) place() {
	x := margin
	for _, layer := range l.layers {
		width, y := 0.0, margin
		for _, i := range layer {
			b := l.boxes[i]
			b.x, b.y = x, y
			y += b.height + boxGap
			width = max(width, b.width)
		}
		for _, i := range layer {
			if b := l.boxes[i]; b.table < 0 {
				b.width = width
			}
		}
		x += width + layerGap
	}
	for s := range 2 * sweeps {
		for n := range l.layers {
			if s%2 == 1 {
				n = len(l.layers) - 1 - n
			}
			l.relax(l.layers[n])
		}
	}
	l.normalize()
	l.placeAlone()
}

// relax moves the boxes of a layer to the mean height of their neighbours, keeping order and distances.
func (l *layout) relax(layer []int) {
	wanted := make([]float64, len(layer))
	for i, n := range layer {
		b := l.boxes[n]
		wanted[i] = b.y
		if len(b.near) > 0 {
			sum := 0.0
			for _, other := range b.near {
				o := l.boxes[other]
				sum += o.y + o.height/2
			}
			wanted[i] = sum/float64(len(b.near)) - b.height/2
		}
	}
	// Down as far as the box above makes it, then up as far as the box below does; the mean of the two.
	down, up := slices.Clone(wanted), slices.Clone(wanted)
	for i := 1; i < len(layer); i++ {
		down[i] = max(down[i], down[i-1]+l.boxes[layer[i-1]].height+boxGap)
	}
	for i := len(layer) - 2; i >= 0; i-- {
		up[i] = min(up[i], up[i+1]-l.boxes[layer[i]].height-boxGap)
	}
	for i, n := range layer {
		l.boxes[n].y = (down[i] + up[i]) / 2
	}
}

// normalize moves the drawing to its margin and measures it.
func (l *layout) normalize() {
	top := math.Inf(1)
	for _, b := range l.boxes {
		if b.layer >= 0 {
			top = min(top, b.y)
		}
	}
	for _, b := range l.boxes {
		if b.layer >= 0 {
			b.y += margin - top
			l.width = max(l.width, b.x+b.width+margin)
			l.height = max(l.height, b.y+b.height+margin)
		}
	}
}

// leastWidth is how wide a row of tables without keys may be at least.
const leastWidth = 1200.0

func (l *layout) placeAlone() {
	x, y, tallest := margin, max(l.height, margin), 0.0
	limit := max(l.width, leastWidth)
	for _, i := range l.alone {
		b := l.boxes[i]
		if x > margin && x+b.width+margin > limit {
			x, y, tallest = margin, y+tallest+boxGap, 0
		}
		b.x, b.y = x, y
		x += b.width + boxGap
		tallest = max(tallest, b.height)
		l.width = max(l.width, x-boxGap+margin)
		l.height = max(l.height, y+tallest+margin)
	}
	l.width, l.height = max(l.width, 2*margin), max(l.height, 2*margin)
}
