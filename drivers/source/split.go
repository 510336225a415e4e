package source

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/switchbackdb/switchback/migrate"
)

// token is a piece of a statement that stands for itself.
type token struct {
	kind  tokenKind
	text  string // as written; of a name in quotes what is in them
	start int    // in the statement's text
	end   int
}

type tokenKind int

const (
	word   tokenKind = iota // a keyword, or a name without quotes
	quoted                  // a name in quotes
	text                    // a string
	symbol                  // one other character
)

// is tells whether the token is that keyword, given in upper case.
func (t token) is(keyword string) bool {
	return t.kind == word && len(t.text) == len(keyword) && strings.ToUpper(t.text) == keyword
}

// name is the name that the token may be, folded as nothing folds it.
func (t token) name() (string, bool) { return t.text, t.kind == word || t.kind == quoted }

// piece is what a client program makes of the next lines of a file.
type piece struct {
	kind   pieceKind
	line   int     // where it starts, from 1
	text   string  // the statement without its delimiter, or the command's line
	tokens []token // of a statement
	rows   int     // of data
}

type pieceKind int

const (
	statement pieceKind = iota
	command             // of psql, mysql or sqlite3, such as \connect
	data                // rows behind a COPY … FROM stdin
)

// splitter cuts a file into pieces as the engine's own client program does: psql, mysql or sqlite3. It is
// needed because dumps are written for those, with commands between the statements.
type splitter struct {
	engine    migrate.Engine
	src       string
	pos       int
	line      int
	delimiter string
	plain     bool // MySQL's NO_BACKSLASH_ESCAPES: a backslash in a string is one

	tokens []token
	last   token // the one before, also where it is not kept
	begun  int   // where the statement began
	depth  int   // of BEGIN … END in the body of a routine
	parens int
	seen   bool // something of the statement has been seen
}

func newSplitter(engine migrate.Engine, src string) *splitter {
	return &splitter{engine: engine, src: src, line: 1, delimiter: ";"}
}

func (s *splitter) mysql() bool { return s.engine == migrate.MySQL || s.engine == migrate.MariaDB }

// next returns the next piece, and false at the end.
func (s *splitter) next() (piece, bool) {
	if s.copying() {
		return s.data(), true
	}
	s.tokens, s.last, s.depth, s.parens, s.seen = nil, token{}, 0, 0, false
	line := s.line
	for s.pos < len(s.src) {
		switch {
		case !s.seen && s.skipSpace():
			continue
		case len(s.tokens) == 0 && s.lineCommand():
			return s.command(), true
		}
		if !s.seen {
			s.begun, line, s.seen = s.pos, s.line, true
		}
		switch {
		case strings.HasPrefix(s.src[s.pos:], s.delimiter) && s.ends():
			text := s.src[s.begun:s.pos]
			s.advance(len(s.delimiter))
			if len(s.tokens) == 0 {
				s.seen = false
				continue // nothing but comments
			}
			return piece{statement, line, strings.TrimSpace(text), s.tokens, 0}, true
		case s.engine == migrate.Postgres && s.src[s.pos] == '\\':
			// A command of psql ends the line, and with \g or \gexec sends the statement.
			return s.command(), true
		}
		s.token()
	}
	if len(s.tokens) == 0 {
		return piece{}, false
	}
	return piece{statement, line, strings.TrimSpace(s.src[s.begun:]), s.tokens, 0}, true
}

// ends tells whether a delimiter here ends the statement.
func (s *splitter) ends() bool {
	return s.delimiter != ";" || s.depth <= 0 && (s.parens <= 0 || s.engine != migrate.Postgres)
}

// skipSpace skips white space in front of a statement. Comments belong to the statement, since MySQL runs
// some of them.
func (s *splitter) skipSpace() bool {
	start := s.pos
	for s.pos < len(s.src) && strings.IndexByte(" \t\r\n\f\v", s.src[s.pos]) >= 0 {
		s.advance(1)
	}
	return s.pos > start
}

func (s *splitter) advance(n int) {
	n = min(n, len(s.src)-s.pos)
	s.line += strings.Count(s.src[s.pos:s.pos+n], "\n")
	s.pos += n
}

