package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// DocumentFormat and DocumentVersion stand at the head of a saved schema. A version is only ever raised
// when an older reader would misunderstand the document.
const (
	DocumentFormat  = "switchback.schema"
	DocumentVersion = 1
)

type document struct {
	Format      string    `json:"format"`
	Version     int       `json:"version"`
	Fingerprint string    `json:"fingerprint"`
	Database    *Database `json:"database"`
}

// Save writes the model as a JSON document, which docs/schema.md describes. The same model gives the same
// bytes.
func (d *Database) Save(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(document{DocumentFormat, DocumentVersion, d.Fingerprint(), d}); err != nil {
		return fmt.Errorf("write the schema: %w", err)
	}
	return nil
}

// ErrNotASchema is the error for a document that is no saved schema.
var ErrNotASchema = errors.New("no saved schema")

// Load reads what Save wrote. The error is ErrNotASchema for anything else, and tells when the document
// was changed after it was saved or comes from a later version.
func Load(r io.Reader) (*Database, error) {
	var doc document
	if err := json.NewDecoder(r).Decode(&doc); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotASchema, err)
	}
	switch {
	case doc.Format != DocumentFormat || doc.Database == nil:
		return nil, fmt.Errorf("%w: its format is %q, not %q", ErrNotASchema, doc.Format, DocumentFormat)
	case doc.Version > DocumentVersion:
		return nil, fmt.Errorf("the schema was saved in version %d of the format; this program reads up to %d", doc.Version, DocumentVersion)
	}
	if f := doc.Fingerprint; f != "" && f != doc.Database.Fingerprint() && sameMethod(f, doc.Database.Fingerprint()) {
		return nil, fmt.Errorf("the saved schema was changed after it was saved: its fingerprint is %s, not %s", doc.Database.Fingerprint(), f)
	}
	return doc.Database, nil
}

// sameMethod tells whether two fingerprints are made in the same way.
func sameMethod(a, b string) bool { return len(a) > 3 && len(b) > 3 && a[:3] == b[:3] }
