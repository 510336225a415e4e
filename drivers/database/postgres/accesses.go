package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/switchbackdb/switchback/check/workload"
)

// planNode is a node of a plan as EXPLAIN (FORMAT JSON) gives it.
type planNode struct {
	Type      string     `json:"Node Type"`
	Alias     string     `json:"Alias"`
	Index     string     `json:"Index Name"`
	IndexCond string     `json:"Index Cond"`
	Plans     []planNode `json:"Plans"`
}

// Accesses says how a query that takes so many parameters reaches its tables: what the planner can do, so in a generic
// plan, and without reading whole tables where anything else is possible.
func (d *Database) Accesses(ctx context.Context, conn *sql.Conn, query string, parameters int) (list []workload.Access, err error) {
	_, err = simple(ctx, conn, "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan;\nPREPARE switchback_query AS "+query+"\n;")
	end := "ROLLBACK"
	if err == nil {
		end += "; DEALLOCATE switchback_query" // it is of the session, not of the transaction
	}
	defer func() {
		_, ended := simple(context.WithoutCancel(ctx), conn, end)
		err = errors.Join(err, ended)
	}()
	if err != nil {
		return nil, fmt.Errorf("prepare it: %w", err)
	}
	call := "EXECUTE switchback_query"
	if parameters > 0 {
		call += "(" + strings.TrimSuffix(strings.Repeat("NULL, ", parameters), ", ") + ")"
	}
	var text string
	if err := conn.QueryRowContext(ctx, "EXPLAIN (FORMAT JSON) "+call, pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil {
		return nil, err
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		return nil, fmt.Errorf("read its plan: %w", err)
	}
	for _, p := range plans {
		list = append(list, p.Plan.accesses()...)
	}
	return list, nil
}

// accesses are those of a node and of what is below it.
func (n planNode) accesses() (list []workload.Access) {
	switch n.Type {
	case "Seq Scan", "Sample Scan":
		list = append(list, workload.Access{Table: n.Alias})
	case "Index Scan", "Index Only Scan":
		a := workload.Access{Table: n.Alias}
		if n.IndexCond != "" { // without, all of the index is read
			a.Index = n.Index
		}
		list = append(list, a)
	case "Bitmap Heap Scan":
		list = append(list, workload.Access{Table: n.Alias, Index: strings.Join(n.bitmaps(), ", ")})
	}
	for _, p := range n.Plans {
		list = append(list, p.accesses()...)
	}
	return list
}

// bitmaps are the indexes that are read below a node to find rows.
func (n planNode) bitmaps() (names []string) {
	if n.Type == "Bitmap Index Scan" {
		names = append(names, n.Index)
	}
	for _, p := range n.Plans {
		names = append(names, p.bitmaps()...)
	}
	return names
}
