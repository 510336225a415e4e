package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/xxh3"
)

// unpacker reads chunks back. A worker has one of its own.
type unpacker struct {
	blobs Blobs
	id    string
	keys  []age.Identity
	unzip *zstd.Decoder
	buf   bytes.Buffer

	scratch []byte // for what is read and not used
}

func newUnpacker(blobs Blobs, id string, keys []age.Identity) (*unpacker, error) {
	// The checksum that zstd has of its own is not looked at: a chunk's hash of what it holds is, which says more.
	unzip, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20), zstd.WithDecoderMaxWindow(32<<20), zstd.IgnoreChecksum(true))
	if err != nil {
		return nil, err
	}
	return &unpacker{blobs: blobs, id: id, keys: keys, unzip: unzip}, nil
}

func (u *unpacker) close() { u.unzip.Close() }

// look checks a chunk up to a level, of which LevelDecoded is the highest here, and returns what is wrong
// with it. What it holds goes to use, unless that is nil. An error is one of use, or of the key.
func (u *unpacker) look(ctx context.Context, c Chunk, kind PartKind, level Level, use func(io.Reader) error) (problem string, err error) {
	size, err := u.blobs.Size(ctx, u.name(c))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "is missing", nil
	case err != nil:
		return "", err
	case size != c.Bytes:
		return fmt.Sprintf("has %d bytes, had %d", size, c.Bytes), nil
	case level == LevelPresent:
		return "", nil
	}
	if err := u.fetch(ctx, c); err != nil {
		return "cannot be read: " + err.Error(), ctx.Err()
	}
	if sum(u.buf.Bytes()) != c.SHA256 {
		return "does not have its checksum", nil
	}
	if level == LevelStored {
		return "", nil
	}
	return u.decode(c, kind, use)
}

func (u *unpacker) name(c Chunk) string { return u.id + "/chunks/" + c.File }

// fetch reads what is stored, and no more than is claimed.
func (u *unpacker) fetch(ctx context.Context, c Chunk) error {
	r, err := u.blobs.Get(ctx, u.name(c))
	if err != nil {
		return err
	}
	u.buf.Reset()
	_, err = u.buf.ReadFrom(io.LimitReader(r, c.Bytes+1))
	return errors.Join(err, r.Close())
}

func (u *unpacker) decode(c Chunk, kind PartKind, use func(io.Reader) error) (string, error) {
	var packed io.Reader = bytes.NewReader(u.buf.Bytes())
	if strings.HasSuffix(c.File, ".age") {
		if len(u.keys) == 0 {
			return "", ErrNoKey
		}
		var err error
		var none *age.NoIdentityMatchError
		packed, err = age.Decrypt(packed, u.keys...)
		switch {
		case errors.As(err, &none):
			return "", ErrNoKey
		case err != nil:
			return "cannot be decrypted: " + err.Error(), nil //nolint:nilerr // a finding
		}
	}
	if err := u.unzip.Reset(packed); err != nil {
		return "cannot be decompressed: " + err.Error(), nil //nolint:nilerr // a finding
	}
	proof := newProof(u.unzip, c, kind)
	if use == nil {
		use = u.readThrough
	}
	err := use(proof)
	if proof.problem != "" {
		return proof.problem, nil
	}
	if err == nil && !proof.whole {
		return "", errors.New("not all of it was read")
	}
	return "", err
}

// readThrough reads to the end. The pieces are those that the decompressor makes: io.Discard would read a few bytes at once.
func (u *unpacker) readThrough(r io.Reader) error {
	if u.scratch == nil {
		u.scratch = make([]byte, scratchSize)
	}
	for {
		_, err := r.Read(u.scratch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// scratchSize is that of a block of zstd.
const scratchSize = 128 << 10

// proof reads what a chunk holds, and ends with an error instead of io.EOF when that is not what it should
// be: whoever loads it must not take it for whole.
type proof struct {
	from    io.Reader
	chunk   Chunk
	kind    PartKind
	rows    int64 // the hash of the whole says more of them than one of each would
	hash    xxh3.Hasher
	old     hash.Hash // of format 1
	n       int64
	problem string
	whole   bool
}

func newProof(from io.Reader, c Chunk, kind PartKind) *proof {
	p := &proof{from: from, chunk: c, kind: kind}
	if c.PlainSHA256 != "" {
		p.old = sha256.New()
	}
	return p
}

// newline ends a row.
var newline = []byte{'\n'}

// errNotWhole is what a reader of a chunk gets at its end when the chunk is not what it should be.
var errNotWhole = errors.New("the chunk does not hold what was copied")

// Read implements io.Reader.
func (p *proof) Read(into []byte) (int, error) {
	if p.problem != "" {
		return 0, errNotWhole
	}
	n, err := p.from.Read(into)
	p.n += int64(n)
	if p.n > p.chunk.PlainBytes {
		p.problem = "does not hold what was copied: it is larger"
		return 0, errNotWhole
	}
	data := into[:n]
	if p.old != nil {
		p.old.Write(data)
	} else {
		_, _ = p.hash.Write(data)
	}
	if p.kind == RowsPart {
		p.rows += int64(bytes.Count(data, newline))
	}
	switch {
	case err == nil:
		return n, nil
	case !errors.Is(err, io.EOF):
		p.problem = "cannot be decompressed: " + err.Error()
		return 0, errNotWhole
	case !p.same():
		p.problem = "does not hold what was copied"
		return 0, errNotWhole
	}
	p.whole = true
	return n, io.EOF
}

func (p *proof) same() bool {
	if p.old != nil {
		return p.n == p.chunk.PlainBytes && hex.EncodeToString(p.old.Sum(nil)) == p.chunk.PlainSHA256
	}
	return p.n == p.chunk.PlainBytes && hex128(p.hash.Sum128()) == p.chunk.PlainHash && p.rows == p.chunk.Rows
}
