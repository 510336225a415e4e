package main

import (
	"database/sql"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"
)

// sqlCommand runs statements on an SQLite file: sql FILE STATEMENT. The rows of a query go to stdout,
// their columns set apart by |.
func sqlCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: sql FILE STATEMENT")
	}
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	defer db.Close()
	if file, ok := strings.CutPrefix(args[1], "@"); ok {
		_, err := db.Exec(ts.ReadFile(file)) // on one connection
		ts.Check(err)
		return
	}
	rows, err := db.Query(args[1])
	if neg {
		if err == nil {
			ts.Fatalf("%s: want an error", args[1])
		}
		return
	}
	ts.Check(err)
	defer rows.Close()
	columns, err := rows.Columns()
	ts.Check(err)
	values := make([]sql.NullString, len(columns))
	into := make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		ts.Check(rows.Scan(into...))
		line := ""
		for i, v := range values {
			if i > 0 {
				line += "|"
			}
			line += v.String
		}
		_, err := fmt.Fprintln(ts.Stdout(), line)
		ts.Check(err)
	}
	ts.Check(rows.Err())
}
