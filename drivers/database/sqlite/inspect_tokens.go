package sqlite

import (
	"strings"
	"unicode"
)

// token is a word of SQL: an identifier or keyword, a literal, or a sign.
type token struct {
	text   string // an identifier is without its quotes
	quoted bool   // an identifier that was quoted, so it is no keyword
	word   bool   // an identifier or keyword
}

// is tells whether the token is the given keyword.
func (t token) is(keyword string) bool {
	return t.word && !t.quoted && strings.EqualFold(t.text, keyword)
}

// tokens splits SQL into words. Comments and white space are left out, after the lexer described in
// https://www.sqlite.org/lang_comment.html and lang_keywords.html.
func tokens(sql string) []token {
	var out []token
	for i := 0; i < len(sql); {
		c := sql[i]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f':
			i++
		case strings.HasPrefix(sql[i:], "--"):
			i = after(sql, i, "\n")
		case strings.HasPrefix(sql[i:], "/*"):
			i = after(sql, i+2, "*/")
		case c == '"' || c == '`' || c == '[' || c == '\'':
			text, next := quotedText(sql, i)
			if c == '\'' {
				out = append(out, token{text: "'" + strings.ReplaceAll(text, "'", "''") + "'"})
			} else {
				out = append(out, token{text: text, quoted: true, word: true})
			}
			i = next
		case isWord(c):
			j := i
			for j < len(sql) && (isWord(sql[j]) || sql[j] == '.' && startsNumber(sql[i])) {
				j++
			}
			out = append(out, token{text: sql[i:j], word: !startsNumber(c)})
			i = j
		default:
			n := 1
			for _, sign := range []string{"->>", "||", "->", "<>", "!=", "<=", ">=", "==", "<<", ">>"} {
				if strings.HasPrefix(sql[i:], sign) {
					n = len(sign)
					break
				}
			}
			out = append(out, token{text: sql[i : i+n]})
			i += n
		}
	}
	return out
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || unicode.IsLetter(rune(c)) || unicode.IsDigit(rune(c))
}

func startsNumber(c byte) bool { return c >= '0' && c <= '9' }

// after returns the position behind the next end, or the end of the text.
func after(sql string, from int, end string) int {
	if n := strings.Index(sql[min(from, len(sql)):], end); n >= 0 {
		return from + n + len(end)
	}
	return len(sql)
}

// quotedText reads a quoted text that starts at i: what is inside, and where it ends. A doubled quote
// stands for one.
func quotedText(sql string, i int) (string, int) {
	end := sql[i]
	if end == '[' {
		end = ']'
	}
	var b strings.Builder
	for j := i + 1; j < len(sql); j++ {
		if sql[j] != end {
			b.WriteByte(sql[j])
			continue
		}
		if end == ']' || j+1 >= len(sql) || sql[j+1] != end {
			return b.String(), j + 1
		}
		b.WriteByte(end)
		j++
	}
	return b.String(), len(sql)
}

// canonical writes tokens the same way however they were written at first: keywords in capitals,
// identifiers quoted only where they must be.
func canonical(list []token) string {
	var b strings.Builder
	for i, t := range list {
		if i > 0 && spaced(list[i-1].text, t.text) {
			b.WriteByte(' ')
		}
		switch {
		case t.word && !t.quoted && isKeyword(t.text):
			b.WriteString(strings.ToUpper(t.text))
		case t.word && t.quoted && !plain(t.text):
			b.WriteString(quote(t.text))
		default:
			b.WriteString(t.text)
		}
	}
	return b.String()
}

func spaced(left, right string) bool {
	return left != "(" && left != "." && right != ")" && right != "," && right != "." && right != "("
}

// plain tells whether an identifier needs no quotes.
func plain(name string) bool {
	for i := range len(name) {
		if !isWord(name[i]) || i == 0 && startsNumber(name[i]) {
			return false
		}
	}
	return name != "" && !isKeyword(name)
}

// isKeyword tells whether a word is one that SQLite reserves or that shows up in definitions.
func isKeyword(word string) bool {
	switch strings.ToUpper(word) {
	case "ABORT", "ACTION", "AFTER", "ALL", "ALTER", "ALWAYS", "AND", "AS", "ASC", "AUTOINCREMENT", "BEFORE", "BEGIN", "BETWEEN", "BY",
		"CASCADE", "CASE", "CAST", "CHECK", "COLLATE", "CONFLICT", "CONSTRAINT", "CREATE", "CROSS", "CURRENT_DATE", "CURRENT_TIME",
		"CURRENT_TIMESTAMP", "DEFAULT", "DEFERRABLE", "DEFERRED", "DELETE", "DESC", "DISTINCT", "EACH", "ELSE", "END", "ESCAPE", "EXCEPT",
		"EXISTS", "FAIL", "FOR", "FOREIGN", "FROM", "FULL", "GENERATED", "GLOB", "GROUP", "HAVING", "IF", "IGNORE", "IMMEDIATE", "IN",
		"INDEX", "INITIALLY", "INNER", "INSERT", "INSTEAD", "INTERSECT", "INTO", "IS", "ISNULL", "JOIN", "KEY", "LEFT", "LIKE", "LIMIT",
		"MATCH", "NATURAL", "NO", "NOT", "NOTNULL", "NULL", "OF", "OFFSET", "ON", "OR", "ORDER", "OUTER", "OVER", "PARTITION", "PRIMARY",
		"RAISE", "RECURSIVE", "REFERENCES", "REGEXP", "REPLACE", "RESTRICT", "RIGHT", "ROLLBACK", "ROW", "ROWID", "SELECT", "SET", "STORED",
		"STRICT", "TABLE", "TEMP", "THEN", "TRIGGER", "UNION", "UNIQUE", "UPDATE", "USING", "VALUES", "VIEW", "VIRTUAL", "WHEN", "WHERE",
		"WITH", "WITHOUT":
		return true
	}
	return false
}
