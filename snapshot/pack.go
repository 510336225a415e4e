package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"
)

// chunkSize is how much of a part goes into one chunk, in bytes before compression: large enough to
// compress well and to be one request of a store, small enough for a machine with little memory.
const chunkSize = 32 << 20

// packer writes what is read of a piece into chunks: it cuts at the end of a row, counts and hashes the
// rows, compresses, encrypts, and puts each chunk into the store. A worker has one of its own.
type packer struct {
	ctx   context.Context
	blobs Blobs
	id    string
	names *atomic.Int64 // numbers of chunks, shared by the workers
	to    []age.Recipient
	zip   *zstd.Encoder
	count func(n int64) // told how much was written

	kind   PartKind
	offset int64   // of the next byte, in a part that is a file
	done   []Chunk // of the piece
	total  Tally   // of the piece

	// The chunk that is being written, when sealed is not nil.
	stored bytes.Buffer
	sealed io.WriteCloser
	rows   rowCounter
	hash   xxh3.Hasher
	plain  int64
}

// newPacker returns a packer of a snapshot's chunks.
func newPacker(ctx context.Context, blobs Blobs, id string, names *atomic.Int64, to []age.Recipient, count func(int64)) (*packer, error) {
	zip, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	return &packer{ctx: ctx, blobs: blobs, id: id, names: names, to: to, zip: zip, count: count}, nil
}

// begin begins with a piece.
func (p *packer) begin(kind PartKind, offset int64) {
	p.kind, p.offset, p.done, p.total = kind, offset, nil, Tally{}
}

// end ends the piece and returns its chunks.
func (p *packer) end() ([]Chunk, Tally, error) {
	err := p.cut()
	return p.done, p.total, err
}

// Write implements io.Writer.
func (p *packer) Write(data []byte) (int, error) {
	n := len(data)
	for len(data) > 0 {
		if p.ctx.Err() != nil {
			return 0, context.Cause(p.ctx)
		}
		now, full := p.fitting(data)
		if err := p.write(now); err != nil {
			return 0, err
		}
		if full {
			if err := p.cut(); err != nil {
				return 0, err
			}
		}
		data = data[len(now):]
	}
	p.count(int64(n))
	return n, nil
}

// fitting is what of the data goes into the chunk, and whether the chunk is full then: it ends where a row
// does.
func (p *packer) fitting(data []byte) ([]byte, bool) {
	room := max(chunkSize-p.plain, 0)
	if int64(len(data)) < room {
		return data, false
	}
	if p.kind == FilePart {
		return data[:room], true
	}
	from := max(room-1, 0)
	end := bytes.IndexByte(data[from:], '\n')
	if end < 0 {
		return data, false
	}
	return data[:from+int64(end)+1], true
}

func (p *packer) write(data []byte) error {
	if p.sealed == nil {
		if err := p.open(); err != nil {
			return err
		}
	}
	if p.kind == RowsPart {
		_, _ = p.rows.Write(data)
	}
	_, _ = p.hash.Write(data)
	p.plain += int64(len(data))
	_, err := p.zip.Write(data)
	return err
}

func (p *packer) open() error {
	p.stored.Reset()
	p.hash.Reset()
	p.rows, p.plain, p.sealed = rowCounter{}, 0, plainCloser{&p.stored}
	if len(p.to) > 0 {
		var err error
		if p.sealed, err = age.Encrypt(&p.stored, p.to...); err != nil {
			return fmt.Errorf("encrypt: %w", err)
		}
	}
	p.zip.Reset(p.sealed)
	return nil
}

// cut ends the chunk and stores it.
func (p *packer) cut() error {
	if p.sealed == nil {
		return nil
	}
	if p.rows.open {
		return errors.New("the last row of a piece has no end")
	}
	err := errors.Join(p.zip.Close(), p.sealed.Close())
	p.sealed = nil
	if err != nil {
		return err
	}
	c := Chunk{
		File: fmt.Sprintf("%06d.zst", p.names.Add(1)-1), Bytes: int64(p.stored.Len()), SHA256: sum(p.stored.Bytes()),
		Offset: p.offset, Rows: p.rows.Rows, PlainBytes: p.plain, PlainHash: hex128(p.hash.Sum128()),
	}
	if len(p.to) > 0 {
		c.File += ".age"
	}
	if p.kind == FilePart {
		p.offset += p.plain
	}
	p.total.Add(p.rows.Tally)
	p.plain = 0
	p.done = append(p.done, c)
	return p.blobs.Put(p.ctx, p.id+"/chunks/"+c.File, p.stored.Bytes())
}

// plainCloser is a writer that needs no end.
type plainCloser struct{ io.Writer }

func (plainCloser) Close() error { return nil }

func hex128(h xxh3.Uint128) string {
	b := h.Bytes()
	return hex.EncodeToString(b[:])
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}
