package scratch

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
)

// serverWide are the kinds of objects that belong to a whole server, behind CREATE, ALTER and DROP.
var serverWide = map[migrate.Engine][]string{
	migrate.Postgres: {"ROLE", "USER", "GROUP", "DATABASE", "TABLESPACE", "SYSTEM", "SUBSCRIPTION"},
	migrate.MySQL:    {"USER", "ROLE", "DATABASE", "SCHEMA", "TABLESPACE", "SERVER", "INSTANCE", "RESOURCE", "LOGFILE"},
}

// serverOwn are databases that every server has and that a statement may read.
var serverOwn = []string{"information_schema", "performance_schema", "mysql", "sys"}

// Reach says which of the statements reaches beyond this database, and what it reaches: nothing keeps that from what
// else is on the server, which need not be a scratch one. at is -1 where none does.
func (d *Database) Reach(ctx context.Context, statements []string) (at int, what string, err error) {
	engine := d.Dialect().Engine
	others, err := d.others(ctx)
	if err != nil {
		return -1, "", err
	}
	for i, s := range statements {
		if what := reach(engine, sqltoken.Split(s, sqltoken.Of(string(engine))), others); what != "" && (!d.Alone || engine == migrate.SQLite) {
			return i, what, nil
		}
	}
	return -1, "", nil
}

// others are the databases beside this one that a statement could name.
func (d *Database) others(ctx context.Context) ([]string, error) {
	if e := d.Dialect().Engine; e == migrate.Postgres || e == migrate.SQLite {
		return nil, nil // it reaches no other there
	}
	conn, err := d.DB().Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	names, err := queryNames(ctx, conn, "SHOW DATABASES")
	if err != nil {
		return nil, fmt.Errorf("list the databases of the scratch server: %w", err)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return name == d.Name() || slices.Contains(serverOwn, strings.ToLower(name))
	}), nil
}

// reach says what beyond its database a statement reaches; nothing for what it does not.
func reach(engine migrate.Engine, list []sqltoken.Token, others []string) string {
	is := func(i int, words ...string) bool {
		return i < len(list) && slices.ContainsFunc(words, list[i].Is)
	}
	if engine == migrate.SQLite {
		if is(0, "ATTACH") || is(0, "VACUUM") && slices.ContainsFunc(list, func(t sqltoken.Token) bool { return t.Is("INTO") }) {
			return "another file"
		}
		return ""
	}
	family := engine
	if engine == migrate.MariaDB {
		family = migrate.MySQL
	}
	kind := 1
	if is(1, "OR") {
		kind = 3
	}
	switch {
	case family == migrate.MySQL && is(0, "ALTER") && is(1, "DATABASE", "SCHEMA") && is(2, "DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "COMMENT"):
		return "" // of the database that is in use
	case is(0, "CREATE", "ALTER", "DROP") && is(kind, serverWide[family]...) && !(is(1, "USER") && is(2, "MAPPING")):
		return "the server's " + strings.ToUpper(list[kind].Raw)
	case family == migrate.MySQL && is(0, "SET") && is(1, "GLOBAL", "PERSIST", "PERSIST_ONLY"),
		family == migrate.MySQL && is(0, "INSTALL", "UNINSTALL", "FLUSH", "SHUTDOWN", "KILL", "RESET", "PURGE", "GRANT", "REVOKE", "RENAME") && (!is(0, "RENAME") || is(1, "USER")):
		return "the whole server"
	case family == migrate.Postgres && is(0, "GRANT", "REVOKE") && !slices.ContainsFunc(list, func(t sqltoken.Token) bool { return t.Is("ON") }):
		return "the server's roles"
	case family == migrate.MySQL && is(0, "USE"):
		return "another database"
	}
	for i := 0; i+2 < len(list); i++ {
		if list[i].IsName() && list[i+1].IsSign(".") && slices.Contains(others, list[i].Name) && (i == 0 || !list[i-1].IsSign(".")) {
			return "the database " + list[i].Name
		}
	}
	return ""
}
