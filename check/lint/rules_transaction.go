package lint

import (
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// manyLocks is how many tables a transaction may not lock.
const manyLocks = 4

// transactionRules are about what shares a transaction, and how long it takes.
func transactionRules() []Rule {
	return []Rule{
		{
			Name: "concurrently-in-transaction", Severity: check.Error, Summary: "CONCURRENTLY in a transaction",
			fix: concurrently,
			Why: "The server refuses it: the script has to run statement by statement",
			Examples: []Example{{
				Engine: migrate.Postgres, Refused: true,
				Bad:  "CREATE INDEX CONCURRENTLY users_age ON users (age);",
				Good: "-- switchback:no-transaction\nCREATE INDEX CONCURRENTLY users_age ON users (age);",
			}},
			statement: func(s *statement) []hit {
				if !s.script.inTransaction() || !s.has("CONCURRENTLY") || s.verb == "REFRESH MATERIALIZED" {
					return nil
				}
				return one("", "CONCURRENTLY needs the directive no-transaction")
			},
		},
		{
			Name: "validates-in-same-transaction", Severity: check.Error, Summary: "validates a constraint in the transaction that adds it",
			Why: "The exclusive lock of ADD CONSTRAINT is held while all rows are read, so that NOT VALID gains nothing",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Bad:    "ALTER TABLE users ADD CONSTRAINT grown CHECK (age > 17) NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT grown;",
				Good:   "-- switchback:no-transaction\nALTER TABLE users ADD CONSTRAINT grown CHECK (age > 17) NOT VALID;\nALTER TABLE users VALIDATE CONSTRAINT grown;",
			}},
			statement: eachAction(func(s *statement, a words) []hit {
				if !s.script.inTransaction() || !a.begin("VALIDATE", "CONSTRAINT") || len(a) < 3 {
					return nil
				}
				for _, before := range s.script.statements[:s.number] {
					for _, b := range before.actions {
						if sameName(before.table, s.table) && b.begin("ADD", "CONSTRAINT") && len(b) > 2 && sameName(b[2].Name, a[2].Name) {
							return one("table "+s.table, "constraint "+a[2].Name+" is validated under the lock that adding it took")
						}
					}
				}
				return nil
			}),
		},
		{
			Name: "enum-value-in-same-transaction", Severity: check.Error, Summary: "uses a value of an enum in the transaction that adds it",
			Why: "The server refuses a new value until it is committed",
			Examples: []Example{{
				Engine: migrate.Postgres, Refused: true,
				Before: "CREATE TYPE mood AS ENUM ('good', 'bad');\nCREATE TABLE users (id bigint PRIMARY KEY, mood mood);",
				Bad:    "ALTER TYPE mood ADD VALUE 'great';\nALTER TABLE users ALTER COLUMN mood SET DEFAULT 'great';",
				Good:   "-- switchback:no-transaction\nALTER TYPE mood ADD VALUE 'great';\nALTER TABLE users ALTER COLUMN mood SET DEFAULT 'great';",
			}},
			statement: func(s *statement) []hit {
				if !s.script.inTransaction() {
					return nil
				}
				for _, before := range s.script.statements[:s.number] {
					w := words(before.tokens)
					i := w.find("ADD", "VALUE")
					if before.verb != "ALTER TYPE" || i < 0 {
						continue
					}
					value := w[i+2:].skip("IF", "NOT", "EXISTS")
					for _, t := range s.tokens {
						if len(value) > 0 && s.verb != "ALTER TYPE" && t.Kind == sqltoken.Text && t.Name == value[0].Name {
							return one("", "value "+value[0].Raw+" was added in this transaction")
						}
					}
				}
				return nil
			},
		},
		{
			Name: "mixes-schema-and-data", Severity: check.Warning, Summary: "changes a table and its rows in one transaction",
			Why: "The exclusive lock that changing the table took is held while the rows are written",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Bad:    "ALTER TABLE users ADD COLUMN nick text;\nUPDATE users SET nick = 'none' WHERE id = 1;",
				Good:   "ALTER TABLE users ADD COLUMN nick text;\n-- in backfill.sql: UPDATE … with -- switchback:batch",
			}},
			statement: func(s *statement) []hit {
				if !s.script.inTransaction() || s.verb != "UPDATE" && s.verb != "DELETE" && s.verb != "INSERT" {
					return nil
				}
				for _, before := range s.script.statements[:s.number] {
					if before.plain() {
						return one("table "+before.table, "table "+before.table+" stays locked while these rows are written")
					}
				}
				return nil
			},
		},
		{
			Name: "long-update-without-batches", Severity: check.Warning, Summary: "writes to many rows in one statement",
			cost: cost{time: recipe.Size.CopyTime, lock: "ROW EXCLUSIVE"},
			Why:  "The rows stay locked until all of them are written, replicas fall behind, and taking it back takes as long again",
			Examples: on(Example{
				Before: "CREATE TABLE users (id bigint PRIMARY KEY, name varchar(100), nick varchar(100));",
				Bad:    "UPDATE users SET nick = name WHERE nick IS NULL;",
				Good:   "-- switchback:batch table=users key=id size=2000\nUPDATE users SET nick = name WHERE nick IS NULL AND :batch;",
			}, migrate.Engines()...),
			statement: func(s *statement) []hit {
				if s.verb != "UPDATE" && s.verb != "DELETE" || s.isNew(s.table) || s.script.batched(s) || s.has("LIMIT") {
					return nil
				}
				w := words(s.tokens)
				if i := w.find("WHERE"); i >= 0 && len(w) == i+4 && w[i+2].IsSign("=") && (w[i+3].Kind == sqltoken.Number || w[i+3].Kind == sqltoken.Text) {
					return nil // a row by its key
				}
				return one("table "+s.table, "writes to table "+s.table+" without the directive batch")
			},
		},
		{
			Name: "many-locks-in-one-transaction", Severity: check.Warning, Summary: "locks several tables until the transaction ends",
			Why: "Each table is locked while the script waits for the next: who uses two of them in the other order makes a deadlock, and all of them are out of use as long as the slowest takes",
			Examples: []Example{{
				Engine: migrate.Postgres,
				Before: "CREATE TABLE users (id bigint PRIMARY KEY);\nCREATE TABLE orders (id bigint PRIMARY KEY);\nCREATE TABLE visits (id bigint PRIMARY KEY);\nCREATE TABLE items (id bigint PRIMARY KEY);",
				Bad:    "ALTER TABLE users ADD COLUMN note text;\nALTER TABLE orders ADD COLUMN note text;\nALTER TABLE visits ADD COLUMN note text;\nALTER TABLE items ADD COLUMN note text;",
				Good:   "-- switchback:no-transaction\nALTER TABLE users ADD COLUMN note text;\nALTER TABLE orders ADD COLUMN note text;\nALTER TABLE visits ADD COLUMN note text;\nALTER TABLE items ADD COLUMN note text;",
			}},
			script: func(s *script) []hit {
				if s.engine != migrate.Postgres || !s.inTransaction() {
					return nil
				}
				var tables []string
				for _, st := range s.statements {
					if !st.plain() || slices.ContainsFunc(tables, func(t string) bool { return sameName(t, st.table) }) {
						continue
					}
					if tables = append(tables, st.table); len(tables) == manyLocks {
						return []hit{{
							message: strings.Join(tables, ", ") + " are locked at once", object: "table " + st.table, line: st.line,
							rewrite: "make a change of each table, or use the directive no-transaction",
						}}
					}
				}
				return nil
			},
		},
		{
			Name: "no-lock-timeout", Severity: check.Warning, Summary: "waits for a lock without end",
			fix: lockTimeout,
			Why: "While the statement waits for a long query, everybody else queues behind it. Switchback sets a lock timeout by itself and tries again; the tool that this migration is for does not",
			Examples: []Example{
				{Engine: migrate.Postgres, Foreign: true, Bad: "ALTER TABLE users ADD COLUMN nick text;", Good: "SET lock_timeout = '2s';\nALTER TABLE users ADD COLUMN nick text;"},
				{Engine: migrate.MySQL, Foreign: true, Bad: "ALTER TABLE users ADD COLUMN nick text;", Good: "SET lock_wait_timeout = 2;\nALTER TABLE users ADD COLUMN nick text;"},
				{Engine: migrate.MariaDB, Foreign: true, Bad: "ALTER TABLE users ADD COLUMN nick text;", Good: "SET lock_wait_timeout = 2;\nALTER TABLE users ADD COLUMN nick text;"},
			},
			script: func(s *script) []hit {
				if !s.Foreign {
					return nil
				}
				for _, st := range s.statements {
					if st.has("lock_timeout") || st.has("lock_wait_timeout") {
						return nil
					}
					if st.plain() {
						h := one("table "+st.table, "table "+st.table+" is changed without a lock timeout")
						h[0].line = st.line
						return h
					}
				}
				return nil
			},
		},
	}
}
