package workload

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
)

// How much a Recording keeps. What goes beyond is counted and left out.
const (
	maxDistinct      = 50_000
	maxDistinctBytes = 64 << 20
	maxKnown         = 4096    // texts that need not be looked at again
	maxKnownText     = 4 << 10 // bytes of each
)

// recordedHead begins the file of a recording, and tells it from one that somebody wrote.
const recordedHead = "-- Recorded by switchback record"

// Recording collects what an application asks, each statement once and without its constants, as the application goes
// on. Its methods may be called by several goroutines.
type Recording struct {
	engine  migrate.Engine
	dialect sqltoken.Dialect

	mu       sync.Mutex
	known    map[string]Noted // by the text as it was sent
	distinct map[string]*recorded
	bytes    int
	asked    int64
	left     int64
}

// recorded is a statement of a recording.
type recorded struct {
	text  string
	types []string // of its parameters, empty where one is not known
	times int64
}

// Noted is what a text has come to: none, one or several statements of the recording.
type Noted []*recorded

// NewRecording begins a recording of what is asked of an engine.
func NewRecording(engine migrate.Engine) *Recording {
	return &Recording{engine: engine, dialect: sqltoken.Of(string(engine)), known: map[string]Noted{}, distinct: map[string]*recorded{}}
}

// Asked is a text that an application has sent.
type Asked struct {
	Text  string
	Types []string // of its parameters where the client says them, by their number less one
	// Backslash tells that \' is no end of a text; the engine's default may have been changed for the session.
	Backslash bool
}

// Backslash tells whether \' is no end of a text by the engine's default.
func (r *Recording) Backslash() bool { return r.dialect.Backslash }

// Note takes a text in, which may be several statements, without counting it: see Again. What is no question to the
// application's tables comes to nothing.
func (r *Recording) Note(a Asked) Noted {
	plain := len(a.Text) <= maxKnownText && a.Backslash == r.dialect.Backslash && len(a.Types) == 0
	if plain {
		r.mu.Lock()
		found, ok := r.known[a.Text]
		r.mu.Unlock()
		if ok {
			return found
		}
	}
	if len(a.Text) > maxStatement {
		r.Leave()
		return nil
	}
	d := r.dialect
	d.Backslash = a.Backslash
	var noted Noted
	for _, tokens := range statements(sqltoken.Split(a.Text, d)) {
		if s := r.keep(tokens, a.Types); s != nil {
			noted = append(noted, s)
		}
	}
	if plain {
		r.remember(a.Text, noted)
	}
	return noted
}

// remember keeps what a text came to. An application that writes constants into its texts never sends one twice, so
// all are forgotten when there are many.
func (r *Recording) remember(text string, noted Noted) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= maxKnown {
		clear(r.known)
	}
	r.known[text] = noted
}

// Again counts that what was noted is asked.
func (r *Recording) Again(n Noted) {
	if len(n) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range n {
		s.times++
		r.asked++
	}
}

// Leave counts a statement that cannot be noted.
func (r *Recording) Leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left++
}

// keep notes one statement.
func (r *Recording) keep(tokens []sqltoken.Token, types []string) *recorded {
	tokens = asked(tokens)
	// SELECT 1 names nothing: it only asks whether the server is there.
	if !slices.ContainsFunc(tokens[min(1, len(tokens)):], sqltoken.Token.IsName) || !Asks(first(tokens)) {
		return nil
	}
	b := bare(r.engine, tokens)
	if s := r.find(b.text); s != nil {
		return s
	}
	if asksServer(r.engine, b.text) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.distinct[b.text]; s != nil { // from another connection, meanwhile
		return s
	}
	// A line break can only be in a name, where a file of statements would be read in another way.
	if strings.ContainsAny(b.text, "\n\r\x00") || len(r.distinct) >= maxDistinct || r.bytes+len(b.text) > maxDistinctBytes {
		r.left++
		return nil
	}
	s := &recorded{text: b.text, types: make([]string, len(b.parameters))}
	for i, was := range b.parameters {
		if was > 0 && was <= len(types) {
			s.types[i] = types[was-1]
		}
	}
	r.distinct[b.text] = s
	r.bytes += len(b.text)
	return s
}

// find returns the statement of that text, nil where it is not known yet.
func (r *Recording) find(text string) *recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.distinct[text]
}

// asked is the question of a statement that has one inside: of a cursor, and of one that SQL prepares.
func asked(tokens []sqltoken.Token) []sqltoken.Token {
	opens, behind := map[string]string{"declare": "for", "prepare": "as"}, ""
	if len(tokens) > 0 {
		behind = opens[strings.ToLower(tokens[0].Raw)]
	}
	i := slices.IndexFunc(tokens, func(t sqltoken.Token) bool { return behind != "" && t.Is(behind) })
	return tokens[i+1:]
}

// first is the word that a statement begins with.
func first(tokens []sqltoken.Token) string {
	for _, t := range tokens {
		if !t.IsSign("(") {
			return t.Raw
		}
	}
	return ""
}

// statements cuts a text into its statements. The body of a routine may hold semicolons: what follows one is left.
func statements(tokens []sqltoken.Token) (list [][]sqltoken.Token) {
	for len(tokens) > 0 {
		end := slices.IndexFunc(tokens, func(t sqltoken.Token) bool { return t.IsSign(";") })
		if end < 0 {
			return append(list, tokens)
		}
		if isRoutine(tokens[:end]) {
			return list
		}
		list = append(list, tokens[:end])
		tokens = tokens[end+1:]
	}
	return list
}

func isRoutine(tokens []sqltoken.Token) bool {
	if len(tokens) < 2 || !tokens[0].Is("create") && !tokens[0].Is("alter") {
		return len(tokens) > 1 && tokens[0].Is("begin") && tokens[1].Is("not") // BEGIN NOT ATOMIC of MariaDB
	}
	return slices.ContainsFunc(tokens, func(t sqltoken.Token) bool {
		return t.Is("function") || t.Is("procedure") || t.Is("trigger") || t.Is("event") || t.Is("package")
	})
}

// Counts says how far a recording is.
type Counts struct {
	Asked    int64 `json:"asked"`    // statements of the application
	Distinct int   `json:"distinct"` // of these
	Left     int64 `json:"left"`     // that were too long, too many, or not to be read for certain
}

// Counts returns how far it is.
func (r *Recording) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Counts{Asked: r.asked, Distinct: len(r.distinct), Left: r.left}
}

// File is the recording as a file that Read reads, in the order of its texts so that two can be compared.
func (r *Recording) File() []byte {
	r.mu.Lock()
	list := make([]recorded, 0, len(r.distinct))
	for _, s := range r.distinct {
		list = append(list, *s)
	}
	r.mu.Unlock()
	slices.SortFunc(list, func(a, b recorded) int { return strings.Compare(a.text, b.text) })
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s on %s: what was asked, without its constants.\n", recordedHead, r.engine)
	for _, s := range list {
		fmt.Fprintf(&b, "\n-- asked %s%s\n%s;\n", times(s.times), s.said(), s.text)
	}
	return b.Bytes()
}

func times(n int64) string {
	switch n {
	case 0:
		return "never, but prepared"
	case 1:
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// said are the types that the client gave.
func (s recorded) said() string {
	var list []string
	for i, t := range s.types {
		if t != "" {
			list = append(list, fmt.Sprintf("$%d %s", i+1, t))
		}
	}
	if list == nil {
		return ""
	}
	return "; " + strings.Join(list, ", ")
}
