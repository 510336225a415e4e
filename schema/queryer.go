package schema

import (
	"context"
	"database/sql"
)

// Queryer runs queries: a *sql.DB, *sql.Conn or *sql.Tx. Inspectors take one so that they can look
// at a catalogue from inside a transaction that has just changed it.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}
