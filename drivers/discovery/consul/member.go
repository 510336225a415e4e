package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/switchbackdb/switchback/agent"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/strategies"
)

// Member is what an agent has in Consul. Its keys are held by a session that each Announce renews, so that they end with the
// agent, or with its machine; what is up is a service of the local Consul agent too, whose check has a time to live.
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
	ttl     time.Duration
	session string // "" when there is none
	begun   uint64 // the index at which the agent's key was written with it
	known   string // the last session, once this one has entered
}

var _ agent.Membership = (*Member)(nil)

// Agent returns the membership of an agent. It begins with the first Announce, which takes over what an earlier
// agent of the name has left. The entries stay for ttl after the last one, or up to twice as long: Consul takes its time.
func (d *Discovery) Agent(name string, ttl time.Duration) (*Member, error) {
	if err := agent.CheckName(name); err != nil {
		return nil, fmt.Errorf("agent %w", err)
	}
	return &Member{d: d, name: name, ttl: ttl}, nil
}

// lockDelay is how long a key is kept from others after a session that held it has ended. Consul's 15 seconds are for those
// who do not compare indexes.
const lockDelay = time.Millisecond

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
	if err == nil {
		err = m.serve(ctx, want, did.Held)
	}
	switch {
	case errors.Is(err, agent.ErrSuperseded):
		return did, fmt.Errorf("announce: %w", err)
	case err != nil:
		return did, fmt.Errorf("announce: %w", m.d.explain(err))
	}
	return did, nil
}

func (m *Member) announce(ctx context.Context, want []strategies.Registration) (done agent.Announced, err error) {
	if err := m.live(ctx); err != nil {
		return done, err
	}
	there, seen, err := m.look(ctx)
	if err != nil {
		return done, err
	}
	// An entry that the session of an earlier agent holds would end with that.
	stale := func(key string) bool { return seen[key] != nil && seen[key].Session != m.session }
	put, remove, did := agent.Difference(m.name, there, want, stale)
	done.Held = did.Held
	for _, r := range put {
		if err := m.put(ctx, seen[r.Key], r); err != nil {
			return done, err
		}
		failpoint.Hit("consul: entry written")
		done.Put(did, r)
	}
	for _, r := range remove {
		key := m.d.keys.Instance(r.Key)
		if err := m.change(ctx, unchanged(key, seen[r.Key].ModifyIndex), kv(api.KVDelete, key, nil, 0, "")); err != nil {
			return done, err
		}
		failpoint.Hit("consul: entry removed")
		done.Removed = append(done.Removed, r)
	}
	return done, nil
}

// live sees to a session that lives for another while.
func (m *Member) live(ctx context.Context) error {
	sessions := m.d.client.Session()
	if m.session != "" {
		entry, _, err := sessions.Renew(m.session, (&api.WriteOptions{}).WithContext(ctx))
		if err != nil || entry != nil {
			return err
		}
		m.session = "" // ended, while Consul could not be reached
	}
	session, _, err := sessions.Create(&api.SessionEntry{
		Name: "switchback agent " + m.name, TTL: m.ttl.String(), Behavior: api.SessionBehaviorDelete, LockDelay: lockDelay,
	}, (&api.WriteOptions{}).WithContext(ctx))
	if err != nil {
		return err
	}
	err = m.enter(ctx, session)
	if err != nil {
		_, _ = sessions.Destroy(session, (&api.WriteOptions{}).WithContext(context.WithoutCancel(ctx)))
	}
	return err
}

// enter writes the agent's key, held by the session.
func (m *Member) enter(ctx context.Context, session string) error {
	key := m.d.keys.Agent(m.name)
	now, err := m.d.get(ctx, key)
	if err != nil {
		return err
	}
	// Not over another one's writing, once this one has begun.
	if m.known != "" && now != nil && string(now.Value) != m.known {
		return m.superseded()
	}
	written, err := m.d.commit(ctx, held(now, key, []byte(session), session))
	if err != nil {
		return err
	}
	m.session, m.known, m.begun = session, session, written[len(written)-1].KV.ModifyIndex
	failpoint.Hit("consul: agent entered")
	return nil
}

// held are the steps that write a key, as it was seen, with a value and have the session hold it.
func held(now *api.KVPair, key string, value []byte, session string) api.TxnOps {
	if now == nil {
		return api.TxnOps{unchanged(key, 0), kv(api.KVLock, key, value, 0, session)}
	}
	ops := api.TxnOps{unchanged(key, now.ModifyIndex)}
	if now.Session != "" && now.Session != session {
		ops = append(ops, kv(api.KVUnlock, key, now.Value, 0, now.Session))
	}
	return append(ops, kv(api.KVLock, key, value, 0, session))
}

