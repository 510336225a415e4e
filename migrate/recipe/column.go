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

// column finds a column of a table in the model before the change.
func (p *planner) column(op Operation, table Table, name string) (Table, *schema.Table, *schema.Column, error) {
	full, t, err := p.table(op, table)
	if err != nil {
		return full, nil, nil, err
	}
	c := t.Column(name)
	if c == nil {
		return full, t, nil, noColumn(op, full, name)
	}
	return full, t, c, nil
}

// named returns the columns of a table that an expression names, in the table's order.
func named(e engine, t *schema.Table, expression string) []string {
	d := sqltoken.Of(e.name())
	tokens := sqltoken.Split(expression, d)
	var out []string
	for _, c := range t.Columns {
		for i, k := range tokens {
			if k.IsName() && k.Names(c.Name, d) && (i == 0 || !tokens[i-1].IsSign(".")) && (i+1 == len(tokens) || !tokens[i+1].IsSign("(")) && !sqltoken.InType(tokens, i) {
				out = append(out, c.Name)
				break
			}
		}
	}
	return out
}

// refill makes a rollback that sets a column NOT NULL give a value to the rows that are without, or name them
// where there is none to give.
func (p *planner) refill(table Table, t *schema.Table, column, value string) error {
	if err := p.flush(); err != nil {
		return err
	}
	e := p.engine
	q := e.quote(column)
	if p.rebuilds() && value != "" {
		p.scripts.step(nil, []Statement{{SQL: fmt.Sprintf("UPDATE %s\nSET %s = %s\nWHERE %s IS NULL", e.table(table), q, value, q), Why: "Rows that were written without a value get one."}})
		return nil
	}
	if key := walkKey(t); value != "" && key != nil {
		p.scripts.step(nil, []Statement{{
			SQL: fmt.Sprintf("UPDATE %s\nSET %s = %s\nWHERE %s IS NULL\n  AND :batch", e.table(table), q, value, q),
			Why: "Rows that were written without a value get one, batch by batch.", Batch: &Batch{Table: e.walkName(table), Key: key},
		}})
		return nil
	}
	p.scripts.step(nil, []Statement{{
		SQL: fmt.Sprintf("SELECT *\nFROM %s\nWHERE %s IS NULL\nLIMIT 5", e.table(table), q),
		Why: "Reads the table without a lock.", Assert: fmt.Sprintf("rows of %s were written without %s, which the old shape demands: give them a value, then roll back again", table, column),
	}})
	return nil
}

// renamedIn writes an expression with another name for a column.
func renamedIn(e engine, expression, from, to string) string {
	return substituted(e, expression, map[string]string{from: e.quote(to)})
}

// substituted writes an expression with a text in the place of each of some columns.
func substituted(e engine, expression string, texts map[string]string) string {
	d := sqltoken.Of(e.name())
	return sqltoken.Replace(expression, d, func(list []sqltoken.Token, i int) (string, bool) {
		if !list[i].IsName() || i > 0 && list[i-1].IsSign(".") || sqltoken.InType(list, i) {
			return "", false
		}
		for column, text := range texts {
			if list[i].Names(column, d) {
				return text, true
			}
		}
		return "", false
	})
}
