package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// settles tells whether the change ends at a schema that is wanted as a whole.
func (p *planner) settles() bool {
	return slices.ContainsFunc(p.draft.Operations, func(op Operation) bool { _, is := op.(Settle); return is })
}

// apart refuses operations that one change cannot hold together: each is planned on the schema before the change,
// so one of them would go by names that another takes away. A difference has been made into operations that go
// together, and is not asked.
func (p *planner) apart(operations []Operation) error {
	if p.settles() {
		return nil
	}
	const next = "make changes of their own of them, one after the other"
	for i, a := range operations {
		table, t, err := p.table(a, a.on())
		if err != nil {
			continue // the recipe says more
		}
		for j, b := range operations {
			if other, _, err := p.table(b, b.on()); i == j || err != nil || other != table {
				continue
			}
			if movesTable(a) {
				return &Error{b, fmt.Sprintf("the same change has: %s", a), next}
			}
			for _, c := range replaces(a) {
				if slices.Contains(concerns(p.engine, t, b), c) {
					return &Error{b, fmt.Sprintf("column %s is not the same any more by then, as the same change has: %s", word(c), a), next}
				}
			}
		}
	}
	return nil
}

// movesTable tells whether the table has another name after contract.
func movesTable(op Operation) bool {
	switch op.(type) {
	case RenameTable, DropTable:
		return true
	}
	return false
}

// replaces are the columns that go to the attic.
func replaces(op Operation) []string {
	switch op := op.(type) {
	case RenameColumn:
		return []string{op.Column}
	case ChangeType:
		return []string{op.Column}
	case SplitColumn:
		return []string{op.Column}
	case MergeColumns:
		return op.Columns
	case MoveColumns:
		return op.Columns
	case DropColumn:
		return []string{op.Column}
	case SetNotNull:
		if op.Fill != "" {
			return []string{op.Column}
		}
	}
	return nil
}

// concerns are the columns that an operation replaces or leaves otherwise than it finds them.
func concerns(e engine, t *schema.Table, op Operation) []string {
	switch op := op.(type) {
	case SetNotNull:
		return []string{op.Column}
	case DropNotNull:
		return []string{op.Column}
	case SetDefault:
		return []string{op.Column}
	case AddConstraint:
		return ruled(e, t, op.Constraint)
	case ReplaceConstraint:
		return ruled(e, t, op.Constraint)
	case AddIndex:
		return named(e, t, behind(op.Index.Definition))
	case ReplaceIndex:
		return named(e, t, behind(op.Index.Definition))
	}
	return replaces(op)
}

// ruled are the columns of its table that a constraint names.
func ruled(e engine, t *schema.Table, k schema.Constraint) []string {
	if k.Type == schema.Check {
		return named(e, t, k.Definition)
	}
	return k.Columns
}

// behind is what of an index's statement stands behind its name and its table's.
func behind(definition string) string { return definition[max(strings.Index(definition, "("), 0):] }
