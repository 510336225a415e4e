package lint

import (
	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// indexRules are about indexes.
func indexRules() []Rule {
	return []Rule{
		{
			Name: "index-not-concurrent", Severity: check.Error, Summary: "builds an index while nobody can write to the table",
			fix:  concurrently,
			cost: cost{time: recipe.Size.IndexTime, lock: "SHARE"},
			Why:  "CREATE INDEX keeps writers out until the index is built; CONCURRENTLY does not",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Bad:    "CREATE INDEX users_age ON users (age);",
				Good:   "-- switchback:no-transaction\nCREATE INDEX CONCURRENTLY users_age ON users (age);",
			}},
			statement: func(s *statement) []hit {
				if s.verb != "CREATE INDEX" || s.has("CONCURRENTLY") || s.has("ON", "ONLY") || s.isNew(s.table) {
					return nil
				}
				return one("table "+s.table, "nobody can write to table "+s.table+" until the index is built")
			},
		},
		{
			Name: "drops-index-not-concurrent", Severity: check.Warning, Summary: "drops an index under an exclusive lock",
			fix: concurrently,
			Why: "DROP INDEX waits for everybody who uses the table, and everybody who comes later queues behind it",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Before: usersBefore + "CREATE INDEX users_age ON users (age);",
				Bad:    "DROP INDEX users_age;",
				Good:   "-- switchback:no-transaction\nDROP INDEX CONCURRENTLY users_age;",
			}},
			statement: func(s *statement) []hit {
				if s.verb != "DROP INDEX" || s.has("CONCURRENTLY") {
					return nil
				}
				return one("", "drops an index without CONCURRENTLY")
			},
		},
		{
			Name: "invalid-index-left", Severity: check.Error, Summary: "takes an index that a failed build has left for the one that is wanted",
			Why: "CONCURRENTLY leaves an invalid index behind when it fails, which nothing uses; with IF NOT EXISTS the next try does nothing and succeeds. Switchback drops it and builds again; elsewhere, drop it first",
			Examples: []Example{{
				Engine: migrate.Postgres, Before: usersBefore,
				Bad:  "-- switchback:no-transaction\nCREATE INDEX CONCURRENTLY IF NOT EXISTS users_age ON users (age);",
				Good: "-- switchback:no-transaction\nCREATE INDEX CONCURRENTLY users_age ON users (age);",
			}},
			statement: func(s *statement) []hit {
				if s.verb != "CREATE INDEX" || !s.has("CONCURRENTLY", "IF", "NOT", "EXISTS") {
					return nil
				}
				for _, before := range s.script.statements[:s.number] {
					if before.verb == "DROP INDEX" {
						return nil // what a failed build has left, most likely
					}
				}
				return one("table "+s.table, "an invalid index of this name on table "+s.table+" would be kept")
			},
		},
		{
			Name: "unique-without-index", Severity: check.Error, Summary: "adds a unique constraint or primary key that builds its index under an exclusive lock",
			cost: cost{time: recipe.Size.IndexTime, lock: "ACCESS EXCLUSIVE"},
			Why:  "The index is built while nobody can read or write the table; one that was built CONCURRENTLY before is only adopted",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Before: "CREATE TABLE users (id bigint PRIMARY KEY, email text);",
				Bad:    "ALTER TABLE users ADD CONSTRAINT users_email UNIQUE (email);",
				Good:   "-- switchback:no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY users_email ON users (email);\nALTER TABLE users ADD CONSTRAINT users_email UNIQUE USING INDEX users_email;",
			}},
			statement: eachAction(func(s *statement, a words) []hit {
				if c := constraint(a); (c.begin("UNIQUE") || c.begin("PRIMARY", "KEY")) && !c.has("USING", "INDEX") {
					return one("table "+s.table, "builds an index on table "+s.table+" while nobody can use it")
				}
				return nil
			}),
		},
	}
}

