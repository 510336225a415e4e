package lint

import (
	"strconv"
	"strings"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
)

// The bounds of InnoDB and of the rows of any table of MySQL and MariaDB.
const (
	mostRowBytes = 65535
	bytesPerChar = 4 // of utf8mb4
	longWait     = 60
)

// familyRules are about what MySQL and MariaDB alone have.
func familyRules() []Rule {
	return []Rule{
		{
			Name: "metadata-lock-wait", Severity: check.Warning, Summary: "waits long for, or keeps, the lock of a table's structure",
			Why: "While a statement waits for the metadata lock everybody else who comes to the table waits behind it, readers too. Switchback waits shortly and tries again",
			Examples: on(Example{
				Before: usersBefore,
				Bad:    "SET lock_wait_timeout = 86400;\nALTER TABLE users ADD COLUMN nick text;", Good: "SET lock_wait_timeout = 2;\nALTER TABLE users ADD COLUMN nick text;",
			}, migrate.MySQL, migrate.MariaDB),
			statement: func(s *statement) []hit {
				w := words(s.tokens)
				if w.begin("LOCK", "TABLES") || w.begin("LOCK", "TABLE") {
					return one("", "keeps tables locked until the session ends; the directive together does it with a short wait")
				}
				i := w.find("lock_wait_timeout", "=")
				if i < 0 || i+2 >= len(w) {
					return nil
				}
				if n, err := strconv.Atoi(w[i+2].Raw); err == nil && n <= longWait {
					return nil
				}
				return one("", "waits for locks up to "+w[i+2].Raw+" seconds, and everybody behind it")
			},
		},
		{
			Name: "instant-versions-exhausted", Severity: check.Note, Summary: "changes a table's columns in several steps",
			Why: "Each ALTER TABLE that adds or drops a column with ALGORITHM=INSTANT takes one of the 64 row versions that a table has until it is written anew; after those it is refused. One statement takes one",
			Examples: on(Example{
				Before: usersBefore,
				Bad:    "ALTER TABLE users ADD COLUMN nick varchar(40), ALGORITHM=INSTANT;\nALTER TABLE users ADD COLUMN motto varchar(40), ALGORITHM=INSTANT;",
				Good:   "ALTER TABLE users ADD COLUMN nick varchar(40), ADD COLUMN motto varchar(40), ALGORITHM=INSTANT;",
			}, migrate.MySQL),
			statement: func(s *statement) []hit {
				if s.script.engine != migrate.MySQL || !s.versions() {
					return nil
				}
				for _, before := range s.script.statements[:s.number] {
					if before.versions() && sameName(before.table, s.table) {
						return one("table "+s.table, "takes another row version of table "+s.table)
					}
				}
				return nil
			},
		},
		{
			Name: "definer-missing", Severity: check.Warning, Summary: "names the account whose rights an object runs with",
			Why: "Where the target has no such account the object is made, and fails when it is used; dumps carry the accounts of the server they come from",
			Examples: on(Example{
				Before: usersBefore,
				Bad:    "CREATE DEFINER = 'deploy'@'%' VIEW names AS SELECT name FROM users;", Good: "CREATE SQL SECURITY INVOKER VIEW names AS SELECT name FROM users;",
			}, migrate.MySQL, migrate.MariaDB),
			statement: func(s *statement) []hit {
				w := words(s.tokens)
				i := w.find("DEFINER", "=")
				if i < 0 || i+2 >= len(w) || !w.begin("CREATE") && !w.begin("ALTER") || w[i+2].Is("CURRENT_USER") || w[i+2].Is("CURRENT_ROLE") {
					return nil
				}
				return one("", "runs with the rights of "+w[i+2].Name+", an account that the target may not have")
			},
		},
		columnRule("zero-date-default", check.Warning, "a date that is none",
			"A server with NO_ZERO_DATE, which is the standard of MySQL, refuses it, and so does whoever copies the rows to another engine",
			on(Example{
				Before: usersBefore, Bad: "SET sql_mode = '';\nALTER TABLE users ADD COLUMN seen datetime NOT NULL DEFAULT '0000-00-00 00:00:00';",
				Good: "ALTER TABLE users ADD COLUMN seen datetime;",
			}, migrate.MySQL, migrate.MariaDB),
			func(c column) string {
				if i := c.rest.find("DEFAULT"); i >= 0 && i+1 < len(c.rest) && c.rest[i+1].Kind == sqltoken.Text && strings.HasPrefix(c.rest[i+1].Name, "0000-00-00") {
					return "the default of column " + c.name + " is no date"
				}
				return ""
			}),
		{
			Name: "row-too-large", Severity: check.Error, Summary: "a row that is longer than the server takes",
			Why: "All columns but texts and blobs together may have 65,535 bytes, and a character of utf8mb4 counts as four: the statement is refused",
			Examples: on(Example{
				Refused: true,
				Bad:     "CREATE TABLE pages (id bigint PRIMARY KEY, title varchar(9000), body varchar(9000));", Good: "CREATE TABLE pages (id bigint PRIMARY KEY, title varchar(9000), body mediumtext);",
			}, migrate.MySQL, migrate.MariaDB),
			statement: func(s *statement) []hit {
				if s.verb != "CREATE TABLE" || anyOf(s.tokens, "latin1", "ascii", "binary", "cp1252", "utf8mb3", "utf8", "ucs2") {
					return nil // characters are of other lengths
				}
				bytes := 0
				for _, c := range s.columns {
					bytes += rowBytes(c.rest)
				}
				if bytes <= mostRowBytes {
					return nil
				}
				return one("table "+s.table, "a row of table "+s.table+" may have "+strconv.Itoa(bytes)+" bytes")
			},
		},
	}
}

// rowBytes is the least that a column of text takes of a row's length. Others are short.
func rowBytes(typ words) int {
	var per int
	switch {
	case typ.begin("VARCHAR"):
		per = bytesPerChar
	case typ.begin("VARBINARY"):
		per = 1
	default:
		return 0
	}
	if len(typ) < 4 || !typ[1].IsSign("(") {
		return 0
	}
	n, err := strconv.Atoi(typ[2].Raw)
	if err != nil {
		return 0
	}
	return n * per
}

// versions tells whether a statement adds or drops a column where the server is told to take the instant way.
func (s *statement) versions() bool {
	if !s.plain() || !s.has("ALGORITHM", "=", "INSTANT") {
		return false
	}
	if len(s.columns) > 0 {
		return true
	}
	for _, a := range s.actions {
		if a.begin("DROP", "COLUMN") {
			return true
		}
	}
	return false
}
