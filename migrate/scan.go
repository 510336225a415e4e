package migrate

import (
	"strings"
	"unicode"

	atlas "ariga.io/atlas/sql/migrate"
)

// Scan splits a script of an engine into statements with Atlas's scanner, which knows quotes, comments, dollar
// quotes, BEGIN … END bodies and the DELIMITER command.
func Scan(engine Engine, script string) ([]Statement, error) {
	o := atlas.ScannerOptions{MatchBegin: true}
	switch engine {
	case Postgres:
		o.MatchBeginAtomic, o.MatchDollarQuote, o.EscapedStringExt = true, true, true
	case MySQL, MariaDB:
		o.BackslashEscapes, o.HashComments = true, true
	}
	found, err := (&atlas.Scanner{ScannerOptions: o}).Scan(script)
	if err != nil {
		return nil, err
	}
	var statements []Statement
	for _, f := range found {
		text := strings.TrimSpace(f.Text)
		if text = strings.TrimSpace(strings.TrimSuffix(text, ";")); isBlank(text) {
			continue
		}
		pos := min(max(f.Pos, 0), len(script))
		statements = append(statements, Statement{Line: 1 + strings.Count(script[:pos], "\n"), Text: text, Comments: f.Comments})
	}
	return statements, nil
}

// isBlank tells whether a text is nothing but white space and comments.
func isBlank(text string) bool { return skipBlank(text) == "" }

// skipBlank cuts white space and comments off the front of a text.
func skipBlank(text string) string {
	for {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
		switch {
		case strings.HasPrefix(text, "--"):
			_, text, _ = strings.Cut(text, "\n")
		case strings.HasPrefix(text, "/*") && !strings.HasPrefix(text, "/*!"):
			var closed bool
			if _, text, closed = strings.Cut(text, "*/"); !closed {
				return ""
			}
		default:
			return text
		}
	}
}

// Keyword returns the nth word of a statement, from 0, in upper case, comments left out.
func Keyword(statement string, n int) string {
	for ; ; n-- {
		statement = skipBlank(statement)
		end := strings.IndexFunc(statement, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		if end < 0 {
			end = len(statement)
		}
		if n == 0 || end == 0 {
			return strings.ToUpper(statement[:end])
		}
		statement = statement[end:]
	}
}

// Keywords returns the first n words of a statement, joined by a blank.
func Keywords(statement string, n int) string {
	words := make([]string, 0, n)
	for i := range n {
		words = append(words, Keyword(statement, i))
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

// TrimComments cuts white space and comments off the front of a statement.
func TrimComments(statement string) string { return skipBlank(statement) }
