package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// Inspect reads the catalogue into the model, in one query. SQLite keeps its catalogue as the text of
// the statements that made it, kept up to date by ALTER TABLE; so the text is read, not the pragmas,
// which leave checks, collations and much else out.
func Inspect(ctx context.Context, q schema.Queryer) (*schema.Database, error) {
	return inspectBehind(ctx, q, 0)
}

// inspectBehind reads what stands behind a row of the catalogue.
func inspectBehind(ctx context.Context, q schema.Queryer, row int64) (*schema.Database, error) {
	rows, err := q.QueryContext(ctx, `SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema
WHERE rowid > ? AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND name NOT LIKE 'switchback\_%' ESCAPE '\' AND tbl_name NOT LIKE 'switchback\_%' ESCAPE '\' ORDER BY rowid`, row)
	if err != nil {
		return nil, fmt.Errorf("read sqlite_schema: %w", err)
	}
	defer rows.Close()
	main := &schema.Schema{Name: "main"}
	in := &inspection{schema: main, tables: map[string]*schema.Table{}, views: map[string]*schema.View{}}
	var later [][4]string
	for rows.Next() {
		var r [4]string
		if err := rows.Scan(&r[0], &r[1], &r[2], &r[3]); err != nil {
			return nil, fmt.Errorf("read sqlite_schema: %w", err)
		}
		if r[0] == "index" || r[0] == "trigger" {
			later = append(later, r) // their table may come after them
			continue
		}
		in.add(r[0], r[1], r[2], r[3])
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read sqlite_schema: %w", err)
	}
	for _, r := range later {
		in.add(r[0], r[1], r[2], r[3])
	}
	return &schema.Database{Engine: "sqlite", Schemas: []*schema.Schema{main}}, nil
}

// inspection is a catalogue being read.
type inspection struct {
	schema *schema.Schema
	tables map[string]*schema.Table // by their name in lower case: SQLite does not tell case apart
	views  map[string]*schema.View
}

func (in *inspection) add(kind, name, table, sql string) {
	switch kind {
	case "table":
		t := parseTable(name, sql)
		in.tables[strings.ToLower(name)] = t
		in.schema.Tables = append(in.schema.Tables, t)
	case "view":
		v := &schema.View{Name: name, Definition: canonical(afterKeyword(tokens(sql), "AS"))}
		in.views[strings.ToLower(name)] = v
		in.schema.Views = append(in.schema.Views, v)
	case "index":
		if t := in.tables[strings.ToLower(table)]; t != nil && sql != "" {
			t.Indexes = append(t.Indexes, &schema.Index{Name: name, Definition: definition(sql)})
		}
	case "trigger":
		trigger := &schema.Trigger{Name: name, Definition: definition(sql)}
		if t := in.tables[strings.ToLower(table)]; t != nil {
			t.Triggers = append(t.Triggers, trigger)
		} else if v := in.views[strings.ToLower(table)]; v != nil {
			v.Triggers = append(v.Triggers, trigger)
		}
	}
}

// definition is the canonical text of a CREATE statement, without what has no effect on what it makes.
func definition(sql string) string {
	var out []token
	list := tokens(sql)
	for i := 0; i < len(list); i++ {
		if i+2 < len(list) && list[i].is("IF") && list[i+1].is("NOT") && list[i+2].is("EXISTS") {
			i += 2
			continue
		}
		out = append(out, list[i])
	}
	return canonical(out)
}

// afterKeyword returns what stands behind the first appearance of a keyword outside parentheses.
func afterKeyword(list []token, keyword string) []token {
	depth := 0
	for i, t := range list {
		switch {
		case t.text == "(":
			depth++
		case t.text == ")":
			depth--
		case depth == 0 && t.is(keyword):
			return list[i+1:]
		}
	}
	return list
}
