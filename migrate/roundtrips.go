package migrate

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// BeginEach is Database.Begin for engines on which a round trip costs nothing: one after the other.
func BeginEach(ctx context.Context, db Database, conn *sql.Conn, statements []string) ([]Outcome, error) {
	if _, err := conn.ExecContext(ctx, db.Dialect().Begin); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	outcomes := make([]Outcome, 0, len(statements))
	for _, s := range statements {
		begun := time.Now()
		rows, err := db.Execute(ctx, conn, s)
		if err != nil {
			return outcomes, err
		}
		outcomes = append(outcomes, Outcome{Rows: rows, Took: time.Since(begun)})
	}
	return outcomes, nil
}

// CommitEach is Database.Commit for such engines.
func CommitEach(ctx context.Context, conn *sql.Conn, last []Query) error {
	for _, q := range last {
		r, err := conn.ExecContext(ctx, q.SQL, q.Args...)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil {
			return err
		} else if n == 0 {
			return sql.ErrNoRows
		}
	}
	_, err := conn.ExecContext(ctx, "COMMIT")
	return err
}
