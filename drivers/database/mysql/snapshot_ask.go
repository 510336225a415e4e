package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/switchbackdb/switchback/snapshot"
)

var _ snapshot.Asker = (*site)(nil)

// Ask implements snapshot.Asker, in a transaction that can only read.
func (s *site) Ask(ctx context.Context, query string, limit int) (answer [][]string, err error) {
	tx, err := s.db.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	rows, err := tx.QueryContext(ctx, query) //nolint:rowserrcheck // Answer does
	if err != nil {
		return nil, err
	}
	return snapshot.Answer(rows, limit)
}
