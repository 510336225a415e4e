package recipe

import "regexp"

// effects are those of SQLite's statements: https://www.sqlite.org/lockingv3.html. There is one lock, that of
// the file; a script has it until it ends.
func (*sqlite) effects() []kind {
	is := func(form, lock string, a access) kind {
		return kind{regexp.MustCompile(`(?is)^\s*` + form), effect{lock, a}}
	}
	const (
		moment = "the file's, other writers wait for the moment it takes"
		whole  = "the file's, other writers wait until it is done"
	)
	return []kind{
		is(`SELECT .*\bsqlite_schema\b`, "", catalogue),
		is(`SELECT`, "none that a writer waits for", reads),
		is(`UPDATE`, "the file's, other writers wait for one batch", batches),
		is(`CREATE (UNIQUE )?INDEX`, whole, indexes),
		is(`INSERT OR ABORT INTO`, whole, copies),
		is(`ALTER TABLE .* DROP COLUMN`, whole, copies),
		is(`(ALTER|CREATE|DROP) (TABLE|TRIGGER|VIEW|INDEX)`, moment, catalogue),
	}
}
