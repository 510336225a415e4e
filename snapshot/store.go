package snapshot

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
)

// Store is a place with snapshots.
type Store struct{ blobs Blobs }

// NewStore returns the store in that place.
func NewStore(blobs Blobs) *Store { return &Store{blobs} }

// String names the place, for people.
func (s *Store) String() string { return s.blobs.String() }

// Manifest reads a snapshot's manifest. The errors are ErrNotFound, ErrUnfinished, or a *DamagedError
// when it is not the one that was committed.
func (s *Store) Manifest(ctx context.Context, id string) (*Manifest, error) {
	if !validID.MatchString(id) {
		return nil, fmt.Errorf("snapshot %q: %w", id, ErrNotFound)
	}
	want, err := s.read(ctx, id+"/COMMITTED", 1024)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, s.absent(ctx, id)
	}
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", id, err)
	}
	data, err := s.read(ctx, id+"/manifest.json", maxManifest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &DamagedError{id, "its manifest is missing"}
	case errors.Is(err, errTooLarge):
		return nil, &DamagedError{id, "its manifest is too large"}
	case err != nil:
		return nil, fmt.Errorf("read snapshot %s: %w", id, err)
	case sum(data)+"\n" != string(want):
		return nil, &DamagedError{id, "its manifest is not the one that was committed"}
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, &DamagedError{id, "its manifest cannot be read: " + err.Error()}
	}
	if m.Format > Format {
		return nil, fmt.Errorf("snapshot %s has format %d, this binary knows %d\n  next: use the version of switchback that wrote it, or a later one", id, m.Format, Format)
	}
	if m.ID != id {
		return nil, &DamagedError{id, "its manifest is that of snapshot " + m.ID}
	}
	return &m, m.confined()
}

// absent tells a snapshot that was never finished from one that never was.
func (s *Store) absent(ctx context.Context, id string) error {
	names, err := s.blobs.List(ctx, id+"/")
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("snapshot %s in %s: %w", id, s.blobs, ErrNotFound)
	}
	return fmt.Errorf("snapshot %s: %w", id, ErrUnfinished)
}

var errTooLarge = errors.New("it is too large")

// read reads a small blob.
func (s *Store) read(ctx context.Context, name string, limit int64) ([]byte, error) {
	r, err := s.blobs.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errTooLarge
	}
	return data, errors.Join(err, r.Close())
}

// Listed is one snapshot of a list.
type Listed struct {
	ID       string        `json:"id"`
	Manifest *Manifest     `json:"-"`
	Problem  string        `json:"problem,omitempty"` // why it has no manifest: unfinished, damaged
	Verified *Verification `json:"verified,omitempty"`
	Pinned   string        `json:"pinned,omitempty"` // why it must not be removed
	// Unfinished is set for one that was never committed, so that it is no snapshot.
	Unfinished bool `json:"unfinished,omitempty"`
}

// List returns all snapshots, the oldest first, those that are unfinished or damaged included.
func (s *Store) List(ctx context.Context) ([]Listed, error) {
	names, err := s.blobs.List(ctx, "")
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var list []Listed
	for _, name := range names {
		id, folder := strings.CutSuffix(name, "/")
		if !folder || !validID.MatchString(id) {
			continue
		}
		l := Listed{ID: id}
		if l.Manifest, err = s.Manifest(ctx, id); err != nil {
			l.Manifest, l.Problem, l.Unfinished = nil, err.Error(), errors.Is(err, ErrUnfinished)
		}
		if l.Pinned, err = s.Pinned(ctx, id); err != nil {
			return nil, err
		}
		if h, err := s.Verifications(ctx, id); err == nil && len(h) > 0 {
			l.Verified = &h[len(h)-1]
		}
		list = append(list, l)
	}
	slices.SortFunc(list, older)
	return list, nil
}

// older compares two snapshots by when they were made. The time in an ID has seconds, which is too coarse for two of
// one script; the manifest has it finer, where there is one.
func older(a, b Listed) int {
	var finer [2]time.Time
	for i, l := range []Listed{a, b} {
		if l.Manifest != nil {
			finer[i] = l.Manifest.Created
		}
	}
	second := func(l Listed) string { at, _, _ := strings.Cut(l.ID, "-"); return at }
	return cmp.Or(cmp.Compare(second(a), second(b)), finer[0].Compare(finer[1]), cmp.Compare(a.ID, b.ID))
}

// maxVerifications is how many bytes of a history of verifications are read.
const maxVerifications = 16 << 20

// Verifications returns the verifications of a snapshot, the oldest first.
func (s *Store) Verifications(ctx context.Context, id string) ([]Verification, error) {
	data, err := s.read(ctx, id+"/verified.jsonl", maxVerifications)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read verifications: %w", err)
	}
	var all []Verification
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxVerifications)
	for lines.Scan() {
		var v Verification
		if json.Unmarshal(lines.Bytes(), &v) == nil { // a torn last line is no verification
			all = append(all, v)
		}
	}
	return all, lines.Err()
}

func (s *Store) appendVerification(ctx context.Context, id string, v Verification) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	old, err := s.read(ctx, id+"/verified.jsonl", maxVerifications)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return s.blobs.Put(ctx, id+"/verified.jsonl", append(append(old, data...), '\n'))
}
