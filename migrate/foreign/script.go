package foreign

import (
	"regexp"
	"strings"

	"github.com/switchbackdb/switchback/migrate"
)

const noTransaction = "-- switchback:no-transaction\n"

var (
	begins = regexp.MustCompile(`(?i)^\s*(BEGIN|START)(\s+(WORK|TRANSACTION|IMMEDIATE|EXCLUSIVE|DEFERRED))*\s*;\s*$`)
	ends   = regexp.MustCompile(`(?i)^\s*(COMMIT|END)(\s+(WORK|TRANSACTION))*\s*;\s*$`)

	// alone are statements that PostgreSQL and SQLite run outside a transaction only.
	alone = regexp.MustCompile(`(?i)\b(CREATE\s+(UNIQUE\s+)?INDEX\s+CONCURRENTLY|DROP\s+INDEX\s+CONCURRENTLY|REINDEX\s+.*\bCONCURRENTLY|REFRESH\s+MATERIALIZED\s+VIEW\s+CONCURRENTLY|VACUUM|CREATE\s+DATABASE|DROP\s+DATABASE|CREATE\s+TABLESPACE|ALTER\s+SYSTEM)\b`)
)

// plainScript is the text of a file of a tool that runs each file in one go. A BEGIN and COMMIT around
// the whole of it are taken away, since a script runs in one transaction anyway.
func plainScript(x file, noTx bool) (string, error) {
	text, err := unwrap(x)
	if err != nil {
		return "", err
	}
	return withTransaction(text, noTx), nil
}

// withTransaction puts the directive no-transaction above a script that wants or needs it.
func withTransaction(text string, noTx bool) string {
	if noTx || alone.MatchString(withoutComments(text)) {
		return noTransaction + text
	}
	return text
}

func withoutComments(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i], _, _ = strings.Cut(line, "--")
	}
	return strings.Join(lines, "\n")
}

// unwrap takes the BEGIN and COMMIT around a script away. Lines keep their numbers.
func unwrap(x file) (string, error) {
	lines := strings.Split(x.text, "\n")
	first, last := -1, -1
	for i, line := range lines {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "--") {
			continue
		}
		if first < 0 {
			first = i
		}
		last = i
	}
	if first < 0 || !begins.MatchString(lines[first]) {
		return x.text, nil
	}
	if !ends.MatchString(lines[last]) {
		return "", &migrate.FolderError{Path: x.rel, Line: first + 1, Reason: "begins a transaction that does not end with the file", Next: "put COMMIT; at its end, or split it"}
	}
	lines[first], lines[last] = "-- (runs in one transaction)", ""
	return strings.Join(lines, "\n"), nil
}
