package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"filippo.io/age"

	"github.com/switchbackdb/switchback/internal/failpoint"
	"github.com/switchbackdb/switchback/schema"
)

// BuildOptions say how a database is built of a snapshot.
type BuildOptions struct {
	Workers int            // 0 is one
	Keys    []age.Identity // of a snapshot that is encrypted
	Mask    *Mask          // what other values columns have in the database; nil for none
	// Elsewhere is set when the database it will take the place of is not the one it was taken of.
	Elsewhere bool
	// Roles has roles made that the server does not have, if the site is a RoleMaker.
	Roles    bool
	Progress func(done, total int64)
}

// Build builds the database of a snapshot at an empty site. All checksums of what is stored are looked at
// before the first write: a snapshot that is damaged is a *DamagedError, and the site is still empty.
// A build that was cut off goes on where it was, if the site says what it has.
func (s *Store) Build(ctx context.Context, m *Manifest, site Site, o BuildOptions) error {
	if m.Backup != nil {
		return fmt.Errorf("snapshot %s is a backup of %s, which alone can restore it", m.ID, m.Backup.Tool)
	}
	found, err := s.readBack(ctx, m, LevelStored, nil, o.Workers)
	if err != nil {
		return fmt.Errorf("read snapshot %s: %w", m.ID, err)
	}
	if len(found) > 0 {
		return &DamagedError{m.ID, strings.Join(found, "; ")}
	}
	model, err := s.Model(ctx, m, o.Keys)
	if err != nil && !errors.Is(err, ErrNoModel) {
		return err
	}
	if o.Mask != nil {
		if model == nil {
			return fmt.Errorf("mask: %w", ErrNoModel)
		}
		if err := o.Mask.For(model); err != nil {
			return fmt.Errorf("mask: %w", err)
		}
	}
	if r, ok := site.(RoleMaker); ok && o.Roles {
		roles, err := s.Roles(ctx, m, o.Keys)
		if err != nil {
			return err
		}
		r.MakeRoles(roles)
	}
	if err := site.Prepare(ctx, m, model); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	failpoint.Hit("restore: prepared")
	if err := s.load(ctx, m, site, o); err != nil {
		return err
	}
	failpoint.Hit("restore: loaded")
	if err := site.Finish(ctx, m, model, max(o.Workers, 1)); err != nil {
		return fmt.Errorf("make indexes, keys and what else follows the rows: %w", err)
	}
	if err := o.Mask.apply(ctx, m.Parts, site); err != nil {
		return fmt.Errorf("mask: %w", err)
	}
	failpoint.Hit("restore: finished")
	return nil
}

// load loads all chunks that the site does not have yet.
func (s *Store) load(ctx context.Context, m *Manifest, site Site, o BuildOptions) error {
	loaded, err := site.Loaded(ctx)
	if err != nil {
		return err
	}
	var done atomic.Int64
	return s.eachChunk(ctx, m, o.Keys, o.Workers, func(ctx context.Context, worker int, u *unpacker, _ int, c Chunk, p Part) error {
		if !p.own() && !loaded[c.File] {
			problem, err := u.look(ctx, c, p.Kind, LevelDecoded, func(from io.Reader) error {
				return o.Mask.pass(p, from, func(r io.Reader) error { return site.Load(ctx, worker, p, c, r) })
			})
			if problem != "" {
				return &DamagedError{m.ID, fmt.Sprintf("chunk %s of %s %s", c.File, p.Name, problem)}
			}
			if err != nil {
				return fmt.Errorf("load chunk %s of %s: %w", c.File, p.Name, err)
			}
		}
		if n := done.Add(c.PlainBytes); o.Progress != nil {
			o.Progress(n, m.Plain())
		}
		return nil
	})
}

// ErrNoModel is returned for a snapshot that has no model of its schema: that of an engine whose data are a
// file has it there.
var ErrNoModel = errors.New("the snapshot has no model of its schema")

