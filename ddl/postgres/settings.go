package postgres

import (
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/schema"
)

// inDatabase runs a statement that names the database, whatever that is called where the script runs.
// %I in the text stands for its name.
func inDatabase(format string) ddl.Statement {
	return ddl.Statement{SQL: "DO $do$ BEGIN EXECUTE format(" + Literal(format) + ", current_database()); END $do$"}
}

// escape keeps text from being taken for a place in a format.
func escape(text string) string { return strings.ReplaceAll(text, "%", "%%") }

func (p *plan) setSetting(s *schema.Setting) []ddl.Statement {
	if s.Fixed {
		p.notes = append(p.notes, "The database's "+s.Name+" has to be "+s.Value+": it is chosen when a database is made, and no script can change it.")
		return nil
	}
	switch {
	case s.Name == "comment":
		return []ddl.Statement{inDatabase("COMMENT ON DATABASE %I IS " + escape(Literal(s.Value)))}
	case s.Name == "connection limit":
		return []ddl.Statement{inDatabase("ALTER DATABASE %I CONNECTION LIMIT " + s.Value)}
	case strings.HasPrefix(s.Name, "privileges of "):
		who := databaseGrantee(s)
		list := []ddl.Statement{inDatabase("REVOKE ALL ON DATABASE %I FROM " + who)}
		if s.Value != "none" {
			list = append(list, inDatabase("GRANT "+s.Value+" ON DATABASE %I TO "+who))
		}
		return list
	}
	head, name := settingHead(s)
	return []ddl.Statement{inDatabase(head + " SET " + settingName(name) + " TO " + escape(settingValue(name, s.Value)))}
}

// settingValue writes a value; that of a setting which is a list is a list already.
func settingValue(name, value string) string {
	switch name {
	case "search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries", "shared_preload_libraries", "unix_socket_directories", "datestyle":
		if value != "" {
			return value
		}
	}
	return Literal(value)
}

// settingName writes a setting's name, which may be that of an extension: "ext.name".
func settingName(name string) string {
	parts := strings.Split(name, ".")
	for i := range parts {
		parts[i] = escape(Identifier(parts[i]))
	}
	return strings.Join(parts, ".")
}

func databaseGrantee(s *schema.Setting) string {
	who := strings.TrimPrefix(s.Name, "privileges of ")
	if who == "public" {
		return "PUBLIC"
	}
	return Identifier(who)
}

func settingHead(s *schema.Setting) (head, name string) {
	name, role, ok := strings.Cut(strings.TrimPrefix(s.Name, "set "), " for role ")
	if ok {
		return "ALTER ROLE " + escape(Identifier(role)) + " IN DATABASE %I", name
	}
	return "ALTER DATABASE %I", name
}

func dropSetting(s *schema.Setting) []ddl.Statement {
	if s.Fixed {
		return nil
	}
	var list []ddl.Statement
	switch {
	case s.Name == "comment":
		list = []ddl.Statement{inDatabase("COMMENT ON DATABASE %I IS NULL")}
	case s.Name == "connection limit":
		list = []ddl.Statement{inDatabase("ALTER DATABASE %I CONNECTION LIMIT -1")}
	case s.Name == "privileges of public":
		list = []ddl.Statement{inDatabase("GRANT CONNECT, TEMPORARY ON DATABASE %I TO PUBLIC")}
	case strings.HasPrefix(s.Name, "privileges of "):
		list = []ddl.Statement{inDatabase("REVOKE ALL ON DATABASE %I FROM " + databaseGrantee(s))}
	default:
		head, name := settingHead(s)
		list = []ddl.Statement{inDatabase(head + " RESET " + settingName(name))}
	}
	list[0].Comment, list[0].Destroys = "The setting is as the server has it.", true
	return list
}

// createSchema makes a schema. "public" is there in a new database, and has rights of its own.
func createSchema(s *schema.Schema) []ddl.Statement {
	if s.Name != "public" {
		return one("CREATE SCHEMA " + Identifier(s.Name))
	}
	list := []ddl.Statement{
		{SQL: "CREATE SCHEMA IF NOT EXISTS public", Comment: "A new database has it already."},
		{SQL: "GRANT USAGE ON SCHEMA public TO PUBLIC"},
	}
	if s.Owner == "" {
		list = append(list, one("ALTER SCHEMA public OWNER TO pg_database_owner")...)
	}
	return list
}

// RoleSetting is the statement that sets something for the sessions of a role in whichever database.
func RoleSetting(role, name, value string) string {
	return "ALTER ROLE " + Identifier(role) + " SET " + settingName(name) + " TO " + settingValue(name, value)
}
