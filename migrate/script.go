package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Script is one SQL file of a phase, or such a file as it was recorded in the journal.
type Script struct {
	Path       string // where it was read from, or "journal" for a recorded one
	SQL        string // the text as it stands in the file
	Directives Directives
}

// Directives are what the comments of the form "-- switchback:…" of a script ask for.
type Directives struct {
	NoTransaction  bool          // run each statement on its own, outside a transaction
	ForeignKeysOff bool          // SQLite: check foreign keys at the end of the script instead of during it
	LockTimeout    time.Duration // how long a statement may wait for a lock; 0 for the runner's own
	Retries        int           // how often to try again after a lock timeout; -1 for the runner's own
	Batches        []Batch       // batched statements, by line
	Asserts        []Assert      // queries that must find nothing, by line
	Groups         []Group       // statements that take effect together, by line
	Resumed        []int         // lines of directives above statements that only a resumed step runs
	Allows         []Allow       // rules of lint that a statement may break, by line
}

// Allow says that the statement below the directive may break a rule of lint.
type Allow struct {
	Line   int // line of the directive
	Rule   string
	Reason string
}

// Group says that the statements between two lines take effect together.
type Group struct {
	Line   int      // of the directive together
	End    int      // of the directive apart; the end of the script where there is none
	Tables []string // that nobody else reads or writes meanwhile, where DDL commits by itself
}

// Assert says that the statement below the directive is a query that must find nothing.
type Assert struct {
	Line    int    // line of the directive
	Message string // what it means when there is a row
}

// Batch says that the statement below the directive runs in batches over a key.
type Batch struct {
	Line  int           // line of the directive
	Table string        // the table to walk through
	Key   []string      // its key columns
	Size  int           // rows in the first batch
	Pause time.Duration // least pause between two batches
	Time  time.Duration // how long a batch may take; 0 for the runner's own
}

// directivePrefix begins every directive.
const directivePrefix = "-- switchback:"

// ParseScript reads the directives of a script.
func ParseScript(path, sql string) (Script, error) {
	s := Script{Path: path, SQL: sql, Directives: Directives{Retries: -1}}
	for i, line := range strings.Split(sql, "\n") {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), directivePrefix)
		if !ok {
			continue
		}
		if err := s.Directives.add(i+1, text); err != nil {
			return Script{}, &FolderError{Path: path, Line: i + 1, Reason: err.Error(), Next: "see docs/changes.md for the directives there are"}
		}
	}
	return s, nil
}

func (d *Directives) add(line int, text string) error {
	words := strings.Fields(text)
	if len(words) == 0 {
		return fmt.Errorf("empty directive")
	}
	switch words[0] {
	case "no-transaction":
		d.NoTransaction = true
	case "foreign-keys":
		if len(words) != 2 || words[1] != "off" {
			return fmt.Errorf("directive foreign-keys: want \"foreign-keys off\"")
		}
		d.ForeignKeysOff = true
	case "lock-timeout":
		return d.addLockTimeout(words[1:])
	case "together":
		tables, err := nameList(strings.TrimSpace(strings.TrimPrefix(text, "together")))
		d.Groups = append(d.Groups, Group{Line: line, End: math.MaxInt, Tables: tables})
		return err
	case "apart", "resumed":
		if len(words) != 1 {
			return fmt.Errorf("directive %s: want nothing behind it", words[0])
		}
		if words[0] == "resumed" {
			d.Resumed = append(d.Resumed, line)
		} else if n := len(d.Groups); n > 0 && d.Groups[n-1].End == math.MaxInt {
			d.Groups[n-1].End = line
		}
	case "assert":
		_, message, _ := strings.Cut(text, "assert")
		if message = strings.TrimSpace(message); message == "" {
			return fmt.Errorf("directive assert: want \"assert MESSAGE\", which says what is wrong when the query finds a row")
		}
		d.Asserts = append(d.Asserts, Assert{Line: line, Message: message})
	case "allow":
		rule, reason, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(text, "allow")), ":")
		rule, reason = strings.TrimSpace(rule), strings.TrimSpace(reason)
		if rule == "" || reason == "" || strings.ContainsAny(rule, " \t") {
			return fmt.Errorf("directive allow: want \"allow RULE: REASON\", which says why this statement may")
		}
		d.Allows = append(d.Allows, Allow{Line: line, Rule: rule, Reason: reason})
	case "batch":
		b, err := parseBatch(quotedFields(strings.TrimSpace(strings.TrimPrefix(text, "batch"))))
		b.Line = line
		d.Batches = append(d.Batches, b)
		return err
	default:
		return fmt.Errorf("unknown directive %q", words[0])
	}
	return nil
}

