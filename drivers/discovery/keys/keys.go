// Package keys is how service discovery is laid out in a store of keys and values: the same in etcd and in Consul, so that who
// reads the one reads the other.
package keys

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/strategies"
)

// Keys is what all keys begin with, a slash at its end.
type Keys string

// Fence is the key with the highest fence seen.
func (k Keys) Fence() string { return string(k) + "fence" }

// Agent is the key of which an agent holds the newest writing.
func (k Keys) Agent(name string) string { return string(k) + "agents/" + name }

// Instances is what the keys of the instances begin with.
func (k Keys) Instances() string { return string(k) + "instances/" }

// Instance is the key of a registration.
func (k Keys) Instance(key string) string { return k.Instances() + key }

// ParseFence reads what the key of the fence holds. What is no fence is strategies.ErrForeignChange.
func (k Keys) ParseFence(value []byte) (int64, error) {
	seen, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the key %s is %q, which is no fence of ours: %w", k.Fence(), value, strategies.ErrForeignChange)
	}
	return seen, nil
}

// Registration reads what the key of a registration holds.
func (k Keys) Registration(key string, value []byte) (r strategies.Registration, err error) {
	if err := json.Unmarshal(value, &r); err != nil {
		return r, fmt.Errorf("the key %s is no registration of ours: %w", k.Instance(key), err)
	}
	r.Key = key
	return r, nil
}

// Sort sorts registrations by their keys.
func Sort(list []strategies.Registration) {
	slices.SortFunc(list, func(a, b strategies.Registration) int { return strings.Compare(a.Key, b.Key) })
}
