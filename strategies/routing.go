package strategies

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// totalWeight is what the weights of a routing add up to.
const totalWeight = 100

// ErrInvalidRouting is wrapped by every error about backends that cannot be routed to.
var ErrInvalidRouting = errors.New("invalid routing")

// CheckBackends tells whether backends can be put in force: at least one, each slot and each address at
// most once, weights from 0 to 100 that add up to 100, addresses that can be dialled. The error
// wraps ErrInvalidRouting and names the backend.
//
// An address may not appear twice because draining counts requests by address: two slots that share
// one could never be told apart.
func CheckBackends(backends []Backend) error {
	if len(backends) == 0 {
		// An empty list is nearly always a lookup that failed somewhere, never a wish.
		return fmt.Errorf("%w: no backends", ErrInvalidRouting)
	}
	sum := 0
	for i, b := range backends {
		if err := checkBackend(b); err != nil {
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

func checkBackend(b Backend) error {
	if b.Slot != Blue && b.Slot != Green {
		return fmt.Errorf("slot %q is neither %s nor %s", b.Slot, Blue, Green)
	}
	if b.Weight < 0 || b.Weight > totalWeight {
		return fmt.Errorf("slot %s: weight %d is not between 0 and %d", b.Slot, b.Weight, totalWeight)
	}
	return CheckAddress(b.Address)
}

// CheckAddress tells whether an address is a host:port that can be dialled.
func CheckAddress(address string) error {
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
