// Package consul keeps service discovery in Consul: one key for each instance, below a prefix, whose value is the
// registration as JSON, and beside it the instance as a service of Consul's catalogue, for those who ask its DNS or its
// health API.
//
// One more key has the highest fence seen. A change of keys and catalogue, and the comparison of that key by its modify index, are
// one transaction, so that a run which has lost its lock changes nothing, however late it comes: a session alone
// would not see to that, for its holder may sleep past its end and not know.
package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/switchbackdb/switchback/drivers/discovery/keys"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/internal/tlsfiles"
	"github.com/switchbackdb/switchback/strategies"
)

// Options say which Consul, and where in it.
type Options struct {
	Address string // http://HOST:8500: of an agent, best the machine's own
	Prefix  string // of all keys
	Token   string // of the access control lists; empty without
	TLS     tlsfiles.Files
}

// Discovery implements strategies.Discovery with Consul.
type Discovery struct {
	client *api.Client
	keys   keys.Keys
	node   string // of the catalogue, that the services of releases are on
	where  string
}

var _ strategies.Discovery = (*Discovery)(nil)

const callTimeout = 5 * time.Second

// New returns the discovery in the Consul. It does not connect yet.
func New(o Options) (*Discovery, error) {
	scheme, address, ok := strings.Cut(o.Address, "://")
	if !ok || address == "" || scheme != "http" && scheme != "https" {
		return nil, errors.New("consul: the endpoint is not http://HOST:PORT or https://HOST:PORT (release.discovery.endpoints)")
	}
	c := api.DefaultConfig()
	c.Scheme, c.Address, c.Token, c.WaitTime = scheme, strings.TrimSuffix(address, "/"), o.Token, watchTime
	security, err := o.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("consul: %w", err)
	}
	c.Transport.TLSClientConfig = security
	client, err := api.NewClient(c)
	if err != nil {
		return nil, fmt.Errorf("consul at %s: %w", o.Address, err)
	}
	prefix := strings.Trim(o.Prefix, "/")
	return &Discovery{client: client, keys: keys.Keys(prefix + "/"), node: "switchback-" + strings.ReplaceAll(prefix, "/", "-"), where: o.Address}, nil
}

// Register implements strategies.Discovery.
func (d *Discovery) Register(ctx context.Context, op strategies.Operation, r strategies.Registration) error {
	r.Operation, r.Fence = op.ID, op.Fence
	value, err := json.Marshal(r)
	if err == nil {
		var entered api.TxnOps
		if entered, err = d.entered(r); err == nil {
			err = d.change(ctx, op, r.Key, append(entered, kv(api.KVSet, d.keys.Instance(r.Key), value, 0, "")))
		}
	}
	if err != nil {
		return fmt.Errorf("register %s: %w", r.Key, err)
	}
	return nil
}

// Deregister implements strategies.Discovery.
func (d *Discovery) Deregister(ctx context.Context, op strategies.Operation, key string) error {
	application, _, _ := strings.Cut(key, "/")
	err := d.change(ctx, op, key, api.TxnOps{
		kv(api.KVDelete, d.keys.Instance(key), nil, 0, ""),
		{Service: &api.ServiceTxnOp{Verb: api.ServiceDelete, Node: d.node, Service: api.AgentService{ID: key, Service: application}}},
	})
	if err != nil {
		return fmt.Errorf("deregister %s: %w", key, err)
	}
	return nil
}

// kv is a step of a transaction on a key.
func kv(verb api.KVOp, key string, value []byte, index uint64, session string) *api.TxnOp {
	return &api.TxnOp{KV: &api.KVTxnOp{Verb: verb, Key: key, Value: value, Index: index, Session: session}}
}

// unchanged is the step that lets a transaction pass only while a key is as it was seen.
func unchanged(key string, index uint64) *api.TxnOp {
	if index == 0 {
		return kv(api.KVCheckNotExists, key, nil, 0, "")
	}
	return kv(api.KVCheckIndex, key, nil, index, "")
}

// entered are the steps that enter an instance in the catalogue: up is passing there, anything else is not found by who
// asks for what is healthy.
func (d *Discovery) entered(r strategies.Registration) (api.TxnOps, error) {
	host, port, err := split(r.Address)
	if err != nil {
		return nil, err
	}
	application, _, _ := strings.Cut(r.Key, "/")
	status := api.HealthCritical
	if r.State == "up" {
		status = api.HealthPassing
	}
	meta := map[string]string{"version": r.Version, "release": r.Release, "slot": string(r.Slot)}
	return api.TxnOps{
		{Node: &api.NodeTxnOp{Verb: api.NodeSet, Node: api.Node{
			Node: d.node, Address: "127.0.0.1", Meta: map[string]string{"external-node": "true", "external-probe": "false"},
		}}},
		{Service: &api.ServiceTxnOp{Verb: api.ServiceSet, Node: d.node, Service: api.AgentService{
			ID: r.Key, Service: application, Address: host, Port: port, Meta: meta,
		}}},
		{Check: &api.CheckTxnOp{Verb: api.CheckSet, Check: api.HealthCheck{
			Node: d.node, CheckID: r.Key, Name: "release", ServiceID: r.Key, Status: status, Output: r.State,
		}}},
	}, nil
}

