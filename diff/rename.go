package diff

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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

// String writes the rename as Resolve reads it, such as public.users.name=public.users.full_name.
func (r Rename) String() string {
	where := ""
	for _, part := range []string{r.Schema, r.Parent} {
		if part != "" {
			where += segment(part) + "."
		}
	}
	return fmt.Sprintf("%s%s=%s%s", where, segment(r.From), where, segment(r.To))
}

// segment writes a name as a part of a path, in quotes where it has a sign that paths are made of.
func segment(name string) string {
	if name == "" || strings.ContainsAny(name, `.=:" `) {
		return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return name
}

// Invert returns the renames that lead back. What belongs to a renamed table then goes by its old name.
func Invert(renames []Rename) []Rename {
	out := make([]Rename, len(renames))
	for i, r := range renames {
		for _, p := range renames {
			if p.Parent == "" && p.Schema == r.Schema && p.To == r.Parent {
				r.Parent = p.From
				break
			}
		}
		r.From, r.To = r.To, r.From
		out[i] = r
	}
	return out
}

// RenameError is the error for a confirmed rename that cannot be.
type RenameError struct {
	Rename Rename
	Why    string
}

func (e *RenameError) Error() string {
	return fmt.Sprintf("rename %s %s: %s", e.Rename.Kind, e.Rename, e.Why)
}

// inOrder puts renames into the order in which they can be done: what belongs to a table comes after the
// table, whose new name it goes by.
func inOrder(renames []Rename) []Rename {
	out := slices.Clone(renames)
	rank := func(r Rename) int {
		return slices.Index([]schema.Kind{schema.KindTable, schema.KindView, schema.KindColumn, schema.KindIndex, KindLabel}, r.Kind)
	}
	slices.SortStableFunc(out, func(a, b Rename) int { return rank(a) - rank(b) })
	return out
}

// rename returns from with the confirmed renames in it. The error is a *RenameError, also when the second
// schema has nothing by the new name.
func rename(from, to *schema.Database, confirmed []Rename) (*schema.Database, error) {
	for _, r := range confirmed {
		if !there(places(to), r, r.To) {
			return nil, &RenameError{r, "the second schema has no " + string(r.Kind) + " " + r.To}
		}
	}
	return Renamed(from, confirmed)
}

// Renamed returns the schema with the renames in it, done one after the other, as the engine has it then:
// what names a renamed object follows, but for what is stored as text there, such as the body of a
// function. from itself is not changed. The error is a *RenameError.
func Renamed(from *schema.Database, renames []Rename) (*schema.Database, error) {
	if len(renames) == 0 {
		return from, nil
	}
	out, err := clone(from)
	if err != nil {
		return nil, err
	}
	for _, r := range renames {
		now := places(out)
		switch {
		case !there(now, r, r.From):
			return nil, &RenameError{r, "the first schema has no " + string(r.Kind) + " " + r.From}
		case there(now, r, r.To), (r.Kind == schema.KindTable || r.Kind == schema.KindView) && taken(out, r):
			return nil, &RenameError{r, "the first schema has a " + r.To + " already"}
		}
		renamer{database: out, schema: out.Schema(r.Schema), Rename: r, words: wordsOf(out.Engine)}.apply()
	}
	return out, nil
}

func there(places []place, r Rename, name string) bool {
	return slices.Contains(places, place{r.Kind, r.Schema, r.Parent, name})
}

// taken tells whether a table or view has the name that a view or table is to get.
func taken(d *schema.Database, r Rename) bool {
	s := d.Schema(r.Schema)
	return s.Table(r.To) != nil || s.View(r.To) != nil
}

// clone copies a model, so that the copy can be changed.
func clone(d *schema.Database) (*schema.Database, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("copy the first schema: %w", err)
	}
	out := &schema.Database{}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, fmt.Errorf("copy the first schema: %w", err)
	}
	return out, nil
}

// place is where an object that can be renamed is found.
type place struct {
	kind                 schema.Kind
	schema, parent, name string
}

// places lists all objects that can be renamed.
func places(d *schema.Database) (all []place) {
	for _, s := range d.Schemas {
		for _, t := range s.Tables {
			all = append(all, place{schema.KindTable, s.Name, "", t.Name})
			for _, c := range t.Columns {
				all = append(all, place{schema.KindColumn, s.Name, t.Name, c.Name})
			}
			for _, x := range t.Indexes {
				all = append(all, place{schema.KindIndex, s.Name, t.Name, x.Name})
			}
		}
		for _, v := range s.Views {
			all = append(all, place{schema.KindView, s.Name, "", v.Name})
			for _, x := range v.Indexes {
				all = append(all, place{schema.KindIndex, s.Name, v.Name, x.Name})
			}
		}
		for _, t := range s.Types {
			for _, l := range t.Labels {
				all = append(all, place{KindLabel, s.Name, t.Name, l})
			}
		}
	}
	return all
}
