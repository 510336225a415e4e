package etcd

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/switchbackdb/switchback/agent"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/strategies"
)

// Member is what an agent has in etcd. Its entries hang on a lease that each Announce keeps alive, so that they end
// with the agent, or with its machine.
//
// Nothing of it passes the fence of the releases: an agent has none. Each of its changes is a transaction with the
// comparison of the one key it changes instead, so that it meets no other writing than the one it looked at, and of
// the key PREFIX/agents/NAME, which is written when an agent begins: one that has been succeeded by another, however
// long it slept, changes nothing.
//
// It is for one goroutine.
type Member struct {
	d       *Discovery
	name    string
	session string // tells this one from another of the name
	ttl     time.Duration
	lease   clientv3.LeaseID // 0 when there is none
	begun   int64            // the revision at which the agent's key was written with it
	known   bool             // entered before
}

var _ agent.Membership = (*Member)(nil)

// Agent returns the membership of an agent. It begins with the first Announce, which takes over what an earlier
// agent of the name has left. The entries stay for ttl, in whole seconds, after the last one.
func (d *Discovery) Agent(name string, ttl time.Duration) (*Member, error) {
	if err := agent.CheckName(name); err != nil {
		return nil, fmt.Errorf("agent %w", err)
	}
	var b [8]byte
	_, _ = rand.Read(b[:])
	return &Member{d: d, name: name, session: hex.EncodeToString(b[:]), ttl: ttl}, nil
}

// errChanged is met when somebody has written in between: what was seen does not hold any more.
var errChanged = errors.New("the registry changes all the time")

// entry is an instance's key with what a change of it has to compare.
type entry struct {
	revision int64
	lease    clientv3.LeaseID
}

// attempts is how often an Announce looks again when somebody writes in between.
const attempts = 5

// Announce implements agent.Membership.
func (m *Member) Announce(ctx context.Context, want []strategies.Registration) (did agent.Announced, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err = agent.CheckEntries(want); err != nil {
		return did, fmt.Errorf("announce: %w", err)
	}
	for range attempts {
		var once agent.Announced
		once, err = m.announce(ctx, want)
		did.Add(once)
		if !errors.Is(err, errChanged) {
			break
		}
	}
	if err != nil {
		return did, fmt.Errorf("announce: %w", m.d.explain(err))
	}
	return did, nil
}

func (m *Member) announce(ctx context.Context, want []strategies.Registration) (did agent.Announced, err error) {
	if err := m.live(ctx); err != nil {
		return did, err
	}
	there, seen, err := m.look(ctx)
	if err != nil {
		return did, err
	}
	// An entry on the lease of an earlier agent would end with that.
	stale := func(key string) bool { return seen[key].lease != m.lease }
	put, remove, did := agent.Difference(m.name, there, want, stale)
	var done agent.Announced
	done.Held = did.Held
	for _, r := range put {
		value, err := json.Marshal(r)
		if err != nil {
			return done, err
		}
		if err := m.change(ctx, r.Key, seen[r.Key].revision, clientv3.OpPut(m.d.keys.Instance(r.Key), string(value), clientv3.WithLease(m.lease))); err != nil {
			return done, err
		}
		failpoint.Hit("etcd: entry written")
		done.Put(did, r)
	}
	for _, r := range remove {
		if err := m.change(ctx, r.Key, seen[r.Key].revision, clientv3.OpDelete(m.d.keys.Instance(r.Key))); err != nil {
			return done, err
		}
		failpoint.Hit("etcd: entry removed")
		done.Removed = append(done.Removed, r)
	}
	return done, nil
}

// live sees to a lease that lives for another while.
func (m *Member) live(ctx context.Context) error {
	if m.lease != 0 {
		_, err := m.d.client.KeepAliveOnce(ctx, m.lease)
		if err == nil || !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return err
		}
		m.lease = 0 // ended, while etcd could not be reached
	}
	granted, err := m.d.client.Grant(ctx, int64(m.ttl/time.Second))
	if err != nil {
		return err
	}
	key := m.d.keys.Agent(m.name)
	write := clientv3.OpPut(key, m.session, clientv3.WithLease(granted.ID))
	var compare []clientv3.Cmp
	if m.known {
		// Not over another one's writing, once this one has begun.
		now, err := m.d.client.Get(ctx, key)
		if err != nil {
			return err
		}
		var revision int64
		if len(now.Kvs) > 0 {
			if revision = now.Kvs[0].ModRevision; string(now.Kvs[0].Value) != m.session {
				return m.superseded()
			}
		}
		compare = append(compare, clientv3.Compare(clientv3.ModRevision(key), "=", revision))
	}
	answer, err := m.d.client.Txn(ctx).If(compare...).Then(write).Commit()
	if err != nil {
		return err
	}
	if !answer.Succeeded {
		return errChanged
	}
	m.lease, m.begun, m.known = granted.ID, answer.Header.Revision, true
	failpoint.Hit("etcd: agent entered")
	return nil
}

