package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Live is an engine that can put a copy in the place of a live database.
type Live interface {
	Engine
	// Restore replaces the live database by the copy in dir, keeping the displaced one under that
	// name and our own tables as they are; amend may add to those before the copy is live.
	Restore(ctx context.Context, conn *sql.Conn, dir, displaced string, amend func(ctx context.Context, db *sql.DB) error) error
	// Scratch makes an empty folder where there is room for a copy, and removes what killed restores of
	// the same database have left behind. It is called under the lock.
	Scratch() (string, error)
	// Displaced is the name under which a database displaced now is kept.
	Displaced(now time.Time) string
	// Dialect says how the engine's journal is written.
	Dialect() migrate.Dialect
}

// Restored says what a restore did.
type Restored struct {
	ID        string   `json:"id"`
	Displaced string   `json:"displaced"`            // where the displaced database is kept
	TakenBack []string `json:"taken_back,omitempty"` // CHANGE:PHASE that was applied and no longer is
	Brought   []string `json:"brought,omitempty"`    // CHANGE:PHASE that was not applied and now is
}

// Restore puts a snapshot in the place of the live database, under the session's lock. The snapshot is
// first extracted beside it and proven to hold what was copied. The journal goes on: it gets an account
// of what is applied now.
func (s *Store) Restore(ctx context.Context, session *migrate.Session, live Live, m *Manifest, actor string) (_ *Restored, err error) {
	scratch, err := live.Scratch()
	if err != nil {
		return nil, fmt.Errorf("restore snapshot %s: %w\n  state: nothing was changed", m.ID, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := s.Extract(ctx, m, scratch, live); err != nil {
		return nil, fmt.Errorf("%w\n  state: nothing was changed\n  next: switchback snapshot list, and restore another one", err)
	}
	state, err := session.State(ctx)
	if err != nil {
		return nil, err
	}
	r := &Restored{ID: m.ID, Displaced: live.Displaced(time.Now())}
	entries := r.account(state, m)
	journal := migrate.NewJournal(live.Dialect(), actor)
	amend := func(ctx context.Context, db *sql.DB) error {
		for _, e := range entries {
			if _, err := journal.Append(ctx, db, session.Stamp(e)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := live.Restore(ctx, session.Conn(), scratch, r.Displaced, amend); err != nil {
		return nil, fmt.Errorf("restore snapshot %s: %w\n  state: the live database is as it was\n  next: run the same command again", m.ID, err)
	}
	return r, nil
}

// account compares what is applied with what was when the snapshot was taken, and returns the journal
// entries that lead from one to the other.
func (r *Restored) account(state *migrate.State, m *Manifest) []migrate.Entry {
	action := "restore snapshot " + m.ID
	entries := []migrate.Entry{{Kind: migrate.RunEntry, Action: action, Status: migrate.Done, Detail: fmt.Sprintf("{\"displaced\":%q}", r.Displaced)}}
	if e := state.Interrupted(); e != nil {
		entries = append(entries, migrate.Entry{
			Kind: migrate.PhaseEntry, Change: e.Change, Phase: e.Phase, Direction: e.Direction, Status: migrate.Undone,
			Action: action + " instead of going on with it", Before: e.Before, After: m.Content.Fingerprint,
		})
	}
	for _, a := range slices.Backward(state.Applied()) {
		if m.applied(a.Change, a.Phase) {
			continue
		}
		r.TakenBack = append(r.TakenBack, a.Change+":"+string(a.Phase))
		entries = append(entries, migrate.Entry{
			Kind: migrate.PhaseEntry, Change: a.Change, Phase: a.Phase, Direction: migrate.Back, Status: migrate.Done,
			Action: action + ", which does not have it", Before: a.After, After: m.Content.Fingerprint,
		})
	}
	for _, a := range m.Content.Applied {
		if state.Of(a.Change, a.Phase) != nil {
			continue
		}
		r.Brought = append(r.Brought, a.Change+":"+string(a.Phase))
		entries = append(entries, migrate.Entry{
			Kind: migrate.PhaseEntry, Change: a.Change, Phase: a.Phase, Direction: migrate.Forward, Status: migrate.Done,
			Action: action + ", which has it", After: m.Content.Fingerprint, Script: a.Script, Rollback: a.Rollback,
		})
	}
	return entries
}

func (m *Manifest) applied(change string, phase migrate.Phase) bool {
	return slices.ContainsFunc(m.Content.Applied, func(a Applied) bool { return a.Change == change && a.Phase == phase })
}
