package postgres

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/migrate"
)

// queueing are statements that take a lock which writers, or readers too, queue behind while it is waited for; with the
// table whose lock that is. Those that no transaction may hold are not among them.
var queueing = []*regexp.Regexp{
	regexp.MustCompile(`(?is)^(?:ALTER|DROP)\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?` + identifier),
	regexp.MustCompile(`(?is)^CREATE\s+(?:OR\s+REPLACE\s+)?(?:CONSTRAINT\s+)?TRIGGER\b.*?\sON\s+` + identifier),
	regexp.MustCompile(`(?is)^DROP\s+(?:TRIGGER|POLICY|RULE)\b.*?\sON\s+` + identifier),
	regexp.MustCompile(`(?is)^(?:CREATE|ALTER)\s+POLICY\b.*?\sON\s+` + identifier),
	createIndex,
}

// transactionMode is a statement that has to come before any query of its transaction.
var transactionMode = regexp.MustCompile(`(?is)^SET\s+(?:LOCAL\s+)?TRANSACTION\b`)

// Reserve implements migrate.Reserver. Behind a lock of the mode SHARE UPDATE EXCLUSIVE nobody queues but vacuum and
// DDL; while it is waited for the server ends an autovacuum that is in the way, which takes it deadlock_timeout, a
// second. What is left to wait for then is transactions of readers and writers. A table that is not there yet, or
// that the role may not lock like this, is left to the statement itself.
func (d *Database) Reserve(statements []string, patience, wait time.Duration) string {
	var tables []string
	for _, s := range statements {
		s = migrate.TrimComments(s)
		if transactionMode.MatchString(s) {
			return ""
		}
		for _, p := range queueing {
			if m := p.FindStringSubmatch(s); m != nil && !slices.Contains(tables, m[1]) {
				tables = append(tables, m[1])
			}
		}
	}
	if len(tables) == 0 {
		return ""
	}
	var b strings.Builder
	set := func(d time.Duration) {
		fmt.Fprintf(&b, "  PERFORM pg_catalog.set_config('lock_timeout', '%d', true);\n", d.Milliseconds())
	}
	b.WriteString("DO $switchback$\nBEGIN\n")
	set(patience)
	for _, t := range tables {
		fmt.Fprintf(&b, "  BEGIN\n    LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE;\n", t)
		b.WriteString("  EXCEPTION WHEN undefined_table OR invalid_schema_name OR insufficient_privilege OR wrong_object_type THEN NULL;\n  END;\n")
	}
	set(wait)
	b.WriteString("END\n$switchback$")
	return b.String()
}
