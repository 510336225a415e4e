package sqliteddl

import (
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
)

// token is a word of a statement. Some are made up, where one way of writing a thing is turned into
// another.
type token = sqltoken.Token

func tokens(sql string) []token { return sqltoken.Split(sql, sqltoken.Of("sqlite")) }

// canonical writes tokens the same way however they were written at first: keywords in capitals,
// identifiers quoted only where they must be, one blank between words.
func canonical(list []token) string {
	var b strings.Builder
	for i, t := range list {
		if i > 0 && spaced(list, i) {
			b.WriteByte(' ')
		}
		switch {
		case t.Kind == sqltoken.Word && isKeyword(t.Name):
			b.WriteString(strings.ToUpper(t.Name))
		case t.Kind == sqltoken.Quoted:
			b.WriteString(Quote(t.Name))
		case t.Kind == sqltoken.Text:
			b.WriteString(t.Raw)
		default:
			b.WriteString(t.Name)
		}
	}
	return b.String()
}

// spaced tells whether a blank stands before token i.
func spaced(list []token, i int) bool {
	left, right := list[i-1], list[i]
	switch {
	case left.IsSign("("), left.IsSign("."), right.IsSign(")"), right.IsSign(","), right.IsSign("."), right.IsSign(";"):
		return false
	case right.IsSign("("):
		return left.Kind != sqltoken.Quoted && (left.Kind != sqltoken.Word || isKeyword(left.Name))
	case left.IsSign("-"), left.IsSign("+"):
		return !unary(list, i-1)
	}
	return true
}

// unary tells whether the sign at i stands before a value rather than between two.
func unary(list []token, i int) bool {
	if i == 0 {
		return true
	}
	before := list[i-1]
	return before.Kind == sqltoken.Sign && !before.IsSign(")") || before.Kind == sqltoken.Word && isKeyword(before.Name)
}

// Quote writes a name, in quotes only where it needs them.
func Quote(name string) string {
	if plain(name) {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// plain tells whether a name needs no quotes.
func plain(name string) bool {
	list := tokens(name)
	return len(list) == 1 && list[0].Kind == sqltoken.Word && list[0].Raw == name && !isKeyword(name)
}

// isKeyword tells whether a word is one that SQLite reserves or that shows up in definitions, after
// https://www.sqlite.org/lang_keywords.html.
func isKeyword(word string) bool {
	switch strings.ToUpper(word) {
	case "ABORT", "ACTION", "ADD", "AFTER", "ALL", "ALTER", "ALWAYS", "AND", "AS", "ASC", "AUTOINCREMENT", "BEFORE", "BEGIN", "BETWEEN", "BY",
		"CASCADE", "CASE", "CAST", "CHECK", "COLLATE", "COLUMN", "COMMIT", "CONFLICT", "CONSTRAINT", "CREATE", "CROSS", "CURRENT_DATE", "CURRENT_TIME",
		"CURRENT_TIMESTAMP", "DEFAULT", "DEFERRABLE", "DEFERRED", "DELETE", "DESC", "DISTINCT", "DROP", "EACH", "ELSE", "END", "ESCAPE", "EXCEPT",
		"EXISTS", "FAIL", "FOR", "FOREIGN", "FROM", "FULL", "GENERATED", "GLOB", "GROUP", "HAVING", "IF", "IGNORE", "IMMEDIATE", "IN",
		"INDEX", "INDEXED", "INITIALLY", "INNER", "INSERT", "INSTEAD", "INTERSECT", "INTO", "IS", "ISNULL", "JOIN", "KEY", "LEFT", "LIKE", "LIMIT",
		"MATCH", "NATURAL", "NO", "NOT", "NOTHING", "NOTNULL", "NULL", "OF", "OFFSET", "ON", "OR", "ORDER", "OUTER", "OVER", "PARTITION", "PRIMARY",
		"RAISE", "RECURSIVE", "REFERENCES", "REGEXP", "REPLACE", "RESTRICT", "RETURNING", "RIGHT", "ROLLBACK", "ROW", "ROWID", "SELECT", "SET", "STORED",
		"STRICT", "TABLE", "TEMP", "THEN", "TO", "TRANSACTION", "TRIGGER", "UNION", "UNIQUE", "UPDATE", "USING", "VALUES", "VIEW", "VIRTUAL", "WHEN", "WHERE",
		"WITH", "WITHOUT":
		return true
	}
	return false
}