func (d *Directives) addLockTimeout(words []string) error {
	if len(words) != 1 && (len(words) != 3 || words[1] != "retries") {
		return fmt.Errorf("directive lock-timeout: want \"lock-timeout 2s\" or \"lock-timeout 2s retries 20\"")
	}
	timeout, err := time.ParseDuration(words[0])
	if err != nil || timeout <= 0 {
		return fmt.Errorf("directive lock-timeout: %q is no duration such as 2s", words[0])
	}
	d.LockTimeout = timeout
	if len(words) == 3 {
		if d.Retries, err = strconv.Atoi(words[2]); err != nil || d.Retries < 0 {
			return fmt.Errorf("directive lock-timeout: %q is no number of retries", words[2])
		}
	}
	return nil
}

// Sizes of a batch: what is used when the directive gives none, and the most it may ask for.
const (
	defaultBatchSize = 2000
	maxBatchSize     = 1_000_000
)

func parseBatch(words []string) (Batch, error) {
	b := Batch{Size: defaultBatchSize}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		var err error
		switch name {
		case "table":
			var names []string
			if names, err = nameList(value); len(names) == 1 {
				b.Table = names[0]
			}
		case "key":
			b.Key, err = nameList(value)
		case "size":
			b.Size, err = strconv.Atoi(value)
		case "pause":
			b.Pause, err = time.ParseDuration(value)
		case "time":
			if b.Time, err = time.ParseDuration(value); err == nil && b.Time <= 0 {
				err = fmt.Errorf("is no time to get something done in")
			}
		default:
			err = fmt.Errorf("unknown word %q", name)
		}
		if err != nil {
			return b, fmt.Errorf("directive batch: %s: %w", w, err)
		}
	}
	switch {
	case b.Table == "" || len(b.Key) == 0 || b.Key[0] == "":
		return b, fmt.Errorf("directive batch: want at least table=TABLE key=COLUMN")
	case b.Size < 1 || b.Size > maxBatchSize:
		return b, fmt.Errorf("directive batch: size=%d is not between 1 and %d", b.Size, maxBatchSize)
	case b.Pause < 0:
		return b, fmt.Errorf("directive batch: pause=%s is negative", b.Pause)
	}
	return b, nil
}

// quotedFields splits words at white space that stands in no double quotes.
func quotedFields(text string) []string {
	inside := false
	return strings.FieldsFunc(text, func(r rune) bool {
		if r == '"' {
			inside = !inside
		}
		return !inside && unicode.IsSpace(r)
	})
}

// nameList reads names with commas between them; one in double quotes may hold what it likes.
func nameList(text string) ([]string, error) {
	var names []string
	for text != "" {
		var name string
		if rest, quoted := strings.CutPrefix(text, `"`); quoted {
			for {
				part, behind, closed := strings.Cut(rest, `"`)
				if !closed {
					return nil, fmt.Errorf("no closing quote in %q", text)
				}
				name += part
				if rest, quoted = strings.CutPrefix(behind, `"`); !quoted {
					text = behind
					break
				}
				name += `"`
			}
		} else {
			end := strings.IndexByte(text, ',')
			if end < 0 {
				end = len(text)
			}
			name, text = strings.TrimSpace(text[:end]), text[end:]
		}
		names = append(names, name)
		rest, more := strings.CutPrefix(text, ",")
		if text != "" && !more {
			return nil, fmt.Errorf("want a comma before %q", text)
		}
		text = strings.TrimLeft(rest, " ")
	}
	return names, nil
}

// groupFor returns the group that the statement at a line is in, or nil.
func (d Directives) groupFor(line int) *Group {
	for i := range d.Groups {
		if g := &d.Groups[i]; g.Line < line && line < g.End {
			return g
		}
	}
	return nil
}

// isResumed tells whether the directive resumed stands above a statement.
func (d Directives) isResumed(after, line int) bool {
	return slices.ContainsFunc(d.Resumed, func(n int) bool { return n >= after && n <= line })
}

// batchFor returns the batch directive that stands between the end of the statement before and the
// statement that starts at line, or nil.
func (d Directives) batchFor(after, line int) *Batch {
	for i := range d.Batches {
		if b := &d.Batches[i]; b.Line >= after && b.Line <= line {
			return b
		}
	}
	return nil
}

// assertFor returns the assert directive that stands between the end of the statement before and the
// statement that starts at line, or nil.
func (d Directives) assertFor(after, line int) *Assert {
	for i := range d.Asserts {
		if a := &d.Asserts[i]; a.Line >= after && a.Line <= line {
			return a
		}
	}
	return nil
}

// hash is the SHA-256 of a text, in hexadecimal.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// firstLine is the first line of a statement that says something, cut to be shown to people.
func firstLine(statement string) string {
	const limit = 80
	for _, line := range strings.Split(statement, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "--") {
			continue
		}
		if len(line) > limit {
			return line[:limit] + "…"
		}
		return line
	}
	return ""
}
