package mysql

import (
	"strings"

	"github.com/switchbackdb/switchback/ddl"
	"github.com/switchbackdb/switchback/schema"
)

// DefaultMode is the sql_mode of a server that nobody configured.
func DefaultMode(mariadb bool) string {
	if mariadb {
		return "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION"
	}
	return "ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
}

// unknownMode is the mode of a session of which nothing is known yet. The empty mode is one that is wanted at
// times.
const unknownMode = "unknown"

// session are the settings that a statement runs under, and that a program keeps.
type session struct {
	mode, client, connection, zone string
	database                       string // its collation
}

// of is the session that an object with these options was made under.
func (s *script) of(options []schema.Property) session {
	x := session{mode: DefaultMode(s.mariadb), client: "utf8mb4", zone: "SYSTEM", database: s.usual}
	if v := schema.Value(options, "sql mode"); v != "" {
		x.mode = strings.TrimPrefix(v, "none")
	}
	if v := schema.Value(options, "character set"); v != "" {
		x.client = v
	}
	x.connection = schema.Value(options, "collation")
	if v := schema.Value(options, "time zone"); v != "" {
		x.zone = v
	}
	if v := schema.Value(options, "database collation"); v != "" {
		x.database = v
	}
	return x
}

// become are the statements that make one session another.
func (s session) become(to session) []ddl.Statement {
	var out []ddl.Statement
	add := func(sql, comment string) { out = append(out, ddl.Statement{SQL: sql, Comment: comment}) }
	if s.database != to.database {
		add("ALTER DATABASE CHARACTER SET "+charset(to.database)+" COLLATE "+to.database, "What follows was made under this collation of the database, and keeps it.")
	}
	if s.client != to.client || s.connection != to.connection {
		sql := "SET NAMES " + to.client
		if to.connection != "" && charset(to.connection) == to.client {
			sql += " COLLATE " + to.connection
		}
		add(sql, "")
		if to.connection != "" && charset(to.connection) != to.client {
			add("SET collation_connection = "+to.connection, "")
		}
	}
	if s.mode != to.mode {
		add("SET sql_mode = '"+to.mode+"'", "")
	}
	if s.zone != to.zone {
		add("SET time_zone = "+Literal(to.zone), "")
	}
	return out
}

// charset is the character set of a collation: its name begins with it.
func charset(collation string) string {
	name, _, _ := strings.Cut(collation, "_")
	return name
}