func (m *Member) superseded() error {
	return fmt.Errorf("%w: %s", agent.ErrSuperseded, m.name)
}

// look reads the instances' keys. One that holds no registration is somebody else's.
func (m *Member) look(ctx context.Context) (there []strategies.Registration, seen map[string]*api.KVPair, err error) {
	pairs, _, err := m.d.client.KV().List(m.d.keys.Instances(), query(ctx))
	seen = map[string]*api.KVPair{}
	for _, pair := range pairs {
		var r strategies.Registration
		if json.Unmarshal(pair.Value, &r) != nil {
			r = strategies.Registration{}
		}
		r.Key = strings.TrimPrefix(pair.Key, m.d.keys.Instances())
		there, seen[r.Key] = append(there, r), pair
	}
	return there, seen, err
}

func (m *Member) put(ctx context.Context, now *api.KVPair, r strategies.Registration) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return m.change(ctx, held(now, m.d.keys.Instance(r.Key), value, m.session)...)
}

// change does something, if what its steps compare is as it was seen and no other agent of the name has begun.
func (m *Member) change(ctx context.Context, ops ...*api.TxnOp) error {
	_, err := m.d.commit(ctx, append(api.TxnOps{unchanged(m.d.keys.Agent(m.name), m.begun)}, ops...))
	if !errors.Is(err, errChanged) {
		return err
	}
	now, gerr := m.d.get(ctx, m.d.keys.Agent(m.name))
	switch {
	case gerr != nil:
		return gerr
	case now == nil: // the session has ended, or somebody has emptied the registry
		m.session = ""
	case now.ModifyIndex != m.begun:
		return m.superseded()
	}
	return err
}

// Leave implements agent.Membership. What the session holds ends with it, all at once.
func (m *Member) Leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if m.session == "" {
		return nil
	}
	now, err := m.d.get(ctx, m.d.keys.Agent(m.name))
	if err == nil && now != nil && now.ModifyIndex == m.begun {
		err = m.serve(ctx, nil, nil) // not those of one that has come after
	}
	if err == nil {
		_, err = m.d.client.Session().Destroy(m.session, (&api.WriteOptions{}).WithContext(ctx))
	}
	if err != nil {
		return fmt.Errorf("take the entries out: %w", m.d.explain(err))
	}
	m.session = ""
	return nil
}

// Close implements agent.Membership.
func (m *Member) Close() error { return nil }

// forgotten is how long a service whose check has not been renewed stays in the catalogue: the least that Consul knows.
const forgotten = "1m"

// serve makes the services of the local Consul agent those entries that are up, and has their checks pass for another
// while.
func (m *Member) serve(ctx context.Context, want []strategies.Registration, others []string) error {
	local := m.d.client.Agent()
	mine := fmt.Sprintf("Meta.%s == %q", metaAgent, m.name)
	there, err := local.ServicesWithFilterOpts(mine, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return err
	}
	for _, r := range want {
		if r.State != "up" || slices.Contains(others, r.Key) {
			continue
		}
		s, err := m.service(r)
		if err != nil {
			return err
		}
		if now := there[s.ID]; now == nil || now.Address != s.Address || now.Port != s.Port || now.Meta["version"] != r.Version {
			if err := local.ServiceRegisterOpts(s, api.ServiceRegisterOpts{}.WithContext(ctx)); err != nil {
				return err
			}
		}
		delete(there, s.ID)
		if err := local.UpdateTTLOpts(s.Check.CheckID, "", api.HealthPassing, (&api.QueryOptions{}).WithContext(ctx)); err != nil {
			return err
		}
	}
	for id := range there {
		var answered api.StatusError
		err := local.ServiceDeregisterOpts(id, (&api.QueryOptions{}).WithContext(ctx))
		if err != nil && (!errors.As(err, &answered) || answered.Code != http.StatusNotFound) {
			return err
		}
	}
	return nil
}

// metaAgent is what of a service names the switchback agent whose it is.
const metaAgent = "switchback_agent"

// service is an entry as a service of the local Consul agent.
func (m *Member) service(r strategies.Registration) (*api.AgentServiceRegistration, error) {
	host, port, err := split(r.Address)
	if err != nil {
		return nil, err
	}
	application, _, _ := strings.Cut(r.Key, "/")
	id := "switchback:" + r.Key
	return &api.AgentServiceRegistration{
		ID: id, Name: application, Address: host, Port: port,
		Meta: map[string]string{metaAgent: m.name, "version": r.Version},
		Check: &api.AgentServiceCheck{
			CheckID: id, Name: "switchback agent " + m.name, TTL: m.ttl.String(), Status: api.HealthPassing,
			DeregisterCriticalServiceAfter: forgotten,
		},
	}, nil
}
