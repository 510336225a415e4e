package recipe

import "regexp"

// effects are those of the statements of MySQL (https://dev.mysql.com/doc/refman/en/innodb-online-ddl-operations.html)
// and MariaDB, which say by themselves whether the table is copied: they are refused where they would have to.
func (*mysql) effects() []kind {
	is := func(form, lock string, a access) kind {
		return kind{regexp.MustCompile(`(?is)^\s*` + form), effect{lock, a}}
	}
	const moment = "the table's metadata lock, readers and writers wait for the moment it takes"
	return []kind{
		is(`SELECT .*information_schema`, "", catalogue),
		is(`SELECT`, "none that a reader or writer waits for", reads),
		is(`INSERT INTO .*\bFROM`, "the rows of a batch, for as long as the batch takes", batches),
		is(`UPDATE`, "the rows of a batch, for as long as the batch takes", batches),
		is(`ALTER TABLE \S+\s+ALGORITHM=COPY,\s+LOCK=NONE`, moment+"; then they go on while the table is copied", copies),
		is(`ALTER TABLE .*ALGORITHM=INSTANT`, moment, catalogue),
		is(`ALTER TABLE .*\bRENAME (COLUMN|INDEX) .*ALGORITHM=INPLACE`, moment, catalogue),
		is(`ALTER TABLE .*\bRENAME INDEX`, moment, catalogue),
		is(`ALTER TABLE .*\bADD (UNIQUE )?INDEX .*ALGORITHM=INPLACE`, moment+"; then they go on", indexes),
		is(`ALTER TABLE \S+\s+DROP INDEX [^,]+,\s*ALGORITHM=INPLACE`, moment, catalogue),
		is(`ALTER TABLE \S+\s+DROP FOREIGN KEY`, moment, catalogue),
		is(`ALTER TABLE .*\bADD CONSTRAINT .*\bFOREIGN KEY .*ALGORITHM=INPLACE`, moment+"; then they go on while an index is built, where the columns have none", catalogue),
		is(`ALTER TABLE .*ALGORITHM=INPLACE`, moment+"; then they go on while the table is written anew", copies),
		is(`ALTER TABLE .*\bDROP FOREIGN KEY`, moment, catalogue),
		is(`ALTER TABLE .*\bADD CONSTRAINT`, "SHARED, writers wait until the table is copied", copies),
		is(`(RENAME|DROP) TABLE`, moment, catalogue),
		is(`(CREATE .*|DROP )TRIGGER`, moment, catalogue),
	}
}
