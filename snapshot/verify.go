package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Verify looks at a snapshot up to the given level and records the outcome beside it. The engine is
// needed for LevelRestored only. What is wrong is in the result; an error means that it could not be
// found out.
func (s *Store) Verify(ctx context.Context, id string, level Level, e Engine) (*Verification, error) {
	begun := time.Now()
	m, err := s.Manifest(id)
	var damaged *DamagedError
	v := &Verification{At: begun.UTC().Truncate(time.Second), Level: level}
	switch {
	case errors.As(err, &damaged):
		v.Found = []string{damaged.Reason}
	case err != nil:
		return nil, err
	default:
		if v.Found, err = s.look(ctx, m, level, e); err != nil {
			return nil, fmt.Errorf("verify snapshot %s: %w", id, err)
		}
	}
	v.OK = len(v.Found) == 0
	v.Took = time.Since(begun).Round(time.Millisecond).String()
	if err := s.appendVerification(id, *v); err != nil {
		return v, fmt.Errorf("record the verification of snapshot %s: %w", id, err)
	}
	return v, nil
}

func (s *Store) look(ctx context.Context, m *Manifest, level Level, e Engine) ([]string, error) {
	if level != LevelRestored {
		return s.readChunks(ctx, m, level, nil)
	}
	scratch, err := os.MkdirTemp("", "switchback-verify-")
	if err != nil {
		return nil, err
	}
	found, err := s.restored(ctx, m, scratch, e)
	return found, errors.Join(err, os.RemoveAll(scratch))
}

// Extract restores the engine's files into the empty folder dir and proves that they are what was
// copied: LevelRestored on the very files that will be used. A *DamagedError says what is wrong.
func (s *Store) Extract(ctx context.Context, m *Manifest, dir string, e Engine) error {
	found, err := s.restored(ctx, m, dir, e)
	if err != nil {
		return fmt.Errorf("extract snapshot %s: %w", m.ID, err)
	}
	if len(found) > 0 {
		return &DamagedError{m.ID, strings.Join(found, "; ")}
	}
	return nil
}

func (s *Store) restored(ctx context.Context, m *Manifest, dir string, e Engine) ([]string, error) {
	files := map[string]*os.File{}
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for _, p := range m.Parts {
		f, err := os.OpenFile(filepath.Join(dir, p.Name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		files[p.Name] = f
	}
	found, err := s.readChunks(ctx, m, LevelDecoded, func(part string, plain []byte) error {
		_, err := files[part].Write(plain)
		return err
	})
	if err != nil || len(found) > 0 {
		return found, err
	}
	for name, f := range files {
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return nil, err
		}
		delete(files, name)
	}
	is, err := e.Examine(ctx, dir)
	if err != nil {
		return []string{"it cannot be opened: " + err.Error()}, ctx.Err()
	}
	return compare(m.Content, is), nil
}

// compare says how the restored content differs from what was copied.
func compare(was, is Content) []string {
	var found []string
	if was.Fingerprint != is.Fingerprint {
		found = append(found, "its schema is not the one that was copied")
	}
	tables := map[string]Table{}
	for _, t := range is.Tables {
		tables[t.Name] = t
	}
	for _, w := range was.Tables {
		t, ok := tables[w.Name]
		switch {
		case !ok:
			found = append(found, fmt.Sprintf("table %s is missing", w.Name))
		case t.Rows != w.Rows:
			found = append(found, fmt.Sprintf("table %s has %d rows, had %d", w.Name, t.Rows, w.Rows))
		case t.Hash != w.Hash:
			found = append(found, fmt.Sprintf("rows of table %s are not those that were copied", w.Name))
		}
	}
	// What was broken in the source already is faithfully copied; the manifest says so.
	for _, b := range is.Broken {
		if !slices.Contains(was.Broken, b) {
			found = append(found, b)
		}
	}
	return found
}

// readChunks reads all chunks, checks them up to the level and hands what they hold to use. It goes on
// after a finding, so that all of them are named.
func (s *Store) readChunks(ctx context.Context, m *Manifest, level Level, use func(part string, plain []byte) error) ([]string, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(2*chunkSize))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	var found []string
	for _, p := range m.Parts {
		for _, c := range p.Chunks {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			plain, problem := s.readChunk(m.ID, c, level, decoder)
			if problem != "" {
				found = append(found, fmt.Sprintf("chunk %s of %s %s", c.File, p.Name, problem))
				continue
			}
			if use == nil {
				continue
			}
			if err := use(p.Name, plain); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

func (s *Store) readChunk(id string, c Chunk, level Level, decoder *zstd.Decoder) (plain []byte, problem string) {
	path := s.path(id, "chunks", c.File)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, "is missing"
	case info.Size() != c.Bytes:
		return nil, fmt.Sprintf("has %d bytes, had %d", info.Size(), c.Bytes)
	case level == LevelPresent:
		return nil, ""
	}
	packed, err := os.ReadFile(path)
	if err != nil {
		return nil, "cannot be read: " + err.Error()
	}
	if sum(packed) != c.SHA256 {
		return nil, "does not have its checksum"
	}
	if level == LevelStored {
		return nil, ""
	}
	plain, err = decoder.DecodeAll(packed, make([]byte, 0, c.PlainBytes))
	if err != nil {
		return nil, "cannot be decompressed: " + err.Error()
	}
	if int64(len(plain)) != c.PlainBytes || sum(plain) != c.PlainSHA256 {
		return nil, "does not hold what was copied"
	}
	return plain, ""
}

func problems(what string, found []string) error {
	if len(found) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %s", what, strings.Join(found, "; "))
}
