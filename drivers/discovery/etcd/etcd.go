// Package etcd keeps service discovery in etcd: one key for each instance, below a prefix, whose value is
// the registration as JSON. Whoever routes to the instances reads the keys with nothing of ours.
//
// Beside them is one key with the highest fence seen. A change and the comparison of that key are one
// transaction, so that a run which has lost its lock changes nothing, however late it comes: a lease
// alone would not see to that, for its holder may sleep past its end and not know.
package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/switchbackdb/switchback/drivers/discovery/keys"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/internal/tlsfiles"
	"github.com/switchbackdb/switchback/strategies"
)

// Options say which etcd, and where in it.
type Options struct {
	Endpoints []string
	Prefix    string // of all keys
	Username  string
	Password  string
	TLS       tlsfiles.Files
}

// Discovery implements strategies.Discovery with etcd.
type Discovery struct {
	client *clientv3.Client
	keys   keys.Keys
	where  string
}

var _ strategies.Discovery = (*Discovery)(nil)

const (
	callTimeout = 5 * time.Second
	dialTimeout = 3 * time.Second
	// pageSize keeps an answer below the size that a message may have.
	pageSize = 1000
)

// New returns the discovery in the etcd. It does not connect yet.
func New(o Options) (*Discovery, error) {
	if len(o.Endpoints) == 0 {
		return nil, errors.New("etcd: no endpoints are configured (release.discovery.endpoints)")
	}
	security, err := o.TLS.Config()
	if err != nil {
		return nil, fmt.Errorf("etcd: %w", err)
	}
	c, err := clientv3.New(clientv3.Config{
		Endpoints: o.Endpoints, Username: o.Username, Password: o.Password, TLS: security,
		DialTimeout: dialTimeout, DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: callTimeout,
		Logger: zap.NewNop(), // what matters of it is in the errors
	})
	if err != nil {
		return nil, fmt.Errorf("etcd at %s: %w", strings.Join(o.Endpoints, ", "), err)
	}
	return &Discovery{client: c, keys: keys.Keys("/" + strings.Trim(o.Prefix, "/") + "/"), where: strings.Join(o.Endpoints, ",")}, nil
}

// Close ends the connection.
func (d *Discovery) Close() error { return d.client.Close() }

// Register implements strategies.Discovery.
func (d *Discovery) Register(ctx context.Context, op strategies.Operation, r strategies.Registration) error {
	r.Operation, r.Fence = op.ID, op.Fence
	value, err := json.Marshal(r)
	if err == nil {
		err = d.change(ctx, op, clientv3.OpPut(d.keys.Instance(r.Key), string(value)))
	}
	if err != nil {
		return fmt.Errorf("register %s: %w", r.Key, err)
	}
	return nil
}

// Deregister implements strategies.Discovery.
func (d *Discovery) Deregister(ctx context.Context, op strategies.Operation, key string) error {
	if err := d.change(ctx, op, clientv3.OpDelete(d.keys.Instance(key))); err != nil {
		return fmt.Errorf("deregister %s: %w", key, err)
	}
	return nil
}

// change does one thing in the same transaction in which the fence is compared. Repeating it after an
// answer that was lost does no harm: both changes end in the same state however often they are made.
func (d *Discovery) change(ctx context.Context, op strategies.Operation, do clientv3.Op) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for {
		seen, revision, err := d.fence(ctx)
		if err != nil {
			return d.explain(err)
		}
		if op.Fence < seen {
			return fmt.Errorf("fence %d, seen %d: %w", op.Fence, seen, strategies.ErrStaleFence)
		}
		failpoint.Hit("etcd: fence read")
		ops := []clientv3.Op{do}
		if op.Fence > seen {
			ops = append(ops, clientv3.OpPut(d.keys.Fence(), strconv.FormatInt(op.Fence, 10)))
		}
		answer, err := d.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(d.keys.Fence()), "=", revision)).
			Then(ops...).Commit()
		if err != nil {
			return d.explain(err)
		}
		if answer.Succeeded {
			failpoint.Hit("etcd: changed")
			return nil
		}
	}
}

// fence is the highest one seen, with the revision it was written at; 0 and 0 when there is none.
func (d *Discovery) fence(ctx context.Context) (seen, revision int64, err error) {
	answer, err := d.client.Get(ctx, d.keys.Fence())
	if err != nil || len(answer.Kvs) == 0 {
		return 0, 0, err
	}
	kv := answer.Kvs[0]
	seen, err = d.keys.ParseFence(kv.Value)
	return seen, kv.ModRevision, err
}

// List implements strategies.Discovery. All is of one revision.
func (d *Discovery) List(ctx context.Context) ([]strategies.Registration, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var list []strategies.Registration
	err := d.each(ctx, func(key string, value []byte, _ entry) error {
		r, err := d.keys.Registration(key, value)
		list = append(list, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list registrations: %w", d.explain(err))
	}
	keys.Sort(list)
	return list, nil
}

// explain says what to do about an etcd that gives no answer.
func (d *Discovery) explain(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("etcd at %s gives no answer: %w\n  next: etcdctl --endpoints %s endpoint health", d.where, err, d.where)
	}
	return fmt.Errorf("etcd at %s: %w", d.where, err)
}
