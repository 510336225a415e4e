package mysql

import (
	"fmt"
	"strings"

	ddl "github.com/switchbackdb/switchback/ddl/mysql"
	"github.com/switchbackdb/switchback/schema"
)

func (in *inspection) viewsPart() part {
	algorithm := "NULL"
	if in.mariadb {
		algorithm = "nullif(algorithm, 'UNDEFINED')"
	}
	return part{
		name: "views",
		query: `SELECT table_name, view_definition, nullif(check_option, 'NONE'), nullif(security_type, 'DEFINER'), definer, character_set_client, collation_connection, ` + algorithm + `
FROM information_schema.views WHERE table_schema = DATABASE() ORDER BY table_name`,
		row: func(r []string) {
			v := &schema.View{
				Name: r[0], Definition: in.statement(r[1]), Source: in.runnable(r[1]), Owner: in.owner(r[4]),
				Options: append([]schema.Property{property("check option", r[2]), property("security", r[3])}, in.session(ddl.DefaultMode(in.mariadb), r[5], r[6], "")...),
			}
			if in.mariadb {
				v.Options = append(v.Options, property("algorithm", r[7]))
			}
			if r[1] == "" {
				in.hide(schema.KindView, r[0])
			}
			in.schema.Views = append(in.schema.Views, v)
		},
	}
}

// session are the settings that a program was made under and runs under. Those that every connection of
// ours has, and the server's own sql_mode, are "".
func (in *inspection) session(mode, client, connection, database string) []schema.Property {
	list := []schema.Property{}
	// MariaDB has another word for it in what it keeps of routines and events.
	mode = strings.Replace(strings.Replace(mode, "ALLOW_INVALID_DATES", "INVALID_DATES", 1), "INVALID_DATES", "ALLOW_INVALID_DATES", 1)
	if mode != ddl.DefaultMode(in.mariadb) {
		if mode == "" {
			mode = "none"
		}
		list = append(list, property("sql mode", mode))
	}
	// What the clients of both servers take where nobody chooses is the same to the literals in a program.
	usual := map[string]bool{"utf8mb4_0900_ai_ci": true, "utf8mb4_general_ci": true, "utf8mb4_uca1400_ai_ci": true, "": true}
	if client != "utf8mb4" && client != "" || !usual[connection] {
		list = append(list, property("character set", client), property("collation", connection))
	}
	if database != "" && database != in.collation {
		list = append(list, property("database collation", database))
	}
	return list
}

func (in *inspection) triggersPart() part {
	group, previous := "", ""
	return part{
		name: "triggers",
		query: `SELECT event_object_table, trigger_name, action_timing, event_manipulation, action_statement, definer, sql_mode, character_set_client, collation_connection, database_collation
FROM information_schema.triggers WHERE trigger_schema = DATABASE() ORDER BY event_object_table, action_timing, event_manipulation, action_order`,
		row: func(r []string) {
			r[4] = unterminated(r[4])
			g := r[0] + "." + r[2] + r[3]
			if g != group {
				group, previous = g, ""
			}
			t := in.table(r[0])
			x := &schema.Trigger{
				Name: r[1], Definition: fmt.Sprintf("%s %s FOR EACH ROW %s", r[2], r[3], r[4]),
				Options: append([]schema.Property{property("follows", previous), property(schema.PropertyOwner, in.owner(r[5]))}, in.session(r[6], r[7], r[8], r[9])...),
			}
			t.Triggers = append(t.Triggers, x)
			moment := r[2] + " " + r[3] + " FOR EACH ROW "
			in.spoiled(r[4], shown{"SHOW CREATE TRIGGER " + quote(r[1]), 2, triggerBody, func(body string) { x.Definition = moment + body }})
			previous = r[1]
		},
	}
}

// unterminated takes the semicolon from the end of a body: MySQL keeps it when several statements came at once.
func unterminated(body string) string {
	if t := strings.TrimRight(body, " \t\r\n"); strings.HasSuffix(t, ";") {
		return strings.TrimRight(t, "; \t\r\n")
	}
	return body
}

// routine is a routine whose parameters are being read.
type routine struct {
	kind, name, returns, about, body string
	parameters                       []string
	collation                        string // of the database when it was made
	of                               *schema.Routine
}

func (in *inspection) routinesPart() part {
	return part{
		name: "routines",
		query: `SELECT r.routine_name, r.routine_type, r.is_deterministic, r.sql_data_access, r.security_type, r.routine_definition, r.routine_comment,
  r.definer, r.sql_mode, r.character_set_client, r.collation_connection, r.database_collation
FROM information_schema.routines r WHERE r.routine_schema = DATABASE() ORDER BY r.routine_type, r.routine_name`,
		row: func(r []string) {
			r[5] = unterminated(r[5])
			if r[5] == "" {
				in.hide(schema.KindRoutine, strings.ToLower(r[1])+" "+r[0])
			}
			options := in.session(r[8], r[9], r[10], r[11])
			if strings.HasPrefix(r[1], "PACKAGE") {
				item := in.packageItem(r, options)
				in.schema.Items = append(in.schema.Items, item)
				in.spoiled(r[5], shown{"SHOW CREATE " + r[1] + " " + quote(r[0]), 2, packageBody, func(body string) {
					item.Definition = strings.TrimSuffix(item.Definition, r[5]) + body
				}})
				return
			}
			kind := strings.ToLower(r[1])
			p := &routine{kind: r[1], name: r[0], body: r[5], collation: r[11], of: &schema.Routine{
				Name: kind + " " + r[0], Form: kind, Comment: r[6], Owner: in.owner(r[7]), Options: options,
			}}
			if r[2] == "YES" {
				p.about += "\n    DETERMINISTIC"
			}
			if r[3] != "CONTAINS SQL" {
				p.about += "\n    " + r[3]
			}
			if r[4] == "INVOKER" {
				p.about += "\n    SQL SECURITY INVOKER"
			}
			in.routines[r[1]+" "+r[0]] = p
			in.spoiled(r[5], shown{"SHOW CREATE " + r[1] + " " + quote(r[0]), 2, routineBody, func(body string) { p.body = body }})
			in.schema.Routines = append(in.schema.Routines, p.of)
		},
	}
}

