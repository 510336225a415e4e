package source

import (
	"fmt"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
)

// verdict is what becomes of a statement in a scratch database.
type verdict struct {
	sql  string // what is run; empty for nothing
	why  string // why it is left out, for the notes; empty when nothing needs saying
	note bool   // a note is made
}

func run(sql string) verdict  { return verdict{sql: sql} }
func skip(why string) verdict { return verdict{why: why, note: true} }

// Why statements are left out.
const (
	aboutRows   = "about rows, which are no part of a schema"
	aboutRoles  = "about owners, grants and roles, which a scratch does not have"
	aboutBases  = "that make, drop or choose a database: all of it is run in the scratch"
	aboutServer = "about the server, which a scratch leaves as it is"
	aboutPeers  = "about subscriptions, which would connect to another server"
)

// starts tells whether a statement starts with these keywords. One that is written as a|b stands for
// either.
func starts(tokens []token, keywords ...string) bool {
	if len(tokens) < len(keywords) {
		return false
	}
	for i, k := range keywords {
		if !isOne(tokens[i], k) {
			return false
		}
	}
	return true
}

func isOne(t token, keywords string) bool {
	for _, k := range strings.Split(keywords, "|") {
		if t.is(k) {
			return true
		}
	}
	return false
}

// judge decides about a statement.
func (c *client) judge(p piece) (verdict, error) {
	switch c.engine {
	case migrate.Postgres:
		return c.judgePostgres(p), nil
	case migrate.SQLite:
		return c.judgeSQLite(p)
	}
	return c.judgeMySQL(p)
}

func (c *client) judgePostgres(p piece) verdict {
	t := p.tokens
	n := len(t)
	switch {
	case isRows(t), starts(t, "SELECT", "SETVAL"), starts(t, "SELECT", "PG_CATALOG") && n > 3 && t[3].is("SETVAL"):
		return skip(aboutRows)
	case starts(t, "ALTER") && n > 3 && t[n-3].is("OWNER") && t[n-2].is("TO"),
		starts(t, "GRANT|REVOKE|REASSIGN"),
		starts(t, "ALTER", "DEFAULT", "PRIVILEGES"),
		starts(t, "CREATE|ALTER|DROP", "ROLE|GROUP"),
		starts(t, "CREATE|ALTER|DROP", "USER") && !starts(t[1:], "USER", "MAPPING"),
		starts(t, "SET", "ROLE"), starts(t, "SET", "SESSION", "AUTHORIZATION"),
		starts(t, "COMMENT", "ON", "ROLE"):
		return skip(aboutRoles)
	case starts(t, "CREATE|DROP", "DATABASE"):
		return skip(aboutBases)
	case starts(t, "ALTER", "DATABASE") && n > 3 && isOne(t[3], "SET|RESET") && !starts(t[3:], "SET", "TABLESPACE"):
		return run(splice(p.text, t[2], quotePostgres(c.db.Name())))
	case starts(t, "COMMENT", "ON", "DATABASE") && n > 3:
		return run(splice(p.text, t[3], quotePostgres(c.db.Name())))
	case starts(t, "ALTER", "SYSTEM|DATABASE"), starts(t, "CREATE|ALTER|DROP|COMMENT", "TABLESPACE"), starts(t, "COMMENT", "ON", "TABLESPACE"):
		return skip(aboutServer)
	case starts(t, "CREATE|ALTER|DROP", "SUBSCRIPTION"), starts(t, "COMMENT", "ON", "SUBSCRIPTION"):
		return skip(aboutPeers)
	case starts(t, "CREATE", "SCHEMA"):
		return run(withoutAuthorization(p))
	}
	return run(p.text)
}

// withoutAuthorization takes the owner out of CREATE SCHEMA name AUTHORIZATION owner. Where the schema has
// its name from the owner, that stays.
func withoutAuthorization(p piece) string {
	for i, t := range p.tokens {
		if !t.is("AUTHORIZATION") || i+1 == len(p.tokens) {
			continue
		}
		from, to := t.start, p.tokens[i+1].end
		if before := p.tokens[i-1]; before.is("SCHEMA") || before.is("EXISTS") {
			to = p.tokens[i+1].start
		}
		return p.text[:from] + p.text[to:]
	}
	return p.text
}

// splice replaces a token.
func splice(sql string, t token, by string) string { return sql[:t.start] + by + sql[t.end:] }

func (c *client) judgeSQLite(p piece) (verdict, error) {
	t := p.tokens
	switch {
	case starts(t, "INSERT", "INTO", "SQLITE_SCHEMA|SQLITE_MASTER"):
		return run(virtualTable(t)), nil
	case starts(t, "INSERT", "INTO", "SQLITE_SEQUENCE"), starts(t, "DELETE", "FROM", "SQLITE_SEQUENCE"), starts(t, "PRAGMA", "WRITABLE_SCHEMA"):
		return verdict{}, nil
	case isRows(t):
		return skip(aboutRows), nil
	case starts(t, "ATTACH|DETACH"), starts(t, "VACUUM") && len(t) > 1:
		return verdict{}, &FileError{File: c.file, Line: errorLine(p, nil), Reason: "leaves the scratch database: " + shorten(p), Next: "take the statement out"}
	case starts(t, "VACUUM|ANALYZE|REINDEX"):
		return verdict{}, nil
	}
	return run(p.text), nil
}

