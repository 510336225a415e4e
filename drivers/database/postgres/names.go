package postgres

import (
	"unicode/utf8"

	"github.com/switchbackdb/switchback/ddl/postgres"
)

// quoteNeeded writes an identifier as quote_ident does.
func quoteNeeded(name string) string { return postgres.Identifier(name) }

// automaticName is the name that the server gives to what belongs to a column (makeObjectName in
// src/backend/commands/indexcmds.c): table, column and label, the longer of the first two cut until all of
// it has 63 bytes.
func automaticName(table, column, label string) string {
	room := 63 - len("_") - len("_") - len(label)
	a, b := len(table), len(column)
	for a+b > room {
		if a > b {
			a--
		} else {
			b--
		}
	}
	return clip(table, a) + "_" + clip(column, b) + "_" + label
}

// clip cuts a text to at most n bytes, and never in the middle of a character.
func clip(text string, n int) string {
	for n > 0 && n < len(text) && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
