package mysql

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/schema"
)

// parts are the queries, in an order in which a table comes before what hangs on it.
func (in *inspection) parts() []part {
	return []part{
		in.tablesPart(), in.columnsPart(), in.indexesPart(), in.foreignKeysPart(), in.checksPart(),
		in.viewsPart(), in.triggersPart(), in.routinesPart(), in.censusPart(),
	}
}

func (in *inspection) tablesPart() part {
	return part{
		name: "tables",
		query: `SELECT table_name, engine, table_collation, create_options, table_comment FROM information_schema.tables
WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name`,
		row: func(r []string) {
			t := &schema.Table{Name: r[0], Comment: r[4], Options: []schema.Property{
				property("engine", r[1]), property("collation", r[2]), property("options", r[3]),
			}}
			in.tables[t.Name] = t
			in.schema.Tables = append(in.schema.Tables, t)
		},
	}
}

func (in *inspection) columnsPart() part {
	return part{
		name: "columns",
		query: `SELECT c.table_name, c.column_name, c.column_type, c.is_nullable, c.column_default IS NOT NULL, c.column_default, c.extra, c.generation_expression,
  CASE WHEN c.collation_name <> t.table_collation THEN c.collation_name END, c.column_comment
FROM information_schema.columns c JOIN information_schema.tables t ON t.table_schema = c.table_schema AND t.table_name = c.table_name
WHERE c.table_schema = DATABASE() ORDER BY c.table_name, c.ordinal_position`,
		row: func(r []string) {
			c := &schema.Column{Name: r[1], Type: r[2], NotNull: r[3] == "NO", Collation: r[8], Comment: r[9]}
			extra := strings.ToLower(r[6])
			if r[4] == "1" {
				c.Default = in.defaultOf(r[5], extra)
			}
			switch {
			case r[7] == "":
			case strings.Contains(extra, "stored"), strings.Contains(extra, "persistent"):
				c.Generated = in.unqualified(r[7]) + " stored"
			default:
				c.Generated = in.unqualified(r[7]) + " virtual"
			}
			for _, option := range []string{"auto_increment", "invisible"} {
				if strings.Contains(extra, option) {
					c.Options = append(c.Options, property(option, "yes"))
				}
			}
			if _, update, ok := strings.Cut(extra, "on update "); ok {
				c.Options = append(c.Options, property("on update", update))
			}
			t := in.table(r[0])
			t.Columns = append(t.Columns, c)
		},
	}
}