func (in *inspection) packageItem(r []string, options []schema.Property) *schema.Item {
	item := &schema.Item{Of: schema.KindPackage, Name: r[0], Comment: r[6], Owner: in.owner(r[7]), Options: options}
	security := ""
	if r[4] == "INVOKER" {
		security = " SQL SECURITY INVOKER"
	}
	if r[1] == "PACKAGE BODY" {
		item.Name += " body"
		item.Needs = []schema.Key{{Schema: "main", Kind: schema.KindPackage, Name: r[0]}}
	}
	item.Definition = "CREATE " + r[1] + " " + ddl.Quote(r[0]) + security + " " + r[5]
	return item
}

func (in *inspection) parametersPart() part {
	return part{
		name: "parameters",
		query: `SELECT p.specific_name, p.routine_type, p.ordinal_position, p.parameter_mode, p.parameter_name, p.dtd_identifier, p.character_set_name, p.collation_name
FROM information_schema.parameters p WHERE p.specific_schema = DATABASE() ORDER BY p.routine_type, p.specific_name, p.ordinal_position`,
		row: func(r []string) {
			p := in.routines[r[1]+" "+r[0]]
			if p == nil {
				return
			}
			typ, _ := columnType(r[5])
			if r[7] != "" && r[7] != p.collation && r[6] != "binary" {
				typ += " CHARACTER SET " + r[6] + " COLLATE " + r[7]
			}
			switch {
			case r[2] == "0":
				p.returns = typ
			case p.kind == "FUNCTION" && (r[3] == "IN" || r[3] == ""):
				p.parameters = append(p.parameters, ddl.Quote(r[4])+" "+typ)
			case strings.Contains(schema.Value(p.of.Options, "sql mode"), "ORACLE"):
				p.parameters = append(p.parameters, ddl.Quote(r[4])+" "+strings.Replace(r[3], "INOUT", "IN OUT", 1)+" "+typ)
			default:
				p.parameters = append(p.parameters, r[3]+" "+ddl.Quote(r[4])+" "+typ)
			}
		},
	}
}

// finishRoutines writes the statements of the routines.
func (in *inspection) finishRoutines() {
	for _, p := range in.routines {
		kind := p.kind
		if in.mariadb && kind == "FUNCTION" && fetchesRows(p.body) {
			kind, p.of.Form = "AGGREGATE FUNCTION", "aggregate"
		}
		oracle := strings.Contains(schema.Value(p.of.Options, "sql mode"), "ORACLE")
		statement := "CREATE " + kind + " " + ddl.Quote(p.name)
		if !oracle || len(p.parameters) > 0 {
			statement += "(" + strings.Join(p.parameters, ", ") + ")"
		}
		switch {
		case p.returns != "" && oracle:
			statement += " RETURN " + p.returns
		case p.returns != "":
			statement += " RETURNS " + p.returns
		}
		p.of.Definition = statement + p.about + "\n" + p.body
	}
}

// fetchesRows tells whether a function is an aggregate: only those may, and have to, fetch the rows of
// their group.
func fetchesRows(body string) bool {
	var words []string
	for _, t := range scan(body) {
		if t.kind == 'w' {
			words = append(words, strings.ToLower(t.text))
		}
	}
	return strings.Contains(strings.Join(words, " "), "fetch group next row")
}

func (in *inspection) eventsPart() part {
	return part{
		name: "events",
		query: `SELECT event_name, event_definition, event_type, execute_at, interval_value, interval_field, starts, ends, status, on_completion, event_comment,
  definer, time_zone, sql_mode, character_set_client, collation_connection, database_collation
FROM information_schema.events WHERE event_schema = DATABASE() ORDER BY event_name`,
		row: func(r []string) {
			r[1] = unterminated(r[1])
			item := &schema.Item{Of: schema.KindEvent, Name: r[0], Comment: r[10], Owner: in.owner(r[11]), Options: in.session(r[13], r[14], r[15], r[16])}
			if r[12] != "SYSTEM" {
				item.Options = append(item.Options, property("time zone", r[12]))
			}
			item.Definition = event(r)
			in.spoiled(r[1], shown{"SHOW CREATE EVENT " + quote(r[0]), 3, eventBody, func(body string) {
				item.Definition = strings.TrimSuffix(item.Definition, r[1]) + body
			}})
			in.schema.Items = append(in.schema.Items, item)
		},
	}
}

func event(r []string) string {
	s := "CREATE EVENT " + ddl.Quote(r[0]) + " ON SCHEDULE"
	if r[2] == "ONE TIME" {
		s += " AT '" + r[3] + "'"
	} else {
		s += " EVERY " + r[4] + " " + r[5] + " STARTS '" + r[6] + "'"
		if r[7] != "" {
			s += " ENDS '" + r[7] + "'"
		}
	}
	if r[9] == "PRESERVE" {
		s += " ON COMPLETION PRESERVE"
	}
	switch r[8] {
	case "DISABLED":
		s += " DISABLE"
	case "SLAVESIDE_DISABLED", "REPLICA_SIDE_DISABLED":
		s += " DISABLE ON SLAVE"
	}
	return s + " DO\n" + r[1]
}
