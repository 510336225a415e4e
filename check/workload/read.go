package workload

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/switchbackdb/switchback/internal/sqltoken"
	"github.com/switchbackdb/switchback/migrate"
)

// Read reads a file of queries: SQL, split as the engine does, that somebody wrote or that is the file of a Recording;
// or a slow query log of MySQL or MariaDB. These are known by their headers.
func Read(engine migrate.Engine, path string) (queries []Query, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the workload: %w", err)
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 1<<16)
	name := filepath.ToSlash(path)
	if head, _ := r.Peek(1 << 12); isSlowLog(head) {
		if engine != migrate.MySQL && engine != migrate.MariaDB {
			return nil, fmt.Errorf("read the workload %s: it is a slow query log of MySQL or MariaDB, and the changes are for %s", path, engine)
		}
		queries, err = slowLog(engine, r, name)
	} else {
		queries, err = script(engine, r, name)
	}
	if err != nil {
		return nil, fmt.Errorf("read the workload %s: %w", path, err)
	}
	return queries, nil
}

// script reads queries that somebody has written down, or a Recording.
func script(engine migrate.Engine, r io.Reader, name string) ([]Query, error) {
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	head, recalled := bytes.CutPrefix(content, []byte(recordedHead+" on "))
	if on, _, _ := strings.Cut(string(head[:min(len(head), 32)]), ":"); recalled && on != string(engine) {
		return nil, fmt.Errorf("it was recorded on %s, and the changes are for %s", on, engine)
	}
	statements, err := migrate.Scan(engine, string(content))
	if err != nil {
		return nil, err
	}
	var queries []Query
	for _, s := range statements {
		text := prepared(engine, s.Text)
		if text == "" {
			continue
		}
		queries = append(queries, Query{Name: queryName(s.Comments), Text: text, File: name, Line: s.Line, Recalled: recalled})
	}
	return queries, nil
}

// prepared is the query of a statement that SQL prepares, which the server would otherwise only look at when it is executed:
// PREPARE … AS, and of MySQL PREPARE … FROM with a text. It is nothing for those that execute or forget one, and the statement
// itself for any other.
func prepared(engine migrate.Engine, statement string) string {
	list := sqltoken.Split(statement, sqltoken.Of(string(engine)))
	if len(list) < 2 || engine == migrate.SQLite {
		return statement
	}
	switch {
	case list[0].Is("execute"), list[0].Is("deallocate"):
		return ""
	case !list[0].Is("prepare"):
		return statement
	}
	for i, t := range list[1:] {
		behind := list[i+2:]
		switch {
		case len(behind) == 0:
			return statement
		case engine == migrate.Postgres && t.Is("as"):
			return statement[behind[0].Start:]
		case engine != migrate.Postgres && t.Is("from") && behind[0].Kind == sqltoken.Text:
			return behind[0].Name
		case engine != migrate.Postgres && t.Is("from"):
			return "" // of a variable
		}
	}
	return statement
}

// queryName is the name that a comment above a query gives it, as in sqlc's "-- name: GetUser :one".
func queryName(comments []string) string {
	for _, comment := range comments {
		if name, ok := strings.CutPrefix(strings.TrimSpace(strings.TrimLeft(comment, "-# \t")), "name:"); ok {
			return strings.Fields(name + " ?")[0]
		}
	}
	return ""
}
