package snapshot

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// What was stored may be what was written, and not what was read of the database: the hash and the rows of what a chunk
// holds tell.
func TestDecodedIsWhatWasRead(t *testing.T) {
	store := Folder(t.TempDir())
	to, err := newPacker(t.Context(), store, "s", &atomic.Int64{}, nil, func(int64) {})
	require.NoError(t, err)
	to.begin(RowsPart, 0)
	const rows = "1\tAda\n2\tGrace\n"
	text := strings.Repeat(rows, 100_000) // more than a block of zstd
	for _, some := range []string{text[:1000], text[1000:]} {
		_, err = to.Write([]byte(some))
		require.NoError(t, err)
	}
	chunks, tally, err := to.end()
	require.NoError(t, err)
	require.Len(t, chunks, 1)
	require.EqualValues(t, 200_000, tally.Rows)

	from, err := newUnpacker(store, "s", nil)
	require.NoError(t, err)
	defer from.close()
	look := func(c Chunk) string {
		problem, err := from.look(t.Context(), c, RowsPart, LevelDecoded, nil)
		require.NoError(t, err)
		return problem
	}
	require.Empty(t, look(chunks[0]))

	counted := chunks[0]
	counted.Rows--
	require.Equal(t, "does not hold what was copied", look(counted))

	// stored puts other contents in the chunk's place, with the checksum of what is stored.
	stored := func(packed []byte) Chunk {
		require.NoError(t, store.Put(t.Context(), from.name(chunks[0]), packed))
		c := chunks[0]
		c.Bytes, c.SHA256 = int64(len(packed)), sum(packed)
		return c
	}
	pack := func(text string, o ...zstd.EOption) []byte {
		zip, err := zstd.NewWriter(nil, o...)
		require.NoError(t, err)
		defer func() { require.NoError(t, zip.Close()) }()
		return zip.EncodeAll([]byte(text), nil)
	}
	require.Empty(t, look(stored(pack(text, zstd.WithEncoderCRC(false)))))
	require.Equal(t, "does not hold what was copied", look(stored(pack(strings.Replace(text, "Ada", "Eda", 1)))))
	require.Equal(t, "does not hold what was copied", look(stored(pack(text[len(rows):]))))
	require.Equal(t, "does not hold what was copied: it is larger", look(stored(pack(text+rows))))
	packed := pack(text)
	require.Contains(t, look(stored(packed[:len(packed)/2])), "cannot be decompressed: ")
}
