package program

import (
	"bytes"
	"strings"
)

// longest is how much of a line is kept, in bytes: it goes to the journal.
const longest = 200

// LastLine keeps the last line written to it that says something, cut where it is too long.
type LastLine struct{ whole, open string }

// Write implements io.Writer.
func (l *LastLine) Write(p []byte) (int, error) {
	for i, part := range strings.Split(string(p), "\n") {
		if i > 0 {
			if strings.TrimSpace(l.open) != "" {
				l.whole = l.open
			}
			l.open = ""
		}
		if room := longest - len(l.open); room > 0 {
			l.open += part[:min(room, len(part))]
		}
	}
	return len(p), nil
}

// String is that line, without the space around it.
func (l *LastLine) String() string {
	text := l.whole
	if strings.TrimSpace(l.open) != "" {
		text = l.open
	}
	return strings.TrimSpace(strings.ToValidUTF8(text, ""))
}

// Tail keeps the end of what is written to it, Most bytes of it.
type Tail struct {
	Most int
	text bytes.Buffer
}

// Write implements io.Writer.
func (t *Tail) Write(p []byte) (int, error) {
	n := len(p)
	if n > t.Most {
		p = p[n-t.Most:]
	}
	if over := t.text.Len() + len(p) - t.Most; over > 0 {
		t.text.Next(over)
	}
	_, _ = t.text.Write(p) // never fails
	return n, nil
}

// String is what was kept.
func (t *Tail) String() string { return t.text.String() }

// Head keeps the beginning of what is written to it, Most bytes of it, and takes the rest without keeping it.
type Head struct {
	Most int
	text bytes.Buffer
	cut  bool
}

// Write implements io.Writer.
func (h *Head) Write(p []byte) (int, error) {
	room := min(h.Most-h.text.Len(), len(p))
	h.cut = h.cut || room < len(p)
	_, _ = h.text.Write(p[:room]) // never fails
	return len(p), nil
}

// Bytes is what was kept, and whether that is all.
func (h *Head) Bytes() (text []byte, whole bool) { return h.text.Bytes(), !h.cut }