// constraintRules are about constraints and what has to be proven of the rows for them.
func constraintRules() []Rule {
	return []Rule{
		{
			Name: "foreign-key-validates", Severity: check.Error, Summary: "adds a foreign key and checks all rows under its locks",
			fix:  notValid,
			cost: cost{time: recipe.Size.ReadTime, lock: "SHARE ROW EXCLUSIVE"},
			Why:  "Writers to both tables wait until every row was looked up; NOT VALID checks new rows only, and VALIDATE CONSTRAINT the old ones without keeping writers out",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Before: ordersBefore,
				Bad:    "ALTER TABLE orders ADD CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES users (id);",
				Good:   "ALTER TABLE orders ADD CONSTRAINT orders_user FOREIGN KEY (user_id) REFERENCES users (id) NOT VALID;\n-- in a later phase: ALTER TABLE orders VALIDATE CONSTRAINT orders_user",
			}},
			statement: eachAction(func(s *statement, a words) []hit {
				if constraint(a).begin("FOREIGN", "KEY") && !a.has("NOT", "VALID") {
					return one("table "+s.table, "checks all rows of table "+s.table+" while nobody can write to it")
				}
				return nil
			}),
		},
		{
			Name: "check-validates", Severity: check.Error, Summary: "adds a check and looks at all rows under an exclusive lock",
			fix:  notValid,
			cost: cost{time: recipe.Size.ReadTime, lock: "ACCESS EXCLUSIVE"},
			Why:  "Nobody can read or write the table until every row was checked; NOT VALID checks new rows only, and VALIDATE CONSTRAINT the old ones without keeping anybody out",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Bad:    "ALTER TABLE users ADD CONSTRAINT grown CHECK (age > 17);",
				Good:   "ALTER TABLE users ADD CONSTRAINT grown CHECK (age > 17) NOT VALID;\n-- in a later phase: ALTER TABLE users VALIDATE CONSTRAINT grown",
			}},
			statement: eachAction(func(s *statement, a words) []hit {
				if constraint(a).begin("CHECK") && !a.has("NOT", "VALID") && !a.has("NOT", "ENFORCED") {
					return one("table "+s.table, "checks all rows of table "+s.table+" while nobody can use it")
				}
				return nil
			}),
		},
		{
			Name: "sets-not-null-by-scan", Severity: check.Error, Summary: "sets NOT NULL by reading all rows under an exclusive lock",
			cost: cost{time: recipe.Size.ReadTime, lock: "ACCESS EXCLUSIVE"},
			Why:  "Nobody can read or write the table until every row was looked at; a valid CHECK (column IS NOT NULL) proves it without that",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Bad:    "ALTER TABLE users ALTER COLUMN age SET NOT NULL;",
				Good: "-- switchback:no-transaction\nALTER TABLE users ADD CONSTRAINT age_there CHECK (age IS NOT NULL) NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT age_there;\n" +
					"ALTER TABLE users ALTER COLUMN age SET NOT NULL;\nALTER TABLE users DROP CONSTRAINT age_there;",
			}},
			statement: eachAction(func(s *statement, a words) []hit {
				if !a.begin("ALTER") || !a.has("SET", "NOT", "NULL") {
					return nil
				}
				column := a[1:].skip("COLUMN")[0].Name
				for _, before := range s.script.statements[:s.number] {
					w := words(before.tokens)
					if i := w.find("IS", "NOT", "NULL"); i > 0 && w.has("CHECK") && sameName(before.table, s.table) && sameName(w[i-1].Name, column) {
						return nil
					}
				}
				return one("column "+s.table+"."+column, "reads all of table "+s.table+" while nobody can use it")
			}),
		},
		{
			Name: "adds-not-null-column-without-default", Severity: check.Error, Summary: "adds a NOT NULL column without a default",
			Why: "It fails where the table has rows, and the version of the application that does not know the column can no longer insert",
			Examples: on(Example{
				Bad:  "ALTER TABLE users ADD COLUMN points int NOT NULL;",
				Good: "ALTER TABLE users ADD COLUMN points int NOT NULL DEFAULT 0;",
			}, migrate.Engines()...),
			statement: func(s *statement) []hit {
				if !s.plain() {
					return nil
				}
				var hits []hit
				for _, c := range s.columns {
					if c.rest.has("NOT", "NULL") && !anyOf(c.rest, "DEFAULT", "GENERATED", "SERIAL", "BIGSERIAL", "AUTO_INCREMENT", "AS") {
						hits = append(hits, one("column "+s.table+"."+c.name, "column "+c.name+" is NOT NULL and has no default")...)
					}
				}
				return hits
			},
		},
		{
			Name: "volatile-default", Severity: check.Error, Summary: "adds a column whose default differs from row to row",
			cost: cost{time: recipe.Size.CopyTime, lock: "ACCESS EXCLUSIVE"},
			Why:  "The table is written anew under an exclusive lock; with the default set in a second statement only new rows get it, and a backfill fills the others",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Bad:    "ALTER TABLE users ADD COLUMN token uuid DEFAULT gen_random_uuid();",
				Good:   "ALTER TABLE users ADD COLUMN token uuid;\nALTER TABLE users ALTER COLUMN token SET DEFAULT gen_random_uuid();",
			}},
			statement: func(s *statement) []hit {
				if !s.plain() {
					return nil
				}
				var hits []hit
				for _, c := range s.columns {
					if i := c.rest.find("DEFAULT"); i >= 0 && anyOf(c.rest[i:], "random", "gen_random_uuid", "uuid_generate_v4", "uuidv7", "uuidv4", "clock_timestamp", "timeofday", "nextval") {
						hits = append(hits, one("column "+s.table+"."+c.name, "the default of column "+c.name+" is computed for every row")...)
					}
				}
				return hits
			},
		},
	}
}

// eachAction looks at each action of an ALTER TABLE on a table that is in use.
func eachAction(look func(s *statement, a words) []hit) func(*statement) []hit {
	return func(s *statement) []hit {
		if !s.plain() {
			return nil
		}
		var hits []hit
		for _, a := range s.actions {
			hits = append(hits, look(s, a)...)
		}
		return hits
	}
}

// constraint is what an action adds to the table, without the constraint's name; nil where it adds none.
func constraint(a words) words {
	if !a.begin("ADD") {
		return nil
	}
	if a = a[1:]; a.begin("CONSTRAINT") {
		a = a[1:].skip("IF", "NOT", "EXISTS")
		_, a = a.name()
	}
	return a
}

func anyOf(w words, keywords ...string) bool {
	for _, k := range keywords {
		if w.has(k) {
			return true
		}
	}
	return false
}

// one is a single hit.
func one(object, message string) []hit { return []hit{{object: object, message: message}} }
