package recipe

import "regexp"

// effects are those of PostgreSQL's statements: https://www.postgresql.org/docs/current/explicit-locking.html
// and the pages of the statements. The first form that matches counts.
func (*postgres) effects() []kind {
	is := func(form, lock string, a access) kind {
		return kind{regexp.MustCompile(`(?is)^\s*` + form), effect{lock, a}}
	}
	const (
		exclusive = "ACCESS EXCLUSIVE, readers and writers wait for the moment it takes"
		writers   = "SHARE ROW EXCLUSIVE, writers wait for the moment it takes"
		beside    = "SHARE UPDATE EXCLUSIVE, readers and writers go on"
	)
	return []kind{
		is(`SELECT .* FROM pg_`, "", catalogue),
		is(`SELECT .*\(VALUES`, "", catalogue),
		is(`SELECT`, "ACCESS SHARE, readers and writers go on", reads),
		is(`UPDATE`, "the rows of a batch, for as long as the batch takes", batches),
		is(`CREATE (UNIQUE )?INDEX CONCURRENTLY`, beside, indexes),
		is(`DROP INDEX CONCURRENTLY`, beside, catalogue),
		is(`CREATE (UNIQUE )?INDEX [^(]* ON ONLY `, "SHARE, writers wait for the moment it takes", catalogue),
		is(`CREATE (UNIQUE )?INDEX`, "SHARE, writers wait until it is built", indexes),
		is(`ALTER DOMAIN .* VALIDATE CONSTRAINT`, "SHARE on the tables that have it, writers wait until all rows are read", reads),
		is(`ALTER TABLE .* VALIDATE CONSTRAINT`, beside, reads),
		is(`ALTER TABLE .*\bDROP CONSTRAINT .* ADD CONSTRAINT .* FOREIGN KEY .* NOT VALID`, exclusive+"; on both tables", catalogue),
		is(`ALTER TABLE .* ADD CONSTRAINT .* FOREIGN KEY .* NOT VALID`, writers+"; on both tables", catalogue),
		is(`ALTER TABLE .* ADD CONSTRAINT .* (NOT VALID|USING INDEX)`, exclusive, catalogue),
		is(`ALTER TABLE .* ADD CONSTRAINT`, "ACCESS EXCLUSIVE, readers and writers wait until all rows are read", reads),
		is(`ALTER TABLE .* ADD COLUMN .* GENERATED ALWAYS AS \(.*\) STORED`, "ACCESS EXCLUSIVE, readers and writers wait until the table is written anew", copies),
		is(`ALTER TABLE .* ALTER COLUMN .* TYPE`, "ACCESS EXCLUSIVE, readers and writers wait; whether the table is written anew depends on the types", reads),
		is(`ALTER TABLE`, exclusive, catalogue),
		is(`ALTER INDEX`, beside, catalogue),
		is(`CREATE TRIGGER`, writers, catalogue),
		is(`DROP (TRIGGER|TABLE|VIEW|INDEX)`, exclusive, catalogue),
	}
}
