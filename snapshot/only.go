package snapshot

import (
	"slices"
	"strings"
)

// Only is which half of a snapshot is restored.
type Only string

// The halves; the zero value is all of it.
const (
	// OnlySchema is the schema without rows: sequences begin anew, and there is no journal.
	OnlySchema Only = "schema"
	// OnlyData are the rows and where the sequences stand, for a database that has the tables already, and a journal
	// of its own.
	OnlyData Only = "data"
)

// ours tells whether the rows of a part are of our own tables.
func (p Part) ours() bool {
	return p.Schema == "switchback" || strings.HasPrefix(p.Table, "switchback_")
}

// SchemaOnly is the manifest of the same snapshot without rows.
func (m *Manifest) SchemaOnly() *Manifest {
	only := *m
	only.Only, only.Parts = OnlySchema, nil
	for _, p := range m.Parts {
		switch {
		case p.own():
			only.Parts = append(only.Parts, p)
		case p.Table != "" && !p.ours():
			only.Parts = append(only.Parts, Part{Name: p.Name, Kind: p.Kind, Schema: p.Schema, Table: p.Table, Columns: p.Columns})
		}
	}
	only.Content.Tables, only.Content.Sequences = nil, nil
	return &only
}

// DataOnly is the manifest of the same snapshot without what is said of the schema, and without our own tables.
func (m *Manifest) DataOnly() *Manifest {
	only := *m
	only.Only = OnlyData
	only.Parts = slices.DeleteFunc(slices.Clone(m.Parts), Part.ours)
	isOurs := func(name string) bool {
		return strings.HasPrefix(name, "switchback.") || strings.HasPrefix(name, "switchback_")
	}
	only.Content.Fingerprint, only.Content.Applied = "", nil
	only.Content.Tables = slices.DeleteFunc(slices.Clone(m.Content.Tables), func(t Table) bool { return isOurs(t.Name) })
	only.Content.Sequences = slices.DeleteFunc(slices.Clone(m.Content.Sequences), func(q Sequence) bool { return isOurs(q.Name) })
	return &only
}

// UnfitError is returned for a database that takes no rows of a snapshot. Nothing was changed in it.
type UnfitError struct {
	Missing []string // the tables and columns that it does not have
	Full    []string // else the tables that have rows
}

func (e *UnfitError) Error() string {
	if len(e.Missing) > 0 {
		return "the database does not have " + strings.Join(e.Missing, ", ")
	}
	return "there are rows in " + strings.Join(e.Full, ", ")
}

// Fit is nil, or an *UnfitError for a database that misses tables or columns, or has tables with rows.
func Fit(missing, full []string) error {
	if len(missing)+len(full) == 0 {
		return nil
	}
	return &UnfitError{missing, full}
}
