// Package snapshot keeps consistent copies of databases that are proven to be restorable.
//
//	Source ──OpenPoint──▶ Point ──Pieces──▶ workers: Read ▸ rows counted and hashed ▸ zstd ▸ age ▸ sha256 ▸ Blobs
//	                   └──Describe──▶ Manifest, written once all of it was read back, then COMMITTED
//
//	Blobs ──▶ workers: sha256 ▸ age ▸ zstd ▸ Load ──▶ Site, an empty database: Prepare ▸ Load … ▸ Finish
//	                                                     └──OpenPoint──▶ counted, hashed and compared with the manifest
//
// A snapshot is a folder of a store, or a prefix of a bucket:
//
//	STORE/20261124T101530Z-3f9a1c/
//	  chunks/000000.zst …   the data, cut into chunks, compressed, and encrypted when there are recipients
//	  manifest.json         what is in it, with the checksum of each chunk
//	  COMMITTED             the manifest's checksum; written last, once everything was read back
//	  verified.jsonl        each verification since
//
// What an engine's data are is the driver's affair. Data come in parts: one of rows is text with a row a
// line, which is counted and hashed here without regard to the order, so that a database that was built
// of a snapshot can be compared with the one that was copied; one of a file is taken as it is.
//
// The order of the writes and the rule that nothing counts before it was read back follow restic's
// repository format; the levels of verification are in docs/snapshots.md, the reasons in
// docs/decisions/0014-snapshots-of-every-engine.md.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/schema"
)

// Errors that callers tell apart.
var (
	// ErrNotFound is returned for an ID that the store does not have.
	ErrNotFound = errors.New("there is no such snapshot")
	// ErrUnfinished is returned for a snapshot that was never committed: its creation was cut off.
	ErrUnfinished = errors.New("the snapshot was never finished")
	// ErrUnsupported is returned for engines whose snapshots are not supported.
	ErrUnsupported = errors.New("snapshots are not supported")
	// ErrNoKey is returned when a snapshot is encrypted and none of the identities given opens it.
	ErrNoKey = errors.New("the snapshot is encrypted, and no identity that was given opens it")
)

// DamagedError says what is wrong with a snapshot that was committed.
type DamagedError struct {
	ID     string
	Reason string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("snapshot %s is damaged: %s", e.ID, e.Reason)
}

// Source is a database that can be copied.
type Source interface {
	// OpenPoint fixes one moment of the database, at which that many workers will read it side by side. No
	// writer waits for longer than the lock timeout. The caller closes what it returns.
	OpenPoint(ctx context.Context, o PointOptions) (Point, error)
}

// PointOptions say how a database is copied.
type PointOptions struct {
	Workers     int           // how many will read side by side, at least 1
	LockTimeout time.Duration // how long a lock is waited for, and so may keep others waiting
	// Dir is an empty folder that is removed afterwards, for engines that write a copy of their own.
	Dir string
	// Progress is told, while OpenPoint makes such a copy, how much is done and how much there is, in the
	// engine's own unit. It may be nil.
	Progress func(done, total int64)
}

// Point is one moment of a database.
type Point interface {
	// Describe says what is in the database. Tables that a part of rows is read of have neither count nor
	// hash yet: the caller finds them. Such a table has the name of its part.
	Describe() (Content, *schema.Database)
	// Parts are what the data consist of. Chunks, counts and sizes are left to the caller.
	Parts() []Part
	// Pieces cuts the parts into what a worker reads at once, in the order in which it is best done: the
	// largest first.
	Pieces() []Piece
	// Read writes the data of a piece. It is called by several workers at once, each with a number of its
	// own, from 0.
	Read(ctx context.Context, worker int, p Piece, to io.Writer) error
	// Close lets go of the moment. An error means that what was read is not of one moment, or not whole.
	Close(ctx context.Context) error
}

// Piece is what a worker reads at once.
type Piece struct {
	Part   int    // its index among the parts
	Range  string // which of the part's rows, in the engine's own words; empty for all
	Offset int64  // where in the file it begins, for a part that is a file
	Bytes  int64  // about how much it is
}

// Site is a new database in which a snapshot is built. It is a Source too, so that what was built can be
// compared with what was copied.
type Site interface {
	Source
	// Prepare makes what the rows go into: the schema without what is better made afterwards.
	Prepare(ctx context.Context, m *Manifest, model *schema.Database) error
	// Loaded names the chunks, by their files, that a build which was cut off has loaded before.
	Loaded(ctx context.Context) (map[string]bool, error)
	// Load loads a chunk, wholly or not at all. It is called by several workers at once. An error of the
	// reader has to be returned: it says that the chunk is not what was stored.
	Load(ctx context.Context, worker int, p Part, c Chunk, from io.Reader) error
	// Finish makes the rest: indexes, keys, triggers, sequences, with that many workers.
	Finish(ctx context.Context, m *Manifest, model *schema.Database, workers int) error
}

// Asker answers the user's own questions about what was built.
type Asker interface {
	// Ask runs a query that only reads, and returns its first rows as texts, at most limit.
	Ask(ctx context.Context, query string, limit int) ([][]string, error)
}

// Level is how thoroughly a snapshot is verified.
type Level string

// The levels, each including those before it.
const (
	LevelPresent  Level = "present"  // committed, and every chunk is there with its size
	LevelStored   Level = "stored"   // what is stored has its checksums; needs no key
	LevelDecoded  Level = "decoded"  // decrypted and decompressed, it is what was read, and has its rows
	LevelRestored Level = "restored" // built in a scratch database: schema, counts, rows, keys are equal
)

// Levels returns the levels, the least first.
func Levels() []Level { return []Level{LevelPresent, LevelStored, LevelDecoded, LevelRestored} }

// ParseLevel returns the level of that name.
func ParseLevel(name string) (Level, error) {
	for _, l := range Levels() {
		if string(l) == name {
			return l, nil
		}
	}
	return "", fmt.Errorf("unknown level %q: it is one of present, stored, decoded, restored", name)
}

// Verification is one look at a snapshot.
type Verification struct {
	At    time.Time `json:"at"`
	Level Level     `json:"level"`
	OK    bool      `json:"ok"`
	Found []string  `json:"found,omitempty"`
	Took  string    `json:"took"`
}

// assertionPrefix begins what was found when a question of the user has the wrong answer.
const assertionPrefix = "assertion "

// OnlyAsserted tells whether nothing is wrong but with the answers to the user's own questions: the snapshot is what was
// copied.
func (v Verification) OnlyAsserted() bool {
	return len(v.Found) > 0 && !slices.ContainsFunc(v.Found, func(f string) bool { return !strings.HasPrefix(f, assertionPrefix) })
}
