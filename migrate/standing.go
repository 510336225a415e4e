package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Holder says who has the lock of the target; nil where it is free. Nothing is waited for, and nothing written.
func (r *Runner) Holder(ctx context.Context) (held *LockedError, err error) {
	installed, err := r.journal.Installed(ctx, r.db.DB())
	if err != nil || !installed {
		return nil, err
	}
	conn, err := r.db.DB().Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the lock: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	row, err := (&Lock{db: r.db}).read(ctx, conn)
	if err != nil || row.token == "" || row.expired {
		return nil, err
	}
	return &LockedError{Holder: row.holder, Command: row.command, Since: row.since, Expires: row.expires}, nil
}

// Strayed compares the schema of the target with what the last step left behind: it returns that step where they are
// not the same, and nil where they are, or where no step has noted a schema yet.
func (r *Runner) Strayed(ctx context.Context) (*Entry, error) {
	installed, err := r.journal.Installed(ctx, r.db.DB())
	if err != nil || !installed {
		return nil, err
	}
	entries, err := r.journal.Entries(ctx, r.db.DB(), Filter{Kinds: []EntryKind{PhaseEntry}})
	if err != nil {
		return nil, err
	}
	for _, e := range slices.Backward(entries) {
		switch {
		case e.Status == Started, e.Status == Failed:
			return nil, nil // what it has left behind, nobody has noted
		case e.Status != Done || e.After == "":
			continue
		}
		now, err := r.db.Fingerprint(ctx, r.db.DB())
		if err != nil {
			return nil, fmt.Errorf("fingerprint the schema: %w", err)
		}
		if now == e.After {
			return nil, nil
		}
		return &e, nil
	}
	return nil, nil
}
