// Package snapshot keeps consistent copies of databases that are proven to be restorable.
//
// A snapshot is a folder of a store:
//
//	STORE/20261124T101530Z-3f9a1c/
//	  chunks/000000.zst …   the engine's files, cut into chunks and compressed
//	  manifest.json         what is in it, with a checksum of each chunk as stored and as it was
//	  COMMITTED             the manifest's checksum; written last, once everything was read back
//	  verified.jsonl        each verification since
//
// Create lets the engine write its files into a scratch folder, examines them, stores them, reads all of
// it back and only then commits. Verify goes through the levels up to restoring in a scratch folder and
// comparing schema, counts and rows. What an engine's files are is the driver's affair (Engine).
//
// The order of the writes and the rule that nothing counts before it was read back follow restic's
// repository format; the levels of verification are in docs/snapshots.md.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Format is the version of the format that this package writes and the highest it reads.
const Format = 1

// Errors that callers tell apart.
var (
	// ErrNotFound is returned for an ID that the store does not have.
	ErrNotFound = errors.New("there is no such snapshot")
	// ErrUnfinished is returned for a snapshot that was never committed: its creation was cut off.
	ErrUnfinished = errors.New("the snapshot was never finished")
	// ErrUnsupported is returned for engines whose snapshots are not supported.
	ErrUnsupported = errors.New("snapshots are not supported")
)

// DamagedError says what is wrong with a snapshot that was committed.
type DamagedError struct {
	ID     string
	Reason string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("snapshot %s is damaged: %s", e.ID, e.Reason)
}

// Engine is what this package needs of a database engine.
type Engine interface {
	// Dump writes one consistent copy of the database as files into the empty folder dir. Progress is
	// told how much is done and how much there is, in the engine's own unit.
	Dump(ctx context.Context, dir string, progress func(done, total int64)) error
	// Examine describes a copy by looking at it, and finds what is broken in it: an error is a copy
	// that cannot be read at all.
	Examine(ctx context.Context, dir string) (Content, error)
}

// Content is what is in a database, as found by looking at a copy of it.
type Content struct {
	Fingerprint string    `json:"fingerprint"` // of the schema
	Tables      []Table   `json:"tables"`      // in the order of their names
	Applied     []Applied `json:"applied"`     // phases of changes, in the order in which they were applied
	Broken      []string  `json:"broken,omitempty"`
}

// Table counts a table's rows and hashes them regardless of their order.
type Table struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	Hash string `json:"hash"`
}

// Applied is a phase of a change that was applied when the snapshot was taken, with its scripts, so that
// it can be rolled back after a restore too.
type Applied struct {
	Change   string        `json:"change"`
	Phase    migrate.Phase `json:"phase"`
	Script   *string       `json:"script,omitempty"`
	Rollback *string       `json:"rollback_script,omitempty"`
}

// About is what the caller knows of the database that is copied.
type About struct {
	Engine  string // such as sqlite
	Version string // of the server
	Source  string // which database, without any password
	Tool    string // the version of switchback
	Actor   string // who takes it, as user@host
	Note    string // why, in the user's words
}

// Manifest says all that is needed to judge a snapshot years later.
type Manifest struct {
	Format  int       `json:"format"`
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Took    string    `json:"took"`
	Tool    string    `json:"tool"`
	Engine  string    `json:"engine"`
	Version string    `json:"engine_version"`
	Source  string    `json:"source"`
	Actor   string    `json:"actor"`
	Note    string    `json:"note,omitempty"`
	Content Content   `json:"content"`
	Parts   []Part    `json:"parts"`
}

// Rows is how many rows the snapshot holds.
func (m *Manifest) Rows() int64 {
	var n int64
	for _, t := range m.Content.Tables {
		n += t.Rows
	}
	return n
}

// Stored is how many bytes the chunks take in the store.
func (m *Manifest) Stored() int64 {
	var n int64
	for _, p := range m.Parts {
		for _, c := range p.Chunks {
			n += c.Bytes
		}
	}
	return n
}

// Part is one of the engine's files.
type Part struct {
	Name   string  `json:"name"`
	Bytes  int64   `json:"bytes"`
	Chunks []Chunk `json:"chunks"`
}

// Chunk is a piece of a part, as it is stored and as it was.
type Chunk struct {
	File        string `json:"file"`
	Bytes       int64  `json:"bytes"`
	SHA256      string `json:"sha256"`
	PlainBytes  int64  `json:"plain_bytes"`
	PlainSHA256 string `json:"plain_sha256"`
}

// Level is how thoroughly a snapshot is verified.
type Level string

// The levels, each including those before it.
const (
	LevelPresent  Level = "present"  // committed, and every chunk is there with its size
	LevelStored   Level = "stored"   // what is stored has its checksums
	LevelDecoded  Level = "decoded"  // decompressed, it has its checksums too
	LevelRestored Level = "restored" // restored in a scratch folder: schema, counts, rows, keys are equal
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

var validID = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$`)
