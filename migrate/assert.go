package migrate

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/switchbackdb/switchback/schema"
)

// AssertError is a query of a script that had to find nothing and found something.
type AssertError struct {
	Message string   // the script's
	Rows    []string // the first that were found, as "column=value, …"
}

func (e *AssertError) Error() string {
	return e.Message + ":\n    " + strings.Join(e.Rows, "\n    ")
}

// maxAssertRows is how many of the rows that an assertion finds are shown.
const maxAssertRows = 5

// Sample runs a query and returns what it finds as an *AssertError; nil when it finds nothing.
func Sample(ctx context.Context, q schema.Queryer, query, message string) error {
	return assert(ctx, q, &Assert{Message: message}, query)
}

// assert runs a query and returns an *AssertError when it finds a row.
func assert(ctx context.Context, q schema.Queryer, a *Assert, query string) error {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	found := &AssertError{Message: a.Message}
	for rows.Next() && len(found.Rows) < maxAssertRows {
		text, err := readRow(rows, names)
		if err != nil {
			return err
		}
		found.Rows = append(found.Rows, text)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(found.Rows) > 0 {
		return found
	}
	return nil
}

// readRow writes a row for people.
func readRow(rows *sql.Rows, names []string) (string, error) {
	values, into := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	if err := rows.Scan(into...); err != nil {
		return "", err
	}
	parts := make([]string, len(names))
	for i, v := range values {
		switch v := v.(type) {
		case nil:
			parts[i] = names[i] + "=NULL"
		case []byte:
			parts[i] = fmt.Sprintf("%s=%q", names[i], v)
		case string:
			parts[i] = fmt.Sprintf("%s=%q", names[i], v)
		case time.Time:
			parts[i] = names[i] + "=" + v.Format(time.RFC3339Nano)
		default:
			parts[i] = fmt.Sprintf("%s=%v", names[i], v)
		}
	}
	return strings.Join(parts, ", "), nil
}

// beginWithAsserts is Database.Begin for a script that has assertions: its statements run one by one.
func (s *Session) beginWithAsserts(ctx context.Context, step Step, statements []Statement) ([]Outcome, error) {
	if _, err := s.db.Begin(ctx, s.conn, nil); err != nil {
		return nil, err
	}
	if err := s.reserve(ctx, step, texts(statements)...); err != nil {
		return nil, err
	}
	d := step.Script.Directives
	var outcomes []Outcome
	after := 0
	for i := range statements {
		st := &statements[i]
		begun := time.Now()
		var n int64
		var err error
		if a := d.assertFor(after, st.Line); a != nil {
			err = assert(ctx, s.conn, a, st.Text)
		} else {
			n, err = s.db.Execute(ctx, s.conn, st.Text)
		}
		if err != nil {
			return outcomes, err
		}
		outcomes = append(outcomes, Outcome{Rows: n, Took: time.Since(begun)})
		after = st.Line + 1
	}
	return outcomes, nil
}
