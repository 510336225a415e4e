package proxy

import (
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/switchbackdb/switchback/strategies"
)

// route is a backend of a table with its share of new requests.
type route struct {
	spec    strategies.Backend
	backend *backend
	mark    string // what a sticky cookie says of it
}

func newRoute(spec strategies.Backend, b *backend) route {
	// A slot is used by one release after another; a client must not stick to the next one.
	h := fnv.New64a()
	for _, part := range []string{string(spec.Slot), spec.Release, spec.Version, spec.Address} {
		_, _ = h.Write([]byte(part + "\x00"))
	}
	return route{spec: spec, backend: b, mark: strconv.FormatUint(h.Sum64(), 36)}
}

// table is a routing in force. It never changes after it was published; a shift publishes another.
type table struct {
	routing strategies.Routing
	routes  []route
}

// pick chooses a backend for a new request, at random by weight. A backend whose probe fails is
// passed over while another with weight is healthy; when none is, the weights decide alone, for a
// probe may be wrong and a try costs no more than the refusal. Backends in tried are passed over.
// It returns nil when nothing is left.
func (t *table) pick(tried []*backend) *backend {
	if b := t.draw(true, tried); b != nil {
		return b
	}
	return t.draw(false, tried)
}

// marked returns the healthy backend with the mark, nil when it may not take requests.
func (t *table) marked(mark string, tried []*backend) *backend {
	if mark == "" {
		return nil
	}
	for i := range t.routes {
		if r := &t.routes[i]; r.mark == mark && r.eligible(true, tried) {
			return r.backend
		}
	}
	return nil
}

// markOf returns the mark of b, empty when the table does not route to it.
func (t *table) markOf(b *backend) string {
	for i := range t.routes {
		if t.routes[i].backend == b {
			return t.routes[i].mark
		}
	}
	return ""
}

// draw is one weighted draw, among healthy backends only or among all.
func (t *table) draw(onlyHealthy bool, tried []*backend) *backend {
	total := 0
	for i := range t.routes {
		if t.routes[i].eligible(onlyHealthy, tried) {
			total += t.routes[i].spec.Weight
		}
	}
	if total == 0 {
		return nil
	}
	n := rand.IntN(total)
	for i := range t.routes {
		r := &t.routes[i]
		if !r.eligible(onlyHealthy, tried) {
			continue
		}
		if n -= r.spec.Weight; n < 0 {
			return r.backend
		}
	}
	// Health changed between the two passes: whoever may take the request takes it.
	for i := range t.routes {
		if t.routes[i].eligible(false, tried) {
			return t.routes[i].backend
		}
	}
	return nil
}

func (r *route) eligible(onlyHealthy bool, tried []*backend) bool {
	if r.spec.Weight == 0 || slices.Contains(tried, r.backend) {
		return false
	}
	return !onlyHealthy || r.backend.health.up()
}
