package database

import (
	"context"
	"fmt"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// Old is a table or a column that a contract has put away.
type Old struct {
	Table  recipe.Table
	Column string // empty for a table
	Bytes  int64  // about what a column takes, by the server's statistics; 0 when not known
}

// atticQueries list the tables and columns whose names say that they were put away: schema, table,
// column, bytes of the column.
var atticQueries = map[migrate.Engine]string{
	migrate.Postgres: `
SELECT n.nspname, c.relname, '', 0 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname LIKE 'switchback\_old\_%'
UNION ALL
SELECT n.nspname, c.relname, a.attname, coalesce((s.avg_width * (1 - s.null_frac) * greatest(c.reltuples, 0))::bigint, 0)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname AND NOT s.inherited
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped AND a.attname LIKE 'switchback\_old\_%'
ORDER BY 1, 2, 3`,
	migrate.MySQL: mysqlAttic, migrate.MariaDB: mysqlAttic,
	migrate.SQLite: `
SELECT 'main', name, '', 0 FROM sqlite_schema WHERE type = 'table' AND name LIKE 'switchback\_old\_%' ESCAPE '\'
UNION ALL
SELECT 'main', t.name, c.name, 0 FROM sqlite_schema t JOIN pragma_table_xinfo(t.name) c
WHERE t.type = 'table' AND c.name LIKE 'switchback\_old\_%' ESCAPE '\'
ORDER BY 1, 2, 3`,
}

const mysqlAttic = `
SELECT 'main', table_name, '', 0 FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND (table_name LIKE 'switchback\_old\_%' OR table_name LIKE '%\_switchback\_old')
UNION ALL
SELECT 'main', c.table_name, c.column_name, 0 FROM information_schema.columns c
JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name AND t.table_type = 'BASE TABLE'
WHERE c.table_schema = DATABASE() AND c.column_name LIKE 'switchback\_old\_%'
ORDER BY 1, 2, 3`

// Attic lists what contracts have put away and no purge has removed, by table.
func Attic(ctx context.Context, db migrate.Database) ([]Old, error) {
	rows, err := db.DB().QueryContext(ctx, atticQueries[db.Dialect().Engine])
	if err != nil {
		return nil, fmt.Errorf("read what is in the attic: %w", err)
	}
	defer rows.Close()
	var all []Old
	for rows.Next() {
		var o Old
		if err := rows.Scan(&o.Table.Schema, &o.Table.Name, &o.Column, &o.Bytes); err != nil {
			return nil, fmt.Errorf("read what is in the attic: %w", err)
		}
		all = append(all, o)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read what is in the attic: %w", err)
	}
	return all, nil
}
