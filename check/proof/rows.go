package proof

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// noted is what a database held at a moment.
type noted struct {
	schema *schema.Database
	tables map[string]*tableRows
}

// tableRows are the rows of a table, by key.
type tableRows struct {
	columns []string
	keys    []string // of the primary key; without one, a row is its own key
	rows    map[string][]string
}

// readRows reads a table, each value as the text that the server writes of it.
func readRows(ctx context.Context, db Database, in string, t *schema.Table) (*tableRows, error) {
	d := db.Dialect()
	out := &tableRows{keys: t.KeyColumns(), rows: map[string][]string{}}
	var selected []string
	for _, c := range t.Columns {
		out.columns = append(out.columns, c.Name)
		selected = append(selected, asText(d, d.Quote(c.Name)))
	}
	if len(selected) == 0 {
		return out, nil
	}
	rows, err := db.DB().QueryContext(ctx, "SELECT "+strings.Join(selected, ", ")+" FROM "+d.QuoteTable(in, t.Name))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		values := make([]sql.NullString, len(selected))
		into := make([]any, len(values))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("read %s: %w", t.Name, err)
		}
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = "NULL"
			if v.Valid {
				row[i] = v.String
				if v.String == "NULL" {
					row[i] = "'NULL'"
				}
			}
		}
		key := out.keyOf(row)
		for n := 2; out.rows[key] != nil; n++ { // the same row twice
			key = fmt.Sprintf("%s (%d)", out.keyOf(row), n)
		}
		out.rows[key] = row
	}
	return out, rows.Err()
}

// asText is an expression for the whole value of a column, its type included where the engine leaves that to the row.
func asText(d migrate.Dialect, column string) string {
	switch d.Engine {
	case migrate.Postgres:
		return column + "::text"
	case migrate.SQLite:
		return "quote(" + column + ")"
	}
	return "IF(" + column + " IS NULL, NULL, IF(CONVERT(CAST(" + column + " AS BINARY) USING utf8mb4) IS NULL, HEX(" + column + "), CONVERT(CAST(" + column + " AS BINARY) USING utf8mb4)))"
}

func (t *tableRows) keyOf(row []string) string {
	var parts []string
	for i, c := range t.columns {
		if len(t.keys) == 0 || slices.Contains(t.keys, c) {
			parts = append(parts, c+" "+row[i])
		}
	}
	return strings.Join(parts, ", ")
}

// loss is what became of the rows of one table.
type loss struct {
	table string
	lines []string
}

// most is how many rows are shown.
const most = 5

func (l loss) text() string {
	if len(l.lines) > most {
		return strings.Join(l.lines[:most], "\n") + fmt.Sprintf("\n… and %d more", len(l.lines)-most)
	}
	return strings.Join(l.lines, "\n")
}

// lost says which rows are gone, others or new. Tables that are gone are the schema's matter.
func (n *noted) lost(now *noted) (all []loss) {
	for _, name := range slices.Sorted(maps.Keys(n.tables)) {
		after := now.tables[name]
		if after == nil {
			continue
		}
		if lines := n.tables[name].against(after); len(lines) > 0 {
			all = append(all, loss{name, lines})
		}
	}
	return all
}

func (t *tableRows) against(after *tableRows) []string {
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(t.rows)) {
		row, ok := after.rows[key]
		if !ok {
			lines = append(lines, "gone: "+key)
			continue
		}
		for i, c := range t.columns {
			if at := slices.Index(after.columns, c); at >= 0 && row[at] != t.rows[key][i] {
				lines = append(lines, fmt.Sprintf("%s: %s was %s, is %s", key, c, t.rows[key][i], row[at]))
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(after.rows)) {
		if _, ok := t.rows[key]; !ok {
			lines = append(lines, "new: "+key)
		}
	}
	return lines
}
