package snapshot

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Format is the version of the format that this package writes and the highest it reads. Format 1 had
// chunks of 8 MiB with a second SHA-256, and no parts of rows.
const Format = 2

// Manifest says all that is needed to judge a snapshot years later.
type Manifest struct {
	Format     int       `json:"format"`
	ID         string    `json:"id"`
	Created    time.Time `json:"created"`
	Took       string    `json:"took"`
	Tool       string    `json:"tool"`
	Engine     string    `json:"engine"`
	Version    string    `json:"engine_version"`
	Source     string    `json:"source"`
	Identity   string    `json:"identity,omitempty"` // of the source: it goes back there only
	Actor      string    `json:"actor"`
	Note       string    `json:"note,omitempty"`
	Tags       []string  `json:"tags,omitempty"`
	Recipients []string  `json:"recipients,omitempty"` // public keys of those who can read it
	Masked     string    `json:"masked,omitempty"`     // the hash of the rules by which its rows were masked
	// Backup is set when the data are in a backup of another tool; there are no parts of them then.
	Backup  *Backup `json:"backup,omitempty"`
	Content Content `json:"content"`
	Parts   []Part  `json:"parts"`
	// Only says which half of the snapshot is restored. It is about the restore, and not stored.
	Only Only `json:"-"`
}

// Backup names a backup of another tool.
type Backup struct {
	Tool string `json:"tool"`
	ID   string `json:"id"` // the tool's own name for it
}

// Content is what is in a database.
type Content struct {
	Fingerprint string     `json:"fingerprint"`         // of the schema
	Tables      []Table    `json:"tables"`              // in the order of their names
	Sequences   []Sequence `json:"sequences,omitempty"` // in the order of their names
	Applied     []Applied  `json:"applied"`             // phases of changes, in the order in which they were applied
	// Position is where in the stream of the server's changes the moment is: its name (lsn, gtid, binlog)
	// and value.
	Position map[string]string `json:"position,omitempty"`
	// Database is what has to be known of the database besides its objects: encoding, collation, time
	// zone, SQL mode, versions of extensions.
	Database map[string]string `json:"database,omitempty"`
	Locked   string            `json:"locked,omitempty"`  // how long writers could have waited for us
	Method   string            `json:"method,omitempty"`  // how the moment was fixed
	Broken   []string          `json:"broken,omitempty"`  // what is broken in the source already
	Omitted  []Omitted         `json:"omitted,omitempty"` // what was left out
}

// Table counts a table's rows and hashes them regardless of their order.
type Table struct {
	Name string `json:"name"`
	Rows int64  `json:"rows"`
	Hash string `json:"hash"`
}

// Sequence is where a sequence stands.
type Sequence struct {
	Name   string `json:"name"`
	Value  string `json:"value"`            // the last value that was given out, or the first that will be
	Called bool   `json:"called,omitempty"` // whether the value was given out
}

// Omitted is something that is in the database and not in the snapshot.
type Omitted struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
}

// Applied is a phase of a change that was applied when the snapshot was taken, with its scripts, so that
// it can be rolled back after a restore too.
type Applied struct {
	Change   string        `json:"change"`
	Phase    migrate.Phase `json:"phase"`
	Script   *string       `json:"script,omitempty"`
	Rollback *string       `json:"rollback_script,omitempty"`
}

// PartKind is what a part consists of.
type PartKind string

// The kinds of parts.
const (
	// FilePart is bytes at offsets; it is the kind of format 1 too.
	FilePart PartKind = ""
	// RowsPart is text with a row a line. Its chunks end with a row, and may be loaded in any order.
	RowsPart PartKind = "rows"
)

// Part is a table's rows, or one of the engine's files.
type Part struct {
	Name    string   `json:"name"` // a file's name, or a name of rows that is unique among the parts
	Kind    PartKind `json:"kind,omitempty"`
	Schema  string   `json:"schema,omitempty"`
	Table   string   `json:"table,omitempty"` // the table the rows are of
	Columns []string `json:"columns,omitempty"`
	Rows    int64    `json:"rows,omitempty"`
	Bytes   int64    `json:"bytes"`
	Chunks  []Chunk  `json:"chunks"`
}

// Chunk is a piece of a part as it is stored, and what it holds.
type Chunk struct {
	File        string `json:"file"`
	Bytes       int64  `json:"bytes"`  // as stored
	SHA256      string `json:"sha256"` // as stored
	Offset      int64  `json:"offset,omitempty"`
	Rows        int64  `json:"rows,omitempty"`
	PlainBytes  int64  `json:"plain_bytes"`
	PlainHash   string `json:"plain_xxh3,omitempty"`   // XXH3, 128 bits: what stored checksums prove already is checked once more
	PlainSHA256 string `json:"plain_sha256,omitempty"` // format 1
}

// Of tells whether the snapshot is of the database that has this name and identity, as Live says them. Snapshots of the
// first format have a name alone.
func (m *Manifest) Of(name, identity string) bool {
	return m.Identity == identity || m.Identity == "" && m.Source == name
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
	for c := range m.chunks() {
		n += c.Bytes
	}
	return n
}

// Plain is how many bytes the data were.
func (m *Manifest) Plain() int64 {
	var n int64
	for _, p := range m.Parts {
		n += p.Bytes
	}
	return n
}

// Encrypted tells whether a key is needed to read the data.
func (m *Manifest) Encrypted() bool { return len(m.Recipients) > 0 }

// chunks goes through all chunks, with the index of their part.
func (m *Manifest) chunks() func(yield func(c Chunk, part int) bool) {
	return func(yield func(c Chunk, part int) bool) {
		for i, p := range m.Parts {
			for _, c := range p.Chunks {
				if !yield(c, i) {
					return
				}
			}
		}
	}
}

func (c Content) applied(change string, phase migrate.Phase) bool {
	return slices.ContainsFunc(c.Applied, func(a Applied) bool { return a.Change == change && a.Phase == phase })
}

// Limits of what a manifest may claim: one that is not ours must not make a reader run out of memory.
const (
	maxManifest = 256 << 20
	maxStored   = 4 << 30 // bytes of a chunk: a row can have a gigabyte, and its text twice that
)

var (
	validID    = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}$`)
	validChunk = regexp.MustCompile(`^[0-9]{6,}\.zst(\.age)?$`)
)

// confined refuses names that would lead out of the folders they belong in, and sizes that cannot be.
func (m *Manifest) confined() error {
	for _, p := range m.Parts {
		if p.Kind == FilePart && (p.Name == "" || p.Name != path.Base(p.Name) || p.Name == ".." || p.Name == ".") {
			return &DamagedError{m.ID, fmt.Sprintf("the name of part %q leads out of its folder", p.Name)}
		}
		if p.Kind != FilePart && p.Kind != RowsPart {
			return &DamagedError{m.ID, fmt.Sprintf("part %q is of the unknown kind %q", p.Name, p.Kind)}
		}
	}
	for c := range m.chunks() {
		if !validChunk.MatchString(c.File) {
			return &DamagedError{m.ID, fmt.Sprintf("the name of chunk %q leads out of its folder", c.File)}
		}
		if c.Bytes < 0 || c.Bytes > maxStored || c.PlainBytes < 0 || c.PlainBytes > maxStored || c.Offset < 0 || c.Rows < 0 {
			return &DamagedError{m.ID, fmt.Sprintf("chunk %s claims %d bytes of %d", c.File, c.Bytes, c.PlainBytes)}
		}
	}
	return nil
}
