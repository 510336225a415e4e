package snapshot

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Live is a database that a snapshot can take the place of.
type Live interface {
	Source
	// Identity names the database, for people, and so that no other has that name: its snapshots go back
	// only to where they came from.
	Identity(ctx context.Context) (name, identity string, err error)
	// Beside makes an empty database beside the live one, or finds the one that a killed restore of the same
	// snapshot was building; others that killed restores have left behind are removed. It is called under
	// the lock.
	Beside(ctx context.Context, m *Manifest) (Beside, error)
	// Displaced is the name under which a database displaced now is kept.
	Displaced(now time.Time) string
	// Swap puts what was built in the place of the live database, in one short step, and keeps the displaced
	// one, closed. Our own tables go on as they are in the live database; amend adds to them, before what
	// was built is live. Killed at any point, the database's name answers with the old or the new
	// contents, whole. The session holds the lock; where its connection cannot outlive the swap, the lock
	// is given back by it.
	Swap(ctx context.Context, session *migrate.Session, built Beside, displaced string, amend Amend) error
	// Return does the same with a database that was displaced before; the one it takes the place of is
	// kept.
	Return(ctx context.Context, session *migrate.Session, displaced, kept string, amend Amend) error
	// Dialect says how the engine's journal is written.
	Dialect() migrate.Dialect
}

// Preparer is a live database for whose swap much can be done while it is still used.
type Preparer interface {
	// PrepareSwap does that, and returns what does the rest of Swap. When it fails, the live database is as it was.
	PrepareSwap(ctx context.Context, session *migrate.Session, built Beside, displaced string, amend Amend) (swap func(context.Context) error, err error)
}

// prepareSwap returns what swaps, once all is done that can be done before.
func prepareSwap(ctx context.Context, session *migrate.Session, live Live, built Beside, displaced string, amend Amend) (func(context.Context) error, error) {
	if p, ok := live.(Preparer); ok {
		return p.PrepareSwap(ctx, session, built, displaced, amend)
	}
	return func(ctx context.Context) error { return live.Swap(ctx, session, built, displaced, amend) }, nil
}

// Beside is a database beside the live one.
type Beside interface {
	Site
	// Close lets go of it. What did not become live is removed, unless keep is set: then a restore that is
	// run again finds it.
	Close(keep bool) error
}

// Amend adds to the journal of the database that is about to be live.
type Amend func(ctx context.Context, db Execer) error

// Execer is a connection, a transaction or a database.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Obstructed is a live database that may have what a swap would tear apart.
type Obstructed interface {
	// Obstacles is an error that names what is in the way of a restore over the database.
	Obstacles(ctx context.Context) error
}

// Unobstructed is an error that names what is in the way of a restore over a database.
func Unobstructed(ctx context.Context, live Live) error {
	o, ok := live.(Obstructed)
	if !ok {
		return nil
	}
	if err := o.Obstacles(ctx); err != nil {
		return fmt.Errorf("restore over the database: %w\n  state: nothing was changed", err)
	}
	return nil
}

// NotEmptyError is returned for a database that somebody uses. Nothing was changed in it.
type NotEmptyError struct{ Has string }

func (e *NotEmptyError) Error() string { return "the database is not empty: it has " + e.Has }

// Restored says what a restore did.
type Restored struct {
	ID        string   `json:"id,omitempty"`         // of the snapshot; empty when a displaced database was put back
	Returned  string   `json:"returned,omitempty"`   // the displaced database that was put back
	Displaced string   `json:"displaced"`            // where the displaced database is kept
	Built     string   `json:"built,omitempty"`      // how long building and proving took, beside the live database
	Swapped   string   `json:"swapped"`              // how long the swap took
	TakenBack []string `json:"taken_back,omitempty"` // CHANGE:PHASE that was applied and no longer is
	Brought   []string `json:"brought,omitempty"`    // CHANGE:PHASE that was not applied and now is
}

// Restore puts a snapshot in the place of the live database, under the session's lock. The snapshot is
// first built beside it and proven to hold what was copied. The journal goes on: it gets an account of what
// is applied now.
func (s *Store) Restore(ctx context.Context, session *migrate.Session, live Live, m *Manifest, actor string, o BuildOptions) (_ *Restored, err error) {
	if m.Masked != "" && !o.Elsewhere {
		return nil, fmt.Errorf("restore snapshot %s: its rows were masked, so it is no copy of %s\n  state: nothing was changed\n  next: switchback snapshot restore %s --into URL", m.ID, m.Source, m.ID)
	}
	if err := Unobstructed(ctx, live); err != nil {
		return nil, err
	}
	begun := time.Now()
	built, err := live.Beside(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("restore snapshot %s: %w\n  state: nothing was changed", m.ID, err)
	}
	keep := false
	defer func() { err = errors.Join(err, built.Close(keep)) }()
	if err := s.Proven(ctx, m, built, o); err != nil {
		var damaged *DamagedError
		keep = !errors.As(err, &damaged)
		return nil, fmt.Errorf("restore snapshot %s: %w\n  state: the live database is as it was\n  next: switchback snapshot list, and restore another one; or run the same command again", m.ID, err)
	}
	if err := analyze(ctx, m, built, o.Workers); err != nil {
		keep = true
		return nil, fmt.Errorf("restore snapshot %s: %w\n  state: the live database is as it was\n  next: run the same command again", m.ID, err)
	}
	state, err := session.State(ctx)
	if err != nil {
		return nil, err
	}
	r := &Restored{ID: m.ID, Displaced: live.Displaced(time.Now())}
	entries := r.account("restore snapshot "+m.ID, state, m.Content)
	swap, err := prepareSwap(ctx, session, live, built, r.Displaced, amend(live, session, entries, actor))
	r.Built = since(begun)
	begun = time.Now()
	if err == nil {
		err = swap(ctx)
	}
	if err != nil {
		keep = true
		return nil, fmt.Errorf("restore snapshot %s: %w\n  state: the live database is as it was\n  next: run the same command again", m.ID, err)
	}
	r.Swapped = since(begun)
	return r, nil
}

