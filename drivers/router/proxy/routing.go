package proxy

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"

	"github.com/switchbackdb/switchback/strategies"
)

// totalWeight is what the weights of a routing add up to.
const totalWeight = 100

// ErrInvalidRouting is wrapped by every error about backends that cannot be routed to.
var ErrInvalidRouting = errors.New("invalid routing")

// Validate tells whether backends can be put in force: at least one, each slot and each address at
// most once, weights from 0 to 100 that add up to 100, addresses that can be dialled. The error
// wraps ErrInvalidRouting and names the backend.
//
// An address may not appear twice because draining counts requests by address: two slots that share
// one could never be told apart.
func Validate(backends []strategies.Backend) error {
	if len(backends) == 0 {
		// An empty list is nearly always a lookup that failed somewhere, never a wish.
		return fmt.Errorf("%w: no backends", ErrInvalidRouting)
	}
	sum := 0
	for i, b := range backends {
		if err := validateBackend(b); err != nil {
			return fmt.Errorf("%w: backend %d: %w", ErrInvalidRouting, i+1, err)
		}
		for _, earlier := range backends[:i] {
			if earlier.Slot == b.Slot {
				return fmt.Errorf("%w: backend %d: slot %s is given twice", ErrInvalidRouting, i+1, b.Slot)
			}
			if earlier.Address == b.Address {
				return fmt.Errorf("%w: backend %d: address %s is given twice", ErrInvalidRouting, i+1, b.Address)
			}
		}
		sum += b.Weight
	}
	if sum != totalWeight {
		return fmt.Errorf("%w: weights add up to %d, want %d", ErrInvalidRouting, sum, totalWeight)
	}
	return nil
}

func validateBackend(b strategies.Backend) error {
	if b.Slot != strategies.Blue && b.Slot != strategies.Green {
		return fmt.Errorf("slot %q is neither %s nor %s", b.Slot, strategies.Blue, strategies.Green)
	}
	if b.Weight < 0 || b.Weight > totalWeight {
		return fmt.Errorf("slot %s: weight %d is not between 0 and %d", b.Slot, b.Weight, totalWeight)
	}
	return validateAddress(b.Address)
}

func validateAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("address %q is not host:port", address)
	}
	if host == "" {
		return fmt.Errorf("address %q has no host", address)
	}
	for _, c := range host {
		// The host ends up in a dial and in log lines; anything else in it is a mistake or an attack.
		if c <= ' ' || c == 0x7f || c == '/' || c == '@' || c == '?' || c == '#' {
			return fmt.Errorf("address %q: %q is not allowed in a host", address, c)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("address %q: port is not a number from 1 to 65535", address)
	}
	return nil
}

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
