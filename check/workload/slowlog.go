package workload

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
)

// The lines of a slow query log that begin an entry
// (https://dev.mysql.com/doc/refman/9.0/en/slow-query-log.html, "Slow Query Log Contents").
const (
	timeLine = "# Time: "
	userLine = "# User@Host: "
)

// isSlowLog tells by the beginning of a file whether it is a slow query log.
func isSlowLog(head []byte) bool {
	return bytes.HasPrefix(head, []byte(userLine)) || bytes.Contains(head, []byte("\n"+userLine))
}

// maxStatement is the longest statement of a log that is looked at, in bytes.
const maxStatement = 1 << 20

// slowLog reads the statements of a slow query log, one of each shape. Logs grow to many gigabytes of few shapes, so
// it is read line by line.
func slowLog(engine migrate.Engine, r *bufio.Reader, name string) ([]Query, error) {
	l := &logReader{engine: engine, name: name, seen: map[string]bool{}}
	for number := 1; ; number++ {
		line, err := r.ReadString('\n')
		l.take(strings.TrimRight(line, "\r\n"), number)
		if errors.Is(err, io.EOF) {
			l.end()
			return l.found, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// logReader is a slow query log being read.
type logReader struct {
	engine    migrate.Engine
	name      string
	inside    bool // of an entry, rather than of what the server writes when it starts
	begun     int  // the line where the statement of the entry begins; 0 until then
	statement strings.Builder
	seen      map[string]bool // shapes
	found     []Query
}

func (l *logReader) take(line string, number int) {
	switch {
	case strings.HasPrefix(line, timeLine), strings.HasPrefix(line, userLine):
		l.end()
		l.inside = true
	case strings.HasSuffix(line, " started with:") && strings.Contains(line, "Version: "):
		l.end()
	case !l.inside, l.begun == 0 && (strings.HasPrefix(line, "#") || isPreamble(line)):
	default:
		if l.begun == 0 {
			l.begun = number
		}
		if l.statement.Len() <= maxStatement {
			l.statement.WriteString(line + "\n")
		}
	}
}

// isPreamble tells whether a line is what the server puts before a statement, so that the log could be run.
func isPreamble(line string) bool {
	lower := strings.ToLower(line)
	return strings.HasPrefix(lower, "use ") || strings.HasPrefix(lower, "set timestamp=") || strings.HasPrefix(lower, "set last_insert_id=") || strings.HasPrefix(lower, "set insert_id=")
}

// end takes the statement of an entry that is over.
func (l *logReader) end() {
	text := strings.TrimSuffix(strings.TrimSpace(l.statement.String()), ";")
	line := l.begun
	l.inside, l.begun = false, 0
	l.statement.Reset()
	if len(text) > maxStatement || !Asks(text) {
		return
	}
	shape := Shape(l.engine, text)
	if !l.seen[shape] {
		l.seen[shape] = true
		l.found = append(l.found, Query{Text: text, Shown: shape, File: l.name, Line: line, Recalled: true})
	}
}