// virtualTable is the statement that makes a virtual table, out of the one by which a dump of the sqlite3
// shell writes it into the catalogue: INSERT INTO sqlite_schema … VALUES('table','t','t',0,'CREATE …').
func virtualTable(tokens []token) string {
	for i := len(tokens) - 1; i >= 0; i-- {
		if t := tokens[i]; t.kind == text && len(t.text) >= 2 {
			return strings.ReplaceAll(t.text[1:len(t.text)-1], "''", "'")
		}
	}
	return ""
}

func (c *client) judgeMySQL(p piece) (verdict, error) {
	t := p.tokens
	switch {
	case starts(t, "USE") && len(t) > 1:
		name, _ := t[1].name()
		c.enter(name)
		return skip(aboutBases), nil
	case starts(t, "DROP", "DATABASE|SCHEMA"):
		return skip(aboutBases), nil
	case starts(t, "CREATE|ALTER", "DATABASE|SCHEMA"):
		return c.characterSet(p), nil
	case starts(t, "GRANT|REVOKE"), starts(t, "CREATE|ALTER|DROP|RENAME", "USER|ROLE"), starts(t, "SET", "ROLE|PASSWORD|DEFAULT"):
		return skip(aboutRoles), nil
	case starts(t, "LOCK|UNLOCK", "TABLES|TABLE"):
		return verdict{}, nil
	case starts(t, "FLUSH|SHUTDOWN|KILL|RESET|PURGE|CHANGE|START|STOP|INSTALL|UNINSTALL|RESTART|CLONE|BINLOG") && !starts(t, "START", "TRANSACTION"),
		starts(t, "SET") && setsServer(t),
		starts(t, "CREATE|ALTER|DROP", "TABLESPACE|UNDO|LOGFILE|SERVER|INSTANCE"):
		return skip(aboutServer), nil
	case isRows(t):
		return skip(aboutRows), nil
	}
	if name := c.elsewhere(t); name != "" {
		return verdict{}, &FileError{
			File: c.file, Line: errorLine(p, nil),
			Reason: fmt.Sprintf("%s: it works on the database %s of the scratch's server, and a file is kept to the scratch", shorten(p), name),
			Next:   "take the name of the database out, or use a server without it: " + scratchAdvice(c.engine),
		}
	}
	return run(c.renamed(p)), nil
}

// setsServer tells whether a SET is one of the whole server.
func setsServer(tokens []token) bool {
	for _, t := range tokens {
		if isOne(t, "GLOBAL|PERSIST|PERSIST_ONLY") {
			return true
		}
	}
	return false
}

// characterSet makes the scratch's defaults those that a file wants for the database it makes.
func (c *client) characterSet(p piece) verdict {
	at := 2
	if starts(p.tokens[at:], "IF", "NOT", "EXISTS") {
		at += 3
		// In a dump these words are a conditional comment, whose end is still there.
		for at < len(p.tokens) && p.tokens[at].kind == symbol {
			at++
		}
	}
	if at >= len(p.tokens) {
		return skip(aboutBases)
	}
	name, _ := p.tokens[at].name()
	if p.tokens[0].is("CREATE") {
		c.own[strings.ToLower(name)] = true
	}
	rest := p.text[p.tokens[at].end:]
	if at+1 >= len(p.tokens) {
		return skip(aboutBases)
	}
	return verdict{sql: "ALTER DATABASE " + quoteMySQL(c.db.Name()) + rest, why: aboutBases, note: p.tokens[0].is("CREATE")}
}

// renamed puts the scratch's name where the file names its own database.
func (c *client) renamed(p piece) string {
	var b strings.Builder
	last := 0
	for i, t := range p.tokens {
		name, ok := t.name()
		if !ok || i+1 == len(p.tokens) || p.tokens[i+1].text != "." || i > 0 && p.tokens[i-1].text == "." || !c.own[strings.ToLower(name)] {
			continue
		}
		b.WriteString(p.text[last:t.start] + quoteMySQL(c.db.Name()))
		last = t.end
	}
	return b.String() + p.text[last:]
}

// elsewhere returns the database other than the scratch that a statement would change: the one that the
// name of its object is qualified with, where the server has such a database.
func (c *client) elsewhere(tokens []token) string {
	if !starts(tokens, "CREATE|ALTER|DROP|RENAME|CALL|ANALYZE|OPTIMIZE|REPAIR") {
		return ""
	}
	for i, t := range tokens {
		if t.text == "(" && t.kind == symbol || i > 0 && isOne(t, "AS|SELECT|BEGIN") {
			return ""
		}
		name, ok := t.name()
		if !ok || i+1 == len(tokens) || tokens[i+1].text != "." || c.own[strings.ToLower(name)] {
			continue
		}
		if c.others[strings.ToLower(name)] {
			return name
		}
	}
	return ""
}

func quotePostgres(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteMySQL(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
