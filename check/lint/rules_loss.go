package lint

import (
	"strings"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/migrate"
)

// lossRules are about what goes away, or is no longer looked after, without being named.
func lossRules() []Rule {
	return []Rule{
		{
			Name: "cascade-drops", Severity: check.Error, Summary: "drops whatever depends on an object",
			Why: "CASCADE drops what nobody has listed: views, foreign keys, columns",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Before: "CREATE VIEW totals AS SELECT 1 AS n;\nCREATE VIEW totals_by_year AS SELECT n FROM totals;",
				Bad:    "DROP VIEW totals CASCADE;",
				Good:   "DROP VIEW totals_by_year;\nDROP VIEW totals;",
			}},
			statement: func(s *statement) []hit {
				w := words(s.tokens)
				last := len(w) > 0 && w[len(w)-1].Is("CASCADE")
				if strings.HasPrefix(s.verb, "DROP ") && last {
					return one("", "drops what depends on it too, whatever that is")
				}
				for _, a := range s.actions {
					if a.begin("DROP") && a[len(a)-1].Is("CASCADE") {
						return one("table "+s.table, "drops what depends on it too, whatever that is")
					}
				}
				return nil
			},
		},
		{
			Name: "truncates", Severity: check.Error, Summary: "empties a table",
			Why: "All rows are gone at once, under an exclusive lock, and no rollback script brings them back",
			Examples: on(Example{
				Before: "CREATE TABLE visits (id bigint PRIMARY KEY, created date);",
				Bad:    "TRUNCATE TABLE visits;",
				Good:   "-- switchback:batch table=visits key=id size=2000\nDELETE FROM visits WHERE created < '2020-01-01' AND :batch;",
			}, migrate.Postgres, migrate.MySQL, migrate.MariaDB),
			statement: func(s *statement) []hit {
				if s.verb != "TRUNCATE" || !s.script.forward() || s.isNew(s.table) {
					return nil
				}
				return one("table "+s.table, "empties table "+s.table)
			},
		},
		{
			Name: "disables-triggers", Severity: check.Error, Summary: "switches triggers off",
			Why: "What triggers keep in step, such as the columns of the other version of the application, is no longer; ALL takes foreign keys along",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Before: usersBefore + "CREATE TRIGGER audit BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();",
				Bad:    "ALTER TABLE users DISABLE TRIGGER ALL;",
				Good:   "ALTER TABLE users ENABLE TRIGGER audit;",
			}},
			statement: func(s *statement) []hit {
				if s.verb == "ALTER TABLE" && s.has("DISABLE", "TRIGGER") || s.has("SET", "session_replication_role") {
					return one(strings.TrimSpace("table "+s.table), "switches triggers off")
				}
				return nil
			},
		},
		{
			Name: "disables-foreign-keys", Severity: check.Error, Summary: "switches foreign keys off",
			Why: "Rows that refer to nothing can be written, and nobody looks for them afterwards",
			Examples: on(Example{
				Before: ordersBefore,
				Bad:    "SET foreign_key_checks = 0;",
				Good: `SET foreign_key_checks = 0;
ALTER TABLE orders ADD CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES users (id), ALGORITHM=INPLACE, LOCK=NONE;
SET foreign_key_checks = 1;
-- switchback:assert orders of users that are not there
SELECT * FROM orders WHERE user_id IS NOT NULL AND user_id NOT IN (SELECT id FROM users) LIMIT 5;`,
			}, migrate.MySQL, migrate.MariaDB),
			statement: func(s *statement) []hit {
				if (s.has("foreign_key_checks", "=", "0") || s.has("foreign_key_checks", "=", "OFF")) && !s.addsKeysOnly() {
					return one("", "switches the checks of foreign keys off")
				}
				return nil
			},
		},
		{
			Name: "row-security-disabled", Severity: check.Error, Summary: "lets everybody see all rows of a table",
			Why: "Without row security the table's policies are not asked: each role sees and writes the rows of all others at once",
			Examples: []Example{{
				Engine: migrate.Postgres, Before: usersBefore,
				Bad:  "ALTER TABLE users DISABLE ROW LEVEL SECURITY;",
				Good: "ALTER TABLE users ENABLE ROW LEVEL SECURITY;",
			}},
			statement: eachAction(func(s *statement, a words) []hit {
				if s.script.forward() && (a.begin("DISABLE", "ROW", "LEVEL", "SECURITY") || a.begin("NO", "FORCE", "ROW", "LEVEL", "SECURITY")) {
					return one("table "+s.table, "the policies of table "+s.table+" are no longer asked")
				}
				return nil
			}),
		},
		{
			Name: "sqlite-foreign-keys-off", Severity: check.Warning, Summary: "switches foreign keys off in a transaction",
			Why: "SQLite ignores PRAGMA foreign_keys in a transaction, so that dropping a table acts on the rows that refer to it",
			Examples: []Example{{
				Engine: migrate.SQLite,
				Bad:    "PRAGMA foreign_keys = OFF;",
				Good:   "-- switchback:foreign-keys off\nCREATE TABLE users_new (id integer PRIMARY KEY, name text);",
			}},
			statement: func(s *statement) []hit {
				if s.has("PRAGMA", "foreign_keys") && s.script.inTransaction() {
					return one("", "PRAGMA foreign_keys has no effect in a transaction: use the directive foreign-keys off")
				}
				return nil
			},
		},
	}
}

// addsKeysOnly tells whether the checks are off only while foreign keys are added, which MySQL and MariaDB do beside writers
// in no other way, in a script that asserts what they did not check.
func (s *statement) addsKeysOnly() bool {
	for _, later := range s.script.statements[s.number+1:] {
		switch {
		case later.has("foreign_key_checks", "=", "1"), later.has("foreign_key_checks", "=", "ON"):
			return len(s.script.directives.Asserts) > 0
		case later.verb != "ALTER TABLE", !later.has("FOREIGN", "KEY"), !later.has("ALGORITHM", "=", "INPLACE"):
			return false
		}
	}
	return false
}
