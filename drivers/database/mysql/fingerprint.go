package mysql

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/schema"
)

// catalogue are the queries whose rows, in order, make up the fingerprint: everything that the server
// knows of the database's structure, and nothing that changes with its data. The column positions are
// left out, since the order of columns is no difference.
var catalogue = []string{
	"SELECT table_name, table_type, engine, row_format, table_collation, create_options, table_comment FROM information_schema.tables WHERE table_schema = DATABASE()",
	"SELECT table_name, column_name, column_type, is_nullable, column_default, extra, collation_name, generation_expression, column_comment FROM information_schema.columns WHERE table_schema = DATABASE()",
	"SELECT table_name, index_name, seq_in_index, column_name, collation, sub_part, non_unique, index_type, index_comment, {expression}, {visible} FROM information_schema.statistics WHERE table_schema = DATABASE()",
	"SELECT table_name, constraint_name, constraint_type FROM information_schema.table_constraints WHERE table_schema = DATABASE()",
	"SELECT table_name, constraint_name, ordinal_position, column_name, referenced_table_schema, referenced_table_name, referenced_column_name FROM information_schema.key_column_usage WHERE table_schema = DATABASE()",
	"SELECT table_name, constraint_name, update_rule, delete_rule, match_option FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()",
	"SELECT constraint_name, check_clause FROM information_schema.check_constraints WHERE constraint_schema = DATABASE()",
	"SELECT table_name, view_definition, check_option, security_type, definer FROM information_schema.views WHERE table_schema = DATABASE()",
	"SELECT event_object_table, trigger_name, event_manipulation, action_timing, action_order, action_statement, definer, sql_mode FROM information_schema.triggers WHERE trigger_schema = DATABASE()",
	"SELECT routine_name, routine_type, dtd_identifier, routine_definition, is_deterministic, sql_data_access, security_type, sql_mode, definer FROM information_schema.routines WHERE routine_schema = DATABASE()",
	"SELECT specific_name, ordinal_position, parameter_mode, parameter_name, dtd_identifier FROM information_schema.parameters WHERE specific_schema = DATABASE()",
	"SELECT event_name, event_definition, event_type, interval_value, interval_field, status, on_completion, definer FROM information_schema.events WHERE event_schema = DATABASE()",
	"SELECT table_name, partition_name, subpartition_name, partition_method, partition_expression, subpartition_expression, partition_description FROM information_schema.partitions WHERE table_schema = DATABASE() AND partition_name IS NOT NULL",
}

// Fingerprint implements migrate.Database.
func (d *Database) Fingerprint(ctx context.Context, q schema.Queryer) (string, error) {
	terms := strings.NewReplacer("{expression}", "expression", "{visible}", "is_visible")
	if d.engine == migrate.MariaDB {
		terms = strings.NewReplacer("{expression}", "NULL", "{visible}", "ignored")
	}
	sum := sha256.New()
	for _, query := range catalogue {
		query = terms.Replace(query)
		if err := hashRows(ctx, q, sum, query); err != nil {
			return "", fmt.Errorf("read the catalogue (%s): %w", query, err)
		}
	}
	return "m1:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// Catalogue implements migrate.Database. Everything is read each time.
func (d *Database) Catalogue() migrate.Catalogue { return whole{d} }

type whole struct{ db *Database }

// Read implements migrate.Catalogue.
func (w whole) Read(ctx context.Context, q schema.Queryer) (string, error) {
	return w.db.Fingerprint(ctx, q)
}

// Follow implements migrate.Catalogue.
func (w whole) Follow(ctx context.Context, q schema.Queryer, _ [][]string) ([]string, bool, error) {
	f, err := w.db.Fingerprint(ctx, q)
	return []string{f}, true, err
}

// Together implements migrate.Catalogue: each statement commits by itself.
func (w whole) Together([]string) bool { return false }

// hashRows adds the rows of a query to the hash, ordered by their columns and without our own tables.
func hashRows(ctx context.Context, q schema.Queryer, sum hash.Hash, query string) error {
	order := make([]string, 0, 12)
	for i := range strings.Count(query[:strings.Index(query, " FROM ")], ",") + 1 {
		order = append(order, fmt.Sprint(i+1))
	}
	rows, err := q.QueryContext(ctx, query+" ORDER BY "+strings.Join(order, ", "))
	if err != nil {
		return err
	}
	defer rows.Close()
	values := make([]sql.NullString, len(order))
	into := make([]any, len(order))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if strings.HasPrefix(values[0].String, "switchback_") {
			continue
		}
		for _, v := range values {
			fmt.Fprintf(sum, "%t:%d:%s,", v.Valid, len(v.String), v.String)
		}
		fmt.Fprintln(sum)
	}
	return rows.Err()
}
