package data

import (
	"database/sql"
	"errors"
	"fmt"
)

// AddSums reads the rows of a query whose columns are bucket, count and checksum, and closes them.
func AddSums(rows *sql.Rows, sums map[int64]Sum) error {
	defer rows.Close()
	for rows.Next() {
		var b int64
		var s Sum
		if err := rows.Scan(&b, &s.Rows, &s.Check); err != nil {
			return err
		}
		sums[b] = s
	}
	return rows.Err()
}

// rowsCursor reads the rows of a query whose first column is the key and whose others are the values.
type rowsCursor struct {
	rows *sql.Rows
	row  Row
	into []any
}

// NewCursor returns a cursor over the rows of a query. Its first column is the key, a whole number where
// integer says so; all others are the values as text.
func NewCursor(rows *sql.Rows, integer bool) (Cursor, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	c := &rowsCursor{rows: rows, row: Row{Values: make([]sql.NullString, len(columns)-1)}}
	if integer {
		c.into = append(c.into, &c.row.Int)
	} else {
		c.into = append(c.into, &c.row.Key)
	}
	for i := range c.row.Values {
		c.into = append(c.into, &c.row.Values[i])
	}
	return c, nil
}

// Next implements Cursor.
func (c *rowsCursor) Next() (*Row, bool, error) {
	if !c.rows.Next() {
		return nil, false, c.rows.Err()
	}
	if err := c.rows.Scan(c.into...); err != nil {
		return nil, false, fmt.Errorf("read a row: %w", err)
	}
	return &c.row, true, nil
}

// Close implements Cursor.
func (c *rowsCursor) Close() error { return c.rows.Close() }
