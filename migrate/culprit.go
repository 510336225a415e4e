package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// batchError is the error of a batch's own statement.
type batchError struct{ err error }

func (e *batchError) Error() string { return e.err.Error() }
func (e *batchError) Unwrap() error { return e.err }

// RowError is a batched statement that fails on a row.
type RowError struct {
	Table string
	Key   string // of the first row that it fails on, as "id=7"
	Err   error
}

func (e *RowError) Error() string {
	return fmt.Sprintf("%s, at the row of %s with %s", e.Err, e.Table, e.Key)
}

func (e *RowError) Unwrap() error { return e.Err }

// blame finds the first row on which a batch fails, by running shorter and shorter batches and taking
// them back. An error that is about no row, such as a full disk, stays as it is.
func (w *walk) blame(ctx context.Context, err error) error {
	var failed *batchError
	if !errors.As(err, &failed) || w.s.db.IsLockTimeout(err) || w.s.db.IsFull(err) || errors.Is(err, ErrLockLost) || ctx.Err() != nil {
		return err
	}
	fits, fails := int64(0), w.span // a batch of so many rows succeeds; fails
	var key []keyValue
	for fails-fits > 1 || key == nil {
		n := max(1, (fits+fails)/2)
		upper, bad := w.try(ctx, int(n))
		switch {
		case upper == nil:
			return err // what is wrong is no longer there, or is not about rows
		case bad:
			fails, key = n, upper
		case n == fails:
			return err
		default:
			fits = n
		}
		if n == 1 && bad {
			break
		}
	}
	if key == nil {
		return err
	}
	parts := make([]string, len(key))
	for i, k := range key {
		v := k.value
		if b, ok := v.([]byte); ok {
			v = string(b)
		}
		parts[i] = fmt.Sprintf("%s=%v", w.batch.Key[i], v)
	}
	return &RowError{Table: w.batch.Table, Key: strings.Join(parts, ", "), Err: failed.err}
}

// try runs the statement over the next n rows and takes it back. bad tells whether it failed; upper is the
// last of their keys, nil when they could not be found.
func (w *walk) try(ctx context.Context, n int) (upper []keyValue, bad bool) {
	s := w.s
	if err := s.begin(ctx); err != nil {
		return nil, false
	}
	defer s.rollback(ctx)
	upper, found, err := w.upper(ctx, n)
	if err != nil || found == 0 {
		return nil, false
	}
	statement, args := w.statement(upper)
	_, err = s.conn.ExecContext(ctx, statement, args...)
	return upper, err != nil
}
