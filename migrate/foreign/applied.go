package foreign

import (
	"context"
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// DefaultTable is the version table that a tool uses when it is not told another.
func DefaultTable(t Tool) string {
	switch t {
	case Goose:
		return "goose_db_version"
	case Flyway:
		return "flyway_schema_history"
	case Pop:
		return "schema_migration"
	}
	return "schema_migrations"
}

// What a row of a version table says of its version.
const (
	ran   = "run"   // it was run
	upTo  = "up to" // it and all before it were run
	taken = "back"  // it was taken back
)

// versionQuery reads from a tool's version table, in the order in which its rows were written: the
// version (for a repeatable migration of Flyway its file), what the row says of it, and whether it is
// whole (1) or failed half way (0).
func versionQuery(t Tool, table string, q func(string) string) string {
	switch t {
	case Goose:
		// Each version counts by its newest row: older versions of goose wrote one for each way down too.
		return fmt.Sprintf("SELECT CAST(v.version_id AS CHAR(40)), '%s', 1 FROM %s v WHERE v.version_id > 0 AND v.id = (SELECT max(w.id) FROM %s w WHERE w.version_id = v.version_id) AND v.is_applied ORDER BY v.id", ran, table, table)
	case Flyway:
		return fmt.Sprintf("SELECT coalesce(%[1]s, %[2]s), CASE %[3]s WHEN 'BASELINE' THEN '%[7]s' WHEN 'UNDO_SQL' THEN '%[8]s' WHEN 'DELETE' THEN '%[8]s' ELSE '%[6]s' END, CASE WHEN %[4]s THEN 1 ELSE 0 END FROM %[9]s WHERE %[3]s <> 'SCHEMA' ORDER BY %[5]s",
			q("version"), q("script"), q("type"), q("success"), q("installed_rank"), ran, upTo, taken, table)
	case GolangMigrate:
		return fmt.Sprintf("SELECT CAST(version AS CHAR(40)), '%s', CASE WHEN dirty THEN 0 ELSE 1 END FROM %s", upTo, table)
	}
	return fmt.Sprintf("SELECT version, '%s', 1 FROM %s ORDER BY version", ran, table)
}

// Applied reads from the tool's version table which of the planned changes are applied on the target,
// in their order. A version that the folder does not have, or one that failed half way, is an error:
// the tool that ran it has to sort that out first.
func Applied(ctx context.Context, q schema.Queryer, d migrate.Dialect, f *Folder, plan []Imported, table string) ([]Imported, error) {
	rows, err := readVersions(ctx, q, d, f.Tool, table)
	if err != nil {
		return nil, err
	}
	reached := make([]bool, len(plan))
	for _, r := range rows {
		at := find(plan, r.version)
		if r.what == upTo {
			// A baseline may stand for versions that have no files any more.
			for i, p := range plan {
				reached[i] = reached[i] || p.Version != "" && compare(p.Version, r.version) <= 0
			}
		}
		switch {
		case at >= 0:
			reached[at] = r.what != taken
		case r.what == ran || f.Tool == GolangMigrate:
			return nil, fmt.Errorf("version %s is applied on the target, but %s has no migration for it\n  state: nothing was changed\n  next: bring its file back; for one that is no SQL write a change by hand, with `imported: {tool: %s, version: \"%s\"}` in its change.yaml", r.version, f.Path, f.Tool, r.version)
		}
	}
	var applied []Imported
	for i, p := range plan {
		if reached[i] {
			applied = append(applied, p)
		}
	}
	return applied, nil
}

func find(plan []Imported, version string) int {
	for i, p := range plan {
		if p.Version != "" && compare(p.Version, version) == 0 || p.Version == "" && p.File == version {
			return i
		}
	}
	return -1
}

type versionRow struct {
	version string
	what    string
}

func readVersions(ctx context.Context, q schema.Queryer, d migrate.Dialect, t Tool, table string) ([]versionRow, error) {
	parts := strings.Split(table, ".")
	for i, p := range parts {
		parts[i] = d.Quote(p)
	}
	rows, err := q.QueryContext(ctx, versionQuery(t, strings.Join(parts, "."), d.Quote))
	if err != nil {
		return nil, noTable(t, table, err)
	}
	defer rows.Close()
	var list []versionRow
	for rows.Next() {
		var r versionRow
		var whole int
		if err := rows.Scan(&r.version, &r.what, &whole); err != nil {
			return nil, noTable(t, table, err)
		}
		r.version = strings.TrimSpace(r.version)
		if whole == 0 {
			return nil, fmt.Errorf("%s of %s says that version %s failed half way\n  state: nothing was changed\n  next: mend that with %s first", table, t, r.version, t)
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, noTable(t, table, err)
	}
	return list, nil
}

func noTable(t Tool, table string, err error) error {
	return fmt.Errorf("read the version table %s of %s: %w\n  state: nothing was changed\n  next: name it with --table; where %s has never run, import without a target", table, t, err, t)
}
