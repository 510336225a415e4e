package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/switchbackdb/switchback/check/workload"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
)

// Remembered returns what pg_stat_statements remembers of the statements of this database, those most often run
// first. Constants are parameters there
// (https://www.postgresql.org/docs/current/pgstatstatements.html).
func (d *Database) Remembered(ctx context.Context) (workload.Memory, error) {
	memory := workload.Memory{From: "pg_stat_statements"}
	var namespace string
	err := d.db.QueryRowContext(ctx, `SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'`).Scan(&namespace)
	if errors.Is(err, sql.ErrNoRows) {
		return memory, errors.New("it has no extension pg_stat_statements\n  next: shared_preload_libraries = 'pg_stat_statements' in postgresql.conf, a restart, and there: CREATE EXTENSION pg_stat_statements")
	}
	if err != nil {
		return memory, fmt.Errorf("find pg_stat_statements: %w", err)
	}
	rows, err := d.db.QueryContext(ctx, `SELECT query FROM `+namespace+`.pg_stat_statements
		WHERE toplevel AND query IS NOT NULL AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
		ORDER BY calls DESC, queryid`)
	if err != nil {
		return memory, fmt.Errorf("read pg_stat_statements: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return memory, fmt.Errorf("read pg_stat_statements: %w", err)
		}
		if text == "<insufficient privilege>" { // as it says for statements of other roles
			memory.Hidden++
			continue
		}
		memory.Add(migrate.Postgres, typed(text), text)
	}
	if err := rows.Err(); err != nil {
		return memory, fmt.Errorf("read pg_stat_statements: %w", err)
	}
	return memory, nil
}

// typed makes valid again what is not once a constant has become a parameter: INTERVAL '1 day' is remembered as
// INTERVAL $1.
func typed(text string) string {
	skip := 0
	return sqltoken.Replace(text, sqltoken.Of(string(migrate.Postgres)), func(list []sqltoken.Token, i int) (string, bool) {
		if skip > 0 {
			skip--
			return "", true
		}
		names := []string{"interval", "date", "time", "timestamp", "timestamptz"}
		if i+2 >= len(list) || !slices.ContainsFunc(names, list[i].Is) || !list[i+1].IsSign("$") || list[i+2].Kind != sqltoken.Number {
			return "", false
		}
		skip = 2
		return "CAST($" + list[i+2].Raw + " AS " + list[i].Raw + ")", true
	})
}
