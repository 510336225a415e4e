// Package sqltoken splits SQL into words, exactly: each token knows its place in the text, so that one of
// them can be replaced and the rest stays as it was, byte for byte. It knows the quotes and comments of
// the three families of engines, and no grammar.
//
//	text ──Split──▶ []Token ──Replace──▶ text with other names in it
package sqltoken

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Dialect says how an engine writes names, texts and comments.
type Dialect struct {
	Brackets       bool // [name]
	Backticks      bool // `name`
	DoubleIsText   bool // "text" rather than "name"
	Backslash      bool // \' inside a text is no end of it
	DollarQuotes   bool // $tag$text$tag$
	HashComments   bool // # to the end of the line
	NestedComments bool // /* /* */ */
	Fold           bool // a name without quotes is meant in lower case; quoted ones are told apart by case
}

// Of returns the dialect of an engine, by the name that schema.Database.Engine has: postgres, mysql,
// mariadb, and SQLite's for any other.
func Of(engine string) Dialect {
	switch engine {
	case "postgres":
		return Dialect{DollarQuotes: true, NestedComments: true, Fold: true}
	case "mysql", "mariadb":
		return Dialect{Backticks: true, DoubleIsText: true, Backslash: true, HashComments: true}
	}
	return Dialect{Brackets: true, Backticks: true}
}

// Kind is the kind of a token.
type Kind int

// The kinds of token.
const (
	Word   Kind = iota // a name or keyword without quotes
	Quoted             // a name in quotes
	Text               // a literal in quotes, with its prefix if it has one, as in x'00'
	Number
	Sign
)

// Token is a word of SQL, a literal or a sign. Comments and white space are none.
type Token struct {
	Kind  Kind
	Raw   string // as it is written
	Name  string // of a Word or Quoted: the name without its quotes; of a Text: what it says; else as written
	Start int    // the place in the text, in bytes
	End   int
}

// Is tells whether the token is the given keyword, in whatever case.
func (t Token) Is(keyword string) bool { return t.Kind == Word && strings.EqualFold(t.Name, keyword) }

// IsSign tells whether the token is the given sign.
func (t Token) IsSign(sign string) bool { return t.Kind == Sign && t.Name == sign }

// IsName tells whether the token may be a name: a word or something in quotes.
func (t Token) IsName() bool { return t.Kind == Word || t.Kind == Quoted }

// Names tells whether the token is the given name, by the dialect's rules for case.
func (t Token) Names(name string, d Dialect) bool {
	switch {
	case !t.IsName():
		return false
	case !d.Fold:
		return strings.EqualFold(t.Name, name)
	case t.Kind == Word:
		return strings.ToLower(t.Name) == name
	}
	return t.Name == name
}

// InType tells whether a token belongs to the name of the type that a value is cast to, as both in a::public.mood and
// all behind AS in CAST(a AS timestamp without time zone): it is no column, even where one has that name.
func InType(list []Token, i int) bool {
	for i > 0 {
		switch before := list[i-1]; {
		case before.IsSign("::"):
			return true
		case before.Is("as"):
			return inCast(list[:i-1])
		case before.IsSign("."):
			i -= 2
		case slices.ContainsFunc([]string{"timestamp", "time", "with", "without", "double", "character", "bit"}, before.Is):
			i--
		default:
			return false
		}
	}
	return false
}

// Mentions tells whether a name, such as a column's, is among tokens, other than as that of a type.
func Mentions(list []Token, name string, d Dialect) bool {
	for i, t := range list {
		if t.Names(name, d) && !InType(list, i) {
			return true
		}
	}
	return false
}

// inCast tells whether the parenthesis that is open at the end of a list is that of CAST.
func inCast(list []Token) bool {
	depth := 0
	for i, t := range slices.Backward(list) {
		switch {
		case t.IsSign(")"):
			depth++
		case t.IsSign("(") && depth == 0:
			return i > 0 && list[i-1].Is("cast")
		case t.IsSign("("):
			depth--
		}
	}
	return false
}

// Split returns the tokens of a text. What is opened and never closed reaches to the end.
func Split(sql string, d Dialect) []Token {
	if sql == "" {
		return nil
	}
	out := make([]Token, 0, 4+len(sql)/4) // about as many as there are in most texts
	for i := 0; i < len(sql); {
		if n := blank(sql[i:], d); n > 0 {
			i += n
			continue
		}
		t := next(sql[i:], d)
		t.Start, t.End = i, i+max(t.End, 1)
		t.Raw = sql[t.Start:t.End]
		out = append(out, t)
		i = t.End
	}
	return out
}

// EndsInComment tells whether a text ends inside a comment that only a line break ends, so that nothing
// can be written behind it on the same line.
func EndsInComment(sql string, d Dialect) bool {
	for i := 0; i < len(sql); {
		if n := blank(sql[i:], d); n > 0 {
			if i+n == len(sql) && !strings.HasPrefix(sql[i:], "/*") && sql[i+n-1] != '\n' && (sql[i] == '-' || sql[i] == '#') {
				return true
			}
			i += n
			continue
		}
		i += max(next(sql[i:], d).End, 1)
	}
	return false
}