// Model reads the model of the schema of a snapshot.
func (s *Store) Model(ctx context.Context, m *Manifest, keys []age.Identity) (*schema.Database, error) {
	text, there, err := s.ownText(ctx, m, keys, schemaPart)
	switch {
	case err != nil:
		return nil, err
	case !there:
		return nil, ErrNoModel
	}
	model, err := schema.Load(strings.NewReader(text))
	if err != nil {
		return nil, &DamagedError{m.ID, err.Error()}
	}
	return model, nil
}

// own tells whether a part is text of ours: no data of the database.
func (p Part) own() bool {
	return p.Kind == FilePart && (p.Name == schemaPart || p.Name == rolesPart)
}

// ownText reads a part that is text of ours.
func (s *Store) ownText(ctx context.Context, m *Manifest, keys []age.Identity, name string) (text string, there bool, err error) {
	i := slices.IndexFunc(m.Parts, func(p Part) bool { return p.own() && p.Name == name })
	if i < 0 {
		return "", false, nil
	}
	p := m.Parts[i]
	u, err := newUnpacker(s.blobs, m.ID, keys)
	if err != nil {
		return "", false, err
	}
	defer u.close()
	var b strings.Builder
	for _, c := range p.Chunks {
		problem, err := u.look(ctx, c, p.Kind, LevelDecoded, func(r io.Reader) error { _, err := io.Copy(&b, r); return err })
		if problem != "" {
			return "", false, &DamagedError{m.ID, fmt.Sprintf("chunk %s of %s %s", c.File, p.Name, problem)}
		}
		if err != nil {
			return "", false, fmt.Errorf("read %s of snapshot %s: %w", name, m.ID, err)
		}
	}
	return b.String(), true, nil
}

// Proven builds a snapshot at a site and proves that it holds what was copied. A *DamagedError says what is
// wrong.
func (s *Store) Proven(ctx context.Context, m *Manifest, site Site, o BuildOptions) error {
	if err := s.Build(ctx, m, site, o); err != nil {
		return err
	}
	found, err := s.Compare(ctx, o.Mask.Content(m.Content), site, o.Workers)
	if err != nil {
		return fmt.Errorf("compare with snapshot %s: %w", m.ID, err)
	}
	if len(found) > 0 {
		return &DamagedError{m.ID, strings.Join(found, "; ")}
	}
	return nil
}

// Opener is a site that keeps something switched off while a snapshot is built and proven in it, such as events that
// would change what was loaded.
type Opener interface {
	// Open switches on what was on in the database that was copied.
	Open(ctx context.Context) error
}

// Analyzer is a site whose server has to look at the rows once more before it answers well what it is asked about them.
type Analyzer interface {
	// Analyze has it look, with that many workers.
	Analyze(ctx context.Context, m *Manifest, workers int) error
}

// analyze readies what was built for those who will use it. What is built only to be compared does without.
func analyze(ctx context.Context, m *Manifest, site Site, workers int) error {
	a, ok := site.(Analyzer)
	if !ok {
		return nil
	}
	if err := a.Analyze(ctx, m, max(workers, 1)); err != nil {
		return fmt.Errorf("analyse the tables: %w", err)
	}
	return nil
}

// RoleMaker is a site on a server that may lack the roles which a snapshot's objects belong or are granted to.
type RoleMaker interface {
	// MakeRoles has those made that are missing, with no password and unable to log in, and what was granted given to
	// them. What they were is known of those that the snapshot has. It is called before anything is built.
	MakeRoles(known []Role)
}

// Fill makes an empty database of a snapshot that is used from now on: built, proven and opened. A *DamagedError says
// what is wrong with the snapshot.
func (s *Store) Fill(ctx context.Context, m *Manifest, site Site, o BuildOptions) error {
	if err := s.Proven(ctx, m, site, o); err != nil {
		return err
	}
	if err := analyze(ctx, m, site, o.Workers); err != nil {
		return err
	}
	if o, ok := site.(Opener); ok {
		if err := o.Open(ctx); err != nil {
			return fmt.Errorf("switch on what was on: %w", err)
		}
	}
	return nil
}
