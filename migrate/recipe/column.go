package recipe

import (
	"fmt"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/schema"
)

func columns(list ...*schema.Column) []*schema.Column { return list }

func noColumn(op Operation, table Table, name string) error {
	return &Error{op, fmt.Sprintf("table %s has no column %s", table, word(name)), "switchback schema show " + table.String()}
}

func noKey(op Operation, table Table) error {
	return &Error{op, fmt.Sprintf("table %s has no primary key and no unique one without NULLs, so its rows cannot be filled batch by batch", table), "give it a key first, in a change of its own"}
}

// renamedIn writes an expression with another name for a column.
func renamedIn(e engine, expression, from, to string) string {
	d := sqltoken.Of(e.name())
	return sqltoken.Replace(expression, d, func(list []sqltoken.Token, i int) (string, bool) {
		if list[i].IsName() && list[i].Names(from, d) && (i == 0 || !list[i-1].IsSign(".")) {
			return e.quote(to), true
		}
		return "", false
	})
}