func (m *Member) superseded() error {
	return fmt.Errorf("%w: %s", agent.ErrSuperseded, m.name)
}

// look reads the instances' keys. One that holds no registration is somebody else's.
func (m *Member) look(ctx context.Context) (there []strategies.Registration, seen map[string]entry, err error) {
	seen = map[string]entry{}
	err = m.d.each(ctx, func(key string, value []byte, e entry) error {
		var r strategies.Registration
		if json.Unmarshal(value, &r) != nil {
			r = strategies.Registration{}
		}
		r.Key = key
		there, seen[key] = append(there, r), e
		return nil
	})
	return there, seen, err
}

// change does one thing, if the key is as it was seen and no other agent of the name has begun.
func (m *Member) change(ctx context.Context, key string, revision int64, do clientv3.Op) error {
	answer, err := m.d.client.Txn(ctx).If(
		clientv3.Compare(clientv3.ModRevision(m.d.keys.Agent(m.name)), "=", m.begun),
		clientv3.Compare(clientv3.ModRevision(m.d.keys.Instance(key)), "=", revision),
	).Then(do).Else(clientv3.OpGet(m.d.keys.Agent(m.name))).Commit()
	if errors.Is(err, rpctypes.ErrLeaseNotFound) {
		m.lease = 0
		return errChanged
	}
	if err != nil {
		return err
	}
	if answer.Succeeded {
		return nil
	}
	now := answer.Responses[0].GetResponseRange().Kvs
	switch {
	case len(now) == 0: // the lease has ended, or somebody has emptied the registry
		m.lease = 0
	case now[0].ModRevision != m.begun:
		return m.superseded()
	}
	return errChanged
}

// Leave implements agent.Membership. What hangs on the lease ends with it, all at once.
func (m *Member) Leave(ctx context.Context) error {
	if m.lease == 0 {
		return nil
	}
	if _, err := m.d.client.Revoke(ctx, m.lease); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return fmt.Errorf("take the entries out: %w", m.d.explain(err))
	}
	m.lease = 0
	return nil
}

// Close implements agent.Membership.
func (m *Member) Close() error { return nil }

// watchPause is how soon a watch that ended is begun again.
const watchPause = time.Second

// Watch implements agent.Registry. A watch that ends, because etcd was away or has compacted what it had not told
// yet, is begun again, and calls changed: the list is the truth.
func (d *Discovery) Watch(ctx context.Context, changed func()) {
	for ctx.Err() == nil {
		d.watch(ctx, changed)
		changed()
		select {
		case <-ctx.Done():
		case <-time.After(watchPause):
		}
	}
}

func (d *Discovery) watch(ctx context.Context, changed func()) {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	for answer := range d.client.Watch(ctx, d.keys.Instances(), clientv3.WithPrefix(), clientv3.WithCreatedNotify()) {
		if answer.Err() != nil {
			return
		}
		changed() // of the creation too: what was between the last list and it is in no event
	}
}

// each calls f for every instance's key, all of one revision.
func (d *Discovery) each(ctx context.Context, f func(key string, value []byte, e entry) error) error {
	var revision int64
	end := clientv3.GetPrefixRangeEnd(d.keys.Instances())
	for from := d.keys.Instances(); ; {
		answer, err := d.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(revision))
		if err != nil {
			return err
		}
		revision = answer.Header.Revision
		for _, kv := range answer.Kvs {
			if err := f(strings.TrimPrefix(string(kv.Key), d.keys.Instances()), kv.Value, entry{kv.ModRevision, clientv3.LeaseID(kv.Lease)}); err != nil {
				return err
			}
		}
		if !answer.More {
			return nil
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
}
