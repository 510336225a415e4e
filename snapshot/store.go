package snapshot

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/switchbackdb/switchback/internal/atomicfile"
)

// Store is a folder of snapshots.
type Store struct{ dir string }

// NewStore returns the store in the folder, which the first snapshot creates.
func NewStore(dir string) *Store { return &Store{dir: dir} }

// Dir is the store's folder.
func (s *Store) Dir() string { return s.dir }

// maxManifest is the most a manifest may weigh, in bytes.
const maxManifest = 256 << 20

func (s *Store) path(id string, more ...string) string {
	return filepath.Join(append([]string{s.dir, id}, more...)...)
}

// Manifest reads a snapshot's manifest. The errors are ErrNotFound, ErrUnfinished, or a *DamagedError
// when it is not the one that was committed.
func (s *Store) Manifest(id string) (*Manifest, error) {
	if !validID.MatchString(id) {
		return nil, fmt.Errorf("snapshot %q: %w", id, ErrNotFound)
	}
	if _, err := os.Stat(s.path(id)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("snapshot %s in %s: %w", id, s.dir, ErrNotFound)
	}
	want, err := os.ReadFile(s.path(id, "COMMITTED"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("snapshot %s: %w", id, ErrUnfinished)
	}
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", id, err)
	}
	if info, err := os.Stat(s.path(id, "manifest.json")); err == nil && info.Size() > maxManifest {
		return nil, &DamagedError{id, "its manifest is too large"}
	}
	data, err := os.ReadFile(s.path(id, "manifest.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &DamagedError{id, "its manifest is missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("read snapshot %s: %w", id, err)
	}
	if sum(data) != strings.TrimSpace(string(want)) {
		return nil, &DamagedError{id, "its manifest is not the one that was committed"}
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, &DamagedError{id, "its manifest cannot be read: " + err.Error()}
	}
	if m.Format > Format {
		return nil, fmt.Errorf("snapshot %s has format %d, this binary knows %d\n  next: use the version of switchback that wrote it, or a later one", id, m.Format, Format)
	}
	return &m, m.confined()
}

// confined refuses names that would lead out of the folders they belong in.
func (m *Manifest) confined() error {
	for _, p := range m.Parts {
		if p.Name == "" || p.Name != filepath.Base(p.Name) || p.Name == ".." {
			return &DamagedError{m.ID, fmt.Sprintf("the name of part %q leads out of its folder", p.Name)}
		}
		for _, c := range p.Chunks {
			if c.File == "" || c.File != filepath.Base(c.File) || c.File == ".." {
				return &DamagedError{m.ID, fmt.Sprintf("the name of chunk %q leads out of its folder", c.File)}
			}
			if c.PlainBytes < 0 || c.PlainBytes > chunkSize {
				return &DamagedError{m.ID, fmt.Sprintf("chunk %s claims %d bytes", c.File, c.PlainBytes)}
			}
		}
	}
	return nil
}

// Listed is one snapshot of a list.
type Listed struct {
	ID       string        `json:"id"`
	Manifest *Manifest     `json:"-"`
	Problem  string        `json:"problem,omitempty"` // why it has no manifest: unfinished, damaged
	Verified *Verification `json:"verified,omitempty"`
}

// List returns all snapshots, the oldest first, those that are unfinished or damaged included.
func (s *Store) List() ([]Listed, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var list []Listed
	for _, e := range entries {
		if !e.IsDir() || !validID.MatchString(e.Name()) {
			continue
		}
		l := Listed{ID: e.Name()}
		if l.Manifest, err = s.Manifest(l.ID); err != nil {
			l.Problem = err.Error()
		}
		if h, err := s.Verifications(l.ID); err == nil && len(h) > 0 {
			l.Verified = &h[len(h)-1]
		}
		list = append(list, l)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].ID < list[j].ID })
	return list, nil
}

// Verifications returns the verifications of a snapshot, the oldest first.
func (s *Store) Verifications(id string) ([]Verification, error) {
	data, err := os.ReadFile(s.path(id, "verified.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read verifications: %w", err)
	}
	var all []Verification
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var v Verification
		if json.Unmarshal(lines.Bytes(), &v) == nil { // a torn last line is no verification
			all = append(all, v)
		}
	}
	return all, nil
}

func (s *Store) appendVerification(id string, v Verification) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(s.path(id, "verified.jsonl"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return atomicfile.Write(s.path(id, "verified.jsonl"), append(append(old, data...), '\n'), 0o600)
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}