// rest is the rest of the line.
func (s *splitter) rest() string {
	line, _, _ := strings.Cut(s.src[s.pos:], "\n")
	return strings.TrimRight(line, "\r")
}

// lineCommand tells whether a command of the client begins here, in front of a statement.
func (s *splitter) lineCommand() bool {
	rest := s.rest()
	if rest == "" {
		return false
	}
	switch first := strings.ToUpper(firstWord(rest)); s.engine {
	case migrate.Postgres:
		return rest[0] == '\\'
	case migrate.SQLite:
		return rest[0] == '.'
	default:
		return rest[0] == '\\' || first == "DELIMITER" || first == "SOURCE"
	}
}

func firstWord(line string) string {
	end := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsLetter(r) })
	if end < 0 {
		return line
	}
	return line[:end]
}

// command reads a command up to the end of its line. DELIMITER takes effect at once.
func (s *splitter) command() piece {
	p := piece{kind: command, line: s.line, text: strings.TrimSpace(s.rest())}
	s.advance(len(s.rest()))
	if s.mysql() && strings.EqualFold(firstWord(p.text), "DELIMITER") {
		if fields := strings.Fields(p.text); len(fields) > 1 {
			s.delimiter = fields[1]
		}
	}
	return p
}

// copying tells whether the statement before was a COPY that reads the lines behind it.
func (s *splitter) copying() bool {
	if s.engine != migrate.Postgres || len(s.tokens) < 4 || !s.tokens[0].is("COPY") {
		return false
	}
	for i, t := range s.tokens[1:] {
		if t.is("FROM") && i+2 < len(s.tokens) {
			return s.tokens[i+2].is("STDIN")
		}
	}
	return false
}

// data reads the lines of a COPY, up to the one that ends them.
func (s *splitter) data() piece {
	s.tokens = nil
	s.advance(len(s.rest()) + 1) // of the statement's own line
	p := piece{kind: data, line: s.line}
	for s.pos < len(s.src) {
		line := s.rest()
		next, _, _ := strings.Cut(s.src[s.pos:], "\n")
		s.advance(len(next) + 1)
		if line == `\.` {
			break
		}
		p.rows++
	}
	return p
}

// token reads one token, comment or space of a statement.
func (s *splitter) token() {
	rest := s.src[s.pos:]
	c := rest[0]
	switch {
	case strings.IndexByte(" \t\r\n\f\v", c) >= 0:
		s.advance(1)
	case strings.HasPrefix(rest, "--"), c == '#' && s.mysql():
		s.advance(len(s.rest()))
	case strings.HasPrefix(rest, "/*"):
		s.comment(rest)
	case c == '\'':
		s.add(text, s.quote('\'', s.mysql() && !s.plain || s.escaped()))
	case c == '"' && s.mysql():
		s.add(text, s.quote('"', !s.plain))
	case c == '"':
		s.add(quoted, s.quote('"', false))
	case c == '`':
		s.add(quoted, s.quote('`', false))
	case c == '[' && s.engine == migrate.SQLite:
		s.add(quoted, s.until("]"))
	case c == '$' && s.engine == migrate.Postgres && s.dollar(rest):
	default:
		s.other(rest)
	}
}

// comment skips a comment. What MySQL runs of one, as in /*!40101 SET … */, is read as if it stood there.
func (s *splitter) comment(rest string) {
	if s.mysql() && (strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!")) && !strings.HasPrefix(rest, "/*M!999999") {
		n := strings.IndexByte(rest, '!') + 1
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		s.advance(n)
		return
	}
	depth, n := 1, 2
	for ; n < len(rest) && depth > 0; n++ {
		switch {
		case strings.HasPrefix(rest[n:], "*/"):
			depth--
			n++
		case strings.HasPrefix(rest[n:], "/*") && s.engine == migrate.Postgres:
			depth++
			n++
		}
	}
	s.advance(n)
}

// escaped tells whether the string that begins here is an E'…' of PostgreSQL, in which a backslash escapes.
func (s *splitter) escaped() bool {
	return s.engine == migrate.Postgres && s.last.is("E") && s.begun+s.last.end == s.pos
}

