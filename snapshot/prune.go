package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// maxPin is how many bytes the reason of a pin may have.
const maxPin = 4096

// Pin keeps a snapshot from being removed until Unpin, for a reason that people will read.
func (s *Store) Pin(ctx context.Context, id, reason string) error {
	if _, err := s.Manifest(ctx, id); err != nil {
		return err
	}
	if reason = strings.TrimSpace(reason); reason == "" || len(reason) > maxPin {
		return fmt.Errorf("pin snapshot %s: want a reason", id)
	}
	return s.blobs.Put(ctx, id+"/pinned", []byte(reason+"\n"))
}

// Unpin takes the pin of a snapshot away; there need not be one.
func (s *Store) Unpin(ctx context.Context, id string) error {
	if _, err := s.Manifest(ctx, id); err != nil {
		return err
	}
	return s.blobs.Put(ctx, id+"/pinned", nil)
}

// Pinned is the reason for which a snapshot is pinned; empty when it is not.
func (s *Store) Pinned(ctx context.Context, id string) (string, error) {
	text, err := s.read(ctx, id+"/pinned", maxPin)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the pin of snapshot %s: %w", id, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// Prune removes what the policy does not keep, unless it is only asked what that would be. What is removed
// stops being a snapshot at once, so that one cut off in the middle is never taken for whole.
func (s *Store) Prune(ctx context.Context, p Policy, now time.Time, dryRun bool) ([]Decision, error) {
	list, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	decisions, err := p.Decide(now, list)
	if err != nil || dryRun {
		return decisions, err
	}
	for _, d := range decisions {
		if d.Keep {
			continue
		}
		if err := s.blobs.Remove(ctx, d.ID+"/", d.ID+"/COMMITTED"); err != nil {
			return decisions, fmt.Errorf("remove snapshot %s: %w", d.ID, err)
		}
	}
	return decisions, nil
}