// Replace returns the text with what replacement gives in place of the tokens it says true for. It is
// asked for each token in turn.
func Replace(sql string, d Dialect, replacement func(list []Token, i int) (string, bool)) string {
	list := Split(sql, d)
	var b strings.Builder
	from := 0
	for i, t := range list {
		if text, ok := replacement(list, i); ok {
			b.WriteString(sql[from:t.Start])
			b.WriteString(text)
			from = t.End
		}
	}
	b.WriteString(sql[from:])
	return b.String()
}

// blank returns how long the white space or comment is that a text begins with.
func blank(s string, d Dialect) int {
	switch {
	case s[0] == ' ' || s[0] >= '\t' && s[0] <= '\r':
		return 1
	case strings.HasPrefix(s, "--"), d.HashComments && s[0] == '#':
		if n := strings.IndexByte(s, '\n'); n >= 0 {
			return n + 1
		}
		return len(s)
	case strings.HasPrefix(s, "/*"):
		return comment(s, d.NestedComments)
	}
	return 0
}

func comment(s string, nested bool) int {
	depth := 1
	for i := 2; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "*/"):
			i++
			if depth--; depth == 0 {
				return i + 1
			}
		case nested && strings.HasPrefix(s[i:], "/*"):
			depth++
			i++
		}
	}
	return len(s)
}

// next returns the token that a text begins with; its End is its length.
func next(s string, d Dialect) Token {
	c := s[0]
	switch {
	case c == '\'':
		return quoted(s, 0, '\'', Text, d.Backslash)
	case c == '"' && d.DoubleIsText:
		return quoted(s, 0, '"', Text, d.Backslash)
	case c == '"':
		return quoted(s, 0, '"', Quoted, false)
	case c == '`' && d.Backticks:
		return quoted(s, 0, '`', Quoted, false)
	case c == '[' && d.Brackets:
		return quoted(s, 0, ']', Quoted, false)
	case c == '$' && d.DollarQuotes && dollarTag(s) != "":
		return dollarQuoted(s, dollarTag(s))
	case digit(c), c == '.' && len(s) > 1 && digit(s[1]):
		return number(s)
	case letter(c):
		return word(s, d)
	}
	return Token{Kind: Sign, Name: s[:sign(s)], End: sign(s)}
}

// quoted reads what is in quotes, which open at i. A doubled quote stands for one.
func quoted(s string, i int, end byte, kind Kind, backslash bool) Token {
	var b strings.Builder
	for j := i + 1; j < len(s); j++ {
		switch {
		case backslash && s[j] == '\\' && j+1 < len(s):
			j++
			b.WriteByte(s[j])
		case s[j] != end:
			b.WriteByte(s[j])
		case end != ']' && j+1 < len(s) && s[j+1] == end:
			b.WriteByte(end)
			j++
		default:
			return Token{Kind: kind, Name: b.String(), End: j + 1}
		}
	}
	return Token{Kind: kind, Name: b.String(), End: len(s)}
}

// dollarTag returns the $tag$ that a text begins with, or nothing.
func dollarTag(s string) string {
	for i := 1; i < len(s); i++ {
		if s[i] == '$' {
			return s[:i+1]
		}
		if !letter(s[i]) && (!digit(s[i]) || i == 1) {
			break
		}
	}
	return ""
}

func dollarQuoted(s, tag string) Token {
	inside, _, _ := strings.Cut(s[len(tag):], tag)
	return Token{Kind: Text, Name: inside, End: min(len(s), len(inside)+2*len(tag))}
}

func number(s string) Token {
	i := 1
	for i < len(s) && (digit(s[i]) || letter(s[i]) || s[i] == '.' || (s[i] == '+' || s[i] == '-') && (s[i-1] == 'e' || s[i-1] == 'E') && !strings.HasPrefix(s, "0x")) {
		i++
	}
	return Token{Kind: Number, Name: s[:i], End: i}
}

// word reads a name or keyword, or a literal with a letter before its quotes, such as x'00' or E'\n'.
func word(s string, d Dialect) Token {
	i := 1
	for i < len(s) && (letter(s[i]) || digit(s[i]) || s[i] == '$') {
		i++
	}
	if i < len(s) && s[i] == '\'' && prefix(s[:i], d) {
		t := quoted(s, i, '\'', Text, d.Backslash || strings.EqualFold(s[:i], "e"))
		t.Name = s[:t.End]
		return t
	}
	return Token{Kind: Word, Name: s[:i], End: i}
}

func prefix(s string, d Dialect) bool {
	switch strings.ToLower(s) {
	case "x":
		return true
	case "b", "n":
		return d.DollarQuotes || d.HashComments
	case "e":
		return d.DollarQuotes
	}
	return d.HashComments && s[0] == '_'
}

// sign returns how long the sign is that a text begins with.
func sign(s string) int {
	for _, long := range []string{"->>", "::", ":=", "||", "&&", "->", "<>", "!=", "<=", ">=", "==", "<<", ">>"} {
		if strings.HasPrefix(s, long) {
			return len(long)
		}
	}
	_, n := utf8.DecodeRuneInString(s)
	return n
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// letter tells whether a name may begin with c: a letter, an underscore or any byte outside ASCII.
func letter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= utf8.RuneSelf
}
