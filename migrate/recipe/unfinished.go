package recipe

import (
	"fmt"
	"slices"
)

// Unfinished is a change that was planned before and is not contracted. What it does at contract is not in the schema yet
// that a plan goes by.
type Unfinished struct {
	Change     string
	Operations []Operation
}

// overtakes refuses to put another column in the place of one that an unfinished change gives another default: the new
// column has the default that there is now, and what the other change sets later would go to the attic.
func (p *planner) overtakes(operations []Operation, unfinished []Unfinished) error {
	for _, u := range unfinished {
		for _, pending := range u.Operations {
			set, ok := pending.(SetDefault)
			if !ok {
				continue
			}
			table, _, err := p.table(set, set.Table)
			if err != nil {
				continue // it is another table by now
			}
			for _, op := range operations {
				if other, _, err := p.table(op, op.on()); err != nil || other != table || !slices.Contains(replaces(op), set.Column) {
					continue
				}
				return &Error{op, fmt.Sprintf("change %s is not contracted, and has: %s, which the column that takes its place would not have", u.Change, set), "contract that change first, or take it out of the changes"}
			}
		}
	}
	return nil
}
