package proof

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
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

// The most tables and columns that one query reads.
const (
	mostTables  = 50
	mostColumns = 1000
)

// readTables reads the rows of tables, each value as the text that the server writes of it. One query reads many: most
// tables have a row or two, and asking takes longer than the answer.
func readTables(ctx context.Context, db Database, tables []place) ([]*tableRows, error) {
	all := make([]*tableRows, len(tables))
	for i, t := range tables {
		all[i] = &tableRows{keys: t.KeyColumns(), rows: map[string][]string{}}
		for _, c := range t.Columns {
			all[i].columns = append(all[i].columns, c.Name)
		}
	}
	for from := 0; from < len(tables); {
		to, width := from, 0
		for to < len(tables) && to-from < mostTables {
			w := max(width, len(tables[to].Columns))
			if to > from && w*(to-from+1) > mostColumns {
				break
			}
			to, width = to+1, w
		}
		err := readTogether(ctx, db, tables[from:to], all[from:to], width)
		if err != nil && to-from > 1 && ctx.Err() == nil { // which of them cannot be read is seen one by one
			for i := from; i < to; i++ {
				all[i].rows = map[string][]string{}
				if err = readTogether(ctx, db, tables[i:i+1], all[i:i+1], len(tables[i].Columns)); err != nil {
					break
				}
			}
		}
		if err != nil {
			return nil, err
		}
		from = to
	}
	return all, nil
}

// readTogether reads tables with one query, whose rows have the number of their table and as many values as the widest.
func readTogether(ctx context.Context, db Database, tables []place, into []*tableRows, width int) error {
	d := db.Dialect()
	var branches []string
	for i, t := range tables {
		if len(t.Columns) == 0 {
			continue
		}
		selected := []string{strconv.Itoa(i)}
		for _, c := range t.Columns {
			selected = append(selected, asText(d, d.Quote(c.Name)))
		}
		for len(selected) <= width {
			selected = append(selected, "NULL")
		}
		branches = append(branches, "SELECT "+strings.Join(selected, ", ")+" FROM "+d.QuoteTable(t.in, t.Name))
	}
	if len(branches) == 0 {
		return nil
	}
	rows, err := db.DB().QueryContext(ctx, strings.Join(branches, " UNION ALL "))
	if err != nil {
		return fmt.Errorf("read %s: %w", tables[0].Name, err)
	}
	defer rows.Close()
	number, values := 0, make([]sql.NullString, width)
	scanned := []any{&number}
	for i := range values {
		scanned = append(scanned, &values[i])
	}
	for rows.Next() {
		if err := rows.Scan(scanned...); err != nil {
			return fmt.Errorf("read %s: %w", tables[0].Name, err)
		}
		into[number].add(values)
	}
	return rows.Err()
}

// add takes a row in. Behind its columns the values are those of wider tables.
func (t *tableRows) add(values []sql.NullString) {
	row := make([]string, len(t.columns))
	for i := range row {
		row[i] = "NULL"
		if v := values[i]; v.Valid {
			row[i] = v.String
			if v.String == "NULL" {
				row[i] = "'NULL'"
			}
		}
	}
	key := t.keyOf(row)
	for n := 2; t.rows[key] != nil; n++ { // the same row twice
		key = fmt.Sprintf("%s (%d)", t.keyOf(row), n)
	}
	t.rows[key] = row
}

// countRows counts the rows of tables.
func countRows(ctx context.Context, db Database, tables []place) ([]int, error) {
	counts := make([]int, len(tables))
	for from := 0; from < len(tables); from += mostTables {
		var branches []string
		for i := from; i < min(from+mostTables, len(tables)); i++ {
			branches = append(branches, fmt.Sprintf("SELECT %d, count(*) FROM %s", i, db.Dialect().QuoteTable(tables[i].in, tables[i].Name)))
		}
		if err := countInto(ctx, db, strings.Join(branches, " UNION ALL "), counts); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

func countInto(ctx context.Context, db Database, query string, counts []int) error {
	rows, err := db.DB().QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("count rows: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var i, n int
		if err := rows.Scan(&i, &n); err != nil {
			return fmt.Errorf("count rows: %w", err)
		}
		counts[i] = n
	}
	return rows.Err()
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
