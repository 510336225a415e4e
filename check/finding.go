package check

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// Severity says what a finding does to the gate: an error closes it, a warning is shown, a note is for whoever
// wants to know.
type Severity string

// The severities, the worst first.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Finding is one thing lint, or a proof, has to say.
type Finding struct {
	Rule     string   `json:"rule"` // the rule's stable name: rewrites-table
	Severity Severity `json:"severity"`
	Message  string   `json:"message"` // one sentence about this place, without a full stop at its end
	Place    Place    `json:"place"`
	Object   string   `json:"object,omitempty"`   // what it is about: table public.users
	Why      string   `json:"why,omitempty"`      // what would happen, in general
	Touches  *Touch   `json:"touches,omitempty"`  // what it would touch on the target, when that is known
	Rewrite  string   `json:"rewrite,omitempty"`  // SQL, or words, that would be safe
	Evidence string   `json:"evidence,omitempty"` // lines that show it: a diff, the server's message
}

// Place is where a finding is. Lines and columns are counted from 1; 0 is unknown.
type Place struct {
	Change string        `json:"change,omitempty"`
	Phase  migrate.Phase `json:"phase,omitempty"`
	Back   bool          `json:"back,omitempty"` // in the rollback script of the phase
	File   string        `json:"file,omitempty"` // relative to where the command runs, with slashes
	Line   int           `json:"line,omitempty"`
	Column int           `json:"column,omitempty"`
	// Text is the statement, or the workload's query, as it stands in the file.
	Text string `json:"text,omitempty"`
}

// Touch is what a statement would touch on the target, and how others would notice.
type Touch struct {
	Table string        `json:"table,omitempty"`
	Lock  string        `json:"lock,omitempty"` // in the engine's words: ACCESS EXCLUSIVE, LOCK=SHARED
	Rows  int64         `json:"rows"`
	Bytes int64         `json:"bytes"`
	Time  time.Duration `json:"time,omitempty"` // how long about, in nanoseconds
}

// Fingerprint tells a finding from others, and is the same when lines above it come or go: a baseline and the
// services that follow findings from run to run know it by that.
func (f Finding) Fingerprint() string {
	h := sha256.New()
	for _, part := range []string{f.Rule, f.Place.Change, string(f.Place.Phase), f.Place.File, f.Object, strings.Join(strings.Fields(f.Place.Text), " ")} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
