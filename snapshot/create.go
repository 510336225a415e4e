package snapshot

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"
	"golang.org/x/sync/errgroup"

	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/schema"
)

// About is what the caller knows of the database that is copied.
type About struct {
	Engine  string // such as sqlite
	Version string // of the server
	Source  string // which database, for people, without any password
	// Identity tells the database from every other, also from one that has its name now.
	Identity string
	Tool     string // the version of switchback
	Actor    string // who takes it, as user@host
	Note     string // why, in the user's words
	Tags     []string
}

// CreateOptions say how a snapshot is taken.
type CreateOptions struct {
	Workers     int           // how many read side by side; 0 is one
	LockTimeout time.Duration // how long a lock is waited for
	Recipients  []Recipient   // who can read the snapshot; everybody when there is none
	Mask        *Mask         // what other values columns have in the snapshot; nil for none
	Roles       bool          // what the server's roles are is copied too, without passwords
	// Progress is told how many bytes were copied, and about how many there are. It may be nil.
	Progress func(done, total int64)
}

// Recipient is somebody for whom snapshots are encrypted.
type Recipient struct {
	Name string // the public key
	age.Recipient
}

// schemaPart is the name of the part that holds the model of the schema.
const schemaPart = "schema.json"

// Create takes a snapshot and returns its manifest once all of it was read back. When it fails or is
// cancelled, what it had written is removed; when it is killed, an unfinished snapshot is left, which
// is listed as that and never restored.
func (s *Store) Create(ctx context.Context, from Source, about About, o CreateOptions) (_ *Manifest, err error) {
	begun := time.Now()
	m := newManifest(begun, about, o)
	defer func() { err = s.tidy(ctx, m, err) }()
	if err := s.copy(ctx, from, m, o); err != nil {
		return nil, err
	}
	level := LevelDecoded
	if m.Encrypted() { // whoever takes snapshots has no key to read them
		level = LevelStored
	}
	if found, err := s.readBack(ctx, m, level, nil, max(o.Workers, 1)); err != nil || len(found) > 0 {
		return nil, errors.Join(err, problems("read back", found))
	}
	m.Took = since(begun)
	return m, s.commit(ctx, m)
}

func newManifest(begun time.Time, about About, o CreateOptions) *Manifest {
	m := &Manifest{
		Format: Format, ID: newID(begun), Created: begun.UTC().Truncate(time.Millisecond), Tool: about.Tool, Engine: about.Engine, Version: about.Version,
		Source: about.Source, Identity: about.Identity, Actor: about.Actor, Note: about.Note, Tags: about.Tags,
	}
	for _, r := range o.Recipients {
		m.Recipients = append(m.Recipients, r.Name)
	}
	return m
}

// tidy removes what a snapshot that failed has left.
func (s *Store) tidy(ctx context.Context, m *Manifest, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("create snapshot: %w\n  state: no snapshot was made, the database was only read", err)
	return errors.Join(err, s.blobs.Remove(context.WithoutCancel(ctx), m.ID+"/"))
}

