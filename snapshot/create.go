package snapshot

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/switchbackdb/switchback/internal/atomicfile"
	"github.com/switchbackdb/switchback/internal/failpoint"
)

// chunkSize is how much of a part goes into one chunk, in bytes: large enough to compress well, small
// enough to be held in memory on a small machine.
const chunkSize = 8 << 20

// Create takes a snapshot and returns its manifest once all of it was read back. When it fails or is
// cancelled, what it had written is removed; when it is killed, an unfinished snapshot is left, which
// is listed as that and never restored.
func (s *Store) Create(ctx context.Context, e Engine, about About, progress func(done, total int64)) (_ *Manifest, err error) {
	begun := time.Now()
	m := &Manifest{
		Format: Format, ID: newID(begun), Created: begun.UTC().Truncate(time.Second), Tool: about.Tool, Engine: about.Engine, Version: about.Version,
		Source: about.Source, Actor: about.Actor, Note: about.Note,
	}
	dir := s.path(m.ID)
	if err := os.MkdirAll(filepath.Join(dir, "chunks"), 0o700); err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	scratch := filepath.Join(dir, "scratch") // beside the chunks: where there is room for them
	defer func() {
		if err != nil {
			err = fmt.Errorf("create snapshot: %w\n  state: no snapshot was made, the database was only read", err)
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return nil, err
	}
	if err := e.Dump(ctx, scratch, progress); err != nil {
		return nil, err
	}
	failpoint.Hit("snapshot: dumped")
	if m.Content, err = e.Examine(ctx, scratch); err != nil {
		return nil, err
	}
	if m.Parts, err = s.store(ctx, scratch, dir); err != nil {
		return nil, err
	}
	if err := os.RemoveAll(scratch); err != nil {
		return nil, err
	}
	if found, err := s.readChunks(ctx, m, LevelDecoded, nil); err != nil || len(found) > 0 {
		return nil, errors.Join(err, problems("read back", found))
	}
	m.Took = time.Since(begun).Round(time.Millisecond).String()
	return m, s.commit(dir, m)
}

func (s *Store) commit(dir string, m *Manifest) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	data = append(data, '\n')
	if err := atomicfile.Write(filepath.Join(dir, "manifest.json"), data, 0o600); err != nil {
		return err
	}
	failpoint.Hit("snapshot: manifest written")
	if err := atomicfile.Write(filepath.Join(dir, "COMMITTED"), []byte(sum(data)+"\n"), 0o600); err != nil {
		return err
	}
	failpoint.Hit("snapshot: committed")
	return atomicfile.SyncDir(s.dir)
}

// store cuts the files of a folder into compressed chunks.
func (s *Store) store(ctx context.Context, from, to string) ([]Part, error) {
	entries, err := os.ReadDir(from)
	if err != nil {
		return nil, err
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer encoder.Close()
	next := 0
	var parts []Part
	for _, e := range entries {
		p := Part{Name: e.Name(), Chunks: []Chunk{}}
		err := eachPiece(ctx, filepath.Join(from, e.Name()), func(plain []byte) error {
			c := Chunk{File: fmt.Sprintf("%06d.zst", next), PlainBytes: int64(len(plain)), PlainSHA256: sum(plain)}
			next++
			packed := encoder.EncodeAll(plain, nil)
			c.Bytes, c.SHA256 = int64(len(packed)), sum(packed)
			p.Bytes += c.PlainBytes
			p.Chunks = append(p.Chunks, c)
			return writeSynced(filepath.Join(to, "chunks", c.File), packed)
		})
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, atomicfile.SyncDir(filepath.Join(to, "chunks"))
}

// eachPiece reads a file in pieces of chunkSize.
func eachPiece(ctx context.Context, path string, f func([]byte) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	buffer := make([]byte, chunkSize)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(file, buffer)
		if n > 0 {
			if err := f(buffer[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func newID(now time.Time) string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(b[:])
}
