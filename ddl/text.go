package ddl

import (
	"fmt"
	"io"
	"strings"
)

// Write writes the script as people review it and as the engine's own client runs it. head stands at the
// top, as a comment; delimiter, where it is not empty, is the word that ends a statement with semicolons
// in it, as MySQL's client wants it.
func (s *Script) Write(w io.Writer, head string, delimiter string) error {
	var b strings.Builder
	Comment(&b, head)
	for _, note := range s.Notes {
		Comment(&b, "NOTE: "+note)
	}
	if len(s.Statements) == 0 {
		Comment(&b, "There is nothing to do.")
	}
	for _, statement := range s.Statements {
		b.WriteByte('\n')
		Comment(&b, statement.Comment)
		if delimiter != "" && strings.Contains(statement.SQL, ";") {
			fmt.Fprintf(&b, "DELIMITER %s\n%s%s\nDELIMITER ;\n", delimiter, statement.SQL, delimiter)
			continue
		}
		fmt.Fprintf(&b, "%s;\n", statement.SQL)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Comment writes text as comment lines. What was a line break in it cannot end the comment.
func Comment(b *strings.Builder, text string) {
	if text == "" {
		return
	}
	for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		fmt.Fprintf(b, "-- %s\n", line)
	}
}