// Undo puts a database back that a restore has displaced, under the session's lock. The one that is live now
// is kept in turn. What is applied in it is known from the journal: what was, when it was displaced.
func Undo(ctx context.Context, session *migrate.Session, live Live, displaced, actor string) (*Restored, error) {
	state, err := session.State(ctx)
	if err != nil {
		return nil, err
	}
	then, err := displacedContent(ctx, session, displaced)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	r := &Restored{Returned: displaced, Displaced: live.Displaced(begun)}
	entries := r.account("put back "+displaced, state, then)
	if err := live.Return(ctx, session, displaced, r.Displaced, amend(live, session, entries, actor)); err != nil {
		return nil, fmt.Errorf("put %s back: %w\n  state: the live database is as it was\n  next: run the same command again", displaced, err)
	}
	r.Swapped = since(begun)
	return r, nil
}

func since(begun time.Time) string { return time.Since(begun).Round(time.Millisecond).String() }

// amend writes entries into a journal.
func amend(live Live, session *migrate.Session, entries []migrate.Entry, actor string) Amend {
	journal := migrate.NewJournal(live.Dialect(), actor)
	return func(ctx context.Context, db Execer) error {
		for _, e := range entries {
			if _, err := journal.Append(ctx, db, session.Stamp(e)); err != nil {
				return err
			}
		}
		return nil
	}
}

// account compares what is applied with what will be, and returns the journal entries that lead from one to
// the other.
func (r *Restored) account(action string, state *migrate.State, then Content) []migrate.Entry {
	entries := []migrate.Entry{{Kind: migrate.RunEntry, Action: action, Status: migrate.Done, Detail: detailOf(r.Displaced)}}
	if e := state.Interrupted(); e != nil {
		entries = append(entries, migrate.Entry{
			Kind: migrate.PhaseEntry, Change: e.Change, Phase: e.Phase, Direction: e.Direction, Status: migrate.Undone,
			Action: action + " instead of going on with it", Before: e.Before, After: then.Fingerprint,
		})
	}
	for _, a := range slices.Backward(state.Applied()) {
		if then.applied(a.Change, a.Phase) {
			continue
		}
		r.TakenBack = append(r.TakenBack, a.Change+":"+string(a.Phase))
		entries = append(entries, migrate.Entry{
			Kind: migrate.PhaseEntry, Change: a.Change, Phase: a.Phase, Direction: migrate.Back, Status: migrate.Done,
			Action: action + ", which does not have it", Before: a.After, After: then.Fingerprint,
		})
	}
	for _, a := range then.Applied {
		if state.Of(a.Change, a.Phase) != nil {
			continue
		}
		r.Brought = append(r.Brought, a.Change+":"+string(a.Phase))
		entries = append(entries, migrate.Entry{
			Kind: migrate.PhaseEntry, Change: a.Change, Phase: a.Phase, Direction: migrate.Forward, Status: migrate.Done,
			Action: action + ", which has it", After: then.Fingerprint, Script: a.Script, Rollback: a.Rollback,
		})
	}
	return entries
}

// displacedContent is what was applied in a database when a restore displaced it, by the journal.
func displacedContent(ctx context.Context, session *migrate.Session, displaced string) (Content, error) {
	entries, err := session.Journal().Entries(ctx, session.Conn(), migrate.Filter{Kinds: []migrate.EntryKind{migrate.RunEntry, migrate.PhaseEntry, migrate.AdoptEntry}, Scripts: true})
	if err != nil {
		return Content{}, err
	}
	for i, e := range slices.Backward(entries) {
		if e.Kind != migrate.RunEntry || e.Detail != detailOf(displaced) {
			continue
		}
		var c Content
		for _, a := range migrate.Replay(entries[:i]).Applied() {
			c.Applied = append(c.Applied, Applied{Change: a.Change, Phase: a.Phase, Script: a.Script, Rollback: a.Rollback})
			c.Fingerprint = a.After
		}
		return c, nil
	}
	return Content{}, fmt.Errorf("the journal does not tell of a restore that displaced %s\n  state: nothing was changed\n  next: %s", displaced, nextUndo(entries))
}

// nextUndo says which command would take the newest restore of the journal back.
func nextUndo(entries []migrate.Entry) string {
	for _, e := range slices.Backward(entries) {
		var d struct {
			Displaced string `json:"displaced"`
		}
		if e.Kind == migrate.RunEntry && json.Unmarshal([]byte(e.Detail), &d) == nil && d.Displaced != "" {
			return fmt.Sprintf("switchback snapshot restore --undo %s takes back the newest: %s", d.Displaced, e.Action)
		}
	}
	return "switchback history"
}

func detailOf(displaced string) string { return fmt.Sprintf("{\"displaced\":%q}", displaced) }
