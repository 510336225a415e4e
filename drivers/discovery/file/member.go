package file

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/switchbackdb/switchback/agent"
	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/internal/filelock"
	"github.com/switchbackdb/switchback/strategies"
)

// Member is what an agent has in the file. A file knows nothing of who is alive: the entries of an agent that was
// killed stay until the next one of its name looks at them.
//
// It is for one goroutine.
type Member struct {
	d    *Discovery
	name string
	lock *os.File // held for as long as the agent lives, so that there is one of the name
}

var _ agent.Membership = (*Member)(nil)

// Agent returns the membership of an agent. While another process has it, the error is agent.ErrSuperseded.
func (d *Discovery) Agent(name string) (*Member, error) {
	if err := agent.CheckName(name); err != nil {
		return nil, fmt.Errorf("agent %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(d.path), 0o755); err != nil {
		return nil, err
	}
	lock, err := filelock.Try(d.path + ".agent-" + name)
	if errors.Is(err, filelock.ErrHeld) {
		return nil, fmt.Errorf("an agent %s runs with %s already: %w", name, d.path, agent.ErrSuperseded)
	}
	if err != nil {
		return nil, err
	}
	return &Member{d: d, name: name, lock: lock}, nil
}

// Announce implements agent.Membership.
func (m *Member) Announce(ctx context.Context, want []strategies.Registration) (did agent.Announced, err error) {
	if err = agent.CheckEntries(want); err == nil {
		err = m.d.edit(ctx, func(doc *document) (bool, error) {
			var put, remove []strategies.Registration
			put, remove, did = agent.Difference(m.name, doc.Registrations, want, func(string) bool { return false })
			for _, r := range put {
				doc.put(r)
			}
			for _, r := range remove {
				doc.remove(r.Key)
			}
			failpoint.Hit("file: entries to be written")
			return len(put)+len(remove) > 0, nil
		})
	}
	if err != nil {
		return agent.Announced{}, fmt.Errorf("announce: %w", err)
	}
	return did, nil
}

// Leave implements agent.Membership.
func (m *Member) Leave(ctx context.Context) error {
	if _, err := m.Announce(ctx, nil); err != nil {
		return fmt.Errorf("take the entries out: %w", err)
	}
	return nil
}

// Close implements agent.Membership.
func (m *Member) Close() error { return m.lock.Close() }

// watchPoll is how often the file is looked at.
const watchPoll = 200 * time.Millisecond

// Watch implements agent.Registry. The file is replaced whole, so another one is a change.
func (d *Discovery) Watch(ctx context.Context, changed func()) {
	tick := time.NewTicker(watchPoll)
	defer tick.Stop()
	var before os.FileInfo
	for first := true; ; first = false {
		now, err := os.Stat(d.path)
		if err != nil {
			now = nil
		}
		if first || (now == nil) != (before == nil) || now != nil &&
			(!os.SameFile(now, before) || !now.ModTime().Equal(before.ModTime()) || now.Size() != before.Size()) {
			changed()
		}
		before = now
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
