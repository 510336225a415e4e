package lint

import (
	"strings"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/migrate"
)

// keptRules are about what a script leaves out that was there before it: values of an enum, what hangs on a view or a
// table, what a value said.
func keptRules() []Rule {
	return []Rule{
		{
			Name: "removes-enum-value", Severity: check.Warning, Summary: "takes a value of an enum away, or its name",
			Why: "Rows that have it are in the way or lose it, and the running version of the application still writes and asks for it",
			Examples: append(
				on(Example{
					Before: "CREATE TYPE mood AS ENUM ('glad', 'sad');",
					Bad:    "ALTER TYPE mood RENAME VALUE 'sad' TO 'low';", Good: "ALTER TYPE mood ADD VALUE 'low';",
				}, migrate.Postgres),
				on(Example{
					Before: "CREATE TABLE users (id bigint PRIMARY KEY, mood enum('glad', 'sad'));", Also: []string{"changes-type-in-place"},
					Bad: "ALTER TABLE users MODIFY COLUMN mood enum('glad');", Good: "ALTER TABLE users MODIFY COLUMN mood enum('glad', 'sad', 'low'), ALGORITHM=INSTANT;",
				}, migrate.MySQL, migrate.MariaDB)...),
			statement: func(s *statement) []hit {
				if !s.script.early() {
					return nil
				}
				if s.verb == "ALTER TYPE" && s.has("RENAME", "VALUE") {
					return one("", "the value is gone under its old name")
				}
				return eachAction(func(s *statement, a words) []hit {
					column, typ := retyped(s, a) // of one that the server takes as INSTANT values are only added
					if column == "" || !typ.begin("ENUM") && !typ.begin("SET") {
						return nil
					}
					return one("column "+s.table+"."+column, "values that column "+column+" had and that are not in the list are taken away")
				})(s)
			},
		},
		{
			Name: "view-dependents-dropped", Severity: check.Note, Summary: "drops a view to make it again",
			Why: "Grants on the view, its comment and its triggers are gone with it, and views that stand on it are in the way",
			Examples: on(Example{
				Before: "CREATE VIEW totals AS SELECT 1 AS n;",
				Bad:    "DROP VIEW totals;\nCREATE VIEW totals AS SELECT 1 AS n, 2 AS more;", Good: "CREATE OR REPLACE VIEW totals AS SELECT 1 AS n, 2 AS more;",
			}, migrate.Postgres, migrate.MySQL, migrate.MariaDB),
			statement: func(s *statement) []hit {
				if s.verb != "CREATE VIEW" || !s.script.forward() || s.has("OR", "REPLACE") {
					return nil
				}
				w := words(s.tokens)
				name, _ := w[w.find("VIEW")+1:].skip("IF", "NOT", "EXISTS").name()
				for _, later := range s.script.statements[s.number+1:] {
					if later.has("GRANT") && later.has("ON") && mentionsName(later, name) {
						return nil
					}
				}
				for _, before := range s.script.statements[:s.number] {
					if before.verb != "DROP VIEW" {
						continue
					}
					for _, part := range words(before.tokens)[2:].skip("IF", "EXISTS").split() {
						if dropped, _ := part.name(); sameName(dropped, name) {
							return one("view "+name, "view "+name+" is made anew without what hung on it")
						}
					}
				}
				return nil
			},
		},
		{
			Name: "lossy-conversion", Severity: check.Warning, Summary: "converts values in place, and keeps none of the old ones",
			Why: "What the conversion cuts off or cannot write is gone, and no rollback script brings it back; switchback plan --op 'change type …' keeps the old column until purge",
			Examples: append(
				on(Example{
					Before: "CREATE TABLE users (id bigint PRIMARY KEY, height numeric);", Also: []string{"changes-type-in-place"},
					Bad: "ALTER TABLE users ALTER COLUMN height TYPE int USING round(height)::int;", Good: "ALTER TABLE users ADD COLUMN height_rounded int;",
				}, migrate.Postgres),
				on(Example{
					Before: "CREATE TABLE users (id bigint PRIMARY KEY, name varchar(100)) CHARACTER SET utf8mb4;",
					Bad:    "ALTER TABLE users CONVERT TO CHARACTER SET latin1;", Good: "ALTER TABLE users ADD COLUMN name_plain varchar(100);", Also: []string{"charset-mixes"},
				}, migrate.MySQL, migrate.MariaDB)...),
			statement: eachAction(func(s *statement, a words) []hit {
				if !s.script.forward() {
					return nil
				}
				if column, typ := retyped(s, a); typ.has("USING") && !ours(column) {
					return one("column "+s.table+"."+column, "column "+column+" keeps only what its conversion gives")
				}
				if a.begin("CONVERT", "TO") && !anyOf(a, "utf8mb4", "uca1400", "DEFAULT") {
					return one("table "+s.table, "texts of table "+s.table+" keep only the characters that the new set has")
				}
				return nil
			}),
		},
		{
			Name: "sqlite-rebuild-loses-trigger", Severity: check.Warning, Summary: "writes a table anew without its triggers",
			Why: "DROP TABLE takes the table's triggers and indexes along, and the table that gets its name has none; switchback plan writes them again",
			Examples: []Example{{
				Engine: migrate.SQLite,
				Before: "CREATE TABLE users (id integer PRIMARY KEY, name text);\nCREATE TABLE log (id integer PRIMARY KEY, what text);\nCREATE TRIGGER logged AFTER INSERT ON users BEGIN INSERT INTO log (what) VALUES ('in'); END;",
				Bad: `-- switchback:foreign-keys off
CREATE TABLE users_new (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO users_new SELECT id, name FROM users;
DROP TABLE users;
ALTER TABLE users_new RENAME TO users;`,
				Good: `-- switchback:foreign-keys off
CREATE TABLE users_new (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO users_new SELECT id, name FROM users;
DROP TABLE users;
ALTER TABLE users_new RENAME TO users;
CREATE TRIGGER logged AFTER INSERT ON users BEGIN INSERT INTO log (what) VALUES ('in'); END;`,
			}},
			statement: func(s *statement) []hit {
				if s.script.engine != migrate.SQLite || s.verb != "DROP TABLE" || !s.script.forward() {
					return nil
				}
				name, _ := words(s.tokens)[2:].skip("IF", "EXISTS").name()
				if !s.comesBack(name) {
					return nil
				}
				for _, later := range s.script.statements[s.number+1:] {
					if strings.HasPrefix(later.verb, "CREATE TRIGGER") || strings.HasPrefix(later.verb, "CREATE INDEX") {
						return nil // its author knows
					}
					for _, a := range later.actions {
						if what, _, to := renamed(a); what == "table" && sameName(to, name) && ours(later.table) {
							return nil // by the planner, who has read the table
						}
					}
				}
				return one("table "+name, "the triggers and indexes of table "+name+" are gone with it")
			},
		},
	}
}

// mentionsName tells whether a statement has a name in it.
func mentionsName(s *statement, name string) bool {
	for _, t := range s.tokens {
		if t.IsName() && sameName(t.Name, name) {
			return true
		}
	}
	return false
}
