package database

import (
	"context"
	"fmt"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// sizeQueries list the tables with about how many rows and bytes they have, by the server's statistics.
var sizeQueries = map[migrate.Engine]string{
	migrate.Postgres: postgresSizes,
	migrate.MySQL:    mysqlSizes, migrate.MariaDB: mysqlSizes,
	migrate.SQLite: `SELECT 'main', m.name, 0, coalesce((SELECT sum(pgsize) FROM dbstat WHERE dbstat.name = m.name), 0)
FROM sqlite_schema m WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\'`,
}

// postgresSizes takes a table with partitions for these, and one that was never analysed for what its pages may hold.
const postgresSizes = `SELECT n.nspname, c.relname, coalesce(sum(CASE WHEN p.reltuples < 0 THEN pg_relation_size(p.oid) / 100 ELSE p.reltuples END), 0)::bigint,
  coalesce(sum(pg_table_size(p.oid)), 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
  SELECT c.oid, c.reltuples WHERE c.relkind = 'r'
  UNION ALL SELECT l.oid, l.reltuples FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid WHERE c.relkind = 'p' AND t.isleaf
) p ON true
WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
GROUP BY n.nspname, c.relname`

const mysqlSizes = `SELECT 'main', table_name, coalesce(table_rows, 0), coalesce(data_length, 0)
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'`

// Sizes returns about how large the tables of a database are, by its statistics.
func Sizes(ctx context.Context, db migrate.Database) (map[recipe.Table]recipe.Size, error) {
	engine := db.Dialect().Engine
	rows, err := db.DB().QueryContext(ctx, sizeQueries[engine])
	if err != nil {
		return nil, fmt.Errorf("read the sizes of the tables: %w", err)
	}
	defer rows.Close()
	sizes := map[recipe.Table]recipe.Size{}
	for rows.Next() {
		var t recipe.Table
		var s recipe.Size
		if err := rows.Scan(&t.Schema, &t.Name, &s.Rows, &s.Bytes); err != nil {
			return nil, fmt.Errorf("read the sizes of the tables: %w", err)
		}
		sizes[t] = s
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the sizes of the tables: %w", err)
	}
	if engine != migrate.SQLite {
		return sizes, nil
	}
	for t, s := range sizes { // SQLite keeps no number of rows
		if s.Rows, err = db.EstimateRows(ctx, db.DB(), t.Name); err != nil {
			return nil, err
		}
		sizes[t] = s
	}
	return sizes, nil
}
