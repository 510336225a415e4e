package sqlite

import (
	"context"
	"database/sql"
	"regexp"
	"strings"

	"github.com/switchbackdb/switchback/check/workload"
)

// planLine is a line of EXPLAIN QUERY PLAN (https://www.sqlite.org/eqp.html) about a table.
var planLine = regexp.MustCompile(`^(SEARCH|SCAN) (\S+)(?: USING (.*))?$`)

// Accesses says how a query that takes so many parameters reaches its tables. An index that is made for the one query
// ("AUTOMATIC") is none.
func (d *Database) Accesses(ctx context.Context, conn *sql.Conn, query string, parameters int) (list []workload.Access, err error) {
	rows, err := conn.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, make([]any, parameters)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var line string
		if err := rows.Scan(&id, &parent, &unused, &line); err != nil {
			return nil, err
		}
		found := planLine.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		a := workload.Access{Table: found[2]}
		if found[1] == "SEARCH" && !strings.Contains(found[3], "AUTOMATIC") {
			a.Index, _, _ = strings.Cut(found[3], " (")
		}
		list = append(list, a)
	}
	return list, rows.Err()
}
