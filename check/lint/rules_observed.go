package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchbackdb/switchback/check"
	"github.com/switchbackdb/switchback/migrate"
	"github.com/switchbackdb/switchback/migrate/recipe"
)

// The schemas that most examples begin with; the first where an example says nothing.
const (
	usersBefore  = "CREATE TABLE users (id bigint PRIMARY KEY, name varchar(100), age int);\n"
	ordersBefore = usersBefore + "CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, placed date);\nCREATE INDEX orders_by_user ON orders (user_id);"
)

// observedRules are those about locks: what a statement did in a scratch database.
func observedRules() []Rule {
	return []Rule{
		{
			Name: "rewrites-table", Severity: check.Error, Summary: "writes all rows of a table anew under an exclusive lock",
			cost: cost{time: recipe.Size.CopyTime},
			Why:  "Readers and writers wait until every row and every index was written again, which takes as long as the table is large",
			Examples: []Example{{
				Engine: migrate.Postgres, Before: usersBefore,
				Bad:  "ALTER TABLE users ALTER COLUMN age TYPE bigint;",
				Good: "ALTER TABLE users ADD COLUMN age_long bigint;", Also: []string{"changes-type-in-place"},
			}},
			observed: func(s *statement, o Observation) []hit {
				var hits []hit
				for _, t := range o.Rewritten {
					if s.verb != "TRUNCATE" {
						hits = append(hits, hit{message: "writes table " + t + " anew while nobody can read it", object: "table " + t, touch: touch(o, t)})
					}
				}
				return hits
			},
		},
		{
			Name: "scans-under-lock", Severity: check.Error, Summary: "reads a whole table while nobody can read or write it",
			cost: cost{time: recipe.Size.ReadTime},
			Why:  "The lock is kept until every row was looked at, which takes as long as the table is large",
			Examples: []Example{{
				Engine: migrate.Postgres, Before: usersBefore,
				Bad:  "ALTER TABLE users ADD COLUMN points int CHECK (points > 0);",
				Good: "ALTER TABLE users ADD COLUMN points int;\nALTER TABLE users ADD CONSTRAINT points_positive CHECK (points > 0) NOT VALID;\n-- in a later phase: ALTER TABLE users VALIDATE CONSTRAINT points_positive",
			}},
			observed: func(_ *statement, o Observation) []hit {
				return lockHits(o, func(l Lock) bool {
					return l.Mine && blocksReads(l.Mode) && slices.Contains(o.Scanned, l.Table) && !slices.Contains(o.Rewritten, l.Table)
				}, "reads all of table %s while it is locked %s")
			},
		},
		{
			Name: "blocks-reads", Severity: check.Error, Summary: "works on while a table is locked against readers",
			cost: cost{time: recipe.Size.ReadTime},
			Why:  "The lock of an earlier statement is held until the transaction ends, so all that the transaction does meanwhile keeps readers waiting",
			Examples: []Example{{
				Engine: migrate.Postgres, Before: usersBefore,
				Bad:  "ALTER TABLE users ADD COLUMN nick text;\nUPDATE users SET nick = name WHERE nick IS NULL;",
				Good: "ALTER TABLE users ADD COLUMN nick text;\n-- in the backfill phase: UPDATE … with -- switchback:batch", Also: []string{"mixes-schema-and-data", "long-update-without-batches"},
			}},
			observed: func(s *statement, o Observation) []hit {
				if len(o.Scanned) == 0 || !s.script.inTransaction() {
					return nil
				}
				return lockHits(o, func(l Lock) bool { return !l.Mine && blocksReads(l.Mode) },
					"reads all of "+strings.Join(o.Scanned, ", ")+" while table %s is locked %s by a statement before")
			},
		},
		{
			Name: "blocks-writes", Severity: check.Error, Summary: "reads or builds for long while nobody can write to a table",
			cost: cost{time: recipe.Size.IndexTime},
			Why:  "Writers wait until the statement is through, which takes as long as the table is large",
			Examples: []Example{
				{
					Engine: migrate.Postgres, Before: usersBefore,
					Bad:  "CREATE INDEX users_age ON users (age);",
					Good: "-- switchback:no-transaction\nCREATE INDEX CONCURRENTLY users_age ON users (age);", Also: []string{"index-not-concurrent"},
				},
				{
					Engine: migrate.MySQL, Before: usersBefore,
					Bad:  "ALTER TABLE users ADD FULLTEXT INDEX users_name (name);",
					Good: "ALTER TABLE users ADD INDEX users_name (name);",
				},
				{
					Engine: migrate.MariaDB, Before: usersBefore,
					Bad:  "ALTER TABLE users ADD FULLTEXT INDEX users_name (name);",
					Good: "ALTER TABLE users ADD INDEX users_name (name);",
				},
			},
			observed: func(s *statement, o Observation) []hit {
				if a := o.Algorithm; a.Name != "" && a.Name != "COPY" && !s.isNew(s.table) && (a.Lock == "SHARED" || a.Lock == "EXCLUSIVE") {
					return clauseHit("nobody can write to table %s meanwhile: the server accepts no more than %s", s.table, "LOCK="+a.Lock)
				}
				return lockHits(o, func(l Lock) bool {
					return l.Mine && blocksWrites(l.Mode) && !blocksReads(l.Mode) && slices.Contains(o.Scanned, l.Table) && !slices.Contains(o.Rewritten, l.Table)
				}, "reads all of table %s while it is locked %s against writers")
			},
		},
		{
			Name: "copies-table", Severity: check.Error, Summary: "copies all rows while nobody can write to the table",
			cost: cost{time: recipe.Size.CopyTime},
			Why:  "With ALGORITHM=COPY the server writes the table anew, and writers wait until it is through",
			Examples: []Example{
				{
					Engine: migrate.MySQL, Before: usersBefore,
					Bad:  "ALTER TABLE users MODIFY COLUMN age bigint;",
					Good: "ALTER TABLE users ADD COLUMN age_long bigint, ALGORITHM=INSTANT;", Also: []string{"changes-type-in-place"},
				},
				{
					Engine: migrate.MariaDB, Before: usersBefore,
					Bad:  "ALTER TABLE users MODIFY COLUMN age bigint, ALGORITHM=COPY;",
					Good: "ALTER TABLE users ADD COLUMN age_long bigint, ALGORITHM=INSTANT;", Also: []string{"changes-type-in-place"},
				},
			},
			observed: func(s *statement, o Observation) []hit {
				if o.Algorithm.Name != "COPY" || o.Algorithm.Lock == "NONE" || s.isNew(s.table) { // MariaDB copies beside writers
					return nil
				}
				return clauseHit("copies table %s: the server accepts nothing better than %s", s.table, "ALGORITHM=COPY")
			},
		},
		{
			Name: "partitioned-copy-loses-writes", Severity: check.Error, Summary: "copies a table with partitions while others write to it",
			Why: "From 11.2 on MariaDB copies beside writers. Of a table that has partitions the copy then differs: writes that came meanwhile are lost, and those that were rolled back stay. " +
				"With LOCK=SHARED writers wait until it is through",
			Examples: []Example{{
				Engine: migrate.MariaDB, Before: "CREATE TABLE users (id bigint PRIMARY KEY, name text, email text, age int) PARTITION BY HASH (id) PARTITIONS 3;",
				Bad:  "ALTER TABLE users REMOVE PARTITIONING;",
				Good: "ALTER TABLE users LOCK=SHARED REMOVE PARTITIONING;",
			}},
			observed: func(s *statement, o Observation) []hit {
				keeps := s.has("LOCK", "=", "SHARED") || s.has("LOCK", "SHARED") || s.has("LOCK", "=", "EXCLUSIVE") || s.has("LOCK", "EXCLUSIVE")
				besideWriters := o.Algorithm.Name == "COPY" && (o.Algorithm.Lock == "NONE" || o.Algorithm.Lock == "DEFAULT")
				if s.script.engine != migrate.MariaDB || !o.Partitioned || !besideWriters || keeps {
					return nil
				}
				return clauseHit("copies table %s, which has partitions, with %s: writes that come meanwhile are lost", s.table, "LOCK="+o.Algorithm.Lock)
			},
		},
	}
}

// lockHits is a hit for each lock that is wrong.
func lockHits(o Observation, wrong func(Lock) bool, format string) []hit {
	var hits []hit
	for _, l := range o.Locks {
		if wrong(l) {
			hits = append(hits, clauseHit(format, l.Table, l.Mode)...)
		}
	}
	return hits
}

// clauseHit is a hit on a table that is locked, or changed, in a way that the format says behind the table.
func clauseHit(format, table, way string) []hit {
	return []hit{{message: fmt.Sprintf(format, table, way), object: "table " + table, touch: &check.Touch{Table: table, Lock: way}}}
}

// touch is what is known of a table from an observation.
func touch(o Observation, table string) *check.Touch {
	t := &check.Touch{Table: table}
	for _, l := range o.Locks {
		if l.Table == table {
			t.Lock = l.Mode
			break
		}
	}
	return t
}
