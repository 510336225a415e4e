package snapshot

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/bits"

	"github.com/zeebo/xxh3"
)

// Tally counts rows and adds up their hashes (XXH3, 128 bits, modulo 2^128), so that their order does not
// matter and tallies of pieces can be added up. The zero value is one of no rows.
type Tally struct {
	Rows   int64
	hi, lo uint64
}

// Add adds another tally.
func (t *Tally) Add(o Tally) {
	t.Rows += o.Rows
	t.add(xxh3.Uint128{Hi: o.hi, Lo: o.lo})
}

func (t *Tally) add(h xxh3.Uint128) {
	var carry uint64
	t.lo, carry = bits.Add64(t.lo, h.Lo, 0)
	t.hi, _ = bits.Add64(t.hi, h.Hi, carry)
}

// Hash is the sum of the rows' hashes, in hexadecimal.
func (t *Tally) Hash() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], t.hi)
	binary.BigEndian.PutUint64(b[8:], t.lo)
	return hex.EncodeToString(b[:])
}

// rowCounter is a writer of text with a row a line, which it tallies.
type rowCounter struct {
	Tally
	begun xxh3.Hasher // of a row whose end was not written yet
	open  bool
}

// Write never fails.
func (r *rowCounter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			break
		}
		r.end(p[:end+1])
		p = p[end+1:]
	}
	if len(p) > 0 {
		_, _ = r.begun.Write(p)
		r.open = true
	}
	return n, nil
}

// end takes the end of a row, its newline included.
func (r *rowCounter) end(line []byte) {
	r.Rows++
	if !r.open {
		r.add(xxh3.Hash128(line))
		return
	}
	_, _ = r.begun.Write(line)
	r.add(r.begun.Sum128())
	r.begun.Reset()
	r.open = false
}
