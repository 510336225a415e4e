package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqliteddl"
	"github.com/switchbackdb/switchback/schema"
)

// Inspect reads the catalogue into the model, in one query, and so at one moment. SQLite keeps its
// catalogue as the text of the statements that made it, kept up to date by ALTER TABLE; so the text is
// read, not the pragmas, which leave checks, collations and much else out. What the text does not tell,
// which settings the file has and which tables belong to virtual ones, comes from pragmas.
func Inspect(ctx context.Context, q schema.Queryer) (*schema.Database, error) {
	in := newInspection()
	if err := in.read(ctx, q, objectsQuery+" UNION ALL "+settingsQuery, 0); err != nil {
		return nil, err
	}
	return in.database(), nil
}

// inspectBehind reads the tables, views, indexes and triggers that stand behind a row of the catalogue.
func inspectBehind(ctx context.Context, q schema.Queryer, row int64) (*schema.Database, error) {
	in := newInspection()
	if err := in.read(ctx, q, objectsQuery, row); err != nil {
		return nil, err
	}
	return in.database(), nil
}

// The two halves of the query have the same columns: what a row is about, its name, the table it belongs
// to, and its text. The catalogue comes first, in its order, since SQLite runs them one after the other.
// Our own tables and what SQLite keeps for itself are left out; what is in the attic is not.
const (
	objectsQuery = `SELECT * FROM (SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema
WHERE rowid > ? AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND (tbl_name NOT LIKE 'switchback\_%' ESCAPE '\' OR tbl_name LIKE 'switchback\_old\_%' ESCAPE '\') ORDER BY rowid)`

	settingsQuery = `SELECT 'shadow', name, '', '' FROM pragma_table_list WHERE "schema" = 'main' AND type = 'shadow'
UNION ALL SELECT 'module', name, '', '' FROM pragma_module_list
UNION ALL SELECT 'version', '', '', sqlite_version()
UNION ALL SELECT 'fixed', 'encoding', 'UTF-8', encoding FROM pragma_encoding
UNION ALL SELECT 'fixed', 'page_size', '4096', page_size FROM pragma_page_size
UNION ALL SELECT 'fixed', 'auto_vacuum', '0', auto_vacuum FROM pragma_auto_vacuum
UNION ALL SELECT 'setting', 'application_id', '0', application_id FROM pragma_application_id
UNION ALL SELECT 'setting', 'user_version', '0', user_version FROM pragma_user_version`
)

// record is a row of the query.
type record struct{ kind, name, table, text string }

// inspection is a catalogue being read.
type inspection struct {
	records  []record
	settings []*schema.Setting
	version  string
	modules  map[string]bool // the virtual tables' modules that this program has
	shadows  map[string]bool // tables that a virtual table keeps its content in
	schema   *schema.Schema
	tables   map[string]*schema.Table // by their name in lower case: SQLite does not tell case apart
	views    map[string]*schema.View
	unknown  map[string][]string // virtual tables by the module that this program has not
}

func newInspection() *inspection {
	return &inspection{
		modules: map[string]bool{}, shadows: map[string]bool{}, schema: &schema.Schema{Name: "main"},
		tables: map[string]*schema.Table{}, views: map[string]*schema.View{}, unknown: map[string][]string{},
	}
}

func (in *inspection) read(ctx context.Context, q schema.Queryer, query string, behind int64) error {
	rows, err := q.QueryContext(ctx, query, behind)
	if err != nil {
		return fmt.Errorf("read sqlite_schema: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r record
		if err := rows.Scan(&r.kind, &r.name, &r.table, &r.text); err != nil {
			return fmt.Errorf("read sqlite_schema: %w", err)
		}
		switch r.kind {
		case "shadow":
			in.shadows[strings.ToLower(r.name)] = true
		case "module":
			in.modules[strings.ToLower(r.name)] = true
		case "version":
			in.version = r.text
		case "fixed", "setting":
			if r.text != r.table { // else it is as SQLite has it by itself
				in.settings = append(in.settings, &schema.Setting{Name: r.name, Value: r.text, Fixed: r.kind == "fixed"})
			}
		default:
			in.records = append(in.records, r)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read sqlite_schema: %w", err)
	}
	return nil
}

// database makes the model of what was read. Tables and views come before what hangs on them, which may
// stand before them in the catalogue.
func (in *inspection) database() *schema.Database {
	for _, r := range in.records {
		switch r.kind {
		case "table":
			in.addTable(r)
		case "view":
			v := sqliteddl.View(r.name, r.text)
			in.views[strings.ToLower(r.name)] = v
			in.schema.Views = append(in.schema.Views, v)
		}
	}
	for _, r := range in.records {
		switch r.kind {
		case "index":
			if t := in.tables[strings.ToLower(r.table)]; t != nil && r.text != "" {
				t.Indexes = append(t.Indexes, sqliteddl.Index(r.name, r.text))
			}
		case "trigger":
			in.addTrigger(r)
		}
	}
	in.resolveNeeds()
	return &schema.Database{
		Engine: "sqlite", Version: in.version, Settings: in.settings,
		Schemas: []*schema.Schema{in.schema}, Uncovered: in.uncovered(),
	}
}

func (in *inspection) addTable(r record) {
	if in.shadows[strings.ToLower(r.name)] {
		return
	}
	s := sqliteddl.ParseTable(r.name, r.text)
	if s.Module != "" && len(in.modules) > 0 && !in.modules[s.Module] {
		in.unknown[s.Module] = append(in.unknown[s.Module], r.name)
		return
	}
	in.tables[strings.ToLower(r.name)] = s.Table
	in.schema.Tables = append(in.schema.Tables, s.Table)
}

func (in *inspection) addTrigger(r record) {
	trigger := sqliteddl.Trigger(r.name, r.text)
	if t := in.tables[strings.ToLower(r.table)]; t != nil {
		t.Triggers = append(t.Triggers, trigger)
	} else if v := in.views[strings.ToLower(r.table)]; v != nil {
		v.Triggers = append(v.Triggers, trigger)
	}
}