// copy reads everything at one point of the source.
func (s *Store) copy(ctx context.Context, from Source, m *Manifest, o CreateOptions) (err error) {
	dir, err := s.scratch(m.ID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	workers := max(o.Workers, 1)
	point, err := from.OpenPoint(ctx, PointOptions{Workers: workers, LockTimeout: o.LockTimeout, Dir: dir, Progress: o.Progress})
	if err != nil {
		return err
	}
	failpoint.Hit("snapshot: opened")
	w := newCopying(s, point, m, o)
	if err = w.describe(ctx); err == nil {
		err = w.run(ctx, workers)
	}
	// What Close says decides whether the copy is one: it is asked also when the context is at its end.
	if err = errors.Join(err, point.Close(context.WithoutCancel(ctx))); err != nil {
		return err
	}
	failpoint.Hit("snapshot: copied")
	w.sumUp()
	return nil
}

// scratch makes an empty folder where there is room for a copy of the database: beside the chunks, when
// those are files.
func (s *Store) scratch(id string) (string, error) {
	if f, ok := s.blobs.(Folder); ok {
		dir := f.path(id + "/scratch")
		return dir, os.MkdirAll(dir, 0o700)
	}
	return os.MkdirTemp("", "switchback-snapshot-")
}

// copying is a snapshot under way.
type copying struct {
	store *Store
	point Point
	m     *Manifest
	o     CreateOptions
	names atomic.Int64
	bytes atomic.Int64
	about int64 // how many bytes there are

	mu     sync.Mutex
	chunks map[int][]placed
	tally  map[int]Tally
}

// placed is a chunk with the place of its piece, by which chunks are put in order.
type placed struct {
	Chunk
	piece int
}

func newCopying(s *Store, point Point, m *Manifest, o CreateOptions) *copying {
	w := &copying{store: s, point: point, m: m, o: o, chunks: map[int][]placed{}, tally: map[int]Tally{}}
	m.Parts = point.Parts()
	for _, p := range point.Pieces() {
		w.about += p.Bytes
	}
	return w
}

func (w *copying) run(ctx context.Context, workers int) error {
	group, ctx := errgroup.WithContext(ctx)
	pieces := w.point.Pieces() // now: masking may have changed them
	var next atomic.Int64
	for n := range workers {
		group.Go(func() error {
			to, err := newPacker(ctx, w.store.blobs, w.m.ID, &w.names, recipients(w.o.Recipients), w.progress)
			if err != nil {
				return err
			}
			for i := int(next.Add(1)) - 1; i < len(pieces); i = int(next.Add(1)) - 1 {
				if err := w.piece(ctx, n, i, pieces[i], to); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// piece copies one piece.
func (w *copying) piece(ctx context.Context, worker, i int, p Piece, to *packer) error {
	part := w.m.Parts[p.Part]
	to.begin(part.Kind, p.Offset)
	if err := w.point.Read(ctx, worker, p, w.o.Mask.writer(part, to)); err != nil {
		return fmt.Errorf("copy %s: %w", part.Name, err)
	}
	chunks, tally, err := to.end()
	if err != nil {
		return fmt.Errorf("copy %s: %w", part.Name, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range chunks {
		w.chunks[p.Part] = append(w.chunks[p.Part], placed{c, i})
	}
	t := w.tally[p.Part]
	t.Add(tally)
	w.tally[p.Part] = t
	return nil
}

func (w *copying) progress(n int64) {
	if done := w.bytes.Add(n); w.o.Progress != nil {
		w.o.Progress(done, max(done, w.about))
	}
}

// describe puts what the point says of itself into the manifest, and the model of the schema into a part of
// its own, behind those of the data; that of the roles follows.
func (w *copying) describe(ctx context.Context) error {
	if w.o.Mask != nil {
		if err := w.mask(ctx); err != nil {
			return fmt.Errorf("mask: %w", err)
		}
	}
	var model *schema.Database
	w.m.Content, model = w.point.Describe()
	if err := w.ownPart(ctx, schemaPart, model.Save); err != nil {
		return fmt.Errorf("store the schema: %w", err)
	}
	if w.o.Roles {
		return w.copyRoles(ctx)
	}
	return nil
}

// ownPart adds a part that is text of ours.
func (w *copying) ownPart(ctx context.Context, name string, write func(io.Writer) error) error {
	to, err := newPacker(ctx, w.store.blobs, w.m.ID, &w.names, recipients(w.o.Recipients), w.progress)
	if err != nil {
		return err
	}
	to.begin(FilePart, 0)
	if err := write(to); err != nil {
		return err
	}
	chunks, _, err := to.end()
	if err != nil {
		return err
	}
	for _, c := range chunks {
		w.chunks[len(w.m.Parts)] = append(w.chunks[len(w.m.Parts)], placed{c, 0})
	}
	w.m.Parts = append(w.m.Parts, Part{Name: name})
	return nil
}

// mask checks the rules and masks what is a file already.
func (w *copying) mask(ctx context.Context) error {
	_, model := w.point.Describe()
	if err := w.o.Mask.For(model); err != nil {
		return err
	}
	w.m.Masked = w.o.Mask.Hash()
	return w.o.Mask.apply(ctx, w.m.Parts, w.point)
}

// sumUp puts into the manifest what was found while copying.
func (w *copying) sumUp() {
	for i := range w.m.Parts {
		p := &w.m.Parts[i]
		p.Chunks = []Chunk{}
		list := w.chunks[i]
		slices.SortStableFunc(list, func(a, b placed) int { return cmp.Or(cmp.Compare(a.piece, b.piece), cmp.Compare(a.Offset, b.Offset)) })
		for _, c := range list {
			p.Chunks = append(p.Chunks, c.Chunk)
			p.Bytes += c.PlainBytes
			p.Rows += c.Rows
		}
	}
	w.m.Content.fill(w.m.Parts, w.tally)
}

// fill sets counts and hashes of the tables that parts of rows were read of.
func (c *Content) fill(parts []Part, tally map[int]Tally) {
	at := map[string]int{}
	for i, t := range c.Tables {
		at[t.Name] = i
	}
	for i, p := range parts {
		if p.Kind != RowsPart {
			continue
		}
		t := tally[i]
		if at, ok := at[p.Name]; ok {
			c.Tables[at].Rows, c.Tables[at].Hash = t.Rows, t.Hash()
		}
	}
}

func (s *Store) commit(ctx context.Context, m *Manifest) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if err := s.blobs.Put(ctx, m.ID+"/manifest.json", data); err != nil {
		return err
	}
	failpoint.Hit("snapshot: manifest written")
	if err := s.blobs.Put(ctx, m.ID+"/COMMITTED", []byte(sum(data)+"\n")); err != nil {
		return err
	}
	failpoint.Hit("snapshot: committed")
	return nil
}

func recipients(list []Recipient) []age.Recipient {
	var all []age.Recipient
	for _, r := range list {
		all = append(all, r.Recipient)
	}
	return all
}

func newID(now time.Time) string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:])
}

// Examine tells what is in a database by reading all of it, as Create does, without keeping it.
func Examine(ctx context.Context, from Source, o PointOptions) (_ Content, err error) {
	o.Workers = max(o.Workers, 1)
	point, err := from.OpenPoint(ctx, o)
	if err != nil {
		return Content{}, err
	}
	defer func() { err = errors.Join(err, point.Close(context.WithoutCancel(ctx))) }()
	parts, pieces := point.Parts(), point.Pieces()
	content, _ := point.Describe()
	tally := make([]map[int]Tally, o.Workers)
	group, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for n := range o.Workers {
		tally[n] = map[int]Tally{}
		group.Go(func() error {
			for i := int(next.Add(1)) - 1; i < len(pieces); i = int(next.Add(1)) - 1 {
				p := pieces[i]
				if parts[p.Part].Kind != RowsPart {
					continue
				}
				t := tally[n][p.Part]
				if err := count(ctx, point, n, p, &t); err != nil {
					return fmt.Errorf("read %s: %w", parts[p.Part].Name, err)
				}
				tally[n][p.Part] = t
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Content{}, err
	}
	for _, others := range tally[1:] {
		for part, t := range others {
			all := tally[0][part]
			all.Add(t)
			tally[0][part] = all
		}
	}
	content.fill(parts, tally[0])
	return content, nil
}

// count tallies a piece.
func count(ctx context.Context, point Point, worker int, p Piece, t *Tally) error {
	var rows rowCounter
	if err := point.Read(ctx, worker, p, &rows); err != nil {
		return err
	}
	if rows.open {
		return io.ErrUnexpectedEOF
	}
	t.Add(rows.Tally)
	return nil
}