// defaultOf writes a default as an expression. MariaDB does so itself; MySQL gives the bare value unless
// it was an expression.
func (in *inspection) defaultOf(value, extra string) string {
	if in.mariadb {
		if value == "NULL" {
			return ""
		}
		return value
	}
	_, err := strconv.ParseFloat(value, 64)
	if err == nil || strings.Contains(extra, "default_generated") || strings.HasPrefix(value, "b'") {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", "''") + "'"
}

func (in *inspection) indexesPart() part {
	expression, hidden := "s.expression", "s.is_visible = 'NO'"
	if in.mariadb {
		expression, hidden = "NULL", "s.ignored = 'YES'"
	}
	return part{
		name: "indexes",
		query: fmt.Sprintf(`SELECT s.table_name, s.index_name, s.column_name, %s, s.sub_part, s.collation, s.non_unique, s.index_type, s.index_comment, %s
FROM information_schema.statistics s WHERE s.table_schema = DATABASE() ORDER BY s.table_name, s.index_name, s.seq_in_index`, expression, hidden),
		row: func(r []string) {
			id := "index " + r[0] + "." + r[1]
			x := in.indexes[id]
			if x == nil {
				x = &index{table: in.table(r[0]), name: r[1], unique: r[6] == "0", comment: r[8]}
				if r[7] != "BTREE" {
					x.options += " USING " + r[7]
				}
				if r[9] == "1" {
					x.options += " INVISIBLE"
				}
				in.indexes[id] = x
				in.order = append(in.order, id)
			}
			column := r[2]
			if r[3] != "" {
				column = "(" + r[3] + ")"
			}
			if r[4] != "" {
				column += "(" + r[4] + ")"
			}
			if r[5] == "D" {
				column += " DESC"
			}
			x.columns = append(x.columns, column)
		},
	}
}

func (in *inspection) foreignKeysPart() part {
	return part{
		name: "foreign keys",
		query: `SELECT k.table_name, k.constraint_name, k.column_name, CASE WHEN k.referenced_table_schema <> DATABASE() THEN k.referenced_table_schema END,
  k.referenced_table_name, k.referenced_column_name, r.update_rule, r.delete_rule
FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r
  ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name
WHERE k.table_schema = DATABASE() ORDER BY k.table_name, k.constraint_name, k.ordinal_position`,
		row: func(r []string) {
			id := "key " + r[0] + "." + r[1]
			k := in.keys[id]
			if k == nil {
				k = &foreignKey{table: in.table(r[0]), name: r[1], to: r[4]}
				if r[3] != "" {
					k.to = r[3] + "." + r[4]
				}
				// The two that do nothing are the same to InnoDB.
				if rule := r[7]; rule != "NO ACTION" && rule != "RESTRICT" {
					k.rules += " ON DELETE " + rule
				}
				if rule := r[6]; rule != "NO ACTION" && rule != "RESTRICT" {
					k.rules += " ON UPDATE " + rule
				}
				in.keys[id] = k
				in.order = append(in.order, id)
			}
			k.columns, k.into = append(k.columns, r[2]), append(k.into, r[5])
		},
	}
}

func (in *inspection) checksPart() part {
	query := `SELECT t.table_name, c.constraint_name, c.check_clause FROM information_schema.check_constraints c JOIN information_schema.table_constraints t
  ON t.constraint_schema = c.constraint_schema AND t.constraint_name = c.constraint_name AND t.constraint_type = 'CHECK'
WHERE c.constraint_schema = DATABASE() ORDER BY 1, 2`
	if in.mariadb {
		query = "SELECT table_name, constraint_name, check_clause FROM information_schema.check_constraints WHERE constraint_schema = DATABASE() ORDER BY 1, 2"
	}
	return part{
		name: "checks", query: query,
		row: func(r []string) {
			t := in.table(r[0])
			t.Constraints = append(t.Constraints, &schema.Constraint{Name: r[1], Type: "check", Definition: "CHECK (" + in.unqualified(r[2]) + ")"})
		},
	}
}

func (in *inspection) viewsPart() part {
	return part{
		name: "views",
		query: `SELECT table_name, view_definition, nullif(check_option, 'NONE'), nullif(security_type, 'DEFINER') FROM information_schema.views
WHERE table_schema = DATABASE() ORDER BY table_name`,
		row: func(r []string) {
			in.schema.Views = append(in.schema.Views, &schema.View{
				Name: r[0], Definition: in.unqualified(r[1]),
				Options: []schema.Property{property("check option", r[2]), property("security", r[3])},
			})
		},
	}
}

func (in *inspection) triggersPart() part {
	return part{
		name: "triggers",
		query: `SELECT event_object_table, trigger_name, action_timing, event_manipulation, action_statement FROM information_schema.triggers
WHERE trigger_schema = DATABASE() ORDER BY event_object_table, action_timing, event_manipulation, action_order`,
		row: func(r []string) {
			t := in.table(r[0])
			t.Triggers = append(t.Triggers, &schema.Trigger{Name: r[1], Definition: fmt.Sprintf("%s %s FOR EACH ROW %s", r[2], r[3], r[4])})
		},
	}
}

func (in *inspection) routinesPart() part {
	return part{
		name: "routines",
		query: `SELECT r.routine_name, r.routine_type, (SELECT group_concat(concat_ws(' ', p.parameter_mode, p.parameter_name, p.dtd_identifier) ORDER BY p.ordinal_position SEPARATOR ', ')
    FROM information_schema.parameters p WHERE p.specific_schema = r.routine_schema AND p.specific_name = r.specific_name AND p.routine_type = r.routine_type AND p.ordinal_position > 0),
  r.dtd_identifier, r.is_deterministic, r.sql_data_access, r.security_type, r.routine_definition, r.routine_comment
FROM information_schema.routines r WHERE r.routine_schema = DATABASE() ORDER BY r.routine_type, r.routine_name`,
		row: func(r []string) {
			definition := fmt.Sprintf("%s (%s)", r[1], r[2])
			if r[3] != "" {
				definition += " RETURNS " + r[3]
			}
			if r[4] == "YES" {
				definition += " DETERMINISTIC"
			}
			definition += " " + r[5] + " SQL SECURITY " + r[6] + "\n" + r[7]
			in.schema.Routines = append(in.schema.Routines, &schema.Routine{Name: strings.ToLower(r[1]) + " " + r[0], Definition: definition, Comment: r[8]})
		},
	}
}

// censusPart counts what the model does not cover, so that nothing is silently missed.
func (in *inspection) censusPart() part {
	sequences := ""
	if in.mariadb {
		sequences = "\n    UNION ALL SELECT 'sequence', table_name FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'SEQUENCE'"
	}
	return part{
		name: "census",
		query: `SELECT kind, count(*), group_concat(name ORDER BY name SEPARATOR ', ') FROM (
  SELECT 'event' AS kind, event_name AS name FROM information_schema.events WHERE event_schema = DATABASE()
    UNION ALL SELECT DISTINCT 'partitioned table', table_name FROM information_schema.partitions WHERE table_schema = DATABASE() AND partition_name IS NOT NULL` + sequences + `
) AS found GROUP BY kind ORDER BY kind`,
		row: func(r []string) {
			n, _ := strconv.Atoi(r[1]) // a count, which the server wrote
			in.uncovered = append(in.uncovered, schema.Census{Kind: schema.Kind(r[0]), Count: n, Names: []string{r[2]}})
		},
	}
}
