package diff

import "github.com/switchbackdb/switchback/schema"

// entry is a changed object of the database or of a schema, with all that belongs to it: what Markdown
// and HTML show as one piece.
type entry struct {
	Change
	Path      string // as Walk gives it
	Namespace string // the schema it is in, or empty
}

// FullName is the object's name with its schema.
func (e entry) FullName() string {
	if e.Namespace == "" {
		return oneLine(e.Name)
	}
	return oneLine(e.Namespace + "." + e.Name)
}

// entries lists the changed objects in the order of the tree. What is in a schema stands beside it.
func entries(changes []Change) []entry {
	var out []entry
	for _, c := range changes {
		if c.Kind != schema.KindSchema {
			out = append(out, entry{Change: c, Path: c.path("", "")})
			continue
		}
		inside := c.Children
		if c.Children = nil; c.Action != Modify || len(c.Properties) > 0 {
			out = append(out, entry{Change: c, Path: c.path("", "")})
		}
		for _, d := range inside {
			out = append(out, entry{Change: d, Path: d.path("", c.Name), Namespace: c.Name})
		}
	}
	return out
}
