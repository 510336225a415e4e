package source

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// StatementError is a statement of a file that the scratch database refused.
type StatementError struct {
	File      string
	Line      int    // where in the file, as exactly as the server says it
	Statement string // its beginning
	Err       error  // what the server said
	Next      string // what to do about it, where that is known
}

func (e *StatementError) Error() string {
	text := fmt.Sprintf("%s:%d: %s: %s", e.File, e.Line, e.Statement, serverMessage(e.Err))
	if e.Next != "" {
		text += "\n  next: " + e.Next
	}
	return text
}

func (e *StatementError) Unwrap() error { return e.Err }

// FileError is something in a file that is no statement.
type FileError struct {
	File   string
	Line   int // 0 when it is about the whole file
	Reason string
	Next   string
}

func (e *FileError) Error() string {
	text := e.File
	if e.Line > 0 {
		text += fmt.Sprintf(":%d", e.Line)
	}
	text += ": " + e.Reason
	if e.Next != "" {
		text += "\n  next: " + e.Next
	}
	return text
}

// serverMessage is what a server said, without the driver's decoration.
func serverMessage(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return err.Error()
	}
	text := pg.Message
	if pg.Detail != "" {
		text += " (" + pg.Detail + ")"
	}
	return text
}

// errorLine is the line of a statement's error: where the server says that it is, else the first line that
// is no comment.
func errorLine(p piece, err error) int {
	at := 0
	if len(p.tokens) > 0 {
		at = p.tokens[0].start
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Position > 0 {
		at = runeOffset(p.text, int(pg.Position)-1)
	}
	return p.line + strings.Count(p.text[:at], "\n")
}

// runeOffset is where the nth character of a text begins.
func runeOffset(text string, n int) int {
	for i := range text {
		if n == 0 {
			return i
		}
		n--
	}
	return len(text)
}

// maxShown is how much of a statement an error shows, in characters.
const maxShown = 60

// shorten is the beginning of a statement on one line, without the comments above it.
func shorten(p piece) string {
	at := 0
	if len(p.tokens) > 0 {
		at = p.tokens[0].start
	}
	words := strings.Join(strings.Fields(p.text[at:min(len(p.text), at+8*maxShown)]), " ")
	if r := []rune(words); len(r) > maxShown {
		return string(r[:maxShown]) + "…"
	}
	return words
}
