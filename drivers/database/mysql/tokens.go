package mysql

import (
	"strings"

	ddl "github.com/switchbackdb/switchback/ddl/mysql"
)

// The servers' deparsers write the same expression in different ways: MySQL puts every operation in
// parentheses and names the character set of each literal, MariaDB does not; both put the database's
// name before the table's. What follows brings their words to one form, token by token, so that nothing
// within a literal or a quoted name is touched.

// token is a word, a quoted name, a literal, a run of space or a sign.
type token struct {
	kind byte // w word, n quoted name, s string, ' ' space, p sign
	text string
}

const signs = "<=>:<<:>>:<>:!=:<=:>=:||:&&:->>:->:::=" // longest first where one begins with another

// scan splits a text that a server's deparser wrote.
func scan(text string) []token {
	var out []token
	for i := 0; i < len(text); {
		start := i
		switch c := text[i]; {
		case c == '\'' || c == '`' || c == '"':
			i = end(text, i)
			kind := byte('s')
			if c == '`' {
				kind = 'n'
			}
			out = append(out, token{kind, text[start:i]})
		case isSpace(c):
			for i < len(text) && isSpace(text[i]) {
				i++
			}
			out = append(out, token{' ', text[start:i]})
		case isWord(c):
			for i < len(text) && (isWord(text[i]) || text[i] == '.' && c >= '0' && c <= '9') {
				i++
			}
			out = append(out, token{'w', text[start:i]})
		default:
			i++
			for _, s := range strings.Split(signs, ":") {
				if s != "" && strings.HasPrefix(text[start:], s) {
					i = start + len(s)
					break
				}
			}
			out = append(out, token{'p', text[start:i]})
		}
	}
	return out
}

// end returns where the quoted text that begins at i ends. A backslash escapes but in a name.
func end(text string, i int) int {
	q := text[i]
	for i++; i < len(text); i++ {
		switch {
		case text[i] == '\\' && q != '`':
			i++
		case text[i] == q && i+1 < len(text) && text[i+1] == q:
			i++
		case text[i] == q:
			return i + 1
		}
	}
	return len(text)
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func isWord(c byte) bool {
	return c == '_' || c == '$' || c == '@' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// value is what a string literal or a quoted name stands for.
func (t token) value() string {
	if len(t.text) < 2 {
		return t.text
	}
	q, body := t.text[:1], t.text[1:len(t.text)-1]
	if t.kind == 'n' {
		return strings.ReplaceAll(body, q+q, q)
	}
	var b strings.Builder
	for i := 0; i < len(body); i++ {
		switch {
		case body[i] == '\\' && i+1 < len(body):
			i++
			switch body[i] {
			case 'n':
				b.WriteByte('\n')
			case 'r':
				b.WriteByte('\r')
			case 't':
				b.WriteByte('\t')
			case '0':
				b.WriteByte(0)
			case 'Z':
				b.WriteByte(0x1a)
			case 'b':
				b.WriteByte('\b')
			case '%', '_': // these keep their backslash
				b.WriteByte('\\')
				b.WriteByte(body[i])
			default:
				b.WriteByte(body[i])
			}
		case body[i] == q[0]:
			i++
			b.WriteByte(q[0])
		default:
			b.WriteByte(body[i])
		}
	}
	return b.String()
}

func isName(t token, name string) bool { return t.kind == 'n' && t.value() == name }

// without takes the name of the database out of a statement or an expression, where it stands before a dot.
func without(tokens []token, database string) []token {
	out := tokens[:0:0]
	for i := 0; i < len(tokens); i++ {
		before := len(out) > 0 && out[len(out)-1].text == "."
		if isName(tokens[i], database) && !before && i+2 < len(tokens) && tokens[i+1].text == "." {
			i++
			continue
		}
		out = append(out, tokens[i])
	}
	return out
}

// plain writes names without quotes where they need none, literals with one way of escaping and without
// the character set that every connection of ours has, and runs of space as one space.
func plain(tokens []token) []token {
	out := make([]token, 0, len(tokens))
	for i, t := range tokens {
		switch {
		case t.kind == 'n':
			t.text = ddl.Quote(t.value())
		case t.kind == 's':
			t.text = ddl.Literal(t.value())
		case t.kind == ' ':
			t.text = " "
		case t.kind == 'w' && i+1 < len(tokens) && tokens[i+1].kind == 's' && (t.text == "_utf8mb4" || t.text == "_utf8"):
			continue
		}
		out = append(out, t)
	}
	return out
}

func join(tokens []token) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t.text)
	}
	return strings.TrimSpace(b.String())
}

// expression is the one form of an expression. It loses the parentheses that change nothing.
func (in *inspection) expression(text string) string {
	tokens := plain(without(scan(text), in.name))
	for i := range tokens {
		if t := &tokens[i]; t.kind == 'w' && i+1 < len(tokens) && tokens[i+1].text == "(" {
			t.text = strings.ToLower(t.text)
			if t.text == "now" {
				t.text = "current_timestamp"
			}
		}
	}
	tokens = unwrap(tokens)
	for len(tokens) > 2 && tokens[0].text == "(" && closing(tokens, 0) == len(tokens)-1 {
		tokens = tokens[1 : len(tokens)-1]
	}
	return join(tokens)
}

// statement is the form of a view's query that is compared; runnable is the one that is run, with the
// server's own parentheses.
func (in *inspection) statement(text string) string {
	return join(unwrap(plain(without(scan(text), in.name))))
}

func (in *inspection) runnable(text string) string { return join(without(scan(text), in.name)) }

// unescape undoes the escaping of quotes that MySQL's information_schema has in expressions.
func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	return (token{'s', "\x01" + text + "\x01"}).value()
}
