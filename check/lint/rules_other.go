package lint

import (
	"strings"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/migrate"
)

// securityRules are about who may do what.
func securityRules() []Rule {
	return []Rule{
		{
			Name: "security-definer-without-search-path", Severity: check.Warning, Summary: "a function with its owner's rights and the caller's search path",
			Why: "A caller who puts a schema of their own first in the search path has the function run what they like with the owner's rights",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Bad:    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';",
				Good:   "CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT 1';",
			}},
			statement: func(s *statement) []hit {
				if strings.HasPrefix(s.verb, "CREATE ") && s.has("SECURITY", "DEFINER") && !s.has("SET", "search_path") {
					return one("", "runs with its owner's rights on the caller's search path")
				}
				return nil
			},
		},
		{
			Name: "extension-version-floats", Severity: check.Note, Summary: "an extension in whatever version the server has",
			Why: "Staging and production get what their packages bring, so that functions and types may differ between them",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Bad:    "CREATE EXTENSION pg_trgm;",
				Good:   "CREATE EXTENSION pg_trgm VERSION '1.6';",
			}},
			statement: func(s *statement) []hit {
				if s.verb == "CREATE EXTENSION" && !s.has("VERSION") || s.verb == "ALTER EXTENSION" && s.has("UPDATE") && !s.has("UPDATE", "TO") {
					return one("", "the version is whatever the server has")
				}
				return nil
			},
		},
		{
			Name: "grants-to-public", Severity: check.Warning, Summary: "grants something to everybody",
			Why: "PUBLIC is every role there is and will be",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Bad:    "GRANT SELECT ON users TO PUBLIC;",
				Good:   "GRANT SELECT ON users TO pg_monitor;",
			}},
			statement: func(s *statement) []hit {
				if len(s.tokens) > 0 && s.tokens[0].Is("GRANT") && s.has("TO", "PUBLIC") {
					return one("", "grants to everybody")
				}
				return nil
			},
		},
	}
}

// secondEngineRules are about MySQL and MariaDB.
func secondEngineRules() []Rule {
	return []Rule{
		{
			Name: "charset-mixes", Severity: check.Warning, Summary: "a character set that does not hold all characters",
			Why: "Joining with a column of another character set cannot use an index, and characters that it does not hold are lost or refused",
			Examples: on(Example{
				Bad:  "ALTER TABLE users ADD COLUMN nick varchar(50) CHARACTER SET latin1;",
				Good: "ALTER TABLE users ADD COLUMN nick varchar(50) CHARACTER SET utf8mb4;",
			}, migrate.MySQL, migrate.MariaDB),
			statement: func(s *statement) []hit {
				if s.verb != "ALTER TABLE" && s.verb != "CREATE TABLE" {
					return nil
				}
				w := words(s.tokens)
				for i := range w {
					behind := w[i:]
					switch {
					case behind.begin("CHARACTER", "SET"):
						behind = behind[2:]
					case behind.begin("CHARSET"):
						behind = behind[1:]
					default:
						continue
					}
					if behind = behind.skip("="); len(behind) > 0 && anyOf(behind[:1], "latin1", "utf8", "utf8mb3", "ascii", "ucs2", "cp1252") {
						return one("table "+s.table, "character set "+behind[0].Raw+", not utf8mb4")
					}
				}
				return nil
			},
		},
		{
			Name: "non-innodb-table", Severity: check.Warning, Summary: "a table without transactions",
			fix: innoDB,
			Why: "Its rows take no part in transactions and may be lost in a crash, so that neither a backfill nor a rollback can be trusted with it",
			Examples: on(Example{
				Bad:  "CREATE TABLE visits (id bigint PRIMARY KEY) ENGINE=MyISAM;",
				Good: "CREATE TABLE visits (id bigint PRIMARY KEY) ENGINE=InnoDB;",
			}, migrate.MySQL, migrate.MariaDB),
			statement: func(s *statement) []hit {
				if s.verb != "ALTER TABLE" && s.verb != "CREATE TABLE" {
					return nil
				}
				w := words(s.tokens)
				i := w.find("ENGINE")
				if i < 0 {
					return nil
				}
				if w = w[i+1:].skip("="); len(w) == 0 || w[0].Is("InnoDB") {
					return nil
				}
				return one("table "+s.table, "table "+s.table+" is kept by "+w[0].Raw)
			},
		},
		{
			Name: "implicit-commit-half-done", Severity: check.Warning, Summary: "several statements that commit by themselves in one migration",
			Why: "When the second fails the first stays, and the tool that this migration is for cannot run it again. Switchback journals each statement and resumes",
			Examples: on(Example{
				Foreign: true, Before: ordersBefore,
				Bad:  "SET lock_wait_timeout = 2;\nALTER TABLE users ADD COLUMN nick text;\nALTER TABLE orders ADD COLUMN note text;",
				Good: "SET lock_wait_timeout = 2;\nALTER TABLE users ADD COLUMN nick text;",
			}, migrate.MySQL, migrate.MariaDB),
			script: func(s *script) []hit {
				n := 0
				for _, st := range s.statements {
					if st.verb == "ALTER TABLE" || strings.HasPrefix(st.verb, "CREATE ") || strings.HasPrefix(st.verb, "DROP ") {
						n++
					}
					if n == 2 && s.Foreign {
						return []hit{{message: "a failure here leaves the statements before it done", line: st.line}}
					}
				}
				return nil
			},
		},
	}
}

// scriptRules are about scripts as a whole.
func scriptRules() []Rule {
	return []Rule{{
		Name: "rollback-missing", Severity: check.Error, Summary: "there is no script that takes the change back",
		Why: "A release that has to go back stops half way; where there is no way back, change.yaml says why with irreversible:",
		Examples: on(Example{
			OneWay: true,
			Bad:    "ALTER TABLE users ADD COLUMN nick text;",
			Good:   "ALTER TABLE users ADD COLUMN nick text;",
		}, migrate.Engines()...),
		script: func(s *script) []hit {
			if s.Back || !s.OneWay {
				return nil
			}
			return []hit{{message: "nothing takes this script back", line: 1, rewrite: "write the script that undoes it beside this one, or say why there is none"}}
		},
	}}
}