// quote reads up to the closing quote and returns its length. A quote written twice does not close.
func (s *splitter) quote(q byte, backslash bool) int {
	for n := s.pos + 1; n < len(s.src); n++ {
		switch {
		case s.src[n] == '\\' && backslash:
			n++
		case s.src[n] == q && n+1 < len(s.src) && s.src[n+1] == q:
			n++
		case s.src[n] == q:
			return n + 1 - s.pos
		}
	}
	return len(s.src) - s.pos
}

func (s *splitter) until(end string) int {
	if n := strings.Index(s.src[s.pos:], end); n >= 0 {
		return n + len(end)
	}
	return len(s.src) - s.pos
}

// dollar reads a string in dollar quotes, if one begins here.
func (s *splitter) dollar(rest string) bool {
	n := 1
	for n < len(rest) && (rest[n] == '_' || rest[n] >= 0x80 || unicode.IsLetter(rune(rest[n])) || n > 1 && unicode.IsDigit(rune(rest[n]))) {
		n++
	}
	if n >= len(rest) || rest[n] != '$' {
		return false
	}
	tag := rest[:n+1]
	end := strings.Index(rest[len(tag):], tag)
	if end < 0 {
		s.add(text, len(rest))
		return true
	}
	s.add(text, end+2*len(tag))
	return true
}

// other reads a word or one character.
func (s *splitter) other(rest string) {
	n := 0
	for n < len(rest) {
		r, size := utf8.DecodeRuneInString(rest[n:])
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && (r != '$' || n == 0) {
			break
		}
		n += size
	}
	if n > 0 {
		s.add(word, n)
		s.nest()
		return
	}
	switch rest[0] {
	case '(':
		s.parens++
	case ')':
		s.parens--
	}
	_, size := utf8.DecodeRuneInString(rest)
	s.add(symbol, size)
}

func (s *splitter) add(kind tokenKind, n int) {
	t := token{kind: kind, text: s.src[s.pos : s.pos+n], start: s.pos - s.begun, end: s.pos - s.begun + n}
	if kind == quoted && n >= 2 {
		q := t.text[n-1 : n]
		t.text = strings.ReplaceAll(t.text[1:n-1], q+q, q)
	}
	s.last = t
	if len(s.tokens) < maxTokens || !isRows(s.tokens) {
		s.tokens = append(s.tokens, t)
	}
	s.advance(n)
}

// maxTokens is how many tokens of an INSERT are kept: its rows are of no use, and there may be many.
const maxTokens = 64

// isRows tells whether a statement writes rows.
func isRows(tokens []token) bool {
	for _, k := range []string{"INSERT", "REPLACE", "UPDATE", "DELETE", "COPY", "LOAD", "TRUNCATE"} {
		if tokens[0].is(k) {
			return true
		}
	}
	return false
}

// nest follows BEGIN … END and CASE … END in the body of a routine or trigger, in which a semicolon ends
// nothing.
func (s *splitter) nest() {
	n := len(s.tokens)
	last := s.tokens[n-1]
	if n > 1 && s.tokens[n-2].kind == symbol && s.tokens[n-2].text == "." || !s.hasBody() {
		return
	}
	before := token{}
	if n > 1 {
		before = s.tokens[n-2]
	}
	switch {
	case last.is("ATOMIC") && s.engine == migrate.Postgres && before.is("BEGIN"):
		s.depth++
	case s.engine == migrate.Postgres && s.depth == 0:
	case last.is("BEGIN") && s.engine != migrate.Postgres:
		s.depth++
	case last.is("CASE") && !before.is("END"):
		s.depth++
	case last.is("END"):
		s.depth--
	case before.is("END") && (last.is("IF") || last.is("LOOP") || last.is("WHILE") || last.is("REPEAT") || last.is("FOR")):
		s.depth++ // it ended something that is not counted
	case last.is("PACKAGE") && s.engine == migrate.MariaDB && s.depth == 0:
		s.depth++
	}
}

// hasBody tells whether the statement makes something with a body of statements.
func (s *splitter) hasBody() bool {
	if !s.tokens[0].is("CREATE") {
		return false
	}
	for _, t := range s.tokens[1:min(len(s.tokens), maxHead)] {
		for _, k := range []string{"TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE"} {
			if t.is(k) {
				return true
			}
		}
	}
	return false
}

// maxHead is how many tokens may stand before the kind of what is made: OR REPLACE, a definer, TEMPORARY.
const maxHead = 16
