package mysql

import (
	"context"
	"database/sql"
	"strings"

	"github.com/switchbackdb/switchback/check/workload"
)

// Accesses says how a query reaches its tables, by the indexes that EXPLAIN finds possible
// (https://dev.mysql.com/doc/refman/9.0/en/explain-output.html). Of a table that the optimizer has read already,
// because at most one of its rows is meant and there is none, it says nothing.
func (d *Database) Accesses(ctx context.Context, conn *sql.Conn, query string, parameters int) (list []workload.Access, err error) {
	values := make([]any, parameters)
	for i := range values {
		values[i] = "1" // NULL is equal to nothing, which ends the optimizer's work before it looks for indexes
	}
	rows, err := conn.QueryContext(ctx, "EXPLAIN FORMAT=TRADITIONAL "+query, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		row := map[string]*sql.NullString{}
		var into []any
		for _, name := range columns {
			value := new(sql.NullString)
			row[strings.ToLower(name)] = value
			into = append(into, value)
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		table := row["table"].String
		if table == "" || strings.HasPrefix(table, "<") || row["type"].String == "" { // made of other rows of the plan
			continue
		}
		list = append(list, workload.Access{Table: table, Index: row["possible_keys"].String})
	}
	return list, rows.Err()
}
