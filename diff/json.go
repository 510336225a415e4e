package diff

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON writes the report as one JSON document, which docs/diff.md describes. The same report gives the
// same bytes. Characters that a terminal would act on are written as escapes of JSON.
func (r Report) JSON(w io.Writer) error {
	if r.Changes == nil {
		r.Changes = []Change{}
	}
	if r.Summary == nil {
		r.Summary = []Count{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write the report as JSON: %w", err)
	}
	if _, err := w.Write(printable(b.Bytes())); err != nil {
		return fmt.Errorf("write the report as JSON: %w", err)
	}
	return nil
}

// printable escapes what does not print in a JSON document. Outside of texts, there is no such thing but
// line breaks.
func printable(document []byte) []byte {
	out := make([]byte, 0, len(document))
	for len(document) > 0 {
		r, size := utf8.DecodeRune(document)
		switch {
		case r == '\n' || strconv.IsPrint(r):
			out = append(out, document[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		document = document[size:]
	}
	return out
}