// split is the host and the port of an address.
func split(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	if port, err = strconv.Atoi(text); err != nil {
		return "", 0, fmt.Errorf("port of %s: %w", address, err)
	}
	return host, port, nil
}

// change does what is to be done for a key, in the transaction in which the fence is compared. Repeating it after an answer that
// was lost does no harm: it ends in the same state however often it is made.
func (d *Discovery) change(ctx context.Context, op strategies.Operation, key string, do api.TxnOps) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for {
		ops, err := d.fenced(ctx, op, key)
		if err != nil {
			return d.explain(err)
		}
		failpoint.Hit("consul: fence read")
		_, err = d.commit(ctx, append(ops, do...))
		if err == nil {
			failpoint.Hit("consul: changed")
		}
		if err == nil || !errors.Is(err, errChanged) || ctx.Err() != nil {
			return d.explain(err)
		}
	}
}

// fenced are the steps that come first in each change of a release: the comparison of the fence, and the release of the
// key by an agent's session, with which it would end.
func (d *Discovery) fenced(ctx context.Context, op strategies.Operation, key string) (api.TxnOps, error) {
	seen, index, err := d.fence(ctx)
	if err != nil {
		return nil, err
	}
	if op.Fence < seen {
		return nil, fmt.Errorf("fence %d, seen %d: %w", op.Fence, seen, strategies.ErrStaleFence)
	}
	ops := api.TxnOps{unchanged(d.keys.Fence(), index)}
	if op.Fence > seen {
		ops = append(ops, kv(api.KVSet, d.keys.Fence(), strconv.AppendInt(nil, op.Fence, 10), 0, ""))
	}
	now, err := d.get(ctx, d.keys.Instance(key))
	if err == nil && now != nil && now.Session != "" {
		ops = append(ops, kv(api.KVUnlock, now.Key, now.Value, 0, now.Session))
	}
	return ops, err
}

// errChanged is met when somebody has written in between: what was seen does not hold any more.
var errChanged = errors.New("the registry changes all the time")

// commit carries a transaction out, whole or not at all, and returns what it has written.
func (d *Discovery) commit(ctx context.Context, ops api.TxnOps) (api.TxnResults, error) {
	ok, answer, _, err := d.client.Txn().Txn(ops, query(ctx))
	if err != nil {
		return nil, err
	}
	if ok {
		return answer.Results, nil
	}
	var reasons []string
	raced := false
	for _, e := range answer.Errors {
		reasons = append(reasons, e.What)
		raced = raced || inBetween.MatchString(e.What)
	}
	said := strings.Join(reasons, "; ")
	if !raced {
		return nil, fmt.Errorf("%w: %s", errRefused, said)
	}
	return nil, fmt.Errorf("%w: %s", errChanged, said)
}

// inBetween is what Consul says of a step whose key, or whose session, is not as it was seen any more.
var inBetween = regexp.MustCompile(`index check|check index|exist|lock|session`)

// errRefused is met when Consul does not take a transaction, whatever the keys are.
var errRefused = errors.New("it refuses")

// query asks for what the leader knows for sure.
func query(ctx context.Context) *api.QueryOptions {
	return (&api.QueryOptions{RequireConsistent: true}).WithContext(ctx)
}

// get reads a key; nil when there is none.
func (d *Discovery) get(ctx context.Context, key string) (*api.KVPair, error) {
	pair, _, err := d.client.KV().Get(key, query(ctx))
	return pair, err
}

// fence is the highest one seen, with the index it was written at; 0 and 0 when there is none.
func (d *Discovery) fence(ctx context.Context) (seen int64, index uint64, err error) {
	pair, err := d.get(ctx, d.keys.Fence())
	if err != nil || pair == nil {
		return 0, 0, err
	}
	seen, err = d.keys.ParseFence(pair.Value)
	return seen, pair.ModifyIndex, err
}

// List implements strategies.Discovery.
func (d *Discovery) List(ctx context.Context) ([]strategies.Registration, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pairs, _, err := d.client.KV().List(d.keys.Instances(), query(ctx))
	if err != nil {
		return nil, fmt.Errorf("list registrations: %w", d.explain(err))
	}
	var list []strategies.Registration
	for _, pair := range pairs {
		r, err := d.keys.Registration(strings.TrimPrefix(pair.Key, d.keys.Instances()), pair.Value)
		if err != nil {
			return nil, fmt.Errorf("list registrations: %w", err)
		}
		list = append(list, r)
	}
	keys.Sort(list)
	return list, nil
}

// explain says what to do about a Consul that gives no answer.
func (d *Discovery) explain(err error) error {
	var answered api.StatusError
	switch {
	case err == nil, errors.Is(err, strategies.ErrForeignChange), errors.Is(err, strategies.ErrStaleFence):
		return err
	case errors.As(err, &answered), errors.Is(err, errChanged), errors.Is(err, errRefused):
		return fmt.Errorf("consul at %s: %w", d.where, err)
	}
	return fmt.Errorf("consul at %s gives no answer: %w\n  next: consul members -http-addr=%s", d.where, err, d.where)
}
