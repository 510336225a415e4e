package recorder

import (
	"encoding/binary"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/migrate"
)

// TestFrames: messages are found in whatever pieces the bytes come, and of each what was wanted.
func TestFrames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want []string
		for range rapid.IntRange(0, 5).Draw(t, "messages") {
			text := rapid.StringMatching(`[a-z]{0,40}`).Draw(t, "text")
			kind := rapid.SampledFrom([]byte("Qd")).Draw(t, "kind")
			stream = binary.BigEndian.AppendUint32(append(stream, kind), uint32(len(text)+4))
			stream = append(stream, text...)
			if kind == 'Q' && text != "" {
				want = append(want, text[:min(len(text), 10)])
			}
		}
		var got []string
		f := &frames{
			headBytes: 5, size: postgresSize,
			want: func(head []byte, _ int, first byte) int {
				require.True(t, first >= 'a' && first <= 'z')
				return map[byte]int{'Q': 10}[head[0]]
			},
			take: func(_, payload []byte) { got = append(got, string(payload)) },
		}
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(t, "n")
			f.feed(stream[:n])
			stream = stream[n:]
		}
		require.Equal(t, want, got)
	})
}

// TestFramesOfNoProtocol: bytes that are no messages are passed over.
func TestFramesOfNoProtocol(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 1, 30)).Draw(t, "pieces")
		p := &postgresSession{postgres: &postgres{notes: workload.NewRecording(migrate.Postgres)}, statements: map[string]workload.Noted{}}
		asked := &frames{headBytes: 5, size: postgresSize, want: p.want, take: p.take}
		answered := &frames{headBytes: 5, size: postgresSize, want: p.wantAnswer, take: p.takeAnswer}
		m := &mysqlSession{mysql: &mysql{notes: workload.NewRecording(migrate.MySQL)}, statements: map[uint32]workload.Noted{}}
		commands := &frames{headBytes: 4, size: m.begin, want: m.want, take: m.take}
		answers := &frames{headBytes: 4, size: mysqlSize, want: m.wantAnswer, take: m.takeAnswer}
		for _, b := range pieces {
			asked.feed(b)
			answered.feed(b)
			p.note()
			commands.feed(b)
			answers.feed(b)
			m.note()
		}
	})
}

func TestWithoutPlus(t *testing.T) {
	offered, err := (&pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}}).Encode(nil)
	require.NoError(t, err)
	var left pgproto3.AuthenticationSASL
	require.NoError(t, left.Decode(withoutPlus(offered[5:])))
	require.Equal(t, []string{"SCRAM-SHA-256"}, left.AuthMechanisms)
}

// TestGreeting: what the client must not use is gone, whatever else there is.
func TestGreeting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		greeting := rapid.SliceOf(rapid.Byte()).Draw(t, "greeting")
		size := len(greeting)
		plain(greeting)
		require.Len(t, greeting, size)
	})
	greeting := append([]byte("\x0a9.7.0\x00\x01\x02\x03\x0412345678\x00"), 0xff, 0xff, 0xff, 0x02, 0x02, 0xff, 0xff, 21)
	require.EqualValues(t, noBackslash|2, plain(append([]byte{}, append(greeting[:23], 0x02, 0x02, 0xff, 0xff, 21)...)))
	plain(greeting)
	can := uint32(binary.LittleEndian.Uint16(greeting[20:])) | uint32(binary.LittleEndian.Uint16(greeting[25:]))<<16
	require.Equal(t, ^uint32(taken), can)
}

// TestListenSaysWhatWasGiven: a target that is none is shown as it was given, but for what may be a password.
func TestListenSaysWhatWasGiven(t *testing.T) {
	for given, want := range map[string]string{
		"foo":                                 `"foo"`,
		"redis://app:secret@db/shop?x=secret": `"…@db/shop?…"`,
		"app:secret@db/shop":                  `"…@db/shop"`,
		"host=db password=secret":             `"…"`,
		"file:secret@a@db":                    `"…@db"`,
	} {
		_, err := Listen(t.Context(), Config{Listen: "127.0.0.1:0", Target: given})
		require.ErrorContains(t, err, "record the target "+want, given)
		require.NotContains(t, err.Error(), "secret")
	}
}
