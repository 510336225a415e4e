package recipe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// retypedKey changes the type of a key on SQLite, with all columns that point to it. A type there says how a value is kept and
// compared, its affinity, and no more; where that stays, each value does, and both versions of the application read and write
// the key under either type. So there is nothing to fill: at contract the tables are written anew.
type retypedKey struct {
	nothing
	columns []pointer
	typ     string
}

func newRetypedKey(p *planner, o ChangeType, table Table) (recipe, error) {
	r := &retypedKey{typ: o.Type}
	queue := []pointer{{table, o.Column}}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if slices.Contains(r.columns, at) {
			continue
		}
		t := p.now.Schema(at.table.Schema).Table(at.table.Name)
		c := t.Column(at.column)
		if affinity(c.Type) != affinity(o.Type) {
			return nil, &Error{o, fmt.Sprintf("%s.%s is %s, whose values SQLite keeps and compares otherwise than those of %s", at.table, word(at.column), or(c.Type, "of no type"), o.Type), "a key takes a type of the same affinity, such as another one with INT in its name for one that has it"}
		}
		if alias(t, c.Name, c.Type) || alias(t, c.Name, o.Type) {
			return nil, &Error{o, fmt.Sprintf("%s.%s is the number that SQLite gives each row, or would be: INTEGER PRIMARY KEY, and no other type, means that", at.table, word(at.column)), "leave it as it is, as it holds 64 bits already, or make the table anew by hand, with switchback new"}
		}
		if err := settledTable(o, at.table, t); err != nil {
			return nil, err
		}
		r.columns = append(r.columns, at)
		queue = append(queue, pointers(p.now, at.table, at.column)...)
	}
	return r, nil
}

// alias tells whether a column of a type stands for the number of the row.
func alias(t *schema.Table, column, typ string) bool {
	key := t.KeyColumns()
	return strings.EqualFold(typ, "INTEGER") && len(key) == 1 && strings.EqualFold(key[0], column) && !strings.Contains(schema.Value(t.Options, "options"), "WITHOUT ROWID")
}

func (r *retypedKey) contract(p *planner) error {
	return p.step(nil, func(e *edit) {
		for _, at := range r.columns {
			e.column(at.table, at.column).Type = r.typ
		}
	})
}
